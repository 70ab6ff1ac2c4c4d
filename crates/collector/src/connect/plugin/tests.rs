use std::{fs, time::Instant};

use super::*;

const V1: &str = VERSIONS[0];
const NOW: &str = "2030-01-01T00:00:00Z";

fn exec(yaml: &str) -> ExecConfig {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A plugin that is a shell script, as many are.
fn script(text: &str) -> Plugin {
    let mut exec = exec(&format!("{{apiVersion: {V1}, command: sh, interactiveMode: Never}}"));
    exec.args = Some(vec!["-c".into(), text.into()]);
    Plugin::read(&exec, &Cluster::default()).unwrap()
}

/// Prints a status, in which the shell fills in `$(…)`.
fn printing(status: &str) -> String {
    let credential = format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{status}}}"#);
    format!("cat <<END\n{credential}\nEND\n")
}

#[tokio::test]
async fn a_token_comes_with_or_without_an_end() {
    let given = script(&printing(r#"{"token":"t"}"#)).run().await.unwrap();
    assert_eq!(
        (given.token.as_deref(), given.lifetime, given.certificate.is_none()),
        (Some("t"), None, true)
    );
    let status = format!(r#"{{"token":"t","expirationTimestamp":"{}"}}"#, "2001-01-01T00:00:00Z");
    let given = script(&printing(&status)).run().await.unwrap();
    assert_eq!(given.lifetime, Some(Duration::ZERO), "it has ended already");
}

#[test]
fn the_output_of_a_plugin_is_read_as_client_go_reads_it() {
    let now = NOW.parse().unwrap();
    let json = |version: &str, status: &str| {
        format!(r#"{{"apiVersion":"{version}","kind":"ExecCredential","status":{status}}}"#)
    };
    let given = decode(
        json(V1, r#"{"token":"t","expirationTimestamp":"2030-01-01T01:00:00+00:30"}"#).as_bytes(),
        V1,
        now,
    );
    assert_eq!(given.unwrap().lifetime, Some(Duration::from_secs(1800)));
    // kubernetes/kubectl#1109
    let utc = json(V1, r#"{"token":"t","expirationTimestamp":"2030-01-01T02:12:54+00:00"}"#);
    assert_eq!(decode(utc.as_bytes(), V1, now).unwrap().lifetime, Some(Duration::from_secs(7974)));
    let yaml =
        format!("apiVersion: {V1}\nkind: ExecCredential\nstatus:\n  token: t\n  expirationTimestamp: null\n");
    assert_eq!(decode(yaml.as_bytes(), V1, now).unwrap().token.as_deref(), Some("t"));
    let both = json(V1, r#"{"token":"","clientCertificateData":"c","clientKeyData":"k"}"#);
    assert_eq!(decode(both.as_bytes(), V1, now).unwrap().certificate, Some((b"c".to_vec(), b"k".to_vec())));
    for (output, why) in [
        ("".to_owned(), "not an ExecCredential"),
        ("s3cret".into(), "not an ExecCredential"),
        (json(VERSIONS[1], r#"{"token":"t"}"#), "apiVersion"),
        (json(V1, "null"), "no status"),
        (json(V1, "{}"), "neither"),
        (json(V1, r#"{"token":""}"#), "neither"),
        (json(V1, r#"{"clientKeyData":"k"}"#), "without a certificate"),
        (json(V1, r#"{"token":"t","expirationTimestamp":"soon"}"#), "not a time"),
        (json(V1, r#"{"token":"t"}"#).replace("ExecCredential", "Secret"), "not an ExecCredential"),
    ] {
        let error = decode(output.as_bytes(), V1, now).err().unwrap();
        assert!(error.contains(why), "{output}: {error}");
    }
}

#[tokio::test]
async fn a_plugin_that_fails_is_reported_with_its_exit_code_but_not_its_output() {
    for (text, code) in [("echo s3cret >&2; echo s3cret; exit 3", 3), ("kill -9 $$", 137)] {
        let error = script(text).run().await.err().unwrap();
        assert_eq!(error, CredentialError::PluginFailed { plugin: "sh".into(), code });
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_plugin_that_never_ends_is_killed_with_all_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alive");
    // Its child writes on after the parent was killed, if it lives on.
    let text = format!("(while true; do date +%N >{}; sleep 0.05; done) & wait", file.display());
    let plugin = Plugin { deadline: Duration::from_millis(500), ..script(&text) };
    let started = Instant::now();
    let error = plugin.run().await.err().unwrap();
    assert_eq!(error, CredentialError::PluginLate { plugin: "sh".into(), deadline: plugin.deadline });
    assert!(error.to_string().contains("within 0.5 s") && error.to_string().contains("for input"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let last = fs::read(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(fs::read(&file).unwrap(), last, "something of it lives on");
}

#[tokio::test]
async fn it_has_no_terminal_and_no_input_and_is_told_so() {
    let asks = "if test -t 0 || test -t 2 || read line; then echo somebody; else echo nobody; fi";
    let reported = r#"echo "$KUBERNETES_EXEC_INFO" | tr -d '"{}'"#;
    let given = script(&printing(&format!(r#"{{"token":"$({asks}) $({reported})"}}"#))).run().await.unwrap();
    let want = "nobody apiVersion:client.authentication.k8s.io/v1,kind:ExecCredential,spec:interactive:false";
    assert_eq!(given.token.as_deref(), Some(want));
}

#[tokio::test]
async fn its_arguments_and_variables_are_those_of_the_kubeconfig() {
    let mut exec = exec(&format!(
        "{{apiVersion: {V1}, command: sh, interactiveMode: IfAvailable, env: [{{name: A, value: b c}}, {{name: B}}]}}"
    ));
    exec.args = Some(vec!["-c".into(), printing(r#"{"token":"$A $0 $1"}"#), "x y".into(), "z".into()]);
    let given = Plugin::read(&exec, &Cluster::default()).unwrap().run().await.unwrap();
    assert_eq!(given.token.as_deref(), Some("b c x y z"));
}

#[test]
fn the_cluster_is_described_as_client_go_describes_it() {
    let cluster: Cluster = serde_saphyr::from_str(
        "{server: 'https://a', certificate-authority-data: \"aGVs\\nbG8=\", proxy-url: 'http://p', tls-server-name: n, \
         extensions: [{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, extension: {a: b}}]}",
    )
    .unwrap();
    let reported: serde_json::Value = serde_json::from_str(&info(V1, Some(&cluster))).unwrap();
    let want = json!({"kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": false, "cluster": {
        "server": "https://a", "certificate-authority-data": "aGVsbG8=", "proxy-url": "http://p",
        "tls-server-name": "n", "config": {"a": "b"}}}});
    assert_eq!(reported, want);
}

#[test]
fn one_that_cannot_be_run_is_refused_with_the_fix() {
    for (yaml, want) in [
        ("{apiVersion: v1, command: sh}", "update it"),
        ("{command: sh}", "update it"),
        ("{apiVersion: client.authentication.k8s.io/v1alpha1, command: sh}", "update it"),
        ("{apiVersion: client.authentication.k8s.io/v1}", "has no command"),
        (
            "{apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Always}",
            "requires interaction",
        ),
        (
            "{apiVersion: client.authentication.k8s.io/v1, command: /no/such-plugin}",
            "such-plugin is not installed, or not in PATH",
        ),
        (
            "{apiVersion: client.authentication.k8s.io/v1beta1, command: no-such-plugin, installHint: \"try\\n\\u001b[31mthis\"}",
            "no-such-plugin is not installed, or not in PATH: try [31mthis",
        ),
    ] {
        let error = Plugin::read(&exec(yaml), &Cluster::default()).unwrap_err();
        assert!(error.contains(want) && !error.contains('\u{1b}'), "{yaml}: {error}");
    }
}

#[tokio::test]
async fn endless_output_is_not_read_to_its_end() {
    let plugin = Plugin { deadline: Duration::from_secs(20), ..script("yes s3cret") };
    assert!(matches!(plugin.run().await, Err(CredentialError::PluginFailed { .. })), "by a broken pipe");
}
