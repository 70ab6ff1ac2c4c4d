//! The figures of virt-handlers beside the real control plane: stubs that print what KubeVirt 1.0 to 1.9 print, with counters
//! that grow at known rates.
//!
//! The templates in virt_handlers/ have the families, labels, units and texts of KubeVirt's own collectors, each of one
//! version (`pkg/monitoring/domainstats/prometheus` of v1.0.0 and v1.2.0, `pkg/monitoring/metrics/virt-handler` of v1.4.0,
//! v1.6.0 and v1.9.0).

mod figures;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::figures::{is_missing, no_spike, own_answer, usage};
use super::harness::{
    access::Access,
    control_plane::ControlPlane,
    guest::Guest,
    kubelet::Kubelet,
    kubevirt::{Kubevirt, NAMESPACE, certificate},
    machine::{Disk, GI, Machine},
    pki::Authority,
    program::{Program, Start},
    shared::{namespaces, run_alone},
    virt_handler::{AnswerMode, HandlerPod, VirtHandler},
    wait::{check, within},
};

/// The only version that does not print how long vCPUs wait.
const V1_0: &str = include_str!("virt_handlers/metrics-1.0.txt");
const V1_2: &str = include_str!("virt_handlers/metrics-1.2.txt");
const V1_4: &str = include_str!("virt_handlers/metrics-1.4.txt");
const V1_6: &str = include_str!("virt_handlers/metrics-1.6.txt");
const NEWEST: &str = include_str!("virt_handlers/metrics-newest.txt");

