//! Many people who each see a part: 500 viewers of 10 of 1,000 namespaces, in a cluster of 10,000 VMs. What deciding
//! costs, how many reviews it takes, and what a page of a part costs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use model::{Millis, query::Query, totals::Totals, vm::Vm};
use wukong_core::{
    Snapshot, Visible,
    access::{
        AccessBook, BindingHints, Decision, REVIEWS_A_SECOND, REVIEWS_AT_ONCE, Review, Subject, UserInfo,
    },
    frame::Identity,
    view,
};

use super::table::{Must, Table, median};

const VIEWERS: usize = 500;
const NAMESPACES: usize = 1_000;
/// Namespaces of each viewer. Each allow is renewed after 40 s, so this many take 125 of the 150 reviews in a second;
/// with 20, renewals leave no review for a viewer's other namespaces.
const NAMESPACES_EACH: usize = 10;
/// Milliseconds until the API server answers a review.
const ANSWERED_AFTER: Millis = 20;
/// Milliseconds between two looks at what to ask.
const STEP: Millis = 10;
/// Milliseconds within which everybody has looked, and of the time after that.
const ARRIVAL: Millis = 180_000;
const STAY: Millis = 300_000;
/// Milliseconds between two looks of a viewer, as an open page does.
const VIEW_INTERVAL: Millis = 5_000;

pub fn measure(table: &mut Table, snapshot: &Snapshot) {
    let snapshot = Arc::new(spread(snapshot));
    let before = resident();
    let mut viewers = Viewers::new(&snapshot);
    viewers.run(0, ARRIVAL);
    let access_statuses = viewers.access_statuses();
    let complete = access_statuses.iter().filter(|access_status| access_status.is_complete()).count();
    table.row("500 viewers, 1,000 namespaces: decided in 3 min", complete as f64, Must::BeAtLeast, 500.0, "");
    let begun = Instant::now();
    viewers.run(ARRIVAL, ARRIVAL + STAY);
    let per_minute = begun.elapsed().as_secs_f64() * 1000.0 / (STAY as f64 / 60_000.0);
    table.row("the same: deciding, of each minute", per_minute, Must::BeAtMost, 1_200.0, "ms");
    let (a_second, at_once) = (f64::from(REVIEWS_A_SECOND), REVIEWS_AT_ONCE as f64);
    table.row("the same: reviews in a second", viewers.reviews_a_second(), Must::BeAtMost, a_second, "");
    table.row("the same: reviews at once", viewers.at_once as f64, Must::BeAtMost, at_once, "");
    let grown = resident().saturating_sub(before) as f64 / f64::from(1 << 20);
    table.row("the same: memory", grown, Must::BeAtMost, 64.0, "MiB");
    let identity = Identity { cluster: "bench".into(), demo: false, refresh: 15_000 };
    let page = |scope| {
        let begun = Instant::now();
        let home = view::home(&Visible::new(&snapshot, scope), &identity, &Query::default(), 0);
        assert_eq!(home.matching as usize, NAMESPACES_EACH * snapshot.vms.len() / NAMESPACES);
        begun.elapsed().as_secs_f64() * 1000.0
    };
    let took = viewers.access_statuses().iter().map(|access_status| page(&access_status.scope)).collect();
    table.row("the same: view of a part", median(took), Must::BeAtMost, 5.0, "ms");
}

/// Returns the same VMs in `NAMESPACES` namespaces.
fn spread(snapshot: &Snapshot) -> Snapshot {
    let place = |(at, vm): (usize, &Arc<Vm>)| {
        let mut vm = Vm::clone(vm);
        vm.summary.namespace = namespace(at % NAMESPACES);
        Arc::new(vm)
    };
    let vms: Vec<Arc<Vm>> = snapshot.vms.iter().enumerate().map(place).collect();
    Snapshot { totals: Totals::of(vms.iter().map(|vm| &**vm)), vms, ..snapshot.clone() }
}

fn namespace(id: usize) -> String {
    format!("team-{id:04}")
}

/// The viewers, and an API server that allows what the bindings grant.
struct Viewers {
    book: AccessBook,
    users: Vec<Arc<UserInfo>>,
    under_way: VecDeque<(Millis, Review)>,
    at_once: usize,
    /// Reviews by second.
    asked: HashMap<Millis, u32>,
    now: Millis,
}

impl Viewers {
    fn new(snapshot: &Snapshot) -> Self {
        let mut hints = BindingHints::default();
        for viewer in 0..VIEWERS {
            for id in own_namespaces(viewer) {
                let subject = Subject::User(format!("viewer-{viewer}"));
                hints.add(Some(namespace(id).into()), [subject], "1");
            }
        }
        let user = |at| Arc::new(UserInfo { name: format!("viewer-{at}"), ..UserInfo::default() });
        let mut book = AccessBook::default();
        book.observe(snapshot);
        book.hint(Some(hints), 0);
        let users = (0..VIEWERS).map(user).collect();
        Self { book, users, under_way: VecDeque::new(), at_once: 0, asked: HashMap::new(), now: 0 }
    }

    fn run(&mut self, from: Millis, to: Millis) {
        for now in (from..to).step_by(STEP as usize) {
            self.now = now;
            if now % VIEW_INTERVAL == 0 {
                self.users.iter().for_each(|user| self.book.see(user, now));
            }
            while self.under_way.front().is_some_and(|(due, _)| *due <= now) {
                let (_, review) = self.under_way.pop_front().expect("one is due");
                let decision = decision(&review);
                self.book.answered(review, decision, now);
            }
            let reviews = self.book.next(now);
            *self.asked.entry(now / 1000).or_default() += reviews.len() as u32;
            self.under_way.extend(reviews.into_iter().map(|review| (now + ANSWERED_AFTER, review)));
            self.at_once = self.at_once.max(self.under_way.len());
            if now % 250 == 0 {
                for user in self.book.users_to_refresh(now) {
                    self.book.access_status(&user, now);
                }
            }
        }
    }

    fn access_statuses(&mut self) -> Vec<wukong_core::access::AccessStatus> {
        let now = self.now;
        self.users.iter().filter_map(|user| self.book.access_status(user, now)).collect()
    }

    /// Returns the most reviews in a second, over any ten seconds after everybody has come: a second's worth may be
    /// saved up.
    fn reviews_a_second(&self) -> f64 {
        let asked = |second: Millis| self.asked.get(&second).copied().unwrap_or_default();
        let of_ten = |begin: Millis| (begin..begin + 10).map(asked).sum::<u32>();
        let most = (ARRIVAL / 1000..(ARRIVAL + STAY) / 1000 - 10).map(of_ten).max();
        f64::from(most.unwrap_or_default()) / 10.0
    }
}

/// The namespaces of a viewer.
fn own_namespaces(viewer: usize) -> impl Iterator<Item = usize> {
    (0..NAMESPACES_EACH).map(move |at| (viewer * 7 + at * (NAMESPACES / NAMESPACES_EACH)) % NAMESPACES)
}

fn decision(review: &Review) -> Decision {
    let viewer = review.user.name.trim_start_matches("viewer-").parse().unwrap_or_default();
    let granted = |name: &str| own_namespaces(viewer).any(|id| namespace(id) == name);
    match review.question.namespace.as_deref().is_some_and(granted) {
        true => Decision::Allowed,
        false => Decision::Denied,
    }
}

/// The bytes of memory that this process holds.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0_usize);
    pages * 4096
}
