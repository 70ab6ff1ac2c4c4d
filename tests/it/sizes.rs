//! Memory and pages of the program when tenants write the largest objects that etcd accepts.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::header,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde_json::Value;

use crate::program::{Running, get, program};

const WUKONGS: &str = "/apis/vm.novasphere.dev/v1alpha1/wukongs";
/// Number of a tenant's objects, each as large as etcd accepts.
const OBJECTS: usize = 300;
const LARGE: usize = 1_300_000;
/// Larger than etcd accepts.
const HUGE: usize = 40_000_000;
/// The manifest's limit is 672 MiB, and 10,000 VMs take 240 MB of it.
const MEMORY: u64 = 150 << 20;

/// The program is killed if it holds one page of these objects, or one event.
#[test]
fn large_objects_take_no_memory_and_hide_nothing() {
    let server = serve();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let kubeconfig = format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{{"name": "u", "user": {{}}}}],
            "clusters": [{{"name": "k", "cluster": {{"server": "http://{server}"}}}}],
            "contexts": [{{"name": "c", "context": {{"cluster": "k", "user": "u"}}}}]}}"#
    );
    std::fs::write(&path, kubeconfig).unwrap();
    let (running, address) = Running::start(program(&["--listen=127.0.0.1:0", "--kubeconfig"]).arg(&path));
    let read = |path: &str| -> Value {
        let answer = get(address, path);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body:.200}"))
    };
    let begun = std::time::Instant::now();
    let (vms, wukongs) = loop {
        std::thread::sleep(Duration::from_millis(500));
        let (vms, sources) = (read("/api/vms"), read("/api/sources"));
        let source = |source: &&Value| source["id"] == "wukongs";
        let wukongs = sources.as_array().unwrap().iter().find(source).unwrap().clone();
        let peak = peak(running.0.id());
        assert!(peak < MEMORY, "{} MB", peak / 1_000_000);
        // The event comes last.
        if vms.as_array().unwrap().len() == OBJECTS && wukongs.to_string().contains("prod/event") {
            break (vms, wukongs);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{} VMs, {wukongs}",
            vms.as_array().unwrap().len()
        );
    };
    for vm in vms.as_array().unwrap() {
        assert_eq!((&vm["cpu"], &vm["memory"]), (&2.into(), &"4Gi".into()), "{vm}");
        assert!(vm["osImage"].as_str().unwrap().chars().count() <= 200);
    }
    assert_eq!(wukongs["reason"], "too-large", "{wukongs}");
    assert!(wukongs.to_string().contains("prod/huge"), "{wukongs}");
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!(
            "large objects: {} MB at most, after {:?}\n",
            peak(running.0.id()) / 1_000_000,
            begun.elapsed()
        ),
    );
}

/// Returns the peak memory of the process in bytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn serve() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
        });
    });
    address
}

async fn answer(request: Request) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let body = match (path, query.contains("watch=true")) {
        (WUKONGS, false) => page(query),
        (WUKONGS, true) => event(object("event", HUGE)),
        (_, true) => Body::from_stream(stream::pending::<Result<String, Infallible>>()),
        _ => Body::from(r#"{"metadata":{"resourceVersion":"10"},"items":[]}"#),
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Returns a body that is written while it is sent, so that the test does not hold it.
fn page(query: &str) -> Body {
    let number = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok())
    };
    let (from, limit) = (number("continue").unwrap_or_default(), number("limit").unwrap_or(usize::MAX));
    let to = from.saturating_add(limit).min(OBJECTS + 1);
    let next = if to <= OBJECTS { to.to_string() } else { String::new() };
    let items = (from..to).flat_map(move |n| {
        let comma = if n > from { "," } else { "" };
        let object = if n == OBJECTS { object("huge", HUGE) } else { object(&format!("vm-{n}"), LARGE) };
        std::iter::once(comma.to_owned()).chain(object)
    });
    let tail = format!(r#"],"kind":"List","metadata":{{"continue":"{next}","resourceVersion":"10"}}}}"#);
    let parts = std::iter::once(r#"{"apiVersion":"v1","items":["#.to_owned()).chain(items).chain([tail]);
    Body::from_stream(stream::iter(parts).map(Ok::<_, Infallible>))
}

/// An event, and nothing after it.
fn event(object: impl Iterator<Item = String> + Send + 'static) -> Body {
    let head = std::iter::once(r#"{"type":"ADDED","object":"#.to_owned());
    let parts = stream::iter(head.chain(object).chain(["}\n".to_owned()])).chain(stream::pending());
    Body::from_stream(parts.map(Ok::<_, Infallible>))
}

/// A Wukong of about so many bytes, in pieces.
fn object(name: &str, bytes: usize) -> impl Iterator<Item = String> + Send + use<> {
    const PIECE: usize = 100_000;
    let head = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"prod","uid":"{name}","resourceVersion":"11"}},"spec":{{"cpu":2,"memory":"4Gi","osImage":""#
    );
    let fill = std::iter::repeat_with(|| "y".repeat(PIECE)).take(bytes / PIECE);
    std::iter::once(head).chain(fill).chain([r#""}}"#.to_owned()])
}
