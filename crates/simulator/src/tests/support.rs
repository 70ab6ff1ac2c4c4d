//! Starts, requests and watches that the tests share.

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore},
};

use crate::{Handle, Options, start};

pub async fn demo() -> Handle {
    start(Options { life: None, ..Options::default() }).await.unwrap()
}

pub async fn empty() -> Handle {
    start(Options::empty()).await.unwrap()
}

/// The longest that a test waits for something that must happen. Only a failure takes this long.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing must come from a watch that is silenced: longer than the time between two bookmarks.
const QUIET: Duration = Duration::from_millis(700);

/// Looks until it is `Ok`, which it returns. Panics with the last error after [`TEST_TIMEOUT`].
pub async fn eventually<T, E: Debug>(mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + TEST_TIMEOUT;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(error) => assert!(Instant::now() < deadline, "not within {TEST_TIMEOUT:?}: {error:?}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the status and the body.
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
pub struct WatchStream {
    response: reqwest::Response,
    rest: Vec<u8>,
}

impl WatchStream {
    pub async fn open(sim: &Handle, path: &str) -> Self {
        let response = reqwest::get(format!("{}{path}", sim.url())).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        Self { response, rest: Vec::new() }
    }

    /// Returns the next event; `None` if the watch ended without an error.
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
        timeout(TEST_TIMEOUT, self.next()).await.unwrap().unwrap().unwrap()
    }

    /// Whether nothing comes for a while. Only the absence of a byte shows that a watch is silenced.
    pub async fn is_silent(&mut self) -> bool {
        timeout(QUIET, self.next()).await.is_err()
    }
}

/// Returns the type of an event and the name of its object.
pub fn brief(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}

/// Sends one request over TLS to this address, whose certificate must be valid for `name`. Returns the body.
pub async fn ask_over_tls(
    address: (&str, u16),
    name: &str,
    authority: &str,
    path: &str,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: peer\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}
