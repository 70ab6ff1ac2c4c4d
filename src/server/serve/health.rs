//! For whoever starts and restarts the program: alive, and ready.

use axum::extract::State;

use super::{
    error::{ApiError, ApiResult},
    state::App,
};

/// Alive, whatever the cluster does.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Ready once every source was tried: a source that is forbidden must not hide the page that says so.
pub async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    match app.reader.snapshot().ready {
        true => Ok("ready\n"),
        false => Err(ApiError::Unavailable("not every source of the cluster has been tried yet")),
    }
}
