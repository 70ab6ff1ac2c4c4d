//! etcd and kube-apiserver, with metrics-server where it is wanted. end2end/cluster/build.sh builds them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    api::{Api, documents},
    audit::{self, Audit},
    pki::{Authority, Pair, signing_key},
    process::Process,
    wait::{check, within},
};

const ADMIN_TOKEN: &str = "administrator-of-the-tests";
/// Number of people who have a token of their own and no rights.
pub const PEOPLE: usize = 500;
/// etcd and kube-apiserver take 3 s on an idle machine.
const START: Duration = Duration::from_secs(90);

pub struct ControlPlane {
    /// Folder that is kept on purpose: run-tests.sh removes it, or prints its path if a test failed.
    dir: PathBuf,
    network: Network,
    assets: PathBuf,
    authority: Authority,
    api_server: Mutex<Option<Process>>,
    metrics_server: Mutex<Option<Process>>,
    _etcd: Process,
    /// The administrator's client.
    pub api: Api,
}

/// The addresses of one control plane.
#[derive(Clone, Copy, Debug)]
pub enum Network {
    /// 10.90.N.0/24
    V4(u8),
    /// fd00:90::/112
    V6,
}

impl Network {
    fn ip(self, last: u8) -> IpAddr {
        match self {
            Self::V4(number) => Ipv4Addr::new(10, 90, number, last).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x90, 0, 0, 0, 0, 0, last.into()).into(),
        }
    }

    /// Of the API server and etcd.
    fn host(self) -> String {
        self.ip(1).to_string()
    }

    /// Of Services; nothing routes there.
    fn services(self) -> (&'static str, &'static str) {
        match self {
            Self::V4(_) => ("10.91.0.0/24", "10.91.0.1"),
            Self::V6 => ("fd00:91::/112", "fd00:91::1"),
        }
    }

    fn url(self, scheme: &str, port: u16) -> String {
        format!("{scheme}://{}", SocketAddr::from((self.ip(1), port)))
    }
}

impl ControlPlane {
    /// Starts number `number`, which has 10.90.`number`.0/24 to itself.
    pub async fn start(number: u8) -> Self {
        Self::start_on(Network::V4(number)).await
    }

    pub async fn start_on(network: Network) -> Self {
        let assets = std::env::var_os("WUKONG_CLUSTER_ASSETS")
            .expect("these tests run in a network namespace: end2end/cluster/run-tests.sh makes it");
        let prefix = format!("control-plane-{network:?}-");
        let dir = TempDir::with_prefix(prefix.replace(['(', ')'], "")).unwrap().keep();
        let authority = Authority::new();
        let api = Api::new(&network.url("https", 6443), authority.der(), ADMIN_TOKEN);
        let assets = PathBuf::from(assets);
        let etcd = start_etcd(&assets, network, &dir);
        let plane = Self {
            dir,
            network,
            assets,
            authority,
            api_server: Mutex::default(),
            metrics_server: Mutex::default(),
            _etcd: etcd,
            api,
        };
        plane.write_certificates();
        plane.start_api_server();
        plane.ready().await;
        plane
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn url(&self) -> String {
        self.network.url("https", 6443)
    }

    /// An address of this control plane's own: 1 is the API server's, the nodes follow.
    pub fn address(&self, last: u8, port: u16) -> SocketAddr {
        (self.network.ip(last), port).into()
    }

    pub fn audit(&self) -> Audit {
        Audit::new(self.dir().join("audit.log"))
    }

    /// Returns a client with this token.
    pub fn api_as(&self, token: &str) -> Api {
        Api::new(&self.url(), self.authority.der(), token)
    }

    /// A certificate for the address `last`, signed by the cluster's authority.
    pub fn certificate(&self, name: &str, last: u8) -> Pair {
        self.authority.issue(name, None, &[self.address(last, 0).ip().to_string()])
    }

    /// Returns a short-lived client certificate for `user`.
    pub fn client_certificate(&self, user: &str, life: Duration) -> Pair {
        self.authority.issue_for(user, life)
    }

    /// PEM of the authority that signed every certificate of this cluster.
    pub fn authority_file(&self) -> PathBuf {
        self.dir().join("ca.crt")
    }

    pub fn authority(&self) -> Vec<u8> {
        self.authority.der()
    }

    /// The same with an RSA key.
    pub fn rsa_certificate(&self, name: &str, last: u8) -> Pair {
        self.authority.issue_rsa(name, &[self.address(last, 0).ip().to_string()])
    }

    /// A kubeconfig file with a token in it.
    pub fn kubeconfig(&self, name: &str, token: &str) -> PathBuf {
        self.kubeconfig_of(name, json!({"token": token}), json!({}))
    }

    /// A kubeconfig file with this user, and more fields of the cluster.
    pub fn kubeconfig_of(&self, name: &str, user: Value, more: Value) -> PathBuf {
        let mut cluster = json!({"server": self.url(), "certificate-authority": self.authority_file()});
        for (field, value) in more.as_object().into_iter().flatten() {
            cluster[field] = value.clone();
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": name}}],
        });
        let path = self.dir().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Returns a token for stub servers that are clients of the API server.
    pub fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// The administrator's.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.kubeconfig("admin", ADMIN_TOKEN)
    }

