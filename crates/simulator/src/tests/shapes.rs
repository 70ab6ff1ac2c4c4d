//! Objects and answers have the fields that the real APIs define, and no others. The definitions come from the
//! projects themselves: a test against this crate's own JSON would prove nothing about a real cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    ceph, prometheus,
    support::{demo, get, items},
};

/// Types and fields of api/openapi-spec/swagger.json of kubevirt/kubevirt v1.8.0, without descriptions: those that a
/// VirtualMachine, an instance, a migration, an instance type and a list of file systems lead to. `[T]` is an array of T, `{T}` an
/// object with values of T, `any` an object that is not described further.
const KUBEVIRT: &str = include_str!("kubevirt-1.8.json");
/// The same for APIs without a published schema; `T!` is a field that is always written, null or not:
/// - kubelet: staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go of kubernetes/kubernetes.
/// - metrics: metrics.k8s.io/v1beta1 of kubernetes/metrics.
/// - longhorn: k8s/pkg/apis/longhorn/v1beta2/volume.go of longhorn/longhorn-manager.
/// - prometheus: the HTTP API at prometheus.io/docs/prometheus/latest/querying/api.
/// - ceph: qa/tasks/mgr/dashboard/test_rbd.py and src/pybind/mgr/dashboard/services/rbd.py of ceph/ceph.
const PUBLISHED: &str = include_str!("published.json");

struct Schema(BTreeMap<String, Value>);

impl Schema {
    fn published() -> Self {
        let mut types: BTreeMap<String, Value> = serde_json::from_str(KUBEVIRT).unwrap();
        types.extend(serde_json::from_str::<BTreeMap<String, Value>>(PUBLISHED).unwrap());
        Self(types)
    }

