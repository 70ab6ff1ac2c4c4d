//! The part of `check` about `--tls-cert` and `--tls-key`.

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::{Check, Report, Verdict};
use crate::server::{
    config::{HttpConfig, PublicUrl, TlsFiles},
    tls::{KeyPair, Stage},
};

const TLS: &str = "tls";
const RENEW: &str =
    "Replace both files. The dashboard takes them over within ten seconds, without a restart.";
const NAMES: &str = "Browsers refuse it at --public-url, unless a proxy there has a certificate of its own. Issue it for that name.";

impl Report {
    /// Adds the state of the certificate, if there is one.
    pub async fn certificate(&mut self, http: &HttpConfig) {
        // The file of --proxy-client-ca has a line of its own.
        let Some(files) = http.tls.clone().map(|files| TlsFiles { client_ca: None, ..files }) else { return };
        let read = spawn_blocking(move || KeyPair::read(&files).map_err(|error| error.to_string()));
        let pair = read.await.unwrap_or_else(|error| Err(error.to_string()));
        for check in checks(pair, http.sign_in.public_url.as_ref(), Timestamp::now()) {
            self.add(check);
        }
    }
}

fn checks(pair: Result<KeyPair, String>, public_url: Option<&PublicUrl>, now: Timestamp) -> Vec<Check> {
    let pair = match pair {
        Ok(pair) => pair,
        Err(detail) => {
            return vec![Check::new(
                TLS,
                "--tls-cert and --tls-key can be used",
                Verdict::Missing,
                detail,
                "",
            )];
        }
    };
    let mut checks = vec![dates(&pair, now)];
    if let Some(host) = public_url.map(PublicUrl::host) {
        let check = format!("the certificate names {host}");
        checks.push(match pair.names(host) {
            true => Check::new(TLS, check, Verdict::Ok, "", ""),
            false => Check::new(TLS, check, Verdict::Warning, "it does not", NAMES),
        });
    }
    checks
}

fn dates(pair: &KeyPair, now: Timestamp) -> Check {
    let (from, until) = (pair.validity.from, pair.validity.until);
    let valid = format!("the certificate is valid until {until}");
    match Stage::at(now, &pair.validity) {
        Stage::Valid => Check::new(TLS, valid, Verdict::Ok, "", ""),
        Stage::EndsSoon => Check::new(TLS, valid, Verdict::Warning, "that is less than a week", RENEW),
        Stage::Ended => {
            Check::new(TLS, valid, Verdict::Missing, "it has expired: browsers and programs refuse it", RENEW)
        }
        Stage::NotYet => {
            let check = format!("the certificate is valid from {from}");
            Check::new(
                TLS,
                check,
                Verdict::Missing,
                "it is not valid yet: browsers and programs refuse it",
                RENEW,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tls::tests::{Files, pair_ending_in};

    fn marks(pair: Result<KeyPair, String>, public_url: &str) -> Vec<Verdict> {
        let url = PublicUrl::new(public_url.parse().unwrap()).unwrap();
        checks(pair, Some(&url), Timestamp::now()).into_iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn the_end_the_names_and_the_files_of_a_certificate_are_checked() {
        const DAY: i64 = 24 * 3600;
        use Verdict::{Missing, Ok, Warning};
        for (seconds, url, want) in [
            (8 * DAY, "https://vms.example", vec![Ok, Ok]),
            (8 * DAY, "https://VMS.example:8443", vec![Ok, Ok]),
            (8 * DAY, "https://other.example", vec![Ok, Warning]),
            (8 * DAY, "https://127.0.0.1", vec![Ok, Warning]),
            (6 * DAY, "https://vms.example", vec![Warning, Ok]),
            (-DAY, "https://vms.example", vec![Missing, Ok]),
        ] {
            let files = Files::of(&pair_ending_in(seconds));
            assert_eq!(marks(Result::Ok(files.pair()), url), want, "{seconds} s, {url}");
        }
        assert_eq!(marks(Err("no key".into()), "https://vms.example"), [Missing]);
        let address = Files::of(&crate::server::tls::tests::pair_for_names(&["192.0.2.7", "2001:db8::7"]));
        for url in ["https://192.0.2.7", "https://[2001:db8::7]:8443"] {
            assert_eq!(marks(Result::Ok(address.pair()), url), [Ok, Ok], "{url}");
        }
    }
}
