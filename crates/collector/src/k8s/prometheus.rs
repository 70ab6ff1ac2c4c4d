//! The answer of a Prometheus-compatible API to a query.
//!
//! Series stay raw slices of the answer until they are used, so an odd one costs only itself.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use super::lenient::nullable;
use model::Millis;

/// The maximum number of series per answer: more than fit into the largest answer at 64 bytes each.
const MOST_SERIES: usize = 1 << 19;
/// The maximum number of samples per series. Prometheus returns 11,000 at most.
const MOST_SAMPLES: usize = 1 << 14;
/// The maximum number of warnings per answer: a large Thanos writes one for each block of a store that is
/// away.
const MOST_REMARKS: usize = 10_000;

/// The answer to a query. Without `data`, as in an error, it is refused, not treated as empty.
#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow, default, deserialize_with = "nullable::<_, _, MOST_REMARKS>")]
    warnings: Vec<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "nullable::<_, _, MOST_REMARKS>")]
    infos: Vec<&'a RawValue>,
}

/// The deepest nesting of an answer. A sample is nested six times.
const DEEPEST: usize = 32;

impl<'a> Answer<'a> {
    /// Decodes an answer; `None` if it is none.
    pub fn parse(answer: &'a [u8]) -> Option<Self> {
        if is_deeper(answer, DEEPEST) { None } else { serde_json::from_slice(answer).ok() }
    }
}

/// Whether values are nested this deeply. serde_json takes a byte for each level of what it skips, in a buffer that
/// doubles: an answer of nothing but brackets would take three times its bytes.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut bytes) = (0usize, false, json.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_text => drop(bytes.next()),
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

/// Bytes of a remark, or of the labels of a series, as written. A text with escapes is copied when it is
/// read.
const LONGEST_TEXT: usize = 16 << 10;

/// The series stay one text, from which they are read one by one: 500,000 slices of them would take 8 MB.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, deserialize_with = "array")]
    result: &'a RawValue,
}

/// An array of at most `MOST_SERIES` elements, or `null` instead of an empty one.
fn array<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de RawValue, D::Error> {
    let value = <&RawValue>::deserialize(deserializer)?;
    let is_array = value.get().starts_with('[') || value.get() == "null";
    match is_array && Elements::of(value).nth(MOST_SERIES).is_none() {
        true => Ok(value),
        false => Err(D::Error::custom("not an array of series, or too many")),
    }
}

/// The elements of an array, from the bytes after its bracket. It ends with the array, or where an element is
/// incomplete.
pub struct Elements<'a> {
    /// What follows the last element.
    pub rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements of a whole array; none of any other value.
    fn of(array: &'a RawValue) -> Self {
        Self { rest: array.get().strip_prefix('[').unwrap_or_default().as_bytes() }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a RawValue;

    fn next(&mut self) -> Option<&'a RawValue> {
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter::<&RawValue>();
        let Some(Ok(element)) = values.next() else { return None };
        let rest = self.rest[values.byte_offset()..].trim_ascii_start();
        self.rest = rest.strip_prefix(b",").unwrap_or(rest);
        Some(element)
    }
}

#[derive(Deserialize)]
struct RawSeries<'a> {
    #[serde(borrow)]
    metric: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "nullable::<_, _, MOST_SAMPLES>")]
    values: Vec<(f64, &'a str)>,
}

/// One series with its samples.
pub struct Series<'a> {
    pub metric: Labels<'a>,
    values: Vec<(f64, &'a str)>,
}

impl<'a> Series<'a> {
    /// `None` if this is no series, or its labels are longer than those of any wanted series.
    pub fn parse(json: &'a str) -> Option<Self> {
        let RawSeries { metric, values } = serde_json::from_str(json).ok()?;
        let labels = Some(metric.get()).filter(|labels| labels.len() <= LONGEST_TEXT)?;
        Some(Self { metric: serde_json::from_str(labels).ok()?, values })
    }
}

/// The labels of a series that are used; a missing label is empty.
#[derive(Deserialize)]
pub struct Labels<'a> {
    #[serde(borrow, default)]
    pub namespace: Cow<'a, str>,
    /// The labels that the exporter called `namespace` and so on, renamed because the scrape sets labels of
    /// these names.
    #[serde(borrow, default)]
    pub exported_namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    pub exported_persistentvolumeclaim: Cow<'a, str>,
    #[serde(borrow, default)]
    pub exported_name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub exported_node: Cow<'a, str>,
    #[serde(borrow, default)]
    pub persistentvolumeclaim: Cow<'a, str>,
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub node: Cow<'a, str>,
    #[serde(borrow, default)]
    pub instance: Cow<'a, str>,
    /// What a series of a guest is about: an interface, a drive, or the number of a vCPU.
    #[serde(borrow, default)]
    pub interface: Cow<'a, str>,
    #[serde(borrow, default)]
    pub drive: Cow<'a, str>,
    #[serde(borrow, default)]
    pub id: Cow<'a, str>,
}

