//! The flag `--sign-in`, and where people reach the server.

use super::*;

#[test]
fn nobody_serves_every_vm_to_a_network_by_mistake() {
    for far in ["0.0.0.0:8081", ":8081", "[::]:8081", "10.0.0.7:8081"] {
        let refused = refusal(&["--listen", far]);
        assert!(refused.contains("--sign-in (WUKONG_SIGN_IN) is required"), "{refused}");
        for way in ["token", "oidc", "proxy", "none"] {
            assert!(refused.contains(&format!(" {way} ")), "{way}: {refused}");
        }
        assert!(config(&["--listen", far, "--sign-in=none"]).http.sign_in.modes.is_none(), "{far}");
        let by_token = config(&["--listen", far, "--sign-in=token"]).http.sign_in.modes;
        assert!(by_token.has(SignInMode::Token) && !by_token.has(SignInMode::Oidc), "{far}");
        assert!(
            config(&["demo", "--listen", far]).http.sign_in.modes.is_none(),
            "the simulated cluster has no secrets"
        );
    }
    for near in ["127.0.0.1:8081", "[::1]:8081", "127.0.0.5:1", "[::ffff:127.0.0.1]:1"] {
        assert!(config(&["--listen", near]).http.sign_in.modes.is_none(), "{near}");
    }
    // Or by a proxy on this machine.
    for flag in ["--public-url=https://vms.example", "--trusted-proxies=127.0.0.1"] {
        let refused = refusal(&[flag]);
        assert!(refused.contains("--sign-in (WUKONG_SIGN_IN) is required"), "{refused}");
        assert!(refused.contains(flag.split('=').next().unwrap()), "{refused}");
        assert!(config(&[flag, "--sign-in=none"]).http.sign_in.modes.is_none(), "{flag}");
    }
    assert!(config(&["--public-url=http://localhost:8081"]).http.sign_in.modes.is_none());
    let twice = config(&["--sign-in= token,,token "]).http.sign_in.modes;
    assert_eq!(twice, [SignInMode::Token].into_iter().collect());
    assert!(refusal(&["--sign-in=saml"]).contains("token, oidc, proxy"));
    let url = config(&["--sign-in=token", "--public-url= https://vms.example:8443/ "])
        .http
        .sign_in
        .public_url
        .unwrap();
    assert_eq!((url.is_https(), url.origin()), (true, "https://vms.example:8443".to_owned()));
}

#[test]
fn a_provider_or_a_proxy_that_nobody_signs_in_at_is_a_mistake() {
    let other_machines = ["--oidc-issuer=https://sso.example", "--trusted-proxies=10.0.0.0/8"];
    assert!(
        refusal(&other_machines).contains("needs --sign-in=oidc (WUKONG_SIGN_IN)"),
        "before what else is missing"
    );
    for (flags, mode) in [
        (&["--oidc-issuer=https://sso.example"][..], "oidc"),
        (&["--proxy-issuer=https://sso.example", "--proxy-audience=x"], "proxy"),
        (&["--proxy-client-ca=/ca.crt", "--proxy-client-name=proxy.example"], "proxy"),
    ] {
        for given in [&[][..], &["--sign-in=token"], &["--sign-in=none"]] {
            let refused = refusal(&[flags, given].concat());
            assert!(refused.contains(&format!("needs --sign-in={mode} (WUKONG_SIGN_IN)")), "{refused}");
        }
    }
}
