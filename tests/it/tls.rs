//! The program with `--tls-cert` and `--tls-key`: start, health check, new files, and the end.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use cookie::time::{Duration, OffsetDateTime};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tempfile::TempDir;

use super::{
    program::{DRAIN, Log, Running, get, output, program},
    wait::eventually,
};

struct PemPair {
    certificate: String,
    key: String,
}

/// Makes a certificate for localhost that ends in so many hours.
fn make_pair(hours: i64) -> PemPair {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::hours(1000), now + Duration::hours(hours));
    let key = rcgen::KeyPair::generate().unwrap();
    PemPair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// The two files, in a folder of their own.
struct Files {
    folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(pair: &PemPair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let files = Self { folder, certificate, key };
        files.write(pair);
        files
    }

    fn write(&self, pair: &PemPair) {
        fs::write(&self.certificate, &pair.certificate).unwrap();
        fs::write(&self.key, &pair.key).unwrap();
        fs::set_permissions(&self.key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn flags(&self) -> [String; 2] {
        [format!("--tls-cert={}", self.certificate.display()), format!("--tls-key={}", self.key.display())]
    }

    fn demo(&self, vms: usize) -> Command {
        let mut command =
            program(&["demo", "--nodes=1", "--listen=127.0.0.1:0", "--allowed-hosts=vms.example"]);
        command.arg(format!("--vms={vms}")).args(self.flags());
        command
    }

    /// Asks the program at this address with the client for containers.
    fn healthcheck(&self, address: SocketAddr) -> (i32, String) {
        let mut command = program(&["healthcheck"]);
        let (code, _, stderr) = output(command.arg(format!("--listen={address}")).args(self.flags()));
        (code, stderr)
    }
}

/// Connects as a client that trusts this certificate alone.
fn connect(address: SocketAddr, trusted: &PemPair) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.certificate.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(address)?);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

fn send(stream: &mut impl Write, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: vms.example\r\nconnection: close\r\n\r\n").unwrap();
}

/// Reads to the end, which must be a proper end of TLS and not one that an attacker could make.
fn read_to_end(mut stream: impl Read) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a proper end");
    answer
}

fn get_over_tls(address: SocketAddr, trusted: &PemPair, path: &str) -> io::Result<String> {
    let mut stream = connect(address, trusted)?;
    send(&mut stream, path);
    Ok(read_to_end(stream))
}

fn terminate(running: &Running) {
    Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
}

#[test]
fn it_serves_https_and_the_health_check_follows() {
    let (pair, other) = (make_pair(100), make_pair(100));
    let (files, others) = (Files::of(&pair), Files::of(&other));
    let (mut running, address) = Running::start_with("https", &mut files.demo(3));
    let answer = get_over_tls(address, &pair, "/api/vms").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    assert!(get_over_tls(address, &other, "/api/vms").is_err(), "a client verifies the certificate");
    let plain = get(address, "/");
    assert!(
        plain.starts_with("HTTP/1.1 400 ") && plain.ends_with("Write https:// in front of the address.\n"),
        "{plain}"
    );

    assert_eq!(files.healthcheck(address), (0, String::new()));
    let by_environment = [
        ("WUKONG_LISTEN", address.to_string()),
        ("WUKONG_TLS_CERT", files.certificate.display().to_string()),
        ("WUKONG_TLS_KEY", files.key.display().to_string()),
    ];
    assert_eq!(output(program(&["healthcheck"]).envs(by_environment)).0, 0);
    assert_eq!(others.healthcheck(address).0, 1, "another certificate");
    assert_eq!(output(&mut program(&["healthcheck", &format!("--listen={address}")])).0, 1, "without TLS");
    fs::remove_file(&others.certificate).unwrap();
    let (code, stderr) = others.healthcheck(address);
    assert!(code == 1 && stderr.contains("cannot read "), "{stderr}");
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(files.healthcheck(address).0, 1, "it is gone");
}

