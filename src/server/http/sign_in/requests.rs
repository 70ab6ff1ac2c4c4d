//! Requests in the audit log: some lines about each user, and how many were left out. Service accounts of one namespace
//! count as one user, since their tenant could make any number of them.

use super::{
    audit::{self, AuditedRequest},
    line_limit::LineLimit,
    viewer::SignedIn,
};

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
    /// Writes what somebody who is signed in asked for, or counts it if there are enough lines about them.
    pub fn note(&self, event: audit::Event, viewer: &SignedIn, request: &AuditedRequest<'_>) {
        let user = viewer.user();
        let subject = match user.account_namespace() {
            // The name of their group in Kubernetes.
            Some(namespace) => format!("system:serviceaccounts:{namespace}"),
            None => user.name.clone(),
        };
        if !self.0.count((event, subject.clone()), || (event, subject)) {
            return;
        }
        let viewer = audit::AuditedViewer {
            user,
            mode: viewer.credential.mode_code(),
            session: viewer.credential.hash_text(),
            namespaces: viewer.access_status.scope.namespaces(),
            is_late: viewer.access_status.is_late,
        };
        audit::asked(event, &viewer, request);
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
