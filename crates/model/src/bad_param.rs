//! The error for a query parameter that is not valid. The parsers of `params` and the queries return it.

use serde::{Deserialize, Serialize};

/// A query parameter that is not valid.
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

/// What the value must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// A text of at most 253 characters.
    Text,
    /// A name that a namespace can have.
    Namespace,
    /// A name that a node or a virtual machine can have.
    Name,
    /// A whole number, at least 1.
    Number,
    /// One of several codes: `asc or desc`.
    OneOf(String),
    /// Several codes, separated by commas: `cpu and memory`.
    SomeOf(String),
    /// UTF-8, percent-encoded where necessary.
    Encoded,
    /// A text without invisible characters.
    Visible,
    /// A parameter that appears only once.
    Single,
    /// No more parameters than are read.
    ParamCount,
}

impl From<&str> for Expected {
    fn from(codes: &str) -> Self {
        Self::OneOf(codes.to_owned())
    }
}
