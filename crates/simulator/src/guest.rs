//! A virtual machine in compact form. Every object that Kubernetes would keep for it is derived from this
//! record.

use super::{
    clock::Millis,
    hardware::{Backend, Disk, Network},
    load::{self, Load, Profile},
    rng,
};

/// A VM, and the Wukong that describes it if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    pub seed: u64,
    pub namespace: String,
    /// The name of the Wukong, and also of the VirtualMachine if no Wukong owns it.
    pub name: String,
    pub vm_name: String,
    /// Whether a Wukong owns the VirtualMachine.
    pub has_wukong: bool,
    /// Whether the operator has written `status.vmName`.
    pub tells_vm_name: bool,
    /// Whether there is a VirtualMachine; false for a VirtualMachineInstance on its own.
    pub has_machine: bool,
    /// The instance type that defines its size, in place of the VirtualMachine.
    pub instancetype: Option<String>,
    /// The page size if its memory consists of hugepages: the pod's working set then contains hardly any of
    /// it.
    pub hugepages: Option<String>,
    /// Whether a guest agent is running and connected.
    pub agent: bool,
    pub created: Millis,
    pub cpu: u32,
    /// A quantity, as a person would write it.
    pub memory: String,
    pub os_image: String,
    pub state: State,
    /// When the deletion of its instance began; the guest ignores the shutdown.
    pub stopping: Option<Millis>,
    pub paused: Option<Pause>,
    /// The number of starts. Each start gets a VirtualMachineInstance with its own uid.
    pub incarnation: u32,
    pub started: Millis,
    pub disks: Vec<Disk>,
    pub networks: Vec<Network>,
    pub launchers: Vec<Launcher>,
    pub next_serial: u32,
    pub migration: Option<Migration>,
    pub load: Load,
    /// Whether it represents a state that the scenario must always show; `life` does not change it.
    pub fixture: bool,
}

/// The lifecycle of a VM, from which the status of its objects is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its volumes; there is no launcher pod yet.
    Pending,
    /// Its launcher pod is being scheduled and started.
    Creating,
    Running,
    Stopped,
    /// Its launcher pod fits on no node.
    Error,
}

/// Who paused a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    User,
    IoError,
}

impl Pause {
    /// Reason and message of KubeVirt's `Paused` condition.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::User => ("PausedByUser", "VMI was paused by user"),
            Self::IoError => ("PausedIOError", "VMI was paused, low-level IO error detected"),
        }
    }
}

/// A launcher pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Launcher {
    pub serial: u32,
    /// The start of the VM for which it was created.
    pub incarnation: u32,
    pub node: String,
    pub phase: PodPhase,
    pub created: Millis,
    /// Whether metrics-server has the two samples that it needs.
    pub measured: bool,
    /// The pod's load if it differs from that of the guest or of an idle migration target.
    pub load: Option<Load>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

/// A live migration between two launchers, identified by their serial numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub source: u32,
    pub target: u32,
    pub started: Millis,
    pub ended: Option<Millis>,
    pub failed: bool,
}

impl Guest {
    /// Returns a stopped VM with 1 core, 1Gi of memory and one disk `root` of 10Gi.
    pub fn new(namespace: &str, name: &str) -> Self {
        let seed = rng::hash(0, &[namespace, name]);
        Self {
            seed,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            vm_name: format!("{name}-vm"),
            has_wukong: true,
            tells_vm_name: true,
            has_machine: true,
            instancetype: None,
            hugepages: None,
            agent: true,
            created: 0,
            cpu: 1,
            memory: "1Gi".to_owned(),
            os_image: "ubuntu-24.04".to_owned(),
            state: State::Stopped,
            stopping: None,
            paused: None,
            incarnation: 0,
            started: 0,
            disks: vec![Disk::new(name, "root", "10Gi")],
            networks: vec![Network::lan(seed)],
            launchers: Vec::new(),
            next_serial: 0,
            migration: None,
            load: Load::Curve { profile: Profile::Steady, seed, memory: 0.5 },
            fixture: false,
        }
    }

    pub fn cpu(mut self, cores: u32) -> Self {
        self.cpu = cores;
        self
    }

    pub fn memory(mut self, quantity: &str) -> Self {
        self.memory = quantity.to_owned();
        self
    }

    pub fn vm_name(mut self, name: &str) -> Self {
        self.vm_name = name.to_owned();
        self
    }

    pub fn disks(mut self, disks: Vec<Disk>) -> Self {
        self.disks = disks;
        self
    }

    pub fn created(mut self, at: Millis) -> Self {
        self.created = at;
        self
    }

