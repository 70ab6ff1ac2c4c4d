//! `metrics.k8s.io/v1beta1`: one list of PodMetrics a cycle.

use super::{
    Closed, Outlet,
    error::{Access, Failure, late, source_error, transport_error, useless},
    now,
    poll::{Asker, Source},
};
use crate::{
    model::{Millis, quantity::Quantity, reason::Reason, source::SourceId},
    server::{
        k8s::{
            lenient::Scalar,
            pod_metrics::{PodMetrics, PodMetricsList, Usage},
            time,
        },
        snapshot::facts::{Observation, PodMetricsFacts, SourceError},
    },
    words::msg,
};

const GROUP: &str = "metrics.k8s.io";

/// PodMetrics of one namespace, or of all.
pub struct MetricsApi {
    asker: Asker,
    namespace: Option<String>,
    path: String,
    access: Access,
}

impl MetricsApi {
    pub fn new(asker: Asker, namespace: Option<String>) -> Self {
        let path = path(namespace.as_deref());
        let access = Access { resource: "pods.metrics.k8s.io".into(), namespace: namespace.clone() };
        Self { asker, namespace, path, access }
    }
}

impl Source for MetricsApi {
    const ID: SourceId = SourceId::PodMetrics;

    async fn round(&mut self, outlet: &Outlet) -> Result<Option<Failure>, Closed> {
        let at = now();
        let (result, failure) = match self.asker.ask(&self.path, move |answer| decode(answer, at)).await {
            Ok(facts) => (Ok(facts), None),
            Err(failure) => (Err(describe(&self.access, &failure)), Some(failure)),
        };
        let namespace = self.namespace.clone();
        outlet.send(Observation::PodMetrics { namespace, at: now(), result }).await?;
        Ok(failure)
    }
}

fn path(namespace: Option<&str>) -> String {
    let scope = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    let selector = super::LAUNCHERS.replace('=', "%3D");
    format!("/apis/metrics.k8s.io/v1beta1/{scope}pods?labelSelector={selector}")
}

fn describe(access: &Access, failure: &Failure) -> SourceError {
    match failure {
        Failure::Late(deadline) => late(GROUP, *deadline),
        Failure::Transport(error) => transport_error(error.as_ref()),
        Failure::Status { code, .. } => match code.as_u16() {
            404 => source_error(Reason::ApiAbsent, msg!(collect.not_served, resource = GROUP)),
            503 => {
                source_error(Reason::Unreachable, msg!(collect.no_resource, resource = GROUP, code = "503"))
            }
            code => access.status_error(code, "list"),
        },
        Failure::TooLarge(_) | Failure::Undecodable | Failure::BadName => useless(GROUP, failure),
        Failure::Own(error) => error.clone(),
    }
}

/// `at` stands in for a timestamp that cannot be read.
pub(super) fn decode(answer: &[u8], at: Millis) -> Option<Vec<PodMetricsFacts>> {
    let list: PodMetricsList = serde_json::from_slice(answer).ok()?;
    let facts = list.items.into_iter().map(|item| facts(item.0, at));
    Some(facts.filter(|facts| !facts.name.is_empty() && !facts.namespace.is_empty()).collect())
}

fn facts(item: PodMetrics, at: Millis) -> PodMetricsFacts {
    let usages = || item.containers.iter().map(|container| &*container.usage);
    PodMetricsFacts {
        cpu_nanocores: sum(usages(), |usage| nanos(&usage.cpu)),
        memory_bytes: sum(usages(), |usage| bytes(&usage.memory)),
        at: time::rfc3339(&item.timestamp).unwrap_or(at),
        window_ms: time::go_duration_ms(&item.window).unwrap_or_default(),
        created_by: item.metadata.0.labels.0.created_by.0,
        namespace: item.metadata.0.namespace.0,
        name: item.metadata.0.name.0,
    }
}

/// The sum over containers. None if one of them is not known, if there are none at all (which is no zero), and if the sum is
/// beyond what one may be.
fn sum<'a>(
    mut usages: impl Iterator<Item = &'a Usage>,
    amount: impl Fn(&Usage) -> Option<u64>,
) -> Option<u64> {
    let first = amount(usages.next()?)?;
    usages.try_fold(first, |sum, usage| sum.checked_add(amount(usage)?)).and_then(credible)
}

fn nanos(quantity: &Scalar) -> Option<u64> {
    credible(Quantity::parse(quantity.given()?).ok()?.nanos())
}

