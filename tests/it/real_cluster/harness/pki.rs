//! A certificate authority for the tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// A certificate and its key, in files.
pub struct PairFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = named("control plane of the tests", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Returns a certificate for a server at these addresses and names, which clients can use too.
    pub fn issue(&self, name: &str, organisation: Option<&str>, addresses: &[String]) -> Pair {
        self.sign(name, organisation, addresses, KeyPair::generate().unwrap())
    }

    /// Returns a client certificate that expires soon.
    pub fn issue_for(&self, name: &str, life: Duration) -> Pair {
        let mut params = named(name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = (SystemTime::now() + life).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The same with an RSA key, for servers that take no other. ring signs with such a key and makes none.
    pub fn issue_rsa(&self, name: &str, addresses: &[String]) -> Pair {
        let made = Command::new("openssl").args(["genpkey", "-algorithm", "RSA", "-quiet"]).output();
        let made = made.expect("openssl");
        let key = String::from_utf8(made.stdout).expect("PEM");
        self.sign(name, None, addresses, KeyPair::from_pem(&key).expect("an RSA key"))
    }

    fn sign(&self, name: &str, organisation: Option<&str>, addresses: &[String], key: KeyPair) -> Pair {
        let mut params = named(name, organisation);
        params.subject_alt_names = CertificateParams::new(addresses).unwrap().subject_alt_names;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Pair {
    pub fn write(&self, dir: &Path, name: &str) -> PairFiles {
        let files =
            PairFiles { certificate: dir.join(format!("{name}.crt")), key: dir.join(format!("{name}.key")) };
        fs::write(&files.certificate, &self.certificate).unwrap();
        fs::write(&files.key, &self.key).unwrap();
        files
    }
}

/// Writes a key pair that service account tokens are signed with.
pub fn signing_key(dir: &Path) -> PairFiles {
    let key = KeyPair::generate().unwrap();
    let pair = Pair { certificate: key.public_key_pem(), key: key.serialize_pem() };
    pair.write(dir, "service-accounts")
}

fn named(name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    params
}
