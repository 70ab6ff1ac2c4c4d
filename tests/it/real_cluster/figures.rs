//! Every figure that the program shows is the stub kubelets' figure.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{
    machine::{Machine, Owner, VolumeReport},
    program::Program,
    shared::{Cluster, on_the_cluster},
    wait::{check, within},
};

/// Longest time from the program's start until every figure is right. metrics-server measures every 10 s, so a figure
/// that one of its rounds got wrong on a busy machine is right after two more.
pub const FIRST_FIGURES: Duration = Duration::from_secs(30);
/// CPU is a rate between two scrapes.
const RATE: f64 = 0.03;
/// Number of views of each page: 300 almost certainly find a failure of one in a hundred.
const CROWD: usize = 300;

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn every_figure_equals_what_the_kubelets_say() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("figures").await;
        settled(&program, cluster).await;
        let vms = program.vms().await;
        assert_eq!(vms.len(), cluster.machines.len(), "one VM for each machine");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_migrating_vm_shows_its_sources_figures() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("migration").await;
        settled(&program, cluster).await;
        let vm = program.vm("prod", "mover").await.unwrap();
        assert_eq!(vm["status"], "Running");
        assert_eq!(vm["kubevirtStatus"], "Migrating");
        assert_eq!((&vm["nodeName"], &vm["migratingTo"]), (&json!("node-a"), &json!("node-b")));
        assert_eq!(vm["pod"], cluster.machine("prod", "mover").pod());
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_guest_that_is_being_stopped_runs_until_it_is_off() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("leaver").await;
        settled(&program, cluster).await;
        let vm = program.vm("prod", "leaver").await.unwrap();
        assert_eq!((&vm["status"], &vm["kubevirtStatus"]), (&json!("Running"), &json!("Stopping")));
        assert!(vm["usage"]["cpu"]["used"].is_u64() && vm["usage"]["disk"]["used"].is_u64(), "{vm}");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_vm_is_found_by_name_and_namespace() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("names").await;
        settled(&program, cluster).await;
        let ambiguous = program.get("/api/vms/web").await;
        assert_eq!(ambiguous.status, 409);
        assert!(ambiguous.text.contains("prod") && ambiguous.text.contains("staging"), "{}", ambiguous.text);
        let one = program.get("/api/vms/web?namespace=staging").await.json();
        figures(&one, cluster.machine("staging", "web")).unwrap();
        assert_eq!(program.get("/api/vms/hot").await.json()["namespace"], "prod");
        assert_eq!(program.get("/api/vms/nobody").await.status, 404);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_missing_figure_has_its_own_reason() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("reasons").await;
        settled(&program, cluster).await;
        let reason = async |name: &str, figure: &str| {
            let vm = program.vm("prod", name).await.unwrap();
            vm["usage"][figure]["missing"]["reason"].as_str().unwrap_or("known").to_owned()
        };
        assert_eq!(reason("stopped", "cpu").await, "not-running");
        assert_eq!(reason("stopped", "disk").await, "not-running");
        assert_eq!(reason("raw", "disk").await, "block-volume");
        assert_eq!(reason("unnamed", "memory").await, "no-vm-name");
        assert_eq!(program.vm("prod", "stopped").await.unwrap()["metrics"], Value::Null);
        assert_eq!(program.vm("prod", "unnamed").await.unwrap()["metrics"], Value::Null);
        assert_eq!(program.vm("prod", "raw").await.unwrap()["metrics"]["diskUsage"], 0);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn totals_are_the_sums_of_the_allocations() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("totals").await;
        settled(&program, cluster).await;
        let stats = program.get("/api/stats").await.json();
        let of = |holds: fn(&&Machine) -> bool| cluster.machines.iter().filter(holds).count();
        let memory: u64 = cluster.machines.iter().map(Machine::memory_bytes).sum();
        assert_eq!(stats["total"], cluster.machines.len());
        assert_eq!(stats["running"], of(|machine| machine.phase == "Running"));
        assert_eq!(stats["stopped"], of(|machine| machine.phase == "Stopped"));
        assert_eq!(stats["totalCpu"], cluster.machines.iter().map(|machine| machine.cores).sum::<u64>());
        assert_eq!(stats["totalMemoryBytes"], memory);
        let text = stats["totalMemory"].as_str().unwrap().strip_suffix("Gi").expect("gibibytes");
        assert_eq!(text.parse::<f64>().unwrap() * (1u64 << 30) as f64, memory as f64);
        assert_eq!(program.get("/api/vms/stats").await.json()["totalMemory"], stats["totalMemory"]);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_pages_show_the_same_figures() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("pages").await;
        settled(&program, cluster).await;
        let home = program.get("/").await;
        assert_eq!(home.status, 200);
        for machine in &cluster.machines {
            let link = format!("/vms/{}/{}", machine.namespace, machine.name);
            assert!(home.text.contains(&link), "the home page leads to {link}");
        }
        let page = program.get("/vms/prod/hot").await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("127"), "127 % of a core, not 100: {}", page.text);
        assert_eq!(program.get("/vms/prod/nobody").await.status, 404);
    });
}

