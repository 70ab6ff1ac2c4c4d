//! What answers are decoded into, and what of them is left out.

use super::{
    part::{REMARK, REMARKS},
    *,
};

/// All namespaces; exporters in the namespace `kubevirt` are trusted.
fn scope(ours: Option<&[String]>) -> Scope {
    Scope { namespaces: ours.map(Into::into), trusted: [String::from("kubevirt")].into(), names: None }
}

/// Decodes the series as if each metric were queried by its own name.
fn families<const N: usize>(all: &[String], metrics: [&str; N], ours: Option<&[String]>) -> Part<Scrapes<N>> {
    let label = if N == 4 { NameLabel::Claim } else { NameLabel::Instance };
    let of_metric = |(n, metric): (usize, &str)| {
        let named = format!(r#""__name__":"{metric}""#);
        let of: Vec<String> = all.iter().filter(|series| series.contains(&named)).cloned().collect();
        scrapes(&json(&of), n, &scope(ours), label).unwrap()
    };
    merged(metrics.into_iter().enumerate().map(of_metric))
}

fn merged<const N: usize>(parts: impl Iterator<Item = Part<Scrapes<N>>>) -> Part<Scrapes<N>> {
    let mut all = Part::default();
    parts.for_each(|part| all.merge_scrapes(part));
    all
}

fn json(series: &[String]) -> Vec<u8> {
    let series = series.join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}},"warnings":["one store is away"]}}"#)
        .into_bytes()
}

