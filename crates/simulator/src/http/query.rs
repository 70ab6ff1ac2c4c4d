//! Parses the query parameters of lists and watches.

use std::{collections::HashMap, time::Duration};

use axum::{extract::Query, http::Uri, response::Response};

use super::{selector::Selector, status};
use crate::resource::Resource;

/// A watch without `timeoutSeconds` ends after 30 minutes; the API server's end then or a little later.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1_800);

/// The parsed query parameters of a list or watch.
#[derive(Debug)]
pub struct ListQuery {
    pub selector: Selector,
    /// `usize::MAX` means no limit.
    pub limit: usize,
    pub token: Option<String>,
    pub watch: bool,
    pub bookmarks: bool,
    /// Whether a watch starts with all objects, followed by a bookmark that marks their end.
    pub initial_events: bool,
    pub timeout: Duration,
    /// `None` if not given.
    pub revision: Option<u64>,
    exact: bool,
}

impl ListQuery {
    /// Parses the query string of a request for `resource`. The error is the 400 to answer with.
    pub fn parse(uri: &Uri, resource: Option<Resource>) -> Result<Self, Box<Response>> {
        let bad = |message: &str| Box::new(status::bad_request(message));
        let Query(given) = Query::<HashMap<String, String>>::try_from_uri(uri)
            .map_err(|_| bad("the query cannot be read"))?;
        let text = |name: &str| given.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let flag = |name: &str| matches!(text(name), Some("true" | "1"));
        let number = |name: &str| match text(name).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(bad(&format!("{name}: Invalid value: must be a whole number"))),
        };
        let selector = Selector::parse(
            text("labelSelector").unwrap_or_default(),
            text("fieldSelector").unwrap_or_default(),
            resource,
        );
        let limit = number("limit")?.filter(|limit| *limit > 0).map_or(usize::MAX, |limit| limit as usize);
        Ok(Self {
            selector: selector.map_err(|message| bad(&message))?,
            limit,
            token: text("continue").map(str::to_owned),
            watch: flag("watch"),
            bookmarks: flag("allowWatchBookmarks"),
            initial_events: flag("sendInitialEvents"),
            timeout: number("timeoutSeconds")?.map_or(WATCH_TIMEOUT, Duration::from_secs),
            revision: number("resourceVersion")?,
            exact: text("resourceVersionMatch") == Some("Exact"),
        })
    }

    /// Returns the revision that a list must have; `None` for the newest. Fails with 504 if the requested
    /// revision is newer than the newest.
    pub fn exact_revision(&self, newest: u64) -> Result<Option<u64>, Box<Response>> {
        match self.revision {
            Some(ahead) if ahead > newest => {
                let message = format!("Too large resource version: {ahead}, current: {newest}");
                Err(Box::new(status::status(504, "Timeout", &message)))
            }
            Some(revision) if self.exact => Ok(Some(revision)),
            _ => Ok(None),
        }
    }
}
