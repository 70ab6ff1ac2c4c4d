//! `metrics.k8s.io/v1beta1`: one list of PodMetrics a cycle.

use super::{
    Closed, Outlet,
    error::{Access, Failure, late, source_error, transport_error, useless},
    identity::Identity,
    items::Item,
    now,
    omissions::Omissions,
    poll::{Asker, Source},
    quota::Quota,
};
use crate::{
    model::{Millis, quantity::Quantity, reason::Reason, source::SourceId},
    server::{
        k8s::{
            lenient::{List, Obj, Scalar},
            pod_metrics::{ContainerMetrics, PodMetrics, Usage},
            time,
        },
        snapshot::facts::{Key, Observation, PodMetricsFacts, SourceError},
    },
    words::msg,
};

const GROUP: &str = "metrics.k8s.io";
/// Held of one sample beside its texts.
const SAMPLE: usize = size_of::<PodMetricsFacts>() + 64;

/// PodMetrics of one namespace, or of all.
pub struct MetricsApi {
    asker: Asker,
    namespace: Option<String>,
    path: String,
    access: Access,
    /// Bytes of facts that are kept of one list.
    limit: usize,
    omissions: Omissions,
}

impl MetricsApi {
    pub fn new(asker: Asker, namespace: Option<String>, limit: usize) -> Self {
        let path = path(namespace.as_deref());
        let access = Access { resource: "pods.metrics.k8s.io".into(), namespace: namespace.clone() };
        Self { asker, namespace, path, access, limit, omissions: Omissions::default() }
    }

    /// Each sample is decoded as it arrives: the list of 10,000 VMs is 10 MB.
    async fn ask(&mut self, at: Millis) -> Result<Samples, Failure> {
        let mut samples = Samples::new(at, self.limit);
        self.asker.ask_items(&self.path, |item| samples.take(item)).await?;
        Ok(samples)
    }
}

impl Source for MetricsApi {
    const ID: SourceId = SourceId::PodMetrics;

    async fn round(&mut self, outlet: &Outlet) -> Result<Option<Failure>, Closed> {
        let asked = self.ask(now()).await;
        let namespace = self.namespace.clone();
        match asked {
            Ok(samples) => {
                self.omissions.replace(samples.omissions);
                let largest = self.asker.budget.largest();
                let scope = (Self::ID, self.namespace.as_deref());
                self.omissions.report(outlet, scope, largest, &samples.quota).await?;
                let result = Ok(samples.facts);
                outlet.send(Observation::PodMetrics { namespace, at: now(), result }).await?;
                Ok(None)
            }
            Err(failure) => {
                let result = Err(describe(&self.access, &failure));
                outlet.send(Observation::PodMetrics { namespace, at: now(), result }).await?;
                Ok(Some(failure))
            }
        }
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
        Failure::TooLarge(_) | Failure::TooMany(_) | Failure::Undecodable | Failure::BadName => {
            useless(GROUP, failure)
        }
        Failure::Own(error) => error.clone(),
    }
}

/// The samples of a whole answer.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn decode(answer: &[u8], at: Millis) -> Option<Vec<PodMetricsFacts>> {
    let mut samples = Samples::new(at, usize::MAX);
    super::items::split_items(answer, |item| samples.take(item))?;
    Some(samples.facts)
}

/// The samples of one list.
struct Samples {
    facts: Vec<PodMetricsFacts>,
    quota: Quota,
    omissions: Omissions,
    /// Stands in for a timestamp that cannot be read.
    at: Millis,
}

impl Samples {
    fn new(at: Millis, limit: usize) -> Self {
        Self { facts: Vec::new(), quota: Quota::new(limit), omissions: Omissions::default(), at }
    }

    /// An item that is odd costs itself alone.
    fn take(&mut self, item: Item<'_>) {
        let bytes = match item {
            Item::Whole(bytes) => bytes,
            Item::TooLarge(bytes) => return self.omissions.leave_out(Identity::parse(bytes).key(true)),
        };
        let Ok(Obj(sample)) = serde_json::from_slice::<Obj<PodMetrics>>(bytes) else { return };
        let facts = facts(sample, self.at);
        if facts.name.is_empty() || facts.namespace.is_empty() {
            return;
        }
        let key = Key::new(&facts.namespace, &facts.name);
        let weight = SAMPLE + facts.namespace.len() + facts.name.len() + facts.created_by.len();
        if self.quota.admit(&key, weight) {
            self.facts.push(facts);
        } else {
            self.omissions.crowd_out(key);
        }
    }
}

