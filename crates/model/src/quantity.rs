//! Parses Kubernetes quantities exactly: `4Gi`, `1.5Gi`, `500M`, `200m`, `199994503n`, `1e3`, `.5`,
//! `8589934592`. The collector and the core use it.
//!
//! Values are kept in billionths, the finest resolution of Kubernetes itself; anything finer is rounded up
//! (`k8s.io/apimachinery` `resource.Quantity`: "no fraction smaller than n; rounded up").

use core::fmt;

/// A number of billionths. Never negative: usage and allocation are amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(u128);

/// Why a text is not a quantity that this program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    Empty,
    Malformed,
    Negative,
    TooLarge,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty quantity",
            Self::Malformed => "not a Kubernetes quantity",
            Self::Negative => "negative quantity",
            Self::TooLarge => "quantity beyond 2^63",
        })
    }
}

const NANO: u128 = 1_000_000_000;
/// Kubernetes caps quantities at 2^63 − 1.
const LIMIT: u128 = (1 << 63) * NANO;

impl Quantity {
    /// Billionths of the unit: nanocores for CPU.
    pub fn nanos(self) -> u64 {
        u64::try_from(self.0).unwrap_or(u64::MAX)
    }

    /// Whole units, rounded up as Kubernetes rounds: bytes for memory.
    pub fn units(self) -> u64 {
        u64::try_from(self.0.div_ceil(NANO)).unwrap_or(u64::MAX)
    }

    /// Parses a quantity as the Kubernetes API writes it.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if let Some(rest) = unsigned.strip_prefix('-') {
            let zero = Self::parse_unsigned(rest)?.0 == 0;
            return if zero { Ok(Self(0)) } else { Err(QuantityError::Negative) };
        }
        Self::parse_unsigned(unsigned)
    }

    fn parse_unsigned(text: &str) -> Result<Self, QuantityError> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Malformed);
        }
        let scale = Scale::parse(suffix)?;
        scale.apply(whole, fraction)
    }
}

/// What a suffix multiplies by.
enum Scale {
    Binary(u32),
    Decimal(i32),
}

impl Scale {
    fn parse(suffix: &str) -> Result<Self, QuantityError> {
        Ok(match suffix {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            _ => Self::Decimal(exponent(suffix)?),
        })
    }

    fn apply(&self, whole: &str, fraction: &str) -> Result<Quantity, QuantityError> {
        match *self {
            Self::Decimal(exp) => decimal(whole, fraction, exp),
            Self::Binary(shift) => binary(whole, fraction, shift),
        }
    }
}

fn exponent(suffix: &str) -> Result<i32, QuantityError> {
    let digits = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Malformed)?;
    let bare = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::Malformed);
    }
    // A very large exponent is still a number: it is clamped, and the range check rejects the value.
    let value = bare.parse::<i32>().unwrap_or(10_000).min(10_000);
    Ok(if digits.starts_with('-') { -value } else { value })
}

/// Returns `whole.fraction × 10^exp` in billionths: shifts the decimal point and rounds up what is cut off.
fn decimal(whole: &str, fraction: &str, exp: i32) -> Result<Quantity, QuantityError> {
    let point = whole.len() as i64 + i64::from(exp) + 9;
    let digits = whole.bytes().chain(fraction.bytes()).map(|b| u128::from(b - b'0'));
    let count = (whole.len() + fraction.len()) as i64;
    let mut value: u128 = 0;
    let mut round_up = false;
    for (index, digit) in digits.enumerate() {
        if (index as i64) < point {
            value = push_digit(value, digit)?;
        } else {
            round_up |= digit != 0;
        }
    }
    for _ in count..point {
        if value == 0 {
            break;
        }
        value = push_digit(value, 0)?;
    }
    Ok(Quantity(value + u128::from(round_up)))
}

fn push_digit(value: u128, digit: u128) -> Result<u128, QuantityError> {
    let next = value * 10 + digit;
    if next > LIMIT { Err(QuantityError::TooLarge) } else { Ok(next) }
}

