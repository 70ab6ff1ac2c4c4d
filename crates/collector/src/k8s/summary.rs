//! The kubelet's `/stats/summary`: the fields of volumes, network interfaces and pressure that are used.
//!
//! Pods and volumes stay raw slices of the answer until they are used: an odd one costs only itself, and the
//! sections of containers, most of the answer, are never copied. `taps` and `pressure` decode the sections of a launcher pod.

mod pressure;
mod taps;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use model::{Millis, pressure::Pressure};
use wukong_core::observation::NodeUsage;

use super::{lenient::nullable, time};
pub use taps::Taps;

/// The maximum number of slices per answer, 2 MB: more than any kubelet can write into the largest answer at
/// 64 bytes each.
const MOST_SLICES: usize = 1 << 17;

/// The summary. An answer without `pods` is refused, not treated as empty.
#[derive(Deserialize)]
pub struct Summary<'a> {
    #[serde(borrow, default)]
    node: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "nullable::<_, _, MOST_SLICES>")]
    pods: Vec<&'a RawValue>,
}

/// The node's own file systems, the kubelet's and the images', and what everything on the node uses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStats<'a> {
    #[serde(borrow)]
    cpu: Option<&'a RawValue>,
    #[serde(borrow)]
    memory: Option<&'a RawValue>,
    #[serde(borrow)]
    fs: Option<Capacity<'a>>,
    #[serde(borrow)]
    runtime: Option<RuntimeStats<'a>>,
}

/// CPU or memory of a node.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResourceStats<'a> {
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    usage_nano_cores: Option<&'a RawValue>,
    #[serde(borrow)]
    working_set_bytes: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RuntimeStats<'a> {
    #[serde(borrow)]
    image_fs: Option<Capacity<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Capacity<'a> {
    #[serde(borrow)]
    capacity_bytes: Option<&'a RawValue>,
}

/// A pod of a summary.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStats<'a> {
    #[serde(borrow)]
    pub pod_ref: PodRef<'a>,
    #[serde(borrow, default, deserialize_with = "nullable::<_, _, MOST_SLICES>")]
    volume: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    network: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cpu: Option<&'a RawValue>,
    #[serde(borrow, default)]
    memory: Option<&'a RawValue>,
    #[serde(borrow, default)]
    io: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct PodRef<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Option<&'a RawValue>,
}

impl PodRef<'_> {
    /// Empty if it is not given, or no text.
    pub fn uid(&self) -> String {
        self.uid.and_then(|uid| serde_json::from_str(uid.get()).ok()).unwrap_or_default()
    }
}

/// A volume of a pod, with its numbers unparsed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeUsage<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub pvc_ref: Option<ClaimRef<'a>>,
    #[serde(borrow, default)]
    used_bytes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    capacity_bytes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    available_bytes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    inodes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct ClaimRef<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
}

impl<'a> Summary<'a> {
    /// Sizes in bytes of the node's own file systems, as far as they can be read.
    pub fn node_filesystems(&self) -> Vec<u64> {
        let NodeStats { fs, runtime, .. } = self.node();
        let both = [fs, runtime.and_then(|runtime| runtime.image_fs)].into_iter().flatten();
        both.filter_map(|fs| amount(fs.capacity_bytes)).filter(|bytes| *bytes > 0).collect()
    }

    /// What everything on the node uses, as far as it can be read.
    pub fn node_usage(&self) -> NodeUsage {
        let NodeStats { cpu, memory, .. } = self.node();
        let [cpu, memory] = [cpu, memory]
            .map(|raw| serde_json::from_str::<ResourceStats<'_>>(raw?.get()).ok())
            .map(Option::unwrap_or_default);
        let at =
            |stats: &ResourceStats<'_>| stats.time.as_deref().and_then(time::rfc3339).filter(|at| *at > 0);
        NodeUsage {
            cpu: amount(cpu.usage_nano_cores).map(|used| (used, at(&cpu))),
            memory: amount(memory.working_set_bytes).map(|used| (used, at(&memory))),
        }
    }

    fn node(&self) -> NodeStats<'a> {
        self.node.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The pods that can be read.
    pub fn pods(&self) -> impl Iterator<Item = PodStats<'a>> {
        self.pods.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok())
    }
}

impl<'a> PodStats<'a> {
    /// The volumes that can be read.
    pub fn volumes(&self) -> impl Iterator<Item = VolumeUsage<'a>> {
        self.volume.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok())
    }
}

impl PodStats<'_> {
    /// The tap devices; `None` if there are none, or their sum is not known.
    pub fn taps(&self) -> Option<Taps> {
        Taps::parse(self.network?)
    }

    /// How long the pod waits for each resource, and when that was measured.
    pub fn pressure(&self) -> (Pressure, Option<Millis>) {
        pressure::parse([self.cpu, self.memory, self.io])
    }
}

impl VolumeUsage<'_> {
    /// Used bytes; `None` if unknown.
    pub fn used(&self) -> Option<u64> {
        amount(self.used_bytes)
    }

    /// Size in bytes; `None` if unknown.
    pub fn capacity(&self) -> Option<u64> {
        amount(self.capacity_bytes)
    }

    /// Available bytes; `None` if unknown.
    pub fn available(&self) -> Option<u64> {
        amount(self.available_bytes)
    }

    /// The number of inodes; `None` if unknown.
    pub fn inodes(&self) -> Option<u64> {
        amount(self.inodes)
    }
}

