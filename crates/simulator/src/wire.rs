//! Faults that apply before any request: connections that are refused, garbled or not trusted.

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
}

/// What a new connection to a peer meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    #[default]
    Sound,
    /// Nothing listens.
    Refused,
    /// Sends something that is not a handshake, and closes the connection.
    Garbled,
    /// Presents a certificate of an unknown authority. Without TLS the connection is garbled.
    Untrusted,
}

/// The wire of one peer, shared by the code that sets it and the code that serves on it.
#[derive(Clone, Debug)]
pub struct Line {
    state: watch::Sender<Wire>,
    met: Arc<AtomicU64>,
}

impl Default for Line {
    fn default() -> Self {
        Self { state: watch::Sender::new(Wire::default()), met: Arc::default() }
    }
}

impl Line {
    /// Changes the wire; open connections are cut.
    pub fn set(&self, wire: Wire) {
        self.state.send_replace(wire);
    }

    /// Subscribes to changes of the wire.
    pub fn follow(&self) -> watch::Receiver<Wire> {
        self.state.subscribe()
    }

    /// Counts an accepted connection.
    pub fn meet(&self) {
        self.met.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of connections that were accepted so far, whatever they met.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }
}

/// The lines of all peers.
#[derive(Clone, Debug, Default)]
pub struct Lines([Line; 4]);

impl Lines {
    pub fn of(&self, peer: Peer) -> &Line {
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
