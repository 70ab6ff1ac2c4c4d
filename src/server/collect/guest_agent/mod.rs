//! Guest agents' file systems, through KubeVirt's API: a few guests at a time, spread over the interval.
//!
//! Every answer costs virt-api, virt-handler and a guest some work, so no more guests are asked in an interval than
//! there are. A denial, or an API that is not there, is the same for all guests: then one of them is asked an
//! interval, and the others are told why they are not.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    Closed, Outlet,
    error::{Access, Failure, seconds, source_error, transport_error},
    now,
    poll::{Asker, Pace},
};
use crate::{
    model::{reason::Reason, source::SourceId},
    server::{
        config::{CollectConfig, is_dns_label},
        k8s::guest_agent::{self as wire, FilesystemList},
        snapshot::facts::{Filesystem, Key, Observation, SourceError, Targets},
    },
};

const RESOURCE: &str = "virtualmachineinstances/filesystemlist.subresources.kubevirt.io";
/// A guest writes its own answer: what is read and kept of it is bounded, since there may be ten thousand of them.
const LARGEST_ANSWER: usize = 1 << 20;
const FILESYSTEMS: usize = 32;
const SERIALS: usize = 8;
/// Bytes of a name; longer ones are cut.
const LONGEST_NAME: usize = 200;
/// Bytes of a serial; a longer one is left out, since one that was cut might be another's.
const LONGEST_SERIAL: usize = 128;
/// Between the starts of two requests, or less where an interval has not that much for each guest.
const GAP: Duration = Duration::from_millis(100);

/// Asks new guests as soon as it is their turn, then each once an interval, until nobody listens.
pub async fn poll(
    asker: Asker,
    config: &CollectConfig,
    mut targets: watch::Receiver<Targets>,
    outlet: Outlet,
) -> Result<(), Closed> {
    let mut round = Round::new(asker, config, outlet);
    let mut publishing = true;
    loop {
        let guests = targets.borrow_and_update().guests.clone();
        round.aim(&guests);
        round.tell().await?;
        let due = round.start_due();
        tokio::select! {
            changed = targets.changed(), if publishing => publishing = changed.is_ok(),
            Some(done) = round.asked.join_next() => round.finish(done)?,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            // No guest to ask, and nobody who could name one any more.
            else => return Err(Closed),
        }
    }
}

/// One guest that is asked again and again.
#[derive(Debug)]
struct Guest {
    due: Instant,
    asked: bool,
    /// It did not answer in time when it was last asked.
    suspect: bool,
    /// In a row.
    failures: u32,
    /// False once it is no target any more; then it is forgotten as soon as its answer has come.
    wanted: bool,
}

/// Guests that one permission is for: those of a namespace, or all.
#[derive(Debug, Default)]
struct Scope {
    guests: HashMap<Arc<Key>, Guest>,
    /// Those that are not being asked, by when they are due: first who answered in time, then suspects.
    waiting: [BTreeSet<(Instant, Arc<Key>)>; 2],
    running: usize,
    /// Suspects among them.
    hanging: usize,
    gate: Option<Gate>,
}

/// Nobody of a scope may be asked; one is, now and then, to see whether that has changed.
#[derive(Debug)]
struct Gate {
    probe_at: Instant,
    error: SourceError,
}

/// The end of one request.
struct Asked {
    guest: Arc<Key>,
    started: Instant,
    /// None: nobody listens any more.
    outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// It has no agent to ask.
    Off,
    Failed,
    Late,
    /// The API server could not be reached, or asks to be left alone for so long.
    Away(Duration),
    /// No guest can be asked.
    Denied(SourceError),
}

/// The next request, and when it may start.
struct Next {
    at: Instant,
    scope: String,
    guest: Arc<Key>,
}

