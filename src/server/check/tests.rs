//! Tests of the report for made-up answers and snapshots.

use super::{
    permissions::{PermissionReview, Purpose, all_questions},
    *,
};
use crate::server::config::SignInMode;
use collector::client::{CredentialError, Summary};
use model::{
    reason::Reason,
    source::{SourceId, SourceState},
};
use wukong_core::{ClusterState, Limits, observation::*};

const NOW: i64 = 1_800_000_000_000;

/// Returns a snapshot of two running VMs with one volume each, one of them a raw device.
fn snapshot(disk_sources: Vec<SourceId>) -> Snapshot {
    let limits = Limits {
        metrics_interval: 15_000,
        disk_interval: 60_000,
        ceph_interval: 300_000,
        disk_sources,
        virt_handler: false,
        most_vms: usize::MAX,
    };
    let mut state = ClusterState::new(limits);
    let all = |items| Change::Replaced { namespace: None, items, at: NOW };
    let wukong = |name: &str| WukongFacts {
        uid: name.into(),
        namespace: "a".into(),
        name: name.into(),
        cpu: Some(1),
        memory: "1Gi".into(),
        phase: "Running".into(),
        vm_name: name.into(),
        node_name: "n1".into(),
        volumes: [WukongVolume { name: "root".into(), claim: name.into(), size: "9".into() }].into(),
        ..Default::default()
    };
    state.apply(Observation::Wukongs(all(vec![wukong("web"), wukong("db")])));
    state.apply(Observation::VirtualMachines(Change::Replaced { namespace: None, items: vec![], at: NOW }));
    state.apply(Observation::Instances(Change::Replaced { namespace: None, items: vec![], at: NOW }));
    state.apply(Observation::Pods(Change::Replaced { namespace: None, items: vec![], at: NOW }));
    let claim = |name: &str, block| ClaimFacts {
        namespace: "a".into(),
        name: name.into(),
        block,
        ..Default::default()
    };
    let claims = vec![claim("web", false), claim("db", true)];
    state.apply(Observation::Claims(Change::Replaced { namespace: None, items: claims, at: NOW }));
    state.apply(Observation::PersistentVolumes(Change::Replaced { namespace: None, items: vec![], at: NOW }));
    let volumes = vec![VolumeStats {
        of: VolumeRef::Claim(Key::new("a", "web")),
        used: Some(3),
        capacity: Some(9),
        available: Some(6),
        inodes: Some(1),
        at: Some(NOW),
        node: Box::default(),
        trusted_time: true,
    }];
    let source = model::figure::Source::KubeletProxy;
    let (pods, node_filesystems, node_usage) = (Vec::new(), Vec::new(), NodeUsage::default());
    let facts = SummaryFacts { source, volumes, pods, node_filesystems, node_usage, left_out: None };
    state.apply(Observation::Summary { node: "n1".into(), at: NOW, result: Ok(facts) });
    let error = SourceError { reason: Reason::Forbidden, detail: "list pods.metrics.k8s.io".into() };
    state.apply(Observation::PodMetrics { namespace: None, at: NOW, result: Err(error) });
    state.join(NOW)
}

fn line(report: &Report, check: &str) -> Check {
    let found = report.checks.iter().find(|line| line.check.starts_with(check));
    found.unwrap_or_else(|| panic!("no {check} in {}", report.text())).clone()
}

fn summary() -> Summary {
    Summary {
        context: "test".into(),
        address: "https://10.0.0.1:6443".into(),
        proxy: None,
        credentials: "token file".into(),
    }
}

fn well() -> Report {
    Report::new(&summary(), Ok(()), Ok("v1.36.1".into()))
}

#[test]
fn clocks_that_differ_are_reported_and_change_no_figure() {
    for (ahead, want) in [
        (None, None),
        (Some(-59_000), None),
        (Some(-420_500), Some("7m behind")),
        (Some(3_600_000), Some("1h ahead of")),
    ] {
        let mut report = well();
        report.clock(ahead);
        assert!(report.ok);
        let found = report.checks.iter().find(|check| check.check == "the clocks differ");
        assert_eq!(found.is_some(), want.is_some(), "{ahead:?}");
        assert!(found.is_none_or(|check| check.detail.contains(want.unwrap_or_default())), "{found:?}");
    }
}

#[test]
fn the_connection_comes_first_in_the_report() {
    let proxied = Summary { proxy: Some("http://proxy:3128".into()), ..summary() };
    let late = CredentialError::PluginFailed { plugin: "aws".into(), code: 255 };
    let report = Report::new(&proxied, Err(late), Err("401".into()));
    let text = report.text();
    let want = "connection\n----------\n√ context: test\n√ address: https://10.0.0.1:6443\n√ proxy: http://proxy:3128\n\
                × credentials: token file\n    the credential plugin aws failed with exit code 255: run kubectl";
    assert!(text.starts_with(want), "{text}");
    assert_eq!((line(&well(), "proxy").check, report.ok), ("proxy: none".into(), false));
}

