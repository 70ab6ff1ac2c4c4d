use std::{fs, path::PathBuf};

use super::*;

/// A kubeconfig with one context, cluster and user.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "current-context: prod\ncontexts: [{{name: prod, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

fn proxies(variables: &[(&str, &str)]) -> ProxyRules {
    ProxyRules::read(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn target_with(cluster: &str, user: &str, variables: &[(&str, &str)]) -> Result<Target, String> {
    let place = KubeconfigLocation::Text(kubeconfig(cluster, user).as_str().into());
    of_kubeconfig(place, None, &proxies(variables)).map_err(|error| error.to_string())
}

fn target(cluster: &str, user: &str) -> Result<Target, String> {
    target_with(cluster, user, &[])
}

#[tokio::test]
async fn an_address_is_read_as_kubectl_reads_it() {
    let ca = "certificate-authority-data: ''";
    for (cluster, want) in [
        ("server: 'https://10.0.0.1:6443'", "https://10.0.0.1:6443/"),
        ("server: 'https://10.0.0.1:6443/'", "https://10.0.0.1:6443/"),
        (
            "server: 'https://rancher.example.org/k8s/clusters/c-m-abc'",
            "https://rancher.example.org/k8s/clusters/c-m-abc",
        ),
        ("server: 'https://[fd00::1]:6443'", "https://[fd00::1]:6443/"),
        ("server: 'https://api.example.org?x=y#z'", "https://api.example.org/"),
        ("server: 'https://user:s3cret@api.example.org'", "https://api.example.org/"),
        ("server: '10.0.0.1:6443', insecure-skip-tls-verify: true", "https://10.0.0.1:6443/"),
        ("server: 'api.example.org', insecure-skip-tls-verify: true", "https://api.example.org/"),
        ("server: 'localhost:8080'", "http://localhost:8080/"),
        ("server: 'http://localhost'", "http://localhost/"),
        ("server: 'http://[::1]/prefix'", "http://[::1]/prefix"),
        ("server: 'https://bücher.example'", "https://xn--bcher-kva.example/"),
    ] {
        assert_eq!(target(cluster, ca).unwrap().config.cluster_url.to_string(), want, "{cluster}");
    }
    for cluster in
        ["", "server: ''", "server: 'ftp://a'", "server: 'https://'", "server: 'a b'", "server: '/path'"]
    {
        let error = target(cluster, "").err().unwrap();
        assert!(
            error.starts_with("the server of the cluster c is missing or not an address"),
            "{cluster}: {error}"
        );
    }
}

#[tokio::test]
async fn the_proxy_is_the_clusters_own_or_the_environments() {
    let corporate = [("HTTPS_PROXY", "http://user:s3cret@proxy.corp:3128"), ("NO_PROXY", ".corp,10.0.0.0/8")];
    for (cluster, variables, want) in [
        ("server: 'https://api.example.org'", &corporate[..], Some("http://proxy.corp:3128")),
        ("server: 'https://api.corp'", &corporate, None),
        ("server: 'https://10.96.0.1'", &corporate, None),
        ("server: 'https://127.0.0.1:6443'", &corporate, None),
        ("server: 'https://api.example.org'", &[], None),
        // Its own counts whatever NO_PROXY says, and for this machine too.
        ("server: 'https://api.corp', proxy-url: 'socks5://p'", &corporate, Some("socks5h://p:1080")),
        (
            "server: 'https://127.0.0.1:6443', proxy-url: 'http://127.0.0.1:8118'",
            &[],
            Some("http://127.0.0.1:8118"),
        ),
        ("server: 'https://a', proxy-url: 'https://p'", &corporate, Some("https://p:443")),
        ("server: 'https://api.corp', proxy-url: ''", &corporate, None),
    ] {
        let target = target_with(cluster, "", variables).unwrap();
        assert_eq!(target.summary.proxy.as_deref(), want, "{cluster}");
        assert_eq!(target.proxy.map(|proxy| proxy.to_string()).as_deref(), want);
    }
    for proxy in ["p:3128", "ftp://s3cret@p", "socks4://p", "s3cret"] {
        let error = target(&format!("server: 'https://a', proxy-url: '{proxy}'"), "").err().unwrap();
        assert!(error.starts_with("the proxy-url of the cluster c is not an address"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn in_a_pod_the_environments_proxies_count_too() {
    let config = || Config::new("https://10.96.0.1/".parse().unwrap());
    let token = Path::new("/no/token");
    for (variables, want) in [
        (&[("HTTPS_PROXY", "proxy:3128")][..], Some("http://proxy:3128")),
        (&[("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", "10.96.0.0/12")], None),
        (&[], None),
    ] {
        let target = of_pod(config(), token, &proxies(variables)).unwrap();
        let want = Summary {
            context: "in-cluster".into(),
            address: "https://10.96.0.1".into(),
            proxy: want.map(str::to_owned),
            credentials: "service account token".into(),
        };
        assert_eq!(target.summary, want);
    }
}

#[tokio::test]
async fn a_summary_shows_no_secrets() {
    let target = target(
        "server: 'https://s3cret:s3cret@api.example.org/path?s3cret', proxy-url: 'http://s3cret:s3cret@p:1'",
        "token: s3cret",
    );
    let Target { summary, proxy, .. } = target.unwrap();
    let want = Summary {
        context: "prod".into(),
        address: "https://api.example.org/path".into(),
        proxy: Some("http://p:1".into()),
        credentials: "token".into(),
    };
    assert_eq!(summary, want);
    assert!(!format!("{proxy:?}").contains("s3cret"));
}

async fn sent(target: &Target) -> Option<String> {
    let credential = target.credentials.current().await.unwrap();
    credential.authorization.as_ref().map(|header| header.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn credentials_are_not_sent_in_clear_text_but_on_this_machine() {
    for (cluster, want) in [
        ("server: 'https://api.example.org'", Some("Bearer t")),
        ("server: 'http://api.example.org'", None),
        ("server: 'http://127.0.0.1:8001'", Some("Bearer t")),
        ("server: 'http://localhost', proxy-url: 'http://127.0.0.1:1'", Some("Bearer t")),
        ("server: 'http://127.0.0.1:8001', proxy-url: 'http://proxy:1'", None),
        ("server: 'https://127.0.0.1:8001', proxy-url: 'http://proxy:1'", Some("Bearer t")),
    ] {
        let target = target(cluster, "token: t").unwrap();
        assert_eq!(sent(&target).await.as_deref(), want, "{cluster}");
        let kind = if want.is_some() { "token" } else { "none, since its address is not https://" };
        assert_eq!(target.summary.credentials, kind, "{cluster}");
    }
    let changing = Changing::new("server: 'http://api.example.org'", "token: one");
    let target = changing.target();
    assert_eq!(sent(&target).await, None);
    changing.write(&kubeconfig("server: 'http://api.example.org'", "token: two"));
    assert_eq!(after_refusal(&target).await, None, "not after it was read again, either");
    assert_eq!(sent(&target).await, None);
}

#[tokio::test]
async fn authorities_are_data_before_files_and_must_be_pem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let authority = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert;
    fs::write(&path, authority.pem()).unwrap();
    let der = vec![authority.der().to_vec()];
    let broken = |text: &str| {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let text = BASE64_STANDARD.encode(text);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
        format!("server: 'https://a', certificate-authority-data: \"{}\\n\"", lines.join("\\n"))
    };
    let data = target(&broken(&authority.pem()), "").unwrap().config;
    assert_eq!((data.root_cert.as_ref(), &data.root_cert_file), (Some(&der), &None), "with line breaks");
    // nklmilojevic/sofka#635: YAML's own base64 of base64 that is broken into lines; kube-rs/kube#504: PEM without its last line's end.
    let twice = {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let once = BASE64_STANDARD.encode(authority.pem().trim_end());
        let lines: Vec<_> = once.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line)).collect();
        BASE64_STANDARD.encode(lines.join("\n"))
    };
    let binary = format!("server: 'https://a', certificate-authority-data: !!binary '{twice}'");
    assert_eq!(target(&binary, "").unwrap().config.root_cert.as_ref(), Some(&der), "YAML's binary");
    let file = format!("server: 'https://a', certificate-authority: '{}'", path.display());
    let file = target(&file, "").unwrap().config;
    assert_eq!(
        (file.root_cert.as_ref(), file.root_cert_file),
        (Some(&der), Some(path.clone())),
        "read again by kube"
    );
    for (cluster, want) in [
        ("certificate-authority-data: 'a!'".to_owned(), "is not base64"),
        ("certificate-authority-data: aGVsbG8=".into(), "has no certificates"),
        ("certificate-authority: /no/such.pem".into(), "/no/such.pem"),
    ] {
        let error = target(&format!("server: 'https://a', {cluster}"), "").err().unwrap();
        assert!(error.contains(want) && error.contains("the cluster c"), "{error}");
    }
}

/// A kubeconfig in a file that changes.
struct Changing {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Changing {
    fn new(cluster: &str, user: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let changing = Self { path: folder.path().join("config"), _folder: folder };
        changing.write(&kubeconfig(cluster, user));
        changing
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn target(&self) -> Target {
        of_kubeconfig(KubeconfigLocation::Files(vec![self.path.clone()]), None, &ProxyRules::default())
            .unwrap()
    }
}

/// What is sent once the credentials were refused.
async fn after_refusal(target: &Target) -> Option<String> {
    let current = target.credentials.current().await.unwrap();
    let other = target.credentials.replace(current.generation).await?;
    other.authorization.as_ref().map(|header| header.to_str().unwrap().to_owned())
}

const SERVER: &str = "server: 'https://10.0.0.1'";

#[tokio::test]
async fn a_token_that_was_replaced_in_the_kubeconfig_is_taken() {
    let changing = Changing::new(SERVER, "token: one");
    let target = changing.target();
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer one"));
    changing.write(&kubeconfig(SERVER, "token: two"));
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer one"), "what works is not doubted");
    assert_eq!(after_refusal(&target).await.as_deref(), Some("Bearer two"));
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer two"));
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_now_changes_nothing() {
    for now in ["users: [", "", "current-context: prod\ncontexts: []\n"] {
        let changing = Changing::new(SERVER, "token: one");
        let target = changing.target();
        assert_eq!(sent(&target).await.as_deref(), Some("Bearer one"));
        changing.write(now);
        assert_eq!(after_refusal(&target).await, None, "{now}");
        assert_eq!(target.credentials.explain_refusal(), None);
    }
}

#[tokio::test]
async fn another_clusters_token_is_never_sent_to_this_one() {
    let changing = Changing::new(SERVER, "token: one");
    let target = changing.target();
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer one"));
    changing.write(&kubeconfig("server: 'https://10.0.0.2'", "token: of-another"));
    assert_eq!(after_refusal(&target).await, None);
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer one"));
    assert_eq!(target.credentials.explain_refusal(), Some(CredentialError::Moved("prod".into())));
}

#[tokio::test]
async fn the_context_stays_what_it_was() {
    let two = |current: &str| {
        format!(
            "current-context: {current}\nclusters: [{{name: c, cluster: {{{SERVER}}}}}]\n\
             users: [{{name: a, user: {{token: a}}}}, {{name: b, user: {{token: b}}}}]\n\
             contexts: [{{name: a, context: {{cluster: c, user: a}}}}, {{name: b, context: {{cluster: c, user: b}}}}]\n"
        )
    };
    let changing = Changing::new(SERVER, "");
    changing.write(&two("a"));
    let target = changing.target();
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer a"));
    changing.write(&two("b"));
    assert_eq!(after_refusal(&target).await, None);
    assert_eq!(sent(&target).await.as_deref(), Some("Bearer a"));
}

#[tokio::test]
async fn an_id_token_that_has_ended_is_read_again_and_said() {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    let id_token = |exp: i64| {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        format!("auth-provider: {{name: oidc, config: {{id-token: a.{payload}.c, refresh-token: r}}}}")
    };
    let changing = Changing::new(SERVER, &id_token(1_000_000_000));
    let target = changing.target();
    let old = sent(&target).await;
    assert!(old.is_some(), "the server decides whether it has ended");
    assert_eq!(after_refusal(&target).await, None);
    assert_eq!(target.credentials.explain_refusal(), Some(CredentialError::IdTokenEnded));
    changing.write(&kubeconfig(SERVER, &id_token(4_000_000_000)));
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let new = after_refusal(&target).await;
    assert!(new.is_some() && new != old);
    assert_eq!(target.credentials.explain_refusal(), None);
}
