use std::collections::BTreeMap;

use tokio::time::{sleep, timeout};

use super::*;
use crate::error::source_error;
use i18n::msg;
use model::reason::Reason;
use wukong_core::observation::Key;

const INTERVAL: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_secs(2);

/// Each request: when it started, and the name of its target.
type Requests = Arc<Mutex<Vec<(Duration, String)>>>;

/// A target whose name says how it answers.
struct Scripted {
    name: String,
    started: Instant,
    requests: Requests,
    gate: Arc<Gate>,
}

impl Target for Scripted {
    fn gates(&mut self) -> Vec<Arc<Gate>> {
        if self.name == "ungated" { Vec::new() } else { vec![self.gate.clone()] }
    }

    async fn poll(&mut self) -> Result<Next, Closed> {
        self.requests.lock().push((self.started.elapsed(), self.name.clone()));
        let due = Instant::now() + INTERVAL;
        match self.name.split('-').next().unwrap() {
            "hangs" => sleep(DEADLINE).await,
            "slow" => sleep(DEADLINE - seconds(1)).await,
            "stuck" => std::future::pending().await,
            "panics" => panic!("a test panics here"),
            "closed" => return Err(Closed),
            "opens" => self.gate.open(),
            "denied" => self.gate.close(Instant::now() + seconds(20)),
            _ => {}
        }
        Ok(Next { due, suspect: self.name.starts_with("hangs") })
    }
}

/// A poll under way in paused time.
struct Poll {
    targets: watch::Sender<Targets>,
    requests: Requests,
    gate: Arc<Gate>,
    task: tokio::task::JoinHandle<Result<(), Closed>>,
}

impl Poll {
    fn start(slots: usize, gap: Duration, names: &[&str]) -> Self {
        let (targets, receiver) = watch::channel(targets(names));
        let (requests, gate, started) = (Requests::default(), Arc::<Gate>::default(), Instant::now());
        let (log, closed) = (requests.clone(), gate.clone());
        let make = move |name: &String| Scripted {
            name: name.clone(),
            started,
            requests: log.clone(),
            gate: closed.clone(),
        };
        let names = |targets: &Targets| targets.guests.iter().map(|key| key.name.to_string()).collect();
        let task =
            tokio::spawn(poll(receiver, names, make, Limits { slots, interval: INTERVAL, gap, slow: SLOW }));
        Self { targets, requests, gate, task }
    }

    /// When each target was asked, in seconds.
    fn asked(&self) -> BTreeMap<String, Vec<u64>> {
        let mut asked = BTreeMap::<_, Vec<_>>::new();
        for (at, name) in self.requests.lock().iter() {
            asked.entry(name.clone()).or_default().push(at.as_secs());
        }
        asked
    }
}

