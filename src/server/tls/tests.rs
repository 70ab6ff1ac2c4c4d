//! Certificates that tests make, and what becomes of good, bad and replaced files.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use cookie::time::{Duration, OffsetDateTime};
use rcgen::CertificateParams;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tempfile::TempDir;
use tokio::io::duplex;

use super::*;
use crate::server::config::TlsFiles;
use collector::clock;

/// A certificate of its own authority, with its key.
pub struct PemPair {
    pub certificate: String,
    pub key: String,
}

impl PemPair {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// Makes a certificate that is valid for these names, and for a month.
pub fn pair_for_names(names: &[&str]) -> PemPair {
    make_pair(names, 0, 30 * 24 * 3600)
}

/// Makes a certificate for localhost and vms.example that ends in so many seconds.
pub fn pair_ending_in(seconds: i64) -> PemPair {
    make_pair(&["localhost", "vms.example"], seconds - 30 * 24 * 3600, seconds)
}

/// The certificate is valid from and until so many seconds from now.
fn make_pair(names: &[&str], from: i64, until: i64) -> PemPair {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).unwrap();
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now + Duration::seconds(from), now + Duration::seconds(until));
    let key = rcgen::KeyPair::generate().unwrap();
    PemPair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// Both files in a folder of their own.
pub struct Files {
    pub paths: TlsFiles,
    folder: TempDir,
}

impl Files {
    pub fn of(pair: &PemPair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = TlsFiles {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
            client_ca: None,
        };
        let files = Self { paths, folder };
        files.write(pair);
        files
    }

    pub fn write(&self, pair: &PemPair) {
        fs::write(&self.paths.certificate, &pair.certificate).unwrap();
        fs::write(&self.paths.key, &pair.key).unwrap();
    }

    pub fn pair(&self) -> KeyPair {
        KeyPair::read(&self.paths).unwrap()
    }

    fn refusal(&self) -> String {
        KeyPair::read(&self.paths).expect_err("a refusal").to_string()
    }
}

/// Files as Kubernetes mounts them: links into a folder, which is a link that moves.
fn mounted(pair: &PemPair) -> Files {
    let files = Files::of(pair);
    for path in [&files.paths.certificate, &files.paths.key] {
        fs::remove_file(path).unwrap();
        symlink(Path::new("..data").join(path.file_name().unwrap()), path).unwrap();
    }
    remount(&files, "first", pair);
    files
}

