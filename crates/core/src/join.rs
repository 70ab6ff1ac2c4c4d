//! Joins the `ClusterState` to a `Snapshot`: each VM with its pod, its samples and its volumes. The writer
//! calls it at every tick.

use std::{
    num::NonZero,
    panic,
    sync::Arc,
    thread::{self, available_parallelism},
};

use super::{
    Snapshot,
    allocation::Allocation,
    fix,
    inventory::{Entry, SharedPrefixes},
    migrations::Migrations,
    observation::{Pause, SourceError},
    pods::{Launchers, Pod, PodQuery},
    readings::VmPlacement,
    reports::Reports,
    row_limit::{OmittedRows, keep_fairly},
    state::{ClusterState, FORGET_AFTER},
    status::{self, InstanceState},
    usage::{UsageQuery, VmContext},
    volumes,
};
use model::{
    Millis,
    activity::Activity,
    figure::{Missing, Sample, Unit},
    groups::Node,
    message::Message,
    pressure,
    quantity::Quantity,
    reason::Reason,
    source::{SourceId, SourceState},
    totals::Totals,
    vm::{Guest, Kind, Status, Usage, Vm, VmSummary},
};

/// Indexes over the `ClusterState`, for lookups of every VM.
struct Indexes<'a> {
    launchers: Launchers<'a>,
    shared: SharedPrefixes<'a>,
    reports: Reports<'a>,
    migrations: Migrations<'a>,
}

impl ClusterState {
    /// Joins everything that is known as of `now` on the steady clock. Times in the snapshot are those of the
    /// wall clock.
    pub fn join(&mut self, now: Millis) -> Snapshot {
        // Answers of a guest are dropped with its instance: nothing reads or replaces them.
        let Self { guests, counted_guests, launcher_stats, instances, pods, .. } = self;
        guests.retain(|instance| instances.contains_key(instance));
        launcher_stats.retain(|pod| pods.contains_key(pod));
        // Stats of a node that is not asked any more are dropped long after they expired.
        let forget_before = now.saturating_sub(FORGET_AFTER * self.limits.disk_interval);
        counted_guests.retain(|instance| instances.contains_key(instance), forget_before);
        self.kubelets.retain(|_, kubelet| kubelet.last_seen >= forget_before);
        self.skews.forget(self.wall(forget_before));
        self.own_skew = self.skews.own();
        let (vms, omitted) = self.join_all(now);
        self.omitted_rows = omitted;
        self.seq += 1;
        self.last.clone_from(&vms);
        self.collect_names(&vms, now);
        let (totals, (targets, sources)) = in_parallel(
            || Totals::of(vms.iter().map(|vm| &**vm)),
            || {
                let targets = self.targets(&vms);
                let sources = self.health(&vms, &targets);
                (targets, sources)
            },
        );
        Snapshot {
            seq: self.seq,
            at: self.wall(now),
            totals,
            ready: sources.iter().all(|source| source.state != SourceState::Starting),
            sources,
            last_seen: self.last_seen().map(|last_seen| self.wall(last_seen)),
            nodes: self.sorted_nodes(),
            targets,
            vms,
        }
    }

    fn sorted_nodes(&self) -> Arc<[Node]> {
        let mut nodes: Vec<Node> = self.nodes.values().map(|node| Node::clone(node)).collect();
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        nodes.into()
    }