/// A whole number below 2^63, the most that Kubernetes counts to; `None` for anything else.
fn amount(raw: Option<&RawValue>) -> Option<u64> {
    raw?.get().parse().ok().filter(|number| *number < 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (volume, used, capacity, available, inodes) of every readable volume.
    type Row = (String, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

    fn rows(json: &str) -> Vec<Row> {
        let summary: Summary<'_> = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
        let volumes = summary.pods().flat_map(|pod| pod.volumes().collect::<Vec<_>>());
        volumes.map(|v| (v.name.to_string(), v.used(), v.capacity(), v.available(), v.inodes())).collect()
    }

    fn one(volume: &str) -> Vec<Row> {
        rows(&format!(
            r#"{{"node":{{"nodeName":"n","cpu":{{}}}},"pods":[{{"podRef":{{"name":"p","namespace":"d"}},"volume":[{volume}]}}]}}"#
        ))
    }

    #[test]
    fn the_use_of_a_node_is_read_with_its_times() {
        let usage = |node: &str| {
            let json = format!(r#"{{"node":{node},"pods":[]}}"#);
            serde_json::from_str::<Summary<'_>>(&json).unwrap().node_usage()
        };
        let both = r#"{"nodeName":"n","cpu":{"time":"2026-03-04T09:12:00Z","usageNanoCores":1500000000,"usageCoreNanoSeconds":9},
            "memory":{"time":"2026-03-04T09:12:07Z","availableBytes":1,"usageBytes":9,"workingSetBytes":7,"rssBytes":3}}"#;
        let (at, later) = (1_772_615_520_000, 1_772_615_527_000);
        assert_eq!(
            usage(both),
            NodeUsage { cpu: Some((1_500_000_000, Some(at))), memory: Some((7, Some(later))) }
        );
        let odd = r#"{"cpu":{"usageNanoCores":-1},"memory":{"time":7,"workingSetBytes":7}}"#;
        assert_eq!(usage(odd), NodeUsage::default());
        let no_time = r#"{"cpu":{"usageNanoCores":5},"memory":{"time":"yesterday","workingSetBytes":7}}"#;
        assert_eq!(usage(no_time), NodeUsage { cpu: Some((5, None)), memory: Some((7, None)) });
        for nothing in ["null", "7", "[]", "{}", r#"{"cpu":null,"memory":[]}"#] {
            assert_eq!(usage(nothing), NodeUsage::default(), "{nothing}");
        }
    }

    #[test]
    fn figures_are_whole_numbers_or_unknown() {
        for (value, want) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("9223372036854775807", Some((1 << 63) - 1)),
            ("9223372036854775808", None),
            ("-1", None),
            ("1.5", None),
            ("1e999", None),
            ("\"5\"", None),
            ("null", None),
            ("{}", None),
        ] {
            let got = one(&format!(r#"{{"name":"v","usedBytes":{value},"capacityBytes":9,"extra":[1]}}"#));
            assert_eq!(got, [("v".to_owned(), want, Some(9), None, None)], "{value}");
        }
    }

    #[test]
    fn an_odd_volume_costs_itself_alone() {
        let got = one(r#"{"name":7},"x",{"usedBytes":1},{"name":"ok","usedBytes":2}"#);
        assert_eq!(got, [("ok".to_owned(), Some(2), None, None, None)]);
    }

    #[test]
    fn an_odd_pod_costs_itself_alone() {
        let json = r#"{"pods":[1,{"podRef":"x"},{"podRef":{"name":"p","namespace":"d"},"volume":"none"},
            {"podRef":{"name":"p","namespace":"d","uid":"u"},"volume":[{"name":"ok","inodes":3}]},
            {"podRef":{"name":"q","namespace":"d"},"volume":null},{"podRef":{"name":"r","namespace":"d"}}]}"#;
        assert_eq!(rows(json), [("ok".to_owned(), None, None, None, Some(3))]);
    }

    #[test]
    fn the_node_tells_its_file_systems() {
        for (node, want) in [
            (
                r#"{"fs":{"capacityBytes":9,"usedBytes":1},"runtime":{"imageFs":{"capacityBytes":7}},"cpu":{}}"#,
                vec![9, 7],
            ),
            (r#"{"fs":{"capacityBytes":0},"runtime":null}"#, vec![]),
            (r#"{"fs":7}"#, vec![]),
            ("7", vec![]),
            ("null", vec![]),
        ] {
            let json = format!(r#"{{"node":{node},"pods":[]}}"#);
            let summary: Summary<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(summary.node_filesystems(), want, "{node}");
        }
    }

    #[test]
    fn an_answer_that_is_not_a_summary_is_refused() {
        for json in ["{}", "[]", "null", r#"{"pods":{}}"#, r#"{"pods":[}"#, r#"{"pods":[{"podRef""#, "<html>"]
        {
            assert!(serde_json::from_str::<Summary<'_>>(json).is_err(), "{json}");
        }
        assert!(rows(r#"{"pods":null}"#).is_empty());
    }
}
