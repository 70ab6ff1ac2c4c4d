//! Faults that can be injected while the cluster runs, and the requests that they apply to.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::resource::Resource;

/// The kind of a request, as faults and counters distinguish them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Discovery,
    List(Resource),
    Watch(Resource),
    Get(Resource),
    /// A list or get of PodMetrics.
    Metrics,
    /// A node's `/stats/summary`.
    Summary(String),
    /// The metrics of the virt-handler on a node.
    VirtHandler(String),
    /// The file systems that a guest agent reports (`filesystemlist`).
    Filesystems,
    /// A query to Prometheus, or a request to Ceph's dashboard. Both have sockets of their own.
    Prometheus,
    Ceph,
    /// A SelfSubjectAccessReview.
    Review,
    Other,
}

/// The requests that a fault applies to, or that are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Any,
    Discovery,
    List(Resource),
    Watch(Resource),
    Get(Resource),
    /// Lists, watches and gets of a resource.
    Objects(Resource),
    Watches,
    Metrics,
    Summaries,
    Summary(String),
    /// Requests to virt-handlers, and to that of one node.
    VirtHandlers,
    VirtHandler(String),
    /// Requests to guest agents.
    Filesystems,
    Prometheus,
    Ceph,
    /// Requests whose path starts with this.
    Path(String),
}

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Delays the answer by this much.
    Latency(Duration),
    /// Never answers, even after the fault is removed.
    Hang,
    /// Answers with a `Status` object of this code, and optionally `Retry-After` in seconds.
    Status { code: u16, retry_after: Option<u64> },
    /// Resets the connection instead of answering.
    Reset,
    /// Cuts the connection after this many bytes of the body.
    Truncate(usize),
    /// Answers 200 with text that is not JSON.
    BadJson,
    /// Answers with strings in place of numbers and numbers in place of strings.
    WrongTypes,
    /// Answers 200 with this in place of every number: `-1`, `9223372036854775808`, `NaN`.
    Numbers(&'static str),
    /// Answers 200 with `tail` appended to every text that is not a code, number or time. `%` in it stands
    /// for the field's path, such as `spec.osImage`. Names, by which objects refer to each other, are changed
    /// only if `names` is true.
    Texts { tail: &'static str, names: bool },
    /// Answers 200 with an empty body.
    Empty,
    /// Appends this many bytes of white space to the body.
    Swollen(usize),
    /// Answers 302 with a location where nothing listens.
    Redirect,
    /// Cuts open watches, and each new watch right after it was opened.
    Drop,
    /// Keeps watches open without sending a byte. A silenced watch stays silent after the fault is removed.
    Silence,
    /// Answers watches with 410: their revision is gone.
    Gone,
}

/// Identifies a fault, so that it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

/// The faults that are active now, and the signals to open watches.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Rules>,
    /// Targets whose open watches are cut now.
    cuts: broadcast::Sender<Target>,
    /// Targets whose open watches fall silent now.
    silenced: broadcast::Sender<Target>,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    list: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    target: Target,
    fault: Fault,
    /// How many more requests the fault applies to; `None` means until it is removed.
    left: Option<u32>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { rules: Mutex::default(), cuts: broadcast::channel(64).0, silenced: broadcast::channel(64).0 }
    }
}

impl Faults {
    /// Adds a fault that applies to every matching request until it is removed.
    pub fn add(&self, target: Target, fault: Fault) -> FaultId {
        self.insert(target, fault, None)
    }

    /// Adds a fault that applies to the next `times` matching requests.
    pub fn add_times(&self, target: Target, fault: Fault, times: u32) -> FaultId {
        self.insert(target, fault, Some(times))
    }

    /// Removes a fault; does nothing if it is gone already.
    pub fn remove(&self, id: FaultId) {
        self.rules.lock().list.retain(|rule| rule.id != id);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.rules.lock().list.clear();
    }

    /// Cuts the open watches once; clients can open them again.
    pub fn drop_watches(&self, target: Target) {
        // Sending fails if no watch is open, which is fine.
        let _ = self.cuts.send(target);
    }

