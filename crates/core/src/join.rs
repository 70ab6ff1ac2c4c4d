//! Joins the `ClusterState` to a `Snapshot`: each VM with its pod, its samples and its volumes. The writer
//! calls it at every tick.

use std::mem;

use super::{
    Snapshot,
    allocation::Allocation,
    dependencies::Dependencies,
    fix,
    inventory::Entry,
    kubelet::NodeVolumes,
    last_rows::SharedPrefixes,
    observation::{Pause, SourceError},
    pod::Pod,
    pods::PodQuery,
    problems::fullest_disk,
    readings::VmPlacement,
    state::{ClusterState, FORGET_AFTER},
    status::{self, InstanceState},
    touched::Name,
    usage::{UsageQuery, VmContext},
    volumes,
};
use model::{
    Millis,
    activity::Activity,
    derived::Derived,
    figure::{Missing, Sample, Unit},
    groups::Node,
    message::Message,
    pressure,
    quantity::Quantity,
    reason::Reason,
    source::{SourceId, SourceState},
    vm::{Guest, Kind, Status, Usage, Vm, VmSummary},
};

impl ClusterState {
    /// Joins everything that is known as of `now` on the steady clock. Times in the snapshot are those of the
    /// wall clock. The cost follows what changed since the last join.
    pub fn join(&mut self, now: Millis) -> Snapshot {
        self.forget_gone(now);
        self.own_skew = self.skews.own();
        self.locate_longhorn();
        if mem::take(&mut self.nodes.changed) {
            self.sort_nodes();
        }
        let (touched, mut rows) = (mem::take(&mut self.touched), mem::take(&mut self.rows));
        rows.update(self, touched, now);
        self.rows = rows;
        self.seq += 1;
        self.collect_names(now);
        self.list_targets();
        let nodes = self.used_nodes(now);
        let sources = self.health();
        Snapshot {
            seq: self.seq,
            at: self.wall(now),
            totals: self.rows.totals(),
            ready: sources.iter().all(|source| source.state != SourceState::Starting),
            sources,
            last_seen: self.last_seen().map(|last_seen| self.wall(last_seen)),
            nodes,
            targets: self.targets.clone(),
            vms: self.rows.vms.clone(),
        }
    }

    /// Makes the next join join all VMs, as if nothing had been joined before.
    pub fn forget_rows(&mut self) {
        self.rows.forget();
    }

    /// Drops what is known of guests and nodes that are gone.
    fn forget_gone(&mut self, now: Millis) {
        // Stats of a node that is not asked any more are dropped long after they expired.
        let forget_before = now.saturating_sub(FORGET_AFTER * self.limits.disk_interval);
        // Answers of a guest are dropped with its instance: nothing reads or replaces them.
        if mem::take(&mut self.pods.shrunk) {
            let Self { launcher_stats, pods, .. } = self;
            launcher_stats.retain(|pod| pods.contains_key(pod));
        }
        if mem::take(&mut self.instances.shrunk) {
            let Self { guests, counted_guests, instances, .. } = self;
            guests.retain(|instance| instances.contains_key(instance));
            counted_guests.retain(|instance| instances.contains_key(instance));
            self.names.changed = true;
        }
        for node in self.counted_guests.forget(forget_before) {
            self.touch_node(&node);
        }
        let is_old = |kubelet: &NodeVolumes| kubelet.last_seen < forget_before;
        let old = self.kubelets.iter().filter(|(_, kubelet)| is_old(kubelet)).map(|(node, _)| node.clone());
        for node in old.collect::<Vec<_>>() {
            self.touch_node(&node);
            if let Some(kubelet) = self.kubelets.remove(&node) {
                self.reporters.remove(&node, kubelet.stats());
            }
        }
        self.skews.forget(self.wall(forget_before));
    }

    fn sort_nodes(&mut self) {
        let mut nodes: Vec<Node> = self.nodes.values().map(|node| Node::clone(node)).collect();
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.sorted_nodes = nodes.into();
    }

