//! A server of a marked cluster, its users, and what was found in its answers.

use std::{
    collections::BTreeSet,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum::http::{Method, header};
use parking_lot::Mutex;
use rand::{Rng, rngs::StdRng};
use serde_json::json;
use tokio::sync::watch;

use super::{
    lists::answer_lists,
    objects::{KINDS, NAMESPACES, NOW, namespace},
    routes::RouteRequest,
    scan::{Facts, plain},
    world::{CanaryCluster, Rights},
};
use crate::server::{
    config::{ClaimMappings, HttpConfig, OidcConfig, SignInMode},
    http::{
        App,
        history::HistoryReader,
        reader::Reader,
        router,
        sign_in::{SessionKeys, SignIn},
        tests::{
            fixture::{Answer, Server, site, snapshot},
            sign_in::{
                auth_proxy::{by_assertion, by_certificate, on_connections_of_the_proxy},
                fixture::SignInServer,
                oidc::{
                    provider::{FakeProvider, SigningKey},
                    realm::{self, Browser},
                },
            },
        },
        vm_events::EventsReader,
    },
};
use collector::{
    events::events_queue,
    long_term::{LongTermHistory, PastQuery, Question, Questions},
};
use model::{
    reason::Reason,
    vm::{Kind, Status},
};
use wukong_core::{
    Limits, Snapshot,
    access::ReviewedResource,
    frame::Identity,
    history::HistoryStore,
    insight::{Findings, Running},
    long_term::{LongTermAnswer, VmSelection},
    observation::{Key, SourceError},
};

/// Somebody who looks at the cluster.
pub struct User {
    pub name: &'static str,
    pub rights: Rights,
}

/// Returns users of every kind. The first is an administrator, the second a tenant.
pub fn users(rng: &mut StdRng) -> Vec<User> {
    let all = |namespaces: &[usize]| {
        namespaces.iter().flat_map(|id| KINDS.map(|kind| (*id, kind))).collect::<Vec<_>>()
    };
    let some = (0..NAMESPACES).filter(|_| rng.random_bool(0.5)).collect::<Vec<_>>();
    let events =
        |of: &[usize], user: User| User { rights: Rights { events: of.to_vec(), ..user.rights }, ..user };
    let user = |name, everywhere: &[Kind], places, nodes| User {
        name,
        rights: Rights { everywhere: everywhere.to_vec(), places, nodes, events: vec![] },
    };
    vec![
        User { name: "administrator", rights: Rights::everything() },
        events(&[0], user("tenant", &[], all(&[0, 1]), false)),
        user("nobody", &[], vec![], false),
        user(
            "picky",
            &[],
            vec![
                (0, Kind::Wukong),
                (1, Kind::VirtualMachine),
                (2, Kind::VirtualMachineInstance),
                (3, Kind::Wukong),
            ],
            false,
        ),
        events(&[2, 3, 5], user("viewer-of-vms", &KINDS, vec![], false)),
        events(&[0, 1, 2, 3, 4, 5, 6], user("viewer-of-nodes", &[], vec![], true)),
        events(&[1, 4], user("viewer-of-wukongs", &[Kind::Wukong], all(&[4]), true)),
        events(&[0, 2, 4, 6], user("somebody", &[], all(&some), rng.random_bool(0.5))),
    ]
}

/// How the users sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    /// By a Kubernetes token. Programs send theirs.
    Token,
    /// At a provider. Programs are scripts of a page.
    Provider,
    /// Through a proxy that sends assertions.
    Assertion,
    /// Through a proxy with a client certificate that names them.
    Headers,
}

