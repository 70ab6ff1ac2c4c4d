//! Many people at a real API server: how many reviews they cost, counted in its audit log, and what they see while it is
//! away.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    harness::{
        access::Access,
        audit::AuditEntry,
        control_plane::{ControlPlane, PEOPLE, person},
        program::Program,
        shared::run_alone,
        wait::{check, within},
    },
    reviews::RBAC,
};

const NAMESPACES: usize = 1_000;
/// The person who is followed from before the outage to after it.
const WITNESS: usize = 0;
/// Requests of this test at once.
const AT_ONCE: usize = 24;
/// People of one address, of which each may present thirty unknown tokens in a minute.
const OF_AN_ADDRESS: usize = 20;
/// The questions about the whole cluster, and the one about a person's own namespace.
const EACH: usize = 5;
/// Reviews in a second: the budget, and those that look for rights that no binding hints at.
const BUDGET: usize = 150;
const SWEEP: usize = 20;
const SOON: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn many_people_cost_few_reviews_and_outlive_the_api_server() {
    run_alone(async {
        let cluster = PeopleCluster::start().await;
        cluster.fill(WITNESS..WITNESS + 1).await;
        cluster.all_see_their_own(WITNESS..WITNESS + 1).await;
        let stream = Follower::follow(&cluster.program, &person(WITNESS)).await;
        cluster.fill(1..NAMESPACES).await;
        cluster.are_known(NAMESPACES).await;
        let mut known = 2;
        for people in [1..2, 2..51, 51..PEOPLE] {
            let number = people.len();
            cluster.cost_no_more_than_they_must(people, known).await;
            known += number;
        }
        cluster.page_views_present_no_token_again().await;
        cluster.stay_within_the_budget();
        cluster.plane.stop_api_server();
        let away = cluster.outlive_the_api_server().await;
        cluster.plane.start_api_server();
        cluster.plane.ready().await;
        away.unwrap();
        cluster.are_renewed().await.unwrap();
        assert!(!stream.has_ended(), "the stream goes on");
        cluster.revoke(WITNESS).await;
        within(SOON, async || check(stream.text().ends_with_no_vms(), || stream.text())).await.unwrap();
    });
}

struct PeopleCluster {
    plane: ControlPlane,
    access: Access,
    program: Program,
    started: Instant,
}

fn namespace(id: usize) -> String {
    format!("ns-{id:04}")
}

