//! Writes the metrics of a virt-handler, in the text format of Prometheus.

use std::{fmt::Write, sync::Arc};

use super::{families::FAMILIES, migrations, sampled::Sampled};
use crate::{
    clock::Millis,
    guest::Guest,
    kubevirt_version::KubevirtVersion,
    objects::{self, Body, Part},
    tenants::Tenants,
};

/// Returns the metrics of a node's guests at `now`.
pub fn write(version: KubevirtVersion, tenants: &Tenants, guests: &[Arc<Guest>], now: Millis) -> String {
    let mut out = format!(
        "# HELP go_goroutines Number of goroutines that currently exist.\n# TYPE go_goroutines gauge\ngo_goroutines 312\n\
         # HELP kubevirt_info Version information.\n# TYPE kubevirt_info gauge\n\
         kubevirt_info{{goversion=\"go1.23.9\",kubeversion=\"{}\"}} 1\n",
        version.text()
    );
    let sampled: Vec<(Sampled<'_>, String)> = guests
        .iter()
        .map(|guest| (Sampled::new(guest, tenants, version, now), labels(&tenants.node.name, guest)))
        .collect();
    let mut values = Vec::new();
    for (name, kind, series) in FAMILIES {
        let Some((name, scale)) = version.name(name) else { continue };
        let _ =
            writeln!(out, "# HELP kubevirt_vmi_{name} As in KubeVirt.\n# TYPE kubevirt_vmi_{name} {kind}");
        for (guest, labels) in &sampled {
            series(guest, &mut values);
            for (own, value) in values.drain(..) {
                let _ = writeln!(out, "kubevirt_vmi_{name}{{{own}{labels}}} {}", value * scale);
            }
        }
    }
    migrations::write(&mut out, version, guests, now);
    out
}

/// The labels of every series of a guest. KubeVirt adds all labels of the instance.
fn labels(node: &str, guest: &Arc<Guest>) -> String {
    let mut out = String::new();
    for (name, value) in objects::labels(&Body::Guest(Part::Instance, guest.clone())) {
        let name = name.replace(['.', '/', '-'], "_");
        let _ = write!(out, "kubernetes_vmi_label_{name}={value:?},");
    }
    let _ = write!(out, "name={:?},namespace={:?},node={node:?}", guest.vm_name, guest.namespace);
    out
}
