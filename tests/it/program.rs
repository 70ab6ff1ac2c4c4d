//! Starts the program: exit codes, first line of output, shutdown.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use super::wait::eventually;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_wukong-dashboard");
/// Longest time between SIGTERM and the end of the program.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Returns the program's command without this machine's kubeconfig, namespace and log filter.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir("/");
    command
}

pub fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().expect("no signal ended it"), text(stdout), text(stderr))
}

#[test]
fn wrong_usage_is_2_and_names_flag_and_variable() {
    let wrong = |arguments: &[&str], variable: &str, value: &str| {
        let (code, stdout, stderr) = output(program(arguments).env(variable, value));
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        stderr
    };
    for (arguments, variable, value, reported) in [
        (&["--listen", "nowhere"][..], "X", "", "'nowhere' for '--listen <ADDRESS:PORT> (WUKONG_LISTEN)'"),
        (&[], "NAMESPACE", "Not_A_Namespace", "'Not_A_Namespace' for '--namespace <NAMESPACES> (NAMESPACE)'"),
        (&["demo"], "WUKONG_NODES", "0", "'0' for '--nodes <NUMBER> (WUKONG_NODES)'"),
        (&["check"], "RUST_LOG", "a=b=c", "'a=b=c' for RUST_LOG"),
    ] {
        let stderr = wrong(arguments, variable, value);
        assert!(stderr.contains(reported), "{reported} is not in:\n{stderr}");
    }
    let stderr = wrong(&[], "WUKONG_PROMETHEUS_URL", "https://user:s3cret@host");
    assert!(stderr.contains("WUKONG_PROMETHEUS_URL") && !stderr.contains("s3cret"), "{stderr}");
    for line in [&["--nope"][..], &["fly"], &["demo", "--context", "x"]] {
        assert_eq!(output(&mut program(line)).0, 2, "{line:?}");
    }
}

/// Manifests set variables to nothing. A wrong value of a variable that the command has no flag for is not its concern.
#[test]
fn empty_variables_and_those_of_other_commands_are_ignored() {
    for (arguments, variables) in [
        (
            &["healthcheck", "--listen=127.0.0.1:1"][..],
            &[("WUKONG_MAX_EVENT_CLIENTS", ""), ("WUKONG_METRICS_INTERVAL", "never"), ("WUKONG_VMS", "0")][..],
        ),
        (
            &["--listen=127.0.0.1:0"],
            &[
                ("WUKONG_KUBECONFIG", ""),
                ("WUKONG_KUBELET_PORT", " "),
                ("WUKONG_METRICS_INTERVAL", ""),
                ("WUKONG_PROMETHEUS_BEARER_TOKEN_FILE", "/token"),
                ("WUKONG_PROMETHEUS_BASIC_AUTH_FILE", ""),
                ("WUKONG_CEPH_URL", ""),
                ("WUKONG_PROMETHEUS_TRUSTED_NAMESPACES", ""),
            ],
        ),
    ] {
        let (code, _, stderr) = output(program(arguments).envs(variables.iter().copied()));
        assert_eq!(code, 1, "{arguments:?}: {stderr}");
    }
}

#[test]
fn help_and_version_are_no_failure() {
    for (line, reported) in [
        (&["--help"][..], "[env: WUKONG_LISTEN]"),
        (&["demo", "--help"], "[default: 15s]"),
        (&["sim", "--help"], "--kubeconfig-out"),
        (&["--version"], "wukong-dashboard "),
    ] {
        let (code, stdout, _) = output(&mut program(line));
        assert_eq!(code, 0, "{line:?}");
        assert!(stdout.contains(reported), "{reported} is not in:\n{stdout}");
    }
}

/// The allocator finds its settings by a symbol name, and is silent if the symbol does not exist.
#[test]
fn the_allocator_takes_its_settings() {
    let (code, _, stderr) = output(program(&["--version"]).env("_RJEM_MALLOC_CONF", "stats_print:true"));
    assert_eq!(code, 0);
    for reported in ["opt.narenas: 2", "opt.dirty_decay_ms: 100 ", "opt.muzzy_decay_ms: 0 "] {
        assert!(stderr.contains(reported), "{reported:?} is not in:\n{stderr}");
    }
    assert!(!stderr.contains("Invalid conf"), "{stderr}");
}

