//! For whoever starts and restarts the program: alive, and ready.

use std::{io, net::SocketAddr, time::Duration};

use axum::extract::State;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    error::{ApiError, ApiResult},
    state::App,
};

/// Alive, whatever the cluster does.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Longest wait for a program that is alive: shorter than the 3 s that Docker and our manifests give a probe.
const PATIENCE: Duration = Duration::from_secs(2);
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const ALIVE: &[u8] = b"HTTP/1.1 200";

/// Asks the program that listens at one of these addresses whether it is alive, for containers that hold no other client.
pub async fn ask(addresses: &[SocketAddr]) -> io::Result<()> {
    let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        let patience = PATIENCE / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        outcome = timeout(patience, ask_patiently(*address)).await.unwrap_or_else(|late| Err(late.into()));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn ask_patiently(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(QUESTION).await?;
    let mut status = [0; ALIVE.len()];
    stream.read_exact(&mut status).await?;
    if status == ALIVE { Ok(()) } else { Err(io::Error::other(format!("{address} is not well"))) }
}

/// Ready once every source was tried: a source that is forbidden must not hide the page that says so.
pub async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    match app.reader.snapshot().ready {
        true => Ok("ready\n"),
        false => Err(ApiError::Unavailable("not every source of the cluster has been tried yet")),
    }
}
