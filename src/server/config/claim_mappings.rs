//! How the claims of a signed token become the name and the groups of a user.

use std::str::FromStr;

use regex::Regex;

/// Which claims name a user and their groups, and how these are called in Kubernetes.
#[derive(Clone, Debug)]
pub struct ClaimMappings {
    pub username_claim: String,
    pub groups_claim: String,
    pub username_prefix: String,
    pub groups_prefix: String,
    /// Matches the whole names of the groups that are kept, without their prefix. `None` keeps all.
    pub groups_filter: Option<GroupsFilter>,
}

impl Default for ClaimMappings {
    fn default() -> Self {
        Self {
            username_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            username_prefix: "oidc:".to_owned(),
            groups_prefix: "oidc:".to_owned(),
            groups_filter: None,
        }
    }
}

impl ClaimMappings {
    /// Returns whether a group counts, by its name without the prefix.
    pub fn keeps_group(&self, name: &str) -> bool {
        self.groups_filter.as_ref().is_none_or(|filter| filter.0.is_match(name))
    }
}

/// A regular expression for the whole name of a group.
#[derive(Clone, Debug)]
pub struct GroupsFilter(Regex);

impl FromStr for GroupsFilter {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Alone first, so that a bracket too much does not end the group around it.
        Regex::new(text)?;
        Regex::new(&format!("^(?:{text})$")).map(Self)
    }
}
