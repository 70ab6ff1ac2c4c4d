//! Polls `metrics.k8s.io/v1beta1`: one list of PodMetrics per cycle and namespace.

use super::{
    error::{Access, Failure, late, source_error, transport_error, useless},
    identity::Identity,
    items::Item,
    omissions::Omissions,
    poll::{BoundedClient, Source},
    quota::{Quota, TotalQuota},
};
use crate::k8s::{
    lenient::{Obj, Scalar},
    pod_metrics::{ContainerMetrics, PodMetrics},
    time,
};
use crate::{
    clock::steady,
    observation_sender::{Closed, ObservationSender},
};
use i18n::msg;
use model::{Millis, quantity::Quantity, reason::Reason, source::SourceId};
use wukong_core::observation::{ContainerUsage, Key, Observation, PodMetricsFacts, SourceError};

const GROUP: &str = "metrics.k8s.io";
/// Bytes held for one sample besides its texts.
const SAMPLE: usize = size_of::<PodMetricsFacts>() + 64;

/// The poll of the PodMetrics of one namespace, or of all.
pub struct MetricsApi {
    client: BoundedClient,
    namespace: Option<String>,
    path: String,
    access: Access,
    /// Bytes of facts that are kept of one list.
    limit: usize,
    omissions: Omissions,
}

impl MetricsApi {
    pub fn new(client: BoundedClient, namespace: Option<String>, limit: usize) -> Self {
        let path = path(namespace.as_deref());
        let access = Access { resource: "pods.metrics.k8s.io".into(), namespace: namespace.clone() };
        Self { client, namespace, path, access, limit, omissions: Omissions::default() }
    }

    /// Requests the list. Each sample is decoded as it arrives: the list of 10,000 VMs takes 10 MB.
    async fn ask(&mut self) -> Result<Samples, Failure> {
        let mut samples = Samples::new(self.limit);
        self.client.ask_items(&self.path, |item| samples.take(item)).await?;
        Ok(samples)
    }
}

impl Source for MetricsApi {
    const ID: SourceId = SourceId::PodMetrics;

    async fn round(&mut self, sender: &ObservationSender) -> Result<Option<Failure>, Closed> {
        let samples = self.ask().await;
        let namespace = self.namespace.clone();
        match samples {
            Ok(samples) => {
                self.omissions.replace(samples.omissions);
                let largest = self.client.budget.largest();
                let place = (Self::ID.code(), namespace.as_deref());
                if let Some(errors) = self.omissions.take_errors(place, largest, &samples.quota) {
                    let (source, namespace) = (Self::ID, namespace.clone());
                    sender.send(Observation::Omitted { source, namespace, errors }).await?;
                }
                let result = Ok(samples.facts);
                sender.send(Observation::PodMetrics { namespace, at: steady(), result }).await?;
                Ok(None)
            }
            Err(failure) => {
                let result = Err(describe(&self.access, &failure));
                sender.send(Observation::PodMetrics { namespace, at: steady(), result }).await?;
                Ok(Some(failure))
            }
        }
    }
}

fn path(namespace: Option<&str>) -> String {
    let scope = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    let selector = crate::kinds::LAUNCHERS.replace('=', "%3D");
    format!("/apis/metrics.k8s.io/v1beta1/{scope}pods?labelSelector={selector}")
}

