//! What guests do, as Prometheus answers it.

use super::*;
use crate::virt_handler::names::{NEWEST, OLD, find, of_whole_guests};

fn scope() -> Scope {
    Scope { trusted: [String::from("kubevirt")].into(), ..Scope::default() }
}

/// A series as a scrape of KubeVirt's ServiceMonitor makes it (`honorLabels: true`).
fn series(labels: &str, values: &str) -> String {
    format!(
        r#"{{"metric":{{"container":"virt-handler","instance":"10.0.0.7:8443","job":"kubevirt-prometheus-metrics",
            "kubernetes_vmi_label_kubevirt_io_nodeName":"n1","namespace":"prod","name":"web","node":"n1",{labels}}},"values":[{values}]}}"#
    )
}

/// Two samples a minute apart.
fn counted(labels: &str, from: u64, to: u64) -> String {
    series(labels, &format!(r#"[1700000000.5,"{from}"],[1700000060.5,"{to}"]"#))
}

fn json(all: &[String]) -> Vec<u8> {
    let all = all.join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{all}]}}}}"#).into_bytes()
}

fn family(name: &str) -> &'static Family {
    find(name.as_bytes()).unwrap_or_else(|| panic!("{name}"))
}

fn merged(answers: &[(&str, Vec<String>)]) -> Part<Guests> {
    let mut all = Part::default();
    for (name, series) in answers {
        let family = family(name);
        all.merge_guests(guests(&json(series), family, &scope()).unwrap(), family);
    }
    all
}

fn one(answers: &[(&str, Vec<String>)]) -> (ScrapedGuest, GuestRates) {
    let mut all = merged(answers).found.rates();
    assert_eq!(all.len(), 1, "{all:?}");
    let guest = all.remove(0);
    let rates = GuestRates::clone(guest.rates.as_ref().unwrap());
    (guest, rates)
}

const DEFAULT: &str = r#""interface":"default""#;
const ROOT: &str = r#""drive":"root""#;
const RECEIVED: &str = "network_receive_bytes_total";

