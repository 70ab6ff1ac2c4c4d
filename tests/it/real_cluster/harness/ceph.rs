//! A real Ceph: one monitor, a manager with its dashboard behind TLS, and one OSD that keeps its data in memory.
//!
//! The tests start Debian's programs in a folder of their own. They need no disk and no root.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{control_plane::ControlPlane, process::Process};

/// The last part of its address in every control plane.
const LAST: u8 = 5;
const DASHBOARD: u16 = 8443;
const FSID: &str = "11111111-2222-4333-8444-555555555555";
const OSD: &str = "99999999-2222-4333-8444-555555555555";
/// Longest start; it takes 10 s on an idle machine.
const START: Duration = Duration::from_secs(120);
const LOGGED: Duration = Duration::from_secs(1);
/// `timeout`'s, for one command.
const TEST_TIMEOUT: &str = "30";
pub const POOL: &str = "rbdpool";
pub const USER: &str = "wukong";
pub const PASSWORD: &str = "Secret-of-the-tests-1";
const FAST_DIFF: [&str; 4] = ["layering", "exclusive-lock", "object-map", "fast-diff"];

pub struct Ceph {
    dir: PathBuf,
    address: SocketAddr,
    authority: Vec<u8>,
    osd: Process,
    _manager: Process,
    _monitor: Process,
}

/// Counts logins by the manager's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logins {
    pub accepted: usize,
    pub refused: usize,
}

/// The answer of the REST API.
pub struct RestAnswer {
    pub status: u16,
    pub body: Value,
}

