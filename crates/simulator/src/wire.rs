//! Faults that strike before any request: whoever connects is refused, or meets something else than was hoped for.

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

/// What can be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    ApiServer,
    Prometheus,
    Ceph,
    /// Those that can be asked directly.
    Kubelets,
}

/// How it meets who connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    #[default]
    Sound,
    /// Nobody listens.
    Refused,
    /// Says something that is no handshake, and hangs up.
    Garbled,
    /// Shows a certificate of an authority that nobody knows. Without TLS it is as [`Wire::Sound`].
    Untrusted,
}

/// One peer's wire, as who sets it and who serves on it share it.
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
    pub fn set(&self, wire: Wire) {
        self.state.send_replace(wire);
    }

    pub fn follow(&self) -> watch::Receiver<Wire> {
        self.state.subscribe()
    }

    pub fn meet(&self) {
        self.met.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were accepted so far, whatever they met.
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

/// Takes the listener away and keeps its port: who connects is refused, and nobody else gets it meanwhile.
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

/// The same port, listening again.
pub fn open(socket: TcpSocket) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 1024;
    socket.listen(BACKLOG)
}
