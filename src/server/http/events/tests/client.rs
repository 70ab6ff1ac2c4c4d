//! A client of the event stream, and the events that it reads.

use axum::{
    body::{Body, BodyDataStream},
    http::Request,
    response::Response,
};
use futures::StreamExt;
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{QUIET, SOON};
use crate::server::http::tests::fixture::Server;
use model::{
    delta::{HomeChange, Update},
    view::HomeView,
};

/// A client that reads only when the test calls it.
pub struct Client {
    pub body: BodyDataStream,
    pub rest: String,
}

impl Client {
    pub async fn open(server: &Server, url: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Request::builder().uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        Self::of(response).await
    }

    /// Makes a client of an answer that has just begun.
    pub async fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut client = Self { body: response.into_body().into_data_stream(), rest: String::new() };
        assert_eq!(client.block().await.as_deref(), Some("retry: 3000"));
        client
    }

    /// Reads up to the next empty line; `None` at the end.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                return Some(block);
            }
            let bytes = timeout(SOON, self.body.next()).await.expect("something comes")?.unwrap();
            self.rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    pub async fn event(&mut self) -> Event {
        let block = self.block().await.expect("the stream goes on");
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_default().to_owned()
        };
        Event { id: field("id"), kind: field("event"), data: field("data") }
    }

    pub async fn is_quiet(&mut self) -> bool {
        self.rest.is_empty() && timeout(QUIET, self.body.next()).await.is_err()
    }
}

pub struct Event {
    pub id: String,
    pub kind: String,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {}", self.data))
    }

    pub fn bytes(&self) -> Vec<u8> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        STANDARD.decode(&self.data).unwrap()
    }

    pub fn update(&self) -> Update<HomeView, HomeChange> {
        postcard::from_bytes(&self.bytes()).unwrap()
    }
}
