//! Makes the program's configuration of parsed flags. Called by `validate`.

use super::{
    AssertionConfig, AuthProxyConfig, ClaimMappings, ClientCertificateConfig, Config, HttpConfig, OidcConfig,
    ProxyProof, SignInConfig, SignInMode, SimConfig, SimSize, TlsFiles,
    flags::{
        AuthProxyFlags, ClusterFlags, CollectFlags, DemoFlags, HttpFlags, OidcFlags, ServeFlags, SignInFlags,
        SimFlags, SizeFlags, SourceFlags, TlsFlags,
    },
};
use collector::config::{
    CephConfig, CollectConfig, KubeletConfig, KubernetesConfig, PrometheusConfig, ProxyRules,
    VirtHandlerConfig,
};

impl From<ServeFlags> for Config {
    fn from(flags: ServeFlags) -> Self {
        Self {
            listen: flags.http.listen,
            kubernetes: flags.cluster.into(),
            collect: flags.collect.into(),
            http: HttpConfig::from(flags.http).with_sign_in(flags.sign_in.into()),
        }
    }
}

impl From<DemoFlags> for Config {
    fn from(flags: DemoFlags) -> Self {
        Self {
            listen: flags.http.listen,
            kubernetes: KubernetesConfig::default(),
            collect: flags.collect.into(),
            http: flags.http.into(),
        }
    }
}

impl From<SimFlags> for SimConfig {
    fn from(flags: SimFlags) -> Self {
        Self {
            size: (&flags.size).into(),
            listen: flags.listen,
            tls: flags.tls,
            kubeconfig_out: flags.kubeconfig_out,
            viewers: flags.viewer,
        }
    }
}

impl From<&SizeFlags> for SimSize {
    fn from(flags: &SizeFlags) -> Self {
        let SizeFlags { vms, nodes, seed, old_kubevirt } = *flags;
        Self { vms, nodes, seed, old_kubevirt }
    }
}

impl From<ClusterFlags> for KubernetesConfig {
    fn from(flags: ClusterFlags) -> Self {
        Self { kubeconfig: flags.kubeconfig, context: flags.context, embedded: None }
    }
}

impl From<HttpFlags> for HttpConfig {
    fn from(flags: HttpFlags) -> Self {
        Self {
            allowed_hosts: flags.allowed_hosts.unwrap_or_default(),
            trusted_proxies: flags.trusted_proxies.unwrap_or_default(),
            max_event_clients: flags.max_event_clients,
            sign_in: SignInConfig::default(),
            tls: flags.tls.into(),
        }
    }
}

/// clap refuses one file without the other.
impl From<TlsFlags> for Option<TlsFiles> {
    fn from(flags: TlsFlags) -> Self {
        Some(TlsFiles { certificate: flags.tls_cert?, key: flags.tls_key?, client_ca: None })
    }
}

impl From<SignInFlags> for SignInConfig {
    fn from(flags: SignInFlags) -> Self {
        let modes = flags.sign_in.unwrap_or_default();
        let oidc = modes.has(SignInMode::Oidc).then(|| oidc(flags.oidc)).flatten();
        let auth_proxy = modes.has(SignInMode::Proxy).then(|| auth_proxy(flags.auth_proxy)).flatten();
        let (session_key_file, public_url) = (flags.session_key_file, flags.public_url);
        Self { modes, session_key_file, public_url, oidc, auth_proxy }
    }
}

/// `None` without an issuer and a client ID, which `validate` requires.
fn oidc(flags: OidcFlags) -> Option<OidcConfig> {
    Some(OidcConfig {
        issuer: flags.oidc_issuer?,
        client_id: flags.oidc_client_id?,
        client_secret_file: flags.oidc_client_secret_file,
        scopes: flags.oidc_scopes,
        ca: flags.oidc_ca,
        mappings: ClaimMappings {
            username_claim: flags.oidc_username_claim,
            groups_claim: flags.oidc_groups_claim,
            username_prefix: flags.oidc_username_prefix,
            groups_prefix: flags.oidc_groups_prefix,
            groups_filter: flags.oidc_groups_filter,
        },
    })
}