impl Ceph {
    /// Starts Ceph with an empty pool and a user who may read images.
    pub fn start(plane: &ControlPlane) -> Self {
        let dir = plane.dir().join("ceph");
        let address = plane.address(LAST, DASHBOARD);
        for folder in ["mon", "mgr", "osd", "run"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        std::fs::write(dir.join("ceph.conf"), config(&dir, address)).unwrap();
        // The dashboard checks its key, and can only check RSA keys.
        let pair = plane.rsa_certificate("ceph", LAST).write(&dir, "dashboard");
        keyrings(&dir);
        let monitor = start_monitor(&dir, address);
        configure_dashboard(&dir, address, &pair.certificate, &pair.key);
        let manager = daemon(&dir, "ceph-mgr", "x");
        let osd = start_osd(&dir);
        let ceph =
            Self { dir, address, authority: plane.authority(), osd, _manager: manager, _monitor: monitor };
        ceph.create_pool();
        ceph.create_user();
        ceph
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Writes a file with this text, such as a user's name.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Creates an image of 10 GiB and writes 12 MiB into it.
    pub fn image(&self, name: &str, fast_diff: bool) {
        let mut create = vec!["create", "--size", "10G"];
        let features = if fast_diff { &FAST_DIFF[..] } else { &FAST_DIFF[..1] };
        features.iter().for_each(|feature| create.extend(["--image-feature", feature]));
        let image = format!("{POOL}/{name}");
        create.push(&image);
        self.rbd(&create);
        self.rbd(&["bench", "--io-type", "write", "--io-threads", "1", "--io-total", "12M", &image]);
    }

    pub fn snapshot(&self, image: &str) {
        self.rbd(&["snap", "create", &format!("{POOL}/{image}@before")]);
    }

    /// Sets the lifetime of new tokens.
    pub fn token_lifetime(&self, seconds: u32) {
        run(&self.dir, "ceph", &["dashboard", "set-jwt-token-ttl", &seconds.to_string()]);
    }

    /// Returns whether the account is not locked.
    pub fn account_is_open(&self) -> bool {
        let user = run(&self.dir, "ceph", &["dashboard", "ac-user-show", USER]);
        let user: Value = serde_json::from_str(&user).expect("a user");
        user["enabled"].as_bool().expect("enabled")
    }

    /// Unlocks the account.
    pub fn open_account(&self) {
        run(&self.dir, "ceph", &["dashboard", "ac-user-enable", USER]);
    }

    /// Reads the manager's log, which is written after the answers.
    pub async fn logins(&self) -> Logins {
        tokio::time::sleep(LOGGED).await;
        let log = std::fs::read_to_string(self.dir.join("mgr.x.log")).unwrap_or_default();
        let count = |status: &str| {
            let is = |line: &&str| {
                line.contains("[POST]") && line.contains(status) && line.trim_end().ends_with("/api/auth")
            };
            log.lines().filter(is).count()
        };
        Logins { accepted: count("[201]"), refused: count("[400]") }
    }

    /// Stops the OSD, like a disk that does not answer, or continues it.
    pub fn stop_osd(&self) {
        self.osd.signal("STOP");
    }

    pub fn continue_osd(&self) {
        self.osd.signal("CONT");
    }

    /// `POST /api/auth`.
    pub async fn login(&self, password: &str) -> RestAnswer {
        let body = json!({"username": USER, "password": password});
        let request = self.http().post(format!("{}/api/auth", self.url())).json(&body);
        answer(request.header("accept", "application/vnd.ceph.api.v1.0+json")).await.expect("an answer")
    }

    /// `GET /api/block/image` of the pool; the error's text where nothing came within `limit`.
    pub async fn images(&self, token: &str, limit: Duration) -> Result<RestAnswer, String> {
        let url = format!("{}/api/block/image?pool_name={POOL}&offset=0&limit=-1", self.url());
        let request = self.http().get(url).bearer_auth(token).timeout(limit);
        answer(request.header("accept", "application/vnd.ceph.api.v2.0+json")).await
    }

    fn http(&self) -> reqwest::Client {
        let authority = reqwest::Certificate::from_der(&self.authority).unwrap();
        reqwest::Client::builder().add_root_certificate(authority).build().unwrap()
    }

    fn create_pool(&self) {
        run(&self.dir, "ceph", &["osd", "pool", "create", POOL, "8", "8"]);
        run(&self.dir, "ceph", &["osd", "pool", "application", "enable", POOL, "rbd"]);
        self.rbd(&["pool", "init", POOL]);
    }

    fn create_user(&self) {
        let password = self.file("password", PASSWORD);
        until(|| attempt(&self.dir, "ceph", &["dashboard", "ac-role-create", "reader"]));
        run(&self.dir, "ceph", &["dashboard", "ac-role-add-scope-perms", "reader", "rbd-image", "read"]);
        let password = password.to_str().unwrap();
        let user = ["dashboard", "ac-user-create", USER, "-i", password, "reader", "--force-password"];
        run(&self.dir, "ceph", &user);
    }

    fn rbd(&self, arguments: &[&str]) {
        run(&self.dir, "rbd", arguments);
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<RestAnswer, String> {
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.text().await.map_err(|error| error.to_string())?;
    Ok(RestAnswer { status, body: serde_json::from_str(&body).unwrap_or_default() })
}

fn config(dir: &Path, address: SocketAddr) -> String {
    let (dir, ip) = (dir.display(), address.ip());
    format!(
        "[global]
fsid = {FSID}
mon host = [v2:{ip}:3300,v1:{ip}:6789]
public addr = {ip}
cluster addr = {ip}
keyring = {dir}/keyring
run dir = {dir}/run
admin socket = {dir}/run/$name.asok
pid file = {dir}/run/$name.pid
log file = {dir}/$name.log
crash dir = {dir}/run
mon data = {dir}/mon
mgr data = {dir}/mgr
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = 268435456
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
# By default a monitor ends without a word where a twentieth of the disk is free.
mon data avail crit = 1
# The default set has a module that fails here; to enable the dashboard later restarts the manager.
mgr initial modules = dashboard
mgr tick period = 1
mgr stats period = 1
"
    )
}

fn keyrings(dir: &Path) {
    let (mon, all) = (path(dir, "mon.keyring"), path(dir, "keyring"));
    let all_of = ["mon", "osd", "mgr", "mds"].iter().flat_map(|daemon| ["--cap", daemon, "allow *"]);
    let admin = ["-C", &all, "--gen-key", "-n", "client.admin"].into_iter().chain(all_of);
    run(dir, "ceph-authtool", &admin.collect::<Vec<_>>());
    let manager = ["--cap", "mon", "allow profile mgr", "--cap", "osd", "allow *", "--cap", "mds", "allow *"];
    run(dir, "ceph-authtool", &[&[&all, "--gen-key", "-n", "mgr.x"][..], &manager].concat());
    let osd =
        ["--cap", "mon", "allow profile osd", "--cap", "mgr", "allow profile osd", "--cap", "osd", "allow *"];
    run(dir, "ceph-authtool", &[&[&all, "--gen-key", "-n", "osd.0"][..], &osd].concat());
    run(dir, "ceph-authtool", &["-C", &mon, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
    run(dir, "ceph-authtool", &[&mon, "--import-keyring", &all]);
}

fn start_monitor(dir: &Path, address: SocketAddr) -> Process {
    let (map, keyring, ip) = (path(dir, "monmap"), path(dir, "mon.keyring"), address.ip());
    let addresses = format!("[v2:{ip}:3300,v1:{ip}:6789]");
    run(dir, "monmaptool", &["--create", "--fsid", FSID, "--addv", "a", &addresses, &map]);
    run(dir, "ceph-mon", &["--mkfs", "-i", "a", "--monmap", &map, "--keyring", &keyring]);
    daemon(dir, "ceph-mon", "a")
}

/// Configures the dashboard before the manager is up, which reads the options once. `--force` is needed, since they are not
/// known yet.
fn configure_dashboard(dir: &Path, address: SocketAddr, certificate: &Path, key: &Path) {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    for (option, value) in [("server_addr", ip.as_str()), ("ssl_server_port", &port)] {
        let option = format!("mgr/dashboard/{option}");
        run(dir, "ceph", &["config", "set", "mgr", &option, value, "--force"]);
    }
    for (name, file) in [("crt", certificate), ("key", key)] {
        let name = format!("mgr/dashboard/{name}");
        run(dir, "ceph", &["config-key", "set", &name, "-i", file.to_str().unwrap()]);
    }
}

fn start_osd(dir: &Path) -> Process {
    run(dir, "ceph", &["osd", "new", OSD]);
    run(dir, "ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", OSD]);
    daemon(dir, "ceph-osd", "0")
}

fn daemon(dir: &Path, program: &str, id: &str) -> Process {
    let mut command = command(dir, program);
    command.args(["-i", id, "-f"]).stdout(Stdio::null());
    Process::start(&mut command, program, dir)
}

/// Runs a command to its end, and returns its output.
fn run(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let mut patient = Command::new("timeout");
    patient.args([TEST_TIMEOUT, program]).args(arguments).env("CEPH_CONF", dir.join("ceph.conf"));
    let output = patient.stdin(Stdio::null()).output().expect("timeout, of coreutils");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {error}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

fn attempt(dir: &Path, program: &str, arguments: &[&str]) -> bool {
    let mut command = command(dir, program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("CEPH_CONF", dir.join("ceph.conf")).stdin(Stdio::null());
    command
}

fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < START, "the manager's dashboard does not come up: see mgr.x.log");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().expect("a path in UTF-8").to_owned()
}
