//! Signing in at a real OpenID Connect provider, which the API server knows too: both make the same user of a token.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use collector::{
    access::Reviewer,
    client,
    config::{CollectConfig, KubernetesConfig},
};
use reqwest::{Certificate, Client, Url, header, redirect::Policy};
use serde_json::json;
use wukong_core::access::UserInfo;

use super::harness::{
    access::Access,
    control_plane::ControlPlane,
    process::Process,
    program::{Program, Start},
    shared::alone,
    wait::within,
};

const PLANE: u8 = 6;
/// Where the provider is in the network of the control plane.
const PROVIDER: u8 = 30;
/// The API server reads the provider's keys when it starts, and tries again.
const SETTLED: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret of the tests";

/// Starts npm's oidc-provider at an address that the cluster's authority vouches for.
fn start_provider(plane: &ControlPlane, home: &str) -> (Process, String) {
    let issuer = format!("https://{}", plane.address(PROVIDER, 8443));
    let files = plane.certificate("provider", PROVIDER).write(plane.dir(), "provider");
    let mut command = Command::new("node");
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/end2end"))
        .args(["provider.mjs", &issuer, home])
        .args([files.certificate, files.key])
        .stdout(Stdio::piped());
    let mut process = Process::start(&mut command, "provider", plane.dir());
    let output = process.child().stdout.take().expect("it is piped");
    let line = BufReader::new(output).lines().next();
    assert!(line.is_some(), "{}", process.obituary());
    (process, issuer)
}

/// Lets the API server accept the provider's tokens, with the same claims and prefixes as the program.
async fn trust(plane: &ControlPlane, issuer: &str) {
    let authority = std::fs::read_to_string(plane.authority_file()).expect("the authority's certificate");
    let config = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {"url": issuer, "audiences": ["vms"], "certificateAuthority": authority},
            "claimMappings": {
                "username": {"claim": "email", "prefix": "sso:"},
                "groups": {"claim": "groups", "prefix": "sso/"},
            },
        }],
    });
    plane.stop_api_server();
    std::fs::write(plane.dir().join("authentication.yaml"), config.to_string()).expect("a file");
    plane.start_api_server();
    plane.ready().await;
}

/// Follows links and keeps cookies, as a browser does, across both sites.
struct Browser {
    client: Client,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new(authority: &Path) -> Self {
        let authority = Certificate::from_pem(&std::fs::read(authority).expect("a file")).expect("PEM");
        let client = Client::builder().redirect(Policy::none()).add_root_certificate(authority);
        let client = client.no_proxy().build().expect("a client");
        Self { client, cookies: BTreeMap::new() }
    }

    /// Returns the page that an address leads to in the end, and its address.
    async fn open(&mut self, url: Url, form: Option<&str>) -> (Url, String) {
        let (mut url, mut form) = (url, form.map(str::to_owned));
        for _ in 0..12 {
            let host = url.host_str().unwrap_or_default().to_owned();
            let own = self.cookies.iter().filter(|((of, _), _)| *of == host);
            let line: Vec<String> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
            let request = match form.take() {
                Some(form) => self
                    .client
                    .post(url.clone())
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .header("sec-fetch-site", "same-origin")
                    .body(form),
                None => self.client.get(url.clone()),
            };
            let answer = request.header(header::COOKIE, line.join("; ")).send().await.expect("an answer");
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                let pair = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a pair");
                let key = (host.clone(), name.to_owned());
                if value.is_empty() {
                    self.cookies.remove(&key)
                } else {
                    self.cookies.insert(key, value.into())
                };
            }
            let Some(location) = answer.headers().get(header::LOCATION) else {
                return (url, answer.text().await.expect("text"));
            };
            url = url.join(location.to_str().expect("text")).expect("an address");
        }
        panic!("{url} leads nowhere");
    }

    /// Signs in at the provider, whose page asks for a name.
    async fn sign_in(&mut self, program: &Program, login: &str) -> String {
        let start = Url::parse(&program.url).unwrap().join("/auth/oidc?next=%2F").unwrap();
        let (asks, page) = self.open(start, None).await;
        assert!(page.contains("name=\"login\""), "{asks}: {page}");
        let form = format!("prompt=login&login={login}&password=x");
        let (_, page) = self.open(asks, Some(&form)).await;
        page
    }
}

/// Returns what is between two texts.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let rest = page.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or("", |(text, _)| text)
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn claims_make_the_user_that_the_api_server_makes_of_the_token() {
    alone(async {
        let plane = ControlPlane::start(PLANE).await;
        plane.install_crds().await;
        let home = format!("http://127.0.0.1:{}", 18_461);
        let (_provider, issuer) = start_provider(&plane, &home);
        trust(&plane, &issuer).await;
        let access = Access::install(&plane, "oidc").await;
        let secret = plane.dir().join("client-secret");
        std::fs::write(&secret, SECRET).unwrap();
        let flag = |name: &str, value: &str| format!("--{name}={value}").into();
        let program = Start {
            name: "oidc".into(),
            kubeconfig: Some(access.kubeconfig.clone()),
            listen: "127.0.0.1:18461".into(),
            flags: vec![
                flag("sign-in", "oidc"),
                flag("public-url", &home),
                flag("oidc-issuer", &issuer),
                flag("oidc-client-id", "vms"),
                flag("oidc-client-secret-file", &secret.display().to_string()),
                flag("oidc-ca", &plane.authority_file().display().to_string()),
                flag("oidc-scopes", "profile,email,groups"),
                flag("oidc-username-claim", "email"),
                flag("oidc-username-prefix", "sso:"),
                flag("oidc-groups-prefix", "sso/"),
            ],
            ..Start::default()
        };
        let program = program.run(plane.dir());
        let mut browser = Browser::new(&plane.authority_file());
        let page = browser.sign_in(&program, "ana%2Bshop%2Bops").await;
        let name = between(between(&page, "data-user=", "</p>"), "<b>", "</b>").to_owned();
        let groups = between(between(&page, "data-user=", "</p>"), "<small>", "</small>").to_owned();
        let sign_out = Url::parse(&program.url).unwrap().join("/auth/sign-out").unwrap();
        let (_, page) = browser.open(sign_out, Some("")).await;
        let token = between(&page, "id_token_hint=", "\"");
        let user = review(&plane, token).await;
        let of_kubernetes: BTreeSet<&str> = user.groups.iter().map(String::as_str).collect();
        assert_eq!(name, user.name);
        assert_eq!(groups.split(", ").collect::<BTreeSet<_>>(), of_kubernetes);
        assert_eq!((name.as_str(), of_kubernetes.contains("sso/shop")), ("sso:ana@example.com", true));
        assert_eq!(user.uid, "", "neither has one");
    });
}

/// Returns whose token this is for the API server.
async fn review(plane: &ControlPlane, token: &str) -> UserInfo {
    let kubernetes = KubernetesConfig { kubeconfig: Some(plane.admin_kubeconfig()), ..Default::default() };
    let cluster =
        client::connect(&kubernetes, &CollectConfig::default()).await.expect("the admin's kubeconfig");
    let reviewer = Reviewer::new(&cluster, false);
    let known =
        within(SETTLED, async || reviewer.review_token(token).await.map_err(|error| format!("{error:?}")));
    known.await.unwrap_or_else(|why| panic!("{why}: {token}"))
}
