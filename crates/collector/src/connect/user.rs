//! The user that requests are sent as: what a kubeconfig says about it, and how that becomes credentials.
//!
//! Precedence is client-go's: a token goes before a password; with either, or with a client certificate, a
//! plugin is not run (`UpdateTransportConfig` in `plugin/pkg/client/auth/exec/exec.go`); and a token file
//! goes before the token beside it (`NewBearerAuthWithRefreshRoundTripper` in `transport/round_trippers.go`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use http::HeaderValue;
use jiff::Timestamp;
use kube::config::{AuthInfo, AuthProviderConfig};
use rustls::{Error, InconsistentKeys, RootCertStore, crypto::ring, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::{fs::File, io::AsyncReadExt};

use super::{
    ConnectError, CredentialError,
    kubeconfig::{Context, decode_data},
    plugin::{Plugin, PluginCredentials},
};

/// Bytes that are read of a file with a credential.
const LARGEST_FILE: u64 = 1 << 20;
const TOKEN_FILE: &str = "token file";

/// The user of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub method: Method,
    pub certificate: Option<Certificate>,
}

/// The source of the `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// No header.
    Anonymous,
    Token(HeaderValue),
    Password(HeaderValue),
    /// The id-token of an `auth-provider: oidc`, and when it expires. Its refresh token is never used: many
    /// providers replace it with each use, and the one in the kubeconfig would then be useless to kubectl.
    IdToken(HeaderValue, Option<Timestamp>),
    TokenFile(TokenFile),
    Plugin(Plugin),
}

/// A file with a token, which is read again since tokens are rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    pub path: PathBuf,
    /// The token to send while the file cannot be read.
    pub otherwise: Option<HeaderValue>,
}

/// A client certificate and its key, in the kubeconfig or in files.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    certificate: Pem,
    key: Pem,
}

#[derive(Clone, PartialEq, Eq)]
enum Pem {
    Data(Vec<u8>),
    File(PathBuf),
}

/// Credentials that are ready to use.
#[derive(Clone)]
pub struct ReadyCredentials {
    pub authorization: Option<HeaderValue>,
    pub identity: Option<Arc<Identity>>,
    /// How long the credentials are valid, if that is known.
    pub lifetime: Option<Duration>,
}

/// A client certificate and its key, in PEM, ready to be presented to a server.
#[derive(PartialEq, Eq)]
pub struct Identity {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Identity {
    /// Fails unless certificate and key belong together. Files are replaced one after the other; a
    /// half-replaced pair is not used.
    fn new(certificate: Vec<u8>, key: Vec<u8>) -> Result<Arc<Self>, CredentialError> {
        let identity = Self { certificate, key };
        identity.certified_key()?;
        Ok(Arc::new(identity))
    }

    /// The certificate and key as TLS needs them.
    pub fn certified_key(&self) -> Result<CertifiedKey, CredentialError> {
        let refuse = || CredentialError::Certificate;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(refuse)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| refuse())?;
        let key = ring::default_provider().key_provider.load_private_key(key);
        let key = key.map_err(|_| CredentialError::UnsupportedKey)?;
        let certified = CertifiedKey::new(chain, key);
        if is_pair(&certified) { Ok(certified) } else { Err(refuse()) }
    }
}

/// Whether the key belongs to the certificate. rustls reads only certificates of version 3; for others the
/// public key is read as that of a trust anchor, which may be of version 1
/// (`extract_trust_anchor_from_v1_cert_der` of webpki).
fn is_pair(certified: &CertifiedKey) -> bool {
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => true,
        Err(Error::InvalidCertificate(_)) => has_key_of_anchor(certified).unwrap_or(false),
        Err(_) => false,
    }
}

fn has_key_of_anchor(certified: &CertifiedKey) -> Option<bool> {
    let mut anchors = RootCertStore::empty();
    anchors.add(certified.cert.first()?.clone()).ok()?;
    // The key of an anchor lacks the DER header: tag and length, two to four bytes here.
    let key = certified.key.public_key()?;
    let (key, anchor): (&[u8], &[u8]) =
        (key.as_ref(), anchors.roots.first()?.subject_public_key_info.as_ref());
    let head = key.len().checked_sub(anchor.len())?;
    Some((2..=4).contains(&head) && key.ends_with(anchor))
}

impl User {
    /// A user without credentials.
    pub fn anonymous() -> Self {
        Self { method: Method::Anonymous, certificate: None }
    }

    /// The user of a pod's service account.
    pub fn service_account(token: &Path) -> Self {
        let file = TokenFile { path: token.to_owned(), otherwise: None };
        Self { method: Method::TokenFile(file), certificate: None }
    }