fn bytes(quantity: &Scalar) -> Option<u64> {
    credible(Quantity::parse(quantity.given()?).ok()?.units())
}

/// Under 2^63, the most that Kubernetes counts to. Above it a quantity stands for its largest number, which nobody
/// measured.
fn credible(amount: u64) -> Option<u64> {
    Some(amount).filter(|amount| *amount < 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(containers: &str) -> PodMetricsFacts {
        let json = format!(
            r#"{{"kind": "PodMetricsList", "metadata": {{}}, "items": [{{
            "metadata": {{"name": "virt-launcher-web-x", "namespace": "prod", "labels": {{"kubevirt.io/created-by": "vmi-1", "a": "b"}}}},
            "timestamp": "2026-03-04T09:12:00Z", "window": "15.123s", "containers": {containers}}}]}}"#
        );
        decode(json.as_bytes(), 5).unwrap().remove(0)
    }

    #[test]
    fn containers_are_summed_exactly() {
        let facts = one(r#"[{"name": "compute", "usage": {"cpu": "199994503n", "memory": "1048576Ki"}},
                {"name": "guest-console-log", "usage": {"cpu": "1m", "memory": "3000000"}}]"#);
        let want = PodMetricsFacts {
            namespace: "prod".into(),
            name: "virt-launcher-web-x".into(),
            created_by: "vmi-1".into(),
            cpu_nanocores: Some(200_994_503),
            memory_bytes: Some((1 << 30) + 3_000_000),
            at: 1_772_615_520_000,
            window_ms: 15_123,
        };
        assert_eq!(facts, want);
    }

    #[test]
    fn an_amount_that_cannot_be_read_is_unknown_and_costs_no_other() {
        for (containers, cpu, memory) in [
            (r#"[{"usage": {"cpu": "0", "memory": 0}}]"#, Some(0), Some(0)),
            (r#"[{"usage": {"cpu": 2, "memory": 4096}}]"#, Some(2_000_000_000), Some(4096)),
            (r#"[{"usage": {"cpu": "-5m", "memory": "1Gi"}}]"#, None, Some(1 << 30)),
            (r#"[{"usage": {"cpu": "fast", "memory": "1Gi"}}]"#, None, Some(1 << 30)),
            (r#"[{"usage": {"cpu": "1m", "memory": "-1"}}]"#, Some(1_000_000), None),
            (r#"[{"usage": {"cpu": "1m"}}, {"usage": {"memory": "1"}}]"#, None, None),
            (
                r#"[{"usage": {"memory": "9223372036854775807"}}, {"usage": {"memory": "9223372036854775807"}}, {"usage": {"memory": "2"}}]"#,
                None,
                None,
            ),
            (r#"[{"usage": {"cpu": "9223372036854775808", "memory": "9223372036854775808"}}]"#, None, None),
            (r#"[{"name": "x"}]"#, None, None),
            ("[]", None, None),
            ("null", None, None),
            ("{}", None, None),
            ("[3]", None, None),
        ] {
            let facts = one(containers);
            assert_eq!((facts.cpu_nanocores, facts.memory_bytes), (cpu, memory), "{containers}");
        }
    }

    #[test]
    fn odd_items_are_left_out_and_odd_times_replaced() {
        let json = r#"{"items": [7, {"metadata": {"name": "x"}}, {"metadata": {"name": "a", "namespace": "b"},
            "timestamp": "soon", "window": 15, "containers": []}]}"#;
        let facts = decode(json.as_bytes(), 5).unwrap();
        assert_eq!(facts.len(), 1);
        assert_eq!((facts[0].at, facts[0].window_ms, &*facts[0].created_by), (5, 0, ""));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for json in ["", "{}", "[]", "null", r#"{"items": 3}"#, r#"{"items": [{"metadata":"#, "<html>"] {
            assert!(decode(json.as_bytes(), 0).is_none(), "{json}");
        }
        assert_eq!(decode(br#"{"items": null}"#, 0), Some(vec![]));
    }

    #[test]
    fn the_list_is_of_launchers_and_stays_in_its_namespace() {
        let selector = "pods?labelSelector=kubevirt.io%3Dvirt-launcher";
        assert_eq!(path(None), format!("/apis/metrics.k8s.io/v1beta1/{selector}"));
        assert_eq!(path(Some("prod")), format!("/apis/metrics.k8s.io/v1beta1/namespaces/prod/{selector}"));
    }
}
