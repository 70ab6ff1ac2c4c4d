//! Decides which object a series is about.
//!
//! A scrape adds labels of its target to each series. If the exporter has a label of the same name,
//! Prometheus renames the exporter's to `exported_…` (`resolveConflictingExposedLabels` in scrape/scrape.go),
//! unless `honorLabels` is set. So the label `namespace` is the exporter's namespace, or what the exporter
//! claims; and `exported_namespace` is always what the exporter claims. Anybody may run an exporter of
//! `kubevirt_vmi_…{namespace="victim"}`: its claim counts only if it is KubeVirt's or a kubelet's.

use std::{collections::BTreeMap, sync::Arc};

use crate::k8s::{prometheus::Labels, text::is_identifier};
use wukong_core::observation::{Key, TrackedNames};

/// How many namespaces of exporters are counted by name. The others are counted together.
const MOST_NAMED: usize = 100;

/// Which namespaces are wanted, and which exporters are trusted.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `None` means all namespaces.
    pub namespaces: Option<Arc<[String]>>,
    /// The namespaces of exporters whose `exported_` labels count.
    pub trusted: Arc<[String]>,
    /// The claims and instances of which figures are kept; `None` means all.
    pub names: Option<Arc<TrackedNames>>,
}

/// The object that a series is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    Known(Key),
    /// An exporter in this namespace, which is not trusted, names another namespace.
    Foreign(&'a str),
    /// The series is about an object or a namespace that is not wanted, or its names are not possible.
    Other,
}

/// How many series are of exporters that are not trusted and name another namespace, by the exporter's
/// namespace.
pub type Foreign = BTreeMap<String, usize>;

/// Which label names the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameLabel {
    Instance,
    Claim,
}

impl Scope {
    /// Decides which object the series with these labels is about.
    pub fn identify<'a>(&self, labels: &'a Labels<'_>, label: NameLabel) -> Identity<'a> {
        let trusted = self.trusts(&labels.namespace);
        let exported = &*labels.exported_namespace;
        let namespace = match (exported.is_empty(), trusted) {
            (true, _) => &*labels.namespace,
            (false, true) => exported,
            (false, false) => return Identity::Foreign(&labels.namespace),
        };
        let (name, exported) = match label {
            NameLabel::Instance => (&labels.name, &labels.exported_name),
            NameLabel::Claim => (&labels.persistentvolumeclaim, &labels.exported_persistentvolumeclaim),
        };
        let name = if trusted && !exported.is_empty() { &**exported } else { &**name };
        let is_ours = self.namespaces.as_ref().is_none_or(|ours| ours.iter().any(|own| own == namespace));
        let named = [namespace, name].into_iter().all(|name| !name.is_empty() && is_identifier(name));
        match is_ours && named && self.wants(label, namespace, name) {
            true => Identity::Known(Key::new(namespace, name)),
            false => Identity::Other,
        }
    }

