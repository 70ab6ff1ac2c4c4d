//! Serves the dashboard, and says where.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wukong_dashboard::server::{
    Server,
    config::{Config, Listen},
    listen,
};

/// Serves the dashboard until `shutdown`.
pub async fn serve(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let address = config.listen;
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    let server = Server::prepare(config).await?;
    let listener = bind(address)?;
    announce(scheme, listener.local_addr()?);
    server.run(listener, shutdown).await
}

fn bind(listen: Listen) -> anyhow::Result<TcpListener> {
    listen::bind(listen).with_context(|| format!("cannot listen on {listen}"))
}

/// Writes the address as the first line of standard output. Errors are ignored: nobody may be reading.
pub fn announce(scheme: &str, address: SocketAddr) {
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
}
