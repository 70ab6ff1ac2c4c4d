use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

type Answer = Result<(&'static str, Option<u64>), CredentialError>;
type Script = dyn Fn(usize) -> Answer + Send + Sync;

/// Gives what the script says, after a while.
struct Scripted {
    script: Box<Script>,
    runs: Arc<AtomicUsize>,
    takes: Duration,
    cost: Cost,
}

impl Obtain for Scripted {
    fn obtain(&self) -> BoxFuture<'_, Result<ReadyCredentials, CredentialError>> {
        let answer = (self.script)(self.runs.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            sleep(self.takes).await;
            let (token, life) = answer?;
            let authorization = Some(HeaderValue::from_static(token));
            Ok(ReadyCredentials { authorization, identity: None, lifetime: life.map(Duration::from_secs) })
        })
    }

    fn cost(&self) -> Cost {
        self.cost
    }
}

const QUICK: Duration = Duration::from_millis(100);
const TOKENS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn scripted(
    cost: Cost,
    takes: Duration,
    script: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (Credentials, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let source = Scripted { script: Box::new(script), runs: runs.clone(), takes, cost };
    (Credentials::new(source), runs)
}

fn count(runs: &AtomicUsize) -> usize {
    runs.load(Ordering::SeqCst)
}

async fn token(credentials: &Credentials) -> String {
    match credentials.current().await {
        Ok(credential) => credential.authorization.as_ref().unwrap().to_str().unwrap().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn failed() -> CredentialError {
    CredentialError::PluginFailed { plugin: "p".into(), code: 1 }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_clients_run_a_plugin_once() {
    let (credentials, runs) = scripted(Cost::Plugin, QUICK, |n| Ok((TOKENS[n], None)));
    let all = futures::future::join_all((0..100).map(|_| token(&credentials))).await;
    assert!(all.iter().all(|token| token == "a"), "{all:?}");
    assert_eq!(count(&runs), 1);
    advance(Duration::from_secs(3600)).await;
    assert_eq!(
        (token(&credentials).await.as_str(), count(&runs)),
        ("a", 1),
        "without an end: until it is refused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires_and_no_request_waits() {
    let (credentials, runs) = scripted(Cost::Plugin, QUICK, |n| Ok((TOKENS[n], Some(600))));
    assert_eq!(token(&credentials).await, "a");
    advance(Duration::from_secs(535)).await;
    assert_eq!((token(&credentials).await.as_str(), count(&runs)), ("a", 1));
    advance(Duration::from_secs(6)).await;
    let before = Instant::now();
    assert_eq!((token(&credentials).await.as_str(), Instant::now()), ("a", before), "the old one, at once");
    sleep(QUICK * 2).await;
    assert_eq!((token(&credentials).await.as_str(), count(&runs)), ("b", 2));
}

#[tokio::test(start_paused = true)]
async fn a_short_life_is_renewed_in_its_last_quarter_and_never_in_a_loop() {
    let (credentials, runs) = scripted(Cost::Plugin, QUICK, |n| Ok((TOKENS[n.min(5)], Some(8))));
    for _ in 0..100 {
        token(&credentials).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!((12..=17).contains(&count(&runs)), "{} runs in 100 s", count(&runs));
    for (life, most) in [(0, 5), (1, 26)] {
        let (credentials, runs) = scripted(Cost::Plugin, QUICK, move |_| Ok(("a", Some(life))));
        for _ in 0..100 {
            assert_eq!(token(&credentials).await, "a", "the server decides whether it has ended");
            sleep(Duration::from_secs(1)).await;
        }
        assert!(count(&runs) <= most, "{} runs in 100 s of lives of {life} s", count(&runs));
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_once_a_minute() {
    let (credentials, runs) = scripted(Cost::Files, QUICK, |n| Ok((TOKENS[n.min(2) / 2], None)));
    for _ in 0..300 {
        token(&credentials).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!((4..=6).contains(&count(&runs)), "{}", count(&runs));
    assert_eq!(token(&credentials).await, "b");
    let (credentials, runs) = scripted(Cost::Fixed, QUICK, |_| Ok(("a", None)));
    for _ in 0..300 {
        token(&credentials).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(count(&runs), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_reported_to_all_and_retried_less_and_less_often() {
    let (credentials, runs) = scripted(Cost::Plugin, QUICK, |_| Err(failed()));
    let mut at_once = 0;
    for _ in 0..600 {
        assert_eq!(credentials.current().await.err(), Some(failed()));
        sleep(Duration::from_millis(500)).await;
        at_once += 1;
    }
    assert!(at_once == 600 && (8..=16).contains(&count(&runs)), "{} runs in 5 min", count(&runs));
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_leaves_what_is_there_until_its_end() {
    let (credentials, _) =
        scripted(Cost::Plugin, QUICK, |n| if n == 0 { Ok(("a", Some(100))) } else { Err(failed()) });
    assert_eq!(token(&credentials).await, "a");
    for _ in 0..98 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(token(&credentials).await, "a");
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(credentials.current().await.err(), Some(failed()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_plugin_is_waited_for_a_while_and_ends_all_the_same() {
    let (credentials, runs) = scripted(Cost::Plugin, Duration::from_secs(10), |n| Ok((TOKENS[n], None)));
    let started = Instant::now();
    assert_eq!(credentials.current().await.err(), Some(CredentialError::Pending));
    assert_eq!(started.elapsed(), WAIT);
    assert_eq!(credentials.current().await.err(), Some(CredentialError::Pending));
    assert_eq!((token(&credentials).await.as_str(), count(&runs)), ("a", 1));
    let (credentials, _) = scripted(Cost::Plugin, Duration::from_secs(10), |n| Ok((TOKENS[n], None)));
    assert!(credentials.obtained().await.is_ok(), "a caller may wait longer");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_renews_once_for_all_who_were_refused() {
    let (credentials, runs) = scripted(Cost::Plugin, QUICK, |n| Ok((TOKENS[n], None)));
    let first = credentials.current().await.unwrap();
    let others = futures::future::join_all((0..50).map(|_| credentials.replace(first.generation))).await;
    assert!(others.iter().all(|other| other.as_ref().unwrap().authorization.as_ref().unwrap() == "b"));
    assert_eq!(count(&runs), 2);
    assert!(credentials.replace(first.generation).await.is_some(), "one that comes late gets the same");
    assert_eq!(count(&runs), 2);
    credentials.accepted();
    assert!(
        credentials.replace(others[0].as_ref().unwrap().generation).await.is_some(),
        "at once, after it helped"
    );
    assert_eq!(count(&runs), 3);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_identity_does_not_run_the_plugin_in_a_loop() {
    for (script, what) in [
        (Box::new(|_| Ok(("a", None))) as Box<Script>, "the same token"),
        (Box::new(|n| Ok((TOKENS[n % 6], None))), "another token that is refused as well"),
        (Box::new(|n| if n == 0 { Ok(("a", None)) } else { Err(failed()) }), "a plugin that fails"),
    ] {
        let (credentials, runs) = scripted(Cost::Plugin, QUICK, script);
        for _ in 0..3600 {
            let current = credentials.current().await.unwrap();
            credentials.replace(current.generation).await;
            sleep(Duration::from_millis(500)).await;
        }
        assert!((15..=45).contains(&count(&runs)), "{what}: {} runs in half an hour", count(&runs));
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_never_changes_is_not_read_again() {
    let (credentials, runs) = scripted(Cost::Fixed, QUICK, |_| Ok(("a", None)));
    let current = credentials.current().await.unwrap();
    assert!(credentials.replace(current.generation).await.is_none());
    assert_eq!(count(&runs), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_does_not_end_the_plugin() {
    let (credentials, runs) = scripted(Cost::Plugin, Duration::from_secs(2), |n| Ok((TOKENS[n], None)));
    assert!(timeout(QUICK, credentials.current()).await.is_err());
    sleep(Duration::from_secs(3)).await;
    assert_eq!((token(&credentials).await.as_str(), count(&runs)), ("a", 1));
}

#[tokio::test]
async fn a_panic_is_a_failure_like_others() {
    let (credentials, _) = scripted(Cost::Files, Duration::ZERO, |_| panic!("as planned"));
    assert_eq!(credentials.current().await.err(), Some(CredentialError::Internal));
}
