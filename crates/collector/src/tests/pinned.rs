//! Which certificates in the file of `--ceph-ca` or `--prometheus-ca` are trusted.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;

use super::{tls::Secure, *};
use crate::{
    budget::Budget,
    config::ProxyRules,
    outside::{Site, SiteLimits},
};
use i18n::Render;
use i18n::key;

/// `None` if the peer is trusted, else the error message.
async fn refusal(secure: &Secure) -> Option<String> {
    let limits = SiteLimits { deadline: Duration::from_secs(5), limit: 1000, budget: Budget::new(&[]) };
    let url = secure.server.url.parse().unwrap();
    let mut site = Site::new("Ceph", url, Some(secure.ca()), limits).through(&ProxyRules::default());
    let session = site.open().await.unwrap();
    let request = http::Request::get(session.url(&[]).as_str()).body(Vec::new()).unwrap();
    let reply = session.send(request).await;
    reply.err().map(|failure| site.describe(key!(collect.user_and_password), &failure).detail.english())
}

fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn authority(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn dated(mut params: CertificateParams, from: i32, to: i32) -> CertificateParams {
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
    params
}

const WRONG_NAME: &str =
    "is not for its address. To trust exactly this certificate, give its file with --ceph-ca";

#[tokio::test]
async fn a_certificate_in_the_file_identifies_its_peer() {
    for (what, params, want) in [
        ("no names, as Ceph makes it", names(&[]), None),
        ("of this name", names(&["127.0.0.1"]), None),
        ("an authority too, as openssl makes it", authority(names(&["127.0.0.1"])), None),
        ("an authority without names", authority(names(&[])), None),
        ("of another name", names(&["ceph.example.com"]), None),
        ("expired", dated(names(&["127.0.0.1"]), 2019, 2020), Some("has expired, or is not valid yet")),
        ("of the future", dated(names(&[]), 2090, 2099), Some("has expired, or is not valid yet")),
    ] {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let secure = Secure::showing(certificate.der().clone(), &key, &certificate.pem(), |_, _| json("{}"));
        let refusal = refusal(&secure).await;
        assert_eq!(refusal.is_some(), want.is_some(), "{what}: {refusal:?}");
        assert!(refusal.unwrap_or_default().contains(want.unwrap_or_default()), "{what}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_in_the_file_is_verified_as_usual() {
    assert_eq!(refusal(&Secure::start(|_, _| json("{}"))).await, None, "signed by the authority in the file");
    let key = KeyPair::generate().unwrap();
    let shown = names(&["127.0.0.1"]).self_signed(&key).unwrap();
    let other = names(&["127.0.0.1"]).self_signed(&KeyPair::generate().unwrap()).unwrap();
    let secure = Secure::showing(shown.der().clone(), &key, &other.pem(), |_, _| json("{}"));
    let refused = refusal(&secure).await.unwrap();
    let want = "the certificate of Ceph is of an authority that is not trusted: --ceph-ca must name the file of its CA";
    assert_eq!(refused, want);
    // Another server sends the pinned certificate without having its key.
    let thief = KeyPair::generate().unwrap();
    let secure = Secure::showing(shown.der().clone(), &thief, &shown.pem(), |_, _| json("{}"));
    assert!(refusal(&secure).await.is_some(), "the key is not looked at");
}

/// As old versions of pyOpenSSL made them.
#[tokio::test]
async fn a_certificate_of_version_1_says_how_to_make_a_new_one() {
    let key = KeyPair::generate().unwrap();
    let der = version_1(names(&[]).self_signed(&key).unwrap().der());
    let trusted = pem(&der);
    let secure = Secure::showing(CertificateDer::from(der), &key, &trusted, |_, _| json("{}"));
    let refused = refusal(&secure).await.unwrap();
    assert!(refused.contains("X.509 version 1") && refused.contains("openssl req -x509"), "{refused}");
}

#[tokio::test]
async fn a_certificate_of_another_name_says_how_to_trust_it() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = names(&["ceph.example.com"]).signed_by(&key, &issuer).unwrap();
    let secure = Secure::showing(leaf.der().clone(), &key, &issuer.pem(), |_, _| json("{}"));
    let refused = refusal(&secure).await.unwrap();
    assert!(refused.contains(WRONG_NAME), "{refused}");
}