fn facts(item: PodMetrics, at: Millis) -> PodMetricsFacts {
    PodMetricsFacts {
        cpu_nanocores: sum(&item.containers, |usage| nanos(&usage.cpu)),
        memory_bytes: sum(&item.containers, |usage| bytes(&usage.memory)),
        at: time::rfc3339(&item.timestamp).unwrap_or(at),
        window_ms: time::go_duration_ms(&item.window).unwrap_or_default(),
        created_by: item.metadata.0.labels.0.created_by.0,
        namespace: item.metadata.0.namespace.0,
        name: item.metadata.0.name.0,
    }
}

/// The sum over containers. None if one of them is not known, if there are none at all (which is no zero), and if the sum is
/// beyond what one may be.
fn sum(containers: &List<ContainerMetrics>, amount: impl Fn(&Usage) -> Option<u64>) -> Option<u64> {
    let mut usages = containers.iter().map(|container| &*container.usage);
    let first = amount(usages.next()?)?;
    let sum = usages.try_fold(first, |sum, usage| sum.checked_add(amount(usage)?));
    sum.filter(|_| containers.left_out == 0).and_then(credible)
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
    use crate::server::collect::{
        budget::Budget,
        items::{ReadLimits, read_items},
        tests::body,
    };

    async fn decode(list: &str, at: Millis) -> Option<Vec<PodMetricsFacts>> {
        let mut samples = Samples::new(at, 1 << 20);
        let limits = ReadLimits { answer: 1 << 20, item: 1 << 20 };
        let (body, lease) = (body(vec![list.to_owned().into()]).await, Budget::new(&[(1, 1 << 20)]).lease());
        read_items(body, limits, lease, |item| samples.take(item)).await.ok()?;
        Some(samples.facts)
    }

    fn one(containers: &str) -> PodMetricsFacts {
        let json = format!(
            r#"{{"metadata": {{"name": "virt-launcher-web-x", "namespace": "prod", "labels": {{"kubevirt.io/created-by": "vmi-1", "a": "b"}}}},
            "timestamp": "2026-03-04T09:12:00Z", "window": "15.123s", "containers": {containers}}}"#
        );
        let mut samples = Samples::new(5, 1 << 20);
        samples.take(Item::Whole(json.as_bytes()));
        samples.facts.remove(0)
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
    fn a_sum_over_some_of_the_containers_is_none() {
        let one_of = |count: usize| {
            let container = r#"{"usage": {"cpu": "1n", "memory": "1"}}"#;
            let facts = one(&format!("[{}]", vec![container; count].join(",")));
            (facts.cpu_nanocores, facts.memory_bytes)
        };
        assert_eq!(one_of(64), (Some(64), Some(64)));
        assert_eq!(one_of(65), (None, None));
    }

    #[test]
    fn there_is_room_for_so_many_samples_and_no_more() {
        let mut samples = Samples::new(5, 1 << 16);
        for n in 0..10_000 {
            let json = format!(r#"{{"metadata": {{"name": "p{n}", "namespace": "prod"}}}}"#);
            samples.take(Item::Whole(json.as_bytes()));
        }
        samples.take(Item::TooLarge(br#"{"metadata": {"name": "big", "namespace": "prod", "x": "y"#));
        assert!((50..200).contains(&samples.facts.len()), "{}", samples.facts.len());
        assert!(samples.omissions.is_crowded());
    }

    #[tokio::test]
    async fn odd_items_are_left_out_and_odd_times_replaced() {
        let json = r#"{"items": [7, {"metadata": {"name": "x"}}, {"metadata": {"name": "a", "namespace": "b"},
            "timestamp": "soon", "window": 15, "containers": []}]}"#;
        let facts = decode(json, 5).await.unwrap();
        assert_eq!(facts.len(), 1);
        assert_eq!((facts[0].at, facts[0].window_ms, &*facts[0].created_by), (5, 0, ""));
    }

    #[tokio::test]
    async fn what_is_no_list_is_refused() {
        for json in ["", "{}", "[]", "null", r#"{"items": 3}"#, r#"{"items": [{"metadata":"#, "<html>"] {
            assert!(decode(json, 0).await.is_none(), "{json}");
        }
        assert_eq!(decode(r#"{"items": null}"#, 0).await, Some(vec![]));
    }

    #[test]
    fn the_list_is_of_launchers_and_stays_in_its_namespace() {
        let selector = "pods?labelSelector=kubevirt.io%3Dvirt-launcher";
        assert_eq!(path(None), format!("/apis/metrics.k8s.io/v1beta1/{selector}"));
        assert_eq!(path(Some("prod")), format!("/apis/metrics.k8s.io/v1beta1/namespaces/prod/{selector}"));
    }
}
