//! The objects in the store and their JSON. JSON is written on demand from compact records, because the pods
//! and instances of 10,000 VMs take hundreds of megabytes as text.

mod body;
mod claim;
mod event;
mod filesystems;
mod guest;
mod instance;
mod instancetype;
mod labels;
mod launcher;
mod longhorn;
mod machine;
mod managed;
mod metrics;
mod migration;
mod node;
mod observed;
mod persistent_volume;
mod plain;
mod render;
mod summary;
mod template;
mod wukong;

use serde_json::Value;

use super::resource::{Api, Resource};

pub use body::{Body, Labels, Part};
pub use filesystems::{FileSystem, filesystems, mounted_in};
pub use guest::is_windows;
pub use instancetype::instancetype;
pub use longhorn::NAMESPACE as LONGHORN_NAMESPACE;
pub use metrics::{PodSample, pod_metrics};
pub use plain::attachment;
pub use summary::{InterfaceBytes, NodePod, summary};
pub(crate) use template::{Quoted, join, put};

/// Writes an object; `typed` says whether to include `kind` and `apiVersion`.
pub fn render(out: &mut String, resource: Resource, body: &Body, revision: u64, typed: bool) {
    out.push('{');
    if typed {
        let api = resource.api();
        put!(out, r#""kind":"{}","apiVersion":"{}","#, api.kind, api.api_version());
    }
    match body {
        Body::Guest(part, guest) => render::render(out, *part, guest, revision),
        Body::Plain(pod) => plain::render(out, pod, revision),
        Body::Node(record) => node::render(out, record, revision),
        Body::Namespace(name) => node::render_namespace(out, name, revision),
        Body::Raw(value) => render_raw(out, value, revision),
    }
    out.push('}');
}

pub fn labels(body: &Body) -> Labels {
    match body {
        Body::Guest(part, guest) => labels::of_guest(*part, guest),
        Body::Plain(pod) => pod.labels.clone(),
        Body::Node(node) => labels::of_node(node),
        Body::Namespace(name) => vec![("kubernetes.io/metadata.name".to_owned(), name.to_string())],
        Body::Raw(value) => labels::of_raw(value),
    }
}

/// Returns the value of a field by which an object can be selected; empty if it has none.
pub fn field(resource: Resource, body: &Body, name: &str) -> String {
    let mut text = String::new();
    render(&mut text, resource, body, 0, false);
    let object: Value = serde_json::from_str(&text).unwrap_or_default();
    let path = match name {
        // The component of an Event, under the name that it had at first.
        "source" => object.pointer("/source/component").or(object.pointer("/reportingComponent")),
        name => object.pointer(&format!("/{}", name.replace('.', "/"))),
    };
    path.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Writes the start of a list, up to its first item.
pub fn list_head(out: &mut String, api: &Api, metadata: &str) {
    put!(
        out,
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{metadata},"items":["#,
        api.kind,
        api.api_version()
    );
}

/// Writes a test's object with the version that the store gave it.
fn render_raw(out: &mut String, value: &Value, revision: u64) {
    let mut copy = value.as_object().cloned().unwrap_or_default();
    copy.retain(|name, _| name != "kind" && name != "apiVersion");
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
    let text = Value::Object(copy).to_string();
    out.push_str(text.trim_start_matches('{').strip_suffix('}').unwrap_or_default());
}
