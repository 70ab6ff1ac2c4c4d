//! Types that fail to deserialise only from broken JSON, never from JSON of an unexpected type. They are
//! bounded, since tenants, guests and nodes write the JSON: what is over a bound is never held.

use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::text::{is_identifier, readable};

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

/// An array, or null, which Go writes for a nil slice. Anything else is an error, and so are more than `MOST`
/// elements: each of them takes more memory than its JSON.
pub fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list: Option<Bounded<T, MOST>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.0).unwrap_or_default())
}

/// An array that is refused if it has more than `MOST` elements.
pub struct Bounded<T, const MOST: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor::<T, MOST>(PhantomData)).map(Self)
    }
}

struct BoundedVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for BoundedVisitor<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {MOST} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}

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

/// What to make of each JSON type; the default for each is the type's default value.
trait FromJson<'de>: Default {
    fn from_text(_: &str) -> Self {
        Self::default()
    }

    fn from_number(_: &dyn fmt::Display) -> Self {
        Self::default()
    }

    fn from_flag(_: bool) -> Self {
        Self::default()
    }

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl FromJson<'_> for Identifier {
    fn from_text(text: &str) -> Self {
        Self(if is_identifier(text) { text.to_owned() } else { String::new() })
    }
}

impl<const MOST: usize> FromJson<'_> for ReadableText<MOST> {
    fn from_text(text: &str) -> Self {
        Self(readable(text, MOST))
    }
}

impl FromJson<'_> for Scalar {
    fn from_text(text: &str) -> Self {
        Self::bounded(text)
    }

    fn from_number(number: &dyn fmt::Display) -> Self {
        Self::bounded(&number.to_string())
    }
}

impl FromJson<'_> for Amount {
    fn from_number(number: &dyn fmt::Display) -> Self {
        Self(number.to_string().parse().ok().filter(|amount| *amount < 1 << 63))
    }
}

impl FromJson<'_> for Flag {
    fn from_flag(flag: bool) -> Self {
        Self(flag)
    }
}

impl<'de, T: Deserialize<'de> + Default> FromJson<'de> for Obj<T> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Self)
    }
}

impl<'de, T: Deserialize<'de> + Default, const MOST: usize> FromJson<'de> for List<T, MOST> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut items = Vec::new();
        while items.len() < MOST {
            let Some(Obj(item)) = list.next_element()? else { return Ok(Self { items, left_out: 0 }) };
            items.push(item);
        }
        let mut left_out = 0u32;
        while list.next_element::<IgnoredAny>()?.is_some() {
            left_out = left_out.saturating_add(1);
        }
        Ok(Self { items, left_out })
    }
}

impl<'de, const MOST: usize> FromJson<'de> for Names<MOST> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut names = Vec::new();
        while let Some(MaybeIdentifier(name)) = list.next_element()? {
            names.extend(name.filter(|_| names.len() < MOST));
        }
        Ok(Self(names))
    }
}

impl<'de, const MOST: usize> FromJson<'de> for Map<MOST> {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut kept = Self::default();
        while let Some((key, value)) = map.next_entry::<Identifier, MaybeIdentifier>()? {
            match value.0 {
                None => {}
                Some(_) if key.is_empty() => {}
                Some(_) if kept.entries.len() == MOST => kept.left_out = kept.left_out.saturating_add(1),
                Some(value) => drop(kept.entries.insert(key.0, value)),
            }
        }
        Ok(kept)
    }
}

/// Distinguishes an identifier from its absence, which [`Identifier`] does not.
#[derive(Default)]
struct MaybeIdentifier(Option<String>);

impl FromJson<'_> for MaybeIdentifier {
    fn from_text(text: &str) -> Self {
        Self(is_identifier(text).then(|| text.to_owned()))
    }
}

struct AnyJson<T>(PhantomData<T>);

impl<'de, T: FromJson<'de>> Visitor<'de> for AnyJson<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::from_number(&number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::from_number(&number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::from_number(&number))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<T, E> {
        Ok(T::from_flag(flag))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::from_list(list)
    }
}

macro_rules! deserialize_any_json {
    ($([$($param:tt)*] $type:ty);* $(;)?) => {$(
        impl<'de, $($param)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyJson(PhantomData))
            }
        }
    )*};
}

