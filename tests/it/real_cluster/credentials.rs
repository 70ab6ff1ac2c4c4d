//! Credentials that expire on the real API server: viewers see nothing of it. Missing credentials are reported, and used when
//! they are there again.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::harness::{
    access::Access,
    program::{METRICS_INTERVAL, Program, Start},
    shared::{Cluster, on_the_cluster},
    wait::{check, within},
};

const FIRST: Duration = Duration::from_secs(20);
/// The API server remembers for 10 s that a token was good (`--authentication-token…` of its token cache); and then a while.
const REMEMBERED: Duration = Duration::from_secs(16);
/// Between two answers of the metrics API: one interval, and one more in which it may have failed.
const LONGEST_GAP: Duration = Duration::from_millis(2 * METRICS_INTERVAL.as_millis() as u64 + 700);

/// Credentials for the program, in a folder of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(cluster: &Cluster, name: &str) -> Self {
        let path = cluster.plane.dir().join(format!("credentials-{name}"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A script that a kubeconfig's user names as its plugin. It notes each run.
    fn plugin(&self, name: &str, script: &str) -> Value {
        let runs = self.runs_file(name);
        let path = self.write(
            name,
            &format!("#!/bin/sh\necho run >>{}\ncd {}\n{script}\n", runs.display(), self.0.display()),
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": path, "interactiveMode": "Never"}})
    }

    fn runs_file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.runs"))
    }

    fn runs(&self, name: &str) -> usize {
        fs::read_to_string(self.runs_file(name)).unwrap_or_default().lines().count()
    }
}

/// What a plugin prints, with the shell's `$(…)` filled in.
fn printing(status: &str) -> String {
    let version = r#""apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential""#;
    format!("cat <<END\n{{{version},\"status\":{status}}}\nEND")
}

fn run(cluster: &Cluster, name: &str, user: Value) -> Program {
    let kubeconfig = cluster.plane.kubeconfig_of(name, user, json!({}));
    let start = Start { name: name.to_owned(), kubeconfig: Some(kubeconfig), ..Start::default() };
    start.run(cluster.plane.dir())
}

async fn wait_until_healthy(program: &Program) {
    let well = within(FIRST, async || {
        for id in ["wukongs", "virtualmachineinstances", "metrics.k8s.io"] {
            let source = program.source(id).await;
            check(source["state"] == "healthy", || source.to_string())?;
        }
        Ok(())
    });
    well.await.unwrap_or_else(|why| panic!("{why}; {}", program.log()));
}

/// Watches the metrics API's answers for a while: none is further from the one before than an interval's failure.
async fn without_gap(program: &Program, time: Duration) {
    let (started, mut last) = (Instant::now(), 0);
    while started.elapsed() < time {
        let source = program.source("metrics.k8s.io").await;
        let success = source["lastSuccess"].as_i64().unwrap_or_default();
        let gap = Duration::from_millis(u64::try_from(success - last).unwrap_or_default());
        assert!(last == 0 || gap <= LONGEST_GAP, "{gap:?} without an answer: {source}");
        last = success;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let now = jiff::Timestamp::now().as_millisecond();
    assert!(now - last <= LONGEST_GAP.as_millis() as i64, "no answer for {} ms", now - last);
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_token_that_ends_leaves_no_gap() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "ending").await;
        let folder = Folder::new(cluster, "ending");
        let ending = access.token_until("ending").await;
        let token = folder.write("token", &ending);
        let plugin = folder.plugin("plugin", &printing(r#"{"token":"$(cat token)"}"#));
        let programs = [
            run(cluster, "ending-plugin", plugin),
            run(cluster, "ending-file", json!({"tokenFile": token})),
            run(cluster, "ending-kubeconfig", json!({"token": ending})),
        ];
        for program in &programs {
            wait_until_healthy(program).await;
        }
        let other = access.another_token().await;
        folder.write("token", &other);
        cluster.plane.kubeconfig("ending-kubeconfig", &other);
        assert_eq!(folder.runs("plugin"), 1, "once for all watches, polls and kubelets");
        access.end_token("ending").await;
        let watched = programs.iter().map(|program| without_gap(program, REMEMBERED));
        futures::future::join_all(watched).await;
        let api = cluster.plane.api_as(&ending);
        assert_eq!(
            api.status("/apis/vm.novasphere.dev/v1alpha1/wukongs").await,
            401,
            "the token is still good"
        );
        assert_eq!(folder.runs("plugin"), 2, "a 401 has it run again, once");
        for program in &programs {
            wait_until_healthy(program).await;
            assert!(!program.log().contains(&other) && !program.log().contains(&ending));
        }
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_plugins_token_and_its_certificate_are_renewed_before_and_after_their_end() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "renewed").await;
        let folder = Folder::new(cluster, "renewed");
        folder.write("token", &access.token);
        let status = r#"{"token":"$(cat token)","expirationTimestamp":"$(date -u -d '+8 seconds' +%Y-%m-%dT%H:%M:%SZ)"}"#;
        let expiring = run(cluster, "renewed-token", folder.plugin("expiring", &printing(status)));
        // The credentials have no expiry date: the API server's 401 ends them.
        let life = Duration::from_secs(12);
        write_certificate(cluster, &access, &folder, life);
        let status = r#"{"clientCertificateData":"$(cat crt)","clientKeyData":"$(cat key)"}"#;
        let certified = run(cluster, "renewed-certificate", folder.plugin("certificate", &printing(status)));
        wait_until_healthy(&expiring).await;
        wait_until_healthy(&certified).await;
        write_certificate(cluster, &access, &folder, Duration::from_secs(3600));
        let watched =
            [&expiring, &certified].map(|program| without_gap(program, life + Duration::from_secs(6)));
        futures::future::join_all(watched).await;
        let runs = folder.runs("expiring");
        assert!((2..=6).contains(&runs), "{runs} runs for tokens of 8 s");
        assert_eq!(folder.runs("certificate"), 2);
        let (code, report) = Start {
            kubeconfig: Some(cluster.plane.dir().join("renewed-certificate.kubeconfig")),
            ..Start::default()
        }
        .check("text");
        assert!(report.contains("√ credentials: credential plugin certificate\n"), "{code} {report}");
    });
}

