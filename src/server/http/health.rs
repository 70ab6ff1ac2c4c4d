//! Health checks for Kubernetes and Docker: alive, ready, and a client for the command `healthcheck`.

use std::{io, net::SocketAddr, time::Duration};

use axum::extract::State;
use rustls_pki_types::{DnsName, ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    error::{ApiError, ApiResult},
    state::App,
};

/// Handles `GET /healthz`. The program is alive, whatever the cluster does.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Longest wait for an answer: shorter than the 3 s that Docker and the manifests give a probe.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const ALIVE: &[u8] = b"HTTP/1.1 200";

/// Asks the program that listens at one of these addresses whether it is alive, for containers without
/// another HTTP client. The wait is divided among the addresses. Fails with the last error if none answers
/// 200. With a connector, it speaks TLS.
pub async fn ask_health(addresses: &[SocketAddr], tls: Option<&TlsConnector>) -> io::Result<()> {
    let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        let time_limit = ANSWER_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        outcome = timeout(time_limit, ask_one(*address, tls)).await.unwrap_or_else(|late| Err(late.into()));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn ask_one(address: SocketAddr, tls: Option<&TlsConnector>) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let is_alive = match tls {
        None => answers_well(stream).await?,
        Some(tls) => {
            let name = ServerName::DnsName(DnsName::try_from("localhost").map_err(io::Error::other)?);
            answers_well(tls.connect(name, stream).await?).await?
        }
    };
    if is_alive { Ok(()) } else { Err(io::Error::other(format!("{address} is not well"))) }
}

async fn answers_well(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<bool> {
    stream.write_all(REQUEST).await?;
    stream.flush().await?;
    let mut status = [0; ALIVE.len()];
    stream.read_exact(&mut status).await?;
    Ok(status == ALIVE)
}

/// Handles `GET /readyz`. The program is ready after every source was tried: a source that is forbidden must
/// not hide the page that reports it.
pub async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    match app.reader.is_ready() {
        true => Ok("ready\n"),
        false => Err(ApiError::Unavailable("not every source of the cluster has been tried yet")),
    }
}
