//! Limits the interim responses (1xx) that a server may send before its answer. hyper skips them without a limit, so
//! that a server which sends nothing else would keep a thread busy until the deadline of the request.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use http::{Extensions, Request};
use hyper::ext::on_informational;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};

/// How many interim responses are accepted. Servers send one or two: 100, 102 or 103.
const MOST: usize = 16;

/// The error for a server that sends more interim responses than are accepted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server sent more than {MOST} interim responses before its answer")]
pub struct TooManyInterim;

/// Cuts a connection off: after that, every read of it fails. It is part of what hyper-util knows of the connection.
#[derive(Clone, Debug, Default)]
pub struct Cutoff(Arc<AtomicBool>);

impl Cutoff {
    /// Fails with [`TooManyInterim`] if the connection was cut off.
    pub fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(io::Error::other(TooManyInterim)) } else { Ok(()) }
    }

    fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Cuts off the connection of this request when it receives more than [`MOST`] interim responses. What hyper has
/// already read of the connection is still parsed, in the same turn.
pub fn limit_interim<B>(mut request: Request<B>) -> Request<B> {
    let connection = capture_connection(&mut request);
    let received = AtomicUsize::new(0);
    on_informational(&mut request, move |_| {
        if received.fetch_add(1, Ordering::Relaxed) == MOST {
            cut_off(&connection);
        }
    });
    request
}

fn cut_off(connection: &CaptureConnection) {
    let connection = connection.connection_metadata();
    let Some(connected) = connection.as_ref() else { return };
    connected.poison();
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    if let Some(cutoff) = extras.get::<Cutoff>() {
        cutoff.cut();
    }
}
