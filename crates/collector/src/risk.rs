//! Finds settings that may expose a credential. Each is reported in the log at the start, by `check`, and
//! beside its source. None of them is refused, since a network may be private. (Without TLS the API server
//! gets no credentials at all, as with kubectl: see `connect/target.rs`.)

use http::Uri;

use super::client::Cluster;
use crate::config::{CephConfig, CollectConfig, PrometheusConfig, is_loopback};
use i18n::msg;
use model::{message::Message, source::SourceId};

/// The risks of these settings, each with its source.
pub fn risks(cluster: &Cluster, config: &CollectConfig) -> Vec<(SourceId, Message)> {
    let mut risks = Vec::new();
    if cluster.kubelets.is_some() && config.kubelet.insecure_tls {
        risks.push((SourceId::Kubelet, msg!(risk.any_certificate)));
    }
    if config.virt_handler.as_ref().is_some_and(|of| of.insecure_tls) {
        risks.push((SourceId::VirtHandler, msg!(risk.any_handler)));
    }
    if config.prometheus.as_ref().is_some_and(of_prometheus) {
        risks.push((SourceId::Prometheus, clear_text("Prometheus", "--prometheus-url")));
    }
    if config.ceph.as_ref().is_some_and(of_ceph) {
        risks.push((SourceId::Ceph, clear_text("Ceph", "--ceph-url")));
    }
    risks
}

fn of_prometheus(config: &PrometheusConfig) -> bool {
    let has_credentials = config.bearer_token_file.is_some() || config.basic_auth_file.is_some();
    has_credentials && is_clear_text(&config.url)
}

/// Whether requests to Ceph expose a credential. They always carry one.
fn of_ceph(config: &CephConfig) -> bool {
    is_clear_text(&config.url)
}

fn clear_text(peer: &str, flag: &str) -> Message {
    msg!(risk.clear_text, peer = peer, flag = flag)
}

/// Whether what is sent there could be read on its way.
fn is_clear_text(url: &Uri) -> bool {
    let stays_here = || url.to_string().parse().is_ok_and(|url| is_loopback(&url));
    url.scheme_str() == Some("http") && !stays_here()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config::KubeletAccess, from_kubeconfig_text, tests::is_translated};
    use i18n::Render;
    use wukong_core::observation::SourceError;

    const CLUSTER: &str = r#"{"current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}"#;

    fn prometheus(url: &str, bearer: bool, basic: bool) -> PrometheusConfig {
        PrometheusConfig {
            url: url.parse().unwrap(),
            bearer_token_file: bearer.then(|| "/secret/token".into()),
            basic_auth_file: basic.then(|| "/secret/login".into()),
            ca: None,
            matchers: Vec::new(),
            trusted_namespaces: vec!["kubevirt".into(), "kube-system".into()],
            tenant: None,
            deadline: Duration::from_secs(1),
        }
    }

    fn ceph(url: &str) -> CephConfig {
        CephConfig {
            url: url.parse().unwrap(),
            user_file: "/secret/user".into(),
            password_file: "/secret/password".into(),
            ca: None,
            interval: Duration::from_secs(1),
            budget: Duration::from_secs(1),
            deadline: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn credentials_in_clear_text_are_reported_and_never_shown() {
        let cluster = from_kubeconfig_text(CLUSTER, None, &CollectConfig::default()).await.unwrap();
        for (prometheus, ceph, want) in [
            (Some(prometheus("http://p:9090", true, false)), None, vec![SourceId::Prometheus]),
            (Some(prometheus("http://10.0.0.1", false, true)), None, vec![SourceId::Prometheus]),
            (Some(prometheus("http://p:9090", false, false)), None, vec![]),
            (Some(prometheus("https://p:9090", true, false)), None, vec![]),
            (Some(prometheus("http://127.0.0.1:9090", true, false)), None, vec![]),
            (Some(prometheus("http://localhost:9090", true, false)), None, vec![]),
            (None, Some(ceph("http://c:8443")), vec![SourceId::Ceph]),
            (None, Some(ceph("https://c:8443")), vec![]),
        ] {
            let config = CollectConfig { prometheus, ceph, ..CollectConfig::default() };
            let risks = risks(&cluster, &config);
            assert_eq!(risks.iter().map(|(id, _)| *id).collect::<Vec<_>>(), want, "{config:?}");
            for (_, detail) in risks {
                let words = detail.english();
                assert!(words.contains("-url") && !words.contains("/secret"), "{words}");
                assert!(is_translated(&SourceError { reason: model::reason::Reason::Forbidden, detail }));
            }
        }
    }

    #[tokio::test]
    async fn unverified_kubelets_that_get_the_token_are_a_risk() {
        let mut config = CollectConfig::default();
        (config.kubelet.insecure_tls, config.kubelet.access) = (true, KubeletAccess::Proxy);
        let of = async |config: &CollectConfig| {
            let cluster = from_kubeconfig_text(CLUSTER, None, config).await.unwrap();
            risks(&cluster, config).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(of(&config).await, [], "no kubelet gets the token");
        config.kubelet.access = KubeletAccess::Direct;
        assert_eq!(of(&config).await, [SourceId::Kubelet]);
    }
}
