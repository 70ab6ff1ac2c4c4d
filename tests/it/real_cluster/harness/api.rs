//! An administrator's client of the API server. Objects are plain JSON.

use http::{Method, Request};
use kube::{Client, Config, client::Body};
use serde_json::{Value, json};

/// A client with one token. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    pub fn new(url: &str, authority: Vec<u8>, token: &str) -> Self {
        let mut config = Config::new(url.parse().expect("a URL"));
        config.root_cert = Some(vec![authority]);
        config.auth_info.token = Some(token.to_owned().into());
        config.default_retry = false;
        Self { client: Client::try_from(config).expect("a client") }
    }

    pub async fn get(&self, path: &str) -> Result<Value, kube::Error> {
        self.send(Method::GET, path, "application/json", &Value::Null).await
    }

    pub async fn text(&self, path: &str) -> Result<String, kube::Error> {
        self.client.request_text(Request::get(path).body(Vec::new()).unwrap()).await
    }

    /// The status code alone.
    pub async fn status(&self, path: &str) -> u16 {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.client.send(request).await.map_or(0, |response| response.status().as_u16())
    }

    /// Returns whether the API server would accept an object, with unknown fields refused.
    pub async fn would_take(&self, object: &Value) -> Result<Value, kube::Error> {
        let path = format!("{}?dryRun=All&fieldValidation=Strict", collection(object));
        self.try_post(&path, object).await
    }

    /// Creates an object, and then its status, which is a request of its own. Returns the stored object.
    pub async fn create(&self, object: &Value) -> Value {
        let collection = collection(object);
        let stored = self.post(&collection, object).await;
        if object["status"].is_null() {
            return stored;
        }
        let name = stored["metadata"]["name"].as_str().unwrap();
        let status = json!({"status": object["status"]});
        self.patch(&format!("{collection}/{name}/status"), &status).await
    }

    pub async fn post(&self, path: &str, object: &Value) -> Value {
        self.try_post(path, object).await.unwrap_or_else(|error| panic!("POST {path} {object}: {error}"))
    }

    pub async fn try_post(&self, path: &str, object: &Value) -> Result<Value, kube::Error> {
        self.send(Method::POST, path, "application/json", object).await
    }

    pub async fn patch(&self, path: &str, patch: &Value) -> Value {
        self.send(Method::PATCH, path, "application/merge-patch+json", patch)
            .await
            .unwrap_or_else(|error| panic!("PATCH {path} {patch}: {error}"))
    }

    pub async fn delete(&self, path: &str) {
        let deleted = self.send(Method::DELETE, path, "application/json", &Value::Null).await;
        deleted.unwrap_or_else(|error| panic!("DELETE {path}: {error}"));
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<Value, kube::Error> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.client.request(request.body(body).unwrap()).await
    }
}

/// The documents of a YAML file.
pub fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The path of the collection that an object belongs to.
fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().expect("apiVersion");
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let kind = object["kind"].as_str().expect("kind").to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{version}/{plural}"),
    }
}
