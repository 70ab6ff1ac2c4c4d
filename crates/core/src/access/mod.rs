//! Decides which access reviews to ask about the viewers, and what each viewer may see by the answers.
//!
//! Kubernetes decides who may list what. [`AccessBook`] keeps its answers for a minute, renews those of
//! active viewers, and never asks more than its budget allows. Pure: bindings, answers and the time are
//! arguments. The server asks the reviews.

mod answer;
mod book;
mod budget;
mod hints;
mod places;
mod viewer;
mod wanted;

use std::{collections::BTreeMap, sync::Arc};

pub use book::{AccessBook, AccessStatus};
pub use hints::{BindingHints, Subject};

use model::{Millis, vm::Kind};
use serde::{Deserialize, Serialize};

/// A user as Kubernetes knows them: the answer of a TokenReview, or what was made of an identity provider's
/// claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// Other attributes that authorisers may check, such as the scopes of a restricted token.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Returns the namespace of a service account; `None` for every other user.
    pub fn account_namespace(&self) -> Option<&str> {
        let account = self.name.strip_prefix("system:serviceaccount:")?;
        account.split_once(':').map(|(namespace, _)| namespace)
    }
}

/// What a user may list or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReviewedResource {
    Rows(Kind),
    Nodes,
    /// Events of a namespace. Asked only when the viewer looks at a VM there; no [`Scope`](crate::Scope) has it.
    Events,
}

impl ReviewedResource {
    /// What is asked about every viewer, and makes their scope.
    const ALL: [Self; 4] = [
        Self::Rows(Kind::Wukong),
        Self::Rows(Kind::VirtualMachine),
        Self::Rows(Kind::VirtualMachineInstance),
        Self::Nodes,
    ];

    /// Returns its place in [`Self::ALL`].
    fn index(self) -> Option<usize> {
        match self {
            Self::Rows(Kind::Wukong) => Some(0),
            Self::Rows(Kind::VirtualMachine) => Some(1),
            Self::Rows(Kind::VirtualMachineInstance) => Some(2),
            Self::Nodes => Some(3),
            Self::Events => None,
        }
    }
}

/// May the user list this resource in this namespace, or in all of them?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// `None` asks for the whole cluster.
    pub namespace: Option<Arc<str>>,
    pub resource: ReviewedResource,
}

/// A question to ask Kubernetes now. Each must be answered with [`AccessBook::answered`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    pub user: Arc<UserInfo>,
    pub question: Question,
}

/// What Kubernetes said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    Denied,
    /// No answer: the API server cannot be reached, or refuses the question.
    Failed,
}

/// How long an allow is valid.
pub const ALLOW_ENDS: Millis = 60_000;
/// Age from which an allow is asked again.
const RENEW_AFTER: Millis = 40_000;
/// How long an allow is valid at most while its renewal is delayed, by the budget or by an API server that
/// does not answer.
pub const ALLOW_ENDS_WAITING: Millis = 300_000;
/// Only users who looked within this time are asked about.
pub const ACTIVE_FOR: Millis = 120_000;
/// Users who did not look for this long are forgotten.
pub const FORGET_AFTER: Millis = 600_000;
/// Most users that are kept. Beyond it, the one who did not look for the longest time is forgotten; one of the service
/// accounts of a namespace if these are more than half.
pub const MOST_VIEWERS: usize = 2_000;
/// A binding that changes again within this time is asked about after everything else: its author could
/// change it without end.
pub const CALM_AFTER: Millis = 60_000;
/// Pause after a review that failed.
const RETRY_AFTER: Millis = 1_000;
/// Reviews in a second, and under way at once.
pub const REVIEWS_A_SECOND: u32 = 150;
pub const REVIEWS_AT_ONCE: usize = 16;
/// Reviews in a second of rights that are needed only now, for one VM's page.
pub const WANTED_A_SECOND: u32 = 20;
/// Reviews in a second that look for rights that no binding hints at.
pub const SWEEP_A_SECOND: u32 = 20;
