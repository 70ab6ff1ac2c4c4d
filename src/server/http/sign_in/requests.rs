//! Requests in the audit log: some lines about each user, and how many were left out. Service accounts of one namespace
//! count as one user, since their tenant could make any number of them.

use super::{audit, line_limit::LineLimit};
use wukong_core::access::UserInfo;

/// Lines about one user in a minute, of each event.
const LINES: u32 = 60;

/// The requests of the last minute, by event and by user or by the namespace of service accounts.
pub struct Requests(LineLimit<(audit::Event, String), (audit::Event, String)>);

impl Default for Requests {
    fn default() -> Self {
        Self(LineLimit::new(LINES))
    }
}

impl Requests {
    /// Counts a request of somebody who is signed in. Returns whether a line about it may be written.
    pub fn count(&self, event: audit::Event, user: &UserInfo) -> bool {
        let subject = match user.account_namespace() {
            // The name of their group in Kubernetes.
            Some(namespace) => format!("system:serviceaccounts:{namespace}"),
            None => user.name.clone(),
        };
        self.0.count((event, subject.clone()), || (event, subject))
    }

    /// Writes how many requests were left out, and forgets what is older than a minute.
    pub fn tidy(&self) {
        for (subject, left_out) in self.0.take_left_out() {
            let (event, user) =
                subject.map_or((audit::Event::Api, None), |(event, user)| (event, Some(user)));
            audit::left_out(event, user.as_deref(), left_out);
        }
    }
}
