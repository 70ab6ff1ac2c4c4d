//! Lists and single objects. A list is written in parts while it is sent, and is never held as a whole.

use std::{convert::Infallible, sync::Arc};

use axum::{body::Body, response::Response};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::stream;

use super::{query::ListQuery, selector::Selector, status};
use crate::{
    objects::{self, list_head},
    resource::Resource,
    store::Expired,
    world::{Object, SimulatedCluster},
};

/// Bytes of text that are written before they are sent.
const CHUNK: usize = 64 << 10;

/// Answers a list request: the page of objects, or an error `Status`.
pub fn list(
    world: &SimulatedCluster,
    resource: Resource,
    namespace: Option<&str>,
    query: &ListQuery,
) -> Response {
    match page(world, resource, namespace, query) {
        Ok(page) => respond(resource, page),
        Err(answer) => *answer,
    }
}

/// Answers with a single object, or 404.
pub fn get(world: &SimulatedCluster, resource: Resource, namespace: &str, name: &str) -> Response {
    let Some(found) = world.get(resource, &resource.key(namespace, name)) else {
        return status::not_found(&resource.api().qualified(), name);
    };
    let mut out = String::new();
    objects::render(&mut out, resource, &found.body, found.revision, true);
    status::json(200, out)
}

/// Whether an object passes the selector, by its key in the store, its labels and its fields.
pub fn selected(selector: &Selector, resource: Resource, object: &Object) -> bool {
    let key = object.key.split_once('/').unwrap_or(("", &object.key));
    selector.matches(
        key,
        || objects::labels(&object.body),
        |field| objects::field(resource, &object.body, field),
    )
}

/// Returns the prefix of the keys in a namespace; the empty prefix of all keys if there is none.
pub fn prefix(namespace: Option<&str>) -> String {
    namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default()
}

/// Returns a JSON body made of `head`, items separated by commas, and `tail`.
pub fn chunked<T: Send + 'static>(
    head: String,
    items: Vec<T>,
    tail: &'static str,
    write: impl Fn(&mut String, &T) + Send + 'static,
) -> Body {
    let (mut items, mut head, mut first) = (items.into_iter(), Some(head), true);
    let mut next = move || {
        let mut out = head.take().unwrap_or_default();
        out.reserve(CHUNK);
        while out.len() < CHUNK {
            let Some(item) = items.next() else { return (out + tail, true) };
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            write(&mut out, &item);
        }
        (out, false)
    };
    let mut done = false;
    Body::from_stream(stream::iter(std::iter::from_fn(move || {
        if done {
            return None;
        }
        let (text, last) = next();
        done = last;
        Some(Ok::<_, Infallible>(Bytes::from(text)))
    })))
}

struct Page {
    revision: u64,
    items: Vec<Object>,
    /// If this is not the last page: its continue token, and the number of remaining items if that is known.
    next: Option<(String, Option<usize>)>,
}

/// The position after which a paged list continues.
struct Continue {
    revision: u64,
    after: String,
}

fn page(
    world: &SimulatedCluster,
    resource: Resource,
    namespace: Option<&str>,
    query: &ListQuery,
) -> Result<Page, Box<Response>> {
    let token = query.token.as_deref().map(Continue::decode).transpose()?;
    let revision = token.as_ref().map(|token| token.revision).or(query.exact_revision(world.revision())?);
    let after = token.as_ref().map_or("", |token| &token.after);
    let listed = world.list(resource, &prefix(namespace), after, revision);
    let (mut items, revision) = listed.map_err(|gone| Box::new(too_old(gone, query)))?;
    if !query.selector.is_empty() {
        items.retain(|object| selected(&query.selector, resource, object));
    }
    let left = items.len().saturating_sub(query.limit);
    items.truncate(query.limit);
    let next = items.last().filter(|_| left > 0).map(|last| {
        let token = Continue { revision, after: last.key.to_string() };
        (token.encode(), query.selector.is_empty().then_some(left))
    });
    Ok(Page { revision, items, next })
}

fn respond(resource: Resource, page: Page) -> Response {
    let mut metadata = format!(r#"{{"resourceVersion":"{}""#, page.revision);
    if let Some((token, left)) = page.next {
        metadata += &format!(r#","continue":"{token}""#);
        metadata += &left.map(|left| format!(r#","remainingItemCount":{left}"#)).unwrap_or_default();
    }
    metadata.push('}');
    let mut head = String::new();
    list_head(&mut head, resource.api(), &metadata);
    let typed = resource.api().items_carry_kind();
    let body = chunked(head, page.items, "]}\n", move |out, object: &Object| {
        let object = Arc::as_ref(object);
        objects::render(out, resource, &object.body, object.revision, typed);
    });
    status::json(200, body)
}

fn too_old(gone: Expired, query: &ListQuery) -> Response {
    match query.token {
        Some(_) => status::expired(
            "The provided continue parameter is too old to display a consistent list result. You must start a new list \
             without the continue parameter.",
        ),
        None => status::expired(&format!("too old resource version, the oldest is {}", gone.oldest)),
    }
}

impl Continue {
    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("{} {}", self.revision, self.after))
    }

    fn decode(text: &str) -> Result<Self, Box<Response>> {
        let read = || {
            let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (revision, after) = plain.split_once(' ')?;
            Some(Self { revision: revision.parse().ok()?, after: after.to_owned() })
        };
        read().ok_or_else(|| Box::new(status::bad_request("continue key is not valid")))
    }
}
