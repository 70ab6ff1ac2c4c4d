//! Readers over real sockets that take nothing of their answers, and a client that waits for their room.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::fixture::{Server, vm};
use crate::server::http::{ConnectionConfig, WorkLimits, listen};

const SOON: Duration = Duration::from_secs(30);
/// More than the buffers of a socket take.
const LARGE: usize = 4 << 20;

/// Asks for the list from an address of this machine, and reads the status.
async fn ask(server: SocketAddr, own: [u8; 4]) -> (String, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(own), 0)).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    stream.write_all(b"GET /api/vms HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    timeout(SOON, stream.read_exact(&mut status)).await.expect("an answer").unwrap();
    (String::from_utf8_lossy(&status[9..]).into_owned(), stream)
}

/// Returns how many bytes follow.
async fn read(mut stream: TcpStream) -> usize {
    let mut rest = Vec::new();
    // A connection that the server resets has ended too.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the connection ends");
    rest.len()
}

#[tokio::test]
async fn a_reader_that_takes_nothing_loses_its_connection_to_one_that_waits() {
    let vms = (0..2000).map(|n| vm("shop", &format!("web-{n}"))).collect();
    let server = Server::new(vms);
    let list = server.get("/api/vms").await.body.len();
    assert!(list > LARGE, "{list}");
    let server = server.with_limits(WorkLimits::new(8, 1, list * 5 / 2));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(listen(listener, server.router, ConnectionConfig::default(), shutdown.clone()));
    let (first, one) = ask(address, [127, 0, 0, 1]).await;
    let (second, two) = ask(address, [127, 0, 0, 2]).await;
    let (third, quick) = ask(address, [127, 0, 0, 3]).await;
    assert_eq!([first, second, third], ["200"; 3]);
    assert!(read(quick).await > list);
    let (one, two) = tokio::join!(read(one), read(two));
    assert!(one.min(two) < list && one.max(two) > list, "one of them ends: {one} and {two} of {list}");
    shutdown.cancel();
}