impl PeopleCluster {
    async fn start() -> Self {
        let plane = ControlPlane::start(6).await;
        plane.install_crds().await;
        let access = Access::install(&plane, "crowd").await;
        let rules =
            json!([{"apiGroups": ["vm.novasphere.dev"], "resources": ["wukongs"], "verbs": ["list"]}]);
        let metadata = json!({"name": "of-the-crowd"});
        plane
            .api
            .create(&json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": metadata, "rules": rules}))
            .await;
        let program =
            Program::start_with_flags(&access.kubeconfig, "crowd", plane.dir(), &["--sign-in=token"]);
        Self { plane, access, program, started: Instant::now() }
    }

    /// Makes namespaces with a VM each; the person of that number may look into it.
    async fn fill(&self, ids: std::ops::Range<usize>) {
        stream::iter(ids).for_each_concurrent(AT_ONCE, |id| self.make(id)).await;
    }

    async fn make(&self, id: usize) {
        let (api, name) = (&self.plane.api, namespace(id));
        api.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
        let spec = json!({"cpu": 1, "memory": "1Gi", "osImage": "debian-13"});
        api.create(&json!({"apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong",
            "metadata": {"name": "web", "namespace": name}, "spec": spec}))
            .await;
        if id < PEOPLE {
            let group = "rbac.authorization.k8s.io";
            api.create(&json!({"apiVersion": RBAC, "kind": "RoleBinding",
                "metadata": {"name": "look", "namespace": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "of-the-crowd"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": format!("person-{id}")}]}))
                .await;
        }
    }

    async fn revoke(&self, id: usize) {
        let path = format!("/apis/{RBAC}/namespaces/{}/rolebindings/look", namespace(id));
        self.plane.api.delete(&path).await;
    }

    /// Waits until the program shows that many VMs to the administrator.
    async fn are_known(&self, vms: usize) {
        let client = client(Ipv4Addr::LOCALHOST);
        let shown = within(SOON, async || {
            let seen = seen(&client, &self.program.url, self.plane.admin_token()).await?;
            check(seen.len() == vms, || format!("{} namespaces", seen.len()))
        });
        shown.await.unwrap();
    }

    /// Lets these people look until each sees their own namespace. Fails if one sees another.
    async fn all_see_their_own(&self, people: std::ops::Range<usize>) {
        let look = |id: usize| async move {
            let client = client(Ipv4Addr::new(127, 0, 1, (1 + id / OF_AN_ADDRESS) as u8));
            let shown = within(SOON, async || {
                let seen = seen(&client, &self.program.url, &person(id)).await?;
                check(!seen.is_empty(), || format!("person {id} sees nothing"))?;
                Ok(seen)
            });
            assert_eq!(shown.await.unwrap(), BTreeSet::from([namespace(id)]), "person {id}");
        };
        stream::iter(people).for_each_concurrent(AT_ONCE, look).await;
    }

    fn reviews(&self, kind: &str) -> Vec<AuditEntry> {
        let requests = self.plane.audit().of(&self.access.user());
        requests.into_iter().filter(|request| request.uri.ends_with(kind)).collect()
    }

    /// These people come, to a program that knows others already.
    async fn cost_no_more_than_they_must(&self, people: std::ops::Range<usize>, known: usize) {
        let (rights, tokens) =
            (self.reviews("/subjectaccessreviews").len(), self.reviews("/tokenreviews").len());
        let (begun, number) = (Instant::now(), people.len());
        self.all_see_their_own(people).await;
        let seconds = begun.elapsed().as_secs() as usize + 1;
        // Everybody is renewed after 40 s, and whose token it is after 55; at the earliest some are due now.
        let (all, renewals) = (number + known, 1 + seconds / 40);
        let asked = self.reviews("/subjectaccessreviews").len() - rights;
        let most = EACH * all * renewals + EACH * number + SWEEP * (seconds + 1);
        assert!((EACH * number..=most).contains(&asked), "{asked} reviews of {number} people in {seconds} s");
        // For the audience of the dashboard, and for the API server's own.
        let asked = self.reviews("/tokenreviews").len() - tokens;
        let most = 2 * number + 2 * all * (1 + seconds / 55);
        assert!((2 * number..=most).contains(&asked), "{asked} reviews of {number} tokens in {seconds} s");
    }

    async fn page_views_present_no_token_again(&self) {
        let of = || self.reviews("/tokenreviews").len();
        let (before, begun) = (of(), Instant::now());
        for path in ["/api/vms", "/api/stats", "/api/sources"].iter().cycle().take(30) {
            assert_eq!(self.program.get_as(&person(PEOPLE - 1), path).await.status, 200, "{path}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the token was due again");
        // The stream of the witness has its token reviewed once a minute.
        assert!(of() - before <= 2, "{} reviews", of() - before);
    }

    /// No five seconds have more reviews than five seconds' budget, and one that was saved up.
    fn stay_within_the_budget(&self) {
        let times: Vec<i64> =
            self.reviews("accessreviews").iter().map(|request| request.received_ms).collect();
        let of_five = |from: &i64| times.iter().filter(|at| (*from..*from + 5_000).contains(*at)).count();
        let most = times.iter().map(of_five).max().unwrap_or_default();
        assert!(most <= 6 * BUDGET, "{most} reviews in five seconds");
        assert!(times.len() > EACH * PEOPLE, "{} reviews are no test", times.len());
    }

    /// Until the rights of the witness are late, everybody sees what they saw.
    async fn outlive_the_api_server(&self) -> Result<(), String> {
        let late = within(Duration::from_secs(75), async || {
            self.some_see_their_own().await?;
            check(self.is_audited_late(true), || "no audit of a late right".to_owned())
        });
        late.await?;
        within(SOON, async || {
            let source = self.source().await;
            check(source["state"] == "degraded" && source["reviews"]["late"].as_u64() > Some(0), || {
                format!("{source}")
            })
        })
        .await
    }

    /// Everything is renewed, and nobody sees more than before.
    async fn are_renewed(&self) -> Result<(), String> {
        within(SOON, async || {
            self.some_see_their_own().await?;
            let source = self.source().await;
            let is_well = source["state"] == "healthy" && source["reviews"]["late"] == 0;
            check(is_well && self.is_audited_late(false), || {
                format!("{source}, {:?} after the start", self.started.elapsed())
            })
        })
        .await
    }

    async fn some_see_their_own(&self) -> Result<(), String> {
        let client = client(Ipv4Addr::LOCALHOST);
        for id in [WITNESS, 1, 50, 51, PEOPLE - 1] {
            let seen = seen(&client, &self.program.url, &person(id)).await?;
            if seen != BTreeSet::from([namespace(id)]) {
                // More than a moment's delay, so it must not be tried again.
                panic!("person {id} sees {seen:?}");
            }
        }
        Ok(())
    }

    async fn source(&self) -> Value {
        let sources = self.program.get_as(self.plane.admin_token(), "/api/sources").await.json();
        let all = sources.as_array().expect("a list of sources");
        all.iter().find(|source| source["id"] == "access-reviews").cloned().unwrap_or_default()
    }

    /// Returns whether the last change of the rights of the witness says that they are late.
    fn is_audited_late(&self, late: bool) -> bool {
        let log = self.program.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut changes = lines
            .filter(|line| line["event"] == "scope_changed" && line["user"] == format!("person-{WITNESS}"));
        changes.next_back().is_some_and(|line| line["late"] == late)
    }
}

fn client(address: Ipv4Addr) -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().local_address(std::net::IpAddr::from(address));
    client.timeout(Duration::from_secs(30)).build().expect("a client")
}

/// The namespaces of the VMs that a token shows.
async fn seen(client: &reqwest::Client, url: &str, token: &str) -> Result<BTreeSet<String>, String> {
    let answer = client.get(format!("{url}/api/vms")).bearer_auth(token).send().await;
    let answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    check(status == 200, || status.to_string())?;
    let vms: Vec<Value> = answer.json().await.map_err(|error| error.to_string())?;
    Ok(vms.iter().map(|vm| vm["namespace"].as_str().unwrap_or_default().to_owned()).collect())
}

/// A stream that is read all the time.
struct Follower(Arc<Mutex<(String, bool)>>);

impl Follower {
    async fn follow(program: &Program, token: &str) -> Self {
        let read = Arc::new(Mutex::new((String::new(), false)));
        let (mut response, of_task) = (program.follow_as(token, "/api/events").await, read.clone());
        tokio::spawn(async move {
            while let Ok(Some(piece)) = response.chunk().await {
                of_task.lock().unwrap().0.push_str(&String::from_utf8_lossy(&piece));
            }
            of_task.lock().unwrap().1 = true;
        });
        Self(read)
    }

    fn has_ended(&self) -> bool {
        self.0.lock().unwrap().1
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().0.clone()
    }
}

trait Events {
    fn ends_with_no_vms(&self) -> bool;
}

impl Events for String {
    /// Returns whether the last whole view is empty.
    fn ends_with_no_vms(&self) -> bool {
        self.rsplit("event: state").next().is_some_and(|state| state.contains("\"vms\":[]"))
    }
}