/// In one line each, as JSON has it.
fn write_certificate(cluster: &Cluster, access: &Access, folder: &Folder, life: Duration) {
    let pair = cluster.plane.client_certificate(&access.user(), life);
    folder.write("key", &pair.key.replace('\n', r"\n"));
    folder.write("crt", &pair.certificate.replace('\n', r"\n"));
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn credentials_that_cannot_be_had_are_said_and_taken_up_again() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "troubled").await;
        let folder = Folder::new(cluster, "troubled");
        let asking = start_with_interactive_plugin(cluster, &folder);
        assert!(asking.contains("requires interaction (interactiveMode: Always)"), "{asking}");
        let script = format!(
            "test -e token || {{ echo s3cret-on-stderr >&2; exit 7; }}\n{}",
            printing(r#"{"token":"$(cat token)"}"#)
        );
        let failing = run(cluster, "troubled-failing", folder.plugin("failing", &script));
        // A plugin that would ask at the terminal, and waits for the answer.
        let hanging =
            run(cluster, "troubled-hanging", folder.plugin("hanging", "read answer </dev/tty || sleep 3600"));
        wait_for_error(&failing, "the credential plugin failing failed with exit code 7", FIRST).await;
        let kubeconfig = Some(cluster.plane.dir().join("troubled-failing.kubeconfig"));
        let (code, report) = Start { kubeconfig, ..Start::default() }.check("text");
        assert_eq!(code, 1);
        assert!(
            report.contains(
                "× credentials: credential plugin failing\n    the credential plugin failing failed"
            ),
            "{report}"
        );
        folder.write("token", &access.token);
        wait_until_healthy(&failing).await;
        wait_for_error(
            &hanging,
            "did not end within 30 s: it may be waiting for input",
            Duration::from_secs(45),
        )
        .await;
        for text in [failing.log(), report, failing.get("/sources").await.text] {
            assert!(!text.contains("s3cret-on-stderr") && !text.contains(&access.token), "{text}");
        }
        assert!(folder.runs("failing") <= 12, "{} runs", folder.runs("failing"));
        assert_eq!(folder.runs("hanging"), 1, "it is waited for, and not started beside itself");
    });
}

/// A plugin that is declared as interactive: the program does not start it.
fn start_with_interactive_plugin(cluster: &Cluster, folder: &Folder) -> String {
    let mut user = folder.plugin("asking", "exit 1");
    user["exec"]["interactiveMode"] = json!("Always");
    let kubeconfig = cluster.plane.kubeconfig_of("troubled-asking", user, json!({}));
    let (code, error) = Start { kubeconfig: Some(kubeconfig), ..Start::default() }.refused();
    assert_eq!((code, folder.runs("asking")), (1, 0), "{error}");
    error
}

async fn wait_for_error(program: &Program, words: &str, limit: Duration) {
    let result = within(limit, async || {
        let source = program.source("metrics.k8s.io").await;
        check(source["reason"] == "unauthenticated" && source.to_string().contains(words), || {
            source.to_string()
        })
    });
    result.await.unwrap_or_else(|why| panic!("{why}; {}", program.log()));
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn kubeconfig_lists_its_files_and_the_first_current_context_counts() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "merged").await;
        let folder = Folder::new(cluster, "merged");
        let authority = fs::read_to_string(cluster.plane.authority_file()).unwrap();
        let first = folder.write("a", &format!("current-context: ''\nclusters:\n- name: tests\n  cluster:\n    server: {}\n    certificate-authority-data: |\n{}\n", cluster.plane.url(), base64_lines(&authority)));
        let second = folder.write("b", "current-context: real\ncontexts: [{name: real, context: {cluster: tests, user: me}}]\nusers: [{name: me, user: {tokenFile: token}}]\n");
        folder.write("token", &access.token);
        let list = |files: &[&Path]| std::env::join_paths(files).unwrap();
        let gone = folder.0.join("gone");
        let start = |files: &[&Path]| Start {
            name: "merged".into(),
            variables: vec![("KUBECONFIG", list(files))],
            ..Start::default()
        };
        let program = start(&[&gone, &first, &second]).run(cluster.plane.dir());
        wait_until_healthy(&program).await;
        let third = folder.write(
            "c",
            "contexts: [{name: one, context: {cluster: tests}}, {name: two, context: {cluster: tests}}]\n",
        );
        let (code, error) = start(&[&first, &third]).refused();
        assert_eq!(code, 1);
        assert!(
            error.contains("sets no current context: choose one with --context")
                && error.contains("one, two"),
            "{error}"
        );
    });
}

/// As `base64` prints it, in lines of 64 characters, at the depth of a block in YAML.
fn base64_lines(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let text = BASE64_STANDARD.encode(text);
    let lines = text.as_bytes().chunks(64).map(|line| format!("      {}", String::from_utf8_lossy(line)));
    lines.collect::<Vec<_>>().join("\n")
}
