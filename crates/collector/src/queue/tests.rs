//! Turns, places and limits: the many questions of one requester do not keep the few of another waiting.

use super::*;
use wukong_core::long_term::{Answer, Times, VmSelection};

type Past = (VmSelection, Times);

const A: Requester = Requester::Viewer(1);
const B: Requester = Requester::Viewer(2);
const C: Requester = Requester::Viewer(3);
const TIMES: Times = Times { from: 0, step: 1, count: 1 };

fn of(instance: &str) -> VmSelection {
    VmSelection::One { namespace: "a".into(), instance: instance.into(), claims: Vec::new() }
}

fn shared() -> (Arc<Shared<Past, Answer>>, Questions<Past, Answer>) {
    let (asker, questions) = queue();
    (asker.0, questions)
}

fn ask(
    shared: &Shared<Past, Answer>,
    requester: Requester,
    instance: &str,
) -> Result<Ticket<Answer>, QueueFull> {
    shared.ask(requester, (of(instance), TIMES))
}

/// Asks `count` different questions of one requester.
fn ask_many(
    shared: &Shared<Past, Answer>,
    requester: Requester,
    name: &str,
    count: usize,
) -> Vec<Ticket<Answer>> {
    let asked = (0..count).map(|n| ask(shared, requester, &format!("{name}{n}")));
    asked.collect::<Result<_, _>>().unwrap()
}

/// Everything that may start now, by requester and instance. The questions stay under way as long as the result lives.
fn start_all(questions: &mut Questions<Past, Answer>) -> Vec<Question<Past, Answer>> {
    let mut started = Vec::new();
    loop {
        // The lock is not held while the question is put together.
        let next = questions.0.lock().start();
        let Some((id, requester)) = next else { return started };
        started.push(questions.question(id, requester).unwrap());
    }
}

fn names(questions: &[Question<Past, Answer>]) -> Vec<&str> {
    let name = |question: &'_ Question<Past, Answer>| match &question.about.0 {
        VmSelection::One { instance, .. } => instance.clone(),
        VmSelection::All(_) => "all".to_owned(),
    };
    questions.iter().map(|question| &*name(question).leak()).collect()
}

#[test]
fn one_viewer_never_holds_the_last_place() {
    let (shared, mut questions) = shared();
    let _a = ask_many(&shared, A, "a", WAITING_EACH);
    let of_a = start_all(&mut questions);
    assert_eq!(names(&of_a), ["a0", "a1", "a2"]);
    let _b = ask(&shared, B, "b").unwrap();
    assert_eq!(names(&start_all(&mut questions)), ["b"], "at once, whatever A has under way");
}

#[test]
fn turns_go_round_and_first_to_those_with_the_fewest_under_way() {
    let (shared, mut questions) = shared();
    let _tickets = [ask_many(&shared, A, "a", 4), ask_many(&shared, B, "b", 2), ask_many(&shared, C, "c", 1)];
    let mut under_way = start_all(&mut questions);
    assert_eq!(names(&under_way), ["a0", "b0", "c0"], "the last place is for somebody new");
    let mut order = Vec::new();
    while !under_way.is_empty() {
        drop(under_way.remove(0));
        let next = start_all(&mut questions);
        order.extend(names(&next).into_iter().map(str::to_owned));
        under_way.extend(next);
    }
    assert_eq!(order, ["a1", "b1", "a2", "a3"]);
}

#[test]
fn the_backfill_and_viewers_take_no_place_of_each_other() {
    let (shared, mut questions) = shared();
    let _all = shared.ask(Requester::Backfill, (VmSelection::All(Arc::default()), TIMES)).unwrap();
    let _later = shared
        .ask(Requester::Backfill, (VmSelection::All(Arc::default()), Times { count: 2, ..TIMES }))
        .unwrap();
    let _viewers: Vec<_> =
        (0..6).map(|n| ask(&shared, Requester::Viewer(n), &format!("v{n}")).unwrap()).collect();
    let started = start_all(&mut questions);
    assert_eq!(names(&started), ["all", "v0", "v1", "v2", "v3"], "one piece of the backfill at a time");
}

#[test]
fn a_full_line_refuses_and_takes_nothing_from_others() {
    let (shared, mut questions) = shared();
    let _a = ask_many(&shared, A, "a", WAITING_EACH);
    assert_eq!(ask(&shared, A, "more").unwrap_err(), QueueFull);
    let _b = ask(&shared, B, "b").unwrap();
    let _started = start_all(&mut questions);
    assert!(ask(&shared, A, "later").is_ok(), "there is room again");
}

#[tokio::test]
async fn in_a_full_queue_the_longest_line_gives_way() {
    let (shared, _questions) = shared();
    let viewers = (WAITING / WAITING_EACH) as u64;
    let mut full: Vec<_> = (0..viewers)
        .map(|n| ask_many(&shared, Requester::Viewer(n), &format!("{n}-"), WAITING_EACH))
        .collect();
    let _new = ask(&shared, Requester::Viewer(99), "new").unwrap();
    let displaced = full.iter().flatten().filter(|ticket| !ticket.is_waiting()).count();
    assert_eq!(displaced, 1);
    let ticket = full.iter_mut().flatten().find(|ticket| !ticket.is_waiting()).unwrap();
    assert_eq!(ticket.answer().await.unwrap_err(), Unanswered::Displaced);
}

#[tokio::test]
async fn the_same_question_is_asked_once_in_the_turn_that_comes_first() {
    let (shared, mut questions) = shared();
    let mut a = ask_many(&shared, A, "a", WAITING_EACH);
    let mut last = ask(&shared, B, &format!("a{}", WAITING_EACH - 1)).unwrap();
    let started = start_all(&mut questions);
    assert_eq!(names(&started), ["a0", "a7", "a1"], "B does not wait behind all of A's");
    for Question { reply, .. } in started {
        reply.send(Ok(Default::default()));
    }
    assert!(last.answer().await.unwrap().is_ok());
    assert!(a.last_mut().unwrap().answer().await.unwrap().is_ok(), "the same answer");
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_asked() {
    let (shared, mut questions) = shared();
    let kept = ask(&shared, A, "kept").unwrap();
    drop(ask(&shared, A, "left").unwrap());
    let started = start_all(&mut questions);
    assert_eq!(names(&started), ["kept"]);
    drop(kept);
    started[0].reply.closed().await;
}

#[tokio::test]
async fn a_question_without_an_answer_ends_and_frees_its_place() {
    let (shared, mut questions) = shared();
    let mut tickets = ask_many(&shared, A, "a", PLACES);
    let started = start_all(&mut questions);
    drop(started);
    assert_eq!(tickets[0].answer().await.unwrap_err(), Unanswered::Gone);
    assert_eq!(names(&start_all(&mut questions)), ["a3"]);
    drop(questions);
    assert_eq!(tickets[3].answer().await.unwrap_err(), Unanswered::Gone);
    assert_eq!(ask(&shared, A, "a").unwrap().answer().await.unwrap_err(), Unanswered::Gone);
}

#[tokio::test]
async fn a_question_starts_as_soon_as_it_is_asked_or_a_place_is_free() {
    let (shared, mut questions) = shared();
    let asked = tokio::spawn(async move { questions.next().await.about.0 });
    tokio::task::yield_now().await;
    let _ticket = ask(&shared, A, "a").unwrap();
    assert_eq!(asked.await.unwrap(), of("a"));
}
