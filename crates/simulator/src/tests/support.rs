//! What the tests share: a start, a question, a line of a watch.

use std::time::Duration;

use serde_json::Value;

use crate::{Handle, Options, start};

pub async fn demo() -> Handle {
    start(Options { life: None, ..Options::default() }).await.unwrap()
}

pub async fn empty() -> Handle {
    start(Options::empty()).await.unwrap()
}

/// Status and body.
pub async fn ask(sim: &Handle, path: &str) -> (u16, Value) {
    let response = reqwest::get(format!("{}{path}", sim.url())).await.unwrap();
    let code = response.status().as_u16();
    let text = response.text().await.unwrap();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub async fn get(sim: &Handle, path: &str) -> Value {
    let (code, value) = ask(sim, path).await;
    assert_eq!(code, 200, "{path}: {value}");
    value
}

pub fn items(list: &Value) -> &Vec<Value> {
    list["items"].as_array().unwrap()
}

pub fn names(list: &Value) -> Vec<String> {
    items(list).iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// An open watch, read line by line.
pub struct Watching {
    response: reqwest::Response,
    rest: Vec<u8>,
}

impl Watching {
    pub async fn open(sim: &Handle, path: &str) -> Self {
        let response = reqwest::get(format!("{}{path}", sim.url())).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        Self { response, rest: Vec::new() }
    }

    /// The next event; `None` at the end in good order.
    pub async fn next(&mut self) -> Result<Option<Value>, reqwest::Error> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).unwrap()));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    pub async fn event(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(10), self.next()).await.unwrap().unwrap().unwrap()
    }

    /// True if no byte comes within a moment.
    pub async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(400), self.next()).await.is_err()
    }
}

/// Type and name.
pub fn brief(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}
