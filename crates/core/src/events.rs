//! Which objects the Events of a VM are about, and what is kept of the Events that are listed. `collector::events`
//! lists them when somebody looks at the VM.

use std::cmp::Reverse;

use super::{
    fix,
    observation::SourceError,
    pod_names::{cut_prefix, is_generated_from},
};
use i18n::msg;
use model::{
    Millis,
    events::{Event, VmEvents},
    figure::Missing,
    message::Message,
    name::in_command,
    reason::Reason,
    source::SourceId,
    vm::{Kind, Vm},
};

/// Events of one VM that are shown.
pub const MOST: usize = 50;
/// Events that are kept while more are read. Beyond it the oldest are dropped.
const KEPT: usize = 4 * MOST;
/// Kubernetes keeps Events for an hour unless it is told otherwise (`--event-ttl` of the API server).
const EVENT_TTL: Millis = 3_600_000;

/// The command that grants the listing of Events to the dashboard, with the smallest tier of all namespaces.
const GRANT: &str = "kubectl apply -f deploy/cluster/rbac.yaml";

/// The kinds of objects whose Events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Wukong,
    VirtualMachine,
    Instance,
    Pod,
    Migration,
}

impl ObjectKind {
    /// The kind in `involvedObject`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wukong => "Wukong",
            Self::VirtualMachine => "VirtualMachine",
            Self::Instance => "VirtualMachineInstance",
            Self::Pod => "Pod",
            Self::Migration => "VirtualMachineInstanceMigration",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Wukong => "vm.novasphere.dev",
            Self::VirtualMachine | Self::Instance | Self::Migration => "kubevirt.io",
            Self::Pod => "",
        }
    }

    /// Whether an object of this kind is meant. Many reporters leave the API version out.
    fn is(self, kind: &str, api_version: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        kind == self.name() && (api_version.is_empty() || group == self.group())
    }
}

/// Asks for the Events of one VM: of its objects, in its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsQuery {
    pub namespace: String,
    pub vm_name: String,
    pub objects: Vec<(ObjectKind, String)>,
    /// Whether the guest may have had another launcher pod that there are Events of.
    pub had_former_pod: bool,
}

/// Returns which Events are those of a VM. Of its migrations only the newest is asked about, and only as long as there
/// can be an Event of it.
pub fn query(vm: &Vm, now: Millis) -> EventsQuery {
    let summary = &vm.summary;
    let migration = vm.migrations.first().filter(|migration| {
        let last = migration.ended.unwrap_or(now).max(migration.created);
        now - last < EVENT_TTL
    });
    let all = [
        (ObjectKind::VirtualMachine, vm.vm_name.as_str()),
        (ObjectKind::Instance, vm.vm_name.as_str()),
        (ObjectKind::Wukong, if summary.kind == Kind::Wukong { summary.name.as_str() } else { "" }),
        (ObjectKind::Pod, vm.pod.as_str()),
        (ObjectKind::Migration, migration.map_or("", |migration| &*migration.name)),
    ];
    let started = vm.instance.as_deref().and_then(|instance| instance.started);
    let named = all.into_iter().filter(|(_, name)| !name.is_empty());
    EventsQuery {
        namespace: summary.namespace.clone(),
        vm_name: vm.vm_name.clone(),
        objects: named.map(|(kind, name)| (kind, name.to_owned())).collect(),
        had_former_pod: !vm.vm_name.is_empty() && started.is_none_or(|at| now - at < EVENT_TTL),
    }
}

impl EventsQuery {
    /// Returns the different names of the objects, in their order. A list of Events is of one name.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, name) in &self.objects {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Returns whether an Event is about a launcher pod that KubeVirt made for this VM before the current one. Its whole name
    /// must be one that KubeVirt generates; one that was cut could be another VM's.
    pub fn is_of_former_pod(&self, facts: &EventFacts) -> bool {
        let (object, prefix) = (&facts.event.object, cut_prefix(&self.vm_name));
        let is_here = facts.namespace.is_empty() || facts.namespace == self.namespace;
        let is_whole = prefix.ends_with(&["-", &self.vm_name, "-"].concat());
        let is_current = self.objects.iter().any(|(_, name)| *name == *object.name);
        let is_pod = ObjectKind::Pod.is(&object.kind, &facts.api_version);
        is_here && is_whole && is_pod && !is_current && is_generated_from(&object.name, &prefix)
    }

