//! PodMetrics, as metrics-server writes them.

use super::{
    Labels, labels,
    template::{Quoted, join, put},
};
use crate::{
    clock::{Millis, rfc3339},
    load::Usage,
};

/// A pod's figures at the last scrape.
#[derive(Debug)]
pub struct PodSample {
    pub namespace: String,
    pub name: String,
    pub labels: Labels,
    /// When the pod was sampled, by the clock of its node.
    pub at: Millis,
    /// When metrics-server was asked, by its own clock.
    pub made: Millis,
    /// Milliseconds between the two samples that the rate is computed from.
    pub window_ms: u32,
    pub containers: Vec<(String, Usage)>,
}

/// Writes one item.
pub fn pod_metrics(out: &mut String, sampled: &PodSample, typed: bool) {
    out.push('{');
    if typed {
        out.push_str(r#""kind":"PodMetrics","apiVersion":"metrics.k8s.io/v1beta1","#);
    }
    let at = rfc3339(sampled.at);
    put!(
        out,
        r#""metadata":{{"name":{},"namespace":{},"creationTimestamp":"{}","labels":"#,
        Quoted(&sampled.name),
        Quoted(&sampled.namespace),
        rfc3339(sampled.made)
    );
    labels::write(out, &sampled.labels);
    put!(out, r#"}},"timestamp":"{at}","window":"{}","containers":["#, go_duration(sampled.window_ms));
    join(out, &sampled.containers, |out, (name, usage)| {
        put!(
            out,
            r#"{{"name":{},"usage":{{"cpu":{},"memory":{}}}}}"#,
            Quoted(name),
            Quoted(&usage.cpu),
            Quoted(&usage.memory)
        );
    });
    out.push_str("]}");
}

/// Formats milliseconds as Go prints a duration: `15s`, `15.046s`.
fn go_duration(ms: u32) -> String {
    match (ms / 1000, ms % 1000) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, rest) => format!("{seconds}.{}s", format!("{rest:03}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_as_go_writes_them() {
        assert_eq!(
            (go_duration(15_000), go_duration(15_046), go_duration(14_900)),
            ("15s".into(), "15.046s".into(), "14.9s".into())
        );
    }
}
