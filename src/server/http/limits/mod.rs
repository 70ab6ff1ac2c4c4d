//! How much of this server clients may take at once, and how much of that one of them.
//!
//! Of the manifest's 384 MiB the program itself takes half with 10,000 VMs. Clients share the other half: answers that they are
//! sent, downloads, the views of event channels and the events that slow clients read (`events::hub`), and what their
//! connections hold (`connection`). No single client can have all of it, and `tests::memory` adds it up.

mod answer;
mod download;
mod render;
mod semaphore;
mod threads;

pub use answer::{send_file, send_list};
pub use download::send_download;
pub use render::{RenderPermit, render_answer};
pub use semaphore::{PeerPermit, PeerSemaphore, PermitError};
pub use threads::RenderThreads;

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use tokio::runtime::Handle;

/// Answers that are computed at once for each core: pages, server functions, and most of the API. They are some
/// milliseconds of a core each. A few wait for a core, so that none is idle.
const RENDERS_A_CORE: usize = 4;
/// The most on a machine of many cores: the map of 3,000 namespaces is a page of 2 MB, and takes 5 MB while it is computed.
const MOST_RENDERS: usize = 8;
/// Downloads at once. Each keeps the names of its VMs, and some pieces of what it writes, for as long as it is read: with 10,000
/// VMs this many bytes.
pub const DOWNLOADS: usize = 3;
#[cfg(test)]
pub const DOWNLOAD_BYTES: usize = 2 << 20;
/// Bytes of answers that were made and are not yet sent. A slow reader keeps its own for as long as it reads: lists of all VMs,
/// which are megabytes, have bytes of their own, so that no reader of a list keeps others from pages.
pub const ANSWER_BYTES: usize = 12 << 20;
pub const LIST_BYTES: usize = 20 << 20;
/// Lists that are put together at once.
const LIST_TURNS: usize = 2;
/// The same of files: of a large one the kernel holds some 140 kB for each slow reader.
pub const FILE_BYTES: usize = 16 << 20;
/// Longest wait for a permit: a burst is let through, and nobody waits longer for a refusal than for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// When to come back, in seconds.
const RETRY_AFTER: u32 = 5;

/// The permits of what is computed for a request, and of what is sent.
pub struct WorkLimits {
    renders: Arc<PeerSemaphore>,
    downloads: Arc<PeerSemaphore>,
    answers: Arc<PeerSemaphore>,
    lists: Arc<PeerSemaphore>,
    files: Arc<PeerSemaphore>,
    /// A list is put together before its size is known: one of a peer at a time.
    list_turns: Arc<PeerSemaphore>,
    /// Where answers are computed; none: where they are asked for.
    runtime: Option<Handle>,
}

impl Default for WorkLimits {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let lists = PeerSemaphore::new("lists, in KiB", LIST_BYTES / answer::UNIT);
        let files = PeerSemaphore::new("files, in KiB", FILE_BYTES / answer::UNIT);
        let renders = (cores * RENDERS_A_CORE).min(MOST_RENDERS);
        Self { lists, files, ..Self::new(renders, DOWNLOADS, ANSWER_BYTES) }
    }
}

impl WorkLimits {
    pub fn new(renders: usize, downloads: usize, answer_bytes: usize) -> Self {
        Self {
            renders: PeerSemaphore::new("renders", renders),
            downloads: PeerSemaphore::new("downloads", downloads),
            answers: PeerSemaphore::new("answers, in KiB", answer_bytes / answer::UNIT),
            lists: PeerSemaphore::new("lists, in KiB", answer_bytes / answer::UNIT),
            files: PeerSemaphore::new("files, in KiB", answer_bytes / answer::UNIT),
            list_turns: PeerSemaphore::new("lists put together", LIST_TURNS),
            runtime: None,
        }
    }
}
