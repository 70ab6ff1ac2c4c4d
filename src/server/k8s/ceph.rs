//! The REST API of a ceph-mgr's dashboard, as far as RBD images go.

use serde::Deserialize;

use super::lenient::{Obj, Text, nullable};

/// The answer to a login.
#[derive(Deserialize)]
pub struct Login {
    pub token: String,
}

/// The images of one pool: an element of the list's answer. Without them it is refused, not taken for an empty one.
#[derive(Deserialize)]
pub struct PoolImages {
    #[serde(deserialize_with = "nullable")]
    pub value: Vec<Obj<RbdImage>>,
}

/// An image is 6 kB, most of it its configuration.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RbdImage {
    pub name: Text,
    pub pool_name: Text,
    pub namespace: Text,
    pub size: Amount,
    pub total_disk_usage: Amount,
}

/// A whole number of bytes; none for null, or anything else that is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "serde_json::Value")]
pub struct Amount(pub Option<u64>);

impl From<serde_json::Value> for Amount {
    fn from(value: serde_json::Value) -> Self {
        // Beyond this no disk goes: a number of bytes that is no amount.
        Self(value.as_u64().filter(|bytes| i64::try_from(*bytes).is_ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_are_none_are_unknown() {
        for (json, want) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("null", None),
            ("-1", None),
            ("1.5", None),
            ("9223372036854775808", None),
            ("1e30", None),
            (r#""5""#, None),
            ("{}", None),
        ] {
            let text = format!(r#"{{"name":"a","total_disk_usage":{json},"configuration":[{{}}]}}"#);
            let image: Obj<RbdImage> = serde_json::from_str(&text).unwrap();
            assert_eq!((image.total_disk_usage.0, image.size.0, &*image.name), (want, None, "a"), "{json}");
        }
    }
}
