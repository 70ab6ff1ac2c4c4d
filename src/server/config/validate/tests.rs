mod auth_proxy;
mod oidc;
mod sign_in;

use std::time::Duration;

use super::*;
use crate::server::config::{AllowedHosts, ClaimMappings, Config, HttpConfig, Listen, SignInMode, SimSize};
use collector::config::{CollectConfig, KubeletAccess, KubeletConfig, ProxyRules, VirtHandlerConfig};
use model::source::SourceId;

fn read_line(line: &[&str]) -> Result<Invocation, Error> {
    let words = std::iter::once("wukong-dashboard").chain(line.iter().copied());
    read(words.map(OsString::from), "")
}

/// The error as it is printed, which is wrong usage.
fn refusal(line: &[&str]) -> String {
    let error = read_line(line).expect_err("a refusal");
    assert_eq!(error.exit_code(), 2, "{line:?}: {error}");
    error.to_string()
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
    let virt_handler = Some(VirtHandlerConfig::default());
    assert_eq!(
        format!("{collect:?}"),
        format!("{:?}", CollectConfig { virt_handler, ..CollectConfig::default() })
    );
    assert_eq!(format!("{:?}", config.http), format!("{:?}", HttpConfig::default()));
    assert!(config.kubernetes.kubeconfig.is_none());
    let Task::Demo(_, size) = read_line(&["demo"]).unwrap().task else { panic!("no demo") };
    assert_eq!(size, SimSize { vms: 60, nodes: 6, seed: 1, old_kubevirt: false });
}

#[test]
fn virt_handlers_are_asked_unless_that_leaves_the_namespaces() {
    let asked = |line: &[&str]| config(line).collect.virt_handler.map(|of| of.namespace);
    let kubevirt = || Some(Some("kubevirt".to_owned()));
    assert_eq!(asked(&[]), Some(None), "where the KubeVirt object is");
    assert_eq!(asked(&["--namespace=shop"]), None);
    assert_eq!(asked(&["--kubevirt-namespace=kubevirt"]), kubevirt());
    assert_eq!(asked(&["--namespace=shop", "--kubevirt-namespace=kubevirt"]), kubevirt());
}

#[test]
fn every_bad_value_names_its_flag_and_variable() {
    for (flag, bad) in [
        (
            "--listen",
            &["8081", "localhost:8081", "127.0.0.1", "127.0.0.1:99999", ":", ":99999", ":http", "::1:80"][..],
        ),
        ("--kubevirt-namespace", &["A", "a_b", "a,b", "a.b"][..]),
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
        ("--sign-in", &["password", "Token", "none,token", "token,none", "token,password", ","][..]),
        (
            "--public-url",
            &["vms.example", "ftp://a", "https://", "https://a/?x", "a b", "https://a/#x", "https://u@a/"][..],
        ),
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
        ("--ceph-budget", &["99ms", "2h"][..]),
        ("--ceph-deadline", &["6m", "50ms"][..]),
        ("--guest-agent-concurrency", &["0", "many"][..]),
        ("--guest-agent-deadline", &["0s", "1h"][..]),
    ] {
        for value in bad {
            let error = refusal(&[&format!("{flag}={value}")]);
            let shown = if HIDDEN.contains(&flag) { "…" } else { value };
            assert!(error.starts_with(&format!("error: invalid value '{shown}' for '{flag}")), "{error}");
            let variable = if flag == "--namespace" { "NAMESPACE" } else { "WUKONG_" };
            assert!(error.lines().next().unwrap().contains(&format!(" ({variable}")), "{error}");
        }
    }
    for (flag, value) in [("--vms", "0"), ("--vms", "10001"), ("--nodes", "501"), ("--seed", "x")] {
        for command in ["demo", "sim"] {
            let error = refusal(&[command, flag, value]);
            assert!(
                error.contains(&format!("invalid value '{value}' for '{flag} <NUMBER> (WUKONG_")),
                "{error}"
            );
        }
    }
    let error = refusal(&["sim", "--listen=x"]);
    assert!(error.contains("(WUKONG_SIM_LISTEN)"), "{error}");
}

/// Flags whose values may hold a secret.
const HIDDEN: [&str; 4] = ["--prometheus-url", "--prometheus-tenant", "--ceph-url", "--oidc-issuer"];

#[test]
fn a_refusal_says_what_is_allowed() {
    for (argument, allowed) in [
        ("--kubelet-port=0", "1..=65535"),
        ("--max-event-clients=2501", "1..=2500"),
        ("--metrics-interval=0s", "from 1s to 1h"),
        ("--collection-limit=5Gi", "from 1Mi to 4096Mi"),
        ("--log-format=xml", "text, json"),
        ("--kubelet-access=straight", "auto, proxy, direct"),
        ("--kubelet-insecure-tls=yes", "true, false"),
        ("--disk-sources=nfs", "kubelet, prometheus, guest-agent, longhorn, ceph"),
    ] {
        let error = refusal(&[argument]);
        assert!(error.contains(allowed), "{error}");
    }
}

