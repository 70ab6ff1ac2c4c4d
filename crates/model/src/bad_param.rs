//! Why a parameter of an address cannot be understood.

use serde::{Deserialize, Serialize};

/// A query parameter that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadParam {
    pub field: String,
    pub expected: Expected,
}

impl BadParam {
    pub fn new(field: &str, expected: impl Into<Expected>) -> Self {
        Self { field: field.to_owned(), expected: expected.into() }
    }
}

/// What it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// A text of at most 253 characters.
    Text,
    /// A name that a namespace can have.
    Namespace,
    /// A name that a node or a virtual machine can have.
    Name,
    /// A whole number from 1.
    Number,
    /// One of some codes: `asc or desc`.
    OneOf(String),
    /// Some of some codes, with commas between: `cpu and memory`.
    SomeOf(String),
    /// Bytes of UTF-8, percent-encoded where they need it.
    Encoded,
    /// A text all of whose characters are seen.
    Visible,
    /// A parameter that stands once.
    Single,
    /// No more parameters than are read.
    ParamCount,
}

impl From<&str> for Expected {
    fn from(codes: &str) -> Self {
        Self::OneOf(codes.to_owned())
    }
}
