//! The part of `check` about `--session-key-file`.

use super::{Check, Report, Verdict, sign_in::SIGN_IN};
use crate::server::{
    config::{SignInConfig, SignInMode},
    http::sign_in::{KEY_COMMAND, SessionKeys},
};

impl Report {
    /// Adds whether sessions outlive the process, if there are sessions.
    pub async fn session_keys(&mut self, config: &SignInConfig) {
        // A proxy in front has sessions of its own.
        let has_sessions = [SignInMode::Token, SignInMode::Oidc].iter().any(|mode| config.modes.has(*mode));
        if has_sessions {
            self.add(check(config).await);
        }
    }
}

async fn check(config: &SignInConfig) -> Check {
    let check = "sessions outlive a restart, and several replicas share them";
    let fix = format!("{KEY_COMMAND} makes a key. Mount a Secret with it, and set --session-key-file");
    let Some(path) = &config.session_key_file else {
        let detail = "--session-key-file is not set: people sign in again after each restart";
        return Check::new(SIGN_IN, check, Verdict::Warning, detail, &fix);
    };
    match SessionKeys::read(path).await {
        Ok(Some(_)) => Check::new(SIGN_IN, check, Verdict::Ok, "", ""),
        Ok(None) => {
            let detail = format!("there is no file {}: sessions end with the process", path.display());
            Check::new(SIGN_IN, check, Verdict::Warning, detail, &fix)
        }
        Err(error) => Check::new(
            SIGN_IN,
            "--session-key-file can be used",
            Verdict::Missing,
            format!("{error:#}"),
            &fix,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    async fn found(file: Option<PathBuf>, mode: SignInMode) -> Vec<(Verdict, String)> {
        let config = SignInConfig {
            modes: [mode].into_iter().collect(),
            session_key_file: file,
            ..SignInConfig::default()
        };
        let mut report = Report { ok: true, checks: Vec::new() };
        report.session_keys(&config).await;
        report.checks.into_iter().map(|check| (check.verdict, check.detail)).collect()
    }

    #[tokio::test]
    async fn the_file_of_session_keys_is_read() {
        use SignInMode::{Oidc, Proxy, Token};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let verdict = async |mode| found(Some(path.clone()), mode).await;
        assert_eq!(found(None, Token).await[0].0, Verdict::Warning);
        assert_eq!(verdict(Oidc).await[0].0, Verdict::Warning, "no file");
        for bad in [&b"c2hvcnQ=\n"[..], &[0xff; 32], b""] {
            fs::write(&path, bad).unwrap();
            let (verdict, detail) = verdict(Token).await.remove(0);
            assert_eq!(verdict, Verdict::Missing, "{bad:?}");
            assert!(detail.contains("openssl rand -base64 32"), "{detail}");
        }
        fs::write(&path, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
        assert_eq!(verdict(Oidc).await, [(Verdict::Ok, String::new())]);
        assert!(verdict(Proxy).await.is_empty(), "the proxy has sessions of its own");
    }
}
