//! The answer of a Prometheus-compatible API to an instant query.
//!
//! Series stay raw slices of the answer until they are looked at: an odd one costs itself alone.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::nullable;
use crate::model::Millis;

/// An answer without `data`, as an error is, is refused and not taken for an empty one.
#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    warnings: Vec<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    infos: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    result: Vec<&'a RawValue>,
}

/// One series: the samples of a range, or the one of an instant.
#[derive(Deserialize)]
pub struct Series<'a> {
    #[serde(borrow)]
    pub metric: Labels<'a>,
    #[serde(borrow, default)]
    values: Vec<(f64, &'a str)>,
    #[serde(borrow, default)]
    value: Option<(f64, &'a str)>,
}

#[derive(Deserialize)]
pub struct Labels<'a> {
    #[serde(borrow, default, rename = "__name__")]
    pub metric: Cow<'a, str>,
    #[serde(borrow, default)]
    pub namespace: Cow<'a, str>,
    /// What `namespace` was before the scrape put its own in that place.
    #[serde(borrow, default)]
    pub exported_namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    pub persistentvolumeclaim: Cow<'a, str>,
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub node: Cow<'a, str>,
    #[serde(borrow, default)]
    pub instance: Cow<'a, str>,
}

impl<'a> Answer<'a> {
    pub fn series(&self) -> impl Iterator<Item = Series<'a>> {
        self.data.result.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok())
    }

    pub fn remarks(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().chain(&self.infos).map(|remark| &**remark)
    }
}

impl Series<'_> {
    /// The newest sample: its time, and its value where that is an amount that can be.
    pub fn last(&self) -> Option<(Millis, Option<f64>)> {
        let (seconds, value) = self.values.last().copied().or(self.value)?;
        let value = value.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
        Some((millis(seconds)?, value))
    }
}

/// Seconds since the epoch, within what a clock can show.
fn millis(seconds: f64) -> Option<Millis> {
    let millis = (seconds * 1000.0).round();
    (0.0..=253_402_300_799_999.0).contains(&millis).then_some(millis as Millis)
}

impl Labels<'_> {
    /// The namespace of what was measured.
    pub fn of_namespace(&self) -> &str {
        if self.exported_namespace.is_empty() { &self.namespace } else { &self.exported_namespace }
    }
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
            let got = lasts(&format!(r#"[{{"metric":{{}},"value":[2.5,"{value}"]}}]"#));
            assert_eq!(got, [Some((2500, want))], "{value}");
        }
    }

    #[test]
    fn an_odd_series_costs_itself_alone() {
        let odd = r#"[7,null,{"metric":3},{"metric":{},"values":[[1,2]]},{"metric":{"name":7},"value":[1,"1"]},
            {"metric":{},"values":[["1","2"]]},{"metric":{"x":"y"},"value":[1,"3"],"histogram":[1,{}]},
            {"metric":{},"value":[1e300,"1"]},{"metric":{}}]"#;
        assert_eq!(lasts(odd), [Some((1000, Some(3.0))), None, None]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
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