/// Returns `whole.fraction × 2^shift` in billionths, rounded up. Exact to 36 decimals; a byte has 30 decimals
/// in Gi.
fn binary(whole: &str, fraction: &str, shift: u32) -> Result<Quantity, QuantityError> {
    const LIMB: usize = 18;
    const TEN_18: u128 = 10u128.pow(LIMB as u32);
    let whole = decimal(if whole.is_empty() { "0" } else { whole }, "", 0)?.0;
    let whole = whole.checked_mul(1 << shift).filter(|v| *v <= LIMIT).ok_or(QuantityError::TooLarge)?;
    let (high, rest) = limb(fraction, LIMB);
    let (low, rest) = limb(rest, LIMB);
    // A limb is below 10^18, and 2^shift is at most 2^60: no product reaches 2^121.
    let low = low << shift;
    let part = (high << shift) + low / TEN_18;
    let inexact =
        !low.is_multiple_of(TEN_18) || !part.is_multiple_of(NANO) || rest.bytes().any(|b| b != b'0');
    let sum = whole + part / NANO + u128::from(inexact);
    if sum > LIMIT { Err(QuantityError::TooLarge) } else { Ok(Quantity(sum)) }
}

/// Returns the first `width` digits as a number, padded with zeros, and the digits after them.
fn limb(digits: &str, width: usize) -> (u128, &str) {
    let (kept, rest) = digits.split_at(digits.len().min(width));
    let number = kept.bytes().fold(0u128, |sum, b| sum * 10 + u128::from(b - b'0'));
    (number * 10u128.pow((width - kept.len()) as u32), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> u64 {
        Quantity::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).units()
    }

    #[test]
    fn every_suffix_is_exact() {
        for (text, want) in [
            ("8589934592", 8_589_934_592),
            ("4Gi", 4 << 30),
            ("1.5Gi", 3 << 29),
            ("500M", 500_000_000),
            ("2048Mi", 2 << 30),
            ("1Ki", 1024),
            ("3Ti", 3 << 40),
            ("1Pi", 1 << 50),
            ("1Ei", 1 << 60),
            ("2k", 2_000),
            ("7G", 7_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1e3", 1_000),
            ("1E3", 1_000),
            ("12e-1", 2),
            ("+5", 5),
            (".5Gi", 1 << 29),
            ("1.Gi", 1 << 30),
            ("0", 0),
            ("-0", 0),
            ("0.1Gi", 107_374_183),
            ("1m", 1),
            ("1n", 1),
            // Seen on a launcher (kubevirt/kubevirt#11909), a VM (#5730), and a volume in EFS.
            ("33845097266800m", 33_845_097_267),
            ("31.2Gi", 33_500_744_909),
            ("4096M", 4_096_000_000),
            ("8Ei", 1 << 63),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
    }

    #[test]
    fn cpu_keeps_billionths_and_rounds_up_below() {
        for (text, want) in [
            ("199994503n", 199_994_503),
            ("200m", 200_000_000),
            ("250u", 250_000),
            ("0.1", 100_000_000),
            ("2", 2_000_000_000),
            ("0.0000000001", 1),
            ("1.5n", 2),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().nanos(), want, "{text}");
        }
    }

    #[test]
    fn invalid_quantities_are_refused() {
        use QuantityError::*;
        for (text, want) in [
            ("", Empty),
            ("  ", Empty),
            ("Gi", Malformed),
            ("4GB", Malformed),
            ("4gi", Malformed),
            ("1.2.3", Malformed),
            ("1e", Malformed),
            ("1e+", Malformed),
            ("0x10", Malformed),
            ("4 Gi", Malformed),
            ("NaN", Malformed),
            (".", Malformed),
            ("--1", Malformed),
            ("-1", Negative),
            ("-1Gi", Negative),
            ("1e99", TooLarge),
            ("16Ei", TooLarge),
            ("99999999999999999999999999999999999999999", TooLarge),
        ] {
            assert_eq!(Quantity::parse(text), Err(want), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn no_near_quantity_panics(text in "[+-]?[0-9]{0,45}\\.?[0-9]{0,45}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{0,12})?") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn whole_numbers_read_as_themselves(n in 0u64..(1 << 62)) {
            prop_assert_eq!(Quantity::parse(&n.to_string()).unwrap().units(), n);
        }

        #[test]
        fn binary_fractions_match_rational_arithmetic(whole in 0u64..1000, milli in 0u64..1000) {
            let got = Quantity::parse(&format!("{whole}.{milli:03}Gi")).unwrap().units();
            let exact = (u128::from(whole) * 1000 + u128::from(milli)) << 30;
            prop_assert_eq!(u128::from(got), exact.div_ceil(1000));
        }

        #[test]
        fn nanos_and_milli_agree(milli in 0u64..100_000_000) {
            let a = Quantity::parse(&format!("{milli}m")).unwrap();
            let b = Quantity::parse(&format!("{milli}000000n")).unwrap();
            prop_assert_eq!(a, b);
        }
    }
}
