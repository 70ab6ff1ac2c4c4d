//! The history of the demo: soon after a start, the memory has what Prometheus has.

use std::net::SocketAddr;

use serde_json::Value;

use super::{
    program::{Running, get, program},
    wait::eventually,
};

fn json(address: SocketAddr, path: &str) -> Value {
    let answer = get(address, path);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    // If the answer is chunked, all chunks are one document.
    let (start, end) = (body.find(['{', '[']).unwrap(), body.rfind(['}', ']']).unwrap());
    serde_json::from_str(&body[start..=end]).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn known(history: &Value, figure: &str) -> u64 {
    history[figure]["stats"]["known"].as_u64().unwrap_or(0)
}

#[test]
fn history_survives_a_restart_with_prometheus() {
    let arguments = ["demo", "--vms=14", "--nodes=2", "--listen=127.0.0.1:0"];
    let (_running, address) = Running::start(&mut program(&arguments));
    // Findings need a whole day of everything: when there are some, all is filled.
    let insights = eventually(|| {
        let insights = json(address, "/api/insights");
        let counts = [&insights["totals"]["judged"], &insights["matching"]];
        match counts.iter().all(|count| count.as_u64() > Some(0)) {
            true => Ok(insights),
            false => Err(format!("no finding: {insights}")),
        }
    });
    let found = &insights["findings"][0];
    let (namespace, name) = (found["namespace"].as_str().unwrap(), found["name"].as_str().unwrap());
    let history =
        |span: &str| json(address, &format!("/api/vms/{name}/history?namespace={namespace}&span={span}"));
    let day = history("24h");
    assert_eq!(day["origin"], "both", "{}", day["lacks"]);
    assert!(known(&day, "memory") > 270, "{}", day["memory"]["stats"]);
    assert!(known(&history("1h"), "memory") > 220, "the newest hour, four points a minute");
    // The simulated Prometheus always gives the same answer for the same time.
    let (week, month) = (history("7d"), history("30d"));
    for long in [&week, &month] {
        assert_eq!((&long["origin"], &long["lacks"]), (&"prometheus".into(), &Value::Null));
    }
    assert!(known(&week, "memory") > 40, "at least the day since it was made: {}", week["memory"]["stats"]);
    let page = get(address, &format!("/vms/{namespace}/{name}?span=7d"));
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
}