    /// Sets an exact usage as quantities: `.uses("200m", "1Gi")`.
    pub fn uses(mut self, cpu: &str, memory: &str) -> Self {
        self.load = Load::Fixed { cpu: cpu.to_owned(), memory: memory.to_owned() };
        self
    }

    /// Makes it a VirtualMachine that no Wukong owns.
    pub fn without_wukong(mut self) -> Self {
        self.has_wukong = false;
        self.vm_name = self.name.clone();
        self
    }

    /// Makes it an instance without a VirtualMachine.
    pub fn standalone(self) -> Self {
        Self { has_machine: false, ..self.without_wukong() }
    }

    pub fn instancetype(mut self, name: &str) -> Self {
        self.instancetype = Some(name.to_owned());
        self
    }

    pub fn hugepages(mut self, page_size: &str) -> Self {
        self.hugepages = Some(page_size.to_owned());
        self
    }

    pub fn without_agent(mut self) -> Self {
        self.agent = false;
        self
    }

    /// Running on `node` since `at`.
    pub fn running_on(mut self, node: &str, at: Millis) -> Self {
        self.start(node, at);
        self
    }

    /// Its shutdown began at `since`.
    pub fn stopping(mut self, since: Millis) -> Self {
        self.stopping = Some(since);
        self
    }

    pub fn paused(mut self, pause: Pause) -> Self {
        self.paused = Some(pause);
        self
    }

    pub fn with_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Starts it: a new VMI with one launcher. Pods of earlier starts remain.
    pub fn start(&mut self, node: &str, at: Millis) {
        self.incarnation += 1;
        self.state = State::Running;
        self.started = at;
        self.migration = None;
        self.launch(node, PodPhase::Running, at);
    }

    /// Stops it: its VMI and its pods are removed.
    pub fn stop(&mut self) {
        self.state = State::Stopped;
        self.migration = None;
        (self.stopping, self.paused) = (None, None);
        self.launchers.clear();
    }

    /// Adds a launcher and returns its serial number.
    pub fn launch(&mut self, node: &str, phase: PodPhase, at: Millis) -> u32 {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.launchers.push(Launcher {
            serial,
            incarnation: self.incarnation,
            node: node.to_owned(),
            phase,
            created: at,
            measured: true,
            load: None,
        });
        serial
    }

    /// Starts a live migration. Returns false if the guest is not running or is already migrating.
    pub fn start_migration(&mut self, target_node: &str, at: Millis) -> bool {
        let Some(source) = self.holder().map(|launcher| launcher.serial) else { return false };
        if self.migrating().is_some() {
            return false;
        }
        let target = self.launch(target_node, PodPhase::Running, at);
        self.migration = Some(Migration { source, target, started: at, ended: None, failed: false });
        true
    }

    /// Ends a migration: the target then holds the guest, and the source's pod remains as `Succeeded`. A
    /// failed migration leaves the guest where it was. Returns false if there is no migration.
    pub fn finish_migration(&mut self, failed: bool, at: Millis) -> bool {
        let Some(migration) = self.migration.as_mut().filter(|migration| migration.ended.is_none()) else {
            return false;
        };
        (migration.ended, migration.failed) = (Some(at), failed);
        let (loser, phase) = match failed {
            true => (migration.target, PodPhase::Failed),
            false => (migration.source, PodPhase::Succeeded),
        };
        for launcher in self.launchers.iter_mut().filter(|launcher| launcher.serial == loser) {
            launcher.phase = phase;
        }
        true
    }

    /// The migration in progress.
    pub fn migrating(&self) -> Option<&Migration> {
        self.migration.as_ref().filter(|migration| migration.ended.is_none())
    }

    /// The launcher that holds the guest.
    pub fn holder(&self) -> Option<&Launcher> {
        let source = self.migrating().map(|migration| migration.source);
        self.current_launchers().find(|launcher| match source {
            Some(serial) => launcher.serial == serial,
            None => matches!(launcher.phase, PodPhase::Running | PodPhase::Pending),
        })
    }

    /// The launchers of the current start of the VM, including finished ones.
    pub fn current_launchers(&self) -> impl Iterator<Item = &Launcher> {
        self.launchers.iter().filter(|launcher| launcher.incarnation == self.incarnation)
    }

    pub fn launcher(&self, serial: u32) -> Option<&Launcher> {
        self.launchers.iter().find(|launcher| launcher.serial == serial)
    }

    /// Whether a VirtualMachineInstance exists.
    pub fn has_instance(&self) -> bool {
        !matches!(self.state, State::Stopped | State::Pending)
    }

