//! Limits what all clients, and any one of them, may take of the server at once. `http::router` adds the
//! limits as layers.
//!
//! With 10,000 VMs the program itself takes half of the manifest's 384 MiB. Clients share the other half:
//! answers that are being sent, downloads, the views of event channels and the events that slow clients read
//! (`events::hub`), and what their connections hold (`connection`). No single client can have all of it, and
//! `tests::memory` adds it up.

mod answer;
mod counted;
mod download;
mod packed;
mod render;
mod threads;
mod waiting;

pub use answer::{send_file, send_list};
pub use download::send_download;
pub use packed::SharedGzip;
pub use render::{RenderPermit, render_answer};
pub use threads::RenderThreads;

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use tokio::runtime::Handle;

use super::semaphore::PeerSemaphore;
use waiting::WaitingDownloads;

/// Most answers per core that are computed at once: pages, server functions and most of the API. Each takes
/// a core for some milliseconds. A few wait for a core, so that no core is idle.
const RENDERS_A_CORE: usize = 4;
/// Most answers that are computed at once on any machine. The map of 3,000 namespaces is a page of 2 MB, and
/// takes 5 MB while it is computed.
const MOST_RENDERS: usize = 8;
/// Most downloads at once. Each keeps the names of its VMs, and some pieces of what it writes, until it is
/// read: with 10,000 VMs `DOWNLOAD_BYTES`.
pub const DOWNLOADS: usize = 3;
#[cfg(test)]
pub const DOWNLOAD_BYTES: usize = 2 << 20;
/// Bytes of one permit to send an answer.
const UNIT: usize = 1 << 10;
/// Most bytes of answers that are not sent yet. A slow reader holds its answer for as long as it reads.
/// Lists of all VMs are megabytes and have a pool of their own, so that their readers do not block pages.
pub const ANSWER_BYTES: usize = 12 << 20;
pub const LIST_BYTES: usize = 20 << 20;
/// Most bytes of answers, and of lists, that wait for room. One that is larger may wait alone.
pub const WAITING_BYTES: usize = 2 << 20;
/// Most lists that are put together at once.
const LIST_TURNS: usize = 2;
/// Most bytes of files that are not sent yet. The kernel holds some 140 kB of a large file for each slow
/// reader.
pub const FILE_BYTES: usize = 12 << 20;
/// Longest time for an answer. Answers come from memory, so one that takes this long will never come.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a permit: long enough for a burst, and no longer than an answer may take.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Seconds after which a client that was refused should try again.
const RETRY_AFTER: u32 = 5;

/// The permits of what is computed for requests and of what is sent.
pub struct WorkLimits {
    renders: Arc<PeerSemaphore>,
    downloads: Arc<PeerSemaphore>,
    waiting_downloads: WaitingDownloads,
    answers: Arc<PeerSemaphore>,
    lists: Arc<PeerSemaphore>,
    files: Arc<PeerSemaphore>,
    /// Permits to put a list together, before its size is known: one for each peer at a time.
    list_turns: Arc<PeerSemaphore>,
    /// The threads that compute answers; `None` means the caller's.
    runtime: Option<Handle>,
}

impl Default for WorkLimits {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let lists = room("lists, in KiB", LIST_BYTES);
        let files = PeerSemaphore::new("files, in KiB", FILE_BYTES / UNIT);
        let renders = (cores * RENDERS_A_CORE).min(MOST_RENDERS);
        Self { lists, files, ..Self::new(renders, DOWNLOADS, ANSWER_BYTES) }
    }
}

/// Returns a pool of this many bytes for answers that are computed before they wait for their room.
fn room(name: &'static str, bytes: usize) -> Arc<PeerSemaphore> {
    PeerSemaphore::with_longest_queue(name, bytes / UNIT, WAITING_BYTES / UNIT)
}

impl WorkLimits {
    /// Returns limits with this many permits to compute answers and for downloads, and this many bytes for
    /// answers, for lists and for files each.
    pub fn new(renders: usize, downloads: usize, answer_bytes: usize) -> Self {
        Self {
            renders: PeerSemaphore::new("renders", renders),
            downloads: PeerSemaphore::new("downloads", downloads),
            waiting_downloads: WaitingDownloads::default(),
            answers: room("answers, in KiB", answer_bytes),
            lists: room("lists, in KiB", answer_bytes),
            files: PeerSemaphore::new("files, in KiB", answer_bytes / UNIT),
            list_turns: PeerSemaphore::new("lists put together", LIST_TURNS),
            runtime: None,
        }
    }
}
