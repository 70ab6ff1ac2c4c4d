//! What stands in the store, and its JSON: made on demand out of compact records, because ten thousand VMs are hundreds
//! of megabytes of pods and instances once they are written out.

mod claim;
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
mod node;
mod persistent_volume;
mod plain;
mod render;
mod summary;
mod template;
mod wukong;

use std::sync::Arc;

use serde_json::Value;

use super::{
    guest::Guest,
    node::{Node, PlainPod},
    resource::{Api, Resource},
};

pub use filesystems::filesystems;
pub use instancetype::instancetype;
pub use longhorn::NAMESPACE as LONGHORN_NAMESPACE;
pub use metrics::{Sampled, pod_metrics};
pub use plain::attachment;
pub use summary::{Tenant, summary};
pub(crate) use template::{Quoted, join, put};

/// An object in the store.
#[derive(Clone, Debug)]
pub enum Body {
    Guest(Part, Arc<Guest>),
    Plain(Arc<PlainPod>),
    Node(Arc<Node>),
    Namespace(Arc<str>),
    /// Exactly this, as a test wrote it.
    Raw(Arc<Value>),
}

/// One of the objects that stand for a guest; numbers are a launcher's serial and a disk's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Wukong,
    Machine,
    Instance,
    Launcher(u32),
    /// The pods that hold hotplugged disks; they are kept as plain pods.
    Attachment,
    Claim(usize),
    PersistentVolume(usize),
    LonghornVolume(usize),
}

/// Label names and values of an object.
pub type Labels = Vec<(String, String)>;

/// Writes an object; `typed` tells whether `kind` and `apiVersion` go in.
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

/// The start of a list, up to its first item.
pub fn list_head(out: &mut String, api: &Api, metadata: &str) {
    put!(
        out,
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{metadata},"items":["#,
        api.kind,
        api.api_version()
    );
}

/// A test's object, with the version that the store gave it.
fn render_raw(out: &mut String, value: &Value, revision: u64) {
    let mut copy = value.as_object().cloned().unwrap_or_default();
    copy.retain(|name, _| name != "kind" && name != "apiVersion");
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
    let text = Value::Object(copy).to_string();
    out.push_str(text.trim_start_matches('{').strip_suffix('}').unwrap_or_default());
}
