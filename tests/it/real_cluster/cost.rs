//! Counts the program's requests in the audit log of the API server.

use std::time::{Duration, Instant};

use super::{
    figures::settled,
    harness::{
        access::Access,
        audit::AuditEntry,
        program::{DISK_INTERVAL, METRICS_INTERVAL, Program},
        shared::{Cluster, NODES, on_the_cluster},
    },
};

/// The node without a running VM: the last one.
const IDLE: &str = NODES[3];
/// The kind of the KubeVirt object is not installed here: it is asked for again.
const KUBEVIRTS: &str = "/apis/kubevirt.io/v1/kubevirts";
const RETRY: Duration = Duration::from_secs(3);
const VIEWS: [&str; 5] = ["/", "/vms/prod/hot", "/api/vms", "/api/vms/hot", "/api/stats"];

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_hundred_page_views_ask_the_cluster_only_for_the_events_of_one_vm() {
    on_the_cluster(async |cluster| {
        let (access, program) = cluster.program("views").await;
        settled(&program, cluster).await;
        let window = AuditWindow::open(cluster, &access);
        for view in VIEWS.iter().cycle().take(100) {
            assert_eq!(program.get(view).await.status, 200, "{view}");
        }
        window.close().await.without_events().assert_only_background_requests();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_cycle_is_one_metrics_list_and_one_summary_per_node() {
    on_the_cluster(async |cluster| {
        let (access, program) = cluster.program("cycle").await;
        settled(&program, cluster).await;
        let window = AuditWindow::open(cluster, &access);
        tokio::time::sleep(Duration::from_secs(12)).await;
        let audited = window.close().await;
        audited.assert_only_background_requests();
        audited.assert_every_background_request();
        reads_only(cluster, &access, &program).await;
    });
}

/// Since its start, the program has only read.
async fn reads_only(cluster: &Cluster, access: &Access, program: &Program) {
    assert_eq!(program.get("/readyz").await.status, 200);
    let requests = cluster.plane.audit().of(&access.user());
    assert!(requests.iter().any(|request| request.verb == "watch"), "{requests:?}");
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for request in requests {
        let reads = ["get", "list", "watch"].contains(&request.verb.as_str());
        assert!(reads || request.uri == review, "{request:?}");
    }
}

/// A window of time in the audit log.
struct AuditWindow<'a> {
    cluster: &'a Cluster,
    user: String,
    before: usize,
    start: Instant,
}

/// The requests in it, and how long it was.
struct AuditedRequests {
    requests: Vec<AuditEntry>,
    elapsed: Duration,
}

impl<'a> AuditWindow<'a> {
    fn open(cluster: &'a Cluster, access: &Access) -> Self {
        let user = access.user();
        let before = cluster.plane.audit().of(&user).len();
        Self { cluster, user, before, start: Instant::now() }
    }

    async fn close(self) -> AuditedRequests {
        let elapsed = self.start.elapsed();
        // The last requests may not be in the log yet.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let requests = self.cluster.plane.audit().of(&self.user).split_off(self.before);
        AuditedRequests { requests, elapsed: elapsed + Duration::from_millis(200) }
    }
}

/// The Events of a VM are listed by name, of its objects, once in this time.
const EVENTS_KEPT: Duration = Duration::from_secs(30);
const MOST_EVENT_LISTS: usize = 7;

impl AuditedRequests {
    /// Checks that the Events of no more than one VM were listed, and returns the other requests.
    fn without_events(mut self) -> Self {
        let all = self.requests.len();
        self.requests.retain(|request| !request.uri.starts_with("/api/v1/namespaces/prod/events?"));
        let lists = all - self.requests.len();
        assert!(lists > 0, "somebody looked at a VM");
        assert!(lists <= MOST_EVENT_LISTS * (self.cycles(EVENTS_KEPT) + 1), "{lists} in {:?}", self.elapsed);
        self
    }

    fn lists(&self) -> usize {
        self.requests.iter().filter(|request| request.lists_metrics()).count()
    }

    fn summaries(&self, node: &str) -> usize {
        self.requests.iter().filter(|request| request.summary_of() == Some(node)).count()
    }

    /// Returns how many cycles can begin in the window: one more than fit, if one begins at its start.
    fn cycles(&self, interval: Duration) -> usize {
        (self.elapsed.as_millis() / interval.as_millis()) as usize
    }

    fn assert_only_background_requests(&self) {
        let known = |request: &&AuditEntry| {
            request.lists_metrics() || request.summary_of().is_some() || request.uri.starts_with(KUBEVIRTS)
        };
        let others: Vec<&AuditEntry> = self.requests.iter().filter(|request| !known(request)).collect();
        assert!(others.is_empty(), "neither a metrics list nor a summary: {others:?}");
        let retries = self.requests.iter().filter(|request| request.uri.starts_with(KUBEVIRTS)).count();
        assert!(retries <= self.cycles(RETRY) + 1, "{retries} in {:?}", self.elapsed);
        assert!(self.lists() <= self.cycles(METRICS_INTERVAL) + 1, "{} in {:?}", self.lists(), self.elapsed);
        assert_eq!(self.summaries(IDLE), 0, "a node without running VMs is asked");
        for node in NODES {
            let summaries = self.summaries(node);
            assert!(summaries <= self.cycles(DISK_INTERVAL) + 1, "{node}: {summaries} in {:?}", self.elapsed);
        }
    }

    /// A loaded machine may make a cycle or two late.
    fn assert_every_background_request(&self) {
        assert!(self.lists() + 2 >= self.cycles(METRICS_INTERVAL), "{} in {:?}", self.lists(), self.elapsed);
        for node in NODES.into_iter().filter(|node| *node != IDLE) {
            let summaries = self.summaries(node);
            assert!(summaries + 2 >= self.cycles(DISK_INTERVAL), "{node}: {summaries} in {:?}", self.elapsed);
        }
    }
}
