//! The queries: one for each metric by its exact name, held to the namespaces and labels that are ours.
//!
//! No regular expression stands on `__name__`: Google Managed Prometheus refuses one, and others make one figure of several metrics.

use std::fmt::Write;

use super::{
    identity::{NameLabel, Scope},
    oversized::OversizedNamespaces,
};
use wukong_core::archive::Of;

/// How far back samples are looked for: two scrapes at the slowest that is common (one a minute), and of the most
/// frequent (15 s) no more than an answer for 10,000 claims can hold.
const SAMPLES: &str = "3m";
/// Bytes of the claims that one query names. An address that is longer is refused by proxies before Prometheus: the
/// claims of the whole namespace are asked for then.
const LONGEST_LIST: usize = 4 << 10;

/// Builds queries of one Prometheus.
pub struct Queries<'a> {
    pub matchers: &'a [(String, String)],
    pub scope: &'a Scope,
}

/// The queries for the samples of one metric.
pub struct Samples {
    /// What exporters say of the namespace that they are scraped in, or that they name.
    pub own: String,
    /// With `--namespace`: what trusted exporters say of ours, where the scrape moved their label.
    pub moved: Option<String>,
}

/// The queries of the past. What tells scrapes apart is added up to nothing: one series for each thing, and of CPU one
/// for each node, since each has a counter of its own.
pub struct Past {
    pub cpu: String,
    pub memory: String,
    /// What is used, and of how much; none where no claim is wanted.
    pub volumes: Option<[String; 2]>,
}

pub const CPU: &str = "kubevirt_vmi_cpu_usage_seconds_total";
pub const RESIDENT: &str = "kubevirt_vmi_memory_resident_bytes";
pub const USED: &str = "kubelet_volume_stats_used_bytes";
pub const CAPACITY: &str = "kubelet_volume_stats_capacity_bytes";

/// The labels by which a series is known, and those that a scrape moves them to.
const INSTANCE_LABELS: &str = "namespace,exported_namespace,name,exported_name";
const CLAIM_LABELS: &str =
    "namespace,exported_namespace,persistentvolumeclaim,exported_persistentvolumeclaim";

impl Queries<'_> {
    /// The samples of one metric: one query, or with `--namespace` one for each label that may name ours. Of exporters in the namespaces `apart` none.
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

    /// The samples that exporters of this namespace alone have.
    pub fn samples_of(&self, metric: &str, namespace: &str) -> String {
        let ours = self.scope.namespaces.as_deref().map(|ours| matcher("namespace", ours));
        let all: Vec<String> = ours.into_iter().chain([matcher("namespace", &[namespace])]).collect();
        self.select(metric, &all)
    }

    fn select(&self, metric: &str, place: &[String]) -> String {
        format!("{}[{SAMPLES}]", self.selector(metric, place))
    }

    /// The past of all VMs is without the oversized namespaces.
    pub fn past(&self, of: &Of, oversized: &OversizedNamespaces) -> Past {
        let volumes = |claims: Option<&[String]>| {
            let of_metric = |metric: &str| {
                let series = self.series(metric, of, NameLabel::Claim, claims, oversized);
                format!("max by ({CLAIM_LABELS}) ({series})")
            };
            [of_metric(USED), of_metric(CAPACITY)]
        };
        let (instance, volumes) = match of {
            Of::All(_) => (None, Some(volumes(None))),
            Of::One { claims, .. } if claims.is_empty() => (instance(of), None),
            Of::One { claims, .. } => {
                let fits = matcher("exported_persistentvolumeclaim", claims).len() <= LONGEST_LIST;
                (instance(of), Some(volumes(Some(claims).filter(|_| fits).map(Vec::as_slice))))
            }
        };
        let instances = |metric| self.series(metric, of, NameLabel::Instance, instance, oversized);
        Past {
            cpu: format!("max by ({INSTANCE_LABELS},node,exported_node) ({})", instances(CPU)),
            memory: format!("max by ({INSTANCE_LABELS}) ({})", instances(RESIDENT)),
            volumes,
        }
    }

    /// The series of a metric in the namespaces that are wanted. A trusted scrape may have moved the label of the namespace, and that of the
    /// name too.
    fn series(
        &self,
        metric: &str,
        of: &Of,
        label: NameLabel,
        names: Option<&[String]>,
        oversized: &OversizedNamespaces,
    ) -> String {
        let label = match label {
            NameLabel::Instance => "name",
            NameLabel::Claim => "persistentvolumeclaim",
        };
        let exported = format!("exported_{label}");
        let named = |label: &str| names.map(|names| matcher(label, names));
        let place = |label: &str| -> Vec<String> {
            let ours = self.scope.namespaces.as_deref().map(|ours| matcher(label, ours));
            let one = match of {
                Of::One { namespace, .. } => Some(matcher(label, std::slice::from_ref(namespace))),
                Of::All(_) => None,
            };
            ours.into_iter().chain(one).collect()
        };
        let own = place("namespace");
        let apart = if let Of::All(_) = of { none_of(&oversized.names(metric)) } else { None };
        if own.is_empty() {
            return self.selector(metric, apart.as_slice());
        }
        let with = |place: &[String], name: Option<String>| -> String {
            let all: Vec<String> = name.into_iter().chain(place.iter().cloned()).collect();
            self.selector(metric, &all)
        };
        let mut selectors = vec![with(&[own, Vec::from_iter(apart)].concat(), named(label))];
        if let Some(trusted) = self.trusted() {
            let moved = [vec![trusted], place("exported_namespace")].concat();
            selectors.push(with(&moved, named(label)));
            selectors.extend(named(&exported).map(|name| with(&moved, Some(name))));
        }
        selectors.join(" or ")
    }

    /// None where no exporter is trusted: a matcher for no value matches series without the label.
    fn trusted(&self) -> Option<String> {
        (!self.scope.trusted.is_empty()).then(|| matcher("namespace", &self.scope.trusted[..]))
    }

    /// `metric{cluster="a",namespace=~"prod|dev"}`
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

fn instance(of: &Of) -> Option<&[String]> {
    match of {
        Of::All(_) => None,
        Of::One { instance, .. } => Some(std::slice::from_ref(instance)),
    }
}

/// A matcher for exporters of other namespaces than these.
fn none_of(namespaces: &[String]) -> Option<String> {
    let literals: Vec<String> = namespaces.iter().map(|namespace| literal(namespace)).collect();
    (!literals.is_empty()).then(|| format!(r#"namespace!~"{}""#, escaped(&literals.join("|"))))
}

/// A matcher for exactly these values: names are texts, whatever a pattern would make of them.
fn matcher(label: &str, values: &[impl AsRef<str>]) -> String {
    match values {
        [value] => format!(r#"{label}="{}""#, escaped(value.as_ref())),
        _ => {
            let literals: Vec<String> = values.iter().map(|value| literal(value.as_ref())).collect();
            format!(r#"{label}=~"{}""#, escaped(&literals.join("|")))
        }
    }
}

/// What means something in RE2 outside of brackets (`regexp.QuoteMeta` of Go, which Prometheus' patterns are read by).
const META: &str = r"\.+*?()|[]{}^$";

/// A text as a regular expression that matches it alone.
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

/// The inside of a string in double quotes (`strutil.Unquote` of Prometheus: a line's end must be escaped).
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests;
