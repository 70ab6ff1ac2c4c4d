//! Appends a tail to every text of an answer: to free text, and to names if those are wanted too.

use serde_json::Value;

/// Keys whose texts the protocol itself reads: changing them would make it a different answer.
const CODES: &[&str] = &[
    "__name__",
    "apiVersion",
    "continue",
    "driver",
    "kind",
    "phase",
    "printableStatus",
    "resourceVersion",
    "resultType",
    "status",
    "token",
    "uid",
    "volumeMode",
    "window",
];

/// Keys of names by which objects refer to each other. Everything in `metadata` counts as a name too.
const NAMES: &[&str] = &[
    "attachPodName",
    "claimName",
    "container",
    "exported_namespace",
    "hostIP",
    "imageName",
    "instance",
    "name",
    "namespace",
    "node",
    "nodeName",
    "persistentvolumeclaim",
    "pod",
    "podName",
    "pool",
    "pool_name",
    "pvcName",
    "radosNamespace",
    "serial",
    "sourceNode",
    "sourcePod",
    "targetNode",
    "targetPod",
    "unique_id",
    "vmName",
    "volumeHandle",
    "volumeName",
];

/// Appends `tail` to each text of `value`.
pub fn append(value: &mut Value, tail: &str, names: bool) {
    Tail { text: tail, names }.walk(value, "");
}

struct Tail<'a> {
    text: &'a str,
    names: bool,
}

impl Tail<'_> {
    fn walk(&self, value: &mut Value, path: &str) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields.iter_mut().filter(|(key, _)| *key != "managedFields") {
                    match path {
                        "" | "items" => self.walk(value, key),
                        _ => self.walk(value, &format!("{path}.{key}")),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, path)),
            Value::String(text) if is_free(text) && !is_code(path) && (self.names || !is_name(path)) => {
                text.push_str(&self.text.replace('%', path));
            }
            _ => {}
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Whether a text is a code. The names of launcher containers are codes too, since KubeVirt sets them.
fn is_code(path: &str) -> bool {
    let of_container = ["ontainers.name", "ontainerStatuses.name"].iter().any(|end| path.ends_with(end));
    CODES.contains(&last(path)) || path.ends_with("conditions.type") || of_container
}

/// Whether a text is a name. Keys of labels and annotations contain dots, so those are recognised by their
/// parent.
fn is_name(path: &str) -> bool {
    NAMES.contains(&last(path)) || path.starts_with("metadata") || path.contains("activePods")
}

/// Whether a text is not a number, quantity, time, uid or boolean.
fn is_free(text: &str) -> bool {
    let is_time = text.ends_with('Z') && text.starts_with(|c: char| c.is_ascii_digit());
    let is_uid = text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4;
    !text.is_empty() && !is_number(text) && !is_time && !is_uid && !["true", "false"].contains(&text)
}

/// Whether a text is a number or a quantity: `12`, `0.5`, `199994503n`.
pub fn is_number(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    digits.parse::<f64>().is_ok() && text.len() - digits.len() <= 2
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn free_texts_get_the_tail_and_what_is_read_by_machines_does_not() {
        let object = || {
            json!({"kind": "WukongList", "metadata": {"resourceVersion": "x7"}, "items": [{
                "metadata": {"name": "web", "labels": {"kubevirt.io/domain": "web"}, "uid": "u"},
                "spec": {"osImage": "debian", "memory": "4Gi", "networks": [{"name": "lan", "type": "bridge"}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "message": "well"}]},
            }]})
        };
        let mut values = object();
        append(&mut values, "<%>", false);
        let item = &values["items"][0];
        assert_eq!(item["spec"]["osImage"], "debian<spec.osImage>");
        assert_eq!(item["spec"]["networks"][0], json!({"name": "lan", "type": "bridge<spec.networks.type>"}));
        assert_eq!(item["spec"]["memory"], "4Gi");
        assert_eq!(item["status"]["phase"], "Running");
        assert_eq!(
            item["status"]["conditions"][0],
            json!({"type": "Ready", "message": "well<status.conditions.message>"})
        );
        assert_eq!(item["metadata"], object()["items"][0]["metadata"]);
        let mut names = object();
        append(&mut names, "!", true);
        let item = &names["items"][0];
        assert_eq!(item["metadata"]["name"], "web!");
        assert_eq!(item["metadata"]["labels"]["kubevirt.io/domain"], "web!");
        assert_eq!(
            (&names["metadata"]["resourceVersion"], &item["metadata"]["uid"]),
            (&"x7".into(), &"u".into())
        );
    }
}
