//! The program itself, as its users start it: the executable, a kubeconfig, an address on its first line.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

use super::process::Process;

const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(5);
/// Intervals that keep the tests short.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(1);
pub const DISK_INTERVAL: Duration = Duration::from_secs(2);

pub struct Program {
    process: Process,
    pub url: String,
    http: reqwest::Client,
}

/// How the program is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Its log is `NAME.log`.
    pub name: String,
    /// Value of `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// Value of `--listen`; if it is empty, a free port on this machine's loopback address.
    pub listen: String,
    pub variables: Vec<(&'static str, OsString)>,
    pub flags: Vec<OsString>,
    /// Value of `--disk-interval`, if it is not [`DISK_INTERVAL`].
    pub disk_interval: Option<Duration>,
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Start {
    /// Starts it and waits for the address that it prints.
    pub fn run(self, dir: &Path) -> Program {
        let mut process = Process::start(&mut self.command(), &self.name, dir);
        let line = first_line(&mut process);
        let Some(url) = line.trim_end().strip_prefix("listening on ") else {
            panic!("the first line of standard output is {line:?}; {}", process.obituary());
        };
        let http = reqwest::Client::builder().timeout(ANSWER).no_proxy().build().unwrap();
        Program { url: url.to_owned(), http, process }
    }

    /// Starts the program, which must fail. Returns the exit code and standard error.
    pub fn refused(self) -> (i32, String) {
        let output = self.command().stdin(Stdio::null()).output().expect("the program");
        (output.status.code().expect("no signal ended it"), String::from_utf8(output.stderr).expect("text"))
    }

    /// Runs `check` in the same environment. Returns the exit code and standard output.
    pub fn check(self, output: &str) -> (i32, String) {
        let mut command = executable();
        command.args(["check", "--output", output]).args(&self.flags).envs(self.variables);
        if let Some(kubeconfig) = self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        let output = command.stdin(Stdio::null()).output().expect("the program");
        let code = output.status.code().expect("no signal ended it");
        (code, String::from_utf8(output.stdout).expect("text"))
    }

    /// Returns the exit code of `healthcheck` for a program at this address.
    pub fn healthcheck(listen: &str) -> i32 {
        let status = executable().args(["healthcheck", "--listen", listen]).status().expect("the program");
        status.code().expect("no signal ended it")
    }

    fn command(&self) -> Command {
        let mut command = executable();
        let duration = |duration: Duration| format!("{}s", duration.as_secs());
        let listen = if self.listen.is_empty() { "127.0.0.1:0" } else { &self.listen };
        command
            .args(["--listen", listen])
            .args(["--metrics-interval", &duration(METRICS_INTERVAL)])
            .args(["--disk-interval", &duration(self.disk_interval.unwrap_or(DISK_INTERVAL))])
            .args(&self.flags)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped());
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command
    }
}

impl Program {
    /// Starts it and waits for the address that it prints. Its log is `NAME.log` in `dir`.
    pub fn start(kubeconfig: &Path, name: &str, dir: &Path) -> Self {
        Self::start_with_flags::<&str>(kubeconfig, name, dir, &[])
    }

    /// The same with further flags.
    pub fn start_with_flags<F: AsRef<OsStr>>(kubeconfig: &Path, name: &str, dir: &Path, flags: &[F]) -> Self {
        let start = Start {
            name: name.to_owned(),
            kubeconfig: Some(kubeconfig.to_owned()),
            flags: flags.iter().map(|flag| flag.as_ref().to_owned()).collect(),
            ..Start::default()
        };
        start.run(dir)
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    pub async fn try_get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(Answer { status: response.status().as_u16(), text: response.text().await? })
    }

    /// Asks as somebody who presents a token.
    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        let response = self.http.get(format!("{}{path}", self.url)).bearer_auth(token).send().await;
        let response = response.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        Answer { status: response.status().as_u16(), text: response.text().await.expect("a body") }
    }

    /// Follows events as somebody who presents a token.
    pub async fn follow_as(&self, token: &str, path: &str) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        client.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.expect("an event stream")
    }

    pub async fn vms(&self) -> Vec<Value> {
        match self.get("/api/vms").await.json() {
            Value::Array(vms) => vms,
            other => panic!("GET /api/vms: {other}"),
        }
    }

    /// One VM of the list.
    pub async fn vm(&self, namespace: &str, name: &str) -> Result<Value, String> {
        let vms = self.vms().await;
        let found = vms.iter().find(|vm| vm["namespace"] == namespace && vm["name"] == name);
        found.cloned().ok_or_else(|| format!("{namespace}/{name} is not among {} VMs", vms.len()))
    }

    /// Sources that are configured and not healthy.
    pub async fn unhealthy_sources(&self) -> Vec<Value> {
        let sources = self.get("/api/sources").await.json();
        let sources = sources.as_array().expect("a list of sources").iter();
        // Only the tests of virt_handlers.rs install a KubeVirt object; without one there is no virt-handler to ask.
        let well = |source: &&Value| {
            source["id"] == "virt-handler" && source["state"] == "absent"
                || ["healthy", "not configured"].iter().any(|s| source["state"] == *s)
        };
        sources.filter(|source| !well(source)).cloned().collect()
    }

    /// One source's health; null before the first snapshot.
    pub async fn source(&self, id: &str) -> Value {
        let sources = self.get("/api/sources").await.json();
        let sources = sources.as_array().expect("a list of sources");
        sources.iter().find(|source| source["id"] == id).cloned().unwrap_or_default()
    }
}

/// `check --output json`, run to its end: the exit code and standard output.
pub fn checked(kubeconfig: &Path, flags: &[String]) -> (i32, String) {
    let flags = flags.iter().map(OsString::from).collect();
    Start { kubeconfig: Some(kubeconfig.to_owned()), flags, ..Start::default() }.check("json")
}

/// Returns the program's command without the environment of this machine.
fn executable() -> Command {
    let executable = std::env::var_os("WUKONG_BIN").unwrap_or(env!("CARGO_BIN_EXE_wukong-dashboard").into());
    let mut command = Command::new(executable);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("WUKONG_") {
            command.env_remove(variable);
        }
    }
    for variable in ["NAMESPACE", "KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    command
}

fn first_line(process: &mut Process) -> String {
    let output = process.child().stdout.take().expect("standard output");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output);
        let mut line = String::new();
        let _ = lines.read_line(&mut line);
        let _ = sender.send(line);
        // Keep reading: otherwise a later line would break the program's pipe.
        let _ = std::io::copy(&mut lines, &mut std::io::sink());
    });
    receiver.recv_timeout(START).unwrap_or_default()
}