    /// Kills the API server. Its data stay in etcd.
    pub fn stop_api_server(&self) {
        self.api_server.lock().unwrap().take();
    }

    /// Starts it; [`Self::ready`] tells when it serves.
    pub fn start_api_server(&self) {
        let process = Process::start(&mut self.api_server_command(), "kube-apiserver", self.dir());
        *self.api_server.lock().unwrap() = Some(process);
    }

    /// Restarts the API server with an AuthenticationConfiguration.
    pub async fn restart_with_authentication(&self, configuration: &Value) {
        std::fs::write(self.dir().join(AUTHENTICATION), configuration.to_string()).unwrap();
        self.stop_api_server();
        self.start_api_server();
        self.ready().await;
    }

    pub async fn ready(&self) {
        let ready = within(START, async || self.api.text("/readyz").await.map_err(|e| e.to_string())).await;
        if let Err(why) = ready {
            let obituary = self.api_server.lock().unwrap().as_mut().map(Process::obituary);
            panic!("kube-apiserver: {why}; {}", obituary.unwrap_or_default());
        }
    }

    /// Installs the project's CRDs and waits until they are served.
    pub async fn install_crds(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("end2end/cluster/crds");
        for entry in std::fs::read_dir(folder).expect("the CRDs") {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for crd in documents(&text) {
                self.api.create(&crd).await;
            }
        }
        for path in ["/apis/vm.novasphere.dev/v1alpha1/wukongs", "/apis/kubevirt.io/v1/virtualmachines"] {
            self.served(path, START).await;
        }
        for plural in ["virtualmachineinstances", "virtualmachineinstancemigrations"] {
            self.served(&format!("/apis/kubevirt.io/v1/{plural}"), START).await;
        }
        self.served("/apis/longhorn.io/v1beta2/volumes", START).await;
        for plural in ["virtualmachineinstancetypes", "virtualmachineclusterinstancetypes"] {
            self.served(&format!("/apis/instancetype.kubevirt.io/v1beta1/{plural}"), START).await;
        }
    }

    /// Waits until a path answers.
    pub async fn served(&self, path: &str, limit: Duration) {
        let answered = within(limit, async || {
            let code = self.api.status(path).await;
            check(code == 200, || format!("GET {path} gives {code}"))
        });
        if let Err(why) = answered.await {
            let obituary = self.metrics_server.lock().unwrap().as_mut().map(Process::obituary);
            panic!("{why}; metrics-server: {}", obituary.unwrap_or_default());
        }
    }

    /// Registers an aggregated metrics API that listens on `address`.
    pub async fn register_metrics_api(&self, address: SocketAddr) {
        self.register_api("metrics.k8s.io", "v1beta1", "metrics-server", address).await;
    }