deserialize_any_json! {
    [] Identifier;
    [const MOST: usize] ReadableText<MOST>;
    [] Scalar;
    [] Amount;
    [] Flag;
    [] MaybeIdentifier;
    [T: Deserialize<'de> + Default] Obj<T>;
    [T: Deserialize<'de> + Default, const MOST: usize] List<T, MOST>;
    [const MOST: usize] Names<MOST>;
    [const MOST: usize] Map<MOST>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        id: Identifier,
        text: ReadableText<20>,
        scalar: Scalar,
        amount: Amount,
        flag: Flag,
        list: List<Item, 3>,
        map: Map<3>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Item {
        name: Identifier,
    }

    fn read(json: &str) -> Sample {
        serde_json::from_str::<Obj<Sample>>(json).unwrap_or_else(|e| panic!("{json}: {e}")).0
    }

    #[test]
    fn what_fits_is_kept() {
        let sample = read(
            r#"{"id":"i","text":"a","scalar":4,"amount":5,"flag":true,"list":[{"name":"x","more":[1]}],"map":{"k":"v"},"x":{"y":[{}]}}"#,
        );
        assert_eq!((&*sample.id, &*sample.text, &*sample.scalar), ("i", "a", "4"));
        assert_eq!((sample.amount.0, sample.flag.0), (Some(5), true));
        assert_eq!((&*sample.list[0].name, sample.map["k"].as_str()), ("x", "v"));
    }

    #[test]
    fn every_field_survives_every_json_type() {
        for field in ["id", "text", "scalar", "amount", "flag", "list", "map"] {
            for value in
                ["null", "true", "-1", "7", "1.5", "\"s\"", "[1,[2],{\"a\":{}}]", "{\"a\":[1,{\"b\":2}]}"]
            {
                let sample = read(&format!(r#"{{"{field}":{value},"text2":1}}"#));
                assert!(sample.list.iter().all(|item| item.name.is_empty()), "{field}: {value}");
            }
        }
    }

    #[test]
    fn a_whole_object_of_the_wrong_type_is_its_default() {
        for json in ["null", "1", "\"s\"", "[{\"text\":\"a\"}]"] {
            assert_eq!(read(json), Sample::default(), "{json}");
        }
    }

    #[test]
    fn scalars_are_strings_or_numbers() {
        for (json, text, count) in [
            (r#""4Gi""#, "4Gi", None),
            ("8589934592", "8589934592", Some(8_589_934_592)),
            (r#""12""#, "12", Some(12)),
            ("2.0", "2", Some(2)),
            ("1.5", "1.5", None),
            ("-3", "-3", None),
            ("true", "", None),
        ] {
            let scalar: Scalar = serde_json::from_str(json).unwrap();
            assert_eq!((&*scalar, scalar.count()), (text, count), "{json}");
        }
    }

    #[test]
    fn amounts_that_are_none_are_unknown() {
        for (json, want) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("9223372036854775807", Some((1 << 63) - 1)),
            ("9223372036854775808", None),
            ("-1", None),
            ("1.5", None),
            ("1e30", None),
            ("null", None),
            (r#""5""#, None),
            ("{}", None),
            ("[[0,0],0]", None),
        ] {
            assert_eq!(serde_json::from_str::<Amount>(json).unwrap().0, want, "{json}");
        }
    }

    #[test]
    fn a_text_is_cut_and_an_identifier_is_not() {
        let long = "x".repeat(300);
        let json = format!(
            r#"{{"id":"{long}","text":"{long}","scalar":"{long}","map":{{"{long}":"v","k":"{long}","a":"b"}}}}"#
        );
        let sample = read(&json);
        assert_eq!(&*sample.text, format!("{}…", "x".repeat(19)));
        assert_eq!((&*sample.id, &*sample.scalar), ("", ""));
        assert_eq!(sample.map.entries, BTreeMap::from([("a".into(), "b".into())]));
        let odd = read(r#"{"id":"a\u202eb","text":"a\u202eb","scalar":"4\u001b","map":{"a\u0000":"b"}}"#);
        assert_eq!((&*odd.id, &*odd.text, &*odd.scalar, odd.map.len()), ("", "a\u{fffd}b", "", 0));
        assert_eq!(&*serde_json::from_str::<Scalar>("1e300").unwrap(), "", "301 digits");
    }

    #[test]
    fn the_first_of_a_list_are_kept_and_the_others_counted() {
        let names = |count: usize| vec![r#"{"name":"x"}"#; count].join(",");
        for (count, kept, left_out) in [(0, 0, 0), (2, 2, 0), (3, 3, 0), (4, 3, 1), (5000, 3, 4997)] {
            let sample = read(&format!(r#"{{"list":[{}]}}"#, names(count)));
            assert_eq!((sample.list.len(), sample.list.left_out), (kept, left_out), "{count}");
        }
        let sample = read(r#"{"map":{"a":"1","b":"2","c":"3","d":"4","e":5,"f":"6"}}"#);
        assert_eq!((sample.map.len(), sample.map.left_out), (3, 2));
        assert!(!sample.map.contains_key("d"));
    }

    #[test]
    fn a_strict_list_of_too_many_elements_is_an_error() {
        #[derive(Deserialize)]
        struct Strict {
            #[serde(deserialize_with = "nullable::<_, _, 3>")]
            items: Vec<u8>,
        }
        let read = |items: &str| serde_json::from_str::<Strict>(&format!(r#"{{"items":{items}}}"#));
        assert_eq!(read("[1,2,3]").unwrap().items, [1, 2, 3]);
        assert!(read("null").unwrap().items.is_empty());
        assert!(["[1,2,3,4]", "{}", "3"].into_iter().all(|items| read(items).is_err()));
    }

    #[test]
    fn broken_json_is_still_an_error() {
        for json in [r#"{"text":"a""#, r#"{"list":[{"name":}]}"#, ""] {
            assert!(serde_json::from_str::<Obj<Sample>>(json).is_err(), "{json}");
        }
    }
}
