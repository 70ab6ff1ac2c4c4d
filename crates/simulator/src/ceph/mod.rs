//! The REST API of a ceph-mgr dashboard that belongs to the cluster: login, and the RBD images behind its
//! claims.

mod image;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, Method, Request, header},
    response::Response,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    clock::{Millis, millis},
    cluster::{Caller, Cluster, apply_faults},
    faults::Class,
    hardware::POOL,
    http::{corrupt::corrupt_body, status},
    objects::join,
    rng,
};
pub use image::RbdImage;

const BODY_LIMIT: usize = 64 << 10;
/// An account is locked after this many failed logins in a row, as Ceph's `ACCOUNT_LOCKOUT_ATTEMPTS` says.
const ATTEMPTS: u32 = 10;
const TOKEN_TTL: Duration = Duration::from_secs(8 * 3600);

/// The dashboard's account and its tokens. There is only one account.
#[derive(Debug)]
pub struct Ceph {
    pub user: String,
    pub password: String,
    seed: u64,
    sessions: Mutex<Sessions>,
}

#[derive(Debug)]
struct Sessions {
    ttl: Duration,
    issued: u64,
    /// Expiry time of each token.
    tokens: HashMap<String, Millis>,
    failures: u32,
}

impl Ceph {
    pub(super) fn new(seed: u64) -> Self {
        let sessions = Sessions { ttl: TOKEN_TTL, issued: 0, tokens: HashMap::new(), failures: 0 };
        Self {
            user: "wukong-dashboard".to_owned(),
            password: rng::uid(seed, &["ceph", "password"]),
            seed,
            sessions: Mutex::new(sessions),
        }
    }

    /// Sets the lifetime of tokens that are issued from now on.
    pub fn set_token_ttl(&self, ttl: Duration) {
        self.sessions.lock().ttl = ttl;
    }

    /// Invalidates every token issued so far.
    pub fn expire_tokens(&self) {
        self.sessions.lock().tokens.clear();
    }

    /// Whether the account is locked after too many failed logins: no further login succeeds.
    pub fn is_locked(&self) -> bool {
        self.sessions.lock().failures >= ATTEMPTS
    }

    /// Resets the count of failed logins, which unlocks the account.
    pub fn unlock(&self) {
        self.sessions.lock().failures = 0;
    }

    fn login(&self, user: &str, password: &str, now: Millis) -> Option<String> {
        let mut sessions = self.sessions.lock();
        if sessions.failures >= ATTEMPTS {
            return None;
        }
        if (user, password) != (self.user.as_str(), self.password.as_str()) {
            sessions.failures += 1;
            return None;
        }
        (sessions.failures, sessions.issued) = (0, sessions.issued + 1);
        let token = rng::uid(self.seed, &["ceph", "token", &sessions.issued.to_string()]);
        let until = now + millis(sessions.ttl);
        sessions.tokens.insert(token.clone(), until);
        Some(token)
    }

    fn knows(&self, headers: &HeaderMap, now: Millis) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|given| given.strip_prefix("Bearer "));
        let sessions = self.sessions.lock();
        token.and_then(|token| sessions.tokens.get(token)).is_some_and(|until| now < *until)
    }
}

/// The state behind the dashboard's API.
#[derive(Debug)]
pub struct Dashboard {
    pub cluster: Arc<Cluster>,
    pub ceph: Arc<Ceph>,
}

pub fn router(dashboard: Arc<Dashboard>) -> Router {
    Router::new().fallback(answer).with_state(dashboard)
}

async fn answer(State(dashboard): State<Arc<Dashboard>>, request: Request<Body>) -> Response {
    let faults = match apply_faults(&dashboard.cluster, &Class::Ceph, Caller::of(&request)).await {
        Ok(faults) => faults,
        Err(answer) => return answer.response(injected),
    };
    let path = request.uri().path().to_owned();
    let get = request.method() == Method::GET;
    let response = match path.strip_prefix("/api/") {
        Some("auth") if request.method() == Method::POST => dashboard.auth(request).await,
        Some("auth") => error(405, "Method Not Allowed"),
        Some("block/image") if get => dashboard.guarded(&request, "2.0", |this| this.images(&request)),
        Some(rest) if get && rest.starts_with("block/image/") => {
            let spec = rest.trim_start_matches("block/image/");
            dashboard.guarded(&request, "1.0", |this| this.image(spec))
        }
        _ => error(404, "The path was not found."),
    };
    corrupt_body(response, &faults).await
}

