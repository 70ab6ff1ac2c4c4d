//! Reads one line of the Prometheus text format: the family, the labels that are used, and the value. What
//! follows the value, a timestamp or an exemplar, is not used.

use std::{borrow::Cow, str::from_utf8};

use memchr::{memchr, memchr2};

use super::names::{self, Family};
use crate::k8s::text::is_identifier;

/// One line that may be used.
#[derive(Debug)]
pub enum Line<'a> {
    Series(Series<'a>),
    /// KubeVirt's version, as it calls itself.
    Version(Cow<'a, str>),
    /// A comment, or a series of another family.
    Other,
    /// Not of this format, or with labels that cannot be used.
    Bad,
}

/// A series of a family that is read.
#[derive(Debug)]
pub struct Series<'a> {
    pub family: &'static Family,
    pub labels: Labels<'a>,
    /// In our unit; `None` if it is no amount: negative, infinite, not a number, or larger than Kubernetes counts.
    pub value: Option<u64>,
}

/// The labels that are used. Those that are absent are empty, as in Prometheus.
#[derive(Debug, Default)]
pub struct Labels<'a> {
    pub namespace: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub node: Cow<'a, str>,
    /// `interface`, `drive` or `id`: what of the guest the series is about.
    pub part: Cow<'a, str>,
}

/// Whether the rest of a line can be skipped before it is complete: it is of a family that is not read.
pub fn is_skipped(beginning: &[u8]) -> bool {
    if beginning.first() == Some(&b'#') {
        return false;
    }
    let end = memchr2(b'{', b' ', beginning);
    end.is_some_and(|end| family(&beginning[..end]).is_none() && beginning[..end] != *names::INFO.as_bytes())
}

fn family(name: &[u8]) -> Option<&'static Family> {
    names::find(name.strip_prefix(names::PREFIX.as_bytes())?)
}

/// Reads one line, without its end.
pub fn read(line: &[u8]) -> Line<'_> {
    let Some(end) = memchr2(b'{', b' ', line) else {
        return if line.trim_ascii().is_empty() { Line::Other } else { Line::Bad };
    };
    let (name, rest) = line.split_at(end);
    if name.first() == Some(&b'#') {
        return Line::Other;
    }
    if name == names::INFO.as_bytes() {
        return version(rest);
    }
    match family(name) {
        Some(family) => series(family, rest).map_or(Line::Bad, Line::Series),
        None => Line::Other,
    }
}

fn series<'a>(family: &'static Family, rest: &'a [u8]) -> Option<Series<'a>> {
    let mut labels = Labels::default();
    let mut keep = |label: &[u8], value: RawValue<'a>| {
        let place = match label {
            b"namespace" => &mut labels.namespace,
            b"name" => &mut labels.name,
            b"node" => &mut labels.node,
            b"interface" | b"drive" | b"id" => &mut labels.part,
            _ => return Some(()),
        };
        // A label that is there twice could mean either.
        if !place.is_empty() {
            return None;
        }
        *place = value.identifier()?;
        Some(())
    };
    let rest = read_labels(rest, &mut keep)?;
    Some(Series { family, labels, value: amount(number(rest)?, family.unit) })
}

fn version(rest: &[u8]) -> Line<'_> {
    let mut version = Cow::default();
    let mut keep = |label: &[u8], value| {
        if label == b"kubeversion" {
            version = RawValue::identifier(value)?;
        }
        Some(())
    };
    match read_labels(rest, &mut keep) {
        Some(_) => Line::Version(version),
        None => Line::Bad,
    }
}

/// A label's value as it is written, without its quotes.
#[derive(Clone, Copy)]
struct RawValue<'a> {
    written: &'a [u8],
    is_escaped: bool,
}

impl<'a> RawValue<'a> {
    /// The value, if it can be an identifier.
    fn identifier(self) -> Option<Cow<'a, str>> {
        let written = from_utf8(self.written).ok()?;
        let value = if self.is_escaped { unescape(written)?.into() } else { Cow::Borrowed(written) };
        is_identifier(&value).then_some(value)
    }
}

/// Passes each label to `keep`, which returns `None` to refuse the series. Returns what follows the labels.
fn read_labels<'a>(
    rest: &'a [u8],
    keep: &mut impl FnMut(&[u8], RawValue<'a>) -> Option<()>,
) -> Option<&'a [u8]> {
    let rest = rest.trim_ascii_start();
    let Some(mut rest) = rest.strip_prefix(b"{") else { return Some(rest) };
    loop {
        rest = rest.trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b"}") {
            return Some(rest);
        }
        let equals = memchr(b'=', rest)?;
        let label = rest[..equals].trim_ascii();
        let quoted = rest[equals + 1..].trim_ascii_start().strip_prefix(b"\"")?;
        let (value, after) = read_value(quoted)?;
        keep(label, value)?;
        let after = after.trim_ascii_start();
        rest = match after.first()? {
            b',' => &after[1..],
            b'}' => after,
            _ => return None,
        };
    }
}

/// Reads a quoted value to its closing quote. Returns what follows that.
fn read_value(quoted: &[u8]) -> Option<(RawValue<'_>, &[u8])> {
    let (mut end, mut is_escaped) = (0, false);
    loop {
        end += memchr2(b'"', b'\\', quoted.get(end..)?)?;
        if quoted[end] == b'"' {
            return Some((RawValue { written: &quoted[..end], is_escaped }, &quoted[end + 1..]));
        }
        (end, is_escaped) = (end + 2, true);
    }
}