#[test]
fn without_a_cluster_it_fails_and_names_the_demo() {
    let (code, stdout, stderr) = output(&mut program(&["--listen", "127.0.0.1:0"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("wukong-dashboard demo"), "{stderr}");
}

#[test]
fn a_port_that_is_taken_is_a_failure_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = output(&mut program(&["demo", "--vms=3", "--nodes=1", "--listen", &address]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn the_environment_reaches_a_command_too() {
    let (_, address) =
        Running::start(program(&["demo", "--vms=3", "--nodes=1"]).env("WUKONG_LISTEN", "127.0.0.1:0"));
    assert_ne!(address.port(), 8081);
}

#[test]
fn the_first_line_is_the_address_and_a_signal_ends_it() {
    for signal in ["-TERM", "-INT"] {
        let (mut running, address) =
            Running::start(&mut program(&["demo", "--vms=3", "--nodes=1", "--listen=127.0.0.1:0"]));
        assert!(get(address, "/healthz").contains("200 OK"));
        let kept_open = std::net::TcpStream::connect(address).unwrap();
        let begun = Instant::now();
        Command::new("kill").args([signal, &running.0.id().to_string()]).status().unwrap();
        let status = running.0.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(begun.elapsed() < DRAIN, "{signal}: {:?}", begun.elapsed());
        drop(kept_open);
    }
}

#[test]
fn a_loopback_listener_refuses_unknown_host_names() {
    let demo = ["demo", "--vms=3", "--nodes=1", "--listen=127.0.0.1:0"];
    let (_own, own) = Running::start(&mut program(&demo));
    let (_named, named) =
        Running::start(&mut program(&[&demo[..], &["--allowed-hosts=dash.example"]].concat()));
    let (_every, every) = Running::start(&mut program(&[&demo[..], &["--allowed-hosts=*"]].concat()));
    for (host, [own_status, named_status, every_status]) in [
        ("evil.example", [421, 421, 200]),
        ("dash.example", [421, 200, 200]),
        ("localhost:8081", [200, 200, 200]),
        ("127.0.0.1", [200, 200, 200]),
        ("[::1]:8081", [200, 200, 200]),
    ] {
        for (address, status) in [(own, own_status), (named, named_status), (every, every_status)] {
            let answer = get_as(address, "/api/vms", host);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
        }
        assert!(get_as(own, "/healthz", host).contains("200 OK"), "{host}");
    }
}

#[test]
fn the_log_is_json_on_request() {
    let log = Log::new();
    let (mut running, address) = Running::start(
        program(&["demo", "--vms=3", "--nodes=1", "--listen=127.0.0.1:0", "--log-format=json"])
            .env("RUST_LOG", "debug")
            .stderr(log.writer()),
    );
    get(address, "/api/vms?token=not-for-the-log");
    Command::new("kill").arg(running.0.id().to_string()).status().unwrap();
    running.0.wait().unwrap();
    let log = log.read();
    assert!(log.lines().count() > 0 && log.contains("/api/vms"), "{log}");
    assert!(log.contains(r#""peer":"127.0.0.1""#), "{log}");
    assert!(!log.contains("not-for-the-log"), "{log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn an_unreadable_answer_is_not_logged() {
    let log = Log::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let server = format!("http://{}", garbled());
    let user = r#"{"name": "u", "user": {"token": "s3cret-token"}}"#;
    let kubeconfig = format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{user}],
            "clusters": [{{"name": "k", "cluster": {{"server": "{server}"}}}}],
            "contexts": [{{"name": "c", "context": {{"cluster": "k", "user": "u"}}}}]}}"#
    );
    std::fs::write(&path, kubeconfig).unwrap();
    let (mut running, address) = Running::start(
        program(&["--listen=127.0.0.1:0", "--metrics-interval=1s", "--kubeconfig"])
            .arg(&path)
            .env("RUST_LOG", "trace")
            .stderr(log.writer()),
    );
    eventually(|| {
        let sources = get(address, "/api/sources");
        if sources.contains(r#""reason":"bad-answer""#) { Ok(()) } else { Err(sources) }
    });
    Command::new("kill").arg(running.0.id().to_string()).status().unwrap();
    running.0.wait().unwrap();
    let log = log.read();
    assert!(log.contains("/api/sources"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

/// Starts a server that answers every request with the beginning of a list.
fn garbled() -> SocketAddr {
    use std::io::Write;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let body = r#"{"kind": "PodList", "items": [{"userData": "password: s3cret-in-a-vm"#;
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[test]
fn the_simulated_cluster_alone_writes_a_kubeconfig_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let file = path.to_str().unwrap();
    let (_running, _) =
        Running::start(&mut program(&["sim", "--vms=3", "--nodes=1", "--kubeconfig-out", file]));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(std::fs::read_to_string(&path).unwrap().contains("apiVersion"));
}

#[test]
fn a_container_can_ask_for_its_health_without_a_shell() {
    let (mut running, address) =
        Running::start(&mut program(&["demo", "--vms=3", "--nodes=1", "--listen=127.0.0.1:0"]));
    let flag = format!("--listen=0.0.0.0:{}", address.port());
    assert_eq!(output(&mut program(&["healthcheck", &flag])).0, 0);
    let by_environment = format!("0.0.0.0:{}", address.port());
    assert_eq!(output(program(&["healthcheck"]).env("WUKONG_LISTEN", by_environment)).0, 0);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(output(&mut program(&["healthcheck", &flag])).0, 1);
}

/// Standard error in a file: a full pipe that nobody reads would block the program.
pub struct Log(tempfile::NamedTempFile);

impl Log {
    pub fn new() -> Self {
        Self(tempfile::NamedTempFile::new().unwrap())
    }

    pub fn writer(&self) -> Stdio {
        self.0.reopen().unwrap().into()
    }

    pub fn read(&self) -> String {
        std::fs::read_to_string(self.0.path()).unwrap()
    }
}

/// A running program, which is killed when it is dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts the program, and reads its address from the first line.
    pub fn start(command: &mut Command) -> (Self, SocketAddr) {
        Self::start_with("http", command)
    }

    /// Starts the program, which must serve this scheme.
    pub fn start_with(scheme: &str, command: &mut Command) -> (Self, SocketAddr) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let running = Self(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix(&format!("listening on {scheme}://"));
        (running, address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn get(address: SocketAddr, path: &str) -> String {
    get_as(address, path, &address.to_string())
}

/// Sends the request with this host name.
fn get_as(address: SocketAddr, path: &str, host: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
