//! A guest agent's answer → facts. A guest writes it itself: what is kept of it is bounded, since there may be ten
//! thousand of them.

use crate::server::{
    k8s::guest_agent::{self as wire, FilesystemList},
    snapshot::facts::Filesystem,
};

const FILESYSTEMS: usize = 32;
const SERIALS: usize = 8;
/// Bytes of a name; longer ones are cut.
const LONGEST_NAME: usize = 200;
/// Bytes of a serial; a longer one is left out, since one that was cut might be another's.
const LONGEST_SERIAL: usize = 128;

pub fn decode(answer: &[u8]) -> Option<Vec<Filesystem>> {
    let list: FilesystemList = serde_json::from_slice(answer).ok()?;
    Some(list.items.into_iter().take(FILESYSTEMS).map(|item| filesystem(item.0)).collect())
}

/// A file system that holds nothing still takes something for itself: 0 used is what an agent says that cannot tell.
fn filesystem(item: wire::Filesystem) -> Filesystem {
    let known = |bytes: Option<u64>| bytes.filter(|bytes| *bytes > 0);
    let serials = item.disk.0.into_iter().map(|disk| disk.serial.0);
    let usable = |serial: &String| (1..=LONGEST_SERIAL).contains(&serial.len());
    Filesystem {
        used: known(item.used_bytes.bytes()),
        total: known(item.total_bytes.bytes()),
        disk_name: cut(item.disk_name.0),
        mount_point: cut(item.mount_point.0),
        kind: cut(item.file_system_type.0),
        serials: serials.filter(usable).take(SERIALS).collect(),
    }
}

fn cut(mut name: String) -> String {
    if name.len() > LONGEST_NAME {
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        name.shrink_to_fit();
    }
    name
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
        let (long, cut_short) = ("é".repeat(5000), "é".repeat(LONGEST_NAME / 2));
        let item = format!(
            r#"{{"diskName": "{long}", "mountPoint": "{long}", "fileSystemType": "{long}", "disk": [{}{{"serial": "{long}"}}]}}"#,
            r#"{"serial": "s"}, "#.repeat(100)
        );
        let found = one(&item);
        assert_eq!([&found.disk_name, &found.mount_point, &found.kind], [&cut_short; 3]);
        assert_eq!(found.serials, vec!["s"; SERIALS]);
        assert_eq!(one(&format!(r#"{{"disk": [{{"serial": "{long}"}}]}}"#)).serials, [""; 0]);
        let many = format!(r#"{{"items": [{}{{}}]}}"#, "{}, ".repeat(1000));
        assert_eq!(decode(many.as_bytes()).unwrap().len(), FILESYSTEMS);
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
