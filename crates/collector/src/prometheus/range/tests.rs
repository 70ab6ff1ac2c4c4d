//! Answers to range queries: what they are decoded into, and refusals of too many points.

use std::{collections::HashSet, sync::Arc};

use super::{
    super::{identity::NameLabel, query::RESIDENT},
    decode::{SeriesFilter, cpu_series, gauge_series},
    figure::{coarser, is_too_fine, stretched},
    *,
};
use crate::k8s::peer_error::PeerError;
use wukong_core::{long_term::Names, observation::Key};

fn all(scope: &Scope) -> SeriesFilter<'_> {
    SeriesFilter { scope, names: None }
}

const TIMES: Times = Times { from: 60_000, step: 60_000, count: 3 };

fn json(series: &[(&str, &str)]) -> Vec<u8> {
    let one = |(labels, values): &(&str, &str)| {
        format!(r#"{{"metric":{{"namespace":"prod",{labels}}},"values":[{values}]}}"#)
    };
    let all: Vec<_> = series.iter().map(one).collect();
    let all = all.join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{all}]}}}}"#).into_bytes()
}

const N1: &str = r#""name":"web","node":"n1""#;
const N2: &str = r#""name":"web","node":"n2""#;

/// Whole cores of `prod/web` at 120, 180 and 240 s.
fn cores(series: &[(&str, &str)]) -> Vec<Option<u64>> {
    let times = Times { count: 4, ..TIMES };
    let found = cpu_series(&json(series), all(&Scope::default()), times).unwrap();
    let values = found.get(&Key::new("prod", "web")).cloned().unwrap_or_default();
    values.into_iter().map(|nanos| nanos.map(|nanos| nanos / 1_000_000_000)).collect()
}

