//! Runs a credential plugin: the command of a kubeconfig (`exec`) that prints credentials. It follows
//! client-go (`plugin/pkg/client/auth/exec/exec.go`), but with a deadline, without a terminal, and without
//! showing anybody what the plugin writes to standard error.

use std::{
    env,
    ffi::OsStr,
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use kube::config::{Cluster, ExecConfig, ExecInteractiveMode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

use super::{CredentialError, kubeconfig::decode_data};

/// How long a plugin may run. Plugins of the large clouds take a few seconds for their requests; one that
/// takes longer than this waits for a person.
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes that are read of a plugin's output. Certificates and tokens take a few thousand.
const LONGEST_OUTPUT: u64 = 1 << 20;
/// How many characters of an installation hint are shown.
const LONGEST_HINT: usize = 300;
/// The versions that client-go accepts since 1.24 (`apiVersions` in exec.go).
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
/// The extension of a cluster whose content is passed to the plugin.
const EXTENSION: &str = "client.authentication.k8s.io/exec";

/// A credential plugin and how to run it.
#[derive(Clone, PartialEq, Eq)]
pub struct Plugin {
    command: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    version: String,
    /// The value of KUBERNETES_EXEC_INFO.
    info: String,
    deadline: Duration,
}

/// The credentials that a plugin printed: a token, a certificate, or both.
pub struct PluginCredentials {
    pub token: Option<String>,
    /// Certificate and key, in PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// How long the credentials are valid, by the plugin's own word; zero if they have expired.
    pub lifetime: Option<Duration>,
}

impl Plugin {
    /// Checks that the plugin can be run here. The error is a text that follows "the credential plugin …".
    pub fn read(exec: &ExecConfig, cluster: &Cluster) -> Result<Self, String> {
        let command = exec.command.clone().filter(|command| !command.is_empty());
        let Some(command) = command else {
            return Err("has no command: correct it in the kubeconfig".into());
        };
        let version = exec.api_version.clone().unwrap_or_default();
        if !VERSIONS.contains(&version.as_str()) {
            return Err(format!(
                "uses the API version {version:?}: update it, so that the kubeconfig has {} or {}",
                VERSIONS[0], VERSIONS[1]
            ));
        }
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err("requires interaction (interactiveMode: Always), which is not possible here: use credentials that \
                        need none, such as those of a service account"
                .into());
        }
        if find_command(&command).is_none() {
            let hint = exec.install_hint.as_deref().map(legible_hint).unwrap_or_default();
            return Err(format!("{} is not installed, or not in PATH{hint}", name(&command)));
        }
        let variables = exec.env.iter().flatten();
        let variables = variables.filter_map(|pair| {
            Some((pair.get("name")?.clone(), pair.get("value").cloned().unwrap_or_default()))
        });
        Ok(Self {
            arguments: exec.args.clone().unwrap_or_default(),
            variables: variables.collect(),
            info: info(&version, exec.provide_cluster_info.then_some(cluster)),
            version,
            command,
            deadline: DEADLINE,
        })
    }

    /// The command without its folder. Arguments are left out, since they can hold secrets.
    pub fn name(&self) -> String {
        name(&self.command)
    }

    /// Runs the plugin once. If the future is dropped early, the plugin and every process that it started are
    /// killed.
    pub async fn run(&self) -> Result<PluginCredentials, CredentialError> {
        let (code, output) = match timeout(self.deadline, self.output()).await {
            Ok(ended) => ended?,
            Err(_) => {
                return Err(CredentialError::PluginLate { plugin: self.name(), deadline: self.deadline });
            }
        };
        if code != 0 {
            return Err(CredentialError::PluginFailed { plugin: self.name(), code });
        }
        let given = decode(&output, &self.version, Timestamp::now());
        given.map_err(|why| CredentialError::PluginUseless { plugin: self.name(), why })
    }

    /// Runs the command and returns its exit code, as a shell reports it, and its output.
    async fn output(&self) -> Result<(i32, Vec<u8>), CredentialError> {
        let failed = |error: std::io::Error| CredentialError::PluginNotStarted {
            plugin: self.name(),
            why: error.kind(),
        };
        let path = find_command(&self.command);
        let path = path.ok_or_else(|| CredentialError::PluginMissing(self.name()))?;
        let mut command = Command::new(path);
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("KUBERNETES_EXEC_INFO", &self.info)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Standard error may quote credentials.
            .stderr(Stdio::null())
            // Not in the terminal's foreground: a plugin that reads from the terminal is stopped, and killed
            // at its deadline.
            .process_group(0)
            .kill_on_drop(true);
        let mut running = Running(command.spawn().map_err(failed)?);
        let mut output = Vec::new();
        if let Some(printed) = running.0.stdout.take() {
            printed.take(LONGEST_OUTPUT).read_to_end(&mut output).await.map_err(failed)?;
        }
        let status = running.0.wait().await.map_err(failed)?;
        use std::os::unix::process::ExitStatusExt;
        let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1);
        Ok((code, output))
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.name()).finish()
    }
}