/// Resolves `\\`, `\"` and `\n`. `None` for any other escape.
fn unescape(written: &str) -> Option<String> {
    let mut value = String::with_capacity(written.len());
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        value.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            },
            c => c,
        });
    }
    Some(value)
}

/// Parses the value of a series, which a timestamp or an exemplar may follow.
fn number(rest: &[u8]) -> Option<f64> {
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// Returns the amount in our unit, as a whole number below 2^63, the most that Kubernetes counts.
fn amount(value: f64, unit: u64) -> Option<u64> {
    const LIMIT: f64 = (1u64 << 63) as f64;
    let amount = (value * unit as f64).round();
    // Not true for a number that is none.
    (value >= 0.0 && amount < LIMIT).then_some(amount as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Option<u64> {
        match read(line.as_bytes()) {
            Line::Series(series) => series.value,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn labels(line: &str) -> [String; 4] {
        match read(line.as_bytes()) {
            Line::Series(Series { labels: Labels { namespace, name, node, part }, .. }) => {
                [namespace, name, node, part].map(Cow::into_owned)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_value_is_an_amount_or_unknown() {
        for (text, want) in [
            ("0", Some(0)),
            ("1.073741824e+09", Some(1 << 30)),
            ("1 1700000000000", Some(1)),
            ("7 # {trace_id=\"x\"} 0.5", Some(7)),
            ("+5", Some(5)),
            ("NaN", None),
            ("+Inf", None),
            ("-Inf", None),
            ("-1", None),
            ("1e300", None),
            ("9223372036854775808", None),
            ("-0", Some(0)),
        ] {
            assert_eq!(
                value(&format!("kubevirt_vmi_memory_unused_bytes{{name=\"a\"}} {text}")),
                want,
                "{text}"
            );
        }
    }

    #[test]
    fn times_are_nanoseconds_whatever_their_unit() {
        for (name, text, want) in [
            ("storage_read_times_seconds_total", "0.25", 250_000_000),
            ("storage_read_times_ms_total", "0.25", 250_000),
            ("vcpu_delay_seconds_total", "1.000000001", 1_000_000_001),
            ("cpu_usage_seconds", "3", 3_000_000_000),
        ] {
            assert_eq!(value(&format!("kubevirt_vmi_{name} {text}")), Some(want), "{name}");
        }
    }

    #[test]
    fn labels_are_read_with_their_escapes() {
        let name = "kubevirt_vmi_network_receive_bytes_total";
        for (text, want) in [
            (
                r#"{interface="default",name="web",namespace="prod",node="n1"} 1"#,
                ["prod", "web", "n1", "default"],
            ),
            (r#"{kubernetes_vmi_label_name="x",name="web",namespace="p",node="n"} 1"#, ["p", "web", "n", ""]),
            (r#"{ interface = "a\\b\"}c" , name="w",} 1"#, ["", "w", "", r#"a\b"}c"#]),
            (r#"{x="\\",name="w"} 1"#, ["", "w", "", ""]),
            (r#"{x="a,name=\"forged\"}",name="w"} 1"#, ["", "w", "", ""]),
            ("{} 1", [""; 4]),
            (" 1", [""; 4]),
        ] {
            assert_eq!(labels(&format!("{name}{text}")), want, "{text}");
        }
    }

    #[test]
    fn a_line_that_is_not_of_the_format_is_bad() {
        let long = "x".repeat(10_000);
        for rest in [
            r#"{name="a"#,
            r#"{name="a\"} 1"#,
            r#"{name="a\"#,
            r#"{name="a" node="b"} 1"#,
            "{name=a} 1",
            r#"{name="a"}"#,
            r#"{name="a"} x"#,
            r#"{name="a\t"} 1"#,
            r#"{name="a",name="b"} 1"#,
            r#"{interface="a",drive="b"} 1"#,
            "{name=\"a\u{202e}\"} 1",
            &format!(r#"{{name="{long}"}} 1"#),
            "{",
            " ",
        ] {
            let line = format!("kubevirt_vmi_network_receive_bytes_total{rest}");
            assert!(matches!(read(line.as_bytes()), Line::Bad), "{line:.80}");
        }
        assert!(matches!(read(b"kubevirt_vmi_memory_unused_bytes{name=\"\xff\"} 1"), Line::Bad));
        assert!(matches!(read(b"<!doctype>"), Line::Bad));
    }

    #[test]
    fn other_lines_are_skipped_as_soon_as_their_name_is_known() {
        for line in [
            "# HELP kubevirt_vmi_x y",
            "# EOF",
            "",
            "go_goroutines 7",
            "kubevirt_vmi_cpu_affinity{a=\"b\"} 1",
            "{\"a.b\", c=\"d\"} 1",
        ] {
            assert!(matches!(read(line.as_bytes()), Line::Other), "{line}");
        }
        for (beginning, want) in [
            ("kubevirt_vmi_cpu_affinity{", true),
            ("# HELP ", false),
            ("kubevirt_vmi_memory_unused_bytes{", false),
            ("kubevirt_info{", false),
            ("kubevirt_vmi_cpu_affi", false),
        ] {
            assert_eq!(is_skipped(beginning.as_bytes()), want, "{beginning}");
        }
    }

    #[test]
    fn the_version_is_that_of_kubevirt() {
        let line = br#"kubevirt_info{goversion="go1.24.1",kubeversion="v1.6.2"} 1"#;
        assert!(matches!(read(line), Line::Version(version) if version == "v1.6.2"));
    }
}
