//! Formats numbers for people, on the server and in the browser. Integer arithmetic only: formatting floats
//! would add 8 kB to the browser's half.

use super::{
    Millis,
    figure::{Sample, Unit},
    rates::Rate,
};

const GI: u32 = 30;
const TI: u32 = 40;

/// Returns bytes as an exact Kubernetes quantity in Gi, never rounded: `12Gi`, `1.5Gi`. Any number of bytes
/// is a finite decimal of Gi, with at most 30 digits.
pub fn gi_exact(bytes: u64) -> String {
    let mut out = (bytes >> GI).to_string();
    let mut rest = bytes & ((1 << GI) - 1);
    if rest > 0 {
        out.push('.');
    }
    while rest > 0 {
        rest *= 10;
        out.push(digit(rest >> GI));
        rest &= (1 << GI) - 1;
    }
    out.push_str("Gi");
    out
}

/// An amount to show, with digits and unit apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    pub digits: String,
    pub unit: &'static str,
}

/// Returns bytes in Gi with `decimals` decimals, rounded half up, thousands grouped, trailing zeros kept.
pub fn gi(bytes: u64, decimals: u32) -> String {
    fixed(u128::from(bytes), 1 << GI, decimals)
}

/// Returns bytes as a total: in Gi, from 10,000 Gi on in Ti; decimals only if they are not zero.
pub fn total_bytes(bytes: u64) -> Amount {
    let (shift, unit) = if bytes >= 10_000 << GI { (TI, "Ti") } else { (GI, "Gi") };
    Amount { digits: trim(fixed(u128::from(bytes), 1 << shift, 1)), unit }
}

/// Returns nanocores as vCPU with two decimals, rounded half up.
pub fn vcpu(nanocores: u64) -> String {
    fixed(u128::from(nanocores), 1_000_000_000, 2)
}

/// Returns bytes in Gi for the headline of a page: up to two decimals, without trailing zeros, whatever the
/// size.
pub fn gi_lead(bytes: u64) -> String {
    trim(gi(bytes, 2))
}

/// Returns bytes in Gi with about four digits: more would add nothing and make columns uneven.
fn gi_short(bytes: u64) -> String {
    let decimals = match bytes >> GI {
        0..100 => 2,
        100..1_000 => 1,
        _ => 0,
    };
    gi(bytes, decimals)
}

/// Returns an allocation without trailing zeros: `4`, `1.5`, `0.25`.
pub fn allocation(unit: Unit, amount: u64) -> String {
    trim(match unit {
        Unit::Nanocores => vcpu(amount),
        Unit::Bytes => gi_short(amount),
    })
}

/// Returns a sample's used amount in the unit of its allocation.
pub fn used(sample: &Sample) -> String {
    match sample.unit {
        Unit::Nanocores => vcpu(sample.used),
        Unit::Bytes => gi_short(sample.used),
    }
}

/// Returns thousandths of a percent as percent with one decimal, truncated like the contract's whole
/// percents: `25.8`.
pub fn percent(milli: u64) -> String {
    let mut out = grouped(milli / 1000);
    out.push('.');
    out.push(digit(milli % 1000 / 100));
    out
}

/// Returns an amount of bytes per second with three or four digits, in powers of 1,000 as networks and drives are
/// named.
pub fn bytes_per_second(rate: Rate) -> Amount {
    let units = ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"];
    let mut scale = 1_000;
    let mut unit = 0;
    while unit + 1 < units.len() && u128::from(rate.0) >= 1_000 * scale {
        scale *= 1_000;
        unit += 1;
    }
    let amount = u128::from(rate.0);
    // Single bytes have no decimals but those that are needed; larger units stand in columns.
    let digits = if unit == 0 { short(amount, scale) } else { fixed(amount, scale, tenths(amount, scale)) };
    Amount { digits, unit: units[unit] }
}

/// Returns operations per second.
pub fn per_second(rate: Rate) -> String {
    short(u128::from(rate.0), 1_000)
}

/// Returns nanoseconds as milliseconds: `0.42 ms`, `4.7 ms`, `1,200 ms`.
pub fn millis(nanos: u64) -> String {
    let decimals = if nanos < 1_000_000 { 2 } else { u32::from(nanos < 100_000_000) };
    fixed(u128::from(nanos), 1_000_000, decimals) + " ms"
}

/// Returns `amount ÷ per`, without a zero after the point.
fn short(amount: u128, per: u128) -> String {
    trim(fixed(amount, per, tenths(amount, per)))
}

/// How many decimals an amount has: one below 100.
fn tenths(amount: u128, per: u128) -> u32 {
    u32::from(amount < 100 * per)
}

