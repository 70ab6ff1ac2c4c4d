//! Decodes a guest agent's answer. The guest controls it, and there may be ten thousand guests: so what is
//! kept of an answer is bounded.

use std::collections::BTreeSet;

use crate::k8s::{
    guest_agent::{self as wire, DiskOfGuest, FilesystemList},
    lenient::{List, Obj, Scalar},
    text::readable,
};
use wukong_core::observation::{Devices, Filesystem};

/// The maximum number of devices per guest.
pub const MOST_DEVICES: usize = 128;
/// The maximum bytes of names, mount points and serials per guest: 256 for each device. A Kubernetes node
/// with 60 volumes has 12 kB of them.
pub const MOST_TEXT: usize = MOST_DEVICES << 8;
/// How many characters of a mount point are kept.
const MOUNT_POINT: usize = 200;

/// The file systems by device. If there are more than [`MOST_DEVICES`] devices, one more than that is
/// returned. `None` if this is no such list.
pub fn decode(answer: &[u8]) -> Option<Vec<Filesystem>> {
    let list: FilesystemList = serde_json::from_slice(answer).ok()?;
    let mut devices = Devices::new(MOST_DEVICES);
    list.items.into_iter().for_each(|Obj(item)| devices.add(mount(item)));
    let mut devices = devices.finish();
    for device in &mut devices {
        device.mount_point = readable(&device.mount_point, MOUNT_POINT);
    }
    Some(devices)
}

fn mount(item: wire::Filesystem) -> Filesystem {
    Filesystem {
        used: bytes(&item.used_bytes),
        total: bytes(&item.total_bytes),
        disk_name: item.disk_name.0,
        mount_point: item.mount_point.0,
        kind: item.file_system_type.0,
        serials: serials(item.disk),
        hidden: false,
    }
}

/// A number of bytes. A missing field is 0, since KubeVirt omits zeros.
fn bytes(scalar: &Scalar) -> Option<u64> {
    if scalar.given().is_none() { Some(0) } else { scalar.bytes() }
}

