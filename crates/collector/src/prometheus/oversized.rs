//! Namespaces whose exporters make an answer too large. They are excluded from the query for all namespaces
//! and queried one by one, so that each affects only itself. They are found by the start of the answer, since
//! no query tells how many bytes series take.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::identity::Scope;
use crate::k8s::{
    prometheus::{Elements, exporter_namespace},
    text::is_identifier,
};

/// After this time a namespace is queried together with all others again: its exporters may have been fixed.
const SEPARATE_FOR: Duration = Duration::from_secs(600);
/// A namespace that is too large by itself is queried again in the next round, since one answer may have been
/// an accident. If it is too large again, it is queried after this time, then after twice that, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// The maximum number of namespaces per metric that are queried by themselves. With more, the answer stays
/// too large.
const MOST_SEPARATE: usize = 16;
/// Precedes the series in every answer, and anything that an exporter wrote.
const SERIES: &[u8] = br#""result":["#;
const LABEL: &[u8] = br#""namespace":""#;

/// The oversized namespaces by metric. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct OversizedNamespaces(Arc<Mutex<HashMap<String, Metric>>>);

#[derive(Debug, Default)]
struct Metric {
    namespaces: BTreeMap<String, Entry>,
    /// Until then no more than the query for all is sent: every answer was too large.
    given_up_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    until: Instant,
    /// Set if it is too large by itself: when it is queried again, and the wait until then.
    too_large: Option<(Instant, Duration)>,
}

impl OversizedNamespaces {
    /// The namespaces that are excluded from the query for all. True means too large by itself, and not to be
    /// queried now.
    pub fn list(&self, metric: &str) -> Vec<(String, bool)> {
        let now = Instant::now();
        let mut all = self.lock();
        let Some(Metric { namespaces: known, .. }) = all.get_mut(metric) else { return Vec::new() };
        known.retain(|_, entry| entry.until > now);
        let is_refused = |entry: &Entry| entry.too_large.is_some_and(|(retry, _)| retry > now);
        known.iter().map(|(namespace, entry)| (namespace.clone(), is_refused(entry))).collect()
    }

    /// The names of these namespaces.
    pub fn names(&self, metric: &str) -> Vec<String> {
        self.list(metric).into_iter().map(|(namespace, _)| namespace).collect()
    }

    /// Adds a namespace. False if nothing changes: it was excluded already, or too many are.
    pub fn add(&self, metric: &str, namespace: String) -> bool {
        let mut all = self.lock();
        let known = &mut all.entry(metric.to_owned()).or_default().namespaces;
        if known.len() == MOST_SEPARATE || known.contains_key(&namespace) {
            return false;
        }
        tracing::warn!(metric, namespace, "series of this namespace make the answer of Prometheus too large");
        known.insert(namespace, Entry { until: Instant::now() + SEPARATE_FOR, too_large: None });
        true
    }

    /// Records that the namespace is too large by itself.
    pub fn mark_too_large(&self, metric: &str, namespace: &str) {
        let mut all = self.lock();
        if let Some(entry) = all.get_mut(metric).and_then(|metric| metric.namespaces.get_mut(namespace)) {
            let wait = entry.too_large.map_or(Duration::ZERO, |(_, wait)| (wait * 2).max(FIRST_RETRY));
            entry.too_large = Some((Instant::now() + wait, wait));
        }
    }

    /// Records that every answer for a metric was too large, whatever was excluded. For a minute no more is tried than
    /// the query for all: each answer is tens of megabytes.
    pub fn give_up(&self, metric: &str) {
        let until = Some(Instant::now() + FIRST_RETRY);
        self.lock().entry(metric.to_owned()).or_default().given_up_until = until;
    }

    /// Whether every answer for the metric was too large a moment ago.
    pub fn is_given_up(&self, metric: &str) -> bool {
        let until = self.lock().get(metric).and_then(|metric| metric.given_up_until);
        until.is_some_and(|until| until > Instant::now())
    }

    /// Records that the answer for all fits.
    pub fn resume(&self, metric: &str) {
        if let Some(metric) = self.lock().get_mut(metric) {
            metric.given_up_until = None;
        }
    }

