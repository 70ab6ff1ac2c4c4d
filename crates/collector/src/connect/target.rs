//! Finds the cluster to connect to: its address, its CA, the proxy, and the credentials. Used by
//! `client::connect` and `client::from_kubeconfig_text`.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::BoxFuture;
use http::Uri;
use kube::{
    Config,
    config::{AuthInfo, Cluster},
};
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use url::Url;

use super::{
    ConnectError, CredentialError,
    credentials::{Cost, Credentials, Obtain},
    kubeconfig::{Context, KubeconfigLocation, decode_data},
    user::{Method, ReadyCredentials, User},
};
use crate::config::{KubernetesConfig, Proxy, ProxyRules, is_loopback, parse_address};

/// The token of a pod's service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The name shown for the cluster of the pod that this program runs in.
const IN_CLUSTER: &str = "in-cluster";

/// Everything that is needed to connect to a cluster.
pub struct Target {
    /// Without credentials: those are added to each request.
    pub config: Config,
    pub proxy: Option<Proxy>,
    pub credentials: Credentials,
    /// Whether the credentials are a kubeconfig's and are sent whole, such as a token: it permits whatever
    /// its owner may do.
    pub personal_token: bool,
    pub summary: Summary,
}

/// A description of the connection for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The kubeconfig's context, or `in-cluster`.
    pub context: String,
    /// The API server's address, without user, password and query.
    pub address: String,
    /// The proxy's address, without them too.
    pub proxy: Option<String>,
    /// The kind of credentials.
    pub credentials: String,
}

/// Finds the cluster of the embedded kubeconfig text; else of `--kubeconfig` or KUBECONFIG; else of the pod
/// that this program runs in; else of `~/.kube/config`.
pub fn find(kubernetes: &KubernetesConfig, proxies: &ProxyRules) -> Result<Target, ConnectError> {
    let context = kubernetes.context.as_deref();
    if let Some(yaml) = &kubernetes.embedded {
        return of_kubeconfig(KubeconfigLocation::Text(yaml.as_str().into()), context, proxies);
    }
    let named = kubernetes.kubeconfig.clone().or_else(|| env::var_os("KUBECONFIG").map(PathBuf::from));
    if let Some(paths) = named.filter(|paths| !paths.as_os_str().is_empty()) {
        return of_kubeconfig(KubeconfigLocation::of_list(&paths), context, proxies);
    }
    // A pod's service account has no contexts, so a given context means a kubeconfig.
    if context.is_none() && in_pod() {
        return of_pod(Config::incluster()?, Path::new(SERVICE_ACCOUNT_TOKEN), proxies);
    }
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    match home.filter(|path| path.is_file()) {
        Some(path) => of_kubeconfig(KubeconfigLocation::Files(vec![path]), context, proxies),
        None => Err(ConnectError::NoCluster),
    }
}

fn in_pod() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(SERVICE_ACCOUNT_TOKEN).exists()
}

/// The cluster of the pod that this program runs in. Proxies of the environment apply, as in client-go.
fn of_pod(mut config: Config, token: &Path, proxies: &ProxyRules) -> Result<Target, ConnectError> {
    config.auth_info = AuthInfo::default();
    let source = Source::fixed(User::service_account(token));
    let url = Url::parse(&config.cluster_url.to_string());
    let url = url.map_err(|_| ConnectError::Server { cluster: IN_CLUSTER.into() })?;
    let proxy = proxies.proxy_for(&url).cloned();
    Target::new(config, &url, proxy, source, (IN_CLUSTER, "service account token".into()))
}