/// The serials of disks. An empty serial stands for each disk that has none, has an unreadable one, or is
/// over the bound.
fn serials(disks: List<DiskOfGuest, 64>) -> Vec<String> {
    let more = (disks.left_out > 0).then(String::new);
    let serials = disks.items.into_iter().map(|disk| disk.serial.0.trim().to_owned());
    serials.chain(more).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"apiVersion": "subresources.kubevirt.io/v1", "kind": "VirtualMachineInstanceFileSystemList", "metadata": {}, "items": [
        {"diskName": "vda1", "mountPoint": "/", "fileSystemType": "ext4", "usedBytes": 3221225472, "totalBytes": 20816896000,
            "disk": [{"serial": "ROOT-1", "busType": "virtio"}]},
        {"diskName": "vdb", "mountPoint": "/data", "fileSystemType": "xfs", "usedBytes": 0, "totalBytes": 1073741824}]}"#;

    fn one(item: &str) -> Filesystem {
        decode(format!(r#"{{"items": [{item}]}}"#).as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn file_systems_with_their_disks() {
        let want = [
            Filesystem {
                disk_name: "vda1".into(),
                mount_point: "/".into(),
                kind: "ext4".into(),
                used: Some(3 << 30),
                total: Some(20_816_896_000),
                serials: vec!["ROOT-1".into()],
                hidden: false,
            },
            Filesystem {
                disk_name: "vdb".into(),
                mount_point: "/data".into(),
                kind: "xfs".into(),
                used: Some(0),
                total: Some(1 << 30),
                serials: vec![],
                hidden: false,
            },
        ];
        assert_eq!(decode(ANSWER.as_bytes()).unwrap(), want);
    }

    #[test]
    fn a_size_that_an_agent_leaves_out_differs_from_a_size_that_is_no_number() {
        for (used, total, want) in [
            ("5", "9", (Some(5), Some(9))),
            ("0", "9", (Some(0), Some(9))),
            ("0", "0", (Some(0), Some(0))),
            ("-1", "9", (None, Some(9))),
            ("9223372036854775808", "9223372036854775807", (None, Some((1 << 63) - 1))),
            ("1.5", "\"about9\"", (None, None)),
            ("null", "{}", (Some(0), Some(0))),
        ] {
            let got = one(&format!(r#"{{"diskName": "vda", "usedBytes": {used}, "totalBytes": {total}}}"#));
            assert_eq!((got.used, got.total), want, "{used} of {total}");
        }
    }

    /// A disk that the agent does not identify, or that is over the bound, may be any disk.
    #[test]
    fn every_disk_that_a_file_system_lies_on_is_reported() {
        let serials = |disks: &str| one(&format!(r#"{{"diskName": "dm-0", "disk": [{disks}]}}"#)).serials;
        let long = format!(r#"{{"serial": "{}"}}"#, "x".repeat(10_000));
        assert_eq!(serials(r#"{"serial": "A"}, {"serial": "A   "}"#), ["A"]);
        assert_eq!(serials(r#"{"serial": "A"}, {"serial": "B"}"#), ["A", "B"]);
        assert_eq!(serials(r#"{"serial": "A"}, {"busType": "virtio"}"#), ["", "A"]);
        assert_eq!(serials(&format!(r#"{{"serial": "A"}}, {long}"#)), ["", "A"]);
        assert_eq!(serials(&vec![r#"{"serial": "A"}"#; 65].join(",")), ["", "A"]);
        assert_eq!(serials(&vec![r#"{"serial": "A"}"#; 64].join(",")), ["A"]);
        assert_eq!(serials(""), [""; 0]);
    }

    #[test]
    fn a_guest_cannot_fill_this_program_s_memory() {
        let (long, cut_short) = ("é".repeat(5000), format!("{}…", "é".repeat(199)));
        let item = format!(
            r#"{{"diskName": "{long}", "mountPoint": "{long}", "fileSystemType": "{long}", "disk": [{}{{"serial": "{long}"}}]}}"#,
            r#"{"serial": "s"}, "#.repeat(100)
        );
        let found = one(&item);
        assert_eq!([&found.mount_point, &found.kind], [&cut_short; 2]);
        assert_eq!(found.disk_name, "", "cut, it could be another's");
        assert_eq!(found.serials, ["", "s"]);
        let odd = one(r#"{"diskName": "vda", "mountPoint": "/\u001b[2J\u202e", "fileSystemType": "ext4\n"}"#);
        assert_eq!((&*odd.mount_point, &*odd.kind), ("/\u{fffd}[2J\u{fffd}", "ext4 "));
        let many = |count: usize, name: fn(usize) -> usize| {
            let item = |n| format!(r#"{{"diskName": "vd{0}", "disk": [{{"serial": "s{n}"}}]}}"#, name(n));
            let items: Vec<_> = (0..count).map(item).collect();
            decode(format!(r#"{{"items": [{}]}}"#, items.join(",")).as_bytes())
        };
        let lengths = many(1000, |n| n % 3).unwrap().iter().map(|fs| fs.serials.len()).collect::<Vec<_>>();
        assert_eq!(lengths, [64; 3], "each device once, however often it is mounted");
        let length = |count, name| many(count, name).map(|list| list.len());
        assert_eq!(length(100, |n| n), Some(100));
        assert_eq!(length(1000, |n| n), Some(MOST_DEVICES + 1));
        assert_eq!(length(5000, |_| 0), None);
    }

    #[test]
    fn an_answer_that_is_not_a_list_is_refused() {
        for json in ["", "{}", "[]", "null", r#"{"items": 3}"#, r#"{"items": [{"diskName":"#, "<html>"] {
            assert!(decode(json.as_bytes()).is_none(), "{json}");
        }
        assert_eq!(decode(br#"{"items": null}"#), Some(vec![]));
        let odd = Filesystem { used: Some(0), total: Some(0), ..Filesystem::default() };
        assert_eq!(decode(br#"{"items": [7]}"#), Some(vec![odd]));
    }
}
