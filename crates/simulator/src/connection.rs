//! Faults of connections, which apply before any request.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

/// The peers that clients can connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    ApiServer,
    Prometheus,
    Ceph,
    /// The kubelets that can be reached directly.
    Kubelets,
    VirtHandlers,
}

/// What goes wrong with each new connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Nothing listens.
    Refused,
    /// Sends something that is not a handshake, and closes the connection.
    Garbled,
    /// Presents a certificate of an unknown authority. Without TLS there is no certificate to distrust, so
    /// the connection works.
    Untrusted,
}

/// The connection fault of one peer, shared by the code that sets it and the code that serves the peer, and
/// the number of its connections.
#[derive(Clone, Debug)]
pub struct PeerConnections {
    fault: watch::Sender<Option<ConnectionFault>>,
    accepted: Arc<AtomicU64>,
}

impl Default for PeerConnections {
    fn default() -> Self {
        Self { fault: watch::Sender::new(None), accepted: Arc::default() }
    }
}

impl PeerConnections {
    /// Changes the fault; open connections are cut.
    pub fn set_fault(&self, fault: Option<ConnectionFault>) {
        self.fault.send_replace(fault);
    }

    /// Subscribes to changes of the fault.
    pub fn subscribe(&self) -> watch::Receiver<Option<ConnectionFault>> {
        self.fault.subscribe()
    }

    pub fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of connections that were accepted so far, with or without a fault.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// The connections of all peers.
#[derive(Clone, Debug, Default)]
pub struct Connections([PeerConnections; 5]);

impl Connections {
    pub fn of(&self, peer: Peer) -> &PeerConnections {
        &self.0[peer as usize]
    }
}

/// Closes the listener and keeps its port: connections are refused, and nobody else gets the port in the
/// meantime.
pub fn close(listener: TcpListener) -> io::Result<TcpSocket> {
    const ATTEMPTS: u32 = 20;
    let address = listener.local_addr()?;
    drop(listener);
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address).map(|()| socket)
    };
    let mut bound = bind();
    for _ in 1..ATTEMPTS {
        if bound.is_ok() {
            break;
        }
        bound = bind();
    }
    bound
}

/// Listens again on the port that [`close`] kept.
pub fn open(socket: TcpSocket) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 1024;
    socket.listen(BACKLOG)
}
