//! For whoever starts and restarts the program: alive, and ready.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

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

/// Asks the program that listens at `address` whether it is alive, for containers that hold no other client.
pub async fn ask(address: SocketAddr) -> io::Result<()> {
    timeout(PATIENCE, ask_patiently(within_reach(address))).await?
}

async fn ask_patiently(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(QUESTION).await?;
    let mut status = [0; ALIVE.len()];
    stream.read_exact(&mut status).await?;
    if status == ALIVE { Ok(()) } else { Err(io::Error::other(format!("{address} is not well"))) }
}

/// Whoever listens on every address is reached on this machine's own.
fn within_reach(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Ready once every source was tried: a source that is forbidden must not hide the page that says so.
pub async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    match app.reader.snapshot().ready {
        true => Ok("ready\n"),
        false => Err(ApiError::Unavailable("not every source of the cluster has been tried yet")),
    }
}
