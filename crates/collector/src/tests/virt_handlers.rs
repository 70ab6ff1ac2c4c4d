//! virt-handlers: found through KubeVirt's objects, verified by its authority, and asked without credentials.

use super::{tls::Secure, *};
use crate::config::VirtHandlerConfig;
use i18n::Render;
use simulator::{Activity, Clock, Guest, Node, Options, PlainPod, Scenario};
use wukong_core::observation::GuestsFacts;

const NAME: &str = "virt-handler.kubevirt.svc";
const METRICS: &str = "/metrics";
const PODS: &str = "/api/v1/namespaces/kubevirt/pods";
const CA: &str = "/api/v1/namespaces/kubevirt/configmaps/kubevirt-ca";
const KUBEVIRTS: &str = "/apis/kubevirt.io/v1/kubevirts";

/// One guest of this node that has received so many bytes.
fn answer(node: &str, bytes: u64) -> Response {
    format!(
        "# TYPE kubevirt_vmi_network_receive_bytes_total counter\n\
         kubevirt_vmi_network_receive_bytes_total{{interface=\"default\",name=\"web\",namespace=\"prod\",node=\"{node}\"}} {bytes}\n"
    )
    .into_response()
}

/// A virt-handler that answers for node `n`.
fn handler() -> Secure {
    Secure::named(&["virt-handler", NAME], |_, n| answer("n", 100 * (n as u64 + 1)))
}

/// A pod of a virt-handler.
#[derive(Clone)]
struct Pod {
    name: &'static str,
    node: &'static str,
    ip: &'static str,
    port: u16,
    is_owned: bool,
}

impl Pod {
    fn new(handler: &Secure) -> Self {
        Self { name: "virt-handler-a", node: "n", ip: "127.0.0.1", port: handler.port, is_owned: true }
    }

    fn json(&self) -> String {
        let Self { name, node, ip, port, is_owned } = self;
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"kubevirt","resourceVersion":"11","ownerReferences":
            [{{"apiVersion":"apps/v1","kind":"DaemonSet","name":"virt-handler","uid":"u","controller":{is_owned}}}]}},
            "spec":{{"nodeName":"{node}","containers":[{{"name":"virt-handler","ports":[{{"name":"metrics","containerPort":{port}}}]}}]}},
            "status":{{"phase":"Running","podIP":"{ip}"}}}}"#
        )
        .replace('\n', "")
    }
}

fn items(items: &[String]) -> Response {
    json(format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"10"}},"items":[{}]}}"#,
        items.join(",")
    ))
}

fn kubevirts() -> Response {
    let kubevirt = r#"{"metadata":{"name":"kubevirt","namespace":"kubevirt","resourceVersion":"11"},"status":{"phase":"Deployed"}}"#;
    items(&[kubevirt.to_owned()])
}

fn config_map(pem: &str) -> Response {
    json(serde_json::json!({"data": {"ca-bundle": pem}}).to_string())
}

/// An API server with this authority in its ConfigMap and these pods.
fn cluster(ca: String, pods: Vec<Pod>) -> Server {
    Server::start(move |asked, _| match asked.path.as_str() {
        _ if asked.is_watch() => watch_of(&[]),
        KUBEVIRTS => kubevirts(),
        PODS if asked.query.contains("virt-handler") => {
            items(&pods.iter().map(Pod::json).collect::<Vec<_>>())
        }
        CA => config_map(&ca),
        _ => quiet(asked),
    })
}

fn ca_of(handler: &Secure) -> String {
    std::fs::read_to_string(handler.ca()).unwrap()
}

fn with(virt_handler: VirtHandlerConfig) -> CollectConfig {
    let disk_interval = Duration::from_millis(400);
    CollectConfig { virt_handler: Some(virt_handler), disk_interval, disk_sources: vec![], ..config() }
}

fn usual() -> CollectConfig {
    let deadline = Duration::from_secs(3);
    with(VirtHandlerConfig { deadline, ..VirtHandlerConfig::default() })
}

impl Collector {
    async fn guests(&mut self, of: &str) -> Result<GuestsFacts, SourceError> {
        self.next(|observation| match observation {
            Observation::Guests { node, result, .. } if node == of => Some(result),
            _ => None,
        })
        .await
    }