    /// Whether the object exists or a VM names it, as far as that is known.
    fn wants(&self, label: NameLabel, namespace: &str, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| match label {
            NameLabel::Claim => names.has_claim(namespace, name),
            NameLabel::Instance => names.has_instance(namespace, name),
        })
    }

    /// The node of the measured object; empty if unknown. A scrape may overwrite this label with the node of
    /// its target.
    pub fn node<'a>(&self, labels: &'a Labels<'_>) -> &'a str {
        let exported = &*labels.exported_node;
        let node =
            if !exported.is_empty() && self.trusts(&labels.namespace) { exported } else { &labels.node };
        if is_identifier(node) { node } else { "" }
    }

    /// The key of the object if it is one of ours. Counts series that are not trusted in `foreign`.
    pub fn key(&self, labels: &Labels<'_>, label: NameLabel, foreign: &mut Foreign) -> Option<Key> {
        match self.identify(labels, label) {
            Identity::Known(key) => Some(key),
            Identity::Other => None,
            Identity::Foreign(namespace) => {
                let shown = foreign.len() < MOST_NAMED || foreign.contains_key(namespace);
                let namespace = if shown && is_identifier(namespace) { namespace } else { "" };
                *foreign.entry(namespace.to_owned()).or_default() += 1;
                None
            }
        }
    }

    /// Whether exporters in this namespace may report on other namespaces.
    pub fn trusts(&self, namespace: &str) -> bool {
        !namespace.is_empty() && self.trusted.iter().any(|trusted| trusted == namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(ours: &[&str]) -> Scope {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Scope {
            namespaces: Some(texts(ours)).filter(|ours: &Arc<[String]>| !ours.is_empty()),
            trusted: texts(&["kubevirt", "kube-system", "harvester-system"]),
            names: None,
        }
    }

    fn identified(labels: &str, ours: &[&str], label: NameLabel) -> String {
        let labels: Labels<'_> = serde_json::from_str(labels).unwrap();
        match scope(ours).identify(&labels, label) {
            Identity::Known(key) => format!("{}/{}", key.namespace, key.name),
            Identity::Foreign(namespace) => format!("foreign to {namespace}"),
            Identity::Other => "other".to_owned(),
        }
    }

    /// kubevirt/kubevirt#3125 and similar reports.
    #[test]
    fn a_series_is_of_what_its_exporter_may_speak_for() {
        for (labels, ours, want) in [
            (r#"{"namespace":"kubevirt","exported_namespace":"prod","name":"web"}"#, &[][..], "prod/web"),
            (r#"{"namespace":"kubevirt","exported_namespace":"prod","name":"web"}"#, &["prod"], "prod/web"),
            (r#"{"namespace":"kubevirt","exported_namespace":"prod","name":"web"}"#, &["dev"], "other"),
            (r#"{"namespace":"tenant","exported_namespace":"victim","name":"db"}"#, &[], "foreign to tenant"),
            (
                r#"{"namespace":"tenant","exported_namespace":"victim","name":"db"}"#,
                &["victim"],
                "foreign to tenant",
            ),
            (r#"{"namespace":"prod","name":"web"}"#, &["prod"], "prod/web"),
            (
                r#"{"namespace":"kubevirt","exported_namespace":"prod","exported_exported_namespace":"x","name":"web"}"#,
                &[],
                "prod/web",
            ),
            (r#"{"namespace":"harvester-system","exported_namespace":"prod","name":"web"}"#, &[], "prod/web"),
            (r#"{"exported_namespace":"victim","name":"db"}"#, &[], "foreign to "),
            (
                r#"{"namespace":"kubevirt","exported_namespace":"prod","name":"kubevirt-metrics","exported_name":"web"}"#,
                &[],
                "prod/web",
            ),
            (r#"{"namespace":"prod","name":"web","exported_name":"db"}"#, &[], "prod/web"),
            (r#"{"namespace":"kubevirt","exported_namespace":"prod"}"#, &[], "other"),
            (r#"{"namespace":"prod","name":"a\u202eb"}"#, &[], "other"),
        ] {
            assert_eq!(identified(labels, ours, NameLabel::Instance), want, "{labels} {ours:?}");
        }
        let claim = r#"{"namespace":"kube-system","exported_namespace":"prod","persistentvolumeclaim":"r"}"#;
        assert_eq!(identified(claim, &["prod"], NameLabel::Claim), "prod/r");
        // kubernetes-monitoring/kubernetes-mixin#105, #169: claims of the kubelet's own namespace, and those
        // of a scrape that keeps the kubelet's labels.
        let own = r#"{"namespace":"kube-system","job":"kubelet","persistentvolumeclaim":"registry-cache"}"#;
        assert_eq!(identified(own, &[], NameLabel::Claim), "kube-system/registry-cache");
        assert_eq!(identified(own, &["prod"], NameLabel::Claim), "other");
    }

    #[test]
    fn the_node_is_the_exporters_where_that_is_trusted() {
        for (labels, want) in [
            (r#"{"namespace":"kubevirt","node":"of-the-target","exported_node":"n1"}"#, "n1"),
            (r#"{"namespace":"tenant","node":"n2","exported_node":"n1"}"#, "n2"),
            (r#"{"namespace":"prod","node":"n2"}"#, "n2"),
            ("{}", ""),
        ] {
            let labels: Labels<'_> = serde_json::from_str(labels).unwrap();
            assert_eq!(scope(&[]).node(&labels), want);
        }
    }

    #[test]
    fn foreign_series_are_counted_by_namespace_and_within_bounds() {
        let mut foreign = Foreign::new();
        for n in 0..300 {
            let labels = format!(r#"{{"namespace":"t{n}","exported_namespace":"victim","name":"db"}}"#);
            let labels: Labels<'_> = serde_json::from_str(&labels).unwrap();
            assert_eq!(scope(&[]).key(&labels, NameLabel::Instance, &mut foreign), None);
        }
        assert_eq!((foreign.len(), foreign[""], foreign["t7"]), (MOST_NAMED + 1, 200, 1));
    }
}
