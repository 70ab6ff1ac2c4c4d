//! HTTP to peers outside the API server, such as Prometheus and Ceph. They have their own certificates and
//! credentials; no redirect is followed, and every answer is bounded by a deadline and a size.

mod session;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{StatusCode, Uri};
use rustls::CertificateError;
use url::Url;

pub use self::session::{FetchOutcome, Reply, Session};
use super::{
    addresses::without_addresses,
    budget::Budget,
    connect::{CONNECT_TIMEOUT, Http, HttpConfig, ProxyHop},
    error::{Failure, late, peer_error, source_error, tls_error, useless},
    pinned,
};
use crate::{
    config::{Proxy, ProxyRules},
    k8s::peer_error::PeerError,
};
use i18n::msg;
use model::{
    message::{Key, Message},
    reason::Reason,
};
use wukong_core::observation::SourceError;

/// The command that creates a certificate that can be verified.
const NEW_CERTIFICATE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=HOST -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:HOST -keyout key.pem -out certificate.pem";

/// One peer and how to connect to it. Its CA file is read again for each round, since authorities are
/// rotated.
pub struct Site {
    /// The name that is shown to people, such as `Prometheus`.
    pub name: &'static str,
    url: Uri,
    ca: Option<PathBuf>,
    /// The flag that names the CA file.
    ca_flag: String,
    /// Whether people are told to trust the very certificate of the site, if its names are wrong.
    can_be_pinned: bool,
    proxy: Option<Proxy>,
    limits: SiteLimits,
    /// The client, and the content of the CA file that it was made with.
    client: Option<(Option<Vec<u8>>, Http)>,
}

/// The limits for answers of a site.
#[derive(Clone)]
pub struct SiteLimits {
    pub deadline: Duration,
    /// Bytes of the largest answer that is read.
    pub limit: usize,
    /// Limits what the answers under way may hold.
    pub budget: Budget,
}

impl Site {
    pub fn new(name: &'static str, url: Uri, ca: Option<PathBuf>, limits: SiteLimits) -> Self {
        let ca_flag = format!("--{}-ca", name.to_ascii_lowercase());
        Self { name, url, ca, ca_flag, can_be_pinned: true, proxy: None, limits, client: None }
    }

    /// Names the flag of the CA file, where it does not begin with the name of the site.
    pub fn with_ca_flag(self, flag: &str) -> Self {
        Self { ca_flag: flag.to_owned(), ..self }
    }

    /// Tells people to use a name of the certificate, rather than to trust it under any name.
    pub fn by_name(self) -> Self {
        Self { can_be_pinned: false, ..self }
    }

    /// Uses the proxy that the environment names for this address, if any, by the same rules as for the API
    /// server.
    pub fn through(self, proxies: &ProxyRules) -> Self {
        let url = Url::parse(&self.url.to_string()).ok();
        Self { proxy: url.and_then(|url| proxies.proxy_for(&url).cloned()), ..self }
    }

    /// Opens a session. Fails if the URL is not valid, or the CA file cannot be read or holds no certificate.
    pub async fn open(&mut self) -> Result<Session, Failure> {
        let base = Url::parse(&self.url.to_string()).map_err(|_| Failure::BadName)?;
        let http = self.client().await?;
        Ok(Session { http, base, limits: self.limits.clone() })
    }

    async fn client(&mut self) -> Result<Http, Failure> {
        let file = msg!(collect.ca_file, peer = self.name, flag = self.ca_flag.clone());
        let pem = match &self.ca {
            Some(path) => Some(read(path, &file).await?),
            None => None,
        };
        if let Some((_, client)) = self.client.as_ref().filter(|(of, _)| *of == pem) {
            return Ok(client.clone());
        }
        let client = build(pem.as_deref(), self.proxy.as_ref()).ok_or_else(|| {
            Failure::Own(source_error(Reason::Unreachable, msg!(collect.no_certificates, file = file)))
        })?;
        self.client = Some((pem, client.clone()));
        Ok(client)
    }

    /// Describes a failure. `credentials` names what a person should check if they are refused.
    pub fn describe(&self, credentials: Key, failure: &Failure) -> SourceError {
        let name = self.name;
        match failure {
            Failure::Late(deadline) => late(name, *deadline),
            Failure::Transport(error) => tls_error(error.as_ref())
                .and_then(|error| self.describe_tls(error))
                .unwrap_or_else(|| peer_error(name, error.as_ref())),
            Failure::Status { code, .. } => {
                describe_status(name, credentials, code.as_u16(), &PeerError::default())
            }
            Failure::Refused { code, says, .. } => describe_status(name, credentials, code.as_u16(), says),
            Failure::TooLarge(_) | Failure::TooMany(_) | Failure::Undecodable => useless(name, failure),
            Failure::BadName => source_error(Reason::Unreachable, msg!(collect.bad_url, peer = name)),
            Failure::Own(error) => error.clone(),
        }
    }
}

