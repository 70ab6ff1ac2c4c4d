//! Validates the flags of the sources: kubelets, Prometheus and Ceph. Called by `validate`.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    flags::SourceFlags,
    parse,
    validate::{Check, DEADLINE, INTERVAL, Mistake, given, within},
};
use collector::config::{CephConfig, KubeletAccess, KubeletConfig, PrometheusConfig};

const PORT: RangeInclusive<u64> = 1..=65_535;
const BUDGET: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const PROMETHEUS_URL: &str = "--prometheus-url (WUKONG_PROMETHEUS_URL)";
const CEPH_URL: &str = "--ceph-url (WUKONG_CEPH_URL)";

impl Check {
    pub(super) fn kubelet(&mut self, flags: &SourceFlags) -> KubeletConfig {
        let default = KubeletConfig::default();
        KubeletConfig {
            access: self.value(
                "--kubelet-access (WUKONG_KUBELET_ACCESS)",
                &flags.kubelet_access,
                KubeletAccess::Auto,
                parse::kubelet_access,
            ),
            port: self.value(
                "--kubelet-port (WUKONG_KUBELET_PORT)",
                &flags.kubelet_port,
                default.port,
                |text| parse::number(text, &PORT).map(|port| port as u16),
            ),
            ca: path(&flags.kubelet_ca),
            insecure_tls: self.value(
                "--kubelet-insecure-tls (WUKONG_KUBELET_INSECURE_TLS)",
                &flags.kubelet_insecure_tls,
                default.insecure_tls,
                parse::flag,
            ),
        }
    }

    /// Its values are looked at even where it is not asked.
    pub(super) fn prometheus(&mut self, flags: &SourceFlags) -> Option<PrometheusConfig> {
        let (bearer, basic) = (&flags.prometheus_bearer_token_file, &flags.prometheus_basic_auth_file);
        if let (Some(file), Some(_)) = (given(bearer.as_deref()), given(basic.as_deref())) {
            let setting = "--prometheus-bearer-token-file (WUKONG_PROMETHEUS_BEARER_TOKEN_FILE)";
            self.mistake(setting, file, "it or --prometheus-basic-auth-file, not both");
        }
        let matchers = self.value(
            "--prometheus-matchers (WUKONG_PROMETHEUS_MATCHERS)",
            &flags.prometheus_matchers,
            Vec::new(),
            parse::matchers,
        );
        let trusted_namespaces = self.value(
            "--prometheus-trusted-namespaces (WUKONG_PROMETHEUS_TRUSTED_NAMESPACES)",
            &flags.prometheus_trusted_namespaces,
            None,
            parse::namespaces,
        );
        let tenant = given(flags.prometheus_tenant.as_deref()).unwrap_or_default();
        let tenant = self.value("--prometheus-tenant (WUKONG_PROMETHEUS_TENANT)", tenant, None, |text| {
            parse::tenant(text).map(Some)
        });
        let deadline = "--prometheus-deadline (WUKONG_PROMETHEUS_DEADLINE)";
        let deadline =
            self.value(deadline, &flags.prometheus_deadline, Duration::from_secs(10), within(DEADLINE));
        Some(PrometheusConfig {
            url: self.url(PROMETHEUS_URL, &flags.prometheus_url)?,
            bearer_token_file: path(bearer),
            basic_auth_file: path(basic),
            ca: path(&flags.prometheus_ca),
            matchers,
            trusted_namespaces: trusted_namespaces.unwrap_or_default(),
            tenant,
            deadline,
        })
    }

    /// Its values are looked at even where it is not asked.
    pub(super) fn ceph(&mut self, flags: &SourceFlags) -> Option<CephConfig> {
        let mut time = |setting, text, default, range| {
            self.value(setting, text, Duration::from_secs(default), within(range))
        };
        let interval = time("--ceph-interval (WUKONG_CEPH_INTERVAL)", &flags.ceph_interval, 300, INTERVAL);
        let budget = time("--ceph-budget (WUKONG_CEPH_BUDGET)", &flags.ceph_budget, 60, BUDGET);
        let deadline = time("--ceph-deadline (WUKONG_CEPH_DEADLINE)", &flags.ceph_deadline, 15, DEADLINE);
        if budget < deadline {
            let setting = "--ceph-budget (WUKONG_CEPH_BUDGET)";
            self.mistake(setting, &flags.ceph_budget, "a duration no shorter than --ceph-deadline");
        }
        let url = self.url(CEPH_URL, &flags.ceph_url);
        let files = (path(&flags.ceph_user_file), path(&flags.ceph_password_file));
        let (Some(user_file), Some(password_file)) = files else {
            if let Some(url) = given(flags.ceph_url.as_deref()).filter(|url| !parse::holds_credentials(url)) {
                self.mistake(CEPH_URL, url, "--ceph-user-file and --ceph-password-file beside it");
            }
            return None;
        };
        Some(CephConfig {
            url: url?,
            user_file,
            password_file,
            ca: path(&flags.ceph_ca),
            interval,
            budget,
            deadline,
        })
    }

    /// Parses a URL. One that may hold a password is refused, and the mistake does not show it.
    fn url(&mut self, setting: &'static str, text: &Option<String>) -> Option<http::Uri> {
        let text = given(text.as_deref())?;
        if parse::holds_credentials(text) {
            let expected = "an address without user, password and query: secrets belong in files";
            self.mistake(setting, "…", expected);
            return None;
        }
        self.value(setting, text, None, |text| parse::url(text).map(Some))
    }

    fn mistake(&mut self, setting: &'static str, value: &str, expected: &str) {
        self.mistakes.push(Mistake { setting, value: value.to_owned(), expected: expected.to_owned() });
    }
}

fn path(text: &Option<String>) -> Option<PathBuf> {
    given(text.as_deref()).map(PathBuf::from)
}
