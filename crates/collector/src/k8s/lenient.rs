//! Types that fail to deserialise only from broken JSON, never from JSON of an unexpected type. They are
//! bounded, since tenants, guests and nodes write the JSON: what is over a bound is never held.
//!
//! `serde_with` cannot keep these bounds. Its `DefaultOnError`, `PickFirst` and `VecSkipError` buffer the value
//! before they know its type, unknown fields included: of 1 MB of `[[],[],…]` where a flag is expected they
//! hold 42 MB, these types nothing. Decoding 10,000 VMIs of 2.7 kB takes 255 ms and 215 allocations each with
//! them, 72 ms and 47 with these types (release build, `serde_with` 3.25).

mod strict;
#[cfg(test)]
mod tests;
mod visitor;

use std::{collections::BTreeMap, ops::Deref};

pub use self::strict::{Bounded, nullable};

/// A name, a uid or a phase: a text that is compared, looked up or put into a path. Empty for anything else,
/// and for a text that cannot be an identifier (see [`is_identifier`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifier(pub String);

/// A text for people of at most `MOST` characters (see [`readable`]). Empty for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadableText<const MOST: usize = 200>(pub String);

/// A string or a number, as text: Kubernetes writes quantities and ports as either. Empty for anything else,
/// and for texts longer than any quantity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scalar(pub String);

/// A whole number below 2^63, the most that Kubernetes and Ceph count to; `None` for anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub Option<u64>);

/// A boolean; false for anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

/// An object, or its default for anything else. The fields of `T` should be lenient and have defaults
/// themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obj<T>(pub T);

/// The first objects of an array; empty for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MOST: usize = 64> {
    pub items: Vec<T>,
    /// How many elements followed.
    pub left_out: u32,
}

/// The first identifiers of an array; empty for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names<const MOST: usize = 64>(pub Vec<String>);

/// The first entries of an object whose keys and values are identifiers; others are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map<const MOST: usize = 64> {
    pub entries: BTreeMap<String, String>,
    /// How many entries followed.
    pub left_out: u32,
}

/// Characters of the longest quantity that is accepted: `857.9656612873077392578125Gi` has 28.
const LONGEST_SCALAR: usize = 64;

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self { items: Vec::new(), left_out: 0 }
    }
}

impl Scalar {
    /// The text, or `None` if the field is absent.
    pub fn given(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// The value as a whole number that is not negative.
    pub fn count(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The value as a whole number below 2^63, the most that Kubernetes counts to. A larger number is not a
    /// size.
    pub fn bytes(&self) -> Option<u64> {
        self.count().filter(|count| *count < 1 << 63)
    }

    fn bounded(text: &str) -> Self {
        let possible = text.len() <= LONGEST_SCALAR && text.bytes().all(|byte| byte.is_ascii_graphic());
        Self(if possible { text.to_owned() } else { String::new() })
    }
}

macro_rules! reads_as {
    ($([$($param:tt)*] $type:ty, $field:tt => $target:ty);* $(;)?) => {$(
        impl<$($param)*> Deref for $type {
            type Target = $target;
            fn deref(&self) -> &$target {
                &self.$field
            }
        }
    )*};
}

reads_as! {
    [] Identifier, 0 => str;
    [const MOST: usize] ReadableText<MOST>, 0 => str;
    [] Scalar, 0 => str;
    [T] Obj<T>, 0 => T;
    [T, const MOST: usize] List<T, MOST>, items => [T];
    [const MOST: usize] Map<MOST>, entries => BTreeMap<String, String>;
}
