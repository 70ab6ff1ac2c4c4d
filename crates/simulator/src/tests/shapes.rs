//! The objects have the fields that the APIs define, and no others. A test against this crate's own JSON would prove
//! nothing about a real cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::support::{demo, get, items};

/// Types and fields of api/openapi-spec/swagger.json of kubevirt/kubevirt v1.8.0, without descriptions: those that a
/// VirtualMachine, an instance, an instance type and a list of file systems lead to. `[T]` is an array of T, `{T}` an
/// object with values of T, `any` an object that is not described further.
const KUBEVIRT: &str = include_str!("kubevirt-1.8.json");

struct Schema(BTreeMap<String, Value>);

impl Schema {
    fn kubevirt() -> Self {
        Self(serde_json::from_str(KUBEVIRT).unwrap())
    }

    /// What of a value is not as its type says, by path.
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
                let each = members.iter().flat_map(|(name, value)| {
                    let path = format!("{path}.{name}");
                    match fields.get(name).and_then(Value::as_str) {
                        Some(kind) => self.faults(value, kind, &path),
                        None => vec![format!("{path} is no field of {kind}")],
                    }
                });
                each.collect()
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
async fn kubevirts_objects_have_the_fields_of_its_api() {
    let sim = demo().await;
    let schema = Schema::kubevirt();
    let lists = [
        ("/apis/kubevirt.io/v1/virtualmachines", "v1.VirtualMachine"),
        ("/apis/kubevirt.io/v1/virtualmachineinstances", "v1.VirtualMachineInstance"),
        (
            "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterinstancetypes",
            "v1beta1.VirtualMachineClusterInstancetype",
        ),
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

/// Whatever a type does not know is lost on the way through it.
#[tokio::test]
async fn core_objects_have_the_fields_of_kubernetes_types() {
    fn lost<T: DeserializeOwned + Serialize>(list: &Value) -> Vec<String> {
        assert!(!items(list).is_empty());
        let typed =
            |item: &Value| serde_json::to_value(serde_json::from_value::<T>(item.clone()).unwrap()).unwrap();
        let mut lost = Vec::new();
        items(list).iter().for_each(|item| missing(item, &typed(item), "", &mut lost));
        lost
    }
    let sim = demo().await;
    let mut all = lost::<Pod>(&get(&sim, "/api/v1/pods").await);
    all.extend(lost::<PersistentVolumeClaim>(&get(&sim, "/api/v1/persistentvolumeclaims").await));
    all.extend(lost::<PersistentVolume>(&get(&sim, "/api/v1/persistentvolumes").await));
    all.extend(lost::<Node>(&get(&sim, "/api/v1/nodes").await));
    all.extend(lost::<Namespace>(&get(&sim, "/api/v1/namespaces").await));
    all.sort();
    all.dedup();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// Members of `whole` that are not in `part`; a null or an empty one is as good as none.
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
fn a_field_that_no_api_has_is_found() {
    let schema = Schema::kubevirt();
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
    let mut lost = Vec::new();
    let whole = serde_json::json!({"a": [{"b": 1, "c": {}}], "d": null, "e": "x"});
    missing(&whole, &serde_json::json!({"a": [{}], "e": "x"}), "", &mut lost);
    assert_eq!(lost, [".a[].b"]);
}