/// `None` unless the proxy proves itself, which `validate` requires.
fn auth_proxy(flags: AuthProxyFlags) -> Option<AuthProxyConfig> {
    let proof = match (flags.proxy_issuer, flags.proxy_client_ca) {
        (Some(issuer), _) => ProxyProof::Assertion(AssertionConfig {
            header: flags.proxy_assertion_header,
            issuer,
            audience: flags.proxy_audience?,
            jwks_url: flags.proxy_jwks_url,
            ca: flags.proxy_ca,
        }),
        (None, ca) => ProxyProof::Certificate(ClientCertificateConfig {
            ca: ca?,
            name: flags.proxy_client_name?,
            user_header: flags.proxy_user_header,
            groups_header: flags.proxy_groups_header,
        }),
    };
    let mappings = ClaimMappings {
        username_claim: flags.proxy_username_claim,
        groups_claim: flags.proxy_groups_claim,
        username_prefix: flags.proxy_username_prefix,
        groups_prefix: flags.proxy_groups_prefix,
        groups_filter: flags.proxy_groups_filter,
    };
    Some(AuthProxyConfig { proof, mappings, sign_out_url: flags.proxy_sign_out_url })
}

impl From<CollectFlags> for CollectConfig {
    fn from(flags: CollectFlags) -> Self {
        let sources = flags.sources;
        let namespaces = flags.namespace.filter(|namespaces| !namespaces.is_empty());
        Self {
            virt_handler: virt_handler(&sources, namespaces.is_some()),
            namespaces,
            metrics_interval: flags.metrics_interval,
            disk_interval: flags.disk_interval,
            metrics_deadline: flags.metrics_deadline,
            kubelet_deadline: flags.kubelet_deadline,
            kubelet_concurrency: flags.kubelet_concurrency,
            watch_idle: flags.watch_idle,
            collection_limit: flags.collection_limit,
            answer_limit: Self::default().answer_limit,
            proxies: ProxyRules::from_env(),
            guest_concurrency: sources.guest_agent_concurrency,
            guest_deadline: sources.guest_agent_deadline,
            kubelet: kubelet(&sources),
            prometheus: prometheus(&sources),
            ceph: ceph(&sources),
            disk_sources: sources.disk_sources,
        }
    }
}

fn kubelet(flags: &SourceFlags) -> KubeletConfig {
    KubeletConfig {
        access: flags.kubelet_access,
        port: flags.kubelet_port,
        ca: flags.kubelet_ca.clone(),
        insecure_tls: flags.kubelet_insecure_tls,
    }
}

/// `None` if this would read another namespace than those that were named: virt-handlers are not asked.
fn virt_handler(flags: &SourceFlags, within_namespaces: bool) -> Option<VirtHandlerConfig> {
    let namespace = flags.kubevirt_namespace.clone();
    (namespace.is_some() || !within_namespaces).then(|| VirtHandlerConfig {
        namespace,
        ca: flags.virt_handler_ca.clone(),
        insecure_tls: flags.virt_handler_insecure_tls,
        ..VirtHandlerConfig::default()
    })
}

/// `None` without a URL: Prometheus is not asked.
fn prometheus(flags: &SourceFlags) -> Option<PrometheusConfig> {
    Some(PrometheusConfig {
        url: flags.prometheus_url.clone()?,
        bearer_token_file: flags.prometheus_bearer_token_file.clone(),
        basic_auth_file: flags.prometheus_basic_auth_file.clone(),
        ca: flags.prometheus_ca.clone(),
        matchers: flags.prometheus_matchers.clone().unwrap_or_default(),
        trusted_namespaces: flags.prometheus_trusted_namespaces.clone(),
        tenant: flags.prometheus_tenant.clone(),
        deadline: flags.prometheus_deadline,
    })
}

/// `None` without a URL: Ceph is not asked.
fn ceph(flags: &SourceFlags) -> Option<CephConfig> {
    Some(CephConfig {
        url: flags.ceph_url.clone()?,
        user_file: flags.ceph_user_file.clone()?,
        password_file: flags.ceph_password_file.clone()?,
        ca: flags.ceph_ca.clone(),
        interval: flags.ceph_interval,
        budget: flags.ceph_budget,
        deadline: flags.ceph_deadline,
    })
}
