//! What the program writes into its log.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

use crate::server::log::AUDIT;

/// The lines that this thread logs.
#[derive(Clone, Default)]
pub struct Lines(pub Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Records the lines of this thread until the guard is dropped.
    pub fn record(&self) -> DefaultGuard {
        let lines = self.clone();
        let log = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
        tracing::subscriber::set_default(log)
    }

    /// Returns all lines.
    pub fn all(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
    }

    /// Returns the fields of the audited events of this name.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let audited = self.all().into_iter().filter(|line| line["target"] == AUDIT);
        audited.map(|line| line["fields"].clone()).filter(|fields| fields["event"] == name).collect()
    }

    /// Returns the fields of the lines whose message begins so.
    pub fn messages(&self, begins: &str) -> Vec<Value> {
        let fields = self.all().into_iter().map(|line| line["fields"].clone());
        fields.filter(|of| of["message"].as_str().is_some_and(|text| text.starts_with(begins))).collect()
    }
}