    /// The allocated memory in bytes; 0 if the quantity is invalid.
    pub fn memory_bytes(&self) -> u64 {
        load::bytes(&self.memory).unwrap_or(0)
    }

    /// The load of a launcher: its own if set, the guest's if it holds the guest, and otherwise next to
    /// nothing.
    pub fn load_of<'a>(&'a self, launcher: &'a Launcher) -> &'a Load {
        let holds = self.holder().is_some_and(|holder| holder.serial == launcher.serial);
        match &launcher.load {
            Some(load) => load,
            None if holds && self.state == State::Running => &self.load,
            None => &Load::Waiting,
        }
    }

    /// The time since which the guest has been on its current node.
    pub fn settled(&self) -> Millis {
        self.migration.as_ref().and_then(|migration| migration.ended).unwrap_or(self.started)
    }
}

/// Names and uids derived from the record.
impl Guest {
    /// The uid of one of the guest's objects, named by `what`.
    pub fn uid(&self, what: &str) -> String {
        rng::uid(self.seed, &[what, &self.namespace, &self.name])
    }

    /// The uid of the current VirtualMachineInstance.
    pub fn instance_uid(&self) -> String {
        self.instance_uid_of(self.incarnation)
    }

    /// The uid of the VirtualMachineInstance of one start.
    pub fn instance_uid_of(&self, incarnation: u32) -> String {
        self.uid(&format!("instance-{incarnation}"))
    }

    /// The name of a disk's PersistentVolume and of its Longhorn volume.
    pub fn volume_name(&self, disk: &Disk) -> String {
        format!("pvc-{}", self.uid(&format!("claim-{}", disk.claim)))
    }

    /// The name of a disk's RBD image: as ceph-csi names it, or as a person would for a static volume.
    pub fn image_name(&self, disk: &Disk) -> String {
        if disk.backend == Backend::StaticRbd {
            return format!("{}-{}", self.namespace, disk.claim);
        }
        format!("csi-vol-{}", self.uid(&format!("image-{}", disk.claim)))
    }

    pub fn pod_uid(&self, serial: u32) -> String {
        self.uid(&format!("launcher-{serial}"))
    }

    /// The name of a launcher pod. Kubernetes cuts `generateName` to 58 characters before it adds five more.
    pub fn pod_name(&self, serial: u32) -> String {
        let mut name = format!("virt-launcher-{}-", self.vm_name);
        name.truncate(58);
        name + &rng::suffix(self.seed, &["pod", &self.vm_name, &serial.to_string()])
    }

    /// The name of the pod that holds a hotplugged disk on the guest's node.
    pub fn attachment_name(&self, disk: &Disk) -> String {
        format!(
            "hp-volume-{}",
            rng::suffix(self.seed, &["attachment", &disk.claim, &self.incarnation.to_string()])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_as_generate_name_does() {
        let guest = Guest::new("data", &"x".repeat(60)).running_on("n", 0);
        assert_eq!((guest.vm_name.len(), guest.pod_name(0).len()), (63, 63));
        assert!(guest.pod_name(0).starts_with(&format!("virt-launcher-{}", "x".repeat(44))));
    }

    #[test]
    fn the_source_holds_the_guest_until_the_migration_ends() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        assert!(guest.start_migration("two", 5));
        assert!(!guest.start_migration("three", 6));
        assert_eq!(guest.holder().unwrap().node, "one");
        assert_eq!(guest.load_of(&guest.launchers[1]), &Load::Waiting);
        assert!(guest.finish_migration(false, 9));
        assert_eq!(guest.holder().unwrap().node, "two");
        assert_eq!(guest.launchers[0].phase, PodPhase::Succeeded);
        assert_eq!(guest.load_of(&guest.launchers[1]), &guest.load);
    }

    #[test]
    fn a_failed_migration_leaves_the_guest_where_it_was() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        guest.start_migration("two", 5);
        guest.finish_migration(true, 9);
        assert_eq!(guest.holder().unwrap().node, "one");
        assert_eq!(guest.launchers[1].phase, PodPhase::Failed);
    }

    #[test]
    fn each_start_is_a_new_instance() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        let (first, pod) = (guest.instance_uid(), guest.pod_name(guest.launchers[0].serial));
        guest.stop();
        assert!(!guest.has_instance() && guest.holder().is_none());
        guest.start("one", 10);
        assert_ne!(guest.instance_uid(), first);
        assert_ne!(guest.pod_name(guest.launchers[0].serial), pod);
    }
}
