//! Debian's tinyproxy, an HTTP CONNECT proxy, and microsocks, a SOCKS 5 proxy. Both require a user and a password.

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use super::{
    control_plane::ControlPlane,
    process::Process,
    wait::{check, within},
};

pub const USER: &str = "dashboard";
pub const PASSWORD: &str = "proxy-password";
const START: Duration = Duration::from_secs(10);

/// A proxy on an address of the control plane's.
pub struct Proxy {
    address: SocketAddr,
    scheme: &'static str,
    log: PathBuf,
    process: Option<Process>,
}

impl Proxy {
    /// Of HTTP: it connects to port 6443 alone.
    pub async fn http(plane: &ControlPlane, last: u8) -> Self {
        let (address, dir) = (plane.address(last, 8888), plane.dir());
        let (file, log) = (dir.join("tinyproxy.conf"), dir.join("tinyproxy.log"));
        let config = format!(
            "Port {}\nListen {}\nTimeout 600\nMaxClients 100\nLogFile \"{}\"\nLogLevel Connect\nConnectPort 6443\n\
             BasicAuth {USER} {PASSWORD}\n",
            address.port(),
            address.ip(),
            log.display()
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        let process = Process::start(&mut command, "tinyproxy", dir);
        Self { address, scheme: "http", log, process: Some(process) }.ready().await
    }

    /// Of SOCKS 5.
    pub async fn socks(plane: &ControlPlane, last: u8) -> Self {
        let address = plane.address(last, 1080);
        let mut command = Command::new("microsocks");
        command
            .args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-u", USER, "-P", PASSWORD]);
        let process = Process::start(&mut command, "microsocks", plane.dir());
        let log = plane.dir().join("microsocks.log");
        Self { address, scheme: "socks5", log, process: Some(process) }.ready().await
    }

    async fn ready(self) -> Self {
        let open = within(START, async || {
            let connected = std::net::TcpStream::connect(self.address);
            check(connected.is_ok(), || format!("{connected:?}"))
        });
        open.await.unwrap();
        self
    }

    /// With user and password.
    pub fn url(&self) -> String {
        format!("{}://{USER}:{PASSWORD}@{}", self.scheme, self.address)
    }

    /// Without.
    pub fn shown(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns its log of connections.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn stop(&mut self) {
        self.process = None;
    }
}
