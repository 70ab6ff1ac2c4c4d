//! The list's query out of an address.

use std::{borrow::Cow, collections::HashMap};

use axum::{extract::Query as Pairs, http::Uri};

use super::error::ApiError;
use crate::model::{
    groups::GroupsQuery,
    insight::InsightQuery,
    query::{BadParam, Expected, Query},
};

/// Reads a query string, with or without its question mark; of parameters that are not the list's own nothing is said.
pub fn parse(query: &str) -> Result<Query, BadParam> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let uri = Uri::builder().path_and_query(["/?", query].concat()).build();
    uri.ok().and_then(|uri| pairs(&uri)).map_or_else(|| Err(unreadable()), read)
}

/// The query of nodes or namespaces.
pub fn groups(query: &str) -> Result<GroupsQuery, BadParam> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let uri = Uri::builder().path_and_query(["/?", query].concat()).build();
    uri.ok().and_then(|uri| pairs(&uri)).map_or_else(|| Err(unreadable()), read_groups)
}

/// The same out of a request's address.
pub fn groups_of_uri(uri: &Uri) -> Result<GroupsQuery, ApiError> {
    Ok(pairs(uri).map_or_else(|| Err(unreadable()), read_groups)?)
}

fn read_groups(pairs: HashMap<String, String>) -> Result<GroupsQuery, BadParam> {
    GroupsQuery::parse(|field| pairs.get(field).cloned())
}

/// The same out of a request's address.
pub fn of_uri(uri: &Uri) -> Result<Query, ApiError> {
    Ok(pairs(uri).map_or_else(|| Err(unreadable()), read)?)
}

fn pairs(uri: &Uri) -> Option<HashMap<String, String>> {
    Pairs::try_from_uri(uri).ok().map(|Pairs(pairs)| pairs)
}

fn read(pairs: HashMap<String, String>) -> Result<Query, BadParam> {
    Query::parse(|field| pairs.get(field).cloned())
}

fn unreadable() -> BadParam {
    BadParam { field: "query".to_owned(), expected: Expected::Encoded }
}

impl From<BadParam> for ApiError {
    fn from(BadParam { field, expected }: BadParam) -> Self {
        let mut known = Query::FIELDS.into_iter().chain(InsightQuery::FIELDS);
        let field = known.find(|known| *known == field).unwrap_or("query");
        Self::BadField { field, expected: Cow::Owned(format!("expected {expected}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_is_read_as_the_browser_wrote_it() {
        let query = Query { q: "a&b=ü +,".into(), page: 3, ..Query::default() };
        assert_eq!(parse(&query.to_query_string()), Ok(query));
        // Forms write blanks as plus signs, and commas encoded.
        let form = parse("q=a+b&columns=cpu%2Cage&x=1").unwrap();
        assert_eq!(form.to_query_string(), "?q=a%20b&columns=cpu,age");
        assert_eq!(parse(""), Ok(Query::default()));
    }

    #[test]
    fn what_cannot_be_read_is_the_callers_mistake() {
        assert_eq!(parse("page=0").unwrap_err().field, "page");
        assert_eq!(parse("q=\u{7f} \n").unwrap_err().field, "query");
        let error = of_uri(&Uri::from_static("/?sort=size")).unwrap_err();
        assert!(matches!(error, ApiError::BadField { field: "sort", .. }), "{error:?}");
    }
}
