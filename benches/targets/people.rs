//! 500 people who are signed in, each of whom sees 10 of 1,000 namespaces, in a cluster of 10,000 VMs: what their pages
//! cost the program, and how many reviews its API server answers.

use std::time::{Duration, Instant};

use simulator::{Clock, Options, Scenario, Viewer};

use super::{
    process::{Program, exchange, get},
    table::{Must, Table, median},
};

const VMS: u32 = 10_000;
const NODES: u32 = 500;
const NAMESPACES: usize = 1_000;
const PEOPLE: usize = 500;
/// Namespaces of each person. Each allow is renewed after 40 s, so that many take most of the 150 reviews in a second.
const NAMESPACES_EACH: usize = 10;
/// Page views between two readings of the CPU time, which has a resolution of 10 ms. Each is of another person.
const VIEWS: usize = 50;
const ROUNDS: usize = 5;
/// Time until memory is compared: the program has collected for ten cycles by then.
const SETTLE: Duration = Duration::from_secs(150);
/// Time after which a sign-in has failed. A sign-in itself waits three seconds for the first answers.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long everybody looks once a minute.
const STAY: Duration = Duration::from_secs(180);
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

pub fn measure(table: &mut Table) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(simulator::start(options())).expect("a cluster");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig()).expect("a file");
    let kubeconfig = kubeconfig.to_str().expect("a path in UTF-8");
    // Behind a proxy with TLS, which says for whom it asks: each address may try ten tokens a minute.
    let proxy = ["--public-url=https://vms.example", "--trusted-proxies=127.0.0.0/8"];
    let server = Program::start(&[&["--kubeconfig", kubeconfig, "--sign-in=token"], &proxy[..]].concat());
    server.await_ok("/readyz", Duration::from_secs(60));
    std::thread::sleep(SETTLE);
    let before = resident(&server);

    let what = "500 people, 1,000 namespaces, 10,000 VMs";
    let (people, mut waits): (Vec<Person>, Vec<f64>) = (0..PEOPLE)
        .map(|id| {
            let begun = Instant::now();
            let person = Person::sign_in(&server, id);
            person.sees_their_own(&server, begun + LONGEST_WAIT);
            (person, begun.elapsed().as_secs_f64())
        })
        .unzip();
    waits.sort_by(f64::total_cmp);
    let (half, most) = (waits[PEOPLE / 2], waits[PEOPLE * 95 / 100]);
    table.row(&format!("{what}: a sign-in until all is seen, 50 of 100"), half, Must::BeAtMost, 1.0, "s");
    table.row(&format!("{what}: a sign-in until all is seen, 95 of 100"), most, Must::BeAtMost, 3.0, "s");

    let reviews = || cluster.requests().by_path().get(REVIEWS).copied().unwrap_or_default() as f64;
    let (stay, asked) = (Instant::now(), reviews());
    look_around(&server, &people);
    let a_second = (reviews() - asked) / stay.elapsed().as_secs_f64();
    table.row(&format!("{what}: reviews a second"), a_second, Must::BeAtMost, 150.0, "");
    let grown = (resident(&server) - before) * 1e6 / f64::from(1 << 20);
    table.row(&format!("{what}: memory beside collecting"), grown, Must::BeAtMost, 64.0, "MiB");

    for path in ["/", "/?view=table", "/?view=map"] {
        let cost = cpu_of_a_view(&server, &people, path);
        table.row(&format!("{what}: CPU time of a page view of {path}"), cost, Must::BeAtMost, 10.0, "ms");
    }
    let admin = [Person::with_token(&server, "admin-token", PEOPLE)];
    admin[0].sees_everything(&server, Instant::now() + Duration::from_secs(60));
    for path in ["/", "/?view=table", "/?view=map"] {
        let cost = cpu_of_a_view(&server, &admin, path);
        let what = format!("10,000 VMs, signed in: CPU time of a page view of {path}");
        table.row(&what, cost, Must::BeAtMost, 20.0, "ms");
    }
    drop(server);
    runtime.block_on(cluster.shutdown());
}

/// The demo's VMs in other namespaces, and the people who may look into some of them.
fn options() -> Options {
    let clock = Clock::system();
    let mut scenario = Scenario::demo(VMS, NODES, 1, clock.now());
    for (id, guest) in scenario.guests.iter_mut().enumerate() {
        guest.namespace = namespace(id % NAMESPACES);
    }
    scenario.viewers = (0..PEOPLE)
        .map(|id| Viewer {
            name: format!("person-{id}@example.com"),
            groups: Vec::new(),
            token: token(id),
            namespaces: own_namespaces(id).map(namespace).collect(),
        })
        .collect();
    Options { scenario: Some(scenario), clock, ..Options::default() }
}