struct Round {
    asker: Asker,
    outlet: Outlet,
    slots: usize,
    /// Permissions are asked for by namespace.
    by_namespace: bool,
    scopes: BTreeMap<String, Scope>,
    aimed: Arc<[Key]>,
    asked: JoinSet<Asked>,
    pace: Pace,
    /// What every guest's own moment in the interval is counted from.
    begun: Instant,
    /// Nothing starts before this.
    free: Instant,
    /// Set while the API server is away: when one guest is asked whether it is back.
    probe_at: Option<Instant>,
    /// Who is to be told why nobody asks them.
    untold: Vec<(Arc<Key>, SourceError)>,
}

impl Round {
    fn new(asker: Asker, config: &CollectConfig, outlet: Outlet) -> Self {
        Self {
            asker: Asker { limit: asker.limit.min(LARGEST_ANSWER), ..asker },
            outlet,
            slots: config.guest_concurrency.max(1),
            by_namespace: config.namespaces.is_some(),
            scopes: BTreeMap::new(),
            aimed: Arc::default(),
            asked: JoinSet::new(),
            pace: Pace::new(config.disk_interval),
            begun: Instant::now(),
            free: Instant::now(),
            probe_at: None,
            untold: Vec::new(),
        }
    }

    /// New guests are due at once; those that are no target any more are forgotten.
    fn aim(&mut self, targets: &Arc<[Key]>) {
        if Arc::ptr_eq(targets, &self.aimed) {
            return;
        }
        self.aimed = targets.clone();
        let wanted: HashSet<&Key> = targets.iter().collect();
        self.scopes.values_mut().for_each(|scope| scope.retain(&wanted));
        for target in targets.iter() {
            let scope = self.scope_of(target);
            let scope = self.scopes.entry(scope).or_default();
            self.untold.extend(scope.admit(target, Instant::now()));
        }
    }

    fn scope_of(&self, guest: &Key) -> String {
        if self.by_namespace { guest.namespace.to_string() } else { String::new() }
    }

    async fn tell(&mut self) -> Result<(), Closed> {
        for (guest, error) in std::mem::take(&mut self.untold) {
            send(&self.outlet, &guest, Err(error)).await?;
        }
        Ok(())
    }

    /// Starts what may start now, and says when the next may.
    fn start_due(&mut self) -> Option<Instant> {
        loop {
            let now = Instant::now();
            match self.next(now) {
                Some(next) if next.at <= now => self.start(&next.scope, next.guest, now),
                later => return later.map(|next| next.at),
            }
        }
    }

    /// None while every slot is taken, or there is nobody to ask.
    fn next(&self, now: Instant) -> Option<Next> {
        let slots = if self.probe_at.is_some() { 1 } else { self.slots };
        if self.asked.len() >= slots {
            return None;
        }
        let hanging: usize = self.scopes.values().map(|scope| scope.hanging).sum();
        let room_for_suspects = hanging < (self.slots / 2).max(1);
        let free = self.free.max(self.probe_at.unwrap_or(self.free));
        let heads = self.scopes.iter().filter_map(|(name, scope)| {
            let (suspect, due, guest) = scope.next(now, room_for_suspects)?;
            Some((due.max(free).max(now), suspect, due, name, guest))
        });
        let (_, _, due, scope, guest) = heads.min_by_key(|(at, suspect, due, ..)| (*at, *suspect, *due))?;
        Some(Next { at: due.max(free), scope: scope.clone(), guest: guest.clone() })
    }