fn describe(access: &Access, failure: &Failure) -> SourceError {
    match failure {
        Failure::Late(deadline) => late(GROUP, *deadline),
        Failure::Transport(error) => transport_error(error.as_ref()),
        Failure::Status { code, .. } | Failure::Refused { code, .. } => match code.as_u16() {
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

/// Decodes the samples of a complete answer.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn decode(answer: &[u8]) -> Option<Vec<PodMetricsFacts>> {
    let mut samples = Samples::new(usize::MAX);
    super::items::split_items(answer, |item| samples.take(item))?;
    Some(samples.facts)
}

/// The samples of one list.
struct Samples {
    facts: Vec<PodMetricsFacts>,
    quota: Quota,
    omissions: Omissions,
}

impl Samples {
    fn new(limit: usize) -> Self {
        Self {
            facts: Vec::new(),
            quota: Quota::new(limit, &TotalQuota::new(limit)),
            omissions: Omissions::default(),
        }
    }

    /// Adds one item. An item that cannot be read is skipped.
    fn take(&mut self, item: Item<'_>) {
        let bytes = match item {
            Item::Whole(bytes) => bytes,
            Item::TooLarge(bytes) => return self.omissions.leave_out(Identity::parse(bytes).key(true)),
        };
        let Ok(Obj(sample)) = serde_json::from_slice::<Obj<PodMetrics>>(bytes) else { return };
        let facts = facts(sample);
        if facts.name.is_empty() || facts.namespace.is_empty() {
            return;
        }
        let key = Key::new(&facts.namespace, &facts.name);
        let containers =
            facts.containers.iter().map(|container| size_of::<ContainerUsage>() + container.name.len());
        let texts = facts.namespace.len() + facts.name.len() + facts.created_by.len();
        let weight = SAMPLE + texts + containers.sum::<usize>();
        if self.quota.admit(&key, weight) {
            self.facts.push(facts);
        } else {
            self.omissions.crowd_out(key);
        }
    }
}

fn facts(item: PodMetrics) -> PodMetricsFacts {
    let metadata = item.metadata.0;
    PodMetricsFacts {
        containers: item.containers.items.into_iter().map(usage).collect(),
        containers_left_out: item.containers.left_out,
        at: timestamp_millis(&item.timestamp),
        made: timestamp_millis(&metadata.creation_timestamp),
        window_ms: time::go_duration_ms(&item.window).unwrap_or_default(),
        created_by: metadata.labels.0.created_by.0,
        namespace: metadata.namespace.0,
        name: metadata.name.0,
    }
}

/// Parses a timestamp. `None` also for Go's zero time (year 1), which metrics-server writes without a sample.
fn timestamp_millis(text: &str) -> Option<Millis> {
    time::rfc3339(text).filter(|at| *at > 0)
}

fn usage(container: ContainerMetrics) -> ContainerUsage {
    ContainerUsage {
        name: container.name.0.into(),
        cpu_nanocores: nanos(&container.usage.cpu),
        memory_bytes: bytes(&container.usage.memory),
    }
}

fn nanos(quantity: &Scalar) -> Option<u64> {
    credible(Quantity::parse(quantity.given()?).ok()?.nanos())
}

fn bytes(quantity: &Scalar) -> Option<u64> {
    credible(Quantity::parse(quantity.given()?).ok()?.units())
}

/// `None` from 2^63 on, the most that Kubernetes counts to: a quantity that is larger parses as the largest
/// number, which nobody measured.
fn credible(amount: u64) -> Option<u64> {
    Some(amount).filter(|amount| *amount < 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        budget::Budget,
        items::{ReadLimits, read_items},
        tests::body,
    };

    async fn decode(list: &str) -> Option<Vec<PodMetricsFacts>> {
        let mut samples = Samples::new(1 << 20);
        let limits = ReadLimits { answer: 1 << 20, item: 1 << 20 };
        let (body, lease) = (body(vec![list.to_owned().into()]).await, Budget::new(&[(1, 1 << 20)]).lease());
        read_items(body, limits, lease, |item| samples.take(item)).await.ok()?;
        Some(samples.facts)
    }

    fn one(containers: &str) -> PodMetricsFacts {
        let json = format!(
            r#"{{"metadata": {{"name": "virt-launcher-web-x", "namespace": "prod", "creationTimestamp": "2026-03-04T09:12:07Z",
                "labels": {{"kubevirt.io/created-by": "vmi-1", "a": "b"}}}},
            "timestamp": "2026-03-04T09:12:00Z", "window": "15.123s", "containers": {containers}}}"#
        );
        let mut samples = Samples::new(1 << 20);
        samples.take(Item::Whole(json.as_bytes()));
        samples.facts.remove(0)
    }

    fn usage(name: &str, cpu_nanocores: Option<u64>, memory_bytes: Option<u64>) -> ContainerUsage {
        ContainerUsage { name: name.into(), cpu_nanocores, memory_bytes }
    }

    #[test]
    fn each_container_is_kept_with_its_name_and_exact_figures() {
        let facts = one(r#"[{"name": "compute", "usage": {"cpu": "199994503n", "memory": "1048576Ki"}},
                {"name": "", "usage": {"cpu": "1m", "memory": "3000000"}}]"#);
        let want = PodMetricsFacts {
            namespace: "prod".into(),
            name: "virt-launcher-web-x".into(),
            created_by: "vmi-1".into(),
            containers: vec![
                usage("compute", Some(199_994_503), Some(1 << 30)),
                usage("", Some(1_000_000), Some(3_000_000)),
            ],
            containers_left_out: 0,
            at: Some(1_772_615_520_000),
            made: Some(1_772_615_527_000),
            window_ms: 15_123,
        };
        assert_eq!(facts, want);
    }

    #[test]
    fn an_amount_that_cannot_be_read_is_unknown_and_costs_no_other() {
        for (quantities, cpu, memory) in [
            (r#"{"cpu": "0", "memory": 0}"#, Some(0), Some(0)),
            (r#"{"cpu": 2, "memory": 4096}"#, Some(2_000_000_000), Some(4096)),
            (r#"{"cpu": "-5m", "memory": "1Gi"}"#, None, Some(1 << 30)),
            (r#"{"cpu": "fast", "memory": "1Gi"}"#, None, Some(1 << 30)),
            (r#"{"cpu": "1m", "memory": "-1"}"#, Some(1_000_000), None),
            (r#"{"cpu": "1m"}"#, Some(1_000_000), None),
            (r#"{"cpu": "9223372036854775808", "memory": "9223372036854775808"}"#, None, None),
            ("[]", None, None),
        ] {
            let facts = one(&format!(r#"[{{"name": "compute", "usage": {quantities}}}]"#));
            assert_eq!(facts.containers, [usage("compute", cpu, memory)], "{quantities}");
        }
        for none in ["[]", "null", "{}"] {
            assert!(one(none).containers.is_empty(), "{none}");
        }
        assert_eq!(one(r#"[{"name": "x"}]"#).containers, [usage("x", None, None)]);
    }

    #[test]
    fn containers_over_the_bound_are_counted() {
        let kept = |count: usize| {
            let facts = one(&format!("[{}]", vec![r#"{"name": "c"}"#; count].join(",")));
            (facts.containers.len(), facts.containers_left_out)
        };
        assert_eq!((kept(64), kept(67)), ((64, 0), (64, 3)));
    }

    #[test]
    fn there_is_room_for_so_many_samples_and_no_more() {
        let mut samples = Samples::new(1 << 16);
        for n in 0..10_000 {
            let json = format!(r#"{{"metadata": {{"name": "p{n}", "namespace": "prod"}}}}"#);
            samples.take(Item::Whole(json.as_bytes()));
        }
        samples.take(Item::TooLarge(br#"{"metadata": {"name": "big", "namespace": "prod", "x": "y"#));
        assert!((50..200).contains(&samples.facts.len()), "{}", samples.facts.len());
        assert!(samples.omissions.is_crowded());
    }

    #[tokio::test]
    async fn malformed_items_are_left_out_and_malformed_times_are_unknown() {
        for time in [r#""soon""#, "null", r#""0001-01-01T00:00:00Z""#, "7"] {
            let json = format!(
                r#"{{"items": [7, {{"metadata": {{"name": "x"}}}}, {{"metadata": {{"name": "a", "namespace": "b",
                    "creationTimestamp": {time}}}, "timestamp": {time}, "window": 15, "containers": []}}]}}"#
            );
            let facts = decode(&json).await.unwrap();
            assert_eq!(facts.len(), 1);
            let PodMetricsFacts { at, made, window_ms, created_by, .. } = &facts[0];
            assert_eq!((*at, *made, *window_ms, &**created_by), (None, None, 0, ""), "{time}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_a_list_is_refused() {
        for json in ["", "{}", "[]", "null", r#"{"items": 3}"#, r#"{"items": [{"metadata":"#, "<html>"] {
            assert!(decode(json).await.is_none(), "{json}");
        }
        assert_eq!(decode(r#"{"items": null}"#).await, Some(vec![]));
        // kube-rs/kube#1491
        assert_eq!(
            decode(r#"{"kind": "PodMetricsList", "metadata": null, "items": []}"#).await,
            Some(vec![])
        );
    }

    #[test]
    fn the_list_is_of_launchers_and_stays_in_its_namespace() {
        let selector = "pods?labelSelector=kubevirt.io%3Dvirt-launcher";
        assert_eq!(path(None), format!("/apis/metrics.k8s.io/v1beta1/{selector}"));
        assert_eq!(path(Some("prod")), format!("/apis/metrics.k8s.io/v1beta1/namespaces/prod/{selector}"));
    }
}
