//! Constructors that describe a guest.

use super::{Guest, Pause, State};
use crate::{
    activity::{AbnormalActivity, Activity},
    clock::Millis,
    hardware::{Disk, Network},
    load::{Load, Profile},
    rng,
};

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
            moved: None,
            disks: vec![Disk::new(name, "root", "10Gi")],
            networks: vec![Network::lan(seed)],
            launchers: Vec::new(),
            next_serial: 0,
            migration: None,
            past_migrations: Vec::new(),
            occurrences: Vec::new(),
            probed: false,
            load: Load::Curve { profile: Profile::Steady, seed, memory: 0.5 },
            activity: None,
            abnormal_activity: None,
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

    /// Sets exactly what it does each second.
    pub fn does(mut self, activity: Activity) -> Self {
        self.activity = Some(activity);
        self
    }

    pub fn with_abnormal_activity(mut self, abnormal: AbnormalActivity) -> Self {
        self.abnormal_activity = Some(abnormal);
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

    /// Adds a network interface.
    pub fn network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Lets a liveness probe ask the guest.
    pub fn probed(mut self) -> Self {
        self.probed = true;
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
}