/// `labels` are those that only some series have.
fn series(metric: &str, labels: &str, samples: &str) -> String {
    format!(r#"{{"metric":{{"__name__":"{metric}","namespace":"prod",{labels}}},"values":[{samples}]}}"#)
}

fn of_claim(series: &[String]) -> VolumeStats {
    let mut found = volumes(families(series, VOLUMES, None)).found;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn of_claims(answer: &[u8]) -> Option<Part<Scrapes<4>>> {
    scrapes(answer, 0, &scope(None), NameLabel::Claim)
}

const ON_N1: &str = r#""persistentvolumeclaim":"root","instance":"10.0.0.1:10250","node":"n1""#;
const ON_N2: &str = r#""persistentvolumeclaim":"root","instance":"10.0.0.2:10250","node":"n2""#;

#[test]
fn of_two_kubelets_the_newer_counts_as_a_whole() {
    let stats = of_claim(&[
        series(VOLUMES[0], ON_N1, r#"[10,"1"],[60,"500"]"#),
        series(VOLUMES[1], ON_N1, r#"[60,"1000"]"#),
        series(VOLUMES[3], ON_N1, r#"[60,"7"]"#),
        series(VOLUMES[1], ON_N2, r#"[120,"2000"]"#),
        series(VOLUMES[0], ON_N2, r#"[90,"3"],[120,"400"]"#),
    ]);
    assert_eq!((stats.used, stats.capacity, stats.inodes), (Some(400), Some(2000), None));
    assert_eq!(stats.at, Some(120_000));
}

#[test]
fn zeros_of_a_block_volume_are_kept() {
    let zero = |metric| series(metric, ON_N1, r#"[60,"0"]"#);
    let stats = of_claim(&[
        zero(VOLUMES[0]),
        series(VOLUMES[1], ON_N1, r#"[60,"1073741824"]"#),
        zero(VOLUMES[2]),
        zero(VOLUMES[3]),
    ]);
    let amounts = [stats.used, stats.capacity, stats.available, stats.inodes];
    assert_eq!(amounts, [Some(0), Some(1 << 30), Some(0), Some(0)]);
}

#[test]
fn invalid_amounts_are_unknown() {
    for value in ["NaN", "+Inf", "-1", "9223372036854775808", "1e300"] {
        let stats = of_claim(&[
            series(VOLUMES[0], ON_N1, &format!(r#"[30,"5"],[60,"{value}"]"#)),
            series(VOLUMES[1], ON_N1, r#"[60,"9"]"#),
        ]);
        assert_eq!((stats.used, stats.capacity, stats.at), (None, Some(9), Some(60_000)), "{value}");
    }
}

/// The nanocores and the window of `prod/web`.
fn rate(all: &[String]) -> (Option<u64>, u32) {
    let found = cpu(&json(all), &scope(None)).unwrap().found;
    let rate = found[&Key::new("prod", "web")];
    (rate.nanos, rate.window_ms)
}

#[test]
fn cpu_comes_from_the_newer_host_and_is_rounded_up() {
    let on = |node: &str, samples| series("c", &format!(r#""name":"web","node":"{node}""#), samples);
    let old = on("n1", r#"[30,"1"],[40,"9"]"#);
    assert_eq!(rate(&[on("n2", r#"[40,"1"],[50,"3"]"#), old.clone()]), (Some(200_000_000), 10_000));
    assert_eq!(rate(&[old.clone(), on("n2", r#"[0,"0"],[60,"0.00000001"]"#)]), (Some(1), 60_000));
    assert_eq!(rate(&[old, on("n2", r#"[50,"3"]"#)]), (None, 0), "too new to tell");
    assert_eq!(rate(&[on("n1", r#"[1,"0"],[2,"1e12"]"#)]), (None, 1000));
}

#[test]
fn other_namespaces_and_nameless_series_are_left_out() {
    let all = [
        series(VOLUMES[0], ON_N1, r#"[60,"1"]"#),
        series(VOLUMES[0], r#""persistentvolumeclaim":"""#, r#"[60,"1"]"#),
        series("kubelet_volume_stats_inodes_used", ON_N1, r#"[60,"1"]"#),
        series(VOLUMES[0], r#""persistentvolumeclaim":"y","exported_namespace":"dev""#, r#"[60,"1"]"#),
        series(VOLUMES[0], r#""persistentvolumeclaim":"x","exported_namespace":"dev""#, r#"[60,"1"]"#)
            .replace(r#""namespace":"prod""#, r#""namespace":"kubevirt""#),
    ];
    let claims = |ours: Option<&[String]>| {
        let part = volumes(families(&all, VOLUMES, ours));
        assert_eq!(part.foreign, Foreign::from([("prod".into(), 1)]), "prod speaks of dev");
        let mut found: Vec<_> = part.found.into_iter().map(|v| v.of).collect();
        found.sort_by_key(|of| format!("{of:?}"));
        found
    };
    let claim = |namespace, name| VolumeRef::Claim(Key::new(namespace, name));
    assert_eq!(claims(None), [claim("dev", "x"), claim("prod", "root")]);
    assert_eq!(claims(Some(&["dev".into()])), [claim("dev", "x")]);
}

#[test]
fn memory_and_cpu_of_an_instance_are_combined() {
    let on = r#""name":"web","node":"n1""#;
    let all = [
        series(MEMORY[0], on, r#"[60,"300"]"#),
        series(MEMORY[1], on, r#"[60,"1000"]"#),
        series(MEMORY[2], on, r#"[60,"600"]"#),
    ];
    let part = newest(families(&all, MEMORY, None));
    assert_eq!(part.remarks, ["one store is away"; 3]);
    let web = Key::new("prod", "web");
    let rate = |at, nanos| Rate { at, nanos: Some(nanos), window_ms: 30_000, trusted_time: false };
    let cpu = Cpu::from([(web, rate(60_000, 5)), (Key::new("prod", "idle"), rate(91_000, 0))]);
    let mut samples = instances(part.found, cpu);
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    let [idle, web] = samples.as_slice() else { panic!("{samples:?}") };
    assert_eq!((idle.cpu_nanocores, idle.memory_bytes, idle.at), (Some(0), None, 91_000));
    assert_eq!((web.cpu_nanocores, web.cpu_window_ms, web.at), (Some(5), 30_000, 60_000));
    assert_eq!((web.memory_bytes, web.guest_available, web.guest_usable), (Some(300), Some(1000), Some(600)));
}

/// thanos-io/thanos#1617: two Prometheus servers scrape the same targets, and a label that is not
/// deduplicated tells their series apart.
#[test]
fn of_two_replicas_the_newest_amount_counts() {
    let replica = |n: u8| format!(r#"{ON_N1},"prometheus_replica":"prometheus-k8s-{n}""#);
    let stats = of_claim(&[
        series(VOLUMES[0], &replica(0), r#"[30,"5"],[60,"6"]"#),
        series(VOLUMES[0], &replica(1), r#"[15,"4"],[45,"5"]"#),
        series(VOLUMES[1], &replica(1), r#"[45,"9"]"#),
    ]);
    assert_eq!((stats.used, stats.capacity, stats.at), (Some(6), Some(9), Some(60_000)));
    let on = |n: u8, samples| {
        series("c", &format!(r#""name":"web","node":"n1","prometheus_replica":"r-{n}""#), samples)
    };
    let both = [on(0, r#"[30,"1"],[60,"4"]"#), on(1, r#"[15,"0"],[45,"2"]"#)];
    assert_eq!(rate(&both), (Some(100_000_000), 30_000), "never twice");
}

/// prometheus-community/helm-charts#7156: on a dual-stack cluster each kubelet is scraped by both of its addresses.
/// prometheus-operator/prometheus-operator#7954: one scrape keeps the labels of the exporter, and another one renames them.
#[test]
fn what_is_scraped_twice_counts_once() {
    let by_address =
        |address: &str| format!(r#""persistentvolumeclaim":"root","instance":"{address}","node":"n1""#);
    let [v4, v6] = ["10.0.0.1:10250", "[fd00::1]:10250"].map(by_address);
    let all = [
        series(VOLUMES[0], &v4, r#"[30,"5"],[60,"6"]"#),
        series(VOLUMES[0], &v6, r#"[15,"4"],[45,"5"]"#),
        series(VOLUMES[1], &v4, r#"[60,"9"]"#),
        series(VOLUMES[1], &v6, r#"[45,"9"]"#),
        series(VOLUMES[2], &v4, r#"[60,"3"]"#),
    ];
    let stats = of_claim(&all);
    assert_eq!((stats.used, stats.capacity, stats.available), (Some(6), Some(9), Some(3)));
    let kept = |metric, samples| series(metric, r#""name":"web","node":"n1""#, samples);
    let renamed = |metric, samples| {
        let labels = r#""exported_namespace":"prod","name":"web","node":"n1""#;
        series(metric, labels, samples).replacen(r#""namespace":"prod""#, r#""namespace":"kubevirt""#, 1)
    };
    let (older, newer) = (r#"[15,"0"],[45,"2"]"#, r#"[30,"1"],[60,"4"]"#);
    for both in [[kept("c", older), renamed("c", newer)], [renamed("c", older), kept("c", newer)]] {
        assert_eq!(rate(&both), (Some(100_000_000), 30_000));
    }
    let memory = newest(families(&[kept(MEMORY[0], older), renamed(MEMORY[0], newer)], MEMORY, None)).found;
    let samples = instances(memory, Cpu::new());
    assert_eq!((samples.len(), samples[0].memory_bytes), (1, Some(4)));
}

/// kubernetes-sigs/aws-efs-csi-driver#1242: a file system that grows by itself reports 8 EiB.
#[test]
fn the_size_of_a_file_system_without_a_limit_is_an_amount() {
    let stats = of_claim(&[series(VOLUMES[1], ON_N1, r#"[60,"9.223372036853727e+18"]"#)]);
    assert_eq!(stats.capacity, Some(9_223_372_036_853_727_232));
}

/// Only their times are used to check a clock: others may report any time.
#[test]
fn only_times_of_trusted_exporters_are_trusted() {
    let moved = |exporter: &str| {
        let labels = format!(r#"{ON_N1},"name":"web","exported_namespace":"{exporter}""#);
        let own = series(VOLUMES[0], &labels, r#"[30,"1"],[60,"2"]"#);
        [own.replacen(r#""namespace":"prod""#, r#""namespace":"kubevirt""#, 1)]
    };
    let honoured = [series(VOLUMES[0], &format!(r#"{ON_N1},"name":"web""#), r#"[30,"1"],[60,"2"]"#)];
    let trusted_time = |all: &[String]| {
        let rates = cpu(&json(all), &scope(None)).unwrap().found;
        (of_claim(all).trusted_time, instances(Memory::new(), rates)[0].trusted_time)
    };
    assert_eq!((trusted_time(&moved("prod")), trusted_time(&honoured)), ((true, true), (false, false)));
}

/// A malicious server could send this, or a tenant whose exporters are scraped.
#[test]
fn names_over_the_limit_are_left_out_and_counted() {
    const SERIES: usize = 3 * MOST_TEXT / 500;
    let name = |n: usize| format!("{n:0>240}");
    let labels = |n: usize| {
        let name = name(n);
        format!(r#""persistentvolumeclaim":"{name}","name":"{name}","instance":"{name}","node":"n1""#)
    };
    let all: Vec<String> =
        (0..SERIES).map(|n| series(VOLUMES[0], &labels(n), r#"[30,"1"],[60,"1"]"#)).collect();
    let claims = of_claims(&json(&all)).unwrap();
    let texts: usize = claims.found.keys().map(|(key, target)| key.name.len() + target.len()).sum();
    assert!(texts <= MOST_TEXT && texts > MOST_TEXT / 2, "{texts}");
    assert_eq!(claims.found.len() + claims.left_out, SERIES);
    // Answers for other metrics do not increase it.
    let others: Vec<String> =
        (SERIES..2 * SERIES).map(|n| series(VOLUMES[1], &labels(n), r#"[30,"1"],[60,"1"]"#)).collect();
    let part = |n, all: &[String]| scrapes::<4>(&json(all), n, &scope(None), NameLabel::Claim).unwrap();
    let both = merged([part(0, &all), part(1, &others)].into_iter());
    let texts: usize = both.found.keys().map(text_bytes).sum();
    assert!(texts <= MOST_TEXT, "{texts}");
    assert_eq!(both.found.len() + both.left_out, 2 * SERIES);
    let rates = cpu(&json(&all), &scope(None)).unwrap();
    let texts: usize = rates.found.keys().map(|key| key.name.len()).sum();
    assert!(texts <= MOST_TEXT && texts > MOST_TEXT / 2, "{texts}");
    assert_eq!(rates.found.len() + rates.left_out, SERIES);
}

#[test]
fn invalid_answers_are_refused() {
    for answer in ["", "{}", r#"{"status":"error","error":"x"}"#, r#"{"data":{"result":[{"metric""#] {
        assert!(of_claims(answer.as_bytes()).is_none(), "{answer}");
        assert!(cpu(answer.as_bytes(), &scope(None)).is_none(), "{answer}");
    }
    assert!(of_claims(&json(&[])).unwrap().found.is_empty());
}

/// Answers are decoded as a whole, on another thread than those that wait.
/// `cargo test --release -p collector ten_thousand_claims -- --nocapture` prints how long that takes.
#[test]
fn the_answer_for_ten_thousand_claims_is_decoded_in_time() {
    const CLAIMS: usize = 10_000;
    // 3 minutes of scrapes at 15 s.
    let samples: Vec<String> =
        (0..12).map(|n| format!(r#"[{},"{}"]"#, 1_700_000_000 + n * 15, 5_000_000_000u64 + n)).collect();
    let samples = samples.join(",");
    let labels = |n: usize| {
        format!(
            r#""job":"kubelet","endpoint":"https-metrics","metrics_path":"/metrics","persistentvolumeclaim":"claim-{n}","instance":"10.0.0.{}:10250","node":"node-{}""#,
            n % 250,
            n % 500
        )
    };
    let of_metric =
        |metric| json(&(0..CLAIMS).map(|n| series(metric, &labels(n), &samples)).collect::<Vec<_>>());
    let answers = VOLUMES.map(of_metric);
    let begun = std::time::Instant::now();
    let parts = answers.iter().enumerate();
    let parts = parts.map(|(n, answer)| scrapes(answer, n, &scope(None), NameLabel::Claim).unwrap());
    let found = volumes(merged(parts)).found;
    let took = begun.elapsed();
    let bytes: usize = answers.iter().map(Vec::len).sum();
    eprintln!("{} MB of {CLAIMS} claims decoded in {took:?}", bytes >> 20);
    assert_eq!(found.len(), CLAIMS);
}

#[test]
fn one_answer_holds_a_limited_number_of_objects() {
    let many = |label: &str, metric: &str, count: usize| {
        let of = |n: usize| series(metric, &format!(r#""{label}":"c{n}""#), r#"[1,"5"],[2,"6"]"#);
        json(&(0..count).map(of).collect::<Vec<_>>())
    };
    let answer = many("persistentvolumeclaim", VOLUMES[0], MOST_THINGS + 7);
    let part = of_claims(&answer).unwrap();
    assert_eq!((part.found.len(), part.left_out), (MOST_THINGS, 7));
    let part =
        cpu(&many("name", "kubevirt_vmi_cpu_usage_seconds_total", MOST_THINGS + 7), &scope(None)).unwrap();
    assert_eq!((part.found.len(), part.left_out), (MOST_THINGS, 7));
    let long = "x".repeat(300);
    let odd =
        [format!(r#""persistentvolumeclaim":"{long}""#), r#""persistentvolumeclaim":"a\u202eb""#.to_owned()];
    let odd = odd.map(|labels| series(VOLUMES[0], &labels, r#"[1,"5"]"#));
    assert!(of_claims(&json(&odd)).unwrap().found.is_empty(), "no such claim can be");
}

#[test]
fn remarks_are_limited_and_readable() {
    let remark = format!("\\u001b[31m{}", "x".repeat(300));
    let remarks = vec![format!(r#""{remark}""#); 5000].join(",");
    let answer = format!(r#"{{"data":{{"result":[]}},"warnings":[{remarks}]}}"#);
    let part = of_claims(answer.as_bytes()).unwrap();
    assert_eq!(part.remarks.len(), REMARKS);
    assert!(part.remarks[0].starts_with("\u{fffd}[31mxxx") && part.remarks[0].chars().count() == REMARK);
    let endless = format!(r#"{{"data":{{"result":[{}0]}}}}"#, "0,".repeat(1 << 19));
    assert!(of_claims(endless.as_bytes()).is_none(), "each would take eight times its bytes");
}

/// Instances `from` to `to` with these labels, as the metric with number `n` reports them.
fn memory_of(n: usize, labels: &str, from: usize, to: usize) -> Part<Scrapes<3>> {
    let of = |at: usize| format!(r#"{{"metric":{{{labels},"name":"i{at}"}},"values":[[60,"5"]]}}"#);
    let all: Vec<String> = (from..to).map(of).collect();
    scrapes(&json(&all), n, &scope(None), NameLabel::Instance).unwrap()
}

fn count_of<const N: usize>(part: &Part<Scrapes<N>>, namespace: &str) -> usize {
    part.found.keys().filter(|(key, _)| &*key.namespace == namespace).count()
}

const EVIL: &str = r#""namespace":"aaa-evil""#;
const TRUSTED: &str = r#""namespace":"kubevirt","exported_namespace":"prod""#;

/// Each answer fits; together they name other things in every metric.
#[test]
fn a_namespace_that_fills_the_merged_answers_loses_only_its_own_figures() {
    let parts = || {
        let of_metric = |(n, (from, to)): (usize, (usize, usize))| {
            let mut part = memory_of(n, EVIL, from, to);
            part.merge_scrapes(memory_of(n, r#""namespace":"dev""#, 0, 20));
            part.merge_scrapes(memory_of(n, TRUSTED, 0, 30));
            part
        };
        [(0, 50_000), (50_000, 90_000), (90_000, 130_000)].into_iter().enumerate().map(of_metric)
    };
    let orders: [Vec<Part<Scrapes<3>>>; 2] = [parts().collect(), parts().rev().collect()];
    for order in orders {
        let all = merged(order.into_iter());
        let counts = ["aaa-evil", "dev", "prod"].map(|namespace| count_of(&all, namespace));
        assert_eq!(counts, [0, 20, 30]);
        assert_eq!((all.left_out, all.crowding.iter().map(String::as_str).collect()), (0, vec!["aaa-evil"]));
        let whole = |scrape: &Scrape<3>| scrape.samples.iter().all(Option::is_some);
        assert!(all.found.values().all(whole));
    }
}

#[test]
fn what_trusted_exporters_report_is_kept_before_all_else() {
    let mut all = memory_of(0, EVIL, 0, 100);
    all.merge_scrapes(memory_of(0, r#""namespace":"prod""#, 0, MOST_THINGS - 200));
    all.merge_scrapes(memory_of(1, TRUSTED, 5, MOST_THINGS - 50));
    let trusted = MOST_THINGS - 50;
    assert_eq!((count_of(&all, "prod"), count_of(&all, "aaa-evil")), (trusted, 0));
    all.merge_scrapes(memory_of(2, TRUSTED, 0, MOST_THINGS));
    all.merge_scrapes(memory_of(0, TRUSTED, MOST_THINGS, MOST_THINGS + 9));
    assert_eq!((count_of(&all, "prod"), all.left_out), (MOST_THINGS, 9));
}

/// A namespace alone takes room from nobody.
#[test]
fn of_a_single_namespace_as_much_is_kept_as_fits() {
    let mut all = memory_of(0, EVIL, 0, 40_000);
    all.merge_scrapes(memory_of(1, EVIL, 40_000, 80_000));
    assert_eq!((all.found.len(), all.left_out, all.crowding.len()), (MOST_THINGS, 80_000 - MOST_THINGS, 0));
}

/// It was queried separately because it is oversized, so it takes no room from the others.
#[test]
fn what_is_merged_last_is_left_out_first() {
    let mut all = memory_of(0, r#""namespace":"dev""#, 0, 40_000);
    all.merge_scrapes(memory_of(0, TRUSTED, 0, 30));
    all.merge_last(memory_of(0, EVIL, 0, 30_000), "aaa-evil");
    assert_eq!((count_of(&all, "dev"), count_of(&all, "prod"), count_of(&all, "aaa-evil")), (40_000, 30, 0));
    assert_eq!(all.crowding.iter().map(String::as_str).collect::<Vec<_>>(), ["aaa-evil"]);
}

#[test]
fn of_many_namespaces_that_crowd_only_some_are_named() {
    let mut all = memory_of(0, TRUSTED, 0, MOST_THINGS - 10);
    for n in 0..100 {
        all.merge_scrapes(memory_of(0, &format!(r#""namespace":"t{n}""#), 0, 11));
    }
    assert_eq!(
        (count_of(&all, "prod"), all.found.len(), all.left_out),
        (MOST_THINGS - 10, MOST_THINGS - 10, 0)
    );
    assert!(all.crowding.len() <= 17 && all.crowding.contains(""), "{:?}", all.crowding);
}

/// With `--namespace`, series of trusted exporters come in an answer of their own.
#[test]
fn rates_of_trusted_exporters_are_kept_before_others() {
    let rates = |labels: &str, count: usize| {
        let of =
            |at: usize| format!(r#"{{"metric":{{{labels},"name":"i{at}"}},"values":[[50,"5"],[60,"6"]]}}"#);
        cpu(&json(&(0..count).map(of).collect::<Vec<_>>()), &scope(None)).unwrap()
    };
    let mut all = rates(EVIL, MOST_THINGS);
    all.merge_rates(rates(TRUSTED, 30));
    assert_eq!((all.found.len(), all.left_out), (30, 0));
    assert!(all.found.keys().all(|key| &*key.namespace == "prod") && all.crowding.contains("aaa-evil"));
}

/// One claim of a tenant, reported by as many scrape targets as a label can name.
#[test]
fn a_thing_has_few_scrape_targets() {
    let on = |node: usize| {
        series(VOLUMES[0], &format!(r#""persistentvolumeclaim":"root","node":"n{node}""#), r#"[60,"1"]"#)
    };
    let part = of_claims(&json(&(0..100).map(on).collect::<Vec<_>>())).unwrap();
    assert_eq!((part.found.len(), part.left_out), (MOST_TARGETS, 100 - MOST_TARGETS));
}