    /// The user of a context. Fails if its entry has a mistake that a person must correct.
    pub fn of_context(context: &Context) -> Result<Self, ConnectError> {
        let (name, user) = (context.user_name.as_str(), &context.user);
        if let Some(provider) = user.auth_provider.as_ref().filter(|provider| provider.name != "oidc") {
            return Err(refuse_provider(name, provider));
        }
        let certificate = Certificate::read(name, user)?;
        let method = match (fixed(name, user)?, &user.token_file, &user.exec, &user.auth_provider) {
            (method, Some(path), ..) if !path.is_empty() => {
                let otherwise = match method {
                    Some(Method::Token(token)) => Some(token),
                    _ => None,
                };
                Method::TokenFile(TokenFile { path: path.into(), otherwise })
            }
            (Some(method), ..) => method,
            (None, _, Some(exec), _) if certificate.is_none() => {
                let plugin = Plugin::read(exec, &context.cluster);
                Method::Plugin(plugin.map_err(|why| ConnectError::Plugin { user: name.to_owned(), why })?)
            }
            (None, _, _, Some(provider)) => id_token(name, provider)?,
            (None, _, _, None) => Method::Anonymous,
        };
        Ok(Self { method, certificate })
    }

    /// Describes the kind of credentials, for people.
    pub fn describe(&self) -> String {
        let method = match &self.method {
            Method::Anonymous => None,
            Method::Token(_) => Some("token".to_owned()),
            Method::Password(_) => Some("user and password".to_owned()),
            Method::IdToken(..) => Some("OIDC id-token, which this program does not renew".to_owned()),
            Method::TokenFile(_) => Some(TOKEN_FILE.to_owned()),
            Method::Plugin(plugin) => Some(format!("credential plugin {}", plugin.name())),
        };
        match (method, &self.certificate) {
            (Some(method), Some(_)) => format!("{method} and client certificate"),
            (Some(method), None) => method,
            (None, Some(_)) => "client certificate".to_owned(),
            (None, None) => "none".to_owned(),
        }
    }

    /// Whether a server receives something that it could use elsewhere. A certificate's key is never sent.
    pub fn bears_secret(&self) -> bool {
        self.method != Method::Anonymous
    }

    /// Whether files outside the kubeconfig, or a plugin, can provide something new.
    pub fn may_change(&self) -> bool {
        matches!(self.method, Method::TokenFile(_) | Method::Plugin(_))
            || self.certificate.as_ref().is_some_and(Certificate::is_in_files)
    }

    /// The plugin, if the credentials come from one.
    pub fn plugin(&self) -> Option<&Plugin> {
        match &self.method {
            Method::Plugin(plugin) => Some(plugin),
            _ => None,
        }
    }

    /// Obtains the credentials: reads files, or runs the plugin.
    pub async fn load(&self) -> Result<ReadyCredentials, CredentialError> {
        let mut credentials = ReadyCredentials { authorization: None, identity: None, lifetime: None };
        match &self.method {
            Method::Anonymous => {}
            Method::Token(header) | Method::Password(header) | Method::IdToken(header, _) => {
                credentials.authorization = Some(header.clone());
            }
            Method::TokenFile(file) => credentials.authorization = Some(file.read().await?),
            Method::Plugin(plugin) => credentials = ReadyCredentials::of_plugin(plugin.run().await?)?,
        }
        if let Some(certificate) = &self.certificate {
            credentials.identity = Some(certificate.load().await?);
        }
        Ok(credentials)
    }
}

/// The method that the kubeconfig itself contains: a token, or user and password.
fn fixed(name: &str, user: &AuthInfo) -> Result<Option<Method>, ConnectError> {
    let refuse = || ConnectError::Token { user: name.to_owned() };
    let token =
        user.token.as_ref().map(|token| token.expose_secret().trim()).filter(|token| !token.is_empty());
    if let Some(token) = token {
        return Ok(Some(Method::Token(bearer(token).ok_or_else(refuse)?)));
    }
    let Some(username) = user.username.as_deref().filter(|name| !name.is_empty()) else { return Ok(None) };
    let password = user.password.as_ref().map_or("", |password| password.expose_secret());
    let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")));
    Ok(Some(Method::Password(sensitive(&login).ok_or_else(refuse)?)))
}

fn id_token(name: &str, provider: &AuthProviderConfig) -> Result<Method, ConnectError> {
    let token = provider.config.get("id-token").map(|token| token.trim()).filter(|token| !token.is_empty());
    let Some(token) = token else {
        let instead = "has no id-token in the kubeconfig: run kubectl once with it, which obtains one";
        return Err(ConnectError::Provider { user: name.to_owned(), provider: "oidc".into(), instead });
    };
    let header = bearer(token).ok_or_else(|| ConnectError::Token { user: name.to_owned() })?;
    Ok(Method::IdToken(header, end_of(token)))
}