    /// Returns the faults that apply to this request, and counts them down.
    pub(super) fn take_matching(&self, class: &Class, path: &str) -> Vec<Fault> {
        let is_watch = matches!(class, Class::Watch(_));
        let mut rules = self.rules.lock();
        let mut matching = Vec::new();
        for rule in rules.list.iter_mut().filter(|rule| is_watch || !rule.fault.is_of_watches()) {
            if rule.left != Some(0) && rule.target.matches(class, path) {
                rule.left = rule.left.map(|left| left - 1);
                matching.push(rule.fault.clone());
            }
        }
        rules.list.retain(|rule| rule.left != Some(0));
        matching
    }

    /// Whether such requests are refused with 403 now.
    pub(super) fn forbids(&self, class: &Class, path: &str) -> bool {
        let forbidden = |rule: &Rule| matches!(rule.fault, Fault::Status { code: 403, .. });
        self.rules.lock().list.iter().any(|rule| forbidden(rule) && rule.target.matches(class, path))
    }

    /// Subscribes to the targets whose open watches are cut.
    pub(super) fn cuts(&self) -> broadcast::Receiver<Target> {
        self.cuts.subscribe()
    }

    /// Subscribes to the targets whose open watches fall silent.
    pub(super) fn silenced(&self) -> broadcast::Receiver<Target> {
        self.silenced.subscribe()
    }

    fn insert(&self, target: Target, fault: Fault, left: Option<u32>) -> FaultId {
        let signal = match fault {
            Fault::Drop => Some(&self.cuts),
            Fault::Silence => Some(&self.silenced),
            _ => None,
        };
        let mut rules = self.rules.lock();
        rules.next += 1;
        let id = FaultId(rules.next);
        rules.list.push(Rule { id, target: target.clone(), fault, left });
        if let Some(signal) = signal {
            // Sending fails if no watch is open, which is fine.
            let _ = signal.send(target);
        }
        id
    }
}

impl Fault {
    /// Returns a `Status` fault without `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None }
    }

    fn is_of_watches(&self) -> bool {
        matches!(self, Self::Drop | Self::Silence | Self::Gone)
    }
}

impl Target {
    /// Whether the target includes this request.
    pub(super) fn matches(&self, class: &Class, path: &str) -> bool {
        match (self, class) {
            (Self::Any, _)
            | (Self::Discovery, Class::Discovery)
            | (Self::Metrics, Class::Metrics)
            | (Self::Summaries, Class::Summary(_))
            | (Self::VirtHandlers, Class::VirtHandler(_))
            | (Self::Filesystems, Class::Filesystems)
            | (Self::Prometheus, Class::Prometheus)
            | (Self::Ceph, Class::Ceph)
            | (Self::Watches, Class::Watch(_)) => true,
            (Self::List(want), Class::List(got))
            | (Self::Watch(want), Class::Watch(got))
            | (Self::Get(want), Class::Get(got))
            | (Self::Objects(want), Class::List(got) | Class::Watch(got) | Class::Get(got)) => want == got,
            (Self::Summary(want), Class::Summary(got))
            | (Self::VirtHandler(want), Class::VirtHandler(got)) => want == got,
            (Self::Path(start), _) => path.starts_with(start),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_applies_to_its_target_as_often_as_asked() {
        let faults = Faults::default();
        faults.add_times(Target::Metrics, Fault::status(503), 2);
        let summary = Class::Summary("n1".into());
        assert_eq!(faults.take_matching(&summary, "/").len(), 0);
        let counts = (0..4).map(|_| faults.take_matching(&Class::Metrics, "/").len());
        assert_eq!(counts.collect::<Vec<_>>(), [1, 1, 0, 0]);
    }

    #[test]
    fn watch_faults_leave_lists_alone() {
        let faults = Faults::default();
        let id = faults.add(Target::Objects(Resource::Pods), Fault::Gone);
        assert!(faults.take_matching(&Class::List(Resource::Pods), "/").is_empty());
        assert_eq!(faults.take_matching(&Class::Watch(Resource::Pods), "/"), [Fault::Gone]);
        faults.remove(id);
        assert!(faults.take_matching(&Class::Watch(Resource::Pods), "/").is_empty());
    }
}