/// Pages that are rendered concurrently many times: none fails, and none has the title of another.
#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn pages_that_are_rendered_side_by_side_do_not_disturb_each_other() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("crowd").await;
        settled(&program, cluster).await;
        let visitor = async |path: &str, title: &str| {
            for _ in 0..CROWD {
                let page = program.get(path).await;
                assert_eq!(page.status, 200, "GET {path}");
                let from = page.text.find("<title>").expect("a title");
                let found = page.text[from..].split("</title>").next().unwrap();
                assert!(found.contains(title), "GET {path} is headed {found:?}");
            }
        };
        tokio::join!(
            visitor("/", "VMs · tests"),
            visitor("/vms/prod/web", "web · prod"),
            visitor("/vms/staging/web", "web · staging"),
        );
    });
}

/// Waits until every figure of every machine is right, or fails with those that are not.
pub async fn settled(program: &Program, cluster: &Cluster) {
    let machines: Vec<&Machine> = cluster.machines.iter().collect();
    all_right(program, &machines, FIRST_FIGURES).await.unwrap();
}

/// Waits until these machines' figures are right.
pub async fn all_right(program: &Program, machines: &[&Machine], limit: Duration) -> Result<(), String> {
    within(limit, async || {
        let vms = program.vms().await;
        let wrong: Vec<String> = machines.iter().filter_map(|machine| of_list(&vms, machine).err()).collect();
        check(wrong.is_empty(), || wrong.join("\n"))
    })
    .await
}

fn of_list(vms: &[Value], machine: &Machine) -> Result<(), String> {
    let mine = |vm: &&Value| vm["namespace"] == machine.namespace && vm["name"] == machine.name;
    let vm = vms.iter().find(mine).ok_or_else(|| format!("{}: no such VM", machine.name))?;
    figures(vm, machine).map_err(|why| format!("{}/{}: {why}; {vm}", machine.namespace, machine.name))
}

/// Whether all of a VM's figures are the machine's.
pub fn figures(vm: &Value, machine: &Machine) -> Result<(), String> {
    let kind = if machine.owner == Owner::Wukong { "Wukong" } else { "VirtualMachine" };
    check_equal("kind", &vm["kind"], &json!(kind))?;
    check_equal("status", &vm["status"], &json!(machine.phase))?;
    check_equal("cpu", &vm["cpu"], &json!(machine.cores))?;
    check_equal("memory", &vm["memory"], &json!(machine.memory))?;
    check_equal("nodeName", &vm["nodeName"], &json!(machine.node))?;
    if !machine.runs() {
        return check_equal("metrics", &vm["metrics"], &Value::Null);
    }
    check_equal("pod", &vm["pod"], &json!(machine.pod()))?;
    cpu(vm, machine)?;
    memory(vm, machine)?;
    disk(vm, machine)
}

fn cpu(vm: &Value, machine: &Machine) -> Result<(), String> {
    let (figure, of) = (&vm["usage"]["cpu"], machine.cores * 1_000_000_000);
    let used = figure["used"].as_u64().ok_or_else(|| format!("cpu is missing: {figure}"))?;
    let error = (used as f64 - machine.nanocores as f64).abs() / machine.nanocores as f64;
    check(error < RATE, || format!("cpu: {used} of {} nanocores", machine.nanocores))?;
    check_equal("cpu.allocated", &figure["allocated"], &json!(of))?;
    check_equal("cpu.stale", &figure["stale"], &json!(false))?;
    check_equal("cpuUsage", &vm["metrics"]["cpuUsage"], &json!((machine.nanocores * 100 / of).min(100)))
}

fn memory(vm: &Value, machine: &Machine) -> Result<(), String> {
    let (figure, of) = (&vm["usage"]["memory"], machine.memory_bytes());
    check_equal("memory.used", &figure["used"], &json!(machine.bytes))?;
    check_equal("memory.allocated", &figure["allocated"], &json!(of))?;
    check_equal("memory.stale", &figure["stale"], &json!(false))?;
    check_equal("memoryUsage", &vm["metrics"]["memoryUsage"], &json!((machine.bytes * 100 / of).min(100)))
}

fn disk(vm: &Value, machine: &Machine) -> Result<(), String> {
    let known = || machine.disks.iter().filter(|disk| disk.reported != VolumeReport::Block);
    let used: u64 = known().map(|disk| disk.used).sum();
    let capacity: u64 = known().map(|disk| disk.capacity).sum();
    let figure = &vm["usage"]["disk"];
    if capacity == 0 {
        check(figure["missing"].is_object(), || format!("disk should be missing: {figure}"))?;
        return check_equal("diskUsage", &vm["metrics"]["diskUsage"], &json!(0));
    }
    check_equal("disk.used", &figure["used"], &json!(used))?;
    check_equal("disk.capacity", &figure["capacity"], &json!(capacity))?;
    let shared = known().any(|disk| disk.capacity > disk.size);
    check_equal("disk.basis", &figure["basis"], &json!(if shared { "shared-filesystem" } else { "own" }))?;
    check_equal("diskUsage", &vm["metrics"]["diskUsage"], &json!((used * 100 / capacity).min(100)))
}

fn check_equal(what: &str, found: &Value, wanted: &Value) -> Result<(), String> {
    check(found == wanted, || format!("{what} is {found}, not {wanted}"))
}
