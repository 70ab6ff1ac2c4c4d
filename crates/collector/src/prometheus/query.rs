//! Builds the queries: one per metric by its exact name, restricted to the wanted namespaces and labels.
//!
//! `__name__` is never matched by a regular expression: Google Managed Prometheus refuses that, and others
//! add up several metrics to one figure.

use std::fmt::Write;

use super::{
    activity_metrics::{ActivityMetric, Combine},
    identity::{NameLabel, Scope},
};
use model::Millis;
use wukong_core::long_term::VmSelection;

/// How far back samples are requested: two scrapes at the slowest common interval (one minute). At the
/// fastest (15 s), the answer for 10,000 claims still fits.
const SAMPLES: &str = "3m";
/// Bytes of the claims or nodes that one query names. Proxies refuse longer URLs; in that case all claims of the
/// namespace, or all nodes, are requested.
const LONGEST_LIST: usize = 4 << 10;

/// Builds the queries for one Prometheus.
pub struct Queries<'a> {
    pub matchers: &'a [(String, String)],
    pub scope: &'a Scope,
    /// The nodes of which samples are wanted; empty means all.
    pub nodes: &'a [Box<str>],
}

/// The queries for the samples of one metric.
pub struct Samples {
    /// Series whose own label `namespace` is wanted.
    pub own: String,
    /// With `--namespace`: series of trusted exporters that name a wanted namespace in `exported_namespace`.
    pub moved: Option<String>,
}

/// The range queries for a history. Labels that only tell scrapes apart are aggregated away: one series per
/// thing, and for CPU one per node, since each node has its own counter.
pub struct RangeQueries {
    pub cpu: String,
    pub memory: String,
    /// Used bytes and capacity; `None` if no claim is wanted.
    pub volumes: Option<[String; 2]>,
}

pub const CPU: &str = "kubevirt_vmi_cpu_usage_seconds_total";
pub const RESIDENT: &str = "kubevirt_vmi_memory_resident_bytes";
pub const USED: &str = "kubelet_volume_stats_used_bytes";
pub const CAPACITY: &str = "kubelet_volume_stats_capacity_bytes";

/// The labels that identify a series, and the labels that a scrape renames them to.
const INSTANCE_LABELS: &str = "namespace,exported_namespace,name,exported_name";
const CLAIM_LABELS: &str =
    "namespace,exported_namespace,persistentvolumeclaim,exported_persistentvolumeclaim";

