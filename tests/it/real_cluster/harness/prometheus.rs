//! Debian's Prometheus, which scrapes the stub kubelets every second and requires TLS and a password.

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use super::{
    control_plane::ControlPlane,
    kubelet,
    process::Process,
    wait::{check, within},
};

/// The last part of its address in every control plane.
const LAST: u8 = 4;
const PORT: u16 = 9090;
/// 0.1 s and one scrape on an idle machine.
const START: Duration = Duration::from_secs(30);
pub const USER: &str = "dashboard";
pub const PASSWORD: &str = "password-of-the-tests";
/// bcrypt of [`PASSWORD`].
const HASH: &str = "$2b$04$D/bBkpr/JB8dD4D/eWZ/eumZuKzeDgAu8yHE/o7lDVoA3mjNcJ.sW";

pub struct Prometheus {
    address: SocketAddr,
    http: reqwest::Client,
    pub basic_auth_file: PathBuf,
    process: Process,
}

impl Prometheus {
    /// Starts it over the kubelets on these addresses of the control plane's, and waits until it has scraped them all.
    pub async fn start(plane: &ControlPlane, kubelets: &[u8]) -> Self {
        let dir = plane.dir().join("prometheus");
        std::fs::create_dir(&dir).unwrap();
        let address = plane.address(LAST, PORT);
        let pair = plane.certificate("prometheus", LAST).write(&dir, "web");
        let web = json!({"tls_server_config": {"cert_file": pair.certificate, "key_file": pair.key},
            "basic_auth_users": {USER: HASH}});
        // JSON is YAML.
        std::fs::write(dir.join("web.yml"), web.to_string()).unwrap();
        std::fs::write(dir.join("prometheus.yml"), config(plane, kubelets).to_string()).unwrap();
        let basic_auth_file = dir.join("basic-auth");
        std::fs::write(&basic_auth_file, format!("{USER}:{PASSWORD}\n")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--web.config.file={}", dir.join("web.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let process = Process::start(&mut command, "prometheus", plane.dir());
        let authority = reqwest::Certificate::from_der(&plane.authority()).unwrap();
        let http = reqwest::Client::builder().add_root_certificate(authority).build().unwrap();
        let prometheus = Self { address, http, basic_auth_file, process };
        let all = kubelets.len() * JOBS.len();
        let scraped = within(START, async || {
            let up = prometheus.query("sum(up)").await?;
            check(up[0]["value"][1].as_str() == Some(&*all.to_string()), || format!("{up} of {all} targets"))
        });
        scraped.await.unwrap();
        prometheus
    }

    /// Stops the whole process, like an overloaded machine, or continues it.
    pub fn stop(&self, stop: bool) {
        self.process.signal(if stop { "STOP" } else { "CONT" });
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The result of an instant query.
    pub async fn query(&self, query: &str) -> Result<Value, String> {
        let answer = self.http.get(format!("{}/api/v1/query", self.url())).query(&[("query", query)]);
        let answer = answer.basic_auth(USER, Some(PASSWORD)).send().await.map_err(|e| e.to_string())?;
        let answer: Value = answer.json().await.map_err(|e| e.to_string())?;
        check(answer["status"] == "success", || answer.to_string())?;
        Ok(answer["data"]["result"].clone())
    }

    /// The status of a request without credentials.
    pub async fn anonymous(&self) -> u16 {
        let answer = self.http.get(format!("{}/api/v1/query?query=up", self.url())).send().await;
        answer.expect("an answer").status().as_u16()
    }
}

/// Job and path: a kubelet, and the virt-handler beside it.
const JOBS: [(&str, &str); 2] = [("kubelet", "/metrics"), ("kubevirt", "/virt-handler/metrics")];

fn config(plane: &ControlPlane, kubelets: &[u8]) -> Value {
    let targets: Vec<_> = kubelets.iter().map(|last| plane.address(*last, kubelet::PORT)).collect();
    // Without `honor_labels`, and with a namespace of its own, as a ServiceMonitor gives its targets: what virt-handler says is moved to
    // `exported_namespace`.
    let labels = |name: &str| match name {
        "kubevirt" => json!({"namespace": "kubevirt"}),
        _ => json!({}),
    };
    let job = |(name, path): (&str, &str)| {
        json!({"job_name": name, "metrics_path": path, "scheme": "https",
            "authorization": {"credentials": plane.admin_token()},
            "tls_config": {"ca_file": plane.authority_file()},
            "static_configs": [{"targets": targets, "labels": labels(name)}]})
    };
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
        "scrape_configs": JOBS.map(job),
    })
}
