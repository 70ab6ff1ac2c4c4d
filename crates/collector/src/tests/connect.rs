//! An API server behind a proxy, with kubelets and a Prometheus.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{
    proxies::{ProxyBehavior, ProxyServer},
    tls::{Secure, ShownCertificates},
    *,
};
use crate::{
    budget::Budget,
    client::{Cluster, ConnectError, connect},
    config::{KubeletAccess, KubeletConfig, KubernetesConfig, PrometheusConfig, ProxyRules},
    outside::{Site, SiteLimits},
};
use i18n::key;

const LOGIN: ProxyBehavior = ProxyBehavior { login: true, refuses: false, hangs: false };
const REFUSES: ProxyBehavior = ProxyBehavior { refuses: true, login: false, hangs: false };

/// The answer of an API server to /version.
const VERSION: &str = r#"{"major":"1","minor":"36","gitVersion":"v1.36.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;

/// Connects to the cluster at this address; `fields` are further fields of its kubeconfig entry.
async fn cluster(server: &str, fields: &str, config: &CollectConfig) -> Result<Cluster, ConnectError> {
    let kubeconfig = format!(
        "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{server}'{fields}}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    from_kubeconfig_text(&kubeconfig, None, config).await
}

/// The version of the API server, or why it cannot be reached.
async fn version(cluster: &Cluster) -> Result<String, String> {
    let version = cluster.client.apiserver_version().await;
    version.map(|info| info.git_version).map_err(|error| super::super::client::words(&error))
}

fn api() -> Secure {
    Secure::start(|_, _| json(VERSION))
}

#[tokio::test]
async fn every_kind_of_proxy_reaches_a_server_on_this_machine_too() {
    let api = api();
    let server = format!("https://localhost:{}", api.port);
    for (proxy, scheme, login) in [
        (ProxyServer::http(ProxyBehavior::default()).await, "http", ""),
        (ProxyServer::http(LOGIN).await, "http", "user:p%61ss@"),
        (ProxyServer::https(ProxyBehavior::default()).await, "https", ""),
        (ProxyServer::https(LOGIN).await, "https", "user:pass@"),
        (ProxyServer::socks(ProxyBehavior::default()).await, "socks5", ""),
        (ProxyServer::socks(ProxyBehavior::default()).await, "socks5h", ""),
        (ProxyServer::socks(LOGIN).await, "socks5", "user:pass@"),
    ] {
        // As for kubectl, the authority of an HTTPS proxy is in the same file as the cluster's.
        let authorities = tempfile::NamedTempFile::new().unwrap();
        let both = [api.ca(), proxy.ca()].map(|file| std::fs::read_to_string(file).unwrap());
        std::fs::write(authorities.path(), both.concat()).unwrap();
        let fields = format!(
            ", tls-server-name: 127.0.0.1, certificate-authority: '{}', proxy-url: '{scheme}://{login}{}'",
            authorities.path().display(),
            proxy.address
        );
        let cluster = cluster(&server, &fields, &config()).await.unwrap();
        assert_eq!(version(&cluster).await.as_deref(), Ok("v1.36.0"), "{scheme} {login}");
        let led = proxy.led();
        assert_eq!(led.len(), 1, "{led:?}");
        assert!(led[0].contains(&format!("localhost:{}", api.port)), "it resolves the name itself: {led:?}");
        assert!(!cluster.summary.proxy.unwrap().contains("pass"));
    }
    let requests = api.server.asked("/version");
    assert!(requests.iter().all(|request| request.header("authorization") == "Bearer t"));
    assert!(
        requests.iter().all(|request| request.header("proxy-authorization").is_empty()),
        "the login is the proxy's"
    );
}

#[tokio::test]
async fn without_tls_a_proxy_receives_the_request_itself() {
    let api = Server::start(|_, _| json(VERSION));
    for (proxy, scheme, login) in [
        (ProxyServer::http(ProxyBehavior::default()).await, "http", ""),
        (ProxyServer::http(LOGIN).await, "http", "user:pass@"),
    ] {
        let fields = format!(", proxy-url: '{scheme}://{login}{}'", proxy.address);
        let cluster = cluster(&api.url, &fields, &config()).await.unwrap();
        assert_eq!(version(&cluster).await.as_deref(), Ok("v1.36.0"), "{login}");
        assert_eq!(proxy.led(), [format!("GET {}/version HTTP/1.1", api.url)]);
    }
    let proxy = ProxyServer::socks(ProxyBehavior::default()).await;
    let fields = format!(", proxy-url: 'socks5://{}'", proxy.address);
    assert!(version(&cluster(&api.url, &fields, &config()).await.unwrap()).await.is_ok());
    assert_eq!(proxy.led(), [api.url.trim_start_matches("http://")]);
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_is_reported_with_its_reason() {
    let api = api();
    let server = format!("https://127.0.0.1:{}", api.port);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (http_login, http_refuses) = (ProxyServer::http(LOGIN).await, ProxyServer::http(REFUSES).await);
    let (socks_login, socks_refuses) = (ProxyServer::socks(LOGIN).await, ProxyServer::socks(REFUSES).await);
    let hangs = ProxyServer::http(ProxyBehavior { hangs: true, ..ProxyBehavior::default() }).await;
    let stranger = ProxyServer::https(ProxyBehavior::default()).await;
    for (proxy, want) in [
        (format!("http://{closed}"), "the proxy to the API server cannot be reached"),
        (format!("socks5://{closed}"), "the proxy to the API server cannot be reached"),
        (format!("https://{}", stranger.address), "the proxy to the API server cannot be reached"),
        (format!("http://{}", http_login.address), "requires a user and a password"),
        (format!("http://user:wrong@{}", http_login.address), "requires a user and a password"),
        (format!("socks5://{}", socks_login.address), "requires a user and a password"),
        (format!("socks5://user:nope@{}", socks_login.address), "requires a user and a password"),
        (format!("http://{}", http_refuses.address), "the proxy refuses to connect"),
        (format!("socks5://{}", socks_refuses.address), "the proxy refuses to connect"),
        (format!("http://{}", hangs.address), "the API server does not answer"),
    ] {
        let fields = format!(", certificate-authority: '{}', proxy-url: '{proxy}'", api.ca().display());
        let cluster = cluster(&server, &fields, &config()).await.unwrap();
        let error = version(&cluster).await.unwrap_err();
        assert!(error.contains(want), "{proxy}: {error}");
        assert!(!error.contains("wrong") && !error.contains("127.0.0.1"), "{error}");
    }
    assert!(api.server.asked("/version").is_empty());
}

fn in_base64(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.encode(text)
}

/// Go accepts a certificate that is itself among the authorities, no matter who signed it, and skips what it cannot
/// parse (`Certificate.Verify` and `CertPool.AppendCertsFromPEM` of crypto/x509): kube-rs/kube#1767,
/// aptakube/aptakube#445, kubernetes-sigs/apiserver-network-proxy#902. Names and dates are checked all the same.
#[tokio::test]
async fn the_same_authorities_are_trusted_as_by_kubectl() {
    let params = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
    let authority = |mut params: CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let issuer =
        CertifiedIssuer::self_signed(authority(CertificateParams::default()), KeyPair::generate().unwrap())
            .unwrap();
    let expired = |mut params: CertificateParams| {
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2019, 1, 1), rcgen::date_time_ymd(2020, 1, 1));
        params
    };
    let unreadable = pem(b"no certificate");
    for (what, params, signed, beside, trusted) in [
        ("signed by somebody else", params("127.0.0.1"), true, "", true),
        ("signed by itself", params("127.0.0.1"), false, "", true),
        ("an authority too", authority(params("127.0.0.1")), false, "", true),
        ("of another name", params("api.example.org"), true, "", false),
        ("an authority of another name", authority(params("api.example.org")), false, "", false),
        ("expired", expired(params("127.0.0.1")), true, "", false),
        ("beside what cannot be read", params("127.0.0.1"), true, &*unreadable, true),
    ] {
        let key = KeyPair::generate().unwrap();
        let made = if signed { params.signed_by(&key, &issuer) } else { params.self_signed(&key) }.unwrap();
        let bundle = [beside, &made.pem()].concat();
        let api = Secure::showing(made.der().clone(), &key, &bundle, |_, _| json(VERSION));
        let data = format!(", certificate-authority-data: {}", in_base64(&bundle));
        let file = format!(", certificate-authority: '{}'", api.ca().display());
        for fields in [data, file] {
            let cluster = cluster(&api.server.url, &fields, &config()).await.unwrap();
            assert_eq!(version(&cluster).await.is_ok(), trusted, "{what}: {fields}");
        }
    }
    let api = api();
    let authority = std::fs::read_to_string(api.ca()).unwrap();
    let fields = |bundle: &str| format!(", certificate-authority-data: {}", in_base64(bundle));
    let beside =
        cluster(&api.server.url, &fields(&[&*unreadable, &authority].concat()), &config()).await.unwrap();
    assert_eq!(version(&beside).await.as_deref(), Ok("v1.36.0"), "an authority beside what cannot be read");
    assert!(cluster(&api.server.url, &fields(&unreadable), &config()).await.is_err(), "nothing can be read");
}

