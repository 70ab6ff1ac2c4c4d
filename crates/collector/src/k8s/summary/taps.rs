//! The tap devices of a launcher pod, which carry the traffic of its guest.
//!
//! They are added up while they are read, so that a pod with very many interfaces takes no memory. The pod's default
//! interface (`eth0`), which stands at the top, is not the guest's: with a bridge binding it is a dummy.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::amount;
use crate::k8s::time;
use model::Millis;
use wukong_core::observation::TapBytes;

/// What the names of tap devices begin with (`GenerateTapDeviceName` in pkg/network/link/names.go of KubeVirt).
const PREFIX: &str = "tap";
/// The longest name of an interface (`IFNAMSIZ` of Linux, without the end of the text).
const LONGEST_NAME: usize = 15;
/// More tap devices than a VM can have. With more, the sum is not known.
const MOST_TAPS: usize = 64;

/// All tap devices of a pod together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    pub bytes: TapBytes,
    pub at: Option<Millis>,
}

#[derive(Deserialize)]
struct NetworkStats<'a> {
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(default)]
    interfaces: Option<Sum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceStats<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    rx_bytes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tx_bytes: Option<&'a RawValue>,
}

/// The devices as far as they have been read.
#[derive(Default)]
struct Sum {
    /// Hashes of the names.
    names: Vec<u64>,
    receive: u64,
    transmit: u64,
    /// A counter is not known, or there are too many devices.
    is_unknown: bool,
}

impl Taps {
    pub(super) fn parse(network: &RawValue) -> Option<Self> {
        let NetworkStats { time, interfaces } = serde_json::from_str(network.get()).ok()?;
        let Sum { mut names, receive, transmit, is_unknown } = interfaces?;
        if is_unknown || names.is_empty() {
            return None;
        }
        names.sort_unstable();
        let bytes = TapBytes { receive, transmit, devices: hash(names) };
        let at = time.and_then(|time| serde_json::from_str::<Cow<'_, str>>(time.get()).ok());
        Some(Self { bytes, at: at.and_then(|at| time::rfc3339(&at)).filter(|at| *at > 0) })
    }
}

impl Sum {
    /// Adds an interface if it is a tap device. If a name occurs twice, the first one counts.
    fn add(&mut self, interface: &InterfaceStats<'_>) {
        let name = &*interface.name;
        if !name.starts_with(PREFIX) || name.len() > LONGEST_NAME {
            return;
        }
        let name = hash(name);
        if self.names.contains(&name) {
            return;
        }
        match (amount(interface.rx_bytes), amount(interface.tx_bytes)) {
            (Some(received), Some(transmitted)) if self.names.len() < MOST_TAPS => {
                self.names.push(name);
                // A tap receives what the guest transmits.
                self.receive = self.receive.saturating_add(transmitted);
                self.transmit = self.transmit.saturating_add(received);
            }
            _ => self.is_unknown = true,
        }
    }
}

/// A hash that is the same in every answer.
fn hash(of: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(of)
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Interfaces)
    }
}

struct Interfaces;

