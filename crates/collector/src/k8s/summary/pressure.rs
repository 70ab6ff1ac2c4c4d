//! The pressure of a pod: `psi` of its CPU, memory and I/O (`PSIStats` in pkg/apis/stats/v1alpha1/types.go of
//! k8s.io/kubelet, since Kubernetes 1.34).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::amount;
use crate::k8s::time;
use model::{
    Millis,
    pressure::{Pressure, Stall},
};

/// One resource of a pod.
#[derive(Deserialize)]
struct ResourceStats<'a> {
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    psi: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Psi<'a> {
    #[serde(borrow)]
    some: &'a RawValue,
    #[serde(borrow)]
    full: &'a RawValue,
}

#[derive(Deserialize)]
struct PsiData<'a> {
    #[serde(borrow, default)]
    total: Option<&'a RawValue>,
    #[serde(borrow)]
    avg60: &'a RawValue,
}

/// The averages of one resource, and whether anything has ever waited for it.
struct Waits {
    stall: Stall,
    has_waited: bool,
}

/// Reads CPU, memory and I/O, and when the first of them was measured.
///
/// If the kernel has no pressure stall information, a kubelet with cAdvisor reports zeros (`cadvisorPSIToStatsPSI` in
/// pkg/kubelet/stats/helper.go of Kubernetes 1.34). Every process has waited for a CPU for some microseconds, so
/// nothing but zeros is not known.
pub(super) fn parse(resources: [Option<&RawValue>; 3]) -> (Pressure, Option<Millis>) {
    let stats = resources.map(|raw| serde_json::from_str::<ResourceStats<'_>>(raw?.get()).ok());
    let at = stats.iter().flatten().find(|stats| stats.psi.is_some()).and_then(|stats| moment(stats.time?));
    let waits = stats.map(|stats| Waits::parse(stats?.psi?));
    if !waits.iter().flatten().any(|waits| waits.has_waited) {
        return (Pressure::default(), None);
    }
    let [cpu, memory, io] = waits.map(|waits| waits.map(|waits| waits.stall));
    (Pressure { cpu, memory, io }, at)
}

fn moment(time: &RawValue) -> Option<Millis> {
    let time: Cow<'_, str> = serde_json::from_str(time.get()).ok()?;
    time::rfc3339(&time).filter(|at| *at > 0)
}

impl Waits {
    fn parse(psi: &RawValue) -> Option<Self> {
        let Psi { some, full } = serde_json::from_str(psi.get()).ok()?;
        let [some, full] = [some, full].map(|raw| serde_json::from_str::<PsiData<'_>>(raw.get()).ok());
        let (some, full) = some.zip(full)?;
        let stall = Stall { some: percent(some.avg60)?, full: percent(full.avg60)? };
        let has_waited = [some.total, full.total].into_iter().any(|total| amount(total) != Some(0));
        Some(Self { stall, has_waited: has_waited || stall != Stall::default() })
    }
}

/// Returns thousandths of a percent; `None` if it is no part of a whole.
fn percent(raw: &RawValue) -> Option<u32> {
    let percent: f64 = serde_json::from_str(raw.get()).ok()?;
    (0.0..=100.0).contains(&percent).then(|| (percent * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(psi: &str) -> String {
        format!(r#"{{"time":"2026-03-04T09:12:00Z","usageNanoCores":1,"psi":{psi}}}"#)
    }

    fn psi(total: &str, some: &str, full: &str) -> String {
        format!(
            r#"{{"full":{{"total":{total},"avg10":99,"avg60":{full},"avg300":99}},"some":{{"total":{total},"avg10":99,"avg60":{some},"avg300":99}}}}"#
        )
    }

    fn pressure(resources: [&str; 3]) -> (Pressure, Option<Millis>) {
        parse(resources.map(|json| Some(serde_json::from_str(json).unwrap())))
    }

    #[test]
    fn the_average_of_a_minute_counts() {
        let cpu = resource(&psi("1834211", "33.25", "11.04"));
        let (memory, io) = (resource(&psi("0", "0", "0.00")), resource(&psi("7", "100", "0.1")));
        let stall = |some, full| Some(Stall { some, full });
        let want = Pressure { cpu: stall(33_250, 11_040), memory: stall(0, 0), io: stall(100_000, 100) };
        assert_eq!(pressure([&cpu, &memory, &io]), (want, Some(1_772_615_520_000)));
    }

    #[test]
    fn a_kubelet_that_reports_none_is_unknown_and_not_calm() {
        let none = r#"{"time":"2026-03-04T09:12:00Z","usageNanoCores":1}"#;
        let zeros = resource(&psi("0", "0", "0"));
        for cpu in [none, "null", "7", "{}", &zeros, &resource("null"), &resource("{}")] {
            assert_eq!(pressure([cpu, none, "null"]), (Pressure::default(), None), "{cpu}");
            assert_eq!(pressure([cpu, &zeros, &zeros]).0, Pressure::default(), "{cpu}");
        }
        assert_eq!(parse([None; 3]), (Pressure::default(), None));
    }

    #[test]
    fn an_average_that_is_no_part_of_a_whole_is_unknown() {
        let known = resource(&psi("5", "1", "1"));
        for bad in ["-1", "100.01", "1e300", "18446744073709551615", "\"33.2\"", "null", "[]", "{}", "true"] {
            for psi in [psi("5", bad, "1"), psi("5", "1", bad)] {
                let of = pressure([&resource(&psi), &known, "{}"]).0;
                assert_eq!((of.cpu, of.memory.is_some(), of.io), (None, true, None), "{bad}");
            }
        }
        let without = r#"{"some":{"total":5,"avg60":1}}"#;
        assert_eq!(pressure([&resource(without), &known, "{}"]).0.cpu, None, "half of it is missing");
    }
}
