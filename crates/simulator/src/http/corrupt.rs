//! Faults in the body of an answer: truncated, not JSON, or JSON of the wrong types.

mod texts;

use std::io;

use axum::{
    body::{Body, to_bytes},
    http::header,
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::Value;

use crate::faults::Fault;

/// Applies the faults that change a response body, in order; other faults are ignored.
pub async fn corrupt_body(mut response: Response, faults: &[Fault]) -> Response {
    for fault in faults {
        let (parts, body) = response.into_parts();
        let body = match fault {
            Fault::Truncate(limit) => truncated(body, *limit),
            Fault::BadJson => Body::from("{\"kind\":\"List\",\"items\":[{\"metadata\":{\"name\":\"tor"),
            Fault::WrongTypes => changed(body, wrong_type).await,
            Fault::Numbers(text) => changed(body, |value| other_number(value, text)).await,
            Fault::Texts { tail, names } => rewritten(body, |value| texts::append(value, tail, *names)).await,
            Fault::Empty => Body::empty(),
            Fault::Swollen(bytes) => swollen(body, *bytes),
            _ => body,
        };
        response = Response::from_parts(parts, body);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// Sends `limit` bytes, then breaks the connection.
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
    // A body that is shorter than the limit is broken off too.
    Body::from_stream(head.chain(stream::once(async { Err(io::ErrorKind::ConnectionAborted.into()) })))
}

/// Appends `bytes` of white space to the JSON.
fn swollen(body: Body, bytes: usize) -> Body {
    let piece = Bytes::from_static(&[b' '; 1 << 14]);
    let pieces = bytes.div_ceil(piece.len());
    let tail = stream::iter(std::iter::repeat_n(piece, pieces)).map(Ok);
    Body::from_stream(body.into_data_stream().chain(tail))
}

/// Changes each value, except those that name the kind of object.
async fn changed(body: Body, change: impl Fn(&mut Value)) -> Body {
    rewritten(body, |value| each(value, &change)).await
}

async fn rewritten(body: Body, rewrite: impl Fn(&mut Value)) -> Body {
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return Body::from(bytes) };
    rewrite(&mut value);
    Body::from(value.to_string())
}

fn each(value: &mut Value, change: &impl Fn(&mut Value)) {
    match value {
        Value::Object(map) => {
            let kept = ["kind", "apiVersion", "resourceVersion", "metadata"];
            map.iter_mut()
                .filter(|(name, _)| !kept.contains(&name.as_str()))
                .for_each(|(_, value)| each(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        value => change(value),
    }
}

/// Turns each number into a string and each string into a number.
fn wrong_type(value: &mut Value) {
    *value = match value {
        Value::Number(number) => Value::String(format!("about {number}")),
        Value::String(_) => Value::from(-1.5),
        _ => Value::Array(vec![]),
    };
}

/// Replaces each number, including those written as text, by this one. What is not a number in JSON, such as
/// `NaN`, is written as text.
fn other_number(value: &mut Value, text: &str) {
    let is_number = match value {
        Value::Number(_) => true,
        Value::String(written) => texts::is_number(written),
        _ => false,
    };
    if is_number {
        let number = serde_json::from_str(text).ok().filter(|_| value.is_number());
        *value = number.unwrap_or_else(|| Value::String(text.to_owned()));
    }
}
