//! Credentials that expire: which of them each request carries.

use std::{fs, path::Path};

use super::*;
use crate::{client::connect, config::KubernetesConfig};
use i18n::Render;

/// An API server that accepts one token at a time.
struct Guarded {
    server: Server,
    accepted: Arc<Mutex<String>>,
    folder: tempfile::TempDir,
}

impl Guarded {
    fn start(accepted: &str) -> Self {
        let accepted = Arc::new(Mutex::new(format!("Bearer {accepted}")));
        let known = accepted.clone();
        let server = Server::start(move |request, _| {
            match request.header("authorization") == *known.lock().unwrap() {
                true => quiet(request),
                false => status(401, "Unauthorized"),
            }
        });
        Self { server, accepted, folder: tempfile::tempdir().unwrap() }
    }

    fn accept(&self, token: &str) {
        *self.accepted.lock().unwrap() = format!("Bearer {token}");
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a kubeconfig with this user and returns its path.
    fn kubeconfig(&self, user: &str) -> std::path::PathBuf {
        let path = self.file("config");
        let text = format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: '{}'}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n",
            self.server.url
        );
        fs::write(&path, text).unwrap();
        path
    }

    async fn collector(&self, user: &str) -> Collector {
        let kubeconfig = Some(self.kubeconfig(user));
        let kubernetes = KubernetesConfig { kubeconfig, ..KubernetesConfig::default() };
        let config = CollectConfig { metrics_interval: Duration::from_millis(500), ..config() };
        let cluster = connect(&kubernetes, &config).await.unwrap();
        let (sender, observations) = mpsc::channel(64);
        let (targets, receiver) = watch::channel(Targets::default());
        let shutdown = CancellationToken::new();
        tokio::spawn(run(cluster, config, sender, receiver, shutdown.clone()));
        Collector { observations, targets, shutdown }
    }

    fn refused(&self) -> usize {
        let accepted = self.accepted.lock().unwrap().clone();
        self.server
            .asked(METRICS)
            .iter()
            .filter(|request| request.header("authorization") != accepted)
            .count()
    }
}

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// A plugin that prints the token from a file and records that it ran.
fn plugin(folder: &Path) -> String {
    let script = folder.join("plugin");
    let text = format!(
        "#!/bin/sh\necho run >>{0}/runs\n\
         echo '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"'$(cat {0}/token)'\"}}}}'\n",
        folder.display()
    );
    fs::write(&script, text).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // The path is relative to the kubeconfig.
    "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}"
        .to_owned()
}

fn runs(guarded: &Guarded) -> usize {
    fs::read_to_string(guarded.file("runs")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_plugin_is_run_once_for_all_clients_and_again_after_a_401() {
    let guarded = Guarded::start("one");
    fs::write(guarded.file("token"), "one").unwrap();
    let user = plugin(guarded.folder.path());
    let mut collector = guarded.collector(&user).await;
    collector.during(Duration::from_secs(1)).await;
    assert_eq!(runs(&guarded), 1, "for all watches and polls");
    fs::write(guarded.file("token"), "two").unwrap();
    guarded.accept("two");
    let seen = collector.during(Duration::from_secs(2)).await;
    let failed = seen.iter().filter(|observation| {
        matches!(
            observation,
            Observation::PodMetrics { result: Err(_), .. } | Observation::WatchFailed { .. }
        )
    });
    assert_eq!((failed.count(), runs(&guarded)), (0, 2), "nobody has noticed");
    assert!(
        seen.iter().any(|observation| matches!(observation, Observation::PodMetrics { result: Ok(_), .. }))
    );
}

#[tokio::test]
async fn a_plugin_that_returns_the_same_token_is_not_run_in_a_loop() {
    let guarded = Guarded::start("nobodys");
    fs::write(guarded.file("token"), "revoked").unwrap();
    let user = plugin(guarded.folder.path());
    let mut collector = guarded.collector(&user).await;
    let error = collector.metrics().await.unwrap_err();
    assert_eq!(error.reason, Reason::Unauthenticated);
    assert_eq!(error.detail.english(), "the API server does not accept this dashboard's credentials (401)");
    collector.during(Duration::from_secs(4)).await;
    assert!(runs(&guarded) <= 3, "{} runs", runs(&guarded));
}

#[tokio::test]
async fn a_failing_plugin_is_reported_and_run_again() {
    let guarded = Guarded::start("one");
    let user = plugin(guarded.folder.path()).replace("./plugin", "sh").replace(
        ", interactiveMode",
        &format!(
            ", args: ['-c', 'test -e {0}/token || exit 7; exec {0}/plugin'], interactiveMode",
            guarded.folder.path().display()
        ),
    );
    let mut collector = guarded.collector(&user).await;
    let error = collector.metrics().await.unwrap_err();
    let want = (Reason::Unauthenticated, "the credential plugin sh failed with exit code 7".to_owned());
    assert_eq!((error.reason, error.detail.english()), want);
    assert!(is_translated(&error), "{error:?}");
    assert!(guarded.server.asked(METRICS).is_empty(), "nothing is asked without credentials");
    fs::write(guarded.file("token"), "one").unwrap();
    while collector.metrics().await.is_err() {}
}

#[tokio::test]
async fn a_token_file_and_a_kubeconfig_that_change_are_read_again_after_a_401() {
    for in_file in [true, false] {
        let guarded = Guarded::start("one");
        let token = guarded.file("token");
        fs::write(&token, "one\n").unwrap();
        let user = |token: &str| format!("token: {token}");
        let first = if in_file { "tokenFile: token".to_owned() } else { user("one") };
        let mut collector = guarded.collector(&first).await;
        assert!(collector.metrics().await.is_ok());
        match in_file {
            true => fs::write(&token, "two\n").unwrap(),
            false => drop(guarded.kubeconfig(&user("two"))),
        }
        guarded.accept("two");
        let before = guarded.refused();
        for _ in 0..3 {
            assert!(collector.metrics().await.is_ok(), "{in_file}");
        }
        assert!(guarded.refused() - before <= 1 + 8, "each of those under way, at most");
    }
}

#[tokio::test]
async fn a_refused_request_is_repeated_once_only() {
    let guarded = Guarded::start("one");
    let mut collector = guarded.collector("token: wrong").await;
    assert!(collector.metrics().await.is_err());
    let requests = guarded.server.asked(METRICS).len();
    assert_eq!(requests, 1, "there is nothing else to send");
    guarded.kubeconfig("token: also-wrong");
    sleep(Duration::from_millis(1100)).await;
    let before = guarded.server.asked(METRICS).len();
    assert!(collector.metrics().await.is_err());
    assert!(guarded.server.asked(METRICS).len() - before <= 3);
}
