//! Types whose deserialisation fails on broken JSON only, never on JSON of another type than hoped for.

use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// A string; empty for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

/// A string or a number, as text: Kubernetes writes quantities and ports as either. Empty for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scalar(pub String);

/// A boolean; false for anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

/// An object; its default for anything else. The fields of `T` should be lenient and default themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obj<T>(pub T);

/// An array of objects; empty for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

/// An object with string values; others are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(pub BTreeMap<String, String>);

/// An array or null, as Go writes a list that holds nothing. Anything else is an error.
pub fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Scalar {
    /// The text, or none where the field is absent.
    pub fn given(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// A whole number that is not negative.
    pub fn count(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The same, under 2^63: the most that Kubernetes counts to. More than that is no size of anything.
    pub fn bytes(&self) -> Option<u64> {
        self.count().filter(|count| *count < 1 << 63)
    }
}

macro_rules! reads_as {
    ($($type:ident $(<$param:ident>)? => $target:ty),* $(,)?) => {$(
        impl $(<$param>)? Deref for $type $(<$param>)? {
            type Target = $target;
            fn deref(&self) -> &$target {
                &self.0
            }
        }
    )*};
}

reads_as!(Text => str, Scalar => str, Obj<T> => T, List<T> => [T], Map => BTreeMap<String, String>);

/// What to make of each JSON type; by default nothing.
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

impl FromJson<'_> for Text {
    fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromJson<'_> for Scalar {
    fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn from_number(number: &dyn fmt::Display) -> Self {
        Self(number.to_string())
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

impl<'de, T: Deserialize<'de> + Default> FromJson<'de> for List<T> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut items = Vec::new();
        while let Some(Obj(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Self(items))
    }
}

impl<'de> FromJson<'de> for Map {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, MaybeText>()? {
            if let Some(value) = value.0 {
                entries.insert(key, value);
            }
        }
        Ok(Self(entries))
    }
}

/// Tells a string from its absence, which [`Text`] does not.
#[derive(Default)]
struct MaybeText(Option<String>);

impl FromJson<'_> for MaybeText {
    fn from_text(text: &str) -> Self {
        Self(Some(text.to_owned()))
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
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyJson(PhantomData))
            }
        }
    )*};
}

deserialize_any_json!(Text, Scalar, Flag, Map, MaybeText);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Obj<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        text: Text,
        scalar: Scalar,
        flag: Flag,
        list: List<Item>,
        map: Map,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Item {
        name: Text,
    }

    fn read(json: &str) -> Sample {
        serde_json::from_str::<Obj<Sample>>(json).unwrap_or_else(|e| panic!("{json}: {e}")).0
    }

    #[test]
    fn what_fits_is_kept() {
        let sample = read(
            r#"{"text":"a","scalar":4,"flag":true,"list":[{"name":"x","more":[1]}],"map":{"k":"v"},"x":{"y":[{}]}}"#,
        );
        assert_eq!((&*sample.text, &*sample.scalar, sample.flag.0), ("a", "4", true));
        assert_eq!((&*sample.list[0].name, sample.map["k"].as_str()), ("x", "v"));
    }

    #[test]
    fn every_field_survives_every_json_type() {
        for field in ["text", "scalar", "flag", "list", "map"] {
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
    fn broken_json_is_still_an_error() {
        for json in [r#"{"text":"a""#, r#"{"list":[{"name":}]}"#, ""] {
            assert!(serde_json::from_str::<Obj<Sample>>(json).is_err(), "{json}");
        }
    }
}