#[test]
fn coverage_counts_whole_disks_and_groups_the_reasons() {
    let mut report = well();
    report.snapshot(&snapshot(vec![SourceId::Kubelet]));
    let disk = line(&report, "disk");
    assert_eq!((&*disk.check, disk.verdict), ("disk known for 1 of 2 running VMs", Verdict::Missing));
    assert_eq!(disk.detail, "1: a block volume");
    let metrics = line(&report, "metrics.k8s.io");
    assert_eq!((&*metrics.check, metrics.verdict), ("metrics.k8s.io: forbidden", Verdict::Missing));
    assert!(!report.ok && metrics.fix.contains("kubectl apply"), "{metrics:?}");
    assert_eq!(line(&report, "prometheus").verdict, Verdict::Unused);
    assert_eq!(line(&report, "kubelet").check, "kubelet: healthy, figures of 1 VMs, 1 volumes");
}

#[test]
fn an_object_that_is_too_large_is_reported() {
    let mut snapshot = snapshot(vec![SourceId::Kubelet]);
    let wukongs = snapshot.sources.iter_mut().find(|source| source.id == SourceId::Wukongs).unwrap();
    wukongs.state = SourceState::Degraded;
    wukongs.error = "1 left out: a/huge".into();
    for vm in &mut snapshot.vms {
        Arc::make_mut(vm).summary.usage.disk_volumes = 7;
    }
    let mut report = well();
    report.snapshot(&snapshot);
    let wukongs = line(&report, "wukongs");
    assert_eq!((wukongs.verdict, &*wukongs.detail), (Verdict::Missing, "1 left out: a/huge"));
    let disk = line(&report, "disk");
    assert_eq!(disk.check, "disk known for 0 of 2 running VMs");
    assert!(disk.detail.contains("1: larger than the dashboard's limit"), "{}", disk.detail);
}

#[test]
fn an_absent_resource_is_a_failure_only_if_no_other_gives_the_vms() {
    let health = |id, state| {
        let of = |snapshot: Snapshot| snapshot.sources.into_iter().find(|source| source.id == id).unwrap();
        SourceHealth { state, ..of(snapshot(vec![])) }
    };
    use model::source::SourceHealth;
    for (other, want) in [(SourceState::Healthy, Verdict::Unused), (SourceState::Absent, Verdict::Missing)] {
        let mut report = well();
        let sources =
            vec![health(SourceId::Wukongs, SourceState::Absent), health(SourceId::VirtualMachines, other)];
        report.snapshot(&Snapshot { sources, ..Snapshot::default() });
        assert_eq!(line(&report, "wukongs").verdict, want, "{other:?}");
    }
}

#[test]
fn one_permission_for_kubelets_is_enough() {
    let purpose = Purpose::Source(SourceId::Kubelet);
    let review =
        |what: &str, allowed| PermissionReview { purpose, what: what.into(), allowed, is_served: true };
    let mut report = well();
    report.permissions(vec![review("get nodes/stats", Ok(false)), review("get nodes/proxy", Ok(true))]);
    assert_eq!((report.ok, line(&report, "get nodes/stats").verdict), (true, Verdict::Unused));
    let mut report = well();
    report.permissions(vec![
        review("get nodes/stats", Ok(false)),
        review("get nodes/proxy", Err("503".into())),
    ]);
    assert_eq!((report.ok, line(&report, "get nodes/proxy").verdict), (false, Verdict::Missing));
}

#[test]
fn sign_in_has_its_permissions_within_the_namespaces_that_are_served() {
    const SIGN_IN: [Purpose; 3] = [Purpose::TokenSignIn, Purpose::SignIn, Purpose::SignInHints];
    let asked = |namespaces: Option<Vec<String>>, modes: &[SignInMode]| {
        let config = CollectConfig { namespaces, ..CollectConfig::default() };
        let questions = all_questions(&config, &modes.iter().copied().collect()).into_iter();
        let of_sign_in = questions.filter(|(purpose, ..)| SIGN_IN.contains(purpose));
        of_sign_in.map(|(_, what, _)| what).collect::<Vec<_>>()
    };
    assert!(asked(None, &[]).is_empty() && asked(Some(vec!["a".into()]), &[]).is_empty());
    let bindings = "rolebindings.rbac.authorization.k8s.io";
    let want = [
        "create tokenreviews.authentication.k8s.io".to_owned(),
        "create subjectaccessreviews.authorization.k8s.io".to_owned(),
        format!("list {bindings}"),
        format!("watch {bindings}"),
        format!("list cluster{bindings}"),
        format!("watch cluster{bindings}"),
    ];
    assert_eq!(asked(None, &[SignInMode::Token]), want);
    assert_eq!(asked(None, &[SignInMode::Oidc]), want[1..], "no token is reviewed");
    let reviews = "create localsubjectaccessreviews.authorization.k8s.io";
    let want = [
        "create tokenreviews.authentication.k8s.io".to_owned(),
        format!("{reviews} in namespace a"),
        format!("{reviews} in namespace b"),
        format!("list {bindings} in namespace a"),
        format!("watch {bindings} in namespace a"),
        format!("list {bindings} in namespace b"),
        format!("watch {bindings} in namespace b"),
    ];
    assert_eq!(asked(Some(vec!["a".into(), "b".into()]), &[SignInMode::Token]), want);
}

