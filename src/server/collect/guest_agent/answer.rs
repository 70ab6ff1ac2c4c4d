//! A guest agent's answer → facts. A guest writes it itself: what is kept of it is bounded, since there may be ten
//! thousand of them.

use std::collections::HashSet;

use crate::server::{
    k8s::{
        guest_agent::{self as wire, FilesystemList},
        lenient::Obj,
    },
    snapshot::facts::Filesystem,
};

/// Mounts that are listed. A guest that runs containers has hundreds, of few devices: those of a device that is listed
/// already are left out beyond this, which no sum misses.
const MOUNTS: usize = 32;
/// Devices that one guest may tell of.
pub const MOST_DEVICES: usize = 128;

/// Of more devices than that, one more than that.
pub fn decode(answer: &[u8]) -> Option<Vec<Filesystem>> {
    let list: FilesystemList = serde_json::from_slice(answer).ok()?;
    let (mut listed, mut devices) = (Vec::new(), HashSet::new());
    for Obj(item) in list.items {
        let new = item.disk_name.is_empty() || !devices.contains(&*item.disk_name);
        if (new || listed.len() < MOUNTS) && listed.len() <= MOST_DEVICES {
            devices.insert(item.disk_name.0.clone());
            listed.push(filesystem(item));
        }
    }
    Some(listed)
}

/// A file system that holds nothing still takes something for itself: 0 used is what an agent says that cannot tell.
fn filesystem(item: wire::Filesystem) -> Filesystem {
    let known = |bytes: Option<u64>| bytes.filter(|bytes| *bytes > 0);
    let serials = item.disk.items.into_iter().map(|disk| disk.serial.0);
    Filesystem {
        used: known(item.used_bytes.bytes()),
        total: known(item.total_bytes.bytes()),
        disk_name: item.disk_name.0,
        mount_point: item.mount_point.0,
        kind: item.file_system_type.0,
        serials: serials.filter(|serial| !serial.is_empty()).collect(),
    }
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
            },
            Filesystem {
                disk_name: "vdb".into(),
                mount_point: "/data".into(),
                kind: "xfs".into(),
                used: None,
                total: Some(1 << 30),
                serials: vec![],
            },
        ];
        assert_eq!(decode(ANSWER.as_bytes()).unwrap(), want);
    }

    #[test]
    fn what_an_agent_cannot_tell_is_unknown_and_never_nothing() {
        for (used, total, want) in [
            ("5", "9", (Some(5), Some(9))),
            ("0", "9", (None, Some(9))),
            ("0", "0", (None, None)),
            ("-1", "9", (None, Some(9))),
            ("9223372036854775808", "9223372036854775807", (None, Some((1 << 63) - 1))),
            ("1.5", "\"about 9\"", (None, None)),
            ("null", "{}", (None, None)),
        ] {
            let got = one(&format!(r#"{{"diskName": "vda", "usedBytes": {used}, "totalBytes": {total}}}"#));
            assert_eq!((got.used, got.total), want, "{used} of {total}");
        }
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
        assert_eq!(found.serials, vec!["s"; 8]);
        assert_eq!(one(&format!(r#"{{"disk": [{{"serial": "{long}"}}]}}"#)).serials, [""; 0]);
        let odd = one(r#"{"diskName": "vda", "mountPoint": "/\u001b[2J\u202e", "fileSystemType": "ext4\n"}"#);
        assert_eq!((&*odd.mount_point, &*odd.kind), ("/\u{fffd}[2J\u{fffd}", "ext4 "));
        let many = |count: usize, name: fn(usize) -> usize| {
            let items: Vec<_> = (0..count).map(|n| format!(r#"{{"diskName": "vd{}"}}"#, name(n))).collect();
            decode(format!(r#"{{"items": [{}]}}"#, items.join(",")).as_bytes()).map(|list| list.len())
        };
        assert_eq!(many(1000, |n| n % 3), Some(MOUNTS), "the others are of devices that are listed");
        assert_eq!(many(100, |n| n), Some(100));
        assert_eq!(many(1000, |n| n), Some(MOST_DEVICES + 1));
        assert_eq!(many(5000, |_| 0), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for json in ["", "{}", "[]", "null", r#"{"items": 3}"#, r#"{"items": [{"diskName":"#, "<html>"] {
            assert!(decode(json.as_bytes()).is_none(), "{json}");
        }
        assert_eq!(decode(br#"{"items": null}"#), Some(vec![]));
        assert_eq!(decode(br#"{"items": [7]}"#), Some(vec![Filesystem::default()]));
    }
}