/// Groups thousands with commas.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, c) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Returns a time in UTC, `2026-03-04 09:12 UTC` (civil-from-days, after Hinnant's public description).
pub fn utc_minute(at: Millis) -> String {
    let minutes = at.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let mut out = year.to_string();
    for (separator, number) in [('-', month), ('-', day), (' ', minute / 60), (':', minute % 60)] {
        out.push(separator);
        out.push(digit((number / 10) as u64));
        out.push(digit((number % 10) as u64));
    }
    out.push_str(" UTC");
    out
}

/// Returns `amount ÷ per` with a fixed number of decimals, rounded half up, thousands grouped.
fn fixed(amount: u128, per: u128, decimals: u32) -> String {
    let scale = 10u128.pow(decimals);
    let scaled = (amount * scale + per / 2) / per;
    let mut out = grouped(u64::try_from(scaled / scale).unwrap_or(u64::MAX));
    if decimals > 0 {
        let fraction = (scaled % scale).to_string();
        out.push('.');
        for _ in fraction.len()..decimals as usize {
            out.push('0');
        }
        out.push_str(&fraction);
    }
    out
}

fn trim(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn digit(value: u64) -> char {
    char::from(b'0' + (value % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::super::quantity::Quantity;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_is_exact_in_gi() {
        for (bytes, want) in [
            (12 << 30, "12Gi"),
            (3 << 29, "1.5Gi"),
            (0, "0Gi"),
            (500_000_000, "0.4656612873077392578125Gi"),
            (1, "0.000000000931322574615478515625Gi"),
        ] {
            assert_eq!(gi_exact(bytes), want);
        }
    }

    #[test]
    fn amounts_are_rounded_for_display() {
        assert_eq!(gi(5 << 30, 2), "5.00");
        assert_eq!(gi((1204 << 30) + (6 << 30) / 10, 1), "1,204.6");
        assert_eq!(vcpu(1_307_000_000), "1.31");
        assert_eq!(vcpu(995_000_000), "1.00");
        assert_eq!(allocation(Unit::Nanocores, 4_000_000_000), "4");
        assert_eq!(allocation(Unit::Bytes, 3 << 29), "1.5");
        assert_eq!(allocation(Unit::Bytes, (2_000 << 30) + (3 << 29)), "2,002");
        assert_eq!(gi_lead((2_000 << 30) + (3 << 29)), "2,001.5");
        assert_eq!(total_bytes((9634 << 30) + (1 << 29)), Amount { digits: "9,634.5".into(), unit: "Gi" });
        assert_eq!(total_bytes(118 << 40), Amount { digits: "118".into(), unit: "Ti" });
        assert_eq!(percent(25_899), "25.8");
        assert_eq!(percent(1_250_000), "1,250.0");
        assert_eq!(grouped(1_284), "1,284");
        assert_eq!(grouped(999), "999");
    }

    #[test]
    fn rates_have_few_digits() {
        for (thousandths, want) in [
            (0, "0 B/s"),
            (400, "0.4 B/s"),
            (999_000, "999 B/s"),
            (1_000_000, "1.0 kB/s"),
            (18_449_000_000, "18.4 MB/s"),
            (412_000_000_000, "412 MB/s"),
            (u64::MAX, "18,447 TB/s"),
        ] {
            let Amount { digits, unit } = bytes_per_second(Rate(thousandths));
            assert_eq!([&digits, " ", unit].concat(), want);
        }
        for (thousandths, want) in [(0, "0"), (16, "0"), (1_240_400, "1,240"), (99_940, "99.9"), (2_000, "2")]
        {
            assert_eq!(per_second(Rate(thousandths)), want);
        }
        for (nanos, want) in
            [(0, "0.00 ms"), (420_000, "0.42 ms"), (4_660_000, "4.7 ms"), (150_000_000, "150 ms")]
        {
            assert_eq!(millis(nanos), want);
        }
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(utc_minute(1_772_615_520_000), "2026-03-04 09:12 UTC");
        assert_eq!(utc_minute(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc_minute(951_825_600_000), "2000-02-29 12:00 UTC");
    }

    proptest! {
        #[test]
        fn exact_gi_reads_back_as_the_same_bytes(bytes in 0u64..(1 << 62)) {
            prop_assert_eq!(Quantity::parse(&gi_exact(bytes)).unwrap().units(), bytes);
        }

        #[test]
        fn no_number_panics(a in any::<u64>(), at in any::<i64>()) {
            let _ = (gi_exact(a), gi(a, 2), total_bytes(a), vcpu(a), grouped(a), utc_minute(at));
            let _ = (bytes_per_second(Rate(a)), per_second(Rate(a)), millis(a));
        }
    }
}