    /// Forgets all namespaces of a metric: the answers are too large for another reason.
    pub fn forget(&self, metric: &str) {
        if let Some(metric) = self.lock().get_mut(metric) {
            metric.namespaces.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Metric>> {
        self.0.lock()
    }
}

/// The namespace whose series take the most bytes of an answer or of its start. `None` if no series can be
/// read, or if most bytes are of series whose namespace is not a possible name. Trusted namespaces are never
/// returned: without their series nobody has a figure, and others could make them the heaviest.
pub fn heaviest(answer: &[u8], scope: &Scope) -> Option<String> {
    let begin = answer.windows(SERIES.len()).position(|window| window == SERIES)?;
    let mut elements = Elements { rest: &answer[begin + SERIES.len()..] };
    let mut weights: BTreeMap<Option<Cow<'_, str>>, usize> = BTreeMap::new();
    for series in elements.by_ref() {
        let namespace = Some(exporter_namespace(series.get())).filter(|namespace| is_possible(namespace));
        *weights.entry(namespace).or_default() += series.get().len();
    }
    let rest = elements.rest;
    if let Some(namespace) = namespace_of_unfinished(rest) {
        *weights.entry(Some(namespace.into())).or_default() += rest.len();
    }
    let is_trusted =
        |namespace: &Option<Cow<'_, str>>| namespace.as_ref().is_some_and(|name| scope.trusts(name));
    weights.retain(|namespace, _| !is_trusted(namespace));
    weights.into_iter().max_by_key(|(_, bytes)| *bytes)?.0.map(Cow::into_owned)
}

/// The namespace of a series that is cut off, which may be larger than all that is read. Inside a string the
/// quotes of the searched label would be escaped.
fn namespace_of_unfinished(series: &[u8]) -> Option<&str> {
    let at = series.windows(LABEL.len()).position(|window| window == LABEL)?;
    let value = &series[at + LABEL.len()..];
    let end = value.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&value[..end]).ok().filter(|namespace| is_possible(namespace))
}

/// Whether this can be a namespace. Series without a namespace are possible.
fn is_possible(namespace: &str) -> bool {
    namespace.is_empty() || is_identifier(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(namespace: &str, bytes: usize) -> String {
        let name = "x".repeat(bytes);
        format!(r#"{{"metric":{{"name":"{name}","namespace":"{namespace}"}},"values":[[60,"1"]]}}"#)
    }

    fn answer(series: &[String]) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#, series.join(","))
    }

    #[test]
    fn the_start_of_an_answer_shows_the_heaviest_namespace() {
        let all: Vec<String> =
            (0..50).map(|_| series("prod", 10)).chain([series("evil", 5000), series("dev", 100)]).collect();
        let whole = answer(&all);
        assert_eq!(heaviest(whole.as_bytes(), &Scope::default()).as_deref(), Some("evil"));
        // The answer is cut in the middle of a series: only complete series count.
        let cut = &whole[..whole.find("evil").unwrap()];
        assert_eq!(heaviest(cut.as_bytes(), &Scope::default()).as_deref(), Some("prod"));
        let unlabelled = r#"{"data":{"result":[{"metric":{},"values":[]},{"metric":7},{"x"#;
        assert_eq!(heaviest(unlabelled.as_bytes(), &Scope::default()).as_deref(), Some(""));
        // One series is larger than everything that is read.
        let cut = r#"{"data":{"result":[{"metric":{"namespace":"prod"}},{"metric":{"a":"\"namespace\":\"dev\"","namespace":"evil","z":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"#;
        assert_eq!(heaviest(cut.as_bytes(), &Scope::default()).as_deref(), Some("evil"));
        for nothing in
            ["", "<html>", r#"{"data":{"result":[{"metric":{"namespace":"a"#, r#"{"data":{"result":[]}}"#]
        {
            assert_eq!(heaviest(nothing.as_bytes(), &Scope::default()), None, "{nothing}");
        }
        let long = [series("prod", 10), series(&"x".repeat(300), 100)];
        assert_eq!(heaviest(answer(&long).as_bytes(), &Scope::default()), None, "no namespace has that name");
        // Some servers write white space between series.
        let spaced = "{\"data\":{\"result\":[ {\"metric\":{\"namespace\":\"a\"}} ,\n {\"metric\":{\"namespace\":\"b\",\"x\":\"yyyyyyyyyyyyyyyyyyyyyyyyyy\"}}]}}";
        assert_eq!(heaviest(spaced.as_bytes(), &Scope::default()).as_deref(), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_left_out_for_a_time_and_few_are() {
        let oversized = OversizedNamespaces::default();
        assert!(oversized.add("m", "evil".into()) && !oversized.add("m", "evil".into()));
        oversized.mark_too_large("m", "evil");
        assert_eq!(oversized.list("m"), [("evil".into(), false)], "one answer may have been an accident");
        oversized.mark_too_large("m", "evil");
        for (seconds, is_refused) in [(0, true), (59, true), (1, false)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(oversized.list("m"), [("evil".into(), is_refused)], "{seconds}");
        }
        oversized.mark_too_large("m", "evil");
        tokio::time::advance(Duration::from_secs(119)).await;
        assert!(oversized.add("m", "large".into()));
        assert_eq!(oversized.list("m"), [("evil".into(), true), ("large".into(), false)]);
        assert_eq!(oversized.list("other"), []);
        for n in 0..100 {
            oversized.add("m", format!("n{n}"));
        }
        assert_eq!(oversized.list("m").len(), MOST_SEPARATE);
        tokio::time::advance(SEPARATE_FOR).await;
        assert_eq!(oversized.list("m"), []);
        assert!(oversized.add("m", "evil".into()));
        oversized.forget("m");
        assert_eq!(oversized.list("m"), []);
    }

    #[test]
    fn a_trusted_namespace_is_never_the_heaviest() {
        let scope = Scope { trusted: ["kubevirt".to_owned()].into(), ..Scope::default() };
        let all = answer(&[series("kubevirt", 1000), series("evil", 10), series("worse", 20)]);
        assert_eq!(heaviest(all.as_bytes(), &scope).as_deref(), Some("worse"));
        assert_eq!(heaviest(answer(&[series("kubevirt", 1000)]).as_bytes(), &scope), None);
    }
}
