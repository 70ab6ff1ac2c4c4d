//! Reads the name of an object from its beginning. Used for objects that are too large to be kept whole.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::k8s::lenient::Identifier;
use wukong_core::observation::Key;

/// The name of an object. A field that was not found is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub namespace: String,
    pub name: String,
    pub version: String,
    /// The type of an event: `ADDED`, `MODIFIED`, `DELETED`.
    pub event: String,
}

impl Identity {
    /// Parses an object, or an event that carries one, which may break off anywhere. Kubernetes writes
    /// `metadata` before `spec` and `status`: fields are in alphabetical order in a custom object, and in the
    /// order of the Go type in a built-in one.
    pub fn parse(beginning: &[u8]) -> Self {
        let mut identity = Self::default();
        let seek = IdentitySeed { into: &mut identity, in_metadata: false };
        // Breaking off is an error here, and expected.
        let _ = seek.deserialize(&mut serde_json::Deserializer::from_slice(beginning));
        identity
    }

    /// The key, or `None` if it is not known. An object at cluster scope has no namespace.
    pub fn key(&self, is_namespaced: bool) -> Option<Key> {
        let known = !self.name.is_empty() && (!self.namespace.is_empty() || !is_namespaced);
        known.then(|| Key::new(&self.namespace, &self.name))
    }
}

struct IdentitySeed<'a> {
    into: &'a mut Identity,
    in_metadata: bool,
}

impl<'de> DeserializeSeed<'de> for IdentitySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for IdentitySeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let into = self.into;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match (&*key, self.in_metadata) {
                ("type", false) => into.event = map.next_value::<Identifier>()?.0,
                ("object", false) => map.next_value_seed(IdentitySeed { into, in_metadata: false })?,
                ("metadata", false) => map.next_value_seed(IdentitySeed { into, in_metadata: true })?,
                ("namespace", true) => into.namespace = map.next_value::<Identifier>()?.0,
                ("name", true) => into.name = map.next_value::<Identifier>()?.0,
                ("resourceVersion", true) => into.version = map.next_value::<Identifier>()?.0,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_object_names_it() {
        let of = |namespace: &str, name: &str, version: &str| Identity {
            namespace: namespace.into(),
            name: name.into(),
            version: version.into(),
            event: String::new(),
        };
        for (text, want) in [
            (
                r#"{"apiVersion":"v1","kind":"K","metadata":{"annotations":{"name":"x"},"name":"a","namespace":"b","resourceVersion":"7"},"spec":{"x":"yy"#,
                of("b", "a", "7"),
            ),
            (
                r#"{"type":"MODIFIED","object":{"kind":"K","metadata":{"name":"a","namespace":"b","resourceVersion":"7","managedFields":[{"#,
                Identity { event: "MODIFIED".into(), ..of("b", "a", "7") },
            ),
            (r#"{"spec":{"metadata":{"name":"x"}},"metadata":{"name":"a""#, of("", "a", "")),
            (r#"{"spec":{"template":"yyyyyyy"#, of("", "", "")),
            (r#"{"metadata":7"#, of("", "", "")),
            ("", of("", "", "")),
        ] {
            assert_eq!(Identity::parse(text.as_bytes()), want, "{text}");
        }
        assert_eq!(of("b", "a", "").key(true), Some(Key::new("b", "a")));
        assert_eq!(of("", "a", "").key(false), Some(Key::new("", "a")));
        assert_eq!((of("", "a", "").key(true), of("b", "", "").key(true)), (None, None));
    }
}
