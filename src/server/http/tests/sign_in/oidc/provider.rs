//! A provider that is the test: it checks what it is asked, as a real one does, and answers what the test wants.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::http::{Request, Response, StatusCode};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures::{FutureExt, future::BoxFuture};
use openidconnect::url::{Position, Url, form_urlencoded};
use parking_lot::Mutex;
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::http::sign_in::ProviderHttp;
use collector::clock;
use i18n::msg;
use model::reason::Reason;
use wukong_core::observation::SourceError;

pub const ISSUER: &str = "https://sso.example/realms/one";
pub const NAME: &str = "OIDC provider (--oidc-issuer)";
pub const CLIENT: &str = "vms";
pub const SECRET: &str = "s3cret/with+signs";
/// Of these tests alone.
const RSA: &[u8] = include_bytes!("rsa.pem");

/// A key of the provider.
pub enum SigningKey {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl SigningKey {
    pub fn rsa() -> Self {
        let der = PrivatePkcs8KeyDer::from_pem_slice(RSA).unwrap();
        Self::Rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
    }

    pub fn ecdsa() -> Self {
        let (random, kind) = (SystemRandom::new(), &signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        let der = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(kind, der.as_ref(), &random).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ecdsa(_) => "ES256",
        }
    }

    fn sign(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, input, &mut signed).unwrap();
                signed
            }
            Self::Ecdsa(key) => key.sign(&random, input).unwrap().as_ref().to_vec(),
        }
    }

    fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let parts: PublicKeyComponents<Vec<u8>> = key.public().into();
                let (n, e) = (text(&parts.n), text(&parts.e));
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e})
            }
            Self::Ecdsa(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": x, "y": y})
            }
        }
    }

    /// The public key as others know it, which is no secret.
    pub fn public_pem(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public().as_ref().to_vec(),
            Self::Ecdsa(key) => key.public_key().as_ref().to_vec(),
        }
    }
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    Genuine,
    /// `alg=none`, without one.
    None,
    /// HS256 with the public key as the secret.
    PublicKeyAsSecret,
    /// HS256 with the client's secret.
    ClientSecret,
    /// By another key of the same name.
    Forged,
}

pub struct FakeProvider(Mutex<State>);

pub struct State {
    pub key: (String, SigningKey),
    /// The keys that it publishes.
    pub published: Vec<Value>,
    pub signature: Signature,
    /// Claims of the person who signs in, and those that are replaced in their ID token.
    pub claims: Value,
    pub spoiled: BTreeMap<String, Value>,
    pub is_away: bool,
    /// Parts of its configuration that differ.
    pub configuration: BTreeMap<String, Value>,
    /// The paths that it was asked for.
    pub asked: Vec<String>,
    codes: HashMap<String, Grant>,
}

/// What a code was given for.
struct Grant {
    nonce: String,
    challenge: String,
    redirect: String,
    is_used: bool,
}

impl FakeProvider {
    /// Returns a provider at which `ana` of the group `ops` signs in.
    pub fn new(key: SigningKey) -> Arc<Self> {
        let published = vec![key.jwk("k1")];
        Arc::new(Self(Mutex::new(State {
            key: ("k1".to_owned(), key),
            published,
            signature: Signature::Genuine,
            claims: json!({"sub": "ana", "groups": ["ops"]}),
            spoiled: BTreeMap::new(),
            is_away: false,
            configuration: BTreeMap::new(),
            asked: Vec::new(),
            codes: HashMap::new(),
        })))
    }

    /// Changes the provider while it runs.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock());
    }

    /// Signs by another key from now on, and publishes it alone.
    pub fn rotate(&self, id: &str) {
        let key = SigningKey::ecdsa();
        self.change(|state| {
            state.published = vec![key.jwk(id)];
            state.key = (id.to_owned(), key);
        });
    }

    /// Returns how often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.0.lock().asked.iter().filter(|asked| asked.ends_with(path)).count()
    }

    /// Plays the person's part at the provider: returns the address that it leads back to.
    pub fn authorize(&self, location: &str) -> String {
        let url = Url::parse(location).unwrap();
        assert!(location.starts_with("https://sso.example/realms/one/authorize?"), "{location}");
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let get = |name: &str| query.get(name).map_or("", String::as_str);
        assert_eq!((get("response_type"), get("client_id")), ("code", CLIENT));
        assert_eq!(get("code_challenge_method"), "S256");
        assert!(get("scope").split(' ').any(|scope| scope == "openid"), "{}", get("scope"));
        assert!(get("state").len() > 20 && get("nonce").len() > 20);
        let code: [u8; 12] = rand::random();
        let code = URL_SAFE_NO_PAD.encode(code);
        let grant = Grant {
            nonce: get("nonce").to_owned(),
            challenge: get("code_challenge").to_owned(),
            redirect: get("redirect_uri").to_owned(),
            is_used: false,
        };
        self.0.lock().codes.insert(code.clone(), grant);
        let mut back = Url::parse(get("redirect_uri")).unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", get("state"));
        back[Position::BeforePath..].to_owned()
    }
}

