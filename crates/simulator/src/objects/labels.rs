//! Labels: what selectors match, and what PodMetrics take over from their pods.

use serde_json::Value;

use super::{
    Labels, Part,
    template::{Quoted, join, put},
};
use crate::{guest::Guest, node::Node};

pub fn of_guest(part: Part, guest: &Guest) -> Labels {
    let mut labels = vec![label("app.kubernetes.io/part-of", &guest.namespace)];
    match part {
        Part::Wukong => labels.push(label("app.kubernetes.io/managed-by", "wukong-operator")),
        Part::Machine => labels.extend(of_machine(guest)),
        Part::Instance => {
            labels.extend(of_machine(guest));
            labels.extend(guest.holder().map(|holder| label("kubevirt.io/nodeName", &holder.node)));
        }
        Part::Launcher(serial) => labels.extend(of_launcher(guest, serial)),
        Part::Attachment => labels.push(label("kubevirt.io", "hotplug-disk")),
        Part::Claim(_) => labels.extend(of_claim()),
        Part::PersistentVolume(_) | Part::Event(_) => labels.clear(),
        Part::Migration(_) => labels = vec![label("kubevirt.io/vmi-name", &guest.vm_name)],
        Part::LonghornVolume(_) => labels = vec![label("longhornvolume", "true")],
    }
    labels
}

pub fn of_node(node: &Node) -> Labels {
    let zone = node.name.bytes().last().map_or(0, |last| last % 3);
    vec![
        label("beta.kubernetes.io/arch", "amd64"),
        label("kubernetes.io/arch", "amd64"),
        label("kubernetes.io/hostname", &node.name),
        label("kubernetes.io/os", "linux"),
        label("kubevirt.io/schedulable", if node.is_ready() { "true" } else { "false" }),
        label("node-role.kubernetes.io/worker", ""),
        label("topology.kubernetes.io/zone", ["zone-a", "zone-b", "zone-c"][usize::from(zone)]),
    ]
}

pub fn of_raw(value: &Value) -> Labels {
    let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    labels.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Writes labels as a JSON object.
pub fn write(out: &mut String, labels: &Labels) {
    out.push('{');
    join(out, labels, |out, (name, value)| put!(out, "{}:{}", Quoted(name), Quoted(value)));
    out.push('}');
}

fn of_machine(guest: &Guest) -> Labels {
    let mut labels = vec![label("kubevirt.io/size", "medium"), label("kubevirt.io/vm", &guest.vm_name)];
    if guest.has_wukong {
        labels.push(label("vm.novasphere.dev/wukong", &guest.name));
    }
    labels
}

fn of_launcher(guest: &Guest, serial: u32) -> Labels {
    let mut labels = of_machine(guest);
    labels.push(label("kubevirt.io", "virt-launcher"));
    if let Some(launcher) = guest.launcher(serial) {
        labels.push(label("kubevirt.io/created-by", &guest.instance_uid_of(launcher.incarnation)));
        if !launcher.node.is_empty() {
            labels.push(label("kubevirt.io/nodeName", &launcher.node));
        }
    }
    if guest.migration.as_ref().is_some_and(|migration| migration.target == serial) {
        labels.push(label("kubevirt.io/migrationJobUID", &guest.migration_uid(serial)));
    }
    labels.push(label("vm.kubevirt.io/name", &guest.vm_name));
    labels
}

fn of_claim() -> Labels {
    vec![
        label("alerts.k8s.io/KubePersistentVolumeFillingUp", "disabled"),
        label("app", "containerized-data-importer"),
        label("app.kubernetes.io/component", "storage"),
        label("app.kubernetes.io/managed-by", "cdi-controller"),
        label("instancetype.kubevirt.io/default-instancetype", "u1.medium"),
    ]
}

/// Returns a label. Kubernetes limits the value to 63 characters.
fn label(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.chars().take(63).collect())
}
