//! What every API of the simulated cluster is served from, and the faults that its requests meet.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request, response::Response};

use super::{
    faults::{Class, Fault, Faults},
    http::status,
    requests::Requests,
    serve::ResetSwitch,
    world::World,
};

#[derive(Debug)]
pub struct Cluster {
    pub world: Arc<World>,
    pub faults: Arc<Faults>,
    pub requests: Arc<Requests>,
    pub bookmark_interval: Duration,
}

/// What faults need to know of a request; the request itself cannot be looked at from another thread.
pub struct Caller {
    path: String,
    line: String,
    fuse: Option<ResetSwitch>,
}

impl Caller {
    pub fn of(request: &Request<Body>) -> Self {
        Self {
            path: request.uri().path().to_owned(),
            line: format!("{} {}", request.method(), request.uri()),
            fuse: request.extensions().get::<ResetSwitch>().cloned(),
        }
    }
}

/// A fault that answers in place of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAnswer {
    Status { code: u16, retry_after: Option<u64> },
    Redirect,
}

impl FaultAnswer {
    /// As a response; each API has its own words for a status.
    pub fn response(self, status_response: impl FnOnce(u16, Option<u64>) -> Response) -> Response {
        match self {
            Self::Status { code, retry_after } => status_response(code, retry_after),
            Self::Redirect => status::redirect(),
        }
    }
}

/// Counts the request and applies its faults. Those that change the body are left to [`corrupt_body`].
///
/// [`corrupt_body`]: super::http::corrupt::corrupt_body
pub async fn apply_faults(
    cluster: &Cluster,
    class: &Class,
    caller: Caller,
) -> Result<Vec<Fault>, FaultAnswer> {
    let Caller { path, line, fuse } = caller;
    cluster.requests.record(class.clone(), &path, line);
    let faults = cluster.faults.meet(class, &path);
    for fault in &faults {
        match fault {
            Fault::Latency(time) => tokio::time::sleep(*time).await,
            Fault::Hang => std::future::pending().await,
            Fault::Status { code, retry_after } => {
                return Err(FaultAnswer::Status { code: *code, retry_after: *retry_after });
            }
            Fault::Redirect => return Err(FaultAnswer::Redirect),
            // The connection is reset as soon as anything is written to it.
            Fault::Reset => fuse.iter().for_each(ResetSwitch::blow),
            Fault::Drop | Fault::Silence | Fault::Gone => {}
            Fault::Truncate(_) | Fault::BadJson | Fault::WrongTypes => {}
            Fault::Empty | Fault::Swollen(_) | Fault::Numbers(_) | Fault::Texts { .. } => {}
        }
    }
    Ok(faults)
}