#[test]
fn a_new_pair_is_used_without_a_restart_and_a_bad_one_is_logged_once() {
    let (old, new) = (make_pair(100), make_pair(200));
    let files = Files::of(&old);
    let log = Log::new();
    let (_running, address) = Running::start_with("https", files.demo(3).stderr(log.writer()));
    let mut kept = connect(address, &old).unwrap();
    fs::write(&files.certificate, &new.certificate).unwrap();
    let refusal = "does not belong to the first certificate";
    eventually(|| if log.read().contains(refusal) { Ok(()) } else { Err(log.read()) });
    get_over_tls(address, &old, "/healthz").expect("the old pair stays in use");
    files.write(&new);
    eventually(|| get_over_tls(address, &new, "/healthz").map(drop).map_err(|error| error.to_string()));
    assert!(
        get_over_tls(address, &old, "/healthz").is_err(),
        "new connections get the new certificate alone"
    );
    assert_eq!(files.healthcheck(address), (0, String::new()));
    send(&mut kept, "/healthz");
    assert!(read_to_end(kept).contains("200 OK"), "a connection of before stays");
    let log = log.read();
    assert_eq!(log.matches(refusal).count(), 1, "{log}");
    assert!(log.contains("new connections get the new certificate"), "{log}");
    assert!(!log.contains("PRIVATE KEY") && !log.contains(old.key.lines().nth(1).unwrap()), "{log}");
}

#[test]
fn a_signal_lets_an_answer_over_tls_finish() {
    let pair = make_pair(100);
    let (mut running, address) = Running::start_with("https", &mut Files::of(&pair).demo(1000));
    eventually(|| match get_over_tls(address, &pair, "/readyz").unwrap() {
        ready if ready.contains("200 OK") => Ok(()),
        other => Err(other),
    });
    let mut idle = connect(address, &pair).unwrap();
    let mut busy = connect(address, &pair).unwrap();
    send(&mut busy, "/api/vms");
    let mut head = [0; 15];
    busy.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let begun = Instant::now();
    terminate(&running);
    // The listener is closed: the end has begun.
    eventually(|| if TcpStream::connect(address).is_err() { Ok(()) } else { Err("it listens".to_owned()) });
    let answer = read_to_end(busy);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len(), length.parse::<usize>().unwrap());
    assert!(body.len() > 500_000, "{}", body.len());
    let mut nothing = Vec::new();
    idle.read_to_end(&mut nothing).expect("a proper end");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < DRAIN, "{:?}", begun.elapsed());
}

#[test]
fn a_pair_that_cannot_be_used_is_a_failure_and_an_expired_one_a_warning() {
    let good = make_pair(100);
    let bad = Files::of(&PemPair { certificate: good.certificate.clone(), key: make_pair(100).key });
    let (code, stdout, stderr) = output(&mut bad.demo(3));
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("--tls-cert and --tls-key cannot be used: the private key in"), "{stderr}");

    let expired = Files::of(&make_pair(-1));
    fs::set_permissions(&expired.key, fs::Permissions::from_mode(0o644)).unwrap();
    let log = Log::new();
    let (_running, address) = Running::start_with("https", expired.demo(3).stderr(log.writer()));
    assert_eq!(expired.healthcheck(address), (0, String::new()), "it is alive");
    let log = log.read();
    assert!(log.contains("ERROR") && log.contains("has expired: browsers and programs refuse it"), "{log}");
    assert!(log.contains("every user of this machine may read the key"), "{log}");
    drop(expired.folder);
}

#[test]
fn one_file_without_the_other_is_wrong_usage() {
    for command in [&[][..], &["demo"], &["check"], &["healthcheck"]] {
        for (flag, other) in [
            ("--tls-cert", "--tls-key <FILE> (WUKONG_TLS_KEY)"),
            ("--tls-key", "--tls-cert <FILE> (WUKONG_TLS_CERT)"),
        ] {
            let line = [command, &[flag, "/x"]].concat();
            let (code, _, stderr) = output(&mut program(&line));
            assert!(code == 2 && stderr.contains(other), "{line:?}: {stderr}");
        }
        let variable = output(program(command).env("WUKONG_TLS_CERT", "/x"));
        assert_eq!(variable.0, 2, "{command:?}: {}", variable.2);
        assert!(!Path::new("/x").exists());
    }
}