fn remount(files: &Files, version: &str, pair: &PemPair) {
    let (folder, data) = (files.folder.path().join(version), files.folder.path().join("..data"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
    fs::write(folder.join("tls.key"), &pair.key).unwrap();
    let fresh = files.folder.path().join("..data_tmp");
    symlink(version, &fresh).unwrap();
    fs::rename(fresh, data).unwrap();
}

/// Returns whether new connections get this certificate. The client is that of `healthcheck`.
async fn shows(tls: &ServerTls, pair: &PemPair) -> bool {
    let pinned = Files::of(pair);
    let (near, far) = duplex(64 << 10);
    let connector = connector(&pinned.paths.certificate).unwrap();
    let name = ServerName::try_from("any.example").unwrap();
    let (_server, client) = tokio::join!(tls.acceptor().accept(near), connector.connect(name, far));
    client.is_ok()
}

async fn serving(files: &Files) -> Arc<ServerTls> {
    ServerTls::read(files.paths.clone(), clock::now).await.unwrap()
}

#[test]
fn the_dates_and_names_of_a_certificate_are_read() {
    let now = jiff::Timestamp::now();
    let pair = Files::of(&make_pair(&["vms.example", "*.apps.example", "192.0.2.7"], -3600, 7200)).pair();
    let close =
        |time: jiff::Timestamp, seconds: i64| (time.duration_since(now).as_secs() - seconds).abs() <= 2;
    assert!(close(pair.validity.from, -3600) && close(pair.validity.until, 7200), "{:?}", pair.validity);
    for (host, want) in [
        ("vms.example", true),
        ("VMS.example", true),
        ("x.apps.example", true),
        ("x.y.apps.example", false),
        ("192.0.2.7", true),
        ("[2001:db8::1]", false),
        ("example", false),
        ("", false),
    ] {
        assert_eq!(pair.names(host), want, "{host}");
    }
}

#[test]
fn a_pair_that_cannot_be_used_says_why_and_shows_no_key() {
    let (good, other) = (pair_ending_in(3600), pair_ending_in(3600));
    let encrypted = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let half = good.key[..good.key.len() / 2].to_owned();
    for (certificate, key, want) in [
        (good.certificate.as_str(), other.key.as_str(), "does not belong to the first certificate in"),
        ("", &good.key, "tls.crt holds no certificate in PEM"),
        (&good.key, &good.key, "tls.crt holds no certificate in PEM"),
        (&good.certificate, "", "tls.key holds no private key in PEM"),
        (&good.certificate, &good.certificate, "tls.key holds no private key in PEM"),
        (&good.certificate, &encrypted, "tls.key is encrypted"),
        (&good.certificate, &half, "tls.key holds no private key in PEM"),
        (&"x".repeat(2 << 20), &good.key, "tls.crt is larger than 1048576 bytes"),
        (&[other.certificate.as_str(), &good.certificate].concat(), &good.key, "does not belong"),
    ] {
        let files = Files::of(&good);
        files.write(&PemPair { certificate: certificate.to_owned(), key: key.to_owned() });
        let refusal = files.refusal();
        assert!(refusal.contains(want), "{want}: {refusal}");
        let secret = good.key.lines().nth(1).unwrap();
        assert!(!refusal.contains(secret), "{refusal}");
    }
    let files = Files::of(&good);
    fs::remove_file(&files.paths.key).unwrap();
    assert!(files.refusal().starts_with("cannot read "), "{}", files.refusal());
}

#[test]
fn a_chain_and_a_file_with_both_are_fine() {
    let (good, issuer) = (pair_ending_in(3600), pair_ending_in(3600));
    let both = [good.certificate.as_str(), &good.key, &issuer.certificate].concat();
    let files = Files::of(&PemPair { certificate: both.clone(), key: both });
    files.pair();
}

#[tokio::test]
async fn a_pair_that_is_not_valid_now_is_used_at_the_start() {
    for pair in [pair_ending_in(-60), make_pair(&["localhost"], 600, 1200)] {
        assert!(shows(&*serving(&Files::of(&pair)).await, &pair).await);
    }
}

#[tokio::test]
async fn only_the_certificate_in_the_file_is_trusted_by_the_health_check() {
    let (pair, other) = (pair_ending_in(3600), pair_ending_in(3600));
    let tls = serving(&Files::of(&pair)).await;
    assert!(shows(&tls, &pair).await && !shows(&tls, &other).await);
}

#[tokio::test]
async fn a_new_pair_replaces_the_old_one_and_one_that_cannot_be_used_does_not() {
    let (old, new) = (pair_ending_in(3600), pair_ending_in(7200));
    let files = Files::of(&old);
    let tls = serving(&files).await;
    let bad = |certificate: &PemPair, key: &PemPair| PemPair {
        certificate: certificate.certificate.clone(),
        key: key.key.clone(),
    };
    let expired = pair_ending_in(-1);
    for unusable in [
        bad(&new, &old),
        bad(&old, &new),
        PemPair { certificate: String::new(), key: new.key.clone() },
        bad(&expired, &expired),
        make_pair(&["localhost"], 3600, 7200),
    ] {
        files.write(&unusable);
        tls.reload();
        assert!(shows(&tls, &old).await);
    }
    fs::remove_file(&files.paths.certificate).unwrap();
    tls.reload();
    assert!(shows(&tls, &old).await);
    files.write(&new);
    tls.reload();
    assert!(shows(&tls, &new).await && !shows(&tls, &old).await);
}

#[tokio::test]
async fn a_link_that_moves_is_followed() {
    let (old, new) = (pair_ending_in(3600), pair_ending_in(7200));
    let files = mounted(&old);
    let tls = serving(&files).await;
    tls.reload();
    assert!(shows(&tls, &old).await);
    remount(&files, "second", &new);
    tls.reload();
    assert!(shows(&tls, &new).await);
}

#[tokio::test(start_paused = true)]
async fn new_files_are_used_within_ten_seconds() {
    let (old, new) = (pair_ending_in(3600), pair_ending_in(7200));
    let files = Files::of(&old);
    let tls = serving(&files).await;
    let shutdown = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn(tls.clone().follow(shutdown.clone()));
    files.write(&new);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert!(shows(&tls, &new).await);
    shutdown.cancel();
    following.await.unwrap();
}

/// A look may see the new certificate beside the old key.
#[tokio::test]
async fn a_refusal_is_logged_once_and_not_at_the_first_check() {
    let (old, new) = (pair_ending_in(3600), pair_ending_in(7200));
    let files = Files::of(&old);
    let tls = serving(&files).await;
    fs::write(&files.paths.certificate, &new.certificate).unwrap();
    tls.reload();
    assert_eq!(tls.logged_refusal(), None);
    tls.reload();
    let logged = tls.logged_refusal().expect("it is logged");
    assert!(logged.contains("does not belong"), "{logged}");
    tls.reload();
    assert_eq!(tls.logged_refusal(), Some(logged));
    fs::write(&files.paths.key, &new.key).unwrap();
    tls.reload();
    assert!(tls.logged_refusal().is_none() && shows(&tls, &new).await);
}

#[test]
fn the_end_of_a_certificate_comes_in_stages() {
    let pair = Files::of(&make_pair(&["localhost"], -60, 8 * 24 * 3600)).pair();
    let Validity { from, until } = pair.validity;
    let second = jiff::SignedDuration::from_secs(1);
    for (now, want) in [
        (from - second, Stage::NotYet),
        (from, Stage::Valid),
        (until - ENDS_SOON, Stage::Valid),
        (until - ENDS_SOON + second, Stage::EndsSoon),
        (until, Stage::EndsSoon),
        (until + second, Stage::Ended),
    ] {
        assert_eq!(Stage::at(now, &pair.validity), want, "{now}");
    }
}