    /// Joins one VM. Whatever it looks up is noted in `dependencies`.
    pub(super) fn join_one(
        &self,
        entry: &Entry,
        prefixes: &SharedPrefixes,
        dependencies: &Dependencies,
    ) -> Vm {
        let (instance, namespace) = (self.instance_state(entry), entry.namespace());
        let status = self.status(entry, instance, prefixes, dependencies);
        let running = status == Status::Running;
        let pod = self.pod(entry, prefixes, running, dependencies);
        let node = self.node(entry, pod.as_ref().ok(), dependencies);
        let place = VmPlacement { namespace, node, running, instance: entry.instance };
        let (specs, left_out) = volumes::specs(entry.wukong, entry.instance);
        let volumes: Vec<_> = specs.iter().map(|volume| self.volume(volume, &place, dependencies)).collect();
        let Allocation { cpu, memory, memory_text, gap } = self.allocation(entry, dependencies);
        let context = VmContext { namespace, name: entry.name(), running, pod, instance: entry.instance };
        let query = UsageQuery {
            unit: Unit::Nanocores,
            allocated: cpu,
            read: |usage| usage.cpu_nanocores,
            of_instance: |sample| Some((sample.cpu_nanocores?, sample.cpu_window_ms)),
        };
        let cpu_figure = self.usage(&context, &query, dependencies);
        let query = UsageQuery {
            unit: Unit::Bytes,
            allocated: memory,
            read: |usage| usage.memory_bytes,
            of_instance: |sample| Some((sample.memory_bytes?, 0)),
        };
        let memory_figure = self.usage(&context, &query, dependencies);
        let usage = volumes::usage(cpu_figure, memory_figure, &volumes, left_out, running);
        let summary = VmSummary {
            kind: entry.kind,
            namespace: namespace.to_owned(),
            name: entry.name().to_owned(),
            status,
            kubevirt_status: kubevirt_status(entry, instance).to_owned(),
            fault: entry.fault().filter(|_| running).map(|pause| Box::new(fault_message(pause))),
            node: node.to_owned(),
            lost: false,
            migrating_to: migrating_to(entry, running).to_owned(),
            ip_address: ip_address(entry),
            cpu,
            memory,
            disk: disk_size(entry, &volumes),
            usage,
        };
        let activity = self.activity(entry.instance, pod.as_ref().ok(), running, dependencies);
        let pressure = self.pressure(pod, dependencies);
        let guest = self.guest(entry, running, dependencies);
        // What virt-handler says of the guest's memory comes before what Prometheus has from it.
        let guest = Guest { memory: Self::counted_memory(&activity).or(guest.memory), ..guest };
        let usage = Usage { guest_memory: fresh_percent(guest.memory.as_ref()), ..summary.usage };
        let summary = VmSummary { usage, ..summary };
        let mut vm = describe(entry, summary, (volumes, guest), context.pod.ok());
        vm.summary.usage.fullest_disk = fullest_disk(&vm);
        let migrations = self.migrations_of(namespace, entry.vm_name, dependencies);
        Vm { memory_text: memory_text.to_owned(), allocation_gap: gap, activity, pressure, migrations, ..vm }
    }

    /// Returns the state of the VM's instance. A missing instance proves nothing while instances cannot be
    /// listed, and after a refusal the last known state does not count any more.
    fn instance_state<'a>(&self, entry: &Entry<'a>) -> InstanceState<'a> {
        let status = self.source_status(SourceId::Instances, entry.namespace());
        let error = status.and_then(|status| status.error.as_ref());
        let denied = error.is_some_and(SourceError::is_denial);
        match entry.instance {
            Some(instance) if !denied || entry.kind == Kind::VirtualMachineInstance => {
                InstanceState::Present { phase: &instance.phase, deleting: instance.deleting }
            }
            None if error.is_none() && status.is_some_and(|status| status.last_success.is_some()) => {
                InstanceState::Absent
            }
            _ => InstanceState::Unreadable,
        }
    }

    fn status(
        &self,
        entry: &Entry,
        instance: InstanceState,
        prefixes: &SharedPrefixes,
        dependencies: &Dependencies,
    ) -> Status {
        let (word, deleting) = entry.vm.map_or(("", false), |vm| (vm.printable_status.as_str(), vm.deleting));
        let pod_alive = || self.pod(entry, prefixes, true, dependencies).is_ok_and(|pod| pod.alive);
        let phase = entry.wukong.map_or("", |wukong| &wukong.phase);
        status::status(word, deleting, instance, pod_alive, phase)
    }

    /// Returns the node of the guest: from the instance, else from the pod, else from the Wukong. A tenant
    /// can write the Wukong, so its node counts only while instances cannot be listed, and only if that node
    /// may exist.
    fn node<'a>(&self, entry: &Entry<'a>, pod: Option<&Pod<'a>>, dependencies: &Dependencies) -> &'a str {
        let of_instance = entry.instance.map_or("", |instance| instance.node_name.as_str());
        let of_pod = pod.map_or("", |pod| pod.node);
        let of_wukong = entry.wukong.map_or("", |wukong| wukong.node_name.as_str());
        let absent = matches!(self.instance_state(entry), InstanceState::Absent);
        let believed = |node: &&str| {
            dependencies.note(Name::Node(node));
            !absent && self.may_be_node(node)
        };
        [of_instance, of_pod]
            .into_iter()
            .find(|node| !node.is_empty())
            .unwrap_or_else(|| Some(of_wukong).filter(believed).unwrap_or_default())
    }

    fn pod<'a>(
        &'a self,
        entry: &Entry<'a>,
        prefixes: &SharedPrefixes,
        running: bool,
        dependencies: &Dependencies,
    ) -> Result<Pod<'a>, Reason> {
        if !running {
            return Err(Reason::NotRunning);
        }
        if entry.vm_name.is_empty() {
            return Err(if entry.is_shown_elsewhere() { Reason::SharedVm } else { Reason::NoVmName });
        }
        let query = PodQuery {
            namespace: entry.namespace(),
            vm_name: entry.vm_name,
            instance: entry.instance,
            node: entry.wukong.map_or("", |wukong| &wukong.node_name),
        };
        self.launcher(query, |prefix| prefixes.contains(prefix), dependencies)
    }
}