#[test]
fn sign_in_needs_reviews_and_does_without_bindings_and_events() {
    for (purpose, allowed, ok, verdict, has_fix) in [
        (Purpose::TokenSignIn, Ok(false), false, Verdict::Missing, true),
        (Purpose::SignIn, Ok(true), true, Verdict::Ok, false),
        (Purpose::SignIn, Ok(false), false, Verdict::Missing, true),
        (Purpose::SignInHints, Ok(true), true, Verdict::Ok, false),
        (Purpose::SignInHints, Ok(false), true, Verdict::Unused, true),
        (Purpose::SignInHints, Err("503".to_owned()), false, Verdict::Missing, true),
        (Purpose::Events, Ok(true), true, Verdict::Ok, false),
        (Purpose::Events, Ok(false), true, Verdict::Unused, true),
        (Purpose::Events, Err("503".to_owned()), false, Verdict::Missing, true),
    ] {
        let mut report = well();
        report.permissions(vec![PermissionReview {
            purpose,
            what: "list x".into(),
            allowed,
            is_served: true,
        }]);
        let found = line(&report, "list x");
        assert_eq!((report.ok, found.verdict, found.fix.contains("deploy/")), (ok, verdict, has_fix));
    }
}

#[test]
fn a_risky_setting_is_a_warning_and_not_a_failure() {
    let mut state = ClusterState::new(Limits {
        most_vms: usize::MAX,
        metrics_interval: 15_000,
        disk_interval: 60_000,
        ceph_interval: 0,
        disk_sources: vec![SourceId::Prometheus],
        virt_handler: false,
    });
    state.apply(Observation::Risk { source: SourceId::Prometheus, detail: "sent unencrypted".into() });
    let sources = state.join(NOW).sources.into_iter().filter(|source| source.id == SourceId::Prometheus);
    let healthy = |source| model::source::SourceHealth { state: SourceState::Healthy, ..source };
    let mut report = well();
    report.snapshot(&Snapshot { sources: sources.map(healthy).collect(), ..Snapshot::default() });
    let found = line(&report, "prometheus: something to look at");
    assert_eq!((found.verdict, &*found.detail), (Verdict::Warning, "sent unencrypted"));
    assert!(report.ok && report.text().contains("! prometheus: something to look at"), "{}", report.text());
}

#[test]
fn text_and_json_have_the_same_content() {
    let mut report = Report::new(&summary(), Ok(()), Err("refused".into()));
    assert!(!report.ok);
    report.snapshot(&snapshot(vec![SourceId::Kubelet]));
    let text = report.text();
    let api = "\nkubernetes-api\n--------------\n× the API server of test answers\n    refused\n";
    assert!(text.contains(api), "{text}");
    assert!(text.ends_with("\nStatus: something is missing: kubernetes-api, sources, coverage\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["ok"], &json["checks"][4]["verdict"]), (&false.into(), &"missing".into()));
    assert_eq!(json["checks"].as_array().unwrap().len(), report.checks.len());
}

/// Reviews allow what does not exist.
#[tokio::test]
async fn bindings_that_the_cluster_does_not_serve_are_not_said_to_be_there() {
    for viewers in [false, true] {
        let mut scenario = simulator::Scenario::empty();
        if viewers {
            let (name, token) = ("ana".to_owned(), "t".to_owned());
            scenario.viewers.push(simulator::Viewer {
                name,
                groups: Vec::new(),
                token,
                namespaces: vec!["shop".into()],
            });
        }
        let sim = simulator::start(simulator::Options::exactly(scenario)).await.unwrap();
        let kubernetes =
            collector::config::KubernetesConfig { embedded: Some(sim.kubeconfig()), ..Default::default() };
        let config = CollectConfig::default();
        let cluster = client::connect(&kubernetes, &config).await.unwrap();
        let modes = [SignInMode::Token].into_iter().collect();
        let mut report = well();
        report.permissions(permissions::review_permissions(&cluster.client, &config, &modes).await);
        let want = if viewers { Verdict::Ok } else { Verdict::Unused };
        for verb in ["list", "watch"] {
            let found = line(&report, &format!("{verb} rolebindings"));
            assert_eq!((found.verdict, report.ok), (want, true), "{found:?}");
        }
    }
}
