//! Faults in the body of an answer: cut short, no JSON, or JSON of the wrong types.

use std::io;

use axum::{
    body::{Body, to_bytes},
    http::header,
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::Value;

use crate::sim::faults::Fault;

pub async fn spoil(mut response: Response, faults: &[Fault]) -> Response {
    for fault in faults {
        let (parts, body) = response.into_parts();
        let body = match fault {
            Fault::Truncate(limit) => truncated(body, *limit),
            Fault::BadJson => Body::from("{\"kind\":\"List\",\"items\":[{\"metadata\":{\"name\":\"tor"),
            Fault::WrongTypes => changed(body, swap).await,
            Fault::Absurd => changed(body, exaggerate).await,
            Fault::Empty => Body::empty(),
            Fault::Bulk(bytes) => bulky(body, *bytes),
            _ => body,
        };
        response = Response::from_parts(parts, body);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// So many bytes, then the connection breaks.
fn truncated(body: Body, limit: usize) -> Body {
    let mut left = limit;
    let head = body.into_data_stream().map(move |chunk| {
        let mut chunk = chunk.map_err(io::Error::other)?;
        if left == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        chunk.truncate(left);
        left -= chunk.len();
        Ok::<Bytes, io::Error>(chunk)
    });
    // A body that was short enough is broken off too.
    Body::from_stream(head.chain(stream::once(async { Err(io::ErrorKind::ConnectionAborted.into()) })))
}

/// White space is what JSON may begin with, at any length.
fn bulky(body: Body, bytes: usize) -> Body {
    const PIECE: usize = 1 << 16;
    let pieces = stream::iter(std::iter::repeat_n((), bytes.div_ceil(PIECE)));
    let space = pieces.map(|()| Ok(Bytes::from_static(&[b' '; PIECE])));
    Body::from_stream(space.chain(body.into_data_stream().map(|chunk| chunk.map_err(io::Error::other))))
}

async fn changed(body: Body, change: fn(&mut Value)) -> Body {
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return Body::from(bytes) };
    change(&mut value);
    Body::from(value.to_string())
}

/// All that is no name or version of the object itself.
fn content(map: &mut serde_json::Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    let kept = ["kind", "apiVersion", "resourceVersion", "metadata"];
    map.iter_mut().filter(move |(name, _)| !kept.contains(&name.as_str())).map(|(_, value)| value)
}

/// Each number becomes one that cannot be, of the three kinds that there are; a quantity in a string likewise.
fn exaggerate(value: &mut Value) {
    match value {
        Value::Object(map) => content(map).for_each(exaggerate),
        Value::Array(items) => items.iter_mut().for_each(exaggerate),
        Value::Number(number) => {
            *value = match number.as_u64().unwrap_or_default() % 3 {
                0 => Value::from(-5),
                1 => Value::from(1_u64 << 63),
                _ => Value::from(1e300),
            }
        }
        Value::String(text) if text.parse::<f64>().is_ok() => *value = Value::from("NaN"),
        Value::String(text) if is_quantity(text) => text.insert(0, '-'),
        _ => {}
    }
}

/// `199994503n`, `2Gi`; no time, address or uid.
fn is_quantity(text: &str) -> bool {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    suffix.len() < text.len()
        && matches!(suffix, "n" | "u" | "m" | "k" | "M" | "G" | "Ki" | "Mi" | "Gi" | "Ti")
}

/// Each number becomes a string and each string a number.
fn swap(value: &mut Value) {
    match value {
        Value::Object(map) => content(map).for_each(swap),
        Value::Array(items) => items.iter_mut().for_each(swap),
        Value::Number(number) => *value = Value::String(format!("about {number}")),
        Value::String(_) => *value = Value::from(-1.5),
        Value::Bool(_) | Value::Null => *value = Value::Array(vec![]),
    }
}