#[test]
fn the_rates_of_a_guest_come_from_the_answers_of_all_families() {
    let (guest, rates) = one(&[
        (RECEIVED, vec![counted(DEFAULT, 1_000, 61_000), counted(r#""interface":"fast""#, 0, 6)]),
        ("network_transmit_bytes_total", vec![counted(DEFAULT, 0, 120_000)]),
        ("storage_read_traffic_bytes_total", vec![counted(ROOT, 5, 600_005)]),
        ("storage_iops_read_total", vec![counted(ROOT, 0, 30)]),
        ("storage_read_times_seconds_total", vec![counted(ROOT, 0, 3)]),
        ("vcpu_delay_seconds_total", vec![counted(r#""id":"0""#, 0, 6), counted(r#""id":"1""#, 5, 11)]),
        ("memory_swap_in_traffic_bytes", vec![counted(r#""x":"""#, 0, 60)]),
        ("memory_pgmajfault_total", vec![counted(r#""x":"""#, 0, 1)]),
    ]);
    assert_eq!((guest.instance, &*guest.node), (Key::new("prod", "web"), "n1"));
    assert_eq!((guest.at, rates.window_ms, guest.trusted_time), (1_700_000_060_500, 60_000, false));
    let of = |name: &str| rates.interfaces.iter().find(|of| *of.name == *name).unwrap();
    assert_eq!(of("default").receive.bytes, Some(Rate(1_000_000)));
    assert_eq!(of("default").transmit.bytes, Some(Rate(2_000_000)));
    assert_eq!((of("fast").receive.bytes, of("fast").transmit.bytes), (Some(Rate(100)), None));
    assert_eq!(rates.network(), [Some(Rate(1_000_100)), None], "a sum without one of its parts is unknown");
    let read = rates.drives[0].read;
    assert_eq!((read.bytes, read.operations), (Some(Rate(10_000_000)), Some(Rate(500))));
    assert_eq!(read.latency, Some(100_000_000), "3 s of 30 operations");
    assert_eq!(rates.contention, Some(10_000), "12 s of two minutes");
    assert_eq!((rates.swap_in, rates.swap_out), (Some(Rate(1_000)), None));
    assert_eq!(rates.major_faults, Some(Rate(17)), "one in a minute is no zero");
}

#[test]
fn what_started_over_has_no_rate() {
    let fell = |labels: &str| series(labels, r#"[1700000000,"5000"],[1700000030,"9000"],[1700000060,"7"]"#);
    let (_, rates) = one(&[(RECEIVED, vec![fell(DEFAULT), counted(r#""interface":"fast""#, 0, 60)])]);
    assert_eq!(rates.network(), [None, None], "never a peak, and no sum without it");
    assert_eq!(rates.interfaces.len(), 2);
    let single = series(DEFAULT, r#"[1700000060,"7"]"#);
    assert_eq!(merged(&[(RECEIVED, vec![single])]).found.rates()[0].rates, None, "a rate needs two");
    let (_, rates) = one(&[(
        "vcpu_delay_seconds_total",
        vec![counted(r#""id":"0""#, 0, 6), fell(r#""id":"1""#), counted(r#""id":"2""#, 0, 6)],
    )]);
    assert_eq!(rates.contention, None, "a vCPU is not known");
}

#[test]
fn each_node_of_a_migration_has_rates_of_its_own() {
    let there = |bytes| counted(DEFAULT, 0, bytes).replace(r#""node":"n1""#, r#""node":"n2""#);
    let all = merged(&[(RECEIVED, vec![counted(DEFAULT, 0, 60), there(120)])]).found.rates();
    let mut rates: Vec<_> = all
        .iter()
        .map(|of| (&*of.node, of.rates.as_ref().unwrap().interfaces[0].receive.bytes.unwrap().0))
        .collect();
    rates.sort_unstable();
    assert_eq!(rates, [("n1", 1_000), ("n2", 2_000)]);
    let nowhere = counted(DEFAULT, 0, 60).replace(r#""node":"n1""#, r#""node":"""#);
    assert!(merged(&[(RECEIVED, vec![nowhere])]).found.by_guest.is_empty());
}

/// A scrape without `honorLabels` (kubevirt#3125).
#[test]
fn series_that_the_scrape_has_relabelled_count_if_their_exporter_is_trusted() {
    let relabelled = |exporter: &str| {
        counted(DEFAULT, 0, 60)
            .replace(
                r#""namespace":"prod""#,
                &format!(r#""namespace":"{exporter}","exported_namespace":"prod""#),
            )
            .replace(r#""node":"n1""#, r#""node":"10.0.0.7","exported_node":"n1""#)
    };
    let (guest, _) = one(&[(RECEIVED, vec![relabelled("kubevirt")])]);
    assert_eq!((guest.instance, &*guest.node, guest.trusted_time), (Key::new("prod", "web"), "n1", true));
    let of_a_tenant = merged(&[(RECEIVED, vec![relabelled("tenant")])]);
    assert!(of_a_tenant.found.by_guest.is_empty());
    assert_eq!(of_a_tenant.foreign["tenant"], 1);
}

#[test]
fn impossible_values_and_names_are_not_known() {
    for bad in ["NaN", "+Inf", "-5", "1e300", "18446744073709551615000", "x", ""] {
        let of = series(DEFAULT, &format!(r#"[1700000000,"0"],[1700000060,"{bad}"]"#));
        let of = merged(&[(RECEIVED, vec![of, counted(r#""interface":"fast""#, 0, 60)])]).found.rates();
        assert_eq!(of[0].rates.as_ref().unwrap().network()[0], None, "{bad}");
    }
    let long = "x".repeat(10 << 10);
    for labels in
        [r#""x":"""#, r#""interface":"""#, r#""interface":"a\u202eb""#, &format!(r#""interface":"{long}""#)]
    {
        assert!(
            merged(&[(RECEIVED, vec![counted(labels, 0, 60)])]).found.by_guest.is_empty(),
            "{labels:.40}"
        );
    }
    let twice = [counted(DEFAULT, 0, 60), counted(DEFAULT, 0, 600)].to_vec();
    assert_eq!(
        one(&[(RECEIVED, twice)]).1.interfaces[0].receive.bytes,
        Some(Rate(1_000)),
        "the first counts"
    );
    let vcpus = ["0", "0", "7000", "-1", "x"].map(|id| counted(&format!(r#""id":"{id}""#), 0, 6));
    assert_eq!(one(&[("vcpu_delay_seconds_total", vcpus.to_vec())]).1.contention, Some(10_000));
    assert!(guests(b"<html>", family(RECEIVED), &scope()).is_none());
}

#[test]
fn the_devices_of_guests_are_bounded_and_what_is_left_out_makes_sums_unknown() {
    let many = |count: usize| (0..count).map(|n| counted(&format!(r#""interface":"i{n}""#), 0, 60)).collect();
    let (_, rates) = one(&[(RECEIVED, many(200))]);
    assert_eq!((rates.interfaces.len(), rates.interfaces_left_out), (MOST_INTERFACES, true));
    let others = |n: usize| counted(&format!(r#""interface":"o{n}""#), 0, 60);
    let both = [(RECEIVED, many(20)), ("network_transmit_bytes_total", (0..20).map(others).collect())];
    let (_, rates) = one(&both);
    assert_eq!((rates.interfaces.len(), rates.interfaces_left_out), (MOST_INTERFACES, true));
    assert_eq!(rates.network(), [None, None]);
}

/// Of each version one family for each figure, which KubeVirt 1.0 writes in milliseconds.
#[test]
fn the_times_of_an_old_kubevirt_have_their_own_unit() {
    let answers: [(&str, Vec<String>); 2] = [
        ("storage_iops_read_total", vec![counted(ROOT, 0, 30)]),
        ("storage_read_times_ms_total", vec![counted(ROOT, 0, 3_000)]),
    ];
    assert_eq!(one(&answers).1.drives[0].read.latency, Some(100_000_000));
    let names = |version| of_whole_guests(version).map(|family| family.name).collect::<Vec<_>>();
    assert!(answers.iter().all(|(name, _)| names(OLD).contains(name)));
    assert!(!names(NEWEST).contains(&"storage_read_times_ms_total"));
}