    /// Returns each difference of a value from its type, by path.
    fn faults(&self, value: &Value, kind: &str, path: &str) -> Vec<String> {
        let inner = |open, close| kind.strip_prefix(open).and_then(|kind| kind.strip_suffix(close));
        let wrong = || vec![format!("{path} is no {kind}: {value}")];
        if value.is_null() {
            return Vec::new();
        }
        if let Some(item) = inner('[', ']') {
            let Some(items) = value.as_array() else { return wrong() };
            return items.iter().flat_map(|value| self.faults(value, item, &format!("{path}[]"))).collect();
        }
        if let Some(item) = inner('{', '}') {
            let Some(members) = value.as_object() else { return wrong() };
            return members
                .iter()
                .flat_map(|(key, value)| self.faults(value, item, &format!("{path}.{key}")))
                .collect();
        }
        match self.0.get(kind) {
            Some(Value::Object(fields)) => {
                let Some(members) = value.as_object() else { return wrong() };
                let required = fields.iter().filter(|(_, kind)| kind.as_str().unwrap().ends_with('!'));
                let missing = required.filter(|(name, _)| !members.contains_key(*name));
                let missing = missing.map(|(name, _)| format!("{path}.{name} is missing"));
                let each = members.iter().flat_map(|(name, value)| {
                    let path = format!("{path}.{name}");
                    match fields.get(name).and_then(Value::as_str) {
                        Some(kind) => self.faults(value, kind.trim_end_matches('!'), &path),
                        None => vec![format!("{path} is no field of {kind}")],
                    }
                });
                missing.chain(each).collect()
            }
            Some(Value::String(kind)) => self.faults(value, kind, path),
            _ if kind.split('|').any(|kind| is(value, kind)) => Vec::new(),
            _ => wrong(),
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "any" => true,
        _ => false,
    }
}

#[tokio::test]
async fn custom_objects_have_the_fields_of_their_apis() {
    let sim = demo().await;
    let schema = Schema::published();
    let lists = [
        ("/apis/kubevirt.io/v1/virtualmachines", "v1.VirtualMachine"),
        ("/apis/kubevirt.io/v1/virtualmachineinstances", "v1.VirtualMachineInstance"),
        ("/apis/kubevirt.io/v1/virtualmachineinstancemigrations", "v1.VirtualMachineInstanceMigration"),
        (
            "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterinstancetypes",
            "v1beta1.VirtualMachineClusterInstancetype",
        ),
        ("/apis/longhorn.io/v1beta2/volumes", "longhorn.Volume"),
    ];
    let mut faults = Vec::new();
    for (path, kind) in lists {
        let list = get(&sim, path).await;
        assert!(!items(&list).is_empty(), "{path}");
        for item in items(&list) {
            // Items of a real list have neither.
            let mut item = item.clone();
            let members = item.as_object_mut().unwrap();
            members.remove("kind");
            members.remove("apiVersion");
            faults.extend(schema.faults(&item, kind, kind));
        }
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn polled_answers_have_the_fields_of_their_apis() {
    let sim = demo().await;
    let agent = "/apis/subresources.kubevirt.io/v1/namespaces/data/virtualmachineinstances/analytics-warehouse-vm/filesystemlist";
    let summary = "/api/v1/nodes/worker-01/proxy/stats/summary";
    let mut answers = vec![
        (get(&sim, agent).await, "v1.VirtualMachineInstanceFileSystemList"),
        (get(&sim, summary).await, "kubelet.Summary"),
        (get(&sim, "/apis/metrics.k8s.io/v1beta1/pods").await, "metrics.PodMetricsList"),
    ];
    for query in ["kubelet_volume_stats_used_bytes", "kubelet_volume_stats_used_bytes[3m]", "up{"] {
        answers.push((prometheus::query(&sim, query).await.1, "prometheus.Answer"));
    }
    let now = sim.world().clock.now() / 1000;
    let times = format!("start={}&end={now}&step=60", now - 600);
    let range = prometheus::range(&sim, "kubelet_volume_stats_used_bytes", &times).await;
    answers.push((range.1, "prometheus.Answer"));
    let (user, password) = (sim.ceph().user.clone(), sim.ceph().password.clone());
    answers.push((ceph::Client::login(&sim, &user, &password).await.1, "ceph.Login"));
    answers.push((ceph::Client::login(&sim, &user, "wrong").await.1, "ceph.Error"));
    let client = ceph::Client::new(&sim).await;
    let (.., images) = client.get("/api/block/image?limit=-1", "2.0").await;
    answers.push((client.get("/api/block/image/vms%2Fnone", "1.0").await.2, "ceph.Error"));
    answers.push((images, "[ceph.PoolImages]"));

    let schema = Schema::published();
    for (answer, kind) in answers {
        let mut faults = schema.faults(&answer, kind, kind);
        faults.sort();
        faults.dedup();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        // An empty list would have every shape.
        let list =
            ["/items", "/pods", "/data/result", "/0/value"].iter().find_map(|path| answer.pointer(path));
        assert!(list.is_none_or(|list| !list.as_array().unwrap().is_empty()), "{kind}: {answer}");
    }
}

/// A field that a type does not know is lost when the object is read into it and written again.
#[tokio::test]
async fn core_objects_have_the_fields_of_kubernetes_types() {
    fn lost_fields<T: DeserializeOwned + Serialize>(list: &Value) -> Vec<String> {
        assert!(!items(list).is_empty());
        let typed =
            |item: &Value| serde_json::to_value(serde_json::from_value::<T>(item.clone()).unwrap()).unwrap();
        let mut lost = Vec::new();
        items(list).iter().for_each(|item| missing(item, &typed(item), "", &mut lost));
        lost
    }
    let sim = demo().await;
    let mut all = lost_fields::<Pod>(&get(&sim, "/api/v1/pods").await);
    all.extend(lost_fields::<PersistentVolumeClaim>(&get(&sim, "/api/v1/persistentvolumeclaims").await));
    all.extend(lost_fields::<PersistentVolume>(&get(&sim, "/api/v1/persistentvolumes").await));
    all.extend(lost_fields::<Node>(&get(&sim, "/api/v1/nodes").await));
    all.extend(lost_fields::<Event>(&get(&sim, "/api/v1/events").await));
    all.extend(lost_fields::<Namespace>(&get(&sim, "/api/v1/namespaces").await));
    all.sort();
    all.dedup();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// Collects the members of `whole` that are not in `part`. Null and empty members do not count.
fn missing(whole: &Value, part: &Value, path: &str, into: &mut Vec<String>) {
    let is_empty = |value: &Value| {
        value.is_null()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value == &Value::Array(Vec::new())
    };
    match (whole, part) {
        (Value::Object(members), _) => {
            for (name, value) in members.iter().filter(|(_, value)| !is_empty(value)) {
                let path = format!("{path}.{name}");
                match part.get(name) {
                    Some(part) => missing(value, part, &path, into),
                    None => into.push(path),
                }
            }
        }
        (Value::Array(items), Value::Array(parts)) if items.len() == parts.len() => {
            items.iter().zip(parts).for_each(|(item, part)| missing(item, part, &format!("{path}[]"), into));
        }
        (Value::Array(_), _) => into.push(path.to_owned()),
        _ => {}
    }
}

#[test]
fn unknown_wrong_and_missing_fields_are_found() {
    let schema = Schema::published();
    for (json, fault) in [
        (r#"{"spec":{"runStrategy":"Always"}}"#, None),
        (
            r#"{"spec":{"runStrategie":"Always"}}"#,
            Some("vm.spec.runStrategie is no field of v1.VirtualMachineSpec"),
        ),
        (r#"{"spec":{"runStrategy":7}}"#, Some("vm.spec.runStrategy is no string: 7")),
        (
            r#"{"status":{"conditions":{}}}"#,
            Some("vm.status.conditions is no [v1.VirtualMachineCondition]: {}"),
        ),
    ] {
        let faults = schema.faults(&serde_json::from_str(json).unwrap(), "v1.VirtualMachine", "vm");
        assert_eq!(faults.first().map(String::as_str), fault, "{json}");
    }
    for (json, fault) in
        [(r#"{"name":"c","namespace":"n"}"#, None), (r#"{"name":"c"}"#, Some("ref.namespace is missing"))]
    {
        let faults = schema.faults(&serde_json::from_str(json).unwrap(), "kubelet.PVCReference", "ref");
        assert_eq!(faults.first().map(String::as_str), fault, "{json}");
    }
    let mut lost = Vec::new();
    let whole = serde_json::json!({"a": [{"b": 1, "c": {}}], "d": null, "e": "x"});
    missing(&whole, &serde_json::json!({"a": [{}], "e": "x"}), "", &mut lost);
    assert_eq!(lost, [".a[].b"]);
}