impl<'a> Answer<'a> {
    /// The series that can be read.
    pub fn series(&self) -> impl Iterator<Item = Series<'a>> {
        Elements::of(self.data.result).filter_map(|raw| Series::parse(raw.get()))
    }

    /// The server's warnings and infos; those that are too long are left out.
    pub fn remarks(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let all = self.warnings.iter().chain(&self.infos).map(|remark| remark.get());
        all.filter(|remark| remark.len() <= LONGEST_TEXT)
            .filter_map(|remark| serde_json::from_str(remark).ok())
    }
}

impl Series<'_> {
    /// The newest sample: its time, and its value if that is a possible amount.
    pub fn last(&self) -> Option<(Millis, Option<f64>)> {
        let (seconds, value) = self.values.last().copied()?;
        Some((millis(seconds)?, possible_value(value)))
    }

    /// Every sample, oldest first; for a range query these are at its steps.
    pub fn amounts(&self) -> impl Iterator<Item = (Millis, Option<f64>)> {
        self.values.iter().filter_map(|(seconds, value)| Some((millis(*seconds)?, possible_value(value))))
    }
}

impl Series<'_> {
    /// How much a counter grows per second, and over how many milliseconds that was measured. `None` for a
    /// single sample.
    ///
    /// The server's `rate()` is not used, since it divides by its whole window: a guest that has run for a
    /// tenth of the window would seem to use a tenth.
    pub fn growth(&self) -> Option<(f64, u32)> {
        let samples = self.possible_samples();
        let window = samples.last()?.0 - samples.first()?.0;
        // A counter that fell was reset to 0.
        let grown =
            |pair: &[(f64, f64)]| if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 };
        let growth: f64 = samples.windows(2).map(grown).sum();
        (window > 0.0).then(|| (growth / window, (window * 1000.0).round() as u32))
    }

    /// The same since the counter last fell: what it counted before and what it has counted since then are not
    /// compared. `None` for a single sample since then.
    pub fn steady_growth(&self) -> Option<(f64, u32)> {
        let samples = self.possible_samples();
        let fell = samples.windows(2).rposition(|pair| pair[1].1 < pair[0].1);
        let steady = &samples[fell.map_or(0, |place| place + 1)..];
        let (first, last) = (steady.first()?, steady.last()?);
        let window = last.0 - first.0;
        (window > 0.0).then(|| ((last.1 - first.1) / window, (window * 1000.0).round() as u32))
    }

    /// The samples that are amounts, in seconds.
    fn possible_samples(&self) -> Vec<(f64, f64)> {
        let known =
            |(seconds, value): &(f64, &str)| Some((*seconds, value.parse().ok().filter(|v| possible(*v))?));
        self.values.iter().filter_map(known).collect()
    }
}

/// The `namespace` label of a series, however long its labels are; empty if there is none.
pub fn exporter_namespace(series: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Exported<'a> {
        #[serde(borrow)]
        metric: Exporter<'a>,
    }
    #[derive(Deserialize)]
    struct Exporter<'a> {
        #[serde(borrow, default)]
        namespace: Cow<'a, str>,
    }
    serde_json::from_str(series).map(|Exported { metric }| metric.namespace).unwrap_or_default()
}

fn possible_value(value: &str) -> Option<f64> {
    value.parse().ok().filter(|value| possible(*value))
}