impl<'de> Visitor<'de> for Interfaces {
    type Value = Sum;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of interfaces")
    }

    /// An interface that cannot be read costs itself alone.
    fn visit_seq<A: SeqAccess<'de>>(self, mut interfaces: A) -> Result<Sum, A::Error> {
        let mut sum = Sum::default();
        while let Some(raw) = interfaces.next_element::<&RawValue>()? {
            if let Ok(interface) = serde_json::from_str(raw.get()) {
                sum.add(&interface);
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(network: &str) -> Option<(u64, u64, Option<Millis>)> {
        let raw: &RawValue = serde_json::from_str(network).unwrap();
        Taps::parse(raw).map(|taps| (taps.bytes.receive, taps.bytes.transmit, taps.at))
    }

    fn interfaces(all: &[String]) -> Option<(u64, u64)> {
        taps(&format!(r#"{{"interfaces":[{}]}}"#, all.join(",")))
            .map(|(receive, transmit, _)| (receive, transmit))
    }

    fn interface(name: &str, receive: &str, transmit: &str) -> String {
        format!(r#"{{"name":"{name}","rxBytes":{receive},"rxErrors":0,"txBytes":{transmit},"txErrors":0}}"#)
    }

    /// As Kubernetes writes it (`NetworkStats` in pkg/apis/stats/v1alpha1/types.go of k8s.io/kubelet).
    #[test]
    fn taps_are_added_up_and_seen_from_the_guest() {
        let network = r#"{"time":"2026-03-04T09:12:00Z","name":"eth0","rxBytes":900,"rxErrors":0,"txBytes":800,"txErrors":0,
            "interfaces":[{"name":"eth0","rxBytes":900,"rxErrors":0,"txBytes":800,"txErrors":0},
            {"name":"k6t-eth0","rxBytes":7,"txBytes":7},{"name":"tap0","rxBytes":100,"rxErrors":0,"txBytes":20,"txErrors":0},
            {"name":"tap16477688c0e","rxBytes":3,"rxErrors":0,"txBytes":4,"txErrors":0}]}"#;
        assert_eq!(taps(network), Some((24, 103, Some(1_772_615_520_000))));
    }

    #[test]
    fn without_a_tap_nothing_is_known() {
        for network in [
            "{}",
            "null",
            "7",
            r#"{"name":"eth0","rxBytes":900,"txBytes":800}"#,
            r#"{"interfaces":null}"#,
            r#"{"interfaces":[]}"#,
            r#"{"interfaces":{}}"#,
            r#"{"interfaces":[{"name":"eth0","rxBytes":900,"txBytes":800}]}"#,
        ] {
            assert_eq!(taps(network), None, "{network}");
        }
    }

    #[test]
    fn a_counter_that_is_no_amount_makes_the_sum_unknown() {
        let known = interface("tap0", "1", "2");
        for bad in ["-1", "1.5", "18446744073709551615", "9223372036854775808", "\"5\"", "null", "{}", "1e3"]
        {
            assert_eq!(interfaces(&[known.clone(), interface("tap1", bad, "1")]), None, "{bad}");
            assert_eq!(interfaces(&[interface("tap1", "1", bad), known.clone()]), None, "{bad}");
            assert_eq!(interfaces(&[known.clone(), interface("eth0", bad, "1")]), Some((2, 1)), "{bad}");
        }
        assert_eq!(interfaces(&[known, r#"{"name":"tap1"}"#.to_owned()]), None);
        let largest = interface("tap0", "9223372036854775807", "9223372036854775807");
        let twice = [largest.clone(), largest.replace("tap0", "tap1"), largest.replace("tap0", "tap2")];
        assert_eq!(interfaces(&twice), Some((u64::MAX, u64::MAX)), "no overflow");
    }

    #[test]
    fn an_odd_interface_costs_itself_alone() {
        let odd = ["7", "null", "[]", r#"{"name":7}"#, r#"{"rxBytes":1}"#].map(str::to_owned);
        let all = [&odd[..], &[interface("tap0", "1", "2")]].concat();
        assert_eq!(interfaces(&all), Some((2, 1)));
        let long = format!("tap{}", "x".repeat(10 << 10));
        assert_eq!(interfaces(&[interface(&long, "5", "5"), interface("tap0", "1", "2")]), Some((2, 1)));
    }

    #[test]
    fn a_device_that_is_there_twice_counts_once() {
        let twice = [interface("tap0", "1", "2"), interface("tap0", "100", "200")];
        assert_eq!(interfaces(&twice), Some((2, 1)));
        let other = interfaces(&[interface("tap0", "1", "2"), interface("t\\u0061p0", "100", "200")]);
        assert_eq!(other, Some((2, 1)), "however it is written");
    }

    #[test]
    fn other_devices_are_told_apart_whatever_their_order() {
        let devices = |names: &[&str]| {
            let all: Vec<_> = names.iter().map(|name| interface(name, "1", "2")).collect();
            let network = format!(r#"{{"interfaces":[{}]}}"#, all.join(","));
            let raw: &RawValue = serde_json::from_str(&network).unwrap();
            Taps::parse(raw).unwrap().bytes.devices
        };
        assert_eq!(devices(&["tap0", "tap1"]), devices(&["tap1", "tap0"]));
        assert_ne!(devices(&["tap0", "tap1"]), devices(&["tap0", "tap2"]));
        assert_ne!(devices(&["tap0"]), devices(&["tap0", "tap2"]));
    }

    /// Nothing is kept of them, and no more are compared than a VM can have.
    #[test]
    fn very_many_interfaces_take_no_memory() {
        for name in ["tap", "eth"] {
            let all: Vec<_> = (0..200_000).map(|n| interface(&format!("{name}{n}"), "1", "1")).collect();
            let network = format!(r#"{{"interfaces":[{}]}}"#, all.join(","));
            let raw: &RawValue = serde_json::from_str(&network).unwrap();
            let begun = std::time::Instant::now();
            assert_eq!(Taps::parse(raw), None, "{name}");
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
        }
    }
}