    /// Returns whether these Events are about an object of the VM: the whole name counts, since other VMs have names that
    /// begin in the same way.
    fn asks_about(&self, facts: &EventFacts) -> bool {
        let is_here = facts.namespace.is_empty() || facts.namespace == self.namespace;
        let is_of = |(kind, name): &(ObjectKind, String)| {
            *name == *facts.event.object.name && kind.is(&facts.event.object.kind, &facts.api_version)
        };
        is_here && self.objects.iter().any(is_of)
    }
}

/// An Event as it was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFacts {
    /// The namespace and the API version of the object that it is about, if it says.
    pub namespace: String,
    pub api_version: String,
    pub event: Event,
}

/// The Events of one VM while they are read. It never holds more than [`KEPT`].
#[derive(Clone, Debug)]
pub struct EventLog {
    query: EventsQuery,
    events: Vec<Event>,
    left_out: u32,
}

impl EventLog {
    pub fn new(query: EventsQuery) -> Self {
        Self { query, events: Vec::new(), left_out: 0 }
    }

    /// Adds an Event, unless it is about something else. One that says the same of the same object as another is counted
    /// with it.
    pub fn add(&mut self, facts: EventFacts) {
        if !self.query.asks_about(&facts) {
            return;
        }
        let mut new = facts.event;
        new.count = new.count.max(1);
        let same = |known: &&mut Event| {
            (known.warning, &known.reason, &known.message, &known.object)
                == (new.warning, &new.reason, &new.message, &new.object)
        };
        match self.events.iter_mut().find(same) {
            Some(known) => merge(known, new),
            None => self.events.push(new),
        }
        if self.events.len() > KEPT {
            self.cut(KEPT / 2);
        }
    }

    /// Asks for the Events of another pod of the VM, too.
    pub fn ask_for_pod(&mut self, name: &str) {
        self.query.objects.push((ObjectKind::Pod, name.to_owned()));
    }

    /// Returns the newest [`MOST`]. Why some could not be read is in `gap`.
    pub fn into_events(mut self, gap: Option<Missing>, read: Millis) -> VmEvents {
        self.cut(MOST);
        VmEvents { events: self.events, left_out: self.left_out, gap: gap.map(Box::new), read: Some(read) }
    }

    fn cut(&mut self, most: usize) {
        // Of one moment, in a fixed order: equal lists are shown alike.
        self.events.sort_by(|a, b| order(a).cmp(&order(b)));
        let dropped = self.events.len().saturating_sub(most);
        self.left_out = self.left_out.saturating_add(u32::try_from(dropped).unwrap_or(u32::MAX));
        self.events.truncate(most);
    }
}

fn order(event: &Event) -> (Reverse<Option<Millis>>, &str, &str, &str) {
    (Reverse(event.last), &event.reason, &event.object.name, &event.message)
}

fn merge(known: &mut Event, new: Event) {
    known.count = known.count.saturating_add(new.count);
    known.first = known.first.into_iter().chain(new.first).min();
    if new.last > known.last {
        (known.last, known.component) = (new.last, new.component);
    }
}

/// Why Events could not be listed, as the page and the API say it.
pub fn unread(error: &SourceError) -> Missing {
    let fix = match error.reason {
        Reason::Forbidden => {
            msg!(fix.grant, permission = msg!(events.permission), command = GRANT)
        }
        Reason::TooLarge => Message::default(),
        // The API server answers for Events as for pods.
        reason => fix::source(SourceId::Pods, reason),
    };
    fix::missing(error, fix, None)
}

/// Why a viewer does not see the Events of a namespace in which they may see VMs.
pub fn not_allowed(namespace: &str) -> Missing {
    Missing {
        detail: msg!(events.not_allowed, namespace = namespace),
        fix: msg!(events.ask_for_right, command = grant_to_viewer(namespace)),
        ..Reason::Forbidden.into()
    }
}

/// The commands that let a person list the Events of a namespace.
fn grant_to_viewer(namespace: &str) -> String {
    let namespace = in_command(namespace, "NAMESPACE");
    format!(
        "kubectl -n {namespace} create role events-view --verb=list --resource=events && \
         kubectl -n {namespace} create rolebinding events-view --role=events-view --user=USER"
    )
}

/// Why there are no Events yet.
pub fn pending() -> Missing {
    Missing { detail: msg!(events.pending), ..Reason::Starting.into() }
}

/// Why there are no Events for now.
pub fn busy() -> Missing {
    Missing { detail: msg!(events.busy), fix: msg!(fix.later), ..Reason::Busy.into() }
}
