use super::*;
use crate::server::config::{AllowedHosts, Listen};
use collector::config::{KubeletAccess, KubeletConfig, ProxyRules};
use model::source::SourceId;

fn read_line(line: &[&str]) -> Result<Invocation, Refusal> {
    let words = std::iter::once("wukong-dashboard").chain(line.iter().copied());
    read(words.map(OsString::from), "")
}

fn mistakes(line: &[&str]) -> Vec<Mistake> {
    match read_line(line) {
        Err(Refusal::Mistakes(mistakes)) => mistakes,
        other => panic!("{line:?} gave {other:?}"),
    }
}

fn config(line: &[&str]) -> Config {
    match read_line(line).expect("a valid line").task {
        Task::Serve(config) | Task::Demo(config, _) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_of_the_help_are_the_defaults_of_the_program() {
    let config = config(&[]);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8081");
    // The proxies depend on the environment of the tests.
    let collect = CollectConfig { proxies: ProxyRules::default(), ..config.collect };
    assert_eq!(format!("{collect:?}"), format!("{:?}", CollectConfig::default()));
    assert_eq!(format!("{:?}", config.http), format!("{:?}", HttpConfig::default()));
    assert!(config.kubernetes.kubeconfig.is_none());
    let Task::Demo(_, size) = read_line(&["demo"]).unwrap().task else { panic!("no demo") };
    assert_eq!(size, Check::default().size(&empty_size()));
}

fn empty_size() -> SizeFlags {
    SizeFlags { vms: String::new(), nodes: String::new(), seed: String::new() }
}

#[test]
fn every_bad_value_names_its_setting() {
    for (flag, bad) in [
        (
            "--listen",
            &["8081", "localhost:8081", "127.0.0.1", "127.0.0.1:99999", ":", ":99999", ":http", "::1:80"][..],
        ),
        ("--namespace", &["A", "a_b", "-a", "a-", "a.b", "ok,B", "x/y", "ü"][..]),
        ("--metrics-interval", &["15", "999ms", "61m", "-1s", "soon"][..]),
        ("--disk-interval", &["0s", "2h", "1 parsec"][..]),
        ("--metrics-deadline", &["99ms", "6m"][..]),
        ("--kubelet-deadline", &["0s", "1h"][..]),
        ("--kubelet-concurrency", &["0", "1025", "-1", "many", "1.5"][..]),
        ("--watch-idle", &["10ms", "1day"][..]),
        ("--collection-limit", &["0", "64", "1023Ki", "5Gi", "64MiB", "-64Mi"][..]),
        ("--allowed-hosts", &["http://a", "a b", "u@a", "*.a", "a:x", "a:99999", "a/b", "*,a", "*:80"][..]),
        ("--trusted-proxies", &["10.0.0.0/33", "ingress", "10.0.0.0/8/8", "10.0.0", "::ffff:10.0.0.1"][..]),
        ("--log-format", &["xml", "JSON"][..]),
        ("--disk-sources", &["kubelets", "kubelet,nfs", "Ceph", "kubelet;ceph"][..]),
        ("--kubelet-access", &["straight", "AUTO"][..]),
        ("--kubelet-port", &["0", "65536", "https"][..]),
        ("--kubelet-insecure-tls", &["yes", "1"][..]),
        (
            "--prometheus-url",
            &["prometheus:9090", "ftp://p", "http://", "p", "http://p/#x", "http://p q"][..],
        ),
        ("--prometheus-matchers", &["cluster", "=a", "cluster=", "9a=b", "a-b=c", r#"a="#, "a=b,c"][..]),
        ("--prometheus-tenant", &["X Y: a", "Authorization: Bearer x", "X-A:", ":a"][..]),
        ("--prometheus-deadline", &["50ms", "1h"][..]),
        ("--ceph-interval", &["0s", "1day"][..]),
        ("--ceph-budget", &["14s", "2h"][..]),
        ("--ceph-deadline", &["61s", "50ms"][..]),
        ("--guest-agent-concurrency", &["0", "many"][..]),
        ("--guest-agent-deadline", &["0s", "1h"][..]),
    ] {
        for value in bad {
            let found = mistakes(&[&format!("{flag}={value}")]);
            assert_eq!(found.len(), 1, "{flag}={value}: {found:?}");
            // The deadline and the budget must fit; the mistake names the budget.
            let flag = if flag == "--ceph-deadline" && *value == "61s" { "--ceph-budget" } else { flag };
            assert!(found[0].setting.starts_with(flag), "{found:?}");
            assert!(found[0].value == *value || flag == "--ceph-budget", "{found:?}");
        }
    }
    for (flag, value) in [("--vms", "0"), ("--vms", "10001"), ("--nodes", "501"), ("--seed", "x")] {
        for command in ["demo", "sim"] {
            assert!(mistakes(&[command, flag, value])[0].setting.starts_with(flag), "{command} {flag}");
        }
    }
}

#[test]
fn sources_are_read_as_they_are_given() {
    let config = config(&[
        "--disk-sources=guest-agent, kubelet,guest-agent",
        "--kubelet-access=direct",
        "--kubelet-ca=/ca",
        "--kubelet-insecure-tls",
        "--kubelet-port=443",
        "--prometheus-url=https://p.example.org/prefix",
        "--prometheus-bearer-token-file=/token",
        "--prometheus-matchers=cluster=a, env=b=c",
        "--prometheus-tenant=THANOS-TENANT: x",
        "--ceph-url=https://c:8443",
        "--ceph-user-file=/user",
        "--ceph-password-file=/password",
        "--ceph-interval=10m",
        "--guest-agent-concurrency=3",
    ])
    .collect;
    assert_eq!(config.disk_sources, [SourceId::GuestAgent, SourceId::Kubelet]);
    let kubelet = KubeletConfig {
        access: KubeletAccess::Direct,
        port: 443,
        ca: Some("/ca".into()),
        insecure_tls: true,
    };
    assert_eq!(config.kubelet, kubelet);
    let prometheus = config.prometheus.unwrap();
    assert_eq!(prometheus.url, "https://p.example.org/prefix");
    assert_eq!(prometheus.matchers, [("cluster".into(), "a".into()), ("env".into(), "b=c".into())]);
    assert_eq!(prometheus.tenant, Some(("THANOS-TENANT".into(), "x".into())));
    let ceph = config.ceph.unwrap();
    let times = [ceph.interval, ceph.budget, ceph.deadline].map(|time| time.as_secs());
    assert_eq!((times, config.guest_concurrency), ([600, 60, 15], 3));
}

#[test]
fn a_tenant_without_a_header_is_a_scope() {
    let prometheus = config(&["--prometheus-url=http://p", "--prometheus-tenant=a|b"]).collect.prometheus;
    assert_eq!(prometheus.unwrap().tenant, Some(("X-Scope-OrgID".into(), "a|b".into())));
}

#[test]
fn settings_that_do_not_go_together_are_mistakes() {
    let files = "--ceph-user-file=/u";
    for line in [
        &["--ceph-url=https://c"][..],
        &["--ceph-url=https://c", files],
        &["--prometheus-bearer-token-file=/t", "--prometheus-basic-auth-file=/b"],
        &["--ceph-budget=5s"],
    ] {
        let found = mistakes(line);
        assert_eq!(found.len(), 1, "{line:?}: {found:?}");
    }
    assert!(config(&[files]).collect.ceph.is_none());
}

#[test]
fn an_address_with_a_secret_is_refused_and_not_shown() {
    for flag in ["--prometheus-url", "--ceph-url"] {
        for url in ["https://user:s3cret@host", "https://s3cret@host/x", "https://host/?token=s3cret"] {
            let found = mistakes(&[&format!("{flag}={url}")]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].setting.starts_with(flag));
            assert!(!Refusal::Mistakes(found).to_string().contains("s3cret"));
        }
    }
}

#[test]
fn all_mistakes_come_in_one_report() {
    let found = mistakes(&["--listen=x", "--namespace=UP", "--metrics-interval=0s", "--log-format=xml"]);
    assert_eq!(found.len(), 4, "{found:?}");
    let report = Refusal::Mistakes(found).to_string();
    for setting in ["--listen", "NAMESPACE", "WUKONG_METRICS_INTERVAL", "--log-format"] {
        assert!(report.contains(setting), "{report}");
    }
}

#[test]
fn a_bad_log_filter_is_a_mistake_like_any_other() {
    let refusal = read(["wukong-dashboard", "--listen=x"].map(OsString::from), "a=b=c").unwrap_err();
    let Refusal::Mistakes(found) = refusal else { panic!("{refusal}") };
    assert_eq!(found.iter().map(|m| m.setting).collect::<Vec<_>>(), ["--listen (WUKONG_LISTEN)", "RUST_LOG"]);
}

#[test]
fn lists_are_trimmed_and_kept_once() {
    let config =
        config(&["--namespace", " a, b,,a,", "--allowed-hosts", "Dash.Example.com, x:8443,[::1]:80"]);
    assert_eq!(config.collect.namespaces, Some(vec!["a".to_owned(), "b".to_owned()]));
    let hosts = ["dash.example.com", "x:8443", "[::1]:80"].map(str::to_owned).to_vec();
    assert_eq!(config.http.allowed_hosts, AllowedHosts::Named(hosts));
}

#[test]
fn a_star_is_every_host_and_nothing_is_what_suits_the_listener() {
    for (given, want) in
        [("*", AllowedHosts::Every), (" * ,", AllowedHosts::Every), (",", AllowedHosts::ByListener)]
    {
        for command in [&[][..], &["demo"]] {
            let flag = format!("--allowed-hosts={given}");
            assert_eq!(config(&[command, &[&flag]].concat()).http.allowed_hosts, want, "{given}");
        }
    }
}

#[test]
fn trusted_proxies_are_networks_and_single_addresses() {
    let proxies = config(&["--trusted-proxies=10.42.0.0/16, 192.0.2.7,fd00::/8"]).http.trusted_proxies;
    assert_eq!(
        proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.42.0.0/16", "192.0.2.7/32", "fd00::/8"]
    );
}

#[test]
fn an_empty_value_is_one_that_was_not_given() {
    let config = config(&["--namespace=", "--listen=", "--metrics-interval=", "--kubeconfig="]);
    assert_eq!(config.collect.namespaces, None);
    assert_eq!(config.listen, Listen::Address(([127, 0, 0, 1], 8081).into()));
    assert_eq!(config.kubernetes.kubeconfig, None);
}

#[test]
fn a_port_alone_is_every_address() {
    for (text, want) in [
        (":8081", Listen::EveryFamily { port: 8081 }),
        (":0", Listen::EveryFamily { port: 0 }),
        ("0.0.0.0:8081", Listen::Address(([0, 0, 0, 0], 8081).into())),
        ("[::]:8081", Listen::Address("[::]:8081".parse().unwrap())),
    ] {
        let listen = config(&["--listen", text]).listen;
        assert_eq!((listen, listen.to_string()), (want, text.to_owned()));
    }
}

#[test]
fn unknown_flags_and_commands_are_wrong_usage() {
    for line in [
        &["--nope"][..],
        &["fly"],
        &["--listen"],
        &["demo", "--kubeconfig", "x"],
        &["sim", "--namespace", "x"],
    ] {
        match read_line(line) {
            Err(Refusal::Clap(error)) => assert_eq!(error.exit_code(), 2, "{line:?}"),
            other => panic!("{line:?} gave {other:?}"),
        }
    }
}

#[test]
fn the_help_tells_unit_default_and_variable_of_every_flag() {
    use clap::CommandFactory;
    let mut command = Flags::command();
    command.clone().debug_assert();
    for name in ["", "demo", "sim"] {
        let command = if name.is_empty() { &mut command } else { command.find_subcommand_mut(name).unwrap() };
        for flag in
            command.get_arguments().filter(|a| !["help", "version", "tls"].contains(&a.get_id().as_str()))
        {
            assert!(flag.get_help().is_some() && flag.get_env().is_some(), "{name} {flag}");
        }
    }
}

/// Each client of events holds a connection.
#[test]
fn event_clients_leave_connections_to_pages() {
    let connections = crate::server::http::MOST_CONNECTIONS as u64;
    assert!(EVENT_CLIENTS.end() + 500 <= connections, "{} of {connections}", EVENT_CLIENTS.end());
}
