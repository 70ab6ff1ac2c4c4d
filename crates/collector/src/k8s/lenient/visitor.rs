//! The one visitor of all lenient types: it accepts every JSON type, and each type says what it makes of it.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Amount, Flag, Identifier, List, Map, Names, Obj, ReadableText, Scalar};
use crate::k8s::text::{is_identifier, readable};

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
