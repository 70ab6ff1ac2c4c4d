//! A server process of a test: its output goes to a file, and it ends when the test drops it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Lines of a log that a failure shows.
const TAIL: usize = 15;

pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; standard error, and standard output unless it is piped, go to `NAME.log` in `dir`.
    pub fn start(command: &mut Command, name: &str, dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        command.stdin(Stdio::null()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, log }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill");
        assert!(sent.success(), "kill -{signal} {id}: {sent}");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns the end of its output, and its exit status if it has ended.
    pub fn obituary(&mut self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let state = match self.child.try_wait() {
            Ok(Some(status)) => status.to_string(),
            _ => "still running".to_owned(),
        };
        format!("{state}; the end of {}:\n{tail}", self.log.display())
    }
}

impl Drop for Process {
    /// Kills the process: the tests check how the other side reacts.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
