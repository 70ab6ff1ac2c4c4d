//! A proxy that proves itself by a client certificate, over real sockets.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::server::{
    config::TlsFiles,
    http::{
        ConnectionConfig, listen,
        tests::{fixture::eventually, log::Lines},
    },
    tls::{
        ServerTls,
        tests::{PemPair, pair_ending_in},
    },
};
use collector::clock;

/// An authority of client certificates.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str) -> PemPair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        PemPair { certificate, key: key.serialize_pem() }
    }
}

struct Listening {
    address: SocketAddr,
    own: PemPair,
    ca_file: PathBuf,
    tls: Arc<ServerTls>,
    shutdown: CancellationToken,
    _gated: SignInServer,
    _folder: TempDir,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn listening(authority: &Authority) -> Listening {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, ca_file] = ["tls.crt", "tls.key", "ca.crt"].map(|name| folder.path().join(name));
    let own = pair_ending_in(3600);
    for (path, text) in
        [(&certificate, &own.certificate), (&key, &own.key), (&ca_file, &authority.certificate)]
    {
        fs::write(path, text).unwrap();
    }
    let files = TlsFiles { certificate, key, client_ca: Some(ca_file.clone()) };
    let tls = ServerTls::read(files, clock::now).await.unwrap();
    let gated = serve(by_certificate(ClaimMappings::default()), &[SignInMode::Proxy]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let name = Some(ServerName::try_from(NAME).unwrap());
    let config = ConnectionConfig { tls: Some(tls.clone()), proxy_name: name, ..ConnectionConfig::default() };
    tokio::spawn(listen(listener, gated.server.router.clone(), config, shutdown.clone()));
    Listening { address, own, ca_file, tls, shutdown, _gated: gated, _folder: folder }
}

impl Listening {
    /// Sends one request, and returns the whole answer. Fails if the server ends the handshake.
    async fn get(&self, shown: Option<&PemPair>, path: &str, headers: &str) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.der()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: vms.example\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

const ANA: &str = "X-Forwarded-User: ana\r\nX-Forwarded-Groups: ops,board\r\n";

#[tokio::test]
async fn only_the_proxy_names_users() {
    let authority = Authority::new();
    let server = listening(&authority).await;
    let proxy = authority.issue(NAME);
    let list = server.get(Some(&proxy), "/api/vms", ANA).await.unwrap();
    assert!(list.starts_with("HTTP/1.1 200"), "{list}");
    assert!(list.contains("web") && list.contains("vault"), "of Ana and of her group: {list}");
    let alone = server.get(Some(&proxy), "/api/vms", "x-forwarded-user: ana\r\n").await.unwrap();
    assert!(alone.contains("web") && !alone.contains("vault"), "{alone}");
    let other = authority.issue("other.example");
    let lines = Lines::default();
    let log = lines.record();
    for shown in [None, Some(&other)] {
        let list = server.get(shown, "/api/vms", ANA).await.unwrap();
        assert!(list.starts_with("HTTP/1.1 401") && !list.contains("web"), "{list}");
        let page = server.get(shown, "/auth/sign-in", ANA).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 403") && page.contains(NAME), "{page}");
        assert!(page.contains("--proxy-client-name") && !page.contains("X-Forwarded-User"), "{page}");
        let alive = server.get(shown, "/healthz", "").await.unwrap();
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    }
    drop(log);
    let said = lines.messages("a client certificate does not have the name of --proxy-client-name");
    assert_eq!(said.len(), 1, "{said:?}");
    let nobody = server.get(Some(&proxy), "/api/vms", "").await.unwrap();
    assert!(nobody.starts_with("HTTP/1.1 401"), "the proxy itself is nobody: {nobody}");
    assert!(nobody.contains("X-Forwarded-User") && !nobody.contains(NAME), "{nobody}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_ends_the_connection() {
    let authority = Authority::new();
    let server = listening(&authority).await;
    let stranger = Authority::new();
    let lines = Lines::default();
    let log = lines.record();
    for _ in 0..2 {
        server.get(Some(&stranger.issue(NAME)), "/healthz", ANA).await.expect_err("the handshake fails");
    }
    eventually("a line in the log", async || !lines.messages("a client certificate was refused").is_empty())
        .await;
    drop(log);
    let said = lines.messages("a client certificate was refused");
    assert_eq!(said.len(), 1, "a flood fills no log: {said:?}");
    assert!(said[0]["message"].as_str().unwrap().contains("--proxy-client-ca"), "{said:?}");
    fs::write(&server.ca_file, &stranger.certificate).unwrap();
    let tls = server.tls.clone();
    tokio::task::spawn_blocking(move || tls.reload()).await.unwrap();
    let list = server.get(Some(&stranger.issue(NAME)), "/api/vms", ANA).await.unwrap();
    assert!(list.starts_with("HTTP/1.1 200"), "the new authority is taken over: {list}");
    server.get(Some(&authority.issue(NAME)), "/healthz", ANA).await.expect_err("the old one is not");
}

#[tokio::test]
async fn names_of_the_proxy_are_checked_like_claims() {
    let gated =
        on_connections_of_the_proxy(serve(by_certificate(ClaimMappings::default()), &[SignInMode::Proxy]));
    let get =
        async |headers: &[(&str, &str)]| gated.server.send("GET".parse().unwrap(), "/api/vms", headers).await;
    assert_eq!(get(&[("x-forwarded-user", "ana")]).await.status, 200);
    for headers in [
        &[("x-forwarded-user", "ana"), ("x-forwarded-user", "root")][..],
        &[("x-forwarded-user", "ana,root")],
        &[("x-forwarded-user", "ana"), ("x_forwarded_user", "root")],
        &[("x-forwarded-user", "ana"), ("x-forwarded-groups", "a"), ("x-forwarded-groups", "b")],
        &[("x-forwarded-user", "ana"), ("x-forwarded_groups", "board")],
    ] {
        assert_eq!(get(headers).await.status, 400, "{headers:?}");
    }
    let bare = ClaimMappings {
        username_prefix: String::new(),
        groups_prefix: String::new(),
        ..ClaimMappings::default()
    };
    let gated = on_connections_of_the_proxy(serve(by_certificate(bare), &[SignInMode::Proxy]));
    for headers in [
        &[("x-forwarded-user", "system:admin")][..],
        &[("x-forwarded-user", "ana"), ("x-forwarded-groups", "ops, system:masters")],
    ] {
        let answer = gated.server.send("GET".parse().unwrap(), "/api/vms", headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(text(&answer).contains("--proxy-username-prefix"), "{}", text(&answer));
    }
}

#[tokio::test]
async fn one_who_signed_out_comes_back_through_the_proxy() {
    let proxy = by_certificate(ClaimMappings::default());
    let gated = on_connections_of_the_proxy(serve(proxy, &[SignInMode::Proxy]));
    let ana = ("x-forwarded-user", "ana");
    let form = [ana, ("sec-fetch-site", "same-origin")];
    let page = gated.server.send("POST".parse().unwrap(), "/auth/sign-out", &form).await;
    assert!(text(&page).contains("/oauth2/sign_out"), "{}", text(&page));
    let list = gated.server.send("GET".parse().unwrap(), "/api/vms", &[ana]).await;
    assert_eq!(list.status, 200, "the proxy proves who it is again");
}
