//! What the audit log says of sessions and of refusals.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

use super::fixture::*;
use crate::server::{http::tests::fixture::vm, log::AUDIT};

/// The lines that this thread logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn record(&self) -> DefaultGuard {
        let lines = self.clone();
        let log = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
        tracing::subscriber::set_default(log)
    }

    /// Returns the fields of the audited events of this name.
    fn events(&self, name: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let audited = lines.filter(|line| line["target"] == AUDIT).map(|line| line["fields"].clone());
        audited.filter(|fields| fields["event"] == name).collect()
    }
}

fn gated() -> Gated {
    let gated = Gated::new(vec![vm("shop", "web")]);
    gated.kubernetes.add_user("ana");
    gated.kubernetes.allow_rows("ana", "shop");
    gated
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_names_its_user_and_the_session() {
    let (lines, gated) = (Lines::default(), gated());
    let _log = lines.record();
    let (one, two) = (gated.sign_in("ana").await, gated.sign_in("ana").await);
    gated.submit(&one, "/auth/sign-out", "").await;
    gated.kubernetes.end_token("ana");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(gated.browse(&two, "/").await.status, 303);
    let (begun, out, expired) = (lines.events("sign_in"), lines.events("sign_out"), lines.events("expired"));
    assert_eq!((begun.len(), out.len(), expired.len()), (2, 1, 1), "{out:?} {expired:?}");
    for (begun, ended) in begun.iter().zip([&out[0], &expired[0]]) {
        assert_eq!((&ended["user"], &ended["session"]), (&Value::from("ana"), &begun["session"]));
    }
}

#[tokio::test(start_paused = true)]
async fn every_guess_is_noted_whatever_limits_are_reached_and_nothing_else_is_a_guess() {
    let (lines, gated) = (Lines::default(), gated());
    let _log = lines.record();
    gated.browse("wukong-session-0=junk", "/").await;
    gated.submit("", "/auth/sign-in", "token=").await;
    assert!(lines.events("expired").is_empty() && lines.events("refused").is_empty());
    for _ in 0..100 {
        gated.browse("", "/nothing").await;
    }
    for at in 0..15 {
        gated.get_as(&format!("junk-{at}"), "/api/vms").await;
    }
    let refused = lines.events("refused");
    assert_eq!(refused.len(), 10, "{refused:?}");
    assert!(refused.iter().any(|line| line["why"] == "limit"), "{refused:?}");
}
