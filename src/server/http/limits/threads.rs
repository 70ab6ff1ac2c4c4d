//! The threads that compute answers. `Server::run` starts them.
//!
//! While a thread computes for 10 ms it does not poll sockets, and while tasks are always ready tokio's
//! threads poll them only once in 61 tasks: probes and events would wait for seconds. The kernel shares the
//! cores between these threads and those that answer.

use std::{io, num::NonZero, thread::available_parallelism};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

use super::WorkLimits;

/// A runtime with as many threads as there are cores. Dropping it stops them without waiting.
pub struct RenderThreads(Option<Runtime>);

impl RenderThreads {
    /// Starts the threads. Fails if the system does not allow them.
    pub fn start() -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let runtime =
            Builder::new_multi_thread().worker_threads(cores).thread_name("render").enable_time().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Returns a handle to spawn work on the threads.
    pub fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for RenderThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl WorkLimits {
    /// Returns the same limits, with the work on these threads.
    pub fn on(self, threads: &RenderThreads) -> Self {
        Self { runtime: threads.handle(), ..self }
    }

    /// Spawns work on the render threads, or on the caller's runtime if there are none.
    pub(super) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }
}
