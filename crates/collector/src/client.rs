//! The clients of a cluster: one for the API server, and one for direct requests to kubelets.

use std::{path::PathBuf, sync::Arc};

use http::Response;
use http_body_util::BodyExt;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::{ClientBuilder, ConfigExt},
};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use tower::{BoxError, Layer, ServiceExt};

pub use super::connect::{ConnectError, CredentialError, Summary};
use super::{
    budget::Budgets,
    connect::{
        AnswerBody, Authenticated, Connections, Credentials, KubeconfigLocation, OnRefusal, Target, TlsError,
        find, of_kubeconfig,
    },
    quota::TotalQuota,
    transport::{WatchActivity, WatchdogLayer},
};
use crate::{
    config::{CollectConfig, KubeletAccess, KubeletConfig, KubernetesConfig},
    k8s::text::readable,
};
use i18n::Render;

/// How many characters of a version are shown.
const LONGEST_VERSION: usize = 60;

/// How many times the limit of one kind the objects of all kinds may take together: 10,000 VMs with four volumes each
/// take two thirds of it.
const ALL_KINDS: usize = 3;

/// A connected cluster: its clients, credentials and budgets.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// How the cluster is reached, and as which user.
    pub summary: Summary,
    credentials: Credentials,
    pub(super) watch_activity: WatchActivity,
    /// Limits what the answers of all peers may hold together.
    pub budgets: Budgets,
    /// What the watched objects of all kinds may take together.
    pub(crate) kept: TotalQuota,
    /// A client with the same credentials for direct requests to kubelets; `None` if they are not asked
    /// directly.
    pub(super) kubelets: Option<DirectClient>,
}

/// A client for kubelets. Its requests carry the whole URL, since there is no base address.
#[derive(Clone)]
pub struct DirectClient {
    pub client: Client,
    config: Config,
    credentials: Credentials,
    /// The CA file for kubelets, and its content when last read.
    ca: Option<(PathBuf, Vec<u8>)>,
}

/// Whether these credentials may do this, by a SelfSubjectAccessReview.
pub async fn may(client: &Client, attributes: ResourceAttributes) -> Result<bool, kube::Error> {
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Whether the API server has a collection: only that it does not is an answer. Reviews do not tell, since they allow
/// what does not exist.
pub async fn is_served(client: &Client, attributes: &ResourceAttributes) -> bool {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (group, plural) = (text(&attributes.group), text(&attributes.resource));
    let scope = attributes.namespace.as_ref().map(|name| format!("namespaces/{name}/")).unwrap_or_default();
    let request = http::Request::get(format!("/apis/{group}/v1/{scope}{plural}?limit=1")).body(Vec::new());
    let Ok(request) = request else { return true };
    let answer = client.request_text(request).await;
    !matches!(answer, Err(kube::Error::Api(status)) if status.code == 404)
}

/// The API server's version, safe to print on a terminal.
pub async fn version(client: &Client) -> Result<String, kube::Error> {
    let info = client.apiserver_version().await?;
    Ok(readable(&info.git_version, LONGEST_VERSION))
}

/// How many milliseconds the API server's clock is ahead of this machine's, by the `Date` header of an
/// answer; `None` if there is no such header.
pub async fn clock_ahead(client: &Client) -> Option<i64> {
    let request = http::Request::get("/version").body(kube::client::Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let date = response.headers().get(http::header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp().as_millisecond() - crate::clock::now())
}

/// Describes why a request failed, without quoting the answer or the credentials.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server answers {}", status.code),
        other => super::error::transport_error(other).detail.english(),
    }
}

/// Connects to the cluster of the embedded kubeconfig text; else of `--kubeconfig` or `KUBECONFIG`; else of
/// the pod that this program runs in; else of `~/.kube/config`.
pub async fn connect(
    kubernetes: &KubernetesConfig,
    collect: &CollectConfig,
) -> Result<Cluster, ConnectError> {
    Cluster::new(find(kubernetes, &collect.proxies)?, collect).await
}

/// Connects to the cluster of a kubeconfig given as text, such as the simulated cluster's.
pub async fn from_kubeconfig_text(
    yaml: &str,
    context: Option<&str>,
    collect: &CollectConfig,
) -> Result<Cluster, ConnectError> {
    let target = of_kubeconfig(KubeconfigLocation::Text(yaml.into()), context, &collect.proxies)?;
    Cluster::new(target, collect).await
}

