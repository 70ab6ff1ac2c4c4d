//! Which cluster, as whom, and through what.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::{ClientBuilder, ConfigExt},
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use tower::{BoxError, Layer, ServiceExt};

use super::transport::{Pulses, WatchdogLayer};
use crate::server::config::{CollectConfig, KubeletAccess, KubeletConfig, KubernetesConfig};

/// TCP and TLS handshake together. Short, since a cluster that comes back should be met again within 10 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A kubelet is near: one that is not met within this is behind a firewall, and asked through the API server.
const KUBELET_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Where a pod finds its service account's token.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// The kubeconfig's context, or `in-cluster`.
    pub name: String,
    pub(super) pulses: Pulses,
    /// The same credentials for kubelets themselves.
    pub(super) kubelets: Option<Straight>,
}

/// A client for kubelets: its requests name the whole address.
#[derive(Clone)]
pub struct Straight {
    pub client: Client,
    config: Config,
    /// The file of their authority, and what was in it.
    ca: Option<(PathBuf, Vec<u8>)>,
}

/// Whether these credentials may do this, by SelfSubjectAccessReview: the one thing that this program ever creates.
pub async fn may(client: &Client, attributes: ResourceAttributes) -> Result<bool, kube::Error> {
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Why there is no cluster to ask. Nothing here was sent over the network yet.
///
/// Other errors are told in words, not kept as a source: a YAML error quotes the lines around it, an exec plugin's
/// its output, a proxy's its address, and each of them can hold a credential.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "no cluster is configured: there is no --kubeconfig or KUBECONFIG, no service account of a pod, and no \
         ~/.kube/config.\nTo see the dashboard without a cluster, run `wukong-dashboard demo`"
    )]
    NoCluster,
    #[error("cannot use the kubeconfig {path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("cannot use the kubeconfig: {0}")]
    Kubeconfig(String),
    #[error("the kubeconfig has no context named {0}")]
    NoContext(String),
    #[error("cannot use the pod's service account: {0}")]
    ServiceAccount(#[from] InClusterError),
    #[error("cannot set up the connection to the cluster: {0}")]
    Client(String),
    #[error("cannot use --kubelet-ca {path}: {why}")]
    KubeletCa { path: PathBuf, why: String },
}

impl From<KubeconfigError> for ConnectError {
    fn from(error: KubeconfigError) -> Self {
        Self::Kubeconfig(kubeconfig_words(&error))
    }
}

impl From<kube::Error> for ConnectError {
    fn from(error: kube::Error) -> Self {
        Self::Client(match error {
            kube::Error::ProxyProtocolDisabled { .. } | kube::Error::ProxyProtocolUnsupported { .. } => {
                "a proxy is set (HTTPS_PROXY, or proxy-url in the kubeconfig), and proxies are not supported"
                    .into()
            }
            kube::Error::Auth(_) => "its credentials cannot be obtained".into(),
            other => other.to_string(),
        })
    }
}

fn kubeconfig_words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".into(),
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        other => other.to_string(),
    }
}

/// Why a request of the client failed, without what its answer or its credentials said.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server answers {}", status.code),
        other => super::error::transport_error(other).detail.to_string(),
    }
}

/// The cluster that is at hand as text; else that of `--kubeconfig` or `KUBECONFIG`, else of the pod this runs
/// in, else of `~/.kube/config`.
pub async fn connect(
    kubernetes: &KubernetesConfig,
    collect: &CollectConfig,
) -> Result<Cluster, ConnectError> {
    let context = kubernetes.context.as_deref();
    if let Some(yaml) = &kubernetes.embedded {
        return from_kubeconfig_text(yaml, context, collect).await;
    }
    let named = kubernetes.kubeconfig.clone().or_else(|| env::var_os("KUBECONFIG").map(PathBuf::from));
    if let Some(paths) = named.filter(|paths| !paths.as_os_str().is_empty()) {
        return from_kubeconfig(read_files(&paths)?, context, collect).await;
    }
    // A pod's service account has no contexts: who names one means a kubeconfig.
    if context.is_none() && in_pod() {
        return Cluster::new(Config::incluster()?, "in-cluster".into(), collect);
    }
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    match home.filter(|path| path.is_file()) {
        Some(path) => from_kubeconfig(read_file(&path)?, context, collect).await,
        None => Err(ConnectError::NoCluster),
    }
}

