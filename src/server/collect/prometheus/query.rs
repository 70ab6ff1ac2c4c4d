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

impl Past {
    pub fn new(matchers: &[(String, String)], namespaces: Option<&[String]>, of: &Of) -> Self {
        let ours = selection(matchers, namespaces);
        let (instance, claims) = match of {
            Of::All => (String::new(), Some(String::new())),
            Of::One { instance, claims, .. } => {
                let claims: Vec<String> = claims.iter().map(|claim| pattern(claim)).collect();
                let one = format!(r#",name="{}""#, escaped(instance));
                let any = format!(r#",persistentvolumeclaim=~"{}""#, claims.join("|"));
                (one, (!claims.is_empty()).then_some(any))
            }
        };
        let cpu = format!(r#"{{__name__="kubevirt_vmi_cpu_usage_seconds_total"{ours}{instance}}}"#);
        let memory = format!(r#"{{__name__="kubevirt_vmi_memory_resident_bytes"{ours}{instance}}}"#);
        let volumes = |claims| {
            let volumes =
                format!(r#"{{__name__=~"kubelet_volume_stats_(used|capacity)_bytes"{ours}{claims}}}"#);
            format!("max by (__name__,namespace,exported_namespace,persistentvolumeclaim) ({volumes})")
        };
        Self {
            cpu: format!("max by (namespace,exported_namespace,name,node) ({cpu})"),
            memory: format!("max by (namespace,exported_namespace,name) ({memory})"),
            volumes: claims.map(volumes),
        }
    }
}

/// A name as a regular expression within a string. Of what may stand in names, the dot alone means something there.
fn pattern(name: &str) -> String {
    escaped(&name.replace('.', r"\."))
}

/// `,cluster="a",namespace=~"prod|dev"`
fn selection(matchers: &[(String, String)], namespaces: Option<&[String]>) -> String {
    let mut text = String::new();
    for (label, value) in matchers {
        // Writing to a String does not fail.
        let _ = write!(text, r#",{label}="{}""#, escaped(value));
    }
    if let Some(namespaces) = namespaces {
        // DNS labels: none of their characters means anything in a regular expression.
        let _ = write!(text, r#",namespace=~"{}""#, namespaces.join("|"));
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_stay_in_scope() {
        let namespaces = ["prod".to_owned(), "dev-1".to_owned()];
        let scope = Scope::new(&[("cluster".into(), "a".into())], Some(&namespaces));
        let ours = r#"cluster="a",namespace=~"prod|dev-1"}"#;
        for query in [scope.volumes(), scope.memory(), scope.cpu()] {
            assert!(query.contains(ours), "{query}");
        }
        assert_eq!(
            Scope::new(&[], None).volumes(),
            r#"{__name__=~"kubelet_volume_stats_(used|capacity|available)_bytes|kubelet_volume_stats_inodes"}[3m]"#
        );
    }

    #[test]
    fn the_past_of_one_vm_is_asked_for_by_its_names() {
        let claims = vec!["root".to_owned(), "data.1".to_owned()];
        let one = |claims| Of::One { namespace: "prod".into(), instance: "we\"b".into(), claims };
        let past = Past::new(&[("cluster".into(), "a".into())], None, &one(claims));
        assert!(past.cpu.ends_with(r#"_total",cluster="a",name="we\"b"})"#), "{}", past.cpu);
        let volumes = past.volumes.unwrap();
        assert!(volumes.contains(r#"cluster="a",persistentvolumeclaim=~"root|data\\.1"})"#), "{volumes}");
        assert_eq!(Past::new(&[], None, &one(Vec::new())).volumes, None);
        let all = Past::new(&[], Some(&["prod".into()]), &Of::All);
        assert!(all.volumes.unwrap().ends_with(r#"_bytes",namespace=~"prod"})"#));
    }

    #[test]
    fn a_label_cannot_end_its_matcher() {
        let value = "a\"} or up{x=\"\\\n".to_owned();
        assert_eq!(selection(&[("cluster".into(), value)], None), r#",cluster="a\"} or up{x=\"\\\n""#);
    }
}