    fn start(&mut self, scope: &str, guest: Arc<Key>, now: Instant) {
        self.free = now + self.gap();
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.begin(&guest);
        }
        let access = self.access(&guest);
        let (asker, outlet) = (self.asker.clone(), self.outlet.clone());
        self.asked.spawn(async move {
            let outcome = ask(&asker, &guest, &access, &outlet).await.ok();
            Asked { guest, started: now, outcome }
        });
    }

    /// So that no more are asked in an interval than there are.
    fn gap(&self) -> Duration {
        let guests = u32::try_from(self.aimed.len()).unwrap_or(u32::MAX).max(1);
        (self.pace.interval() / guests).min(GAP)
    }

    fn access(&self, guest: &Key) -> Access {
        let namespace = self.by_namespace.then(|| guest.namespace.to_string());
        Access { resource: RESOURCE.into(), namespace }
    }

    fn finish(&mut self, done: Result<Asked, JoinError>) -> Result<(), Closed> {
        let Ok(Asked { guest, started, outcome }) = done else {
            // A panic while asking: which guest it was is lost with the task, so all are asked anew.
            tracing::error!("asking a guest agent failed inside this program");
            self.asked = JoinSet::new();
            self.scopes.clear();
            self.aimed = Arc::default();
            return Ok(());
        };
        let outcome = outcome.ok_or(Closed)?;
        let now = Instant::now();
        self.judge(&guest, &outcome, now);
        let due = self.due_again(&guest, &outcome, started, now);
        let scope = self.scope_of(&guest);
        if let Some(scope) = self.scopes.get_mut(&scope) {
            scope.end(&guest, due, &outcome);
        }
        Ok(())
    }

    /// What one answer means for all.
    fn judge(&mut self, guest: &Key, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::Away(wait) => return self.hold(*wait, now),
            // No proof that the API server is back, or that anybody may be asked: a guest that hangs looks the same.
            Outcome::Late => return self.put_off_probe(guest, now),
            Outcome::Answered => {
                self.pace.succeeded();
            }
            Outcome::Off | Outcome::Failed | Outcome::Denied(_) => {}
        }
        self.probe_at = None;
        match outcome {
            Outcome::Denied(error) => self.close(guest, error, now),
            _ => self.open(guest, now),
        }
    }

    /// Holds everything back; of many that fail together the first decides for how long.
    fn hold(&mut self, wait: Duration, now: Instant) {
        self.pace.away(now);
        if self.probe_at.is_none_or(|at| at <= now) {
            self.probe_at = Some(now + self.pace.soon().max(wait));
        }
    }

    /// A kube-apiserver that starts denies everything for a moment: then the probe comes soon.
    fn close(&mut self, guest: &Key, error: &SourceError, now: Instant) {
        let wait = if self.pace.settling(now) { self.pace.soon() } else { self.pace.interval() };
        let gate = Gate { probe_at: now + wait, error: error.clone() };
        let scope = self.scopes.entry(self.scope_of(guest)).or_default();
        let before = scope.gate.replace(gate);
        if before.is_none_or(|gate| gate.error != *error) {
            let others = scope.guests.keys().filter(|other| ***other != *guest);
            self.untold.extend(others.map(|other| (other.clone(), error.clone())));
        }
    }

    fn put_off_probe(&mut self, guest: &Key, now: Instant) {
        let (scope, interval) = (self.scope_of(guest), self.pace.interval());
        if let Some(gate) = self.scopes.get_mut(&scope).and_then(|scope| scope.gate.as_mut()) {
            gate.probe_at = now + interval;
        }
    }

    /// Whoever was not asked meanwhile is due.
    fn open(&mut self, guest: &Key, now: Instant) {
        let scope = self.scope_of(guest);
        if let Some(scope) = self.scopes.get_mut(&scope).filter(|scope| scope.gate.is_some()) {
            scope.gate = None;
            scope.all_due(now);
        }
    }

    fn due_again(&self, guest: &Key, outcome: &Outcome, started: Instant, now: Instant) -> Instant {
        let interval = self.pace.interval();
        let failures = self.scopes.get(&self.scope_of(guest)).and_then(|scope| scope.guests.get(guest));
        let failures = failures.map_or(0, |guest| guest.failures);
        match outcome {
            // It was not its turn that failed.
            Outcome::Away(_) => now,
            // An eighth of an interval, then twice that, up to all of it.
            Outcome::Failed | Outcome::Late if failures < 3 => now + interval / (8 >> failures),
            _ => self.own_moment(guest, started + interval / 2),
        }
    }

    /// Each guest has its own moment in the interval, so that they spread over all of it. The first after this.
    fn own_moment(&self, guest: &Key, after: Instant) -> Instant {
        let interval = self.pace.interval().as_nanos().max(1);
        let mut hasher = DefaultHasher::new();
        guest.hash(&mut hasher);
        let moment = u128::from(hasher.finish()) % interval;
        let passed = after.duration_since(self.begun).as_nanos();
        let rounds = passed.saturating_sub(moment).div_ceil(interval);
        let nanos = u64::try_from(rounds * interval + moment).unwrap_or(u64::MAX);
        self.begun + Duration::from_nanos(nanos)
    }
}

