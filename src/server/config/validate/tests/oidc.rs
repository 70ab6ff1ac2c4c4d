//! The flags of `--sign-in=oidc`.

use super::*;

const FLAGS: [&str; 4] = [
    "--sign-in=oidc",
    "--public-url=https://vms.example",
    "--oidc-issuer=https://sso.example/realms/one",
    "--oidc-client-id=vms",
];

fn line<'a>(without: &str, with: &[&'a str]) -> Vec<&'a str> {
    let kept = FLAGS.into_iter().filter(|flag| without.is_empty() || !flag.starts_with(without));
    kept.chain(with.iter().copied()).collect()
}

#[test]
fn what_a_sign_in_at_a_provider_needs_is_required() {
    for flag in ["--public-url", "--oidc-issuer", "--oidc-client-id"] {
        for command in [&[][..], &["check"]] {
            let line: Vec<&str> = command.iter().copied().chain(line(flag, &[])).collect();
            let refused = refusal(&line);
            assert!(
                refused.contains(&format!("{flag} (WUKONG_")) && refused.contains("required"),
                "{refused}"
            );
        }
    }
    for public_url in ["--public-url=http://vms.example", "--public-url=http://localhost.example"] {
        assert!(refusal(&line("--public-url", &[public_url])).contains("https://"), "{public_url}");
    }
    for public_url in ["http://localhost:8081", "http://127.0.0.1:8081", "http://[::1]:8081"] {
        let public_url = format!("--public-url={public_url}");
        assert!(config(&line("--public-url", &[&public_url])).http.sign_in.oidc.is_some(), "{public_url}");
    }
}

#[test]
fn an_issuer_is_kept_as_it_is_written() {
    let issuer = |issuer: &str| {
        let flag = format!("--oidc-issuer={issuer}");
        config(&line("--oidc-issuer", &[&flag])).http.sign_in.oidc.unwrap().issuer
    };
    for text in
        ["https://SSO.example", "https://sso.example/", "https://sso.example/a/", "http://127.0.0.1:1/x"]
    {
        assert_eq!(issuer(&format!(" {text} ")), text);
    }
    for bad in [
        "http://sso.example",
        "sso.example",
        "https://a:b@sso.example",
        "https://sso.example/?x",
        "https://a#b",
    ] {
        let refused = refusal(&line("--oidc-issuer", &[&format!("--oidc-issuer={bad}")]));
        assert!(refused.contains("(WUKONG_OIDC_ISSUER)") && !refused.contains("a:b"), "{refused}");
    }
}

#[test]
fn claims_have_the_names_that_are_set() {
    let oidc = config(&line("", &[])).http.sign_in.oidc.unwrap();
    let (claims, default) = (oidc.mappings, ClaimMappings::default());
    assert_eq!(format!("{claims:?}"), format!("{default:?}"), "the help has the program's defaults");
    assert_eq!(oidc.scopes, ["profile", "email"]);
    let flags = [
        "--oidc-scopes= groups,openid, email ",
        "--oidc-username-claim=email",
        "--oidc-groups-claim=roles",
        "--oidc-username-prefix=-",
        "--oidc-groups-prefix=sso/",
        "--oidc-groups-filter=vm-(a|b)",
        "--oidc-client-secret-file=/secret",
        "--oidc-ca=/ca",
    ];
    let oidc = config(&line("", &flags)).http.sign_in.oidc.unwrap();
    assert_eq!(oidc.scopes, ["groups", "email"]);
    let claims = &oidc.mappings;
    assert_eq!((claims.username_claim.as_str(), claims.groups_claim.as_str()), ("email", "roles"));
    assert_eq!((claims.username_prefix.as_str(), claims.groups_prefix.as_str()), ("", "sso/"));
    assert!(claims.keeps_group("vm-a") && !claims.keeps_group("vm-c") && !claims.keeps_group("x-vm-a"));
    assert_eq!((oidc.client_secret_file, oidc.ca), (Some("/secret".into()), Some("/ca".into())));
    for bad in ["--oidc-groups-filter=(", "--oidc-groups-filter=a)|(b", "--oidc-scopes=a b"] {
        refusal(&line("", &[bad]));
    }
}