/// The cluster of a kubeconfig that is at hand as text.
pub async fn from_kubeconfig_text(
    yaml: &str,
    context: Option<&str>,
    collect: &CollectConfig,
) -> Result<Cluster, ConnectError> {
    from_kubeconfig(Kubeconfig::from_yaml(yaml)?, context, collect).await
}

async fn from_kubeconfig(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    collect: &CollectConfig,
) -> Result<Cluster, ConnectError> {
    let context = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone());
    let known = |name: &String| kubeconfig.contexts.iter().any(|context| context.name == *name);
    if let Some(unknown) = context.as_ref().filter(|name| !known(name)) {
        return Err(ConnectError::NoContext(unknown.clone()));
    }
    let name = context.clone().unwrap_or_default();
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Cluster::new(Config::from_custom_kubeconfig(kubeconfig, &options).await?, name, collect)
}

/// `KUBECONFIG` may list several files, of which those that exist are merged.
fn read_files(paths: &Path) -> Result<Kubeconfig, ConnectError> {
    let paths: Vec<PathBuf> = env::split_paths(paths).filter(|path| !path.as_os_str().is_empty()).collect();
    let several = paths.len() > 1 && paths.iter().any(|path| path.exists());
    let mut merged = Kubeconfig::default();
    for path in paths.iter().filter(|path| !several || path.exists()) {
        merged = merged.merge(read_file(path)?)?;
    }
    Ok(merged)
}

fn read_file(path: &Path) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path)
        .map_err(|error| ConnectError::File { path: path.into(), why: kubeconfig_words(&error) })
}

fn in_pod() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(SERVICE_ACCOUNT_TOKEN).exists()
}

impl Cluster {
    fn new(mut config: Config, name: String, collect: &CollectConfig) -> Result<Self, ConnectError> {
        // It would ask about ten times for each dead node; polls and watches have their own patience.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // A quiet watch is no dead one: the watchdog below knows the difference.
        config.read_timeout = None;
        if is_loopback(&config.cluster_url) {
            config.proxy_url = None;
        }
        if config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTP) && config.root_cert.is_none() {
            // Nothing to verify: a machine without any certificate authority can be its client too.
            config.root_cert = Some(Vec::new());
        }
        let kubelets = Straight::new(&config, &collect.kubelet)?;
        let pulses = Pulses::default();
        let watchdog = WatchdogLayer { pulses: pulses.clone(), watch_idle: collect.watch_idle };
        let builder = ClientBuilder::try_from(config)?;
        Ok(Self { client: builder.with_layer(&watchdog).build(), name, pulses, kubelets })
    }
}

impl Straight {
    /// None where kubelets are not to be asked straight, or cannot be: without an authority to tell a kubelet by, the
    /// credentials would go to whoever answers at its address; and a kubelet knows no impersonation.
    fn new(cluster: &Config, kubelet: &KubeletConfig) -> Result<Option<Self>, ConnectError> {
        let (mut config, mut ca) = (cluster.clone(), None);
        if let Some(path) = &kubelet.ca {
            let refuse = |why: String| ConnectError::KubeletCa { path: path.into(), why };
            let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
            trust(&mut config, &pem).map_err(refuse)?;
            ca = Some((path.clone(), pem));
        }
        let auth = &config.auth_info;
        let impersonates = auth.impersonate.is_some() || auth.impersonate_groups.is_some();
        let known = config.root_cert.is_some() || kubelet.insecure_tls;
        let wanted = match kubelet.access {
            KubeletAccess::Proxy => false,
            KubeletAccess::Auto => known && !impersonates,
            KubeletAccess::Direct => true,
        };
        config.accept_invalid_certs = kubelet.insecure_tls;
        config.tls_server_name = None;
        Ok(if wanted { Some(Self { client: straight(&config)?, config, ca }) } else { None })
    }