impl Scope {
    fn retain(&mut self, wanted: &HashSet<&Key>) {
        self.guests.values_mut().for_each(|guest| guest.wanted = false);
        for key in wanted {
            if let Some(guest) = self.guests.get_mut(*key) {
                guest.wanted = true;
            }
        }
        self.guests.retain(|_, guest| guest.wanted || guest.asked);
        let guests = &self.guests;
        self.waiting.iter_mut().for_each(|queue| queue.retain(|(_, key)| guests.contains_key(key)));
    }

    /// What a new guest has to be told at once, if it cannot be asked.
    fn admit(&mut self, target: &Key, now: Instant) -> Option<(Arc<Key>, SourceError)> {
        if self.guests.contains_key(target) {
            return None;
        }
        let key = Arc::new(target.clone());
        let guest = Guest { due: now, asked: false, suspect: false, failures: 0, wanted: true };
        self.guests.insert(key.clone(), guest);
        self.waiting[0].insert((now, key.clone()));
        self.gate.as_ref().map(|gate| (key, gate.error.clone()))
    }

    /// Whether it is a suspect, when it is due, and who it is. Suspects go when nobody else is due.
    fn next(&self, now: Instant, room_for_suspects: bool) -> Option<(bool, Instant, &Arc<Key>)> {
        let [well, suspects] = &self.waiting;
        if let Some(gate) = &self.gate {
            let (_, guest) = well.first().or(suspects.first()).filter(|_| self.running == 0)?;
            return Some((false, gate.probe_at, guest));
        }
        let well = well.first().map(|(due, guest)| (false, *due, guest));
        let suspect = suspects.first().filter(|_| room_for_suspects);
        let suspect = suspect.map(|(due, guest)| (true, *due, guest));
        well.into_iter().chain(suspect).min_by_key(|(suspect, due, _)| ((*due).max(now), *suspect))
    }

    fn begin(&mut self, key: &Arc<Key>) {
        if let Some(guest) = self.guests.get_mut(key) {
            self.waiting[usize::from(guest.suspect)].remove(&(guest.due, key.clone()));
            guest.asked = true;
            self.running += 1;
            self.hanging += usize::from(guest.suspect);
        }
    }

    fn end(&mut self, key: &Arc<Key>, due: Instant, outcome: &Outcome) {
        let Some(guest) = self.guests.get_mut(key) else { return };
        self.running = self.running.saturating_sub(1);
        self.hanging = self.hanging.saturating_sub(usize::from(guest.suspect));
        guest.asked = false;
        if !guest.wanted {
            self.guests.remove(key);
            return;
        }
        (guest.due, guest.suspect) = (due, *outcome == Outcome::Late);
        guest.failures = match outcome {
            Outcome::Failed | Outcome::Late => guest.failures.saturating_add(1),
            _ => 0,
        };
        self.waiting[usize::from(guest.suspect)].insert((due, key.clone()));
    }