impl Site {
    /// Describes a TLS error; `None` if nothing more is known than that the handshake failed.
    fn describe_tls(&self, error: &rustls::Error) -> Option<SourceError> {
        let peer = self.name;
        let why = match error {
            rustls::Error::InvalidCertificate(why) => why,
            rustls::Error::InvalidMessage(_) => {
                return Some(source_error(Reason::Unreachable, msg!(collect.no_tls, peer = peer)));
            }
            _ => return None,
        };
        let flag = self.ca_flag.clone();
        let words = match why {
            _ if pinned::is_of_dates(error) => msg!(collect.certificate_dates, peer = peer),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                if !self.can_be_pinned =>
            {
                msg!(collect.certificate_host, peer = peer)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                msg!(collect.certificate_name, peer = peer, flag = flag)
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                msg!(collect.certificate_authority, peer = peer, flag = flag)
            }
            CertificateError::Other(other) => match other.to_string().as_str() {
                // Errors of webpki that rustls has no variants for.
                words if words.contains("UnsupportedCertVersion") => {
                    msg!(collect.certificate_v1, peer = peer, command = NEW_CERTIFICATE)
                }
                words if words.contains("CaUsedAsEndEntity") => {
                    msg!(collect.certificate_name, peer = peer, flag = flag)
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(source_error(Reason::Unreachable, words))
    }
}

/// Builds a client; `None` if the CA file holds no certificate. It follows no redirects, and asks for no compression: a
/// small answer that decompresses to a large one takes as much memory.
fn build(ca: Option<&[u8]>, proxy: Option<&Proxy>) -> Option<Http> {
    let hop = |proxy: &Proxy| Some(ProxyHop { proxy: proxy.clone(), tls: trust::of_proxy(ca)?.into() });
    let proxy = match proxy {
        Some(proxy) => Some(hop(proxy)?),
        None => None,
    };
    let tls = trust::of_site(ca)?.into();
    Some(HttpConfig { tls, proxy, tcp_timeout: CONNECT_TIMEOUT, keep_idle: true }.client())
}

/// Describes an error status, followed by what the peer says in one line; but not for refused credentials,
/// since that text may repeat them.
fn describe_status(name: &str, credentials: Key, code: u16, says: &PeerError) -> SourceError {
    let timed_out = says.kind == "timeout" || says.kind == "canceled";
    let (reason, words) = match code {
        300..=399 => (Reason::BadAnswer, msg!(collect.redirect)),
        401 => (Reason::Forbidden, msg!(collect.check, credentials = credentials)),
        403 => (Reason::Forbidden, msg!(collect.may_not, credentials = credentials)),
        404 => (Reason::BadAnswer, msg!(collect.check_path)),
        408 | 499 | 504 => (Reason::TimedOut, msg!(collect.too_slow)),
        // Prometheus answers 503 if a query takes longer than its timeout (`getDefaultErrorCode` in
        // web/api/v1).
        503 if timed_out => (Reason::TimedOut, msg!(collect.too_slow)),
        429 => (Reason::Unreachable, msg!(collect.ask_less)),
        500..=599 => (Reason::Unreachable, msg!(collect.unwell)),
        _ => (Reason::BadAnswer, msg!(collect.not_understood)),
    };
    let words = match reason {
        Reason::Forbidden => words,
        _ if says.line.is_empty() => words,
        _ => msg!(collect.says, words = words, line = without_addresses(&says.line)),
    };
    let answers = msg!(collect.answers, peer = name, code = code.to_string());
    source_error(reason, msg!(collect.about, peer = answers, words = words))
}

impl Failure {
    /// Whether this is an answer with this status code.
    pub fn is_status(&self, code: u16) -> bool {
        self.status().is_some_and(|(got, _)| got == StatusCode::from_u16(code).unwrap_or_default())
    }
}

/// Reads a credential from a file, without surrounding white space. `file` is its name for people, the flag
/// that configures it: readers are not shown its path.
pub async fn secret(path: &Path, file: Key) -> Result<String, Failure> {
    let file = file.into();
    let text = String::from_utf8(read(path, &file).await?).map(|text| text.trim().to_owned());
    match text {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(Failure::Own(source_error(Reason::Forbidden, msg!(collect.no_line, file = file)))),
    }
}

async fn read(path: &Path, file: &Message) -> Result<Vec<u8>, Failure> {
    tokio::fs::read(path).await.map_err(|error| {
        tracing::debug!(path = %path.display(), %error, "cannot read a file");
        let detail = msg!(collect.unreadable, file = file.clone(), why = error.kind().to_string());
        Failure::Own(source_error(Reason::Forbidden, detail))
    })
}
