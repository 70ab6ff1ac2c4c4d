//! Whether a signed token is genuine, for whom it is, and whether it is valid now.

use std::{str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};

use super::{Claims, HttpFault, KeySource};
use i18n::msg;
use model::message::Message;

/// Seconds by which the provider's clock may differ.
pub const LEEWAY: i64 = 60;
/// The algorithms that are accepted: signatures by a key that the provider alone holds.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no signed token, or lacks a claim that every one has.
    Unreadable,
    /// It is not signed, or by an algorithm that is not accepted.
    Algorithm,
    /// The provider does not have the key that it names.
    UnknownKey,
    Signature,
    Issuer,
    Audience,
    /// It is for several audiences, and does not say to which of them it was issued.
    SeveralAudiences,
    Expired,
    /// It is of the future.
    Early,
    /// It is the answer to another sign-in.
    Nonce,
    /// The provider's keys could not be fetched.
    NoKeys(HttpFault),
}

impl TokenFault {
    /// Returns what is wrong and how to fix it, for people.
    pub fn message(&self) -> Message {
        match self {
            Self::Unreadable => msg!(sign_in.token_unreadable),
            Self::Algorithm => msg!(sign_in.token_algorithm),
            Self::UnknownKey => msg!(sign_in.token_unknown_key),
            Self::Signature => msg!(sign_in.token_signature),
            Self::Issuer => msg!(sign_in.token_issuer),
            Self::Audience => msg!(sign_in.token_audience),
            Self::SeveralAudiences => msg!(sign_in.token_audiences),
            Self::Expired => msg!(sign_in.token_expired),
            Self::Early => msg!(sign_in.token_early),
            Self::Nonce => msg!(sign_in.token_nonce),
            Self::NoKeys(fault) => msg!(sign_in.token_no_keys, why = fault.message()),
        }
    }
}

/// Verifies the tokens of one issuer for one audience.
pub struct TokenVerifier {
    issuer: IssuerUrl,
    audience: ClientId,
    keys: Arc<KeySource>,
}

impl TokenVerifier {
    pub fn new(issuer: IssuerUrl, audience: ClientId, keys: Arc<KeySource>) -> Self {
        Self { issuer, audience, keys }
    }

    pub fn keys(&self) -> &Arc<KeySource> {
        &self.keys
    }

    /// Returns the claims of a token that is valid at `now`, in seconds since 1970. With a nonce, the token must be
    /// the answer to the request that had it.
    pub async fn verify(&self, token: &str, nonce: Option<&Nonce>, now: i64) -> Result<Claims, TokenFault> {
        let parsed = CoreIdToken::from_str(token).map_err(|_| TokenFault::Unreadable)?;
        let keys = self.keys.keys().await.map_err(TokenFault::NoKeys)?;
        match self.check(&parsed, &keys, nonce, now) {
            Err(TokenFault::UnknownKey) => {
                let newer = self.keys.newer(&keys).await.map_err(TokenFault::NoKeys)?;
                let newer = newer.ok_or(TokenFault::UnknownKey)?;
                self.check(&parsed, &newer, nonce, now)?;
            }
            checked => checked?,
        }
        let claims = unverified_claims(token).ok_or(TokenFault::Unreadable)?;
        self.check_party(&claims)?;
        match claims.get("nbf").map(serde_json::Value::as_f64) {
            None => Ok(claims),
            Some(None) => Err(TokenFault::Unreadable),
            Some(Some(begins)) if begins > (now + LEEWAY) as f64 => Err(TokenFault::Early),
            Some(Some(_)) => Ok(claims),
        }
    }

    fn check(
        &self,
        token: &CoreIdToken,
        keys: &CoreJsonWebKeySet,
        nonce: Option<&Nonce>,
        now: i64,
    ) -> Result<(), TokenFault> {
        let verifier =
            CoreIdTokenVerifier::new_public_client(self.audience.clone(), self.issuer.clone(), keys.clone())
                .set_allowed_algs(ALGORITHMS)
                // Another audience is trusted if the token was issued to this one; see `check_party`.
                .set_other_audience_verifier_fn(|_| true)
                .set_time_fn(move || at(now - LEEWAY))
                .set_issue_time_verifier_fn(move |issued| match issued > at(now + LEEWAY) {
                    true => Err(EARLY.to_owned()),
                    false => Ok(()),
                });
        let is_answer = |found: Option<&Nonce>| match nonce {
            Some(nonce) if found.is_none_or(|found| found.secret() != nonce.secret()) => Err(String::new()),
            _ => Ok(()),
        };
        token.claims(&verifier, is_answer).map(|_| ()).map_err(TokenFault::from)
    }

    /// A token that names the party which it was issued to names this one, and one for several audiences names a
    /// party (OpenID Connect Core, 3.1.3.7).
    fn check_party(&self, claims: &Claims) -> Result<(), TokenFault> {
        let is_for_several = claims.get("aud").and_then(|of| of.as_array()).is_some_and(|of| of.len() > 1);
        match claims.get("azp") {
            Some(party) if party.as_str() == Some(self.audience.as_str()) => Ok(()),
            Some(_) => Err(TokenFault::Audience),
            None if is_for_several => Err(TokenFault::SeveralAudiences),
            None => Ok(()),
        }
    }
}

const EARLY: &str = "of the future";

impl From<ClaimsVerificationError> for TokenFault {
    fn from(error: ClaimsVerificationError) -> Self {
        use SignatureVerificationError as Signature;
        match error {
            // The time of issue has no error of its own.
            ClaimsVerificationError::Expired(why) if why == EARLY => Self::Early,
            ClaimsVerificationError::Expired(_) => Self::Expired,
            ClaimsVerificationError::InvalidAudience(_) => Self::Audience,
            ClaimsVerificationError::InvalidIssuer(_) => Self::Issuer,
            ClaimsVerificationError::InvalidNonce(_) => Self::Nonce,
            ClaimsVerificationError::SignatureVerification(error) => match error {
                Signature::NoMatchingKey | Signature::AmbiguousKeyId(_) => Self::UnknownKey,
                Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_) | Signature::NoSignature => {
                    Self::Algorithm
                }
                _ => Self::Signature,
            },
            _ => Self::Unreadable,
        }
    }
}

fn at(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// Returns all claims of a token, which the crate's own types keep in part. Nothing of it is checked.
pub fn unverified_claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