    fn all_due(&mut self, now: Instant) {
        for (key, guest) in self.guests.iter_mut().filter(|(_, guest)| !guest.asked && guest.due > now) {
            let queue = &mut self.waiting[usize::from(guest.suspect)];
            queue.remove(&(guest.due, key.clone()));
            guest.due = now;
            queue.insert((now, key.clone()));
        }
    }
}

async fn ask(asker: &Asker, guest: &Key, access: &Access, outlet: &Outlet) -> Result<Outcome, Closed> {
    let started = Instant::now();
    let result = match path(guest) {
        Some(path) => asker.ask_recoded(&path, decode, recode).await,
        None => Err(Failure::BadName),
    };
    let result =
        result.map_err(|failure| (outcome(access, guest, &failure), describe(access, guest, &failure)));
    let (outcome, result) = match result {
        Ok(filesystems) => (Outcome::Answered, Ok(filesystems)),
        Err((outcome, error)) => (outcome, Err(error)),
    };
    if outcome == Outcome::Answered {
        outlet.took(SourceId::GuestAgent, started).await?;
    }
    send(outlet, guest, result).await?;
    Ok(outcome)
}

async fn send(
    outlet: &Outlet,
    guest: &Key,
    result: Result<Vec<Filesystem>, SourceError>,
) -> Result<(), Closed> {
    outlet.send(Observation::Filesystems { instance: guest.clone(), at: now(), result }).await
}

/// None for what cannot be a namespace and an instance's name: one with slashes would choose which path this program's
/// credentials are used on.
fn path(guest: &Key) -> Option<String> {
    let Key { namespace, name } = guest;
    let valid = is_dns_label(namespace) && name.len() <= 253 && name.split('.').all(is_dns_label);
    valid.then(|| {
        format!(
            "/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}/filesystemlist"
        )
    })
}

/// virt-api says in words what its codes do not tell apart: that the agent is off (500 before KubeVirt 1.0), and that
/// the instance is gone (404, as it is where the API is absent).
fn recode(code: StatusCode, says: &[u8]) -> StatusCode {
    let says = String::from_utf8_lossy(says).to_ascii_lowercase();
    match code {
        StatusCode::INTERNAL_SERVER_ERROR if says.contains("guest agent") => StatusCode::CONFLICT,
        StatusCode::NOT_FOUND if says.contains("virtualmachineinstance") && says.contains("not found") => {
            StatusCode::GONE
        }
        code => code,
    }
}

fn outcome(access: &Access, guest: &Key, failure: &Failure) -> Outcome {
    match failure {
        Failure::Late(_) => Outcome::Late,
        failure if failure.is_transport() => Outcome::Away(Duration::ZERO),
        Failure::Status { code, retry_after } => match code.as_u16() {
            401 | 403 | 404 => Outcome::Denied(describe(access, guest, failure)),
            409 | 410 => Outcome::Off,
            429 => Outcome::Away(retry_after.unwrap_or_default()),
            _ => Outcome::Failed,
        },
        _ => Outcome::Failed,
    }
}

fn describe(access: &Access, guest: &Key, failure: &Failure) -> SourceError {
    let Key { namespace, name } = guest;
    match failure {
        Failure::Late(deadline) => source_error(
            Reason::TimedOut,
            format!("no answer from the guest agent of {namespace}/{name} within {}", seconds(*deadline)),
        ),
        Failure::Transport(error) => transport_error(error.as_ref()),
        Failure::Status { code, .. } => match code.as_u16() {
            409 => source_error(
                Reason::AgentOff,
                format!("the guest agent of {namespace}/{name} is not connected"),
            ),
            410 => source_error(Reason::NotRunning, format!("{namespace}/{name} has no instance any more")),
            // What virt-api says when virt-handler, or the launcher, does not answer it.
            code @ (500 | 502) => source_error(
                Reason::Unreachable,
                format!("the guest agent of {namespace}/{name} cannot be reached ({code})"),
            ),
            code => access.status_error(code, "get"),
        },
        Failure::TooLarge(_) | Failure::Undecodable => {
            source_error(Reason::BadAnswer, format!("guest agent of {namespace}/{name}: {failure}"))
        }
        Failure::BadName => source_error(Reason::NotReported, "the name of its instance is not valid"),
        Failure::Own(error) => error.clone(),
    }
}