/// Long enough that a request which a busy machine delays by 30 ms changes no rate by 1 %.
const INTERVAL: Duration = Duration::from_secs(4);
/// Two samples, and some more on a busy machine.
const FIGURES: Duration = Duration::from_secs(40);
/// A virt-handler that hangs is given up after 15 s.
const SHOWN: Duration = Duration::from_secs(60);
const FIRST_KUBELET: u8 = 11;
const FIRST_HANDLER: u8 = 41;

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn figures_of_every_version_of_kubevirt_are_right() {
    const VERSIONS: [(&str, &str, &str); 5] = [
        ("node-old", "vm-1-0", V1_0),
        ("node-1-2", "vm-1-2", V1_2),
        ("node-1-4", "vm-1-4", V1_4),
        ("node-1-6", "vm-1-6", V1_6),
        ("node-new", "vm-newest", NEWEST),
    ];
    run_alone(async {
        let cluster = KubevirtCluster::start(8, &VERSIONS.map(|(node, vm, _)| (vm, node))).await;
        let guests: Vec<Guest> =
            (1..).zip(VERSIONS).map(|(n, (node, vm, _))| guest(vm, node, n).migrating()).collect();
        for guest in &guests {
            cluster.plane.api.create(&migration(guest)).await;
        }
        let mut handlers = Vec::new();
        for ((last, guest), (node, _, template)) in (FIRST_HANDLER..).zip(&guests).zip(VERSIONS) {
            handlers.push(cluster.handler(HandlerPod::own(node, last), template, vec![guest.clone()]).await);
        }
        let program = cluster.program("versions");
        let right = within(FIGURES, async || {
            for (guest, (.., template)) in guests.iter().zip(VERSIONS) {
                let vm = program.vm(guest.namespace, guest.name).await?;
                usage(&vm, guest, template)?;
                own_answer(&program, guest, template).await?;
            }
            Ok(())
        });
        right.await.unwrap();
        assert_eq!(program.source("virt-handler").await["state"], "healthy");
        let old = program.vm("prod", "vm-1-0").await.unwrap();
        let missing = &old["usage"]["contention"]["missing"];
        assert_eq!(missing["reason"], "not-reported");
        assert!(missing["fix"].as_str().unwrap().contains("1.1"), "since which version: {missing}");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn counters_that_start_over_make_no_spike() {
    run_alone(async {
        let vms = [("mover", "node-a"), ("reset", "node-a"), ("stayer", "node-b")];
        let cluster = KubevirtCluster::start(9, &vms).await;
        let mut mover = guest("mover", "node-a", 5);
        let (reset, stayer) = (guest("reset", "node-a", 7), guest("stayer", "node-b", 9));
        let (at_a, at_b) =
            (HandlerPod::own("node-a", FIRST_HANDLER), HandlerPod::own("node-b", FIRST_HANDLER + 1));
        let a = cluster.handler(at_a, V1_4, vec![mover.clone(), reset.clone()]).await;
        let b = cluster.handler(at_b, NEWEST, vec![stayer.clone()]).await;
        let program = cluster.program("starting-over");
        let checks =
            GuestChecks { program: &program, guests: vec![mover.clone(), reset.clone(), stayer.clone()] };
        checks.wait_until_figures_match("at first").await;

        // QEMU of one guest is another one: all its counters are small again.
        let reset = Guest { since: Instant::now(), ..reset };
        a.set(vec![mover.clone(), reset.clone()]);
        checks.wait_until_rates_restart("reset").await;
        checks.wait_until_figures_match("after a reset").await;

        // virt-handler is another pod, and the guests go on.
        a.remove(&cluster.plane).await;
        let again = HandlerPod { last: FIRST_HANDLER + 2, ..at_a };
        let a = cluster.handler(again, V1_4, vec![mover.clone(), reset.clone()]).await;
        checks.wait_for_two_requests(&a).await;
        checks.wait_until_figures_match("after a restart of virt-handler").await;

        // The target's virt-handler prints what it asks there as the source's, until the instance names it.
        mover = mover.migrating();
        let mut target = Guest { since: Instant::now(), ..mover.clone() };
        a.set(vec![mover.clone(), reset.clone()]);
        b.set(vec![stayer.clone(), target.clone()]);
        checks.wait_for_two_requests(&b).await;
        checks.wait_until_figures_match("while it migrates").await;
        target.node = "node-b";
        let path = "/apis/kubevirt.io/v1/namespaces/prod/virtualmachineinstances/mover/status";
        cluster.plane.api.patch(path, &json!({"status": {"nodeName": "node-b"}})).await;
        a.set(vec![reset.clone()]);
        b.set(vec![stayer.clone(), target]);
        checks.wait_until_rates_restart("mover").await;
        checks.wait_until_figures_match("after the migration").await;
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_hostile_virt_handler_costs_only_its_own_vms() {
    /// The VM, its node, and what its virt-handler answers.
    const HANDLERS: [(&str, &str, AnswerMode); 8] = [
        ("good", "node-good", AnswerMode::Normal),
        ("liar", "node-liar", AnswerMode::Normal),
        ("twice", "node-twice", AnswerMode::Twice),
        ("labels", "node-labels", AnswerMode::LongLabels),
        ("nan", "node-nan", AnswerMode::NotANumber),
        ("huge", "node-huge", AnswerMode::Huge),
        ("hangs", "node-hangs", AnswerMode::Hangs),
        ("stranger", "node-stranger", AnswerMode::Normal),
    ];
    const REASONS: [(&str, &str); 5] = [
        ("nan", "not-reported"),
        ("huge", "too-large"),
        ("hangs", "timed-out"),
        ("stranger", "unreachable"),
        ("pretended", "unreachable"),
    ];
    run_alone(async {
        let mut vms: Vec<_> = HANDLERS.map(|(vm, node, _)| (vm, node)).into();
        vms.push(("pretended", "node-pretended"));
        let cluster = KubevirtCluster::start(10, &vms).await;
        let guests: BTreeMap<_, _> =
            (1..).zip(&vms).map(|(n, (vm, node))| (*vm, guest(vm, node, n))).collect();
        let mut handlers = Vec::new();
        for ((vm, node, answer_mode), last) in HANDLERS.into_iter().zip(FIRST_HANDLER..) {
            let mut own = vec![guests[vm].clone()];
            if vm == "liar" {
                // About a VM of another node: as that node's, and as its own.
                own.insert(0, Guest { node: "node-good", ..lie("good") });
                own.insert(0, Guest { node: "node-liar", ..lie("good") });
            }
            let pod = HandlerPod::own(node, last);
            let handler = match vm {
                "stranger" => cluster.handler_of(pod, V1_6, own, &Authority::new()).await,
                _ => cluster.handler(pod, V1_6, own).await,
            };
            handler.set_answer_mode(answer_mode);
            handlers.push(handler);
        }
        let pretenders = cluster.pretenders().await;
        let program = cluster.program("hostile");
        let shown = within(SHOWN, async || {
            for vm in ["good", "liar", "twice", "labels"] {
                let found = program.vm("prod", vm).await?;
                no_spike(&found, &guests[vm]);
                usage(&found, &guests[vm], V1_6)?;
            }
            for (vm, reason) in REASONS {
                is_missing(&program.vm("prod", vm).await?, reason)?;
            }
            Ok(())
        });
        shown.await.unwrap();
        let stranger = program.vm("prod", "stranger").await.unwrap();
        let detail = stranger["usage"]["network"]["missing"]["detail"].to_string();
        assert!(detail.contains("certificate"), "it says why: {detail}");
        assert_eq!(handlers.last().unwrap().requests(), 0, "a stranger is told nothing");
        for pretender in pretenders {
            assert_eq!(pretender.requests(), 0, "one that only pretends is not asked");
        }
    });
}

/// A cluster with KubeVirt and VMs, each with its node.
struct KubevirtCluster {
    plane: ControlPlane,
    kubevirt: Kubevirt,
    access: Access,
    _kubelets: BTreeMap<&'static str, Kubelet>,
}

impl KubevirtCluster {
    async fn start(number: u8, vms: &[(&'static str, &'static str)]) -> Self {
        let plane = ControlPlane::start(number).await;
        plane.install_crds().await;
        let kubevirt = Kubevirt::install(&plane).await;
        let mut kubelets = BTreeMap::new();
        let mut last = FIRST_KUBELET..;
        for (_, node) in vms {
            if !kubelets.contains_key(node) {
                let last = last.next().expect("few nodes");
                kubelets.insert(*node, Kubelet::start(&plane, node, last).await);
            }
        }
        let machines: Vec<Machine> = vms.iter().map(|(vm, node)| machine(vm, node)).collect();
        namespaces(&plane, &machines).await;
        for machine in &machines {
            machine.install(&plane.api, &kubelets).await;
        }
        let access = Access::install(&plane, "handlers").await;
        Self { plane, kubevirt, access, _kubelets: kubelets }
    }

    fn program(&self, name: &str) -> Program {
        let start = Start {
            name: name.to_owned(),
            kubeconfig: Some(self.access.kubeconfig.clone()),
            disk_interval: Some(INTERVAL),
            ..Start::default()
        };
        start.run(self.plane.dir())
    }

    async fn handler(&self, pod: HandlerPod, template: &'static str, guests: Vec<Guest>) -> VirtHandler {
        VirtHandler::start(&self.plane, &self.kubevirt, pod, template, guests).await
    }

    /// The same with a certificate of another authority than KubeVirt's.
    async fn handler_of(
        &self,
        pod: HandlerPod,
        template: &'static str,
        guests: Vec<Guest>,
        authority: &Authority,
    ) -> VirtHandler {
        let pair = certificate(authority);
        VirtHandler::with_certificate(&self.plane, &self.kubevirt, pod, template, guests, &pair).await
    }

    /// Pods with the label of virt-handlers: without their owner, and in another namespace. All lie about the VM of
    /// their node.
    async fn pretenders(&self) -> Vec<VirtHandler> {
        let tenant = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant"}});
        self.plane.api.create(&tenant).await;
        let mut pretenders = Vec::new();
        let mut last = FIRST_HANDLER + 20..;
        for (vm, node) in [("good", "node-good"), ("pretended", "node-pretended")] {
            for (namespace, owned) in [(NAMESPACE, false), ("tenant", true)] {
                let pod = HandlerPod { node, last: last.next().expect("few pods"), namespace, owned };
                pretenders.push(self.handler(pod, V1_6, vec![Guest { node, ..lie(vm) }]).await);
            }
        }
        pretenders
    }
}

fn machine(vm: &'static str, node: &'static str) -> Machine {
    let disks = vec![Disk::new("root", 20 * GI, GI), Disk::new("data", 20 * GI, GI)];
    let claims = disks
        .into_iter()
        .map(|disk| Disk { claim: Box::leak(format!("{vm}-{}", disk.claim).into_boxed_str()), ..disk });
    let (disks, nanocores) = (claims.collect(), 125_000_000);
    Machine { node, cores: 2, memory: "4Gi", nanocores, bytes: GI, disks, ..Machine::new("prod", vm) }
}

fn guest(vm: &'static str, node: &'static str, seed: u64) -> Guest {
    Guest::new("prod", vm, node, seed)
}

/// A live migration under way.
fn migration(guest: &Guest) -> Value {
    json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": format!("move-{}", guest.name), "namespace": guest.namespace},
        "spec": {"vmiName": guest.name}, "status": {"phase": "Running"}})
}

/// Other figures than those of any honest guest.
fn lie(vm: &'static str) -> Guest {
    guest(vm, "", 900_000)
}

/// Checks of some guests, whose figures are read again and again: none may ever be a spike.
struct GuestChecks<'a> {
    program: &'a Program,
    guests: Vec<Guest>,
}

impl GuestChecks<'_> {
    async fn wait_until_figures_match(&self, when: &str) {
        let right = within(FIGURES, async || {
            for guest in &self.guests {
                usage(&self.vm(guest).await?, guest, V1_6)?;
            }
            Ok(())
        });
        right.await.unwrap_or_else(|why| panic!("{when}: {why}"));
    }

    /// Waits until a guest has no rates: there are none between samples of two runs.
    async fn wait_until_rates_restart(&self, name: &str) {
        let over = within(FIGURES, async || {
            let mut found = Err(format!("no guest {name}"));
            for guest in &self.guests {
                let vm = self.vm(guest).await?;
                if guest.name == name {
                    found = is_first(&vm);
                }
            }
            found
        });
        over.await.unwrap();
    }

    /// Waits until a virt-handler was asked twice from now on.
    async fn wait_for_two_requests(&self, handler: &VirtHandler) {
        let before = handler.requests();
        let asked = within(FIGURES, async || {
            for guest in &self.guests {
                self.vm(guest).await?;
            }
            check(handler.requests() >= before + 2, || "it is not asked".to_owned())
        });
        asked.await.unwrap();
    }

    async fn vm(&self, guest: &Guest) -> Result<Value, String> {
        let vm = self.program.vm(guest.namespace, guest.name).await?;
        no_spike(&vm, guest);
        Ok(vm)
    }
}

fn is_first(vm: &Value) -> Result<(), String> {
    let network = &vm["usage"]["network"];
    check(network["missing"]["reason"] == "first-sample", || format!("{}: {network}", vm["name"]))
}
