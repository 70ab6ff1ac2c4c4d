//! The state that all APIs of the simulated cluster share, and the faults that apply to their requests.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request, response::Response};

use super::{
    faults::{Class, Fault, Faults},
    http::status,
    kubevirt_version::KubevirtVersion,
    requests::Requests,
    serve::ResetSwitch,
    world::SimulatedCluster,
};

/// The content, the faults and the request counts, shared by all APIs.
#[derive(Debug)]
pub struct Cluster {
    pub world: Arc<SimulatedCluster>,
    pub faults: Arc<Faults>,
    pub requests: Arc<Requests>,
    pub bookmark_interval: Duration,
    pub kubevirt: KubevirtVersion,
}

/// What faults need to know of a request. The request itself cannot be used from another thread.
pub struct Caller {
    path: String,
    line: String,
    reset: Option<ResetSwitch>,
}

impl Caller {
    pub fn of(request: &Request<Body>) -> Self {
        Self {
            path: request.uri().path().to_owned(),
            line: format!("{} {}", request.method(), request.uri()),
            reset: request.extensions().get::<ResetSwitch>().cloned(),
        }
    }
}

/// A fault that replaces the API's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAnswer {
    Status { code: u16, retry_after: Option<u64> },
    Redirect,
}

impl FaultAnswer {
    /// Returns the answer as a response; each API words a status in its own way.
    pub fn response(self, status_response: impl FnOnce(u16, Option<u64>) -> Response) -> Response {
        match self {
            Self::Status { code, retry_after } => status_response(code, retry_after),
            Self::Redirect => status::redirect(),
        }
    }
}

/// Counts the request and applies its faults, except those that change the body, which it returns for
/// [`corrupt_body`]. Fails with the answer to send if a fault replaces the API's answer.
///
/// [`corrupt_body`]: super::http::corrupt::corrupt_body
pub async fn apply_faults(
    cluster: &Cluster,
    class: &Class,
    caller: Caller,
) -> Result<Vec<Fault>, FaultAnswer> {
    let Caller { path, line, reset } = caller;
    cluster.requests.record(class.clone(), &path, line);
    let faults = cluster.faults.take_matching(class, &path);
    for fault in &faults {
        match fault {
            Fault::Latency(time) => tokio::time::sleep(*time).await,
            Fault::Hang => std::future::pending().await,
            Fault::Status { code, retry_after } => {
                return Err(FaultAnswer::Status { code: *code, retry_after: *retry_after });
            }
            Fault::Redirect => return Err(FaultAnswer::Redirect),
            // The connection is reset at the next write.
            Fault::Reset => reset.iter().for_each(ResetSwitch::trigger),
            Fault::Drop | Fault::Silence | Fault::Gone => {}
            Fault::Truncate(_) | Fault::BadJson | Fault::WrongTypes => {}
            Fault::Empty | Fault::Swollen(_) | Fault::Numbers(_) | Fault::Texts { .. } => {}
        }
    }
    Ok(faults)
}