fn targets(names: &[&str]) -> Targets {
    Targets { guests: names.iter().map(|name| Key::new("prod", name)).collect(), ..Targets::default() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_one_slot_until_its_deadline() {
    let one = Poll::start(1, Duration::ZERO, &["hangs", "well"]);
    let two = Poll::start(2, Duration::ZERO, &["hangs", "well"]);
    sleep(seconds(9)).await;
    assert_eq!((&one.asked()["hangs"], &one.asked()["well"]), (&vec![0], &vec![5]));
    assert_eq!((&two.asked()["hangs"], &two.asked()["well"]), (&vec![0], &vec![0]));
}

#[tokio::test(start_paused = true)]
async fn half_of_the_slots_stay_for_targets_that_answer() {
    let hang: Vec<String> = (0..40).map(|n| format!("hangs-{n}")).collect();
    let mut names: Vec<&str> = hang.iter().map(String::as_str).collect();
    names.extend(["well-1", "well-2", "well-3"]);
    let poll = Poll::start(4, Duration::ZERO, &names);
    // After 50 s each target was asked once, so that those that hang are known.
    sleep(seconds(200)).await;
    let asked = poll.asked();
    for name in ["well-1", "well-2", "well-3"] {
        let late: Vec<_> = asked[name].windows(2).filter(|pair| pair[1] - pair[0] > 10).collect();
        assert!(late.is_empty() && asked[name].len() >= 15, "{name}: {:?}", asked[name]);
    }
    let later = |at: &&u64| (60..200).contains(*at);
    let suspects = asked.iter().filter(|(name, _)| name.starts_with("hangs"));
    let suspects = suspects.flat_map(|(_, at)| at.iter().filter(later)).count();
    assert_eq!(suspects, 2 * 140 / 5, "two slots are always taken by suspects");
}

/// A node can answer for all its guests a moment before the deadline.
#[tokio::test(start_paused = true)]
async fn targets_that_answer_slowly_take_no_more_slots_than_those_that_hang() {
    let slow: Vec<String> = (0..40).map(|n| format!("slow-{n}")).collect();
    let mut names: Vec<&str> = slow.iter().map(String::as_str).collect();
    names.extend(["well-1", "well-2"]);
    let poll = Poll::start(4, Duration::ZERO, &names);
    sleep(seconds(200)).await;
    let asked = poll.asked();
    for name in ["well-1", "well-2"] {
        let late: Vec<_> = asked[name].windows(2).filter(|pair| pair[1] - pair[0] > 10).collect();
        assert!(late.is_empty() && asked[name].len() >= 15, "{name}: {:?}", asked[name]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_returns_its_slot_and_its_probe() {
    let poll = Poll::start(1, Duration::ZERO, &["stuck", "well"]);
    poll.gate.close(Instant::now() + seconds(1));
    sleep(seconds(30)).await;
    assert_eq!(poll.asked(), BTreeMap::from([("stuck".to_owned(), vec![1])]));
    poll.targets.send_replace(targets(&["well"]));
    sleep(seconds(1)).await;
    assert_eq!(poll.asked()["well"], [30]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_target_one_interval_and_nobody_else_anything() {
    let poll = Poll::start(1, Duration::ZERO, &["panics", "well"]);
    sleep(seconds(25)).await;
    assert_eq!(poll.asked()["panics"], [0, 10, 20]);
    assert_eq!(poll.asked()["well"], [0, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_new_target_is_asked_at_once_and_a_known_one_keeps_its_turn() {
    let poll = Poll::start(2, Duration::ZERO, &["old", "known"]);
    sleep(seconds(4)).await;
    poll.targets.send_replace(targets(&["known", "new"]));
    sleep(seconds(11)).await;
    let asked = poll.asked();
    assert_eq!((&asked["old"], &asked["known"], &asked["new"]), (&vec![0], &vec![0, 10], &vec![4, 14]));
}

#[tokio::test(start_paused = true)]
async fn requests_start_apart_and_all_fit_into_an_interval() {
    for (count, last) in [(3, 4), (10, 9)] {
        let names: Vec<String> = (0..count).map(|n| format!("well-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let poll = Poll::start(8, seconds(2), &names);
        sleep(seconds(10) - Duration::from_millis(100)).await;
        let mut starts: Vec<u64> = poll.asked().into_values().flatten().collect();
        starts.sort_unstable();
        assert_eq!(starts.len(), count);
        assert_eq!(starts.last(), Some(&last));
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_gate_is_closed_one_target_probes_and_the_others_take_no_slot() {
    let poll = Poll::start(2, Duration::ZERO, &["hangs-1", "hangs-2", "hangs-3", "ungated"]);
    poll.gate.close(Instant::now() + seconds(3));
    sleep(seconds(17)).await;
    let mut asked = poll.asked();
    assert_eq!(asked.remove("ungated").unwrap(), [0, 10]);
    assert_eq!(asked.len(), 3, "each in turn");
    let mut probes: Vec<u64> = asked.into_values().flatten().collect();
    probes.sort_unstable();
    assert_eq!(probes, [3, 8, 13], "each probe ends before the next one starts");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_puts_the_next_one_off() {
    let names: Vec<String> = (0..8).map(|n| format!("denied-{n}")).collect();
    let poll = Poll::start(4, Duration::ZERO, &names.iter().map(String::as_str).collect::<Vec<_>>());
    poll.gate.close(Instant::now() + seconds(3));
    sleep(seconds(100)).await;
    let starts: Vec<u64> = poll.requests.lock().iter().map(|(at, _)| at.as_secs()).collect();
    assert_eq!(starts, [3, 23, 43, 63, 83]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_open_again_lets_all_pass() {
    let poll = Poll::start(4, Duration::ZERO, &["opens", "hangs-1", "hangs-2"]);
    poll.gate.close(Instant::now() + seconds(3));
    sleep(seconds(4)).await;
    let starts: Vec<u64> = poll.asked().into_values().flatten().collect();
    assert_eq!(starts, [3, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_after_the_gate_was_closed_is_given_back() {
    let poll = Poll::start(1, Duration::ZERO, &["hangs", "well"]);
    sleep(seconds(1)).await;
    poll.gate.close(Instant::now() + seconds(10));
    sleep(seconds(8)).await;
    assert_eq!(poll.asked().get("well"), None);
    sleep(seconds(4)).await;
    assert_eq!(poll.asked()["well"], [11]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_when_nobody_receives_or_nothing_is_left() {
    let closed = Poll::start(1, Duration::ZERO, &["stuck", "closed"]);
    closed.targets.send_replace(targets(&["closed"]));
    assert!(matches!(timeout(seconds(1), closed.task).await, Ok(Ok(Err(Closed)))));
    let Poll { targets, task, .. } = Poll::start(1, Duration::ZERO, &[]);
    drop(targets);
    assert!(matches!(timeout(seconds(1), task).await, Ok(Ok(Err(Closed)))));
}

#[tokio::test(start_paused = true)]
async fn a_reason_is_reported_once_and_again_when_it_changes() {
    let gate = Gate::default();
    let error = |reason| source_error(reason, msg!(collect.node_name));
    let mut refusals = gate.refusals();
    let mut next =
        async || timeout(seconds(1), next_refusal(&mut refusals)).await.ok().map(|error| error.reason);
    assert_eq!(next().await, None);
    gate.refuse(Instant::now(), &error(Reason::Forbidden));
    assert_eq!([next().await, next().await], [Some(Reason::Forbidden), None]);
    gate.refuse(Instant::now(), &error(Reason::Forbidden));
    assert_eq!(next().await, None);
    gate.refuse(Instant::now(), &error(Reason::ApiAbsent));
    assert_eq!(next().await, Some(Reason::ApiAbsent));
    gate.open();
    assert_eq!(next().await, None);
    gate.refuse(Instant::now(), &error(Reason::ApiAbsent));
    assert_eq!(next().await, Some(Reason::ApiAbsent));
    let newcomer = timeout(seconds(1), next_refusal(&mut gate.refusals())).await;
    assert_eq!(newcomer.unwrap().reason, Reason::ApiAbsent);
}
