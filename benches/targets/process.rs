//! The program as a process, and what the kernel reports about it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wukong-dashboard");
/// `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running process, which is killed on drop.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
}

impl Program {
    /// Starts the program, and waits for its first line, which says where it listens.
    pub fn start(arguments: &[&str]) -> Self {
        // Another build can be measured by WUKONG_BIN, as in end2end/cluster.
        let program = std::env::var_os("WUKONG_BIN").unwrap_or(PROGRAM.into());
        Self::of(Command::new(program).args(arguments).args(["--listen", "127.0.0.1:0"]))
    }

    pub fn of(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its standard output is ours");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit('/').next().and_then(|text| text.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    /// Waits until this path answers with status 200; panics after `limit`.
    pub fn await_ok(&self, path: &str, limit: Duration) {
        let begun = Instant::now();
        while get(self.address, path, "").status != 200 {
            assert!(begun.elapsed() < limit, "{path} is not 200 after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// CPU time so far (user and system) in seconds.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // The name may contain spaces and ends with the last parenthesis; utime and stime are fields 14 and
        // 15.
        let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..].split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number of ticks");
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// Resident memory in MB (1,000,000 bytes).
    pub fn rss(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("kB") * 1024.0 / 1e6
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer to a request.
pub struct Answer {
    pub status: u16,
    /// Bytes of the body as sent, including chunk heads: a few more than the body has.
    pub body: usize,
    /// Head and body as sent; empty if the body is no text, such as a compressed one.
    pub text: String,
}

impl Answer {
    /// Returns the body of an answer that is not sent in chunks.
    pub fn content(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, content)| content)
    }
}

/// Asks for a path on a connection of its own.
pub fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n"),
    )
}

/// Sends a request, which asks to close the connection.
pub fn exchange(address: SocketAddr, request: &str) -> Answer {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = ask().unwrap_or_default();
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let status = bytes.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    let body = bytes.len().saturating_sub(head + 4);
    Answer { status: status.unwrap_or(0), body, text: String::from_utf8(bytes).unwrap_or_default() }
}