/// The cluster of a context of this kubeconfig. Fails if the kubeconfig has a mistake that a person must
/// correct.
pub fn of_kubeconfig(
    place: KubeconfigLocation,
    context: Option<&str>,
    proxies: &ProxyRules,
) -> Result<Target, ConnectError> {
    let context = Context::choose(place.read()?, context)?;
    let url = server_url(&context)?;
    let config = config(&context, &url)?;
    let proxy = match context.cluster.proxy_url.as_deref().filter(|proxy| !proxy.is_empty()) {
        Some(proxy) => {
            let refuse = || ConnectError::ProxyUrl { cluster: context.cluster_name.clone() };
            Some(Proxy::from_kubeconfig(proxy).ok_or_else(refuse)?)
        }
        None => proxies.proxy_for(&url).cloned(),
    };
    let user = User::of_context(&context)?;
    if user.bears_secret() && is_clear_text(&url, proxy.as_ref()) {
        tracing::warn!(
            "credentials are not sent to a server without TLS: its address should begin with https://"
        );
        let (source, kind) = (Source::fixed(User::anonymous()), "none, since its address is not https://");
        return Target::new(config, &url, proxy, source, (&context.name, kind.into()));
    }
    let kind = match user.describe() {
        kind if kind == "none" && !context.user_name.is_empty() => {
            format!("none of the user {}", context.user_name)
        }
        kind => kind,
    };
    let origin = Origin { place, context: context.name.clone(), server: context.cluster.server.clone() };
    let origin = origin.place.may_change().then(|| Arc::new(origin));
    let source = Source { origin, user: Mutex::new(user) };
    Target::new(config, &url, proxy, source, (&context.name, kind))
}

/// Whether what is sent could be read on its way. kubectl sends no credentials at all to a server without TLS
/// (client-go, `IsConfigTransportTLS`); here connections within this machine are exempt.
fn is_clear_text(url: &Url, proxy: Option<&Proxy>) -> bool {
    let stays_here = is_loopback(url) && proxy.is_none_or(Proxy::is_loopback);
    url.scheme() != "https" && !stays_here
}

/// The server's address. Without a scheme it is https if certificates are configured (client-go,
/// `DefaultServerUrlFor`).
fn server_url(context: &Context) -> Result<Url, ConnectError> {
    let Cluster {
        server, certificate_authority, certificate_authority_data, insecure_skip_tls_verify, ..
    } = &context.cluster;
    let user = &context.user;
    let certified = [certificate_authority, certificate_authority_data, &user.client_certificate];
    let certified = certified.into_iter().chain([&user.client_certificate_data]);
    let tls = certified.flatten().any(|text| !text.is_empty()) || *insecure_skip_tls_verify == Some(true);
    let refuse = || ConnectError::Server { cluster: context.cluster_name.clone() };
    let server = server.as_deref().map(str::trim).filter(|server| !server.is_empty()).ok_or_else(refuse)?;
    let mut url = parse_address(server, if tls { "https" } else { "http" }).ok_or_else(refuse)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(refuse());
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn config(context: &Context, url: &Url) -> Result<Config, ConnectError> {
    let (cluster, user) = (&context.cluster, &context.user);
    let mut config = Config::new(uri(url, &context.cluster_name)?);
    config.default_namespace = context.namespace.clone().unwrap_or(config.default_namespace);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify == Some(true);
    config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    let owner = || format!("the cluster {}", context.cluster_name);
    let data = cluster.certificate_authority_data.as_deref().filter(|data| !data.trim().is_empty());
    let file = cluster.certificate_authority.as_deref().filter(|file| !file.is_empty());
    if let Some(data) = data {
        let field = "certificate-authority-data";
        let pem = decode_data(data).ok_or_else(|| ConnectError::Data { field, owner: owner() })?;
        config.root_cert = Some(certificates(&pem, field, owner)?);
    } else if let Some(file) = file {
        let (field, path) = ("certificate-authority", PathBuf::from(file));
        let pem = std::fs::read(&path);
        let pem =
            pem.map_err(|why| ConnectError::Unreadable { field, owner: owner(), path: path.clone(), why })?;
        config.root_cert = Some(certificates(&pem, field, owner)?);
        // The file is read again once a minute, since authorities are rotated.
        config.root_cert_file = Some(path);
    }
    // Impersonation is no credential and is set beside them. Its other fields count only with a user name, as
    // in client-go.
    if user.impersonate.as_ref().is_some_and(|name| !name.is_empty()) {
        config.auth_info = AuthInfo {
            impersonate: user.impersonate.clone(),
            impersonate_uid: user.impersonate_uid.clone(),
            impersonate_groups: user.impersonate_groups.clone(),
            impersonate_user_extra: user.impersonate_user_extra.clone(),
            ..AuthInfo::default()
        };
    }
    Ok(config)
}

/// Converts the address, without user and password.
fn uri(url: &Url, cluster: &str) -> Result<Uri, ConnectError> {
    let refuse = || ConnectError::Server { cluster: cluster.to_owned() };
    let mut plain = url.clone();
    plain.set_username("").and_then(|()| plain.set_password(None)).map_err(|()| refuse())?;
    plain.as_str().parse().map_err(|_| refuse())
}

fn certificates(
    pem: &[u8],
    field: &'static str,
    owner: impl Fn() -> String,
) -> Result<Vec<Vec<u8>>, ConnectError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    let found = found.ok_or_else(|| ConnectError::Certificates { field, owner: owner() })?;
    Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
}

