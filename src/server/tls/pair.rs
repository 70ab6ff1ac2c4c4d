//! A certificate and its private key, read from PEM files.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{
    CertificateError, Error, RootCertStore, ServerConfig,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, ring},
    server::{NoClientAuth, ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::server::config::TlsFiles;

/// Most bytes of one file. A chain of four certificates has about 8 kB.
const LARGEST: u64 = 1 << 20;

/// Why a pair of files cannot be used. No error holds a key.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is larger than {LARGEST} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM", .0.display())]
    NoKey(PathBuf),
    #[error("the private key in {} is encrypted; `openssl pkey` decrypts it", .0.display())]
    EncryptedKey(PathBuf),
    #[error(
        "the private key in {} cannot be used: it must be RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519",
        .0.display()
    )]
    UnsupportedKey(PathBuf),
    #[error("the first certificate in {} cannot be used: {error}", path.display())]
    UnsupportedCertificate { path: PathBuf, error: Error },
    #[error("{} holds no certificate of an authority that can be used", .0.display())]
    NoClientCa(PathBuf),
    #[error(
        "the private key in {} does not belong to the first certificate in {}",
        .0.key.display(), .0.certificate.display()
    )]
    Mismatch(TlsFiles),
}

impl PairError {
    /// Returns the flags of the files that cannot be used.
    pub fn flags(&self, files: &TlsFiles) -> &'static str {
        let is_of_clients = match self {
            Self::NoClientCa(_) => true,
            Self::Unreadable { path, .. } | Self::TooLarge(path) => files.client_ca.as_ref() == Some(path),
            _ => false,
        };
        if is_of_clients { "--proxy-client-ca" } else { "--tls-cert and --tls-key" }
    }
}

/// The bytes of all files.
pub struct PemFiles {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl PemFiles {
    /// Reads the files. Blocks.
    pub fn read(files: &TlsFiles) -> Result<Self, PairError> {
        let client_ca = files.client_ca.as_deref().map(read).transpose()?;
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)?, client_ca })
    }

    /// Returns a hash by which contents are compared, so that no second copy of a key is kept.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.certificate, &self.key, self.client_ca.as_ref().unwrap_or(&Vec::new())] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    let unreadable = |error| PairError::Unreadable { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(PairError::TooLarge(path.to_owned())),
        false => Ok(bytes),
    }
}

/// Returns the certificates of a PEM file, that of the server first. Blocks.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PairError> {
    parse_certificates(&read(path)?).ok_or_else(|| PairError::NoCertificate(path.to_owned()))
}

fn parse_certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}

/// When a certificate is valid: from the first time to the second, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Validity {
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }

    /// Reads the dates of a certificate. rustls has no function for that, but its error says them: a time after all
    /// others is beyond the end, and a time before all others is before the beginning. webpki checks the dates first.
    fn of(certificate: &ParsedCertificate<'_>) -> Result<Self, Error> {
        let at = |seconds| {
            let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
            let algorithms = ring::default_provider().signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                certificate,
                &RootCertStore::empty(),
                &[],
                time,
                algorithms,
            )
        };
        let until = match at(u64::MAX) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => not_after,
            Err(error) => return Err(error),
            Ok(()) => return Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        };
        let from = match at(0) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                not_before
            }
            _ => UnixTime::since_unix_epoch(std::time::Duration::ZERO),
        };
        Ok(Self { from: timestamp(from), until: timestamp(until) })
    }
}

/// Converts a time of a certificate, which ends with the year 9999, as jiff's do.
fn timestamp(time: UnixTime) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).ok();
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

/// A certificate with its chain, and the private key that belongs to it.
#[derive(Debug)]
pub struct KeyPair {
    certified: Arc<CertifiedKey>,
    pub validity: Validity,
    /// The authorities whose certificates clients may show.
    clients: Option<Arc<RootCertStore>>,
}

impl KeyPair {
    /// Reads a pair from its files. Blocks.
    pub fn read(files: &TlsFiles) -> Result<Self, PairError> {
        Self::parse(&PemFiles::read(files)?, files)
    }

    /// Fails unless the certificate and the key belong together. Whether the certificate is valid now is another
    /// question. `files` are named in errors.
    pub fn parse(pem: &PemFiles, files: &TlsFiles) -> Result<Self, PairError> {
        let path = files.certificate.clone();
        let chain = parse_certificates(&pem.certificate).ok_or(PairError::NoCertificate(path))?;
        let certified = CertifiedKey::new(chain, signing_key(&pem.key, &files.key)?);
        match certified.keys_match() {
            Ok(()) => {}
            Err(Error::InconsistentKeys(_)) => return Err(PairError::Mismatch(files.clone())),
            Err(error) => return Err(unsupported(files, error)),
        }
        let own = certified.end_entity_cert().and_then(ParsedCertificate::try_from);
        let validity = own.and_then(|own| Validity::of(&own)).map_err(|error| unsupported(files, error))?;
        let clients = match (&pem.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => Some(authorities(pem, path)?),
            _ => None,
        };
        Ok(Self { certified: Arc::new(certified), validity, clients })
    }

    /// Returns whether browsers accept the certificate for this host, a name or an address.
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let own = self.certified.end_entity_cert().and_then(ParsedCertificate::try_from);
        let name = ServerName::try_from(host);
        matches!((own, name), (Ok(own), Ok(name)) if verify_server_name(&own, &name).is_ok())
    }

    /// Returns the settings of connections that show this certificate. Sessions are resumed only within these
    /// settings: those of a key that was replaced end with it.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = builder.with_client_cert_verifier(self.client_verifier(provider)?);
        let shown = SingleCertAndKey::from(self.certified.clone());
        let mut config = builder.with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// A client may show a certificate, and need not: browsers and probes have none.
    fn client_verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let Some(roots) = &self.clients else { return Ok(Arc::new(NoClientAuth)) };
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider);
        verifier.allow_unauthenticated().build().map_err(|error| Error::General(error.to_string()))
    }
}

/// Fails if a file of `--proxy-client-ca` cannot be used. Blocks.
pub fn check_client_ca(path: &Path) -> Result<(), PairError> {
    authorities(&read(path)?, path).map(drop)
}

/// Returns the authorities of a PEM file.
fn authorities(pem: &[u8], path: &Path) -> Result<Arc<RootCertStore>, PairError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(parse_certificates(pem).unwrap_or_default());
    if roots.is_empty() { Err(PairError::NoClientCa(path.to_owned())) } else { Ok(Arc::new(roots)) }
}

fn unsupported(files: &TlsFiles, error: Error) -> PairError {
    PairError::UnsupportedCertificate { path: files.certificate.clone(), error }
}

fn signing_key(pem: &[u8], path: &Path) -> Result<Arc<dyn rustls::sign::SigningKey>, PairError> {
    let is_encrypted = String::from_utf8_lossy(pem).contains("ENCRYPTED");
    let refuse = if is_encrypted { PairError::EncryptedKey } else { PairError::NoKey };
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| refuse(path.to_owned()))?;
    let key = ring::default_provider().key_provider.load_private_key(key);
    key.map_err(|_| match is_encrypted {
        // A key of PKCS#1 or SEC 1 whose header says so.
        true => PairError::EncryptedKey(path.to_owned()),
        false => PairError::UnsupportedKey(path.to_owned()),
    })
}