    /// The received bytes of the one guest.
    async fn bytes(&mut self) -> u64 {
        let facts = self.guests("n").await.unwrap();
        facts.guests[0].counters.interfaces[0].receive.bytes.unwrap()
    }
}

/// Otherwise nodes that lie could fill the channel while the publisher is busy.
#[tokio::test]
async fn large_answers_wait_until_those_before_them_were_applied() {
    const NODES: [&str; 7] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6"];
    // 5,000 interfaces of each node, in 160 guests.
    let series = |node: &str, of: usize| {
        let (guest, long) = (of / 32, "x".repeat(200));
        format!(
            "kubevirt_vmi_network_receive_bytes_total{{interface=\"{long}-{of}\",name=\"vm-{guest}\",namespace=\"a\",node=\"{node}\"}} 1\n"
        )
    };
    let all: String = NODES.iter().flat_map(|node| (0..5000).map(move |of| series(node, of))).collect();
    let handler = Secure::named(&["virt-handler", NAME], move |_, _| all.clone().into_response());
    let pods = NODES.map(|node| Pod { name: node, node, ..Pod::new(&handler) });
    let api = cluster(ca_of(&handler), pods.to_vec());
    let config =
        CollectConfig { disk_interval: Duration::from_secs(600), ..with(VirtHandlerConfig::default()) };
    let mut collector = Collector::start(&api, config, &NODES).await;
    let next = async |collector: &mut Collector| loop {
        let queued = collector.observations.recv().await.expect("the collector ended");
        if let Observation::Guests { result: Ok(_), .. } = &queued.observation {
            return queued;
        }
    };
    let mut held = vec![timeout(LONG, next(&mut collector)).await.expect("the first answer")];
    while let Ok(queued) = timeout(Duration::from_secs(5), next(&mut collector)).await {
        held.push(queued);
    }
    assert!((4..NODES.len()).contains(&held.len()), "{} of {}", held.len(), NODES.len());
    let rest = NODES.len() - held.len();
    drop(held);
    for _ in 0..rest {
        timeout(LONG, next(&mut collector)).await.expect("their room is free again");
    }
}

#[tokio::test]
async fn each_node_s_own_virt_handler_is_asked_again_and_again_without_credentials() {
    let handler = handler();
    let api = cluster(ca_of(&handler), vec![Pod::new(&handler)]);
    let mut collector = Collector::start(&api, usual(), &["n"]).await;
    assert_eq!([collector.bytes().await, collector.bytes().await], [100, 200]);
    let asked = handler.server.asked(METRICS);
    for asked in &asked {
        assert_eq!(asked.header("authorization"), "", "it needs no credentials");
        assert!(asked.header("accept").starts_with("text/plain"));
        assert_eq!(asked.header("accept-encoding"), "");
    }
    let apart = asked[1].at - asked[0].at;
    assert!(apart >= Duration::from_millis(100) && apart < Duration::from_secs(3), "{apart:?}");
    assert_eq!(api.asked(CA).len(), 1, "the authority is not read for each request");
}

#[tokio::test]
async fn a_virt_handler_that_cannot_prove_itself_is_not_believed() {
    let (handler, stranger) = (handler(), handler());
    let elsewhere = Secure::named(&["127.0.0.1", "virt-handler.tenant.svc"], |_, _| answer("n", 1));
    for (what, ca, handler) in [
        ("of another authority", ca_of(&stranger), &handler),
        ("of another namespace", ca_of(&elsewhere), &elsewhere),
    ] {
        let api = cluster(ca, vec![Pod::new(handler)]);
        let mut collector = Collector::start(&api, usual(), &["n"]).await;
        let error = collector.guests("n").await.unwrap_err();
        let words = "the TLS handshake with the virt-handler of n failed: is its certificate signed by KubeVirt's \
                     authority (ConfigMap kubevirt-ca) or --virt-handler-ca?";
        assert_eq!((error.reason, error.detail.english().as_str()), (Reason::Unreachable, words), "{what}");
        assert!(handler.server.asked(METRICS).is_empty(), "{what}");
    }
    let api = cluster(ca_of(&stranger), vec![Pod::new(&handler)]);
    for virt_handler in [
        VirtHandlerConfig { ca: Some(handler.ca()), ..VirtHandlerConfig::default() },
        VirtHandlerConfig { insecure_tls: true, ..VirtHandlerConfig::default() },
    ] {
        let mut collector = Collector::start(&api, with(virt_handler), &["n"]).await;
        assert!(collector.guests("n").await.is_ok());
    }
    assert!(api.asked(CA).len() <= 1, "what the configuration says is not asked for");
}

