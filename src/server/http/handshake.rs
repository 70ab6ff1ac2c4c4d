//! Begins TLS on a connection, and tells clients that speak plain HTTP to a port with TLS.

use std::io;

use axum::http::StatusCode;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::min_rate::MinRateWriter;

/// Most bytes that one connection's TLS holds for a client that does not read. By default it holds 64 KiB, beside
/// what hyper and the kernel hold.
pub const LONGEST_TLS_QUEUE: usize = 8 << 10;
/// The first byte of a handshake (`ContentType.handshake` of RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// What a client speaks.
pub enum Handshake {
    Tls(Box<TlsStream<MinRateWriter<TcpStream>>>),
    /// HTTP without TLS.
    PlainHttp(MinRateWriter<TcpStream>),
}

/// Runs the handshake. Fails if the client leaves, or speaks neither TLS 1.2 or later nor HTTP.
pub async fn begin(
    tls: &TlsAcceptor,
    stream: TcpStream,
    stall: std::time::Duration,
) -> io::Result<Handshake> {
    let mut first = [0];
    let is_empty = stream.peek(&mut first).await? == 0;
    let stream = MinRateWriter::new(stream, stall);
    match first {
        _ if is_empty => Err(io::ErrorKind::UnexpectedEof.into()),
        // Methods of HTTP begin with a capital letter.
        [b'A'..=b'Z'] => Ok(Handshake::PlainHttp(stream)),
        [HANDSHAKE] => {
            let limit =
                |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(LONGEST_TLS_QUEUE));
            Ok(Handshake::Tls(Box::new(tls.accept_with(stream, limit).await?)))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks neither TLS nor HTTP")),
    }
}

/// Answers every request over plain HTTP. No address is named: the one that the client used is unknown.
pub async fn refuse_plain_http() -> (StatusCode, &'static str) {
    (StatusCode::BAD_REQUEST, "This port speaks HTTPS. Write https:// in front of the address.\n")
}
