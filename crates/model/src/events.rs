//! What happened to one VM: Kubernetes' Events about its objects, and the timeline of its page, which also has its
//! migrations and its last start. Read when somebody looks at the VM; no snapshot has it.

use serde::{Deserialize, Serialize};

use super::{Millis, figure::Missing, message::Message};

/// Events about the objects of one VM. Those that say the same of the same object are one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmEvents {
    /// The newest first, those without a time last.
    pub events: Vec<Event>,
    /// Older ones that are not in the list.
    pub left_out: u32,
    /// Why Events are not known, or not all of them.
    pub gap: Option<Box<Missing>>,
    /// When they were read; `None` if they are not known.
    pub read: Option<Millis>,
}

impl VmEvents {
    /// Returns no Events, for this reason.
    pub fn missing(missing: Missing) -> Self {
        Self { gap: Some(Box::new(missing)), ..Self::default() }
    }
}

/// One thing that was reported, perhaps several times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub warning: bool,
    /// One word, such as `FailedScheduling`.
    pub reason: Box<str>,
    pub message: Box<str>,
    /// How often it was reported, at least once.
    pub count: u32,
    /// When it was reported first and last, by the reporter's clock; `None` if the Event has no time.
    pub first: Option<Millis>,
    pub last: Option<Millis>,
    pub object: EventObject,
    /// Who reports it, such as `kubelet`.
    pub component: Box<str>,
}

/// What an Event is about: an object of the VM, in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventObject {
    /// `VirtualMachine`, `Pod`, …
    pub kind: Box<str>,
    pub name: Box<str>,
}

/// The timeline of a VM's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Why the guest was started again lately, if Events say so: a sentence for the top of the page.
    pub restart: Option<Message>,
    /// The newest first, those without a time last.
    pub entries: Vec<Entry>,
    /// What may be missing of it, why, and how to fix that.
    pub gaps: Vec<Missing>,
    /// What else to know: how long Events are kept, how many are not listed.
    pub note: Message,
    /// Whether Events are still being read.
    pub pending: bool,
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Option<Millis>,
    pub sign: Sign,
    pub title: Message,
    /// Details; empty if there are none.
    pub text: Message,
}

/// What kind of a line it is, by its icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    Normal,
    Warning,
    Migration,
    Start,
}
