//! RoleBindings and ClusterRoleBindings: what is listed and watched of them becomes hints.

use super::*;
use crate::follow_bindings;
use wukong_core::access::{BindingHints, Subject, UserInfo};

const ROLE_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/rolebindings";
const CLUSTER_ROLE_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
/// A change shows within this time.
const SOON: Duration = Duration::from_secs(1);

/// A binding of a user to a role of this version.
fn binding(name: &str, namespace: &str, version: u32, user: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{name}","resourceVersion":"{version}"}},"roleRef":{{"kind":"Role","name":"of-{version}"}},"subjects":[{{"kind":"User","name":"{user}"}}]}}"#
    )
}

fn bindings(items: &[String]) -> Response {
    json(format!(r#"{{"metadata":{{"resourceVersion":"10"}},"items":[{}]}}"#, items.join(",")))
}

fn event(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

/// The hints of bindings that each name one user.
fn hints(bindings: &[(Option<&str>, &str, &str)]) -> BindingHints {
    let mut hints = BindingHints::default();
    for (namespace, role, user) in bindings {
        hints.add(namespace.map(Into::into), [Subject::User((*user).into())], role);
    }
    hints
}

struct Follower {
    hints: watch::Receiver<Option<BindingHints>>,
    shutdown: CancellationToken,
}

impl Follower {
    async fn start(server: &Server, config: CollectConfig) -> Self {
        let kubeconfig = format!(
            r#"{{"current-context": "test", "clusters": [{{"name": "c", "cluster": {{"server": "{}"}}}}],
            "users": [{{"name": "u", "user": {{"token": "t"}}}}], "contexts": [{{"name": "test", "context": {{"cluster": "c", "user": "u"}}}}]}}"#,
            server.url
        );
        let cluster = from_kubeconfig_text(&kubeconfig, None, &config).await.unwrap();
        let shutdown = CancellationToken::new();
        Self { hints: follow_bindings(&cluster, &config, shutdown.clone()), shutdown }
    }

    /// Waits until these are the hints.
    async fn until(&mut self, time: Duration, want: Option<BindingHints>) {
        let found = timeout(time, self.hints.wait_for(|hints| *hints == want)).await.is_ok();
        assert!(found, "{:?} instead of {want:?}", *self.hints.borrow());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn bindings_of_both_kinds_become_hints_and_a_change_shows_within_a_second() {
    let (change, changes) = mpsc::unbounded_channel::<String>();
    let changes = Mutex::new(Some(changes));
    let server = Server::start(move |request, n| match (request.path.as_str(), request.is_watch()) {
        (ROLE_BINDINGS, false) => bindings(&[binding("a", "shop", 1, "ann")]),
        (CLUSTER_ROLE_BINDINGS, false) => bindings(&[binding("b", "", 2, "root")]),
        (ROLE_BINDINGS, true) if n == 0 => {
            let changes = changes.lock().unwrap().take().unwrap();
            let lines = stream::unfold(changes, async |mut changes| {
                changes.recv().await.map(|line| (Ok::<_, Infallible>(format!("{line}\n")), changes))
            });
            Body::from_stream(lines).into_response()
        }
        _ => quiet(request),
    });
    let mut follower = Follower::start(&server, config()).await;
    let root = (None, "Role/of-2", "root");
    follower.until(LONG, Some(hints(&[root, (Some("shop"), "Role/of-1", "ann")]))).await;
    for (line, want) in [
        (event("MODIFIED", &binding("a", "shop", 3, "bob")), vec![root, (Some("shop"), "Role/of-3", "bob")]),
        (
            event("ADDED", &binding("c", "lab", 4, "eve")),
            vec![root, (Some("shop"), "Role/of-3", "bob"), (Some("lab"), "Role/of-4", "eve")],
        ),
        (event("DELETED", &binding("a", "shop", 5, "bob")), vec![root, (Some("lab"), "Role/of-4", "eve")]),
    ] {
        change.send(line).unwrap();
        follower.until(SOON, Some(hints(&want))).await;
    }
}

/// A namespace's admin may change labels as often as they like.
#[tokio::test]
async fn a_change_of_a_binding_that_changes_no_right_publishes_nothing() {
    let touched = binding("a", "shop", 1, "ann").replace(r#""uid""#, r#""labels":{"n":"1"},"uid""#);
    let touched = touched.replace(r#""resourceVersion":"1""#, r#""resourceVersion":"9""#);
    let server = Server::start(move |request, n| match (request.path.as_str(), request.is_watch()) {
        (ROLE_BINDINGS, false) => bindings(&[binding("a", "shop", 1, "ann")]),
        (ROLE_BINDINGS, true) if n == 0 => {
            let lines = [event("MODIFIED", &touched), event("ADDED", &binding("b", "shop", 2, "bob"))];
            Body::from_stream(stream::iter(lines.map(|line| Ok::<_, Infallible>(format!("{line}\n")))))
                .into_response()
        }
        _ => quiet(request),
    });
    let mut follower = Follower::start(&server, config()).await;
    let ann = (Some("shop"), "Role/of-1", "ann");
    let want = hints(&[ann, (Some("shop"), "Role/of-2", "bob")]);
    follower.until(LONG, Some(want.clone())).await;
    let places =
        |hints: &BindingHints| hints.places_of(&UserInfo { name: "ann".into(), ..UserInfo::default() });
    assert_eq!(places(&want), places(&hints(&[ann])), "what concerns bob does not concern ann");
}

#[tokio::test]
async fn there_are_no_hints_while_bindings_of_one_kind_are_refused() {
    let allowed = Arc::new(Mutex::new(false));
    let server = Server::start({
        let allowed = allowed.clone();
        move |request, _| match (request.path.as_str(), request.is_watch()) {
            (CLUSTER_ROLE_BINDINGS, _) if !*allowed.lock().unwrap() => status(403, "Forbidden"),
            (ROLE_BINDINGS, false) => bindings(&[binding("a", "shop", 1, "ann")]),
            (CLUSTER_ROLE_BINDINGS, false) => bindings(&[]),
            ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", _) => {
                json(format!(r#"{{"spec":{{}},"status":{{"allowed":{}}}}}"#, allowed.lock().unwrap()))
            }
            _ => quiet(request),
        }
    });
    let mut follower = Follower::start(&server, config()).await;
    sleep(2 * SOON).await;
    assert_eq!(*follower.hints.borrow(), None);
    *allowed.lock().unwrap() = true;
    follower.until(LONG, Some(hints(&[(Some("shop"), "Role/of-1", "ann")]))).await;
}

#[tokio::test]
async fn hints_end_when_a_watch_is_refused() {
    let server = Server::start(|request, n| match (request.path.as_str(), request.is_watch()) {
        (ROLE_BINDINGS, false) => bindings(&[binding("a", "shop", 1, "ann")]),
        // The watch ends, and may not be opened again.
        (ROLE_BINDINGS, true) if n == 0 => Body::from_stream(stream::once(async {
            sleep(SOON).await;
            Ok::<_, Infallible>("")
        }))
        .into_response(),
        (ROLE_BINDINGS, true) => status(403, "Forbidden"),
        _ => quiet(request),
    });
    let mut follower = Follower::start(&server, config()).await;
    follower.until(LONG, Some(hints(&[(Some("shop"), "Role/of-1", "ann")]))).await;
    follower.until(LONG, None).await;
}

#[tokio::test]
async fn within_namespaces_only_their_role_bindings_are_read() {
    const PREFIX: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/";
    let server = Server::start(|request, _| match request.path.strip_prefix(PREFIX) {
        Some("shop/rolebindings") if !request.is_watch() => bindings(&[binding("a", "shop", 1, "ann")]),
        Some("lab/rolebindings") if !request.is_watch() => bindings(&[binding("a", "lab", 2, "ann")]),
        _ => quiet(request),
    });
    let namespaces = Some(vec!["shop".to_owned(), "lab".to_owned()]);
    let mut follower = Follower::start(&server, CollectConfig { namespaces, ..config() }).await;
    let want = hints(&[(Some("shop"), "Role/of-1", "ann"), (Some("lab"), "Role/of-2", "ann")]);
    follower.until(LONG, Some(want)).await;
    let paths: Vec<_> = server.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect();
    assert!(paths.iter().all(|path| path.starts_with(PREFIX)), "{paths:?}");
}

#[tokio::test]
async fn nothing_is_followed_once_nobody_receives() {
    let server = Server::start(|request, _| match request.is_watch() {
        // Each watch ends at once, so that a follower asks again and again.
        true => Body::empty().into_response(),
        false => quiet(request),
    });
    let Follower { hints, shutdown } = &Follower::start(&server, config()).await;
    let mut hints = hints.clone();
    timeout(LONG, hints.wait_for(Option::is_some)).await.unwrap().unwrap();
    shutdown.cancel();
    timeout(LONG, async { while hints.changed().await.is_ok() {} }).await.expect("it ends");
    let asked = server.asked.lock().unwrap().len();
    sleep(SOON).await;
    assert_eq!(server.asked.lock().unwrap().len(), asked);
}