/// MicroK8s 1.34 (canonical/microk8s#5447).
#[tokio::test]
async fn client_certificates_of_any_version_are_sent() {
    let shown = Arc::<ShownCertificates>::default();
    let api = Secure::asking(&shown, |_, _| json(VERSION));
    let made = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let key = in_base64(&made.signing_key.serialize_pem());
    for der in [made.cert.der().to_vec(), version_1(made.cert.der())] {
        let kubeconfig = format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: '{}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {key}}}}}]\n",
            api.server.url,
            api.ca().display(),
            in_base64(&pem(&der)),
        );
        let cluster = from_kubeconfig_text(&kubeconfig, None, &config()).await.unwrap();
        assert_eq!(version(&cluster).await.as_deref(), Ok("v1.36.0"));
        assert_eq!(shown.0.lock().unwrap().pop(), Some(der));
    }
}

/// A Prometheus whose host name cannot be resolved.
fn prometheus() -> PrometheusConfig {
    PrometheusConfig {
        url: "http://prometheus.invalid:9090".parse().unwrap(),
        bearer_token_file: None,
        basic_auth_file: None,
        ca: None,
        matchers: Vec::new(),
        trusted_namespaces: vec!["kubevirt".into(), "kube-system".into()],
        tenant: None,
        deadline: Duration::from_secs(1),
    }
}