#[test]
fn cpu_is_the_growth_of_a_counter_between_two_points() {
    for (values, want) in [
        (r#"[60,"60"],[120,"120"],[180,"300"],[240,"300"]"#, [Some(1), Some(3), Some(0)]),
        (r#"[60,"600"],[120,"120"],[180,"180"],[240,"240"]"#, [Some(2), Some(1), Some(1)]),
        (r#"[60,"60"],[180,"180"],[240,"240"]"#, [None, None, Some(1)]),
        (r#"[60,"0"],[120,"NaN"],[180,"-60"],[240,"1e30"]"#, [None, None, None]),
        (r#"[180,"7"],[240,"67"]"#, [None, None, Some(1)]),
    ] {
        assert_eq!(cores(&[(N1, values)]), want, "{values}");
    }
    assert_eq!(cores(&[]), []);
}

/// An exporter can invent any number of series, and each takes as many points as were requested.
#[test]
fn an_answer_with_too_many_points_is_refused() {
    let names: Vec<_> = (0..7000).map(|n| format!(r#""name":"{n}","persistentvolumeclaim":"{n}""#)).collect();
    let series: Vec<_> = names.iter().map(|name| (name.as_str(), r#"[60,"1"]"#)).collect();
    let answer = json(&series);
    let times = |count| Times { count, ..TIMES };
    for (count, is_read) in [(96, true), (336, false)] {
        let scope = Scope::default();
        assert_eq!(cpu_series(&answer, all(&scope), times(count)).is_some(), is_read, "{count}");
        for label in [NameLabel::Instance, NameLabel::Claim] {
            assert_eq!(gauge_series(&answer, all(&scope), label, times(count)).is_some(), is_read, "{count}");
        }
    }
}

#[test]
fn of_two_nodes_the_one_that_began_later_counts() {
    let old = (N1, r#"[60,"0"],[120,"60"],[180,"120"]"#);
    let new = (N2, r#"[120,"0"],[180,"300"],[240,"600"]"#);
    let want = [Some(1), Some(5), Some(5)];
    assert_eq!(cores(&[old, new]), want);
    assert_eq!(cores(&[new, old]), want);
}

/// prometheus-operator/prometheus-operator#7954: one scrape keeps the labels of the exporter, and another one renames them.
#[test]
fn a_counter_that_is_scraped_twice_counts_once() {
    let values = r#"[60,"60"],[120,"120"],[180,"300"],[240,"300"]"#;
    let late = r#"[120,"118"],[180,"298"],[240,"300"]"#;
    for both in [[(N1, values), (N1, values)], [(N1, late), (N1, values)], [(N1, values), (N1, late)]] {
        let cores = cores(&both);
        assert!(matches!(cores[..], [Some(1), Some(3), Some(0)]), "{cores:?}");
    }
}

/// Whatever the server makes of the query, and however many objects an exporter invents.
#[test]
fn series_of_other_objects_are_left_out() {
    let invented = (0..7000).map(|n| format!(r#""name":"x{n}","persistentvolumeclaim":"x{n}","node":"n1""#));
    let ours = r#""name":"web","persistentvolumeclaim":"root","node":"n1""#.to_owned();
    let labels: Vec<_> = invented.chain([ours]).collect();
    let series: Vec<_> = labels.iter().map(|labels| (labels.as_str(), r#"[60,"1"],[120,"2"]"#)).collect();
    let (answer, times) = (json(&series), Times { count: 336, ..TIMES });
    let of =
        VmSelection::One { namespace: "prod".into(), instance: "web".into(), claims: vec!["root".into()] };
    let all = VmSelection::All(Arc::new(Names {
        instances: HashSet::from([Key::new("prod", "web")]),
        claims: HashSet::from([Key::new("prod", "root")]),
    }));
    for of in [of, all] {
        let names = of.names();
        for (figure, want) in [(Figure::Cpu, "web"), (Figure::Memory, "web"), (Figure::Claim, "root")] {
            let found = figure.read(&answer, &Scope::default(), &names, times).unwrap();
            assert_eq!(found.into_keys().collect::<Vec<_>>(), [Key::new("prod", want)]);
        }
    }
}

/// VictoriaMetrics/VictoriaMetrics#1914, #5530: the error repeats the query twice at its beginning, and
/// that may be long.
#[test]
fn a_refusal_of_that_many_points_is_recognised_after_a_long_query() {
    let query = format!(r#"max by (namespace) ({RESIDENT}{{namespace=~\"{}\"}})"#, "prod|".repeat(600));
    for end in [
        "too many points for the given step=10, start=1638955183980 and end=1638955486010: 30204; cannot exceed -search.maxPointsPerTimeseries=30000",
        "too many points for the given start=1, end=2 and step=300000: 840961; the maximum number of points is 30000; (see -search.maxPointsPerTimeseries command-line flag)",
    ] {
        let body = format!(
            r#"{{"status":"error","errorType":"422","error":"error when executing query=\"{query}\" on the time range (start=1638955484000, end=1638955486000, step=10): cannot execute query: cannot evaluate \"{query}\": {end}"}}"#
        );
        assert!(body.len() < 16 << 10, "{}", body.len());
        let says = PeerError::read(body.as_bytes());
        assert!(says.line.chars().count() <= 200, "{}", says.line);
        let code = http::StatusCode::UNPROCESSABLE_ENTITY;
        assert!(is_too_fine(&Failure::Refused { code, retry_after: None, says }), "{end}");
    }
}

#[test]
fn a_longer_step_covers_the_same_time() {
    let times = Times { from: 60_000, step: 60_000, count: 10 };
    let coarse = coarser(times);
    assert_eq!((coarse.last(), coarse.count, coarse.step), (times.last(), 3, 240_000));
    let values = stretched(&vec![Some(1), None, Some(3)], coarse, times);
    let want = [Some(1), Some(1), None, None, None, None, Some(3), Some(3), Some(3), Some(3)];
    assert_eq!(values, want);
}

#[test]
fn values_are_placed_at_their_times_and_invalid_ones_dropped() {
    let claim = r#""persistentvolumeclaim":"root""#;
    let answer = json(&[
        (claim, r#"[60,"5"],[180,"+Inf"],[9999,"7"],[0,"3"]"#),
        (r#""persistentvolumeclaim":"root","exported_namespace":"dev""#, r#"[120,"9"]"#),
    ]);
    let scope = |ours: &[&str]| {
        let ours: Arc<[String]> = ours.iter().map(|own| (*own).to_owned()).collect();
        Scope { namespaces: Some(ours), trusted: Arc::default(), names: None }
    };
    let read = |scope: &Scope| gauge_series(&answer, all(scope), NameLabel::Claim, TIMES).unwrap();
    let want = SeriesByKey::from([(Key::new("prod", "root"), vec![Some(5), None, None])]);
    assert_eq!(read(&Scope::default()), want, "prod does not speak for dev");
    assert!(read(&scope(&["dev"])).is_empty());
    assert!(gauge_series(b"{}", all(&Scope::default()), NameLabel::Claim, TIMES).is_none());
}

#[test]
fn of_two_series_of_one_object_the_fuller_counts() {
    let claim = r#""persistentvolumeclaim":"root""#;
    let (full, empty) = ((claim, r#"[60,"5"],[120,"6"]"#), (claim, r#"[180,"7"]"#));
    for answer in [json(&[full, empty]), json(&[empty, full])] {
        let found = gauge_series(&answer, all(&Scope::default()), NameLabel::Claim, TIMES).unwrap();
        assert_eq!(found[&Key::new("prod", "root")], [Some(5), Some(6), None]);
    }
}