fn namespace(id: usize) -> String {
    format!("team-{id:04}")
}

fn token(id: usize) -> String {
    format!("person-{id}-token")
}

/// The namespaces of a person.
fn own_namespaces(id: usize) -> impl Iterator<Item = usize> {
    (0..NAMESPACES_EACH).map(move |at| (id * 7 + at * (NAMESPACES / NAMESPACES_EACH)) % NAMESPACES)
}

/// A session in a browser.
struct Person {
    id: usize,
    /// The header with the cookies.
    cookies: String,
}

impl Person {
    fn sign_in(server: &Program, id: usize) -> Self {
        Self::with_token(server, &token(id), id)
    }

    fn with_token(server: &Program, token: &str, id: usize) -> Self {
        let form = format!("token={token}");
        let (length, address) = (form.len(), id % 250 + 1);
        let network = id / 250;
        let head = format!(
            "POST /auth/sign-in HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nsec-fetch-site: same-origin\r\n\
             x-forwarded-for: 203.0.{network}.{address}\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            server.address
        );
        let answer = exchange(server.address, &head);
        assert_eq!(answer.status, 303, "{}", answer.text);
        let set = answer.text.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        let kept = set.filter(|line| !line.contains("Max-Age=0")).filter_map(|line| line.split(';').next());
        Self { id, cookies: format!("cookie: {}\r\n", kept.collect::<Vec<_>>().join("; ")) }
    }

    /// Waits until they see the VMs of their namespaces, and checks that they see no others.
    fn sees_their_own(&self, server: &Program, until: Instant) {
        let want = NAMESPACES_EACH * VMS as usize / NAMESPACES;
        let list = self.list(server, until, |list| list.len() == want);
        let names: Vec<String> = own_namespaces(self.id).map(namespace).collect();
        let foreign = list.iter().find(|vm| !names.iter().any(|name| vm["namespace"] == **name));
        assert!(foreign.is_none(), "person {} sees {foreign:?}", self.id);
    }

    fn sees_everything(&self, server: &Program, until: Instant) {
        self.list(server, until, |list| list.len() == VMS as usize);
    }

    fn list(
        &self,
        server: &Program,
        until: Instant,
        is_whole: impl Fn(&[serde_json::Value]) -> bool,
    ) -> Vec<serde_json::Value> {
        loop {
            let answer = get(server.address, "/api/vms", &self.cookies);
            let list: Vec<_> = serde_json::from_str(answer.content()).unwrap_or_default();
            if is_whole(&list) {
                return list;
            }
            assert!(Instant::now() < until, "{} VMs, status {}", list.len(), answer.status);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Lets everybody open a page each minute.
fn look_around(server: &Program, people: &[Person]) {
    let (begun, pause) = (Instant::now(), Duration::from_secs(60) / PEOPLE as u32);
    for (at, person) in people.iter().cycle().enumerate() {
        if begun.elapsed() >= STAY {
            return;
        }
        assert_eq!(get(server.address, "/", &person.cookies).status, 200);
        std::thread::sleep((pause * (at + 1) as u32).saturating_sub(begun.elapsed()));
    }
}

/// Returns the CPU time of a page view in milliseconds, without what the program uses anyway in the same time.
fn cpu_of_a_view(server: &Program, people: &[Person], path: &str) -> f64 {
    let mut next = people.iter().cycle();
    let mut round = || {
        let (begun, before) = (Instant::now(), server.cpu());
        for person in next.by_ref().take(VIEWS) {
            assert_eq!(get(server.address, path, &person.cookies).status, 200, "{path}");
            // One person may send fifty requests in a second.
            if people.len() == 1 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let (took, busy) = (begun.elapsed(), server.cpu() - before);
        let before = server.cpu();
        std::thread::sleep(took);
        (busy - (server.cpu() - before)).max(0.0) * 1000.0 / VIEWS as f64
    };
    median((0..ROUNDS).map(|_| round()).collect())
}

/// Returns the resident memory in MB: the median of some seconds, since each collection uses some for a moment.
fn resident(server: &Program) -> f64 {
    let look = |_| {
        std::thread::sleep(Duration::from_millis(500));
        server.rss()
    };
    median((0..41).map(look).collect())
}
