//! The fix of a missing figure, and when one is missing.

use super::*;

#[test]
fn a_missing_figure_names_the_command_that_shows_why() {
    let mut state = one();
    state.apply(Observation::Pods(replaced(vec![])));
    let missing = web(&mut state).summary.usage.cpu.missing().cloned().unwrap();
    assert_eq!(missing.reason, Reason::NoPod);
    assert_eq!(missing.fix.english(), "kubectl -n a get pods -l kubevirt.io=virt-launcher");

    let mut state = one();
    state.metrics.clear(None, &mut state.touched);
    let missing = web(&mut state).summary.usage.cpu.missing().cloned().unwrap();
    assert_eq!(missing.reason, Reason::NotSampled);
    assert!(missing.fix.english().contains("kubectl describe node n1"), "{}", missing.fix.english());
}

#[test]
fn a_pod_is_new_for_three_minutes() {
    for (age, want) in [(179_999, Reason::TooNew), (180_000, Reason::NotSampled)] {
        let mut state = one();
        let pod = PodFacts { created: NOW - age, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
        state.apply(Observation::Pods(replaced(vec![pod])));
        state.metrics.clear(None, &mut state.touched);
        assert_eq!(milli(&web(&mut state)), Err(want), "after {age} ms");
    }
}

#[test]
fn kubevirts_own_metrics_do_not_count_once_prometheus_refuses() {
    let mut state = one();
    state.metrics.clear(None, &mut state.touched);
    let sample = InstanceSample {
        namespace: "a".into(),
        name: "web-vm".into(),
        at: NOW - 5_000,
        cpu_nanocores: Some(7_000_000),
        cpu_window_ms: 300_000,
        ..InstanceSample::default()
    };
    let facts = PrometheusFacts { instances: vec![sample], ..PrometheusFacts::default() };
    state.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
    assert_eq!(milli(&web(&mut state)), Ok(7));
    for (reason, want) in [(Reason::TimedOut, Ok(7)), (Reason::Forbidden, Err(Reason::NotSampled))] {
        state.apply(Observation::Prometheus { at: NOW, result: Err(refused(reason)) });
        assert_eq!(milli(&web(&mut state)), want, "{reason:?}");
    }
}
