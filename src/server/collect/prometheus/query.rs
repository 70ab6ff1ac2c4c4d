//! The queries, held to the namespaces and labels that are ours.

use std::fmt::Write;

use crate::server::snapshot::archive::Of;

/// How far back samples are looked for: two scrapes at the slowest that is common (one a minute), and of the most
/// frequent (15 s) no more than an answer for 10,000 claims can hold.
const SAMPLES: &str = "3m";

/// The queries of each round.
pub struct Scope {
    volumes: String,
    memory: String,
    cpu: String,
}

impl Scope {
    pub fn new(matchers: &[(String, String)], namespaces: Option<&[String]>) -> Self {
        let ours = selection(matchers, namespaces);
        let volumes = "kubelet_volume_stats_(used|capacity|available)_bytes|kubelet_volume_stats_inodes";
        let memory = "kubevirt_vmi_memory_(available|usable|resident)_bytes";
        let cpu = "kubevirt_vmi_cpu_usage_seconds_total";
        Self {
            volumes: format!(r#"{{__name__=~"{volumes}"{ours}}}[{SAMPLES}]"#),
            memory: format!(r#"{{__name__=~"{memory}"{ours}}}[{SAMPLES}]"#),
            cpu: format!(r#"{{__name__="{cpu}"{ours}}}[{SAMPLES}]"#),
        }
    }

    pub fn volumes(&self) -> &str {
        &self.volumes
    }

    pub fn memory(&self) -> &str {
        &self.memory
    }

    /// Seconds that were used, for each instance.
    pub fn cpu(&self) -> &str {
        &self.cpu
    }
}

/// The queries of the past. What tells scrapes apart is added up to nothing: one series for each thing, and of CPU one
/// for each node, since each has a counter of its own.
pub struct Past {
    pub cpu: String,
    pub memory: String,
    /// None where no claim is wanted.
    pub volumes: Option<String>,
}

const USED_AND_CAPACITY: &str = r#"__name__=~"kubelet_volume_stats_(used|capacity)_bytes""#;
/// Bytes of the claims that one query names. An address that is longer is refused by proxies before Prometheus: the
/// claims of the whole namespace are asked for then.
const LONGEST_LIST: usize = 4 << 10;

impl Past {
    pub fn new(matchers: &[(String, String)], namespaces: Option<&[String]>, of: &Of) -> Self {
        let ours = selection(matchers, namespaces);
        let (namespace, instance, claims) = match of {
            Of::All => (None, String::new(), Some(String::new())),
            Of::One { namespace, instance, claims } => {
                let instance = format!(",{}", matcher("name", std::slice::from_ref(instance)));
                (Some(namespace.as_str()), instance, claim_matcher(claims))
            }
        };
        let select = |metric: &str, own: &str| selector(metric, &format!("{ours}{own}"), namespace);
        let cpu = select(r#"__name__="kubevirt_vmi_cpu_usage_seconds_total""#, &instance);
        let memory = select(r#"__name__="kubevirt_vmi_memory_resident_bytes""#, &instance);
        let volumes = |claims: String| {
            let volumes = select(USED_AND_CAPACITY, &claims);
            format!("max by (__name__,namespace,exported_namespace,persistentvolumeclaim) ({volumes})")
        };
        Self {
            cpu: format!("max by (namespace,exported_namespace,name,node) ({cpu})"),
            memory: format!("max by (namespace,exported_namespace,name) ({memory})"),
            volumes: claims.map(volumes),
        }
    }
}

/// The series of one namespace, which stands in `exported_namespace` where a scrape put its own in its place; or of all.
fn selector(metric: &str, matchers: &str, namespace: Option<&str>) -> String {
    let Some(namespace) = namespace else { return format!("{{{metric}{matchers}}}") };
    let of =
        |label: &str| format!("{{{metric}{matchers},{}}}", matcher(label, std::slice::from_ref(&namespace)));
    format!("{} or {}", of("namespace"), of("exported_namespace"))
}

/// None where there is no claim.
fn claim_matcher(claims: &[String]) -> Option<String> {
    let matcher = matcher("persistentvolumeclaim", claims);
    match claims {
        [] => None,
        _ if matcher.len() > LONGEST_LIST => Some(String::new()),
        _ => Some(format!(",{matcher}")),
    }
}

/// `,cluster="a",namespace=~"prod|dev"`
fn selection(matchers: &[(String, String)], namespaces: Option<&[String]>) -> String {
    let mut text = String::new();
    for (label, value) in matchers {
        // Writing to a String does not fail.
        let _ = write!(text, ",{}", matcher(label, std::slice::from_ref(value)));
    }
    if let Some(namespaces) = namespaces {
        let _ = write!(text, ",{}", matcher("namespace", namespaces));
    }
    text
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