pub struct Cluster {
    method: SignInMethod,
    pub gated: SignInServer,
    /// What each user must not find.
    pub hidden: Vec<Facts>,
    /// The instances that the long_term was asked about.
    pub asked: Arc<Mutex<BTreeSet<String>>>,
    /// The instances whose Events were listed.
    pub listed: Arc<Mutex<BTreeSet<String>>>,
    sessions: Vec<(&'static str, String)>,
    _findings: watch::Sender<Arc<Findings>>,
}

fn snapshot_of(seq: u64, world: &CanaryCluster) -> Snapshot {
    Snapshot {
        at: NOW,
        nodes: world.node_objects().into(),
        sources: world.source_states(),
        last_seen: Some(NOW - 2_000),
        ..snapshot(seq, world.vms())
    }
}

fn findings_of(world: &CanaryCluster) -> Findings {
    let mut findings = Findings { at: Some(NOW - 60_000), ..Findings::default() };
    for vm in world.vms().iter().filter(|vm| vm.summary.status == Status::Running) {
        let place = (vm.summary.kind, vm.summary.namespace.as_str().into());
        let running: &mut Running = findings.running.entry(place).or_default();
        running.vms += 1;
        running.judged += 1;
    }
    findings.findings = world.findings().into_iter().map(|(_, finding)| finding).collect();
    findings
}

/// Plays a Prometheus that knows a constant of each VM, or fails with its name.
async fn answer_questions(mut questions: Questions, asked: Arc<Mutex<BTreeSet<String>>>) {
    loop {
        let Question { about: PastQuery { of, times }, reply, .. } = questions.next().await;
        let VmSelection::One { namespace, instance, .. } = of else { panic!("{of:?}") };
        asked.lock().insert(instance.clone());
        let number = instance.bytes().map(u64::from).sum::<u64>();
        reply.send(match number % 3 {
            0 => Err(SourceError { reason: Reason::BadAnswer, detail: instance.into() }),
            _ => {
                let points = vec![Some(number * 1_000_000_000); times.count];
                let cpu = [(Key::new(&namespace, &instance), points)].into();
                Ok(LongTermAnswer { cpu, ..LongTermAnswer::default() })
            }
        });
    }
}

impl SignInMethod {
    fn serve(self, server: Server, provider: &Arc<FakeProvider>, config: &OidcConfig) -> SignInServer {
        let keys = SessionKeys::of_this_process();
        let public_url = (self == Self::Provider).then_some(realm::PUBLIC);
        let mappings = config.mappings.clone();
        let proxy = match self {
            Self::Token | Self::Provider => {
                let with = |sign_in| realm::at(provider, config)(sign_in).without_limits();
                return SignInServer::over(server, public_url, keys, with);
            }
            Self::Assertion => by_assertion(provider, header::AUTHORIZATION, mappings),
            Self::Headers => by_certificate(mappings),
        };
        let modes = [SignInMode::Proxy].into_iter().collect();
        let with = |sign_in: SignIn| sign_in.with_auth_proxy(proxy).without_limits();
        let gated = SignInServer::by(modes, server, public_url, keys, with);
        if self == Self::Headers { on_connections_of_the_proxy(gated) } else { gated }
    }

    /// Returns the header that says who asks.
    fn header(self) -> &'static str {
        match self {
            Self::Token | Self::Provider => "cookie",
            Self::Assertion => "authorization",
            Self::Headers => "x-forwarded-user",
        }
    }
}

impl Cluster {
    pub async fn serve(world: &CanaryCluster, users: &[User], method: SignInMethod) -> Self {
        let snapshot = snapshot_of(1, world);
        let store = Arc::new(HistoryStore::default());
        let limits = Limits {
            most_vms: usize::MAX,
            metrics_interval: 15_000,
            disk_interval: 60_000,
            ceph_interval: 0,
            disk_sources: Vec::new(),
            virt_handler: false,
        };
        store.record(&snapshot.vms, &limits, NOW);
        let (findings, receiver) = watch::channel(Arc::new(findings_of(world)));
        let (long_term, questions) = LongTermHistory::new();
        let asked = Arc::<Mutex<_>>::default();
        tokio::spawn(answer_questions(questions, asked.clone()));
        let (lists, questions) = events_queue();
        let listed = Arc::<Mutex<_>>::default();
        tokio::spawn(answer_lists(questions, world.clone(), listed.clone()));
        let (snapshots, newest) = watch::channel(Arc::new(snapshot));
        let identity = Identity { cluster: "test".into(), demo: false, refresh: 1000 };
        let reader = Reader::new(newest, identity, || NOW);
        let reader = reader.with_history(HistoryReader::new(store, receiver, Some(long_term)));
        let reader = reader.with_events(EventsReader::new(lists));
        let app = App::new(reader, site(), &HttpConfig::default());
        let provider = FakeProvider::new(SigningKey::ecdsa());
        let (config, _secret) =
            realm::config(ClaimMappings { username_prefix: String::new(), ..ClaimMappings::default() });
        let server = Server { router: router(app.clone()), app, snapshots };
        let gated = method.serve(server, &provider, &config);
        let (hidden, sessions) = (Vec::new(), Vec::new());
        let mut cluster = Self { method, gated, hidden, asked, listed, sessions, _findings: findings };
        for user in users {
            cluster.admit(user, &provider).await;
        }
        cluster.expect(world, users);
        cluster
    }

    /// Takes over what users must not find in this world.
    pub fn expect(&mut self, world: &CanaryCluster, users: &[User]) {
        let all = world.facts(&Rights::everything());
        self.hidden = users.iter().map(|user| all.clone().without(&world.facts(&user.rights))).collect();
    }

