//! Parses times and durations as Kubernetes writes them.

use model::Millis;

/// Parses RFC 3339, as `metav1.Time` and the kubelet write it, to milliseconds since the epoch.
pub fn rfc3339(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Parses a Go duration, as `metav1.Duration` writes it (`15s`, `15.123s`, `1m3s`), to whole milliseconds,
/// rounded down.
pub fn go_duration_ms(text: &str) -> Option<u32> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    match rest {
        "" => return None,
        "0" => return Some(0),
        _ => {}
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (term, tail) = term(rest)?;
        nanos = nanos.checked_add(term)?;
        rest = tail;
    }
    u32::try_from(nanos / 1_000_000).ok()
}

/// The first `number unit` in nanoseconds, and the rest of the text.
fn term(text: &str) -> Option<(u128, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let unit = unit_nanos(unit)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((u128::from(whole) * unit + fraction_of(fraction, unit), rest))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Computes `0.fraction × unit`. 18 digits are finer than any unit.
fn fraction_of(fraction: &str, unit: u128) -> u128 {
    let digits = fraction.bytes().take(18);
    let (value, scale) =
        digits.fold((0u128, 1u128), |(value, scale), b| (value * 10 + u128::from(b - b'0'), scale * 10));
    value * unit / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn go_durations() {
        for (text, want) in [
            ("15s", Some(15_000)),
            ("15.123s", Some(15_123)),
            ("1m3s", Some(63_000)),
            ("1h0m0.5s", Some(3_600_500)),
            ("500ms", Some(500)),
            ("1500us", Some(1)),
            ("20µs", Some(0)),
            (".5s", Some(500)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("15", None),
            ("-15s", None),
            ("15x", None),
            ("1.2.3s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(go_duration_ms(text), want, "{text}");
        }
    }

    #[test]
    fn moments() {
        for (text, want) in [
            ("2026-03-04T09:12:00Z", Some(1_772_615_520_000)),
            ("2026-03-04T10:12:00.25+01:00", Some(1_772_615_520_250)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("", None),
            ("yesterday", None),
            ("2026-03-04", None),
        ] {
            assert_eq!(rfc3339(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}", near in "[0-9.]{0,30}(h|m|s|ms)?[0-9.]{0,4}s?") {
            let _ = (rfc3339(&text), go_duration_ms(&text), go_duration_ms(&near));
        }
    }
}