fn fresh_percent(memory: Option<&Sample>) -> Option<u64> {
    memory.filter(|sample| !sample.stale).map(Sample::percent)
}

fn migrating_to<'a>(entry: &Entry<'a>, running: bool) -> &'a str {
    entry.migration().filter(|_| running).map_or("", |migration| &migration.target_node)
}

fn kubevirt_status<'a>(entry: &Entry<'a>, instance: InstanceState) -> &'a str {
    let (word, deleting) = entry.vm.map_or(("", false), |vm| (vm.printable_status.as_str(), vm.deleting));
    let (migrating, paused) = (entry.migration().is_some(), entry.pause().is_some());
    status::kubevirt_status(word, deleting, instance, migrating, paused)
}

/// Returns KubeVirt's message about the fault, or its reason if there is no message.
fn fault_message(pause: &Pause) -> Message {
    if pause.message.is_empty() { pause.reason.as_str().into() } else { pause.message.as_str().into() }
}

fn ip_address(entry: &Entry) -> String {
    let of_instance = entry.instance.map(|instance| instance.ip_address.as_str());
    let of_wukong =
        entry.wukong.into_iter().flat_map(|wukong| &wukong.networks).map(|n| n.ip_address.as_str());
    of_instance.into_iter().chain(of_wukong).find(|ip| !ip.is_empty()).unwrap_or("").to_owned()
}

/// Returns the requested disk size in bytes: the sum of the spec's disks, else of the volumes' sizes. 0 if
/// some disks were left out, because a partial sum would look like the whole.
fn disk_size(entry: &Entry, volumes: &[model::vm::Volume]) -> u64 {
    if entry.wukong.is_some_and(|wukong| wukong.disks_left_out > 0) {
        return 0;
    }
    let disks = entry.wukong.map(|wukong| &*wukong.disks).unwrap_or_default();
    let sizes = disks.iter().filter_map(|disk| Quantity::parse(&disk.size).ok()).map(Quantity::units);
    let sum = sizes.fold(0u64, u64::saturating_add);
    if sum > 0 { sum } else { volumes.iter().filter_map(|v| v.size).fold(0, u64::saturating_add) }
}

/// Returns KubeVirt's reason why a VM does not start, or why a fault paused its guest.
fn why_not_running(entry: &Entry, summary: &VmSummary) -> Option<Box<Missing>> {
    let stuck = matches!(summary.status, Status::Error | Status::Pending);
    let missing = match &summary.fault {
        Some(message) => Missing {
            detail: Message::clone(message),
            fix: fix::paused(entry.namespace(), entry.vm_name),
            ..Missing::from(Reason::Paused)
        },
        None if stuck => Missing {
            detail: entry.vm.map(|vm| vm.failure_message.as_str()).unwrap_or_default().into(),
            fix: fix::stuck(entry.namespace(), entry.vm_name, entry.name()),
            ..Missing::from(Reason::NotRunning)
        },
        None => return None,
    };
    Some(Box::new(missing))
}

fn describe(
    entry: &Entry,
    summary: VmSummary,
    (volumes, guest): (Vec<model::vm::Volume>, Guest),
    pod: Option<Pod>,
) -> Vm {
    let wukong = entry.wukong;
    let guest_os = entry.instance.map(|instance| instance.guest_os.clone()).unwrap_or_default();
    let created = match entry {
        Entry { wukong: Some(wukong), .. } => wukong.created,
        Entry { vm: Some(vm), .. } => vm.created,
        Entry { instance: Some(instance), .. } => instance.created,
        _ => 0,
    };
    Vm {
        uid: entry.uid().to_owned(),
        failure: why_not_running(entry, &summary),
        summary,
        memory_text: String::new(),
        allocation_gap: None,
        os_image: wukong.map_or(guest_os, |wukong| wukong.os_image.clone()),
        created,
        vm_name: entry.vm_name.to_owned(),
        pod: pod.map(|pod| pod.name.to_owned()).unwrap_or_default(),
        conflict: entry.conflict(),
        networks: wukong.map(|wukong| wukong.networks.to_vec()).unwrap_or_default(),
        disks: wukong.map(|wukong| wukong.disks.to_vec()).unwrap_or_default(),
        volumes,
        guest,
        activity: Activity::default(),
        pressure: pressure::unknown(),
        instance: entry.instance.map(|instance| instance.details.clone()),
        migrations: Vec::new(),
        attention: Derived::default(),
    }
}
