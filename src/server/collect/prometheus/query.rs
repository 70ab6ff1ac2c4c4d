//! The queries, held to the namespaces and labels that are ours.

use std::fmt::Write;

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
    fn a_label_cannot_end_its_matcher() {
        let value = "a\"} or up{x=\"\\\n".to_owned();
        assert_eq!(selection(&[("cluster".into(), value)], None), r#",cluster="a\"} or up{x=\"\\\n""#);
    }
}
