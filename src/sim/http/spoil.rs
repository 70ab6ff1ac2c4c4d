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
            Fault::WrongTypes => wrong_types(body).await,
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

/// Each number becomes a string and each string a number, except in what tells the kind of object.
async fn wrong_types(body: Body) -> Body {
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return Body::from(bytes) };
    swap(&mut value);
    Body::from(value.to_string())
}

fn swap(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let kept = ["kind", "apiVersion", "resourceVersion", "metadata"];
            map.iter_mut()
                .filter(|(name, _)| !kept.contains(&name.as_str()))
                .for_each(|(_, value)| swap(value));
        }
        Value::Array(items) => items.iter_mut().for_each(swap),
        Value::Number(number) => *value = Value::String(format!("about {number}")),
        Value::String(_) => *value = Value::from(-1.5),
        Value::Bool(_) | Value::Null => *value = Value::Array(vec![]),
    }
}