impl State {
    fn answer(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let path = request.uri().path().to_owned();
        self.asked.push(path.clone());
        let path = path.strip_prefix("/realms/one").unwrap_or_default();
        match path {
            "/.well-known/openid-configuration" => json_answer(200, &self.configuration()),
            "/keys" => json_answer(200, &json!({"keys": self.published})),
            "/token" => self.token(request),
            _ => json_answer(404, &json!({})),
        }
    }

    fn configuration(&self) -> Value {
        let mut all = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
            "jwks_uri": format!("{ISSUER}/keys"),
            "end_session_endpoint": format!("{ISSUER}/leave"),
            "response_types_supported": ["code", "none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "X9"],
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        for (name, value) in &self.configuration {
            all[name] = value.clone();
        }
        all
    }

    fn token(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let login = STANDARD.encode([encode(CLIENT), ":".to_owned(), encode(SECRET)].concat());
        if request.headers().get("authorization").is_none_or(|sent| *sent != format!("Basic {login}")) {
            return json_answer(
                401,
                &json!({"error": "invalid_client", "error_description": "the secret\u{202e} is another"}),
            );
        }
        let form: HashMap<_, _> = form_urlencoded::parse(request.body()).into_owned().collect();
        let get = |name: &str| form.get(name).map_or("", String::as_str);
        let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")));
        let grant = self.codes.get_mut(get("code"));
        let grant = grant.filter(|grant| {
            !grant.is_used && grant.challenge == proof && grant.redirect == get("redirect_uri")
        });
        let Some(grant) = grant else { return json_answer(400, &json!({"error": "invalid_grant"})) };
        grant.is_used = true;
        let nonce = grant.nonce.clone();
        let token = self.id_token(&nonce);
        json_answer(200, &json!({"access_token": "a", "token_type": "Bearer", "id_token": token}))
    }

    /// Returns the ID token of the person who signs in.
    pub fn id_token(&self, nonce: &str) -> String {
        let now = clock::now() / 1000;
        let mut claims = json!({"iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce});
        let more = self.claims.as_object().into_iter().flatten().chain(&self.spoiled);
        for (name, value) in more {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let (id, key) = &self.key;
        let algorithm = match self.signature {
            Signature::Genuine | Signature::Forged => key.algorithm(),
            Signature::None => "none",
            Signature::PublicKeyAsSecret | Signature::ClientSecret => "HS256",
        };
        let head = json!({"alg": algorithm, "kid": id});
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = [text(&head), text(&claims)].join(".");
        let hmac = |secret: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
        };
        let signed = match self.signature {
            Signature::Genuine => key.sign(input.as_bytes()),
            Signature::None => Vec::new(),
            Signature::PublicKeyAsSecret => hmac(&key.public_pem()),
            Signature::ClientSecret => hmac(SECRET.as_bytes()),
            Signature::Forged => SigningKey::ecdsa().sign(input.as_bytes()),
        };
        [input, URL_SAFE_NO_PAD.encode(signed)].join(".")
    }
}

impl ProviderHttp for FakeProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send(&self, request: Request<Vec<u8>>) -> BoxFuture<'_, Result<Response<Vec<u8>>, SourceError>> {
        let mut state = self.0.lock();
        let away = SourceError { reason: Reason::Unreachable, detail: msg!(collect.refused, peer = NAME) };
        let answer = if state.is_away { Err(away) } else { Ok(state.answer(&request)) };
        async move { answer }.boxed()
    }
}

fn json_answer(status: u16, value: &Value) -> Response<Vec<u8>> {
    let mut answer = Response::new(value.to_string().into_bytes());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
    answer
}