fn proxied_by(proxy: &ProxyServer) -> ProxyRules {
    let address = proxy.address.to_string();
    ProxyRules::read(|name| ["HTTP_PROXY", "HTTPS_PROXY"].contains(&name).then(|| address.clone()))
}

#[tokio::test]
async fn requests_to_prometheus_use_a_proxy_and_those_to_kubelets_never() {
    let proxy = ProxyServer::http(ProxyBehavior::default()).await;
    let (server, kubelets) =
        (Server::start(|request, _| quiet(request)), Secure::start(|_, _| json(r#"{"pods":[]}"#)));
    let kubelet = KubeletConfig {
        access: KubeletAccess::Direct,
        port: kubelets.port,
        ca: Some(kubelets.ca()),
        insecure_tls: false,
    };
    let config =
        CollectConfig { kubelet, prometheus: Some(prometheus()), proxies: proxied_by(&proxy), ..config() };
    let address: std::net::IpAddr = "127.0.0.2".parse().unwrap();
    let node = NodeTarget { name: "n".into(), address: Some(address), has_vms: true };
    let aims = Targets { nodes: vec![node].into(), ..Targets::default() };
    let mut collector = Collector::aim(&server, config, aims).await;
    collector
        .next(|observation| match observation {
            Observation::Summary { result, .. } => Some(result),
            _ => None,
        })
        .await
        .unwrap();
    while proxy.led().is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    let led = proxy.led();
    assert!(led.iter().all(|line| line.starts_with("GET http://prometheus.invalid:9090/")), "{led:?}");
}

#[tokio::test]
async fn prometheus_is_reached_through_a_proxy_that_requires_a_login() {
    let server = Server::start(|request, _| quiet(request));
    for (proxy, scheme, url, target) in [
        (ProxyServer::http(LOGIN).await, "http", "http://prometheus.invalid:9090", "prometheus.invalid:9090"),
        (
            ProxyServer::https(LOGIN).await,
            "https",
            "http://prometheus.invalid",
            "GET http://prometheus.invalid/",
        ),
        (
            ProxyServer::https(LOGIN).await,
            "https",
            "https://prometheus.invalid",
            "CONNECT prometheus.invalid:443",
        ),
        (
            ProxyServer::socks(LOGIN).await,
            "socks5",
            "http://prometheus.invalid:9090",
            "prometheus.invalid:9090",
        ),
        (ProxyServer::socks(LOGIN).await, "socks5", "http://prometheus.invalid", "prometheus.invalid:80"),
    ] {
        let address = format!("{scheme}://user:p%61ss@{}", proxy.address);
        let proxies =
            ProxyRules::read(|name| ["HTTP_PROXY", "HTTPS_PROXY"].contains(&name).then(|| address.clone()));
        // The authority of an HTTPS proxy is in the same file as that of the site.
        let ca = (scheme == "https").then(|| proxy.ca());
        let prometheus = PrometheusConfig { url: url.parse().unwrap(), ca, ..prometheus() };
        let config = CollectConfig { prometheus: Some(prometheus), proxies, ..config() };
        let _collector = Collector::start(&server, config, &[]).await;
        let proxied = async {
            while proxy.led().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, proxied).await.expect("the proxy led on");
        assert!(proxy.led()[0].contains(target), "{:?}", proxy.led());
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_to_a_site_is_reported_with_its_reason() {
    let closed = nobody().replace("http://", "");
    let (login, refuses) = (ProxyServer::http(LOGIN).await, ProxyServer::socks(REFUSES).await);
    for (proxy, want) in [
        (format!("http://{closed}"), "the proxy to Ceph cannot be reached"),
        (
            format!("http://user:wrong@{}", login.address),
            "the proxy to Ceph requires a user and a password: add them to its address",
        ),
        (
            format!("socks5://{}", refuses.address),
            "the proxy refuses to connect to Ceph: allow its host and port there",
        ),
    ] {
        let proxies = ProxyRules::read(|name| (name == "HTTPS_PROXY").then(|| proxy.clone()));
        let limits = SiteLimits { deadline: LONG, limit: 1000, budget: Budget::new(&[]) };
        let site = Site::new("Ceph", "https://ceph.invalid".parse().unwrap(), None, limits);
        let mut site = site.through(&proxies);
        let session = site.open().await.unwrap();
        let request = http::Request::get(session.url(&[]).as_str()).body(Vec::new()).unwrap();
        let failure = session.send(request).await.map(drop).unwrap_err();
        let error = site.describe(key!(collect.user_and_password), &failure);
        assert_eq!((error.reason, error.detail.english().as_str()), (Reason::Unreachable, want));
    }
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_for_the_api_server_except_where_excluded() {
    let (proxy, api) = (ProxyServer::http(ProxyBehavior::default()).await, api());
    let address = proxy.address.to_string();
    // The proxy resolves the name. This one cannot, which is enough to see that it received the request.
    for (except, request) in [("", true), ("example.invalid", false), ("*", false)] {
        let proxies = ProxyRules::read(|name| match name {
            "https_proxy" => Some(address.clone()),
            "no_proxy" => Some(except.to_owned()),
            _ => None,
        });
        let before = proxy.led().len();
        let config = CollectConfig { proxies, ..config() };
        let fields = format!(", certificate-authority: '{}'", api.ca().display());
        let cluster = cluster("https://api.example.invalid:6443", &fields, &config).await.unwrap();
        assert!(version(&cluster).await.is_err());
        assert_eq!(proxy.led().len() > before, request, "{except}");
    }
}

#[tokio::test]
async fn a_list_of_kubeconfigs_is_merged_and_a_single_one_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, there) = (folder.path().join("gone"), folder.path().join("there"));
    let text = "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n\
                clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n";
    std::fs::write(&there, text).unwrap();
    let connected = async |kubeconfig: std::path::PathBuf| {
        let kubernetes = KubernetesConfig { kubeconfig: Some(kubeconfig), ..KubernetesConfig::default() };
        connect(&kubernetes, &config()).await.map(|cluster| cluster.summary.context)
    };
    assert!(matches!(connected(gone.clone()).await, Err(ConnectError::File { path, .. }) if path == gone));
    let list = std::env::join_paths([&gone, &there]).unwrap();
    assert_eq!(connected(list.into()).await.unwrap(), "a");
}
