//! The requests that wait for a download to end, so that slow readers make room for them.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

/// The requests that wait for any download to end.
#[derive(Clone, Default)]
pub struct WaitingDownloads(Arc<Mutex<VecDeque<Arc<()>>>>);

/// One of them, until it is dropped.
pub struct WaitingDownload {
    of: WaitingDownloads,
    number: Arc<()>,
}

impl WaitingDownloads {
    pub fn begin(&self) -> WaitingDownload {
        let number = Arc::new(());
        self.0.lock().push_back(number.clone());
        WaitingDownload { of: self.clone(), number }
    }

    /// Returns whether somebody waits for whom no download has ended yet.
    pub fn take_one(&self) -> bool {
        self.0.lock().pop_front().is_some()
    }
}

impl Drop for WaitingDownload {
    fn drop(&mut self) {
        self.of.0.lock().retain(|number| !Arc::ptr_eq(number, &self.number));
    }
}
