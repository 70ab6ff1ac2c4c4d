use super::*;
use crate::{
    connect::kubeconfig::KubeconfigLocation,
    tests::{pem, version_1},
};

fn user(yaml: &str) -> Result<User, String> {
    let text = format!(
        "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://a'}}}}]\nusers: [{{name: u, user: {yaml}}}]"
    );
    let context = Context::choose(KubeconfigLocation::Text(text.into()).read().unwrap(), None).unwrap();
    User::of_context(&context).map_err(|error| error.to_string())
}

async fn sent(user: &User) -> String {
    let credentials = user.load().await.unwrap();
    credentials.authorization.map_or_else(String::new, |header| header.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_goes_before_a_password_and_both_before_a_plugin() {
    let plugin = "exec: {apiVersion: client.authentication.k8s.io/v1, command: 'false'}";
    for (yaml, header, kind) in [
        ("{token: t, username: u, password: p}".to_owned(), "Bearer t", "token"),
        (format!("{{token: t, {plugin}}}"), "Bearer t", "token"),
        (format!("{{username: u, password: 'p:', {plugin}}}"), "Basic dTpwOg==", "user and password"),
        ("{username: u}".into(), "Basic dTo=", "user and password"),
        ("{token: \" t\\n\"}".into(), "Bearer t", "token"),
        ("{}".into(), "", "none"),
        ("{token: '', username: ''}".into(), "", "none"),
    ] {
        let user = user(&yaml).unwrap();
        assert_eq!((sent(&user).await, user.describe()), (header.to_owned(), kind.to_owned()), "{yaml}");
    }
    assert_eq!(user(&format!("{{{plugin}}}")).unwrap().describe(), "credential plugin false");
    let certified = format!("{{client-certificate: /c, client-key: /k, {plugin}}}");
    assert_eq!(user(&certified).unwrap().describe(), "client certificate");
}

#[tokio::test]
async fn a_token_file_is_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, " one\n").unwrap();
    let alone = user(&format!("{{tokenFile: '{}'}}", path.display())).unwrap();
    let beside = user(&format!("{{token: t, tokenFile: '{}'}}", path.display())).unwrap();
    assert_eq!((sent(&alone).await, sent(&beside).await), ("Bearer one".into(), "Bearer one".into()));
    std::fs::write(&path, "two").unwrap();
    assert_eq!((sent(&alone).await, alone.describe()), ("Bearer two".into(), "token file".into()));
    for text in ["", " \n", "two\nlines", "\u{7f}"] {
        std::fs::write(&path, text).unwrap();
        let error = alone.load().await.err().unwrap();
        assert!(!error.to_string().contains("lines\n"), "{error}");
        assert_eq!(sent(&beside).await, "Bearer t", "{text:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let error = alone.load().await.err().unwrap();
    assert!(
        matches!(error, CredentialError::Unreadable { why: std::io::ErrorKind::NotFound, .. }),
        "{error}"
    );
}

/// A certificate and its key, in PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn a_certificate_is_data_before_files_and_never_half() {
    let folder = tempfile::tempdir().unwrap();
    let (path, (certificate, key)) = (folder.path().join("key"), pair());
    std::fs::write(&path, &key).unwrap();
    let data = BASE64_STANDARD.encode(&certificate);
    let (first, rest) = data.split_at(64);
    let both = user(&format!(
        "{{client-certificate-data: \"{first}\\n{rest}\\n\", client-certificate: /no/such, client-key: '{}'}}",
        path.display()
    ));
    let both = both.unwrap();
    let identity = both.load().await.unwrap().identity.unwrap();
    assert_eq!((&*identity.certificate, &*identity.key), (certificate.as_bytes(), key.as_bytes()));
    let described = (both.describe(), both.may_change(), both.bears_secret());
    assert_eq!(described, ("client certificate".into(), true, false));
    // Another key is there already, and its certificate is not; then half of it; then nothing that is a key.
    let other = pair().1;
    for now in [other.as_str(), &key[..key.len() / 2], "", &certificate] {
        std::fs::write(&path, now).unwrap();
        assert_eq!(both.load().await.err(), Some(CredentialError::Certificate), "{now}");
    }
    for (yaml, want) in [
        ("{client-certificate-data: aGVsbG8=}", "needs both"),
        ("{client-key: /key}", "needs both"),
        (
            "{client-certificate-data: 'a!', client-key: /key}",
            "client-certificate-data of the user u is not base64",
        ),
        ("{client-certificate: /crt, client-key-data: 'a!'}", "client-key-data of the user u is not base64"),
    ] {
        let error = user(yaml).unwrap_err();
        assert!(error.contains(want), "{yaml}: {error}");
    }
}

/// canonical/microk8s#5447, nklmilojevic/sofka#337, aptakube/aptakube#528: OpenSSL 3 makes certificates without extensions of version 1,
/// which the API server takes and kubectl shows.
#[tokio::test]
async fn a_certificate_of_version_1_is_shown_with_its_own_key_alone() {
    let made = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let (certificate, key) = (pem(&version_1(made.cert.der())), made.signing_key.serialize_pem());
    let with = |key: &str| {
        let [certificate, key] = [certificate.as_str(), key].map(|text| BASE64_STANDARD.encode(text));
        user(&format!("{{client-certificate-data: {certificate}, client-key-data: {key}}}")).unwrap()
    };
    let identity = with(&key).load().await.unwrap().identity.unwrap();
    assert_eq!((&*identity.certificate, &*identity.key), (certificate.as_bytes(), key.as_bytes()));
    assert_eq!(with(&pair().1).load().await.err(), Some(CredentialError::Certificate), "another's key");
}

/// nklmilojevic/sofka#468: as `openssl ecparam -name secp521r1 -genkey` makes it. ring signs by no key of that curve.
const P521: &str = "-----BEGIN EC PARAMETERS-----
BgUrgQQAIw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MIHcAgEBBEIBn3kCbBgUYTIJmX9V7tpRORHrn5deHlEgKhFnM1vK4WzC18kaZ/Mo
qdVVkBZJCc7z6KDNFU5jBhIKldZNXZ95VNGgBwYFK4EEACOhgYkDgYYABAHhTtOj
QxHAFPihlbXFdNdRYvgqDvAO7oIm5XLelCZcRgyfKHhc4T6+BAKoCybpzqq7P0WV
+U60v0/p353R9MNAoADAxDaBAXVYYORvsa4iLzrO1TDFr0LG4uVUkz1q81ZJM3zi
ppkhQ8OaHWPejfA9ogkCnyrI0dylP42D2kDZC4bBow==
-----END EC PRIVATE KEY-----
";

#[test]
fn keys_are_read_as_openssl_writes_them_and_those_that_are_of_no_use_are_told_from_strangers() {
    let (certificate, key) = pair();
    let given = |key: &str| {
        let certificate = Some((certificate.trim_end().as_bytes().to_vec(), key.as_bytes().to_vec()));
        let given =
            ReadyCredentials::of_plugin(PluginCredentials { token: None, certificate, lifetime: None });
        given.map(drop).map_err(|error| error.to_string())
    };
    // kube-rs/kube#504: without the end of the last line; and behind the parameters of its curve.
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert_eq!(given(key.trim_end()), Ok(()));
    assert_eq!(given(&[parameters, &key].concat()), Ok(()));
    let refused = given(P521).unwrap_err();
    assert!(refused.contains("P-384") && refused.contains("RSA"), "{refused}");
}

#[test]
fn a_plugins_certificate_is_looked_at_before_it_is_used() {
    let given = |certificate: &str, key: &str| {
        let certificate = Some((certificate.as_bytes().to_vec(), key.as_bytes().to_vec()));
        ReadyCredentials::of_plugin(PluginCredentials { token: None, certificate, lifetime: None }).map(drop)
    };
    let ((certificate, key), (_, other)) = (pair(), pair());
    assert_eq!(given(&certificate, &key), Ok(()));
    for (certificate, key) in
        [(certificate.as_str(), other.as_str()), ("c", "k"), (&certificate, ""), ("", &key)]
    {
        assert_eq!(given(certificate, key), Err(CredentialError::Certificate));
    }
}

#[test]
fn providers_that_kubectl_dropped_are_refused_with_what_replaces_them() {
    for (yaml, want) in [
        ("{auth-provider: {name: gcp, config: {cmd-path: /bin/gcloud}}}", "gke-gcloud-auth-plugin"),
        ("{auth-provider: {name: azure}}", "kubelogin"),
        ("{auth-provider: {name: openstack}}", "exec"),
        ("{token: t, auth-provider: {name: gcp}}", "gke-gcloud-auth-plugin"),
        ("{auth-provider: {name: oidc, config: {refresh-token: s3cret}}}", "run kubectl once"),
        ("{auth-provider: {name: oidc, config: {id-token: ''}}}", "run kubectl once"),
        ("{token: \"s3cret\\nx\"}", "cannot be sent"),
    ] {
        let error = user(yaml).unwrap_err();
        assert!(error.contains(want) && !error.contains("s3cret"), "{yaml}: {error}");
    }
}

#[tokio::test]
async fn an_id_token_is_sent_and_its_refresh_token_is_not_used() {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"x","exp":1893456000.5}"#);
    let yaml =
        format!("{{auth-provider: {{name: oidc, config: {{id-token: a.{payload}.c, refresh-token: r}}}}}}");
    let oidc = user(&yaml).unwrap();
    assert_eq!(sent(&oidc).await, format!("Bearer a.{payload}.c"));
    let Method::IdToken(_, ends) = oidc.method else { panic!() };
    assert_eq!(ends, Some("2030-01-01T00:00:00Z".parse().unwrap()));
    for token in ["opaque", "a.b.c", "a.!.c", ""] {
        assert_eq!(end_of(token), None, "{token}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let all = user(
        "{token: s3cret, username: s3cret, password: s3cret, client-certificate-data: czNjcmV0, client-key-data: czNjcmV0}",
    );
    let shown = format!("{:?}", all.unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
}