    fn join_all(&self, now: Millis) -> (Vec<Arc<Vm>>, OmittedRows) {
        let ((launchers, reports), (entries, omitted, shared)) = in_parallel(
            || (Launchers::of(self), Reports::of(self)),
            || {
                let entries = sorted(self.inventory(self.cluster_time(now)));
                let shared = SharedPrefixes::of(&entries);
                let (entries, omitted) = keep_fairly(entries, self.limits.most_vms);
                (entries, omitted, shared)
            },
        );
        let indexes = Indexes { launchers, shared, reports, migrations: Migrations::of(self) };
        let cores = available_parallelism().map_or(1, NonZero::get);
        let at_once = entries.len().div_ceil(cores).max(LEAST_PER_THREAD);
        let (first, others) = entries.split_at(at_once.min(entries.len()));
        let join = |part| self.join_part(part, &indexes, now);
        let vms = thread::scope(|threads| {
            let others: Vec<_> =
                others.chunks(at_once).map(|part| threads.spawn(move || join(part))).collect();
            let mut vms = join(first);
            for part in others {
                vms.extend(part.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
            }
            vms
        });
        (vms, omitted)
    }

    /// Joins VMs in the order of the entries. A VM that did not change is shared with the last snapshot, so
    /// that two snapshots share most of their memory.
    fn join_part(&self, entries: &[Entry], indexes: &Indexes, now: Millis) -> Vec<Arc<Vm>> {
        let Some(first) = entries.first() else { return Vec::new() };
        let begin = self.last.partition_point(|last| order(last) < first.order());
        let mut last = self.last[begin..].iter().peekable();
        let join = |entry: &Entry| {
            let vm = self.join_one(entry, indexes, now);
            while last.next_if(|last| order(last) < entry.order()).is_some() {}
            last.next_if(|last| ***last == vm).cloned().unwrap_or_else(|| Arc::new(vm))
        };
        entries.iter().map(join).collect()
    }

    fn join_one(&self, entry: &Entry, indexes: &Indexes, now: Millis) -> Vm {
        let (instance, namespace) = (self.instance_state(entry), entry.namespace());
        let status = self.status(entry, instance, indexes);
        let running = status == Status::Running;
        let pod = self.pod(entry, indexes, running);
        let node = self.node(entry, pod.as_ref().ok());
        let place = VmPlacement { namespace, node, running, instance: entry.instance };
        let (specs, left_out) = volumes::specs(entry.wukong, entry.instance);
        let volumes: Vec<_> =
            specs.iter().map(|volume| self.volume(volume, &place, &indexes.reports, now)).collect();
        let Allocation { cpu, memory, memory_text, gap } = self.allocation(entry);
        let context = VmContext { namespace, name: entry.name(), running, pod, instance: entry.instance };
        let query = UsageQuery {
            unit: Unit::Nanocores,
            allocated: cpu,
            read: |usage| usage.cpu_nanocores,
            of_instance: |sample| Some((sample.cpu_nanocores?, sample.cpu_window_ms)),
        };
        let cpu_figure = self.usage(&context, &query, now);
        let query = UsageQuery {
            unit: Unit::Bytes,
            allocated: memory,
            read: |usage| usage.memory_bytes,
            of_instance: |sample| Some((sample.memory_bytes?, 0)),
        };
        let memory_figure = self.usage(&context, &query, now);
        let usage = volumes::usage(cpu_figure, memory_figure, &volumes, left_out, running);
        let summary = VmSummary {
            kind: entry.kind,
            namespace: namespace.to_owned(),
            name: entry.name().to_owned(),
            status,
            kubevirt_status: kubevirt_status(entry, instance).to_owned(),
            fault: entry.fault().filter(|_| running).map(|pause| Box::new(fault_message(pause))),
            node: node.to_owned(),
            migrating_to: migrating_to(entry, running).to_owned(),
            ip_address: ip_address(entry),
            cpu,
            memory,
            disk: disk_size(entry, &volumes),
            usage,
        };
        let activity = self.activity(entry.instance, pod.as_ref().ok(), running, now);
        let pressure = self.pressure(pod, now);
        let guest = self.guest(entry, running, now);
        // What virt-handler says of the guest's memory comes before what Prometheus has from it.
        let guest = Guest { memory: Self::counted_memory(&activity).or(guest.memory), ..guest };
        let usage = Usage { guest_memory: fresh_percent(guest.memory.as_ref()), ..summary.usage };
        let summary = VmSummary { usage, ..summary };
        let vm = describe(entry, summary, (volumes, guest), context.pod.ok());
        let migrations = indexes.migrations.find(namespace, entry.vm_name);
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

    fn status(&self, entry: &Entry, instance: InstanceState, indexes: &Indexes) -> Status {
        let (word, deleting) = entry.vm.map_or(("", false), |vm| (vm.printable_status.as_str(), vm.deleting));
        let pod_alive = || self.pod(entry, indexes, true).is_ok_and(|pod| pod.alive);
        let phase = entry.wukong.map_or("", |wukong| &wukong.phase);
        status::status(word, deleting, instance, pod_alive, phase)
    }

    /// Returns the node of the guest: from the instance, else from the pod, else from the Wukong. A tenant
    /// can write the Wukong, so its node counts only while instances cannot be listed, and only if that node
    /// may exist.
    fn node<'a>(&self, entry: &Entry<'a>, pod: Option<&Pod<'a>>) -> &'a str {
        let of_instance = entry.instance.map_or("", |instance| instance.node_name.as_str());
        let of_pod = pod.map_or("", |pod| pod.node);
        let of_wukong = entry.wukong.map_or("", |wukong| wukong.node_name.as_str());
        let absent = matches!(self.instance_state(entry), InstanceState::Absent);
        let believed = |node: &&str| !absent && self.may_be_node(node);
        [of_instance, of_pod]
            .into_iter()
            .find(|node| !node.is_empty())
            .unwrap_or_else(|| Some(of_wukong).filter(believed).unwrap_or_default())
    }

    fn pod<'a>(&self, entry: &Entry<'a>, indexes: &Indexes<'a>, running: bool) -> Result<Pod<'a>, Reason> {
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
        indexes.launchers.find(query, |prefix| indexes.shared.contains(query.namespace, prefix))
    }
}

fn fresh_percent(memory: Option<&Sample>) -> Option<u64> {
    memory.filter(|sample| !sample.stale).map(Sample::percent)
}

/// Runs both functions in parallel on two threads.
fn in_parallel<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|threads| {
        let a = threads.spawn(a);
        let b = b();
        (a.join().unwrap_or_else(|panic| panic::resume_unwind(panic)), b)
    })
}

/// VMs below which starting a thread takes longer than joining them.
const LEAST_PER_THREAD: usize = 1000;

/// Sorts by name. Most comparisons need only the first bytes of the names, which lie side by side.
fn sorted(entries: Vec<Entry>) -> Vec<Entry> {
    let mut entries: Vec<_> = entries.into_iter().map(|entry| (beginning(entry.name()), entry)).collect();
    entries.sort_unstable_by(|(a_begins, a), (b_begins, b)| {
        a_begins.cmp(b_begins).then_with(|| a.order().cmp(&b.order()))
    });
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// Returns the first 16 bytes of the name as a number that sorts as the name does.
fn beginning(name: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = name.len().min(bytes.len());
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}

fn order(vm: &Vm) -> (&str, &str, &str) {
    (&vm.summary.name, &vm.summary.namespace, &vm.uid)
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
    }
}