impl Queries<'_> {
    /// The samples of one metric: one query, or with `--namespace` one per label that may name a wanted
    /// namespace. Exporters in the namespaces `apart` are excluded.
    pub fn samples(&self, metric: &str, apart: &[String]) -> Samples {
        let ours = self.scope.namespaces.as_deref();
        let own = ours.map(|ours| matcher("namespace", ours)).into_iter().chain(none_of(apart));
        let moved =
            ours.zip(self.trusted()).map(|(ours, trusted)| [trusted, matcher("exported_namespace", ours)]);
        Samples {
            own: self.select(metric, &own.collect::<Vec<_>>()),
            moved: moved.map(|place| self.select(metric, &place)),
        }
    }

    /// The samples of exporters in this namespace only.
    pub fn samples_of(&self, metric: &str, namespace: &str) -> String {
        let ours = self.scope.namespaces.as_deref().map(|ours| matcher("namespace", ours));
        let all: Vec<String> = ours.into_iter().chain([matcher("namespace", &[namespace])]).collect();
        self.select(metric, &all)
    }

    fn select(&self, metric: &str, place: &[String]) -> String {
        let nodes = (!self.nodes.is_empty()).then(|| matcher("node", self.nodes));
        let nodes = nodes.filter(|nodes| nodes.len() <= LONGEST_LIST);
        let all: Vec<String> = place.iter().cloned().chain(nodes).collect();
        format!("{}[{SAMPLES}]", self.selector(metric, &all))
    }

    /// The range queries for the history of one VM or of all.
    pub fn range_queries(&self, of: &VmSelection) -> RangeQueries {
        let volumes = |claims: Option<&[String]>| {
            let of_metric = |metric: &str| {
                let series = self.series(metric, of, NameLabel::Claim, claims);
                format!("max by ({CLAIM_LABELS}) ({series})")
            };
            [of_metric(USED), of_metric(CAPACITY)]
        };
        let (instance, volumes) = match of {
            VmSelection::All(_) => (None, Some(volumes(None))),
            VmSelection::One { claims, .. } if claims.is_empty() => (instance(of), None),
            VmSelection::One { claims, .. } => {
                let fits = matcher("exported_persistentvolumeclaim", claims).len() <= LONGEST_LIST;
                (instance(of), Some(volumes(Some(claims).filter(|_| fits).map(Vec::as_slice))))
            }
        };
        let instances = |metric| self.series(metric, of, NameLabel::Instance, instance);
        RangeQueries {
            cpu: format!("max by ({INSTANCE_LABELS},node,exported_node) ({})", instances(CPU)),
            memory: format!("max by ({INSTANCE_LABELS}) ({})", instances(RESIDENT)),
            volumes,
        }
    }

    /// The range queries for what one guest did, in the order of [`ActivityMetric::ALL`]. Each rate is the mean over a
    /// step. A device that is scraped twice counts once, and so does a guest that two nodes report during a migration.
    /// `None` for all VMs.
    pub fn activity_queries(&self, of: &VmSelection, step: Millis) -> Option<Vec<String>> {
        let instance = instance(of)?;
        let query = |metric: &ActivityMetric| {
            let selectors = self.selectors(metric.name, of, NameLabel::Instance, Some(instance));
            let range = format!("{}s", step / 1000);
            let rates = selectors.iter().map(|selector| format!("rate({selector}[{range}])"));
            let rates = rates.collect::<Vec<_>>().join(" or ");
            let once =
                |label: &str| format!("max by ({INSTANCE_LABELS},node,exported_node,{label}) ({rates})");
            match metric.combine {
                Combine::Sum(label) => format!("sum by ({INSTANCE_LABELS}) ({})", once(label)),
                Combine::Mean(label) => {
                    let each = format!("sum by ({INSTANCE_LABELS},{label}) ({})", once(label));
                    format!("avg by ({INSTANCE_LABELS}) ({each})")
                }
                Combine::Gauge => format!("max by ({INSTANCE_LABELS}) ({})", selectors.join(" or ")),
            }
        };
        Some(ActivityMetric::ALL.iter().map(query).collect())
    }

    fn series(&self, metric: &str, of: &VmSelection, label: NameLabel, names: Option<&[String]>) -> String {
        self.selectors(metric, of, label, names).join(" or ")
    }

    /// Selects the series of a metric in the wanted namespaces. The scrape of a trusted exporter may have
    /// renamed the label of the namespace, and that of the name as well.
    fn selectors(
        &self,
        metric: &str,
        of: &VmSelection,
        label: NameLabel,
        names: Option<&[String]>,
    ) -> Vec<String> {
        let label = match label {
            NameLabel::Instance => "name",
            NameLabel::Claim => "persistentvolumeclaim",
        };
        let exported = format!("exported_{label}");
        let named = |label: &str| names.map(|names| matcher(label, names));
        let place = |label: &str| -> Vec<String> {
            let ours = self.scope.namespaces.as_deref().map(|ours| matcher(label, ours));
            let one = match of {
                VmSelection::One { namespace, .. } => Some(matcher(label, std::slice::from_ref(namespace))),
                VmSelection::All(_) => None,
            };
            ours.into_iter().chain(one).collect()
        };
        let own = place("namespace");
        if own.is_empty() {
            return vec![self.selector(metric, &[])];
        }
        let with = |place: &[String], name: Option<String>| -> String {
            let all: Vec<String> = name.into_iter().chain(place.iter().cloned()).collect();
            self.selector(metric, &all)
        };
        let mut selectors = vec![with(&own, named(label))];
        if let Some(trusted) = self.trusted() {
            let moved = [vec![trusted], place("exported_namespace")].concat();
            selectors.push(with(&moved, named(label)));
            selectors.extend(named(&exported).map(|name| with(&moved, Some(name))));
        }
        selectors
    }

    /// A matcher for trusted exporters. `None` if there are none: a matcher for the empty value would match
    /// series without the label.
    fn trusted(&self) -> Option<String> {
        (!self.scope.trusted.is_empty()).then(|| matcher("namespace", &self.scope.trusted[..]))
    }

    /// A selector such as `metric{cluster="a",namespace=~"prod|dev"}`.
    fn selector(&self, metric: &str, matchers: &[String]) -> String {
        let own = self.matchers.iter().map(|(label, value)| matcher(label, std::slice::from_ref(value)));
        let all: Vec<String> = own.chain(matchers.iter().cloned()).collect();
        let mut text = metric.to_owned();
        if !all.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(text, "{{{}}}", all.join(","));
        }
        text
    }
}

fn instance(of: &VmSelection) -> Option<&[String]> {
    match of {
        VmSelection::All(_) => None,
        VmSelection::One { instance, .. } => Some(std::slice::from_ref(instance)),
    }
}

/// A matcher that excludes exporters in these namespaces.
fn none_of(namespaces: &[String]) -> Option<String> {
    let literals: Vec<String> = namespaces.iter().map(|namespace| literal(namespace)).collect();
    (!literals.is_empty()).then(|| format!(r#"namespace!~"{}""#, escaped(&literals.join("|"))))
}

/// A matcher for exactly these values, never as patterns.
fn matcher(label: &str, values: &[impl AsRef<str>]) -> String {
    match values {
        [value] => format!(r#"{label}="{}""#, escaped(value.as_ref())),
        _ => {
            let literals: Vec<String> = values.iter().map(|value| literal(value.as_ref())).collect();
            format!(r#"{label}=~"{}""#, escaped(&literals.join("|")))
        }
    }
}

/// Characters with a special meaning in RE2 outside of brackets (`regexp.QuoteMeta` of Go, whose syntax
/// Prometheus uses).
const META: &str = r"\.+*?()|[]{}^$";

/// A regular expression that matches only this text.
fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if META.contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Escapes a value for a string in double quotes (`strutil.Unquote` of Prometheus: line breaks must be
/// escaped).
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests;
