//! Writes what KubeVirt has learnt from a running guest: its operating system and its interfaces.

use super::{
    guest::is_up,
    template::{Quoted, join, put},
};
use crate::{
    guest::Guest,
    hardware::Network,
    load::{Load, Profile},
};

/// What a guest agent says of an operating system.
struct System {
    id: &'static str,
    name: &'static str,
    pretty: &'static str,
    version: &'static str,
    version_id: &'static str,
    kernel_release: &'static str,
    kernel_version: &'static str,
}

/// The systems of the images, by the image's name.
const SYSTEMS: [(&str, System); 6] = [
    (
        "ubuntu-24.04",
        System {
            id: "ubuntu",
            name: "Ubuntu",
            pretty: "Ubuntu 24.04.3 LTS",
            version: "24.04.3 LTS (Noble Numbat)",
            version_id: "24.04",
            kernel_release: "6.8.0-79-generic",
            kernel_version: "#79-Ubuntu SMP PREEMPT_DYNAMIC Tue Aug 12 14:42:46 UTC 2025",
        },
    ),
    (
        "debian-13",
        System {
            id: "debian",
            name: "Debian GNU/Linux",
            pretty: "Debian GNU/Linux 13 (trixie)",
            version: "13 (trixie)",
            version_id: "13",
            kernel_release: "6.12.43+deb13-amd64",
            kernel_version: "#1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1 (2025-08-27)",
        },
    ),
    (
        "rhel-9.6",
        System {
            id: "rhel",
            name: "Red Hat Enterprise Linux",
            pretty: "Red Hat Enterprise Linux 9.6 (Plow)",
            version: "9.6 (Plow)",
            version_id: "9.6",
            kernel_release: "5.14.0-570.39.1.el9_6.x86_64",
            kernel_version: "#1 SMP PREEMPT_DYNAMIC Sat Aug 23 04:30:05 EDT 2025",
        },
    ),
    (
        "rocky-10",
        System {
            id: "rocky",
            name: "Rocky Linux",
            pretty: "Rocky Linux 10.0 (Red Quartz)",
            version: "10.0 (Red Quartz)",
            version_id: "10.0",
            kernel_release: "6.12.0-55.32.1.el10_0.x86_64",
            kernel_version: "#1 SMP PREEMPT_DYNAMIC Fri Sep 12 09:05:37 UTC 2025",
        },
    ),
    (
        "alpine-3.22",
        System {
            id: "alpine",
            name: "Alpine Linux",
            pretty: "Alpine Linux v3.22",
            version: "",
            version_id: "3.22.1",
            kernel_release: "6.12.46-0-virt",
            kernel_version: "#1-Alpine SMP PREEMPT_DYNAMIC 2025-09-11 10:22:51",
        },
    ),
    (
        "windows-2022",
        System {
            id: "mswindows",
            name: "Microsoft Windows",
            pretty: "Windows Server 2022 Standard",
            version: "Microsoft Windows Server 2022",
            version_id: "2022",
            kernel_release: "20348",
            kernel_version: "10.0",
        },
    ),
];

/// Writes `guestOSInfo`: an empty object without a guest agent.
pub fn guest_os(out: &mut String, guest: &Guest) {
    let known =
        SYSTEMS.iter().find(|(image, _)| *image == guest.os_image).filter(|_| is_up(guest) && guest.agent);
    let Some((_, system)) = known else { return out.push_str("{}") };
    put!(
        out,
        r#"{{"id":{},"kernelRelease":{},"kernelVersion":{},"machine":"x86_64","name":{},"prettyName":{},"versionId":{}"#,
        Quoted(system.id),
        Quoted(system.kernel_release),
        Quoted(system.kernel_version),
        Quoted(system.name),
        Quoted(system.pretty),
        Quoted(system.version_id)
    );
    // The API server leaves out what is empty.
    if !system.version.is_empty() {
        put!(out, r#","version":{}"#, Quoted(system.version));
    }
    out.push('}');
}

/// Writes the interfaces: those of the spec, and those that only the guest agent knows.
pub fn interfaces(out: &mut String, guest: &Guest) {
    if !is_up(guest) {
        return;
    }
    join(out, &guest.networks, |out, network| interface(out, guest, network));
    if guest.agent && runs_containers(guest) {
        out.push_str(
            r#",{"infoSource":"guest-agent","interfaceName":"docker0","ipAddress":"172.17.0.1","ipAddresses":["172.17.0.1"],"mac":"02:42:5b:0f:31:8e"}"#,
        );
    }
}

fn interface(out: &mut String, guest: &Guest, network: &Network) {
    let agent = if guest.agent { ", guest-agent" } else { "" };
    let multus = if network.is_sriov() { ", multus-status" } else { "" };
    put!(out, r#"{{"infoSource":"domain{agent}{multus}","#);
    if guest.agent {
        put!(out, r#""interfaceName":{},"#, Quoted(&network.interface));
    }
    // Of an interface that the host does not see, only the guest agent knows addresses.
    if guest.agent || !network.is_sriov() {
        addresses(out, guest, network);
    }
    if !network.is_sriov() {
        put!(out, r#""linkState":"up","queueCount":{},"#, guest.cpu);
    }
    put!(
        out,
        r#""mac":{},"name":{},"podInterfaceName":"{}"}}"#,
        Quoted(&network.mac_address),
        Quoted(&network.name),
        network.pod_interface()
    );
}

/// Writes the addresses. Without an agent only the one of the pod is known.
fn addresses(out: &mut String, guest: &Guest, network: &Network) {
    let all = network.addresses();
    let known = if guest.agent { &all[..] } else { &all[..1] };
    put!(out, r#""ipAddress":{},"ipAddresses":["#, Quoted(&all[0]));
    join(out, known, |out, address| put!(out, "{}", Quoted(address)));
    out.push_str("],");
}

/// Whether it builds software, and so runs Docker.
fn runs_containers(guest: &Guest) -> bool {
    matches!(guest.load, Load::Curve { profile: Profile::Runner, .. })
}
