//! The threads that pages are computed on. One that computes for 10 ms looks at no socket meanwhile, and tokio's threads look
//! once in 61 tasks when there is always another: probes and events would wait for seconds. The kernel shares the cores
//! between these threads and those that answer.

use std::{io, num::NonZero, thread::available_parallelism};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

use super::WorkLimits;

/// As many threads as there are cores. They end with this, and are not waited for.
pub struct RenderThreads(Option<Runtime>);

impl RenderThreads {
    pub fn start() -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let runtime =
            Builder::new_multi_thread().worker_threads(cores).thread_name("render").enable_time().build()?;
        Ok(Self(Some(runtime)))
    }

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
    /// The same on these threads.
    pub fn on(self, threads: &RenderThreads) -> Self {
        Self { runtime: threads.handle(), ..self }
    }

    /// Runs on the threads that pages are computed on; without any on the caller's.
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