impl Dashboard {
    async fn auth(&self, request: Request<Body>) -> Response {
        if !accepts(request.headers(), "1.0") {
            return wrong_version();
        }
        let body = to_bytes(request.into_body(), BODY_LIMIT).await.unwrap_or_default();
        let given: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| given[name].as_str().unwrap_or_default();
        match self.ceph.login(text("username"), text("password"), self.cluster.world.clock.now()) {
            Some(token) => {
                let answer = json!({
                    "token": token,
                    "username": self.ceph.user,
                    "permissions": {"rbd-image": ["read"]},
                    "pwdExpirationDate": null,
                    "sso": false,
                    "pwdUpdateRequired": false,
                });
                status::json(201, answer.to_string())
            }
            None => status::json(
                400,
                r#"{"detail": "Invalid credentials", "code": "invalid_credentials", "component": "auth"}"#,
            ),
        }
    }

    fn guarded(
        &self,
        request: &Request<Body>,
        version: &str,
        answer: impl FnOnce(&Self) -> Response,
    ) -> Response {
        if !accepts(request.headers(), version) {
            wrong_version()
        } else if !self.ceph.knows(request.headers(), self.cluster.world.clock.now()) {
            error(401, "You are not authorized to access that resource")
        } else {
            answer(self)
        }
    }

    /// One page of the images; five by default.
    fn images(&self, request: &Request<Body>) -> Response {
        let given = Query::<HashMap<String, String>>::try_from_uri(request.uri());
        let given = given.map(|Query(given)| given).unwrap_or_default();
        let number = |name: &str, default: i64| given.get(name).map_or(Ok(default), |text| text.parse());
        let (Ok(offset), Ok(limit)) = (number("offset", 0), number("limit", 5)) else {
            return error(400, "offset and limit are numbers");
        };
        if given.get("pool_name").is_some_and(|pool| !pool.is_empty() && pool != POOL) {
            return error(400, "[errno 2] RBD image not found (error opening pool)");
        }
        let all = self.cluster.world.images();
        let total = all.len();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page: Vec<_> = all.iter().skip(usize::try_from(offset).unwrap_or(0)).take(limit).collect();
        let mut out = String::from("[");
        if !page.is_empty() {
            out.push_str(&format!(r#"{{"status":0,"pool_name":"{POOL}","value":["#));
            join(&mut out, page, image::write);
            out.push_str("]}");
        }
        out.push(']');
        let mut response = status::json(200, out);
        response.headers_mut().insert("x-total-count", HeaderValue::from(total));
        response
    }

    /// One image, by `pool%2Fname` or `pool%2Fnamespace%2Fname`.
    fn image(&self, spec: &str) -> Response {
        let spec = spec.replace("%2F", "/").replace("%2f", "/");
        let name = spec.strip_prefix(POOL).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        match self.cluster.world.images().iter().find(|image| image.name == name) {
            Some(found) => {
                let mut out = String::new();
                image::write(&mut out, found);
                status::json(200, out)
            }
            None => error(404, "Image not found"),
        }
    }
}

fn accepts(headers: &HeaderMap, version: &str) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains(&format!("application/vnd.ceph.api.v{version}+json"))
}

fn wrong_version() -> Response {
    error(415, "Unsupported Media Type: the version in Accept is not this endpoint's")
}

fn error(code: u16, detail: &str) -> Response {
    status::json(code, json!({"status": code.to_string(), "detail": detail, "request_id": "0"}).to_string())
}

/// The answer to an injected status, worded as the dashboard does.
fn injected(code: u16, retry_after: Option<u64>) -> Response {
    let mut response = error(code, "an error that was asked for");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