    /// Reads the authority's file again, since authorities are rotated; whether there is another one in it. A file
    /// that cannot be used leaves the one before: it may be half written.
    pub async fn renew(&mut self) -> bool {
        let Some((path, known)) = &mut self.ca else { return false };
        let pem = match tokio::fs::read(&*path).await {
            Ok(pem) if pem != *known => pem,
            _ => return false,
        };
        let made = trust(&mut self.config, &pem)
            .and_then(|()| straight(&self.config).map_err(|error| ConnectError::from(error).to_string()));
        *known = pem;
        match made {
            Ok(client) => self.client = client,
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "the new --kubelet-ca cannot be used");
                return false;
            }
        }
        true
    }
}

/// A client without an address of its own.
fn straight(config: &Config) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(KUBELET_CONNECT_TIMEOUT));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    // Each is asked once a minute: connections kept until then would cost more than they spare.
    let http = HttpClient::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let service = ServiceExt::<http::Request<kube::client::Body>>::map_err(http, BoxError::from);
    let namespace = config.default_namespace.clone();
    Ok(match config.auth_layer()? {
        Some(auth) => Client::new(auth.layer(service), namespace),
        None => Client::new(service, namespace),
    })
}

fn trust(config: &mut Config, pem: &[u8]) -> Result<(), String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    let found = found.ok_or_else(|| "it holds no certificates in PEM".to_owned())?;
    config.root_cert = Some(found.into_iter().map(|certificate| certificate.to_vec()).collect());
    config.root_cert_file = None;
    Ok(())
}

/// A proxy of the environment is not meant for this machine itself.
pub(super) fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"current-context": "a", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}, {"name": "b", "context": {"cluster": "c", "user": "u"}}]}"#;

    async fn text(yaml: &str, context: Option<&str>) -> Result<String, String> {
        let cluster = from_kubeconfig_text(yaml, context, &CollectConfig::default()).await;
        cluster.map(|cluster| cluster.name).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_context_gives_the_name() {
        assert_eq!(text(TWO, None).await.unwrap(), "a");
        assert_eq!(text(TWO, Some("b")).await.unwrap(), "b");
        assert_eq!(text(TWO, Some("c")).await.unwrap_err(), "the kubeconfig has no context named c");
    }

    #[tokio::test]
    async fn what_is_no_kubeconfig_is_an_error_without_its_secrets() {
        for yaml in ["", "{}", "users: [", "users: [{name: u, user: {token: [s3cret]}}]"] {
            let error = text(yaml, None).await.unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.starts_with("cannot use the kubeconfig"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_named_must_exist_and_a_list_may_have_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let (gone, here) = (dir.path().join("gone"), dir.path().join("here"));
        std::fs::write(&here, TWO).unwrap();
        let config = |kubeconfig: PathBuf| KubernetesConfig {
            kubeconfig: Some(kubeconfig),
            ..KubernetesConfig::default()
        };
        let connect = async |path| connect(&config(path), &CollectConfig::default()).await.map(|c| c.name);
        assert!(matches!(connect(gone.clone()).await, Err(ConnectError::File { path, .. }) if path == gone));
        let list = env::join_paths([&gone, &here]).unwrap();
        assert_eq!(connect(list.into()).await.unwrap(), "a");
    }

    #[test]
    fn without_a_cluster_the_demo_is_named() {
        assert!(ConnectError::NoCluster.to_string().contains("wukong-dashboard demo"));
    }

    #[test]
    fn loopback_is_known() {
        for (url, want) in [
            ("http://127.0.0.1:80", true),
            ("https://[::1]:6443", true),
            ("http://localhost", true),
            ("https://10.0.0.1", false),
            ("https://localhost.example.org", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), want, "{url}");
        }
    }
}