fn possible(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// Converts seconds since the epoch to milliseconds; `None` outside the range of a calendar.
fn millis(seconds: f64) -> Option<Millis> {
    let millis = (seconds * 1000.0).round();
    (0.0..=253_402_300_799_999.0).contains(&millis).then_some(millis as Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasts(result: &str) -> Vec<Option<(Millis, Option<f64>)>> {
        let json = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#);
        let answer: Answer<'_> = serde_json::from_str(&json).unwrap();
        answer.series().map(|series| series.last()).collect()
    }

    #[test]
    fn a_deeply_nested_answer_is_not_decoded() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"data":{{"result":[],"x":{open}"]\\\"[[["{close}}}}}"#)
        };
        assert!(Answer::parse(nested(DEEPEST - 2).as_bytes()).is_some());
        assert!(Answer::parse(nested(DEEPEST - 1).as_bytes()).is_none());
        let brackets = format!(r#"{{"data":{{"result":[],"x":"{}"}}}}"#, "[".repeat(100));
        assert!(Answer::parse(brackets.as_bytes()).is_some(), "text nests nothing");
    }

    #[test]
    fn values_are_strings_and_not_all_of_them_are_amounts() {
        for (value, want) in [
            ("5", Some(5.0)),
            ("1.5e+10", Some(1.5e10)),
            ("0", Some(0.0)),
            ("-0.5", None),
            ("NaN", None),
            ("+Inf", None),
            ("-Inf", None),
            ("many", None),
            ("", None),
        ] {
            let got = lasts(&format!(r#"[{{"metric":{{}},"values":[[1,"7"],[2.5,"{value}"]]}}]"#));
            assert_eq!(got, [Some((2500, want))], "{value}");
        }
    }

    #[test]
    fn a_counter_grows_over_the_time_that_it_was_seen() {
        for (samples, want) in [
            (r#"[10,"1"],[20,"3"],[30,"5"]"#, Some((0.2, 20_000))),
            (r#"[10,"5"],[20,"7"],[30,"1"],[40,"4"]"#, Some((0.2, 30_000))),
            (r#"[10,"5"],[20.5,"5"]"#, Some((0.0, 10_500))),
            (r#"[10,"1"],[20,"NaN"],[30,"5"]"#, Some((0.2, 20_000))),
            (r#"[10,"1"]"#, None),
            (r#"[10,"1"],[10,"2"]"#, None),
            ("", None),
        ] {
            let json = format!(r#"{{"metric":{{}},"values":[{samples}]}}"#);
            let series = Series::parse(&json).unwrap();
            assert_eq!(series.growth(), want, "{samples}");
        }
    }

    #[test]
    fn the_growth_of_a_guest_is_that_since_its_counter_fell() {
        for (samples, want) in [
            (r#"[10,"1"],[20,"3"],[30,"5"]"#, Some((0.2, 20_000))),
            (r#"[10,"5"],[20,"900"],[30,"1"],[40,"4"]"#, Some((0.3, 10_000))),
            (r#"[10,"5"],[20,"900"],[30,"1"]"#, None),
            (r#"[10,"5"],[20,"1"],[30,"0"],[50,"1"]"#, Some((0.05, 20_000))),
            (r#"[10,"5"],[20.5,"5"]"#, Some((0.0, 10_500))),
            (r#"[10,"1"],[20,"NaN"],[30,"-5"],[40,"4"]"#, Some((0.1, 30_000))),
            (r#"[10,"1"]"#, None),
            (r#"[10,"1"],[10,"2"]"#, None),
            ("", None),
        ] {
            let json = format!(r#"{{"metric":{{}},"values":[{samples}]}}"#);
            assert_eq!(Series::parse(&json).unwrap().steady_growth(), want, "{samples}");
        }
    }

    #[test]
    fn an_odd_series_costs_itself_alone() {
        let odd = r#"[7,null,{"metric":3},{"metric":{},"values":[[1,2]]},{"metric":{"name":7},"values":[[1,"1"]]},
            {"metric":{},"values":[["1","2"]]},{"metric":{"x":"y"},"values":[[1,"3"]],"histograms":[[1,{}]]},
            {"metric":{},"values":[[1e300,"1"]]},{"metric":{}}]"#;
        assert_eq!(lasts(odd), [Some((1000, Some(3.0))), None, None]);
    }

    /// A text with escapes is held twice: in the answer, and as it is read.
    #[test]
    fn labels_and_remarks_that_nobody_wants_are_not_read() {
        let long = "\\u0061".repeat(LONGEST_TEXT / 6 + 1);
        let series = |label: &str| format!(r#"{{"metric":{{"name":"{label}"}},"values":[[1,"3"]]}}"#);
        assert_eq!(lasts(&format!("[{},{}]", series(&long), series("web"))).len(), 1);
        let json = format!(r#"{{"data":{{"result":[]}},"warnings":["{long}","short"],"infos":[7]}}"#);
        let answer: Answer<'_> = serde_json::from_str(&json).unwrap();
        assert_eq!(answer.remarks().collect::<Vec<_>>(), ["short"]);
    }

    #[test]
    fn invalid_answers_are_refused() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"status":"error","errorType":"bad_data"}"#,
            r#"{"data":{"result":3}}"#,
            "<html>",
        ] {
            assert!(serde_json::from_str::<Answer<'_>>(json).is_err(), "{json}");
        }
        assert!(lasts("null").is_empty());
    }
}