fn decode(answer: &[u8]) -> Option<Vec<Filesystem>> {
    let list: FilesystemList = serde_json::from_slice(answer).ok()?;
    Some(list.items.into_iter().take(FILESYSTEMS).map(|item| filesystem(item.0)).collect())
}

/// A file system that holds nothing still takes something for itself: 0 used is what an agent says that cannot tell.
fn filesystem(item: wire::Filesystem) -> Filesystem {
    let known = |bytes: Option<u64>| bytes.filter(|bytes| *bytes > 0);
    let serials = item.disk.0.into_iter().map(|disk| disk.serial.0);
    let usable = |serial: &String| (1..=LONGEST_SERIAL).contains(&serial.len());
    Filesystem {
        used: known(item.used_bytes.bytes()),
        total: known(item.total_bytes.bytes()),
        disk_name: cut(item.disk_name.0),
        mount_point: cut(item.mount_point.0),
        kind: cut(item.file_system_type.0),
        serials: serials.filter(usable).take(SERIALS).collect(),
    }
}

fn cut(mut name: String) -> String {
    if name.len() > LONGEST_NAME {
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        name.shrink_to_fit();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"apiVersion": "subresources.kubevirt.io/v1", "kind": "VirtualMachineInstanceFileSystemList", "metadata": {}, "items": [
        {"diskName": "vda1", "mountPoint": "/", "fileSystemType": "ext4", "usedBytes": 3221225472, "totalBytes": 20816896000,
            "disk": [{"serial": "ROOT-1", "busType": "virtio"}]},
        {"diskName": "vdb", "mountPoint": "/data", "fileSystemType": "xfs", "usedBytes": 0, "totalBytes": 1073741824}]}"#;

    fn one(item: &str) -> Filesystem {
        decode(format!(r#"{{"items": [{item}]}}"#).as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn file_systems_with_their_disks() {
        let want = [
            Filesystem {
                disk_name: "vda1".into(),
                mount_point: "/".into(),
                kind: "ext4".into(),
                used: Some(3 << 30),
                total: Some(20_816_896_000),
                serials: vec!["ROOT-1".into()],
            },
            Filesystem {
                disk_name: "vdb".into(),
                mount_point: "/data".into(),
                kind: "xfs".into(),
                used: None,
                total: Some(1 << 30),
                serials: vec![],
            },
        ];
        assert_eq!(decode(ANSWER.as_bytes()).unwrap(), want);
    }

    #[test]
    fn what_an_agent_cannot_tell_is_unknown_and_never_nothing() {
        for (used, total, want) in [
            ("5", "9", (Some(5), Some(9))),
            ("0", "9", (None, Some(9))),
            ("0", "0", (None, None)),
            ("-1", "9", (None, Some(9))),
            ("9223372036854775808", "9223372036854775807", (None, Some((1 << 63) - 1))),
            ("1.5", "\"about 9\"", (None, None)),
            ("null", "{}", (None, None)),
        ] {
            let got = one(&format!(r#"{{"diskName": "vda", "usedBytes": {used}, "totalBytes": {total}}}"#));
            assert_eq!((got.used, got.total), want, "{used} of {total}");
        }
    }

    #[test]
    fn a_guest_cannot_fill_this_program_s_memory() {
        let (long, cut_short) = ("é".repeat(5000), "é".repeat(LONGEST_NAME / 2));
        let item = format!(
            r#"{{"diskName": "{long}", "mountPoint": "{long}", "fileSystemType": "{long}", "disk": [{}{{"serial": "{long}"}}]}}"#,
            r#"{"serial": "s"}, "#.repeat(100)
        );
        let found = one(&item);
        assert_eq!([&found.disk_name, &found.mount_point, &found.kind], [&cut_short; 3]);
        assert_eq!(found.serials, vec!["s"; SERIALS]);
        assert_eq!(one(&format!(r#"{{"disk": [{{"serial": "{long}"}}]}}"#)).serials, [""; 0]);
        let many = format!(r#"{{"items": [{}{{}}]}}"#, "{}, ".repeat(1000));
        assert_eq!(decode(many.as_bytes()).unwrap().len(), FILESYSTEMS);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for json in ["", "{}", "[]", "null", r#"{"items": 3}"#, r#"{"items": [{"diskName":"#, "<html>"] {
            assert!(decode(json.as_bytes()).is_none(), "{json}");
        }
        assert_eq!(decode(br#"{"items": null}"#), Some(vec![]));
        assert_eq!(decode(br#"{"items": [7]}"#), Some(vec![Filesystem::default()]));
    }

    #[test]
    fn a_name_cannot_choose_another_path() {
        let of = |namespace: &str, name: &str| path(&Key::new(namespace, name));
        assert_eq!(
            of("prod", "web.1").unwrap(),
            "/apis/subresources.kubevirt.io/v1/namespaces/prod/virtualmachineinstances/web.1/filesystemlist"
        );
        for name in ["", ".", "..", "../../secrets", "a/b", "a?b", "a%2fb", "a b", "A", "-a", "a.", "a#"] {
            assert_eq!((of("prod", name), of(name, "web")), (None, None), "{name}");
        }
        assert_eq!(of("prod", &"a".repeat(254)), None);
    }

    #[test]
    fn an_agent_that_is_off_and_an_instance_that_is_gone_are_known_by_their_words() {
        for (code, says, want) in [
            (
                500,
                r#"{"kind":"Status","message":"Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"web\": VMI does not have guest agent connected"}"#,
                409,
            ),
            (500, "dial tcp: connection refused", 500),
            (
                404,
                r#"{"kind":"Status","message":"virtualmachineinstance.kubevirt.io \"web\" not found"}"#,
                410,
            ),
            (404, "404 page not found\n", 404),
            (403, "guest agent", 403),
        ] {
            let code = StatusCode::from_u16(code).unwrap();
            assert_eq!(recode(code, says.as_bytes()).as_u16(), want, "{says}");
        }
    }

    #[test]
    fn each_failure_has_its_reason_and_leaks_nothing() {
        let (guest, access) =
            (Key::new("prod", "web"), Access { resource: RESOURCE.into(), namespace: None });
        for (code, reason, words) in [
            (401, Reason::Forbidden, "credentials"),
            (
                403,
                Reason::Forbidden,
                "get virtualmachineinstances/filesystemlist.subresources.kubevirt.io at cluster",
            ),
            (
                404,
                Reason::ApiAbsent,
                "does not serve virtualmachineinstances/filesystemlist.subresources.kubevirt.io",
            ),
            (409, Reason::AgentOff, "prod/web"),
            (410, Reason::NotRunning, "prod/web"),
            (429, Reason::Unreachable, "fewer requests"),
            (500, Reason::Unreachable, "prod/web cannot be reached (500)"),
            (503, Reason::Unreachable, "unavailable (503)"),
            (504, Reason::TimedOut, "timed out"),
            (302, Reason::BadAnswer, "302"),
        ] {
            let code = StatusCode::from_u16(code).unwrap();
            let error = describe(&access, &guest, &Failure::Status { code, retry_after: None });
            assert_eq!(error.reason, reason, "{code}");
            assert!(error.detail.contains(words), "{code}: {}", error.detail);
        }
        let late = describe(&access, &guest, &Failure::Late(Duration::from_secs(5)));
        assert_eq!(late.detail, "no answer from the guest agent of prod/web within 5 s");
    }
}
