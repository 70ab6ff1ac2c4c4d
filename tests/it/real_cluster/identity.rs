//! The same token at a real API server and at the dashboard: both must make the same user of its claims, else a binding
//! would count for one and not for the other.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Json, Router, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::harness::{
    access::Access,
    control_plane::ControlPlane,
    program::Program,
    shared::run_alone,
    tls::Server,
    wait::{check, within},
};

const AUDIENCE: &str = "vms";
/// The API server fetches the keys of an issuer when it starts, and tries again every ten seconds.
const SETTLED: Duration = Duration::from_secs(40);
/// The last byte of the issuer's address.
const ISSUER: u8 = 20;

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn claims_make_the_user_that_the_api_server_makes_of_them() {
    run_alone(async {
        let plane = ControlPlane::start(7).await;
        plane.install_crds().await;
        let issuer = Issuer::start(&plane).await;
        let realms = [
            Realm { path: "people", claim: "sub", prefix: "oidc:", groups_prefix: "oidc:" },
            Realm { path: "mail", claim: "email", prefix: "", groups_prefix: "sso/" },
        ];
        plane.restart_with_authentication(&issuer.configuration(&plane, &realms)).await;
        for realm in &realms {
            let access = Access::install(&plane, realm.path).await;
            let program = program(&plane, &issuer, &access, realm);
            for claims in [
                json!({"sub": "ana", "email": "ana@example.com", "groups": ["vm-ops", "dev", "vm-ops"]}),
                json!({"sub": "b@c", "email": "b@c", "email_verified": true, "groups": "one"}),
                json!({"sub": "Çetin Ö", "email": "cetin@example.com", "groups": []}),
                json!({"sub": "42", "email": "42@example.com"}),
            ] {
                same_user(&plane, &program, &access, &issuer.token(realm, &claims)).await;
            }
            for refused in [
                json!({"email": "x@y", "email_verified": false, "groups": ["dev"]}),
                json!({"sub": 7, "email": 7}),
                json!({"sub": "ana", "email": "ana@example.com", "groups": [{"name": "dev"}]}),
            ] {
                assert_unknown_token(&plane, &program, &issuer.token(realm, &refused)).await;
            }
            let token = issuer.token(realm, &json!({"sub": "ana", "email": "a@b"}));
            let (signed, _) = token.rsplit_once('.').unwrap();
            assert_unknown_token(&plane, &program, &format!("{signed}.{}", "A".repeat(86))).await;
        }
    });
}

/// One issuer of the provider, and which user its claims make.
struct Realm {
    path: &'static str,
    claim: &'static str,
    prefix: &'static str,
    groups_prefix: &'static str,
}

struct Issuer {
    key: EcdsaKeyPair,
    url: String,
    _server: Server,
}

impl Issuer {
    async fn start(plane: &ControlPlane) -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
        let address = plane.address(ISSUER, 8443);
        let url = format!("https://{address}");
        let point = key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", "x": x, "y": y}]});
        let mut router = Router::new().route("/keys", get(move || async move { Json(keys) }));
        for path in ["people", "mail"] {
            let issuer = format!("{url}/{path}");
            let document = json!({
                "issuer": issuer, "jwks_uri": format!("{url}/keys"),
                "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            });
            let answer = get(move || async move { Json(document) });
            router = router.route(&format!("/{path}/.well-known/openid-configuration"), answer);
        }
        let server = Server::start(address, &plane.certificate("issuer", ISSUER), router).await;
        Self { key, url, _server: server }
    }

    fn of(&self, realm: &Realm) -> String {
        format!("{}/{}", self.url, realm.path)
    }

    /// The AuthenticationConfiguration of the API server.
    fn configuration(&self, plane: &ControlPlane, realms: &[Realm]) -> Value {
        let authority = std::fs::read_to_string(plane.authority_file()).unwrap();
        let authenticator = |realm: &Realm| {
            json!({
                "issuer": {"url": self.of(realm), "audiences": [AUDIENCE], "certificateAuthority": authority},
                "claimMappings": {
                    "username": {"claim": realm.claim, "prefix": realm.prefix},
                    "groups": {"claim": "groups", "prefix": realm.groups_prefix},
                },
            })
        };
        let jwt: Vec<Value> = realms.iter().map(authenticator).collect();
        json!({"apiVersion": "apiserver.config.k8s.io/v1beta1", "kind": "AuthenticationConfiguration", "jwt": jwt})
    }

    fn token(&self, realm: &Realm, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = claims.clone();
        for (claim, value) in [
            ("iss", json!(self.of(realm))),
            ("aud", json!(AUDIENCE)),
            ("iat", json!(now)),
            ("exp", json!(now + 3600)),
        ] {
            claims[claim] = value;
        }
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": "1"})), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn program(plane: &ControlPlane, issuer: &Issuer, access: &Access, realm: &Realm) -> Program {
    let prefix = |prefix: &str| if prefix.is_empty() { "-".to_owned() } else { prefix.to_owned() };
    let flags = [
        "--sign-in=proxy".to_owned(),
        format!("--proxy-issuer={}", issuer.of(realm)),
        format!("--proxy-audience={AUDIENCE}"),
        format!("--proxy-ca={}", plane.authority_file().display()),
        format!("--proxy-username-claim={}", realm.claim),
        format!("--proxy-username-prefix={}", prefix(realm.prefix)),
        format!("--proxy-groups-prefix={}", prefix(realm.groups_prefix)),
    ];
    Program::start_with_flags(&access.kubeconfig, realm.path, plane.dir(), &flags)
}

/// The user that the API server makes of a token; `None` if it accepts none.
async fn reviewed(plane: &ControlPlane, token: &str) -> Option<Value> {
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let answer = plane.api.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await;
    (answer["status"]["authenticated"] == true).then(|| answer["status"]["user"].clone())
}

/// What reviews of a user's rights compare: name, groups, uid.
fn identity(name: &Value, user: &Value) -> (String, BTreeSet<String>, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups = user["groups"].as_array().into_iter().flatten().map(text).collect();
    (text(name), groups, text(&user["uid"]))
}

/// Waits until the dashboard has asked for rights with the identity that the API server makes of the token.
async fn same_user(plane: &ControlPlane, program: &Program, access: &Access, token: &str) {
    let user = within(SETTLED, async || reviewed(plane, token).await.ok_or("no user".to_owned())).await;
    let user = user.unwrap_or_else(|why| panic!("the API server: {why}"));
    let wanted = identity(&user["username"], &user);
    let asked = within(SETTLED, async || {
        let answer = program.get_as(token, "/api/vms").await;
        let asked = plane.audit().access_reviews_of(&access.user());
        let asked: Vec<_> = asked.iter().map(|spec| identity(&spec["user"], spec)).collect();
        check(asked.contains(&wanted), || format!("{}: {}", answer.status, answer.text))?;
        Ok(asked.into_iter().filter(|(name, ..)| *name == wanted.0).collect::<Vec<_>>())
    });
    let asked = asked.await.unwrap_or_else(|why| panic!("nobody asked about {wanted:?}: {why}"));
    assert!(asked.iter().all(|asked| *asked == wanted), "{asked:?}, and the API server has {wanted:?}");
}

async fn assert_unknown_token(plane: &ControlPlane, program: &Program, token: &str) {
    assert_eq!(reviewed(plane, token).await, None);
    let answer = program.get_as(token, "/api/vms").await;
    assert_eq!(answer.status, 401, "{}", answer.text);
}