/// When a JSON Web Token expires, by its own `exp`: seconds that may have a fraction (RFC 7519, section 2).
fn end_of(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_second(claims.exp as i64).ok()
}

/// The error for an auth provider that kubectl no longer supports (client-go, `plugin/pkg/client/auth`).
fn refuse_provider(name: &str, provider: &AuthProviderConfig) -> ConnectError {
    let instead = match provider.name.as_str() {
        "gcp" => {
            "kubectl has dropped: install gke-gcloud-auth-plugin and run `gcloud container clusters get-credentials`"
        }
        "azure" => "kubectl has dropped: install kubelogin and run `kubelogin convert-kubeconfig`",
        _ => "kubectl does not know either: use a credential plugin (exec) or a token",
    };
    ConnectError::Provider { user: name.to_owned(), provider: provider.name.clone(), instead }
}

impl TokenFile {
    /// The token in the file, or `otherwise` if the file cannot be used.
    async fn read(&self) -> Result<HeaderValue, CredentialError> {
        match (self.token().await, &self.otherwise) {
            (Err(_), Some(otherwise)) => Ok(otherwise.clone()),
            (token, _) => token,
        }
    }

    async fn token(&self) -> Result<HeaderValue, CredentialError> {
        let text = String::from_utf8(read_file(&self.path, TOKEN_FILE).await?);
        let text = text.map_err(|_| CredentialError::Token)?;
        match text.trim() {
            "" => Err(CredentialError::Empty { what: TOKEN_FILE, path: self.path.clone() }),
            token => bearer(token).ok_or(CredentialError::Token),
        }
    }
}

impl Certificate {
    fn read(name: &str, user: &AuthInfo) -> Result<Option<Self>, ConnectError> {
        let key_data = user.client_key_data.as_ref().map(|key| key.expose_secret());
        let certificate = Pem::read(
            user.client_certificate_data.as_deref(),
            user.client_certificate.as_deref(),
            ("client-certificate-data", name),
        )?;
        let key = Pem::read(key_data, user.client_key.as_deref(), ("client-key-data", name))?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            _ => Err(ConnectError::HalfCertificate { user: name.to_owned() }),
        }
    }

    fn is_in_files(&self) -> bool {
        [&self.certificate, &self.key].iter().any(|pem| matches!(pem, Pem::File(_)))
    }

    async fn load(&self) -> Result<Arc<Identity>, CredentialError> {
        let certificate = self.certificate.load("client certificate").await?;
        Identity::new(certificate, self.key.load("client key").await?)
    }
}

/// Shows only whether the certificate is in files.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("is_in_files", &self.is_in_files()).finish_non_exhaustive()
    }
}

impl Pem {
    /// Reads a field or the file that it names; data take precedence over a file, as in client-go.
    fn read(
        data: Option<&str>,
        file: Option<&str>,
        (field, user): (&'static str, &str),
    ) -> Result<Option<Self>, ConnectError> {
        let given = |text: &&str| !text.trim().is_empty();
        if let Some(data) = data.filter(given) {
            let owner = format!("the user {user}");
            let pem = decode_data(data).ok_or(ConnectError::Data { field, owner })?;
            return Ok(Some(Self::Data(pem)));
        }
        Ok(file.filter(given).map(|file| Self::File(file.into())))
    }

    async fn load(&self, what: &'static str) -> Result<Vec<u8>, CredentialError> {
        match self {
            Self::Data(pem) => Ok(pem.clone()),
            Self::File(path) => read_file(path, what).await,
        }
    }
}

impl ReadyCredentials {
    fn of_plugin(printed: PluginCredentials) -> Result<Self, CredentialError> {
        let authorization = match printed.token {
            Some(token) => Some(bearer(token.trim()).ok_or(CredentialError::Token)?),
            None => None,
        };
        let identity =
            printed.certificate.map(|(certificate, key)| Identity::new(certificate, key)).transpose()?;
        Ok(Self { authorization, identity, lifetime: printed.lifetime })
    }

    /// Whether a server would see no difference.
    pub fn is_same(&self, other: &Self) -> bool {
        self.authorization == other.authorization && self.identity == other.identity
    }
}

async fn read_file(path: &Path, what: &'static str) -> Result<Vec<u8>, CredentialError> {
    let failed = |error: std::io::Error| CredentialError::Unreadable {
        what,
        path: path.to_owned(),
        why: error.kind(),
    };
    let file = File::open(path).await.map_err(failed)?;
    let mut content = Vec::new();
    file.take(LARGEST_FILE).read_to_end(&mut content).await.map_err(failed)?;
    Ok(content)
}

fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests;