impl Cluster {
    async fn new(target: Target, collect: &CollectConfig) -> Result<Self, ConnectError> {
        let Target { mut config, proxy, credentials, personal_token, summary } = target;
        if config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTP) && config.root_cert.is_none() {
            // Nothing to verify without TLS: this also works on a machine without any certificate authority.
            config.root_cert = Some(Vec::new());
        }
        let kubelets = DirectClient::new(&config, &credentials, personal_token, &collect.kubelet)?;
        let connections = Connections::new(config.clone(), proxy);
        connections.try_make()?;
        if let Some(credential) = credentials.obtain_cheap().await? {
            connections.with_identity(&credential.identity).map_err(|_| CredentialError::Certificate)?;
        }
        let watch_activity = WatchActivity::default();
        let watchdog =
            WatchdogLayer { watch_activity: watch_activity.clone(), watch_idle: collect.watch_idle };
        let service = Authenticated {
            credentials: credentials.clone(),
            connections: Arc::new(connections),
            on_refusal: OnRefusal::Replace,
        };
        let service = service
            .map_response(|response: Response<AnswerBody>| response.map(|body| body.map_err(BoxError::from)));
        let service = config.base_uri_layer().layer(config.extra_headers_layer()?.layer(service));
        let client = ClientBuilder::new(service, config.default_namespace).with_layer(&watchdog).build();
        let kept = TotalQuota::new(collect.collection_limit.saturating_mul(ALL_KINDS));
        let budgets = Budgets::default();
        Ok(Self { client, summary, credentials, watch_activity, budgets, kept, kubelets })
    }

    /// Waits until there are credentials, however long a plugin takes, or until obtaining them fails.
    pub async fn obtain_credentials(&self) -> Result<(), CredentialError> {
        self.credentials.obtained().await.map(drop)
    }
}

impl DirectClient {
    /// `None` if kubelets must not or cannot be asked directly. Without a CA to verify a kubelet, the
    /// credentials could be sent to anything that answers at its address; and kubelets do not support
    /// impersonation. A person's token permits more than reading statistics, so it is sent to kubelets only
    /// if that is configured.
    fn new(
        cluster: &Config,
        credentials: &Credentials,
        personal_token: bool,
        kubelet: &KubeletConfig,
    ) -> Result<Option<Self>, ConnectError> {
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
            KubeletAccess::Auto => known && !impersonates && !personal_token,
            KubeletAccess::Direct => true,
        };
        config.accept_invalid_certs = kubelet.insecure_tls;
        config.tls_server_name = None;
        let credentials = credentials.clone();
        Ok(if wanted {
            Some(Self { client: direct(&config, &credentials)?, config, credentials, ca })
        } else {
            None
        })
    }

    /// Reads the CA file again, since authorities are rotated. Returns whether its content has changed. A
    /// file that cannot be used leaves the previous authority in place: it may be half written.
    pub async fn renew(&mut self) -> bool {
        let Some((path, known)) = &mut self.ca else { return false };
        let pem = match tokio::fs::read(&*path).await {
            Ok(pem) if pem != *known => pem,
            _ => return false,
        };
        let made = trust(&mut self.config, &pem).and_then(|()| {
            direct(&self.config, &self.credentials).map_err(|error| ConnectError::from(error).to_string())
        });
        *known = pem;
        match made {
            Ok(client) => self.client = client,
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "cannot reload the file of --kubelet-ca, keeping the previous one");
                return false;
            }
        }
        true
    }
}

/// A client without a base address. A 401 from a single kubelet says nothing about the credentials.
fn direct(config: &Config, credentials: &Credentials) -> Result<Client, TlsError> {
    let connections = Connections::to_kubelets(config.clone());
    connections.try_make()?;
    let service = Authenticated {
        credentials: credentials.clone(),
        connections: Arc::new(connections),
        on_refusal: OnRefusal::Ignore,
    };
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// A client for the virt-handlers of a namespace. It sends them no credentials: they ask for none, and only
/// their answers have to be trusted. `None` accepts any certificate.
pub(super) fn virt_handlers(namespace: &str, authorities: Option<&[u8]>) -> Result<Client, String> {
    let mut config = Config::new(http::Uri::from_static("https://virt-handler"));
    // Their certificate has the name of a Service, and not their addresses (`secrets.go` of KubeVirt).
    config.tls_server_name = Some(format!("virt-handler.{namespace}.svc"));
    match authorities {
        Some(pem) => trust(&mut config, pem)?,
        None => config.accept_invalid_certs = true,
    }
    let connections = Connections::to_virt_handlers(config.clone());
    let service = connections.with_identity(&None).map_err(|error| error.to_string())?;
    Ok(Client::new(service, config.default_namespace))
}

fn trust(config: &mut Config, pem: &[u8]) -> Result<(), String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    let found = found.ok_or_else(|| "it has no certificates in PEM format".to_owned())?;
    config.root_cert = Some(found.into_iter().map(|certificate| certificate.to_vec()).collect());
    config.root_cert_file = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"current-context": "a", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}, {"name": "b", "context": {"cluster": "c", "user": "u"}}]}"#;

    async fn text(yaml: &str, context: Option<&str>) -> Result<String, String> {
        let cluster = from_kubeconfig_text(yaml, context, &CollectConfig::default()).await;
        cluster.map(|cluster| cluster.summary.context).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_context_gives_the_name() {
        assert_eq!(text(TWO, None).await.unwrap(), "a");
        assert_eq!(text(TWO, Some("b")).await.unwrap(), "b");
        assert!(text(TWO, Some("c")).await.unwrap_err().starts_with("the kubeconfig has no context named c"));
    }

    #[test]
    fn without_a_cluster_the_demo_is_named() {
        assert!(ConnectError::NoCluster.to_string().contains("wukong-dashboard demo"));
    }
}
