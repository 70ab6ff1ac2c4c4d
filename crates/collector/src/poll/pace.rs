//! The pace at which a source is polled: its interval, and waits with jitter after failures.

use std::time::Duration;

use http::StatusCode;
use rand::Rng;
use tokio::time::Instant;

use crate::error::Failure;

/// The longest back-off: once an API server is back, it is used again within this time and a cycle.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
const SHORTEST_BACKOFF: Duration = Duration::from_millis(500);
/// After an outage the API server's own parts start up (authorisation, aggregated APIs): errors within this
/// time are retried soon.
const SETTLING: Duration = Duration::from_secs(10);
/// Doubling waits with jitter, so that requests that failed together are not retried together.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    shortest: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::between(SHORTEST_BACKOFF, LONGEST_BACKOFF)
    }
}

impl Backoff {
    /// Waits between these two durations.
    pub fn between(shortest: Duration, longest: Duration) -> Self {
        Self { failures: 0, shortest, longest }
    }

    /// Begins with the shortest wait again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait: half to all of 0.5, 1, 2, 4, 5, 5 … seconds, unless configured otherwise.
    pub fn wait(&mut self) -> Duration {
        let longest = self.shortest.saturating_mul(1 << self.failures.min(8)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Decides when a poll is due again.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    backoff: Backoff,
    unsettled_until: Option<Instant>,
}

impl Pace {
    pub fn new(interval: Duration) -> Self {
        Self { interval, backoff: Backoff::default(), unsettled_until: None }
    }

    /// The wait from the start of a poll that succeeded: the interval.
    pub fn succeeded(&mut self) -> Duration {
        self.backoff.reset();
        self.interval
    }

    /// The wait from now after a failure. What a person has to fix (403, 404) is retried at the interval.
    pub fn failed(&mut self, failure: &Failure, now: Instant) -> Duration {
        match (failure, failure.status()) {
            (_, Some((StatusCode::TOO_MANY_REQUESTS, retry_after))) => {
                self.next_backoff().max(retry_after.unwrap_or_default())
            }
            (_, Some((code, _))) if needs_a_person(code) && !self.is_settling(now) => self.interval,
            (Failure::Transport(_) | Failure::Late(_), _) => {
                self.peer_is_away(now);
                self.next_backoff()
            }
            _ => self.next_backoff(),
        }
    }

    /// Records that the peer did not answer.
    pub fn peer_is_away(&mut self, now: Instant) {
        self.unsettled_until = Some(now + SETTLING);
    }

    /// Whether the peer did not answer a moment ago, so that its errors may pass.
    pub fn is_settling(&self, now: Instant) -> bool {
        self.unsettled_until.is_some_and(|until| now < until)
    }

    /// The next back-off, at most the interval.
    pub fn next_backoff(&mut self) -> Duration {
        self.backoff.wait().min(self.interval)
    }
}

/// Whether only a person can fix the cause, such as a denial or a wrong address.
fn needs_a_person(code: StatusCode) -> bool {
    code.is_client_error() || code.is_redirection()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn status(code: u16) -> Failure {
        Failure::Status { code: StatusCode::from_u16(code).unwrap(), retry_after: None }
    }

    #[test]
    fn backoff_grows_to_five_seconds_and_starts_again() {
        let mut backoff = Backoff::default();
        for most in [500, 1000, 2000, 4000, 5000, 5000] {
            let wait = backoff.wait().as_millis();
            assert!((most / 2..=most).contains(&wait), "{wait} of {most}");
        }
        (0..100).for_each(|_| assert!(backoff.wait() <= LONGEST_BACKOFF));
        backoff.reset();
        assert!(backoff.wait() <= SHORTEST_BACKOFF);
    }

    #[test]
    fn what_a_person_must_fix_waits_for_the_interval() {
        for (failure, soon) in [
            (status(403), false),
            (status(404), false),
            (status(401), false),
            (status(302), false),
            (status(503), true),
            (status(429), true),
            (Failure::Undecodable, true),
            (Failure::Late(INTERVAL), true),
            (Failure::Transport("gone".into()), true),
        ] {
            let wait = Pace::new(INTERVAL).failed(&failure, Instant::now());
            assert_eq!(wait <= LONGEST_BACKOFF, soon, "{failure:?}");
        }
    }

    #[test]
    fn a_denial_while_the_api_server_starts_up_is_asked_about_soon() {
        let (mut pace, then) = (Pace::new(INTERVAL), Instant::now());
        pace.failed(&Failure::Transport("refused".into()), then);
        assert!(pace.failed(&status(403), then + Duration::from_secs(1)) <= LONGEST_BACKOFF);
        assert_eq!(pace.failed(&status(403), then + SETTLING), INTERVAL);
    }

    #[test]
    fn a_retry_is_never_later_than_the_interval_but_for_retry_after() {
        let mut pace = Pace::new(Duration::from_millis(100));
        assert!((0..20).all(|_| pace.failed(&status(500), Instant::now()) <= Duration::from_millis(100)));
        let asked = |seconds| Failure::Status {
            code: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(pace.failed(&asked(20), Instant::now()), Duration::from_secs(20));
    }
}