impl Target {
    fn new(
        config: Config,
        url: &Url,
        proxy: Option<Proxy>,
        source: Source,
        (context, credentials): (&str, String),
    ) -> Result<Self, ConnectError> {
        let mut shown = url.clone();
        if shown.set_username("").and_then(|()| shown.set_password(None)).is_err() {
            return Err(ConnectError::Server { cluster: context.to_owned() });
        }
        let summary = Summary {
            context: context.to_owned(),
            address: shown.as_str().trim_end_matches('/').to_owned(),
            proxy: proxy.as_ref().map(ToString::to_string),
            credentials,
        };
        let personal_token = source.is_personal_token();
        Ok(Self { config, proxy, credentials: Credentials::new(source), personal_token, summary })
    }
}

/// Where a user's entry was read from, so that it can be read again.
struct Origin {
    place: KubeconfigLocation,
    context: String,
    server: Option<String>,
}

impl Origin {
    /// Reads the entry again. Fails if the context now names another server: its credentials are never sent
    /// to this one.
    fn read(&self) -> Result<User, CredentialError> {
        let unusable = |error: ConnectError| CredentialError::Kubeconfig(error.to_string());
        let kubeconfig = self.place.read().map_err(unusable)?;
        let context = Context::choose(kubeconfig, Some(&self.context)).map_err(unusable)?;
        if context.cluster.server != self.server {
            return Err(CredentialError::Moved(self.context.clone()));
        }
        User::of_context(&context).map_err(unusable)
    }
}

/// The credentials of a kubeconfig's user or of a service account.
struct Source {
    /// `None` if there is nothing to read again.
    origin: Option<Arc<Origin>>,
    user: Mutex<User>,
}

impl Source {
    /// A user whose entry cannot be read again.
    fn fixed(user: User) -> Self {
        Self { origin: None, user: Mutex::new(user) }
    }

    /// Whether the credentials belong to a person. Those of the simulated cluster's kubeconfig, which is not
    /// a file, and of a pod's service account belong to this program.
    fn is_personal_token(&self) -> bool {
        self.origin.is_some() && self.user().bears_secret()
    }

    fn user(&self) -> User {
        self.user.lock().clone()
    }

    /// Reads the user's entry again. A kubeconfig that cannot be used changes nothing: it may be half
    /// written.
    async fn read_again(&self) -> Result<(), CredentialError> {
        let Some(origin) = self.origin.clone() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || origin.read()).await;
        match read.unwrap_or(Err(CredentialError::Internal)) {
            Ok(user) => *self.user.lock() = user,
            Err(moved @ CredentialError::Moved(_)) => return Err(moved),
            Err(error) => {
                tracing::warn!(%error, "cannot reload the kubeconfig, keeping the previous one")
            }
        }
        Ok(())
    }
}

impl Obtain for Source {
    fn obtain(&self) -> BoxFuture<'_, Result<ReadyCredentials, CredentialError>> {
        Box::pin(async {
            self.read_again().await?;
            self.user().load().await
        })
    }

    fn cost(&self) -> Cost {
        let user = self.user();
        match () {
            () if user.plugin().is_some() => Cost::Plugin,
            () if self.origin.is_some() || user.may_change() => Cost::Files,
            () => Cost::Fixed,
        }
    }

    fn explain_refusal(&self) -> Option<CredentialError> {
        match self.user().method {
            Method::IdToken(_, Some(ends)) if ends <= jiff::Timestamp::now() => {
                Some(CredentialError::IdTokenEnded)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