#[tokio::test]
async fn a_pod_that_only_pretends_is_not_asked() {
    let (handler, pretender) = (handler(), handler());
    let pretends = Pod { name: "virt-handler-z", is_owned: false, ..Pod::new(&pretender) };
    let api = cluster(ca_of(&handler), vec![pretends.clone(), Pod::new(&handler)]);
    let mut collector = Collector::start(&api, usual(), &["n", "other"]).await;
    assert!(collector.guests("n").await.is_ok());
    let error = collector.guests("other").await.unwrap_err();
    assert_eq!(error.detail.english(), "no virt-handler of KubeVirt runs on node other");
    assert!(pretender.server.asked(METRICS).is_empty());
    let api = cluster(ca_of(&handler), vec![pretends]);
    let mut collector = Collector::start(&api, usual(), &["n"]).await;
    let error = collector.watch_error(SourceId::VirtHandler).await;
    assert_eq!(
        error.detail.english(),
        "no pod of KubeVirt's DaemonSet virt-handler runs in namespace kubevirt"
    );
}

#[tokio::test]
async fn another_address_is_asked_at_once() {
    let (first, second) = (handler(), handler());
    let moved = Pod { name: "virt-handler-b", ..Pod::new(&second) };
    let old = Pod::new(&first);
    let (deleted, added) = (
        format!(r#"{{"type":"DELETED","object":{}}}"#, old.json()),
        format!(r#"{{"type":"ADDED","object":{}}}"#, moved.json()),
    );
    let both = [ca_of(&first), ca_of(&second)].concat();
    let begun = Arc::new(tokio::sync::Notify::new());
    let begin = begun.clone();
    let api = Server::start(move |asked, _| match asked.path.as_str() {
        PODS if asked.is_watch() && asked.query.contains("virt-handler") => {
            let (begin, lines) = (begin.clone(), format!("{deleted}\n{added}\n"));
            let late = stream::once(async move {
                begin.notified().await;
                Ok::<_, Infallible>(lines)
            });
            Body::from_stream(futures::StreamExt::chain(late, stream::pending())).into_response()
        }
        _ if asked.is_watch() => watch_of(&[]),
        KUBEVIRTS => kubevirts(),
        PODS if asked.query.contains("virt-handler") => items(&[old.json()]),
        CA => config_map(&both),
        _ => quiet(asked),
    });
    let hour = CollectConfig { disk_interval: Duration::from_secs(3600), ..usual() };
    let mut collector = Collector::start(&api, hour, &["n"]).await;
    assert_eq!(collector.bytes().await, 100);
    begun.notify_one();
    assert_eq!(collector.bytes().await, 100);
    assert_eq!((first.server.asked(METRICS).len(), second.server.asked(METRICS).len()), (1, 1));
}

#[tokio::test]
async fn what_keeps_all_virt_handlers_from_being_asked_is_one_error_with_its_permission() {
    let handler = handler();
    let ca = ca_of(&handler);
    for (path, answer, reason, words) in [
        (
            KUBEVIRTS,
            (|| status(403, "Forbidden")) as fn() -> Response,
            Reason::Forbidden,
            "list kubevirts.kubevirt.io at cluster scope",
        ),
        (
            KUBEVIRTS,
            || status(404, "NotFound"),
            Reason::ApiAbsent,
            "this cluster does not serve kubevirts.kubevirt.io",
        ),
        (KUBEVIRTS, || items(&[]), Reason::ApiAbsent, "there is no KubeVirt object in the cluster"),
        (PODS, || status(403, "Forbidden"), Reason::Forbidden, "list pods in namespace kubevirt"),
        (
            CA,
            || status(403, "Forbidden"),
            Reason::Forbidden,
            "get configmaps/kubevirt-ca in namespace kubevirt",
        ),
        (
            CA,
            || config_map(""),
            Reason::BadAnswer,
            "the ConfigMap kubevirt-ca in namespace kubevirt has no certificates in PEM format",
        ),
    ] {
        let (ca, pod) = (ca.clone(), Pod::new(&handler));
        let api = Server::start(move |asked, _| match asked.path.as_str() {
            own if own == path && !asked.is_watch() => answer(),
            _ if asked.is_watch() => watch_of(&[]),
            KUBEVIRTS => kubevirts(),
            PODS => items(&[pod.json()]),
            CA => config_map(&ca),
            _ => quiet(asked),
        });
        let mut collector = Collector::start(&api, usual(), &["n"]).await;
        let error = collector.watch_error(SourceId::VirtHandler).await;
        assert_eq!((error.reason, error.detail.english().as_str()), (reason, words), "{path}");
        assert!(is_translated(&error) || reason == Reason::Forbidden, "{error:?}");
    }
    assert!(handler.server.asked(METRICS).is_empty());
}

#[tokio::test]
async fn a_namespace_that_is_configured_needs_no_kubevirt_object() {
    let handler = handler();
    let api = cluster(ca_of(&handler), vec![Pod::new(&handler)]);
    let namespace = Some("kubevirt".to_owned());
    let config = with(VirtHandlerConfig { namespace, ..VirtHandlerConfig::default() });
    let own =
        |namespace: &str| CollectConfig { namespaces: Some(vec![namespace.to_owned()]), ..config.clone() };
    let mut collector = Collector::start(&api, own("prod"), &["n"]).await;
    assert_eq!(collector.bytes().await, 100);
    let mut collector = Collector::start(&api, own("dev"), &["n"]).await;
    assert_eq!(collector.guests("n").await.unwrap().guests, [], "a guest of another namespace");
    assert!(api.asked(KUBEVIRTS).is_empty());
}

#[tokio::test]
async fn every_failure_of_a_virt_handler_is_told_apart() {
    let large = || {
        let piece = || Ok::<_, Infallible>(Bytes::from(vec![b'\n'; 1 << 16]));
        Body::from_stream(stream::repeat_with(piece)).into_response()
    };
    for (what, answer, reason) in [
        ("hangs", hang as fn() -> Response, Reason::TimedOut),
        ("is busy", || status(503, "x"), Reason::Busy),
        ("fails", || status(500, "x"), Reason::Unreachable),
        ("refuses", || status(401, "x"), Reason::BadAnswer),
        ("is something else", || "<html>\n".into_response(), Reason::BadAnswer),
        ("never ends", large, Reason::TooLarge),
    ] {
        let handler = Secure::named(&[NAME], move |_, _| answer());
        let api = cluster(ca_of(&handler), vec![Pod::new(&handler)]);
        let config = CollectConfig { answer_limit: 1 << 20, ..usual() };
        let mut collector = Collector::start(&api, config, &["n"]).await;
        let error = collector.guests("n").await.unwrap_err();
        assert_eq!(error.reason, reason, "{what}");
        assert!(error.detail.english().contains(" n") && is_translated(&error), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn the_simulated_cluster_has_virt_handlers_like_kubevirt_s() {
    const STARTED: i64 = 1_700_000_000_000;
    let clock = Clock::fixed(STARTED);
    let scenario = Scenario::empty().node(Node::new("n")).pod(PlainPod::virt_handler("n"));
    let sim = simulator::start(Options { clock: clock.clone(), ..Options::exactly(scenario) }).await.unwrap();
    let does = Activity {
        receive: 1_000,
        reads: 50,
        latency: 2_000,
        wait: 100,
        swap_out: 4096,
        ..Activity::default()
    };
    sim.world().put(Guest::new("prod", "web").cpu(2).does(does).running_on("n", STARTED));
    clock.advance(Duration::from_secs(60));
    let mut collector = Collector::of(&sim.kubeconfig(), usual(), names(&["n"])).await;
    let facts = collector.guests("n").await.unwrap();
    let guest = &facts.guests[0];
    let counters = &guest.counters;
    assert_eq!((&*guest.instance.namespace, &*guest.instance.name), ("prod", "web-vm"));
    assert_eq!(counters.interfaces[0].receive.bytes, Some(60_000));
    assert_eq!(counters.drives[0].read.operations, Some(3_000));
    assert_eq!(counters.drives[0].read.time, Some(6_000_000_000), "2 ms each");
    let delay = counters.delay.unwrap();
    assert_eq!((delay.nanos, delay.vcpus), (12_000_000_000, 2));
    assert_eq!(counters.paging.swap_out, Some(60 * 4096));
    assert!(guest.memory.available > guest.memory.usable && guest.memory.usable > Some(0));
    assert_eq!(facts.contention_since, None);
}