#[test]
fn flags_of_sources_are_parsed() {
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
fn a_tenant_without_a_header_is_sent_as_scope_org_id() {
    let prometheus = config(&["--prometheus-url=http://p", "--prometheus-tenant=a|b"]).collect.prometheus;
    assert_eq!(prometheus.unwrap().tenant, Some(("X-Scope-OrgID".into(), "a|b".into())));
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    let files = "--ceph-user-file=/u";
    for (line, reported) in [
        (&["--ceph-url=https://c"][..], "--ceph-password-file <FILE> (WUKONG_CEPH_PASSWORD_FILE)"),
        (&["--ceph-url=https://c", files], "--ceph-password-file"),
        (
            &["--prometheus-bearer-token-file=/t", "--prometheus-basic-auth-file=/b"],
            "cannot be used with '--prometheus-basic-auth-file",
        ),
        (&["--ceph-budget=5s"], "--ceph-budget (WUKONG_CEPH_BUDGET) is 5s, shorter than --ceph-deadline"),
        (&["check", "--ceph-deadline=61s"], "which is 1m 1s"),
        (&["demo", "--ceph-budget=14s"], "--ceph-budget"),
    ] {
        let error = refusal(line);
        assert!(error.contains(reported), "{line:?}: {error}");
    }
    assert!(config(&[files]).collect.ceph.is_none());
    config(&["--prometheus-bearer-token-file=/t", "--prometheus-basic-auth-file="]);
}

#[test]
fn a_value_that_may_hold_a_secret_is_not_shown() {
    for flag in ["--prometheus-url", "--ceph-url"] {
        for url in
            ["https://user:s3cret@host", "https://s3cret@host/x", "https://host/?token=s3cret", "s3cret"]
        {
            let error = refusal(&[&format!("{flag}={url}")]);
            assert!(error.contains(flag) && !error.contains("s3cret"), "{error}");
        }
    }
    for tenant in ["Authorization: Bearer s3cret", "s3cret\n"] {
        let error = read_line(&[&format!("--prometheus-tenant=Authorization:{tenant}")]).unwrap_err();
        assert!(
            !error.to_string().contains("s3cret") && !format!("{error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[test]
fn a_bad_log_filter_is_wrong_usage() {
    let error = read(["wukong-dashboard"].map(OsString::from), "a=b=c").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("invalid value 'a=b=c' for RUST_LOG: expected "), "{error}");
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
fn a_star_accepts_every_host_and_an_empty_list_depends_on_the_listener() {
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
    let proxies = config(&["--sign-in=token", "--trusted-proxies=10.42.0.0/16, 192.0.2.7,fd00::/8"])
        .http
        .trusted_proxies;
    assert_eq!(
        proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.42.0.0/16", "192.0.2.7/32", "fd00::/8"]
    );
}

#[test]
fn an_empty_value_was_not_given() {
    let config = config(&[
        "--namespace=",
        "--listen=",
        "--metrics-interval= ",
        "--kubelet-port",
        "",
        "--kubeconfig",
        " ",
        "--disk-sources=",
    ]);
    assert_eq!(config.collect.namespaces, None);
    assert_eq!(config.listen, Listen::Address(([127, 0, 0, 1], 8081).into()));
    assert_eq!(config.kubernetes.kubeconfig, None);
    assert_eq!(config.collect.metrics_interval, Duration::from_secs(15));
    assert_eq!(config.collect.kubelet.port, 10250);
    assert_eq!(config.collect.disk_sources, SourceId::DISK);
    for line in [&["--nope="][..], &["--tls", ""], &["sim", "--tls="], &[""]] {
        refusal(line);
    }
}

/// Otherwise a setting that trusts nobody would trust five namespaces.
#[test]
fn empty_trusted_namespaces_are_none() {
    let trusted = |line: &[&str]| {
        let line = [&["--prometheus-url=http://p"], line].concat();
        self::config(&line).collect.prometheus.unwrap().trusted_namespaces
    };
    assert_eq!(trusted(&[]).len(), 5);
    assert!(trusted(&["--prometheus-trusted-namespaces="]).is_empty());
    assert!(trusted(&["--prometheus-trusted-namespaces", ""]).is_empty());
}

#[test]
fn spaces_around_a_value_are_ignored() {
    let config = config(&[
        "--listen= :80 ",
        "--sign-in= none ",
        "--kubelet-port= 443\n",
        "--kubelet-access= proxy",
        "--metrics-interval=20s ",
        "--collection-limit= 1Mi",
        "--prometheus-url= http://p ",
        "--kubelet-ca= /ca ",
        "--context= a ",
    ]);
    assert_eq!(config.listen, Listen::EveryFamily { port: 80 });
    let kubelet = config.collect.kubelet;
    assert_eq!((kubelet.port, kubelet.access, kubelet.ca), (443, KubeletAccess::Proxy, Some("/ca".into())));
    assert_eq!((config.collect.metrics_interval.as_secs(), config.collect.collection_limit), (20, 1 << 20));
    assert_eq!(config.collect.prometheus.unwrap().url, "http://p");
    assert_eq!(config.kubernetes.context.as_deref(), Some("a"));
}

#[test]
fn a_port_alone_means_every_address() {
    for (text, want) in [
        (":8081", Listen::EveryFamily { port: 8081 }),
        (":0", Listen::EveryFamily { port: 0 }),
        ("0.0.0.0:8081", Listen::Address(([0, 0, 0, 0], 8081).into())),
        ("[::]:8081", Listen::Address("[::]:8081".parse().unwrap())),
    ] {
        let listen = config(&["--listen", text, "--sign-in=none"]).listen;
        assert_eq!((listen, listen.to_string()), (want, text.to_owned()));
    }
}

#[test]
fn check_takes_every_flag_of_the_dashboard() {
    use clap::CommandFactory;
    let command = Flags::command();
    let flags = |command: &Command| -> Vec<(String, Option<OsString>)> {
        let named =
            command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
        named.map(|arg| (arg.get_id().to_string(), arg.get_env().map(Into::into))).collect()
    };
    let of_check = flags(command.find_subcommand("check").unwrap());
    for flag in flags(&command) {
        assert!(of_check.contains(&flag), "{flag:?}");
    }
    let line = [
        "--listen=:8443",
        "--allowed-hosts=vms.example",
        "--trusted-proxies=10.0.0.0/8",
        "--max-event-clients=5",
        "--sign-in=token",
    ];
    let Task::Check(config, _) = read_line(&[&["check"], &line[..]].concat()).unwrap().task else {
        panic!("no check")
    };
    assert_eq!(format!("{:?}", config.http), format!("{:?}", self::config(&line).http));
    assert!(refusal(&["check", "--listen=8443"]).contains("'--listen <ADDRESS:PORT> (WUKONG_LISTEN)'"));
    // The image sets WUKONG_LISTEN for the dashboard.
    assert!(read_line(&["check", "--listen=:8081"]).is_ok());
}

#[test]
fn a_public_url_without_tls_does_not_lead_to_a_listener_with_tls() {
    let tls = ["--sign-in=token", "--tls-cert=/crt", "--tls-key=/key"];
    for command in [&[][..], &["check"]] {
        let refused = refusal(&[command, &tls, &["--public-url=http://localhost:8081"]].concat());
        assert!(refused.contains("write https://"), "{refused}");
        assert!(read_line(&[command, &tls, &["--public-url=https://vms.example"]].concat()).is_ok());
    }
}

#[test]
fn people_of_the_simulated_cluster_have_names_groups_and_namespaces() {
    let line = ["sim", "--viewer=oidc:ana+oidc:ops+b@c=shop, payments", "--viewer", "bo=;cy=data"];
    let Task::Sim(config) = read_line(&line).unwrap().task else { panic!("no sim") };
    let found: Vec<_> =
        config.viewers.iter().map(|of| (&*of.name, of.groups.join(","), of.namespaces.join(","))).collect();
    assert_eq!(
        found,
        [
            ("oidc:ana", "oidc:ops,b@c".to_owned(), "shop,payments".to_owned()),
            ("bo", String::new(), String::new()),
            ("cy", String::new(), "data".to_owned()),
        ]
    );
    for bad in ["ana", "=shop", "ana+=shop", "ana=Shop", "a\u{7}=shop"] {
        let error = refusal(&["sim", &format!("--viewer={bad}")]);
        assert!(error.contains("--viewer") && error.contains("(WUKONG_SIM_VIEWER)"), "{error}");
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
        refusal(line);
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
    let most = flags::EVENT_CLIENTS.end();
    assert!(most + 500 <= connections, "{most} of {connections}");
}

#[test]
fn the_public_url_has_a_path_of_one_spelling() {
    for (url, base) in [
        ("https://ops.example", ""),
        ("https://ops.example/", ""),
        ("https://ops.example/vms", "/vms"),
        ("https://ops.example/vms/", "/vms"),
        ("http://localhost:8080/a/b-c._~1/", "/a/b-c._~1"),
    ] {
        let public_url = config(&["--sign-in=token", "--public-url", url]).http.sign_in.public_url.unwrap();
        assert_eq!(public_url.base_path(), base, "{url}");
    }
    for path in [
        "//", "/a//", "/a//b", "/.", "/../a", "/a/./b", "/a/..", "/%61", "/a b", "/ü", "/a;b", "/a:b", "/a'b",
    ] {
        assert!(
            refusal(&["--public-url", &format!("https://ops.example{path}")]).contains("--public-url"),
            "{path}"
        );
    }
}