/// A running plugin. Dropping it kills its process group unless the plugin has ended: otherwise the children
/// of a shell would live on.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // `None` once the process was waited for.
        let group = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            // Fails if the process has just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn name(command: &str) -> String {
    let name = Path::new(command).file_name().map(OsStr::to_string_lossy);
    name.map_or_else(|| command.to_owned(), |name| legible(&name))
}

/// Finds an executable file of this name, in PATH if the name has no folder, as Go does (`exec.LookPath`).
fn find_command(command: &str) -> Option<PathBuf> {
    let is_executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if command.contains('/') {
        return Some(PathBuf::from(command)).filter(is_executable);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(command))
        .find(is_executable)
}

/// `: HINT` on one line and without control characters: a kubeconfig may come from anybody, and a terminal
/// obeys them.
fn legible_hint(hint: &str) -> String {
    let hint = legible(hint);
    let line = hint.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(LONGEST_HINT).collect();
    if cut.is_empty() { cut } else { format!(": {cut}") }
}

fn legible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The input of a plugin: that it cannot ask a person, and data of the cluster if the plugin wants them.
fn info(version: &str, cluster: Option<&Cluster>) -> String {
    let mut spec = json!({"interactive": false});
    if let Some(cluster) = cluster {
        spec["cluster"] = cluster_info(cluster);
    }
    json!({"kind": "ExecCredential", "apiVersion": version, "spec": spec}).to_string()
}

/// The cluster as `ConfigToExecCluster` in client-go's `rest/exec.go` writes it.
fn cluster_info(cluster: &Cluster) -> serde_json::Value {
    let file = || std::fs::read(cluster.certificate_authority.as_ref()?).ok();
    let authority = cluster.certificate_authority_data.as_deref().and_then(decode_data).or_else(file);
    let extension = cluster.extensions.iter().flatten().find(|extension| extension.name == EXTENSION);
    let fields = [
        ("server", cluster.server.clone().map(Into::into)),
        ("tls-server-name", cluster.tls_server_name.clone().map(Into::into)),
        ("insecure-skip-tls-verify", cluster.insecure_skip_tls_verify.map(Into::into)),
        ("certificate-authority-data", authority.map(|pem| BASE64_STANDARD.encode(pem).into())),
        ("proxy-url", cluster.proxy_url.clone().map(Into::into)),
        ("disable-compression", cluster.disable_compression.map(Into::into)),
        ("config", extension.map(|extension| extension.extension.clone())),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    serde_json::Value::Object(fields.collect())
}

/// The parts of a plugin's output that are used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Decodes JSON, or YAML, which client-go's decoder reads as well. Refuses what `refreshCredsLocked` refuses.
fn decode(output: &[u8], version: &str, now: Timestamp) -> Result<PluginCredentials, &'static str> {
    let json = serde_json::from_slice::<ExecCredential>(output).ok();
    let yaml = || serde_saphyr::from_slice::<ExecCredential>(output).ok();
    let credential = json.or_else(yaml).ok_or("what it printed is not an ExecCredential")?;
    if credential.kind.as_deref() != Some("ExecCredential") {
        return Err("what it printed is not an ExecCredential");
    }
    if credential.api_version.as_deref() != Some(version) {
        return Err("its apiVersion is not the one that the kubeconfig names");
    }
    let status = credential.status.ok_or("it has no status")?;
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (certificate, key) = (some(status.client_certificate_data), some(status.client_key_data));
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate.into_bytes(), key.into_bytes())),
        (None, None) => None,
        _ => return Err("it has a certificate without a key, or a key without a certificate"),
    };
    let token = some(status.token);
    if token.is_none() && certificate.is_none() {
        return Err("it has neither a token nor a certificate");
    }
    let ends = some(status.expiration_timestamp).map(|text| text.parse::<Timestamp>());
    let ends = ends.transpose().map_err(|_| "its expirationTimestamp is not a time")?;
    let lifetime = ends.map(|ends| ends.duration_since(now).try_into().unwrap_or(Duration::ZERO));
    Ok(PluginCredentials { token, certificate, lifetime })
}

#[cfg(test)]
mod tests;