    async fn admit(&mut self, user: &User, provider: &FakeProvider) {
        let User { name, rights } = user;
        let kubernetes = &self.gated.kubernetes;
        kubernetes.add_user(name);
        for kind in &rights.everywhere {
            kubernetes.allow(name, "", ReviewedResource::Rows(*kind));
        }
        for (id, kind) in &rights.places {
            kubernetes.allow(name, &namespace(*id), ReviewedResource::Rows(*kind));
        }
        if rights.nodes {
            kubernetes.allow(name, "", ReviewedResource::Nodes);
        }
        for id in &rights.events {
            kubernetes.allow(name, &namespace(*id), ReviewedResource::Events);
        }
        let session = match self.method {
            SignInMethod::Token => self.gated.sign_in(name).await,
            SignInMethod::Provider => {
                provider.change(|state| state.claims = json!({"sub": name}));
                let browser = Browser::default();
                realm::sign_in(&self.gated, provider, &browser, "%2F").await;
                browser.cookies()
            }
            SignInMethod::Assertion => {
                let mut token = String::new();
                provider.change(|state| {
                    state.claims = json!({"sub": name});
                    token = state.id_token("");
                });
                format!("Bearer {token}")
            }
            SignInMethod::Headers => (*name).to_owned(),
        };
        self.sessions.push((*name, session));
    }

    pub fn publish(&self, seq: u64, world: &CanaryCluster) {
        self.gated.server.snapshots.send_replace(Arc::new(snapshot_of(seq, world)));
    }

    pub fn session(&self, user: &User) -> &str {
        &self.sessions.iter().find(|(name, _)| *name == user.name).expect("they are signed in").1
    }

    /// Sends a request of a browser.
    pub async fn get(&self, user: &User, url: &str, headers: &[(&str, &str)]) -> Answer {
        let own = [("host", "localhost"), (self.method.header(), self.session(user))];
        self.gated.server.send(Method::GET, url, &[&own[..], headers].concat()).await
    }

    pub async fn send(&self, user: &User, request: &RouteRequest) -> Answer {
        if !request.by_program || self.method != SignInMethod::Token {
            return self.get(user, &request.url, &request.headers).await;
        }
        let token = format!("Bearer {}", user.name);
        let own = [("authorization", token.as_str())];
        self.gated.server.send(Method::GET, &request.url, &[&own[..], &request.headers[..]].concat()).await
    }
}

/// What the checks found.
#[derive(Default)]
pub struct Report {
    /// Check, user, request, what is wrong.
    findings: Vec<(&'static str, String)>,
}

impl Report {
    fn add(&mut self, check: &'static str, user: &User, url: &str, what: &str) {
        self.findings.push((check, format!("{} {url}: {what}", user.name)));
    }

    /// Looks for hidden marks and numbers. What the user asked for by name may come back in the answer.
    pub fn canary(&mut self, user: &User, url: &str, found: &Facts, hidden: &Facts) {
        let leaked = found.among(hidden).without(&Facts::of(url.as_bytes()));
        if !leaked.is_empty() {
            self.add("canary", user, url, &format!("{leaked:?}"));
        }
    }

    /// Compares an answer with that of the twin.
    pub fn twin(&mut self, user: &User, url: &str, answer: &Answer, twin: &Answer) {
        self.same(user, url, &comparable(answer), &comparable(twin));
    }

    /// Compares texts of an answer with those of the twin.
    pub fn same(&mut self, user: &User, url: &str, one: &str, other: &str) {
        if one != other {
            self.add("twin", user, url, &difference(one, other));
        }
    }

    pub fn model(&mut self, user: &User, url: &str, check: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            self.add("model", user, url, &text);
        }
    }

    pub fn assert_empty(&self) {
        let mut text = String::new();
        for check in ["canary", "twin", "model"] {
            let found: Vec<&String> =
                self.findings.iter().filter(|(by, _)| *by == check).map(|(_, what)| what).collect();
            let _ = writeln!(text, "{check}: {}", found.len());
            for what in found.into_iter().take(12) {
                let _ = writeln!(text, "  {}", what.chars().take(600).collect::<String>());
            }
        }
        assert!(self.findings.is_empty(), "{text}");
    }
}

/// Returns everything of an answer but what is random. Compressed, the length depends on the nonce.
fn comparable(answer: &Answer) -> String {
    let is_compressed = answer.headers.contains_key("content-encoding");
    let ignored = ["x-request-id", "set-cookie", if is_compressed { "content-length" } else { "" }];
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !ignored.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let body: String = plain(answer).into_iter().map(char::from).collect();
    let text = format!("{}\n{}\n{body}", answer.status, headers.join("\n"));
    // How long ago the user signed in is no secret of the cluster.
    let text = match text.split_once("data-renew=\"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((seconds, _)) => text.replace(&format!("data-renew=\"{seconds}\""), "data-renew"),
        None => text,
    };
    match text.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')) {
        Some((nonce, _)) => text.replace(nonce, "NONCE"),
        None => text,
    }
}

fn difference(one: &str, other: &str) -> String {
    let at = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let bytes = &text.as_bytes()[at.saturating_sub(60)..text.len().min(at + 100)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    format!("{:?} but {:?}", part(one), part(other))
}