    /// Registers an aggregated API that the Service `service` leads to, and that listens on `address`.
    pub async fn register_api(&self, group: &str, version: &str, service: &str, address: SocketAddr) {
        let port = json!({"name": "https", "port": 443, "targetPort": address.port(), "protocol": "TCP"});
        let endpoint = json!({"addresses": [address.ip()], "conditions": {"ready": true}});
        let labels = json!({"kubernetes.io/service-name": service});
        for object in [
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": service, "namespace": "kube-system"}, "spec": {"ports": [port]}}),
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": service, "namespace": "kube-system", "labels": labels},
                "ports": [{"name": "https", "port": address.port()}], "endpoints": [endpoint]}),
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("{version}.{group}")},
                "spec": {"group": group, "version": version, "insecureSkipTLSVerify": true,
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                    "service": {"namespace": "kube-system", "name": service}}}),
        ] {
            self.api.create(&object).await;
        }
    }

    /// Where metrics-server listens.
    pub fn metrics_address(&self) -> SocketAddr {
        self.address(2, 4443)
    }

    /// Starts metrics-server. Its first figures come two scrapes later.
    pub fn start_metrics_server(&self) {
        let config = self.admin_kubeconfig();
        let address = self.metrics_address();
        let pair = self.certificate("metrics-server", 2).write(self.dir(), "metrics-server");
        let mut command = Command::new(self.assets.join("metrics-server"));
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={}", config.display()));
        }
        command
            .arg(format!("--bind-address={}", address.ip()))
            .arg(format!("--secure-port={}", address.port()))
            .arg(format!("--tls-cert-file={}", pair.certificate.display()))
            .arg(format!("--tls-private-key-file={}", pair.key.display()))
            // metrics-server starts only if the resolution is larger than the timeout and at least 10 s.
            .args(["--metric-resolution=10s", "--kubelet-request-timeout=5s"])
            .args(["--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP"]);
        let process = Process::start(&mut command, "metrics-server", self.dir());
        *self.metrics_server.lock().unwrap() = Some(process);
    }

    pub fn stop_metrics_server(&self) {
        self.metrics_server.lock().unwrap().take();
    }

    fn write_certificates(&self) {
        let dir = self.dir();
        std::fs::write(dir.join("ca.crt"), self.authority.pem()).unwrap();
        let names = [self.network.host(), self.network.services().1.into(), "kubernetes.default.svc".into()];
        self.authority.issue("kube-apiserver", None, &names).write(dir, "api-server");
        self.authority.issue("front-proxy", None, &[]).write(dir, "front-proxy");
        self.authority.issue("kubelet-client", Some("system:masters"), &[]).write(dir, "kubelet-client");
        signing_key(dir);
        let admin = format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n");
        let people = (0..PEOPLE).map(|id| format!("{},person-{id},person-{id}\n", person(id)));
        std::fs::write(dir.join("tokens.csv"), [admin].into_iter().chain(people).collect::<String>())
            .unwrap();
        std::fs::write(dir.join("audit-policy.yaml"), audit::POLICY).unwrap();
    }

    fn api_server_command(&self) -> Command {
        let mut command = Command::new(self.assets.join("kube-apiserver"));
        let (host, services) = (self.network.host(), self.network.services().0);
        command
            .arg(format!("--etcd-servers={}", self.network.url("http", 2379)))
            .args([format!("--bind-address={host}"), format!("--advertise-address={host}")])
            .args(["--secure-port=6443", &format!("--service-cluster-ip-range={services}")])
            // RBAC is on. No controller makes the default service accounts, so admission must not require them.
            .args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"])
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            // Endpoints rather than the Service's address, which nothing routes here.
            .arg("--enable-aggregator-routing=true")
            .args([
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
            ])
            .args([
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                "--requestheader-allowed-names=front-proxy",
            ])
            // Otherwise the node proxy resolves the node's name.
            .arg("--kubelet-preferred-address-types=InternalIP");
        for (flag, file) in FILES {
            command.arg(format!("--{flag}={}", self.dir().join(file).display()));
        }
        let authentication = self.dir().join(AUTHENTICATION);
        if authentication.exists() {
            command.arg(format!("--authentication-config={}", authentication.display()));
        }
        command
    }
}

/// Returns the token of the user `person-ID`.
pub fn person(id: usize) -> String {
    format!("token-of-person-{id}")
}

/// A file that few tests have.
const AUTHENTICATION: &str = "authentication.json";

/// Flags of kube-apiserver that name a file.
const FILES: [(&str, &str); 14] = [
    ("tls-cert-file", "api-server.crt"),
    ("tls-private-key-file", "api-server.key"),
    ("client-ca-file", "ca.crt"),
    ("token-auth-file", "tokens.csv"),
    ("service-account-signing-key-file", "service-accounts.key"),
    ("service-account-key-file", "service-accounts.crt"),
    ("requestheader-client-ca-file", "ca.crt"),
    ("proxy-client-cert-file", "front-proxy.crt"),
    ("proxy-client-key-file", "front-proxy.key"),
    ("kubelet-client-certificate", "kubelet-client.crt"),
    ("kubelet-client-key", "kubelet-client.key"),
    ("audit-policy-file", "audit-policy.yaml"),
    ("audit-log-path", "audit.log"),
    ("cert-dir", "certificates"),
];

fn start_etcd(assets: &Path, network: Network, dir: &Path) -> Process {
    let (clients, peers) = (network.url("http", 2379), network.url("http", 2380));
    let mut command = Command::new(assets.join("etcd"));
    command
        .arg(format!("--data-dir={}", dir.join("etcd").display()))
        .arg(format!("--listen-client-urls={clients}"))
        .arg(format!("--advertise-client-urls={clients}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=default={peers}"))
        // The data need not survive a power failure.
        .args(["--unsafe-no-fsync", "--log-level=warn"]);
    Process::start(&mut command, "etcd", dir)
}
