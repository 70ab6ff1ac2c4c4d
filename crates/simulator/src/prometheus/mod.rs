//! A Prometheus that belongs to the cluster. It supports `/api/v1/query` and `query_range`, and has scraped
//! every kubelet and virt-handler that answers.

mod pattern;
mod query;
mod selector;
mod series;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, State},
    http::{Method, Request, Uri, header},
    response::Response,
};

use super::{
    clock::{Millis, SECOND},
    cluster::{Caller, Cluster, apply_faults},
    faults::Class,
    http::{corrupt::corrupt_body, status},
    objects::{Quoted, join, put},
};
use query::Expr;

const BODY_LIMIT: usize = 1 << 20;
/// The largest number of steps in a range query, as in Prometheus.
const MOST_STEPS: Millis = 11_000;

pub fn router(cluster: Arc<Cluster>) -> Router {
    Router::new().fallback(answer).with_state(cluster)
}

async fn answer(State(cluster): State<Arc<Cluster>>, request: Request<Body>) -> Response {
    let faults = match apply_faults(&cluster, &Class::Prometheus, Caller::of(&request)).await {
        Ok(faults) => faults,
        Err(answer) => return answer.response(injected),
    };
    let response = match request.uri().path() {
        "/-/ready" | "/-/healthy" => status::text("Prometheus Server is Ready.\n"),
        "/api/v1/query" => instant(&cluster, request).await,
        "/api/v1/query_range" => range(&cluster, request).await,
        _ => status::no_such_path(),
    };
    corrupt_body(response, &faults).await
}

async fn instant(cluster: &Cluster, request: Request<Body>) -> Response {
    let Some(given) = parameters(request).await else { return bad_data("the parameters cannot be read") };
    let text = |name: &str| given.get(name).map(String::as_str);
    let now = match text("time").map(str::parse::<f64>) {
        None => cluster.world.clock.now(),
        Some(Ok(seconds)) if seconds.is_finite() => (seconds * SECOND as f64) as Millis,
        Some(_) => return bad_data("invalid parameter \"time\""),
    };
    match query::parse(text("query").unwrap_or_default()) {
        Ok(expr) => evaluated(cluster, &expr, now),
        Err(why) => bad_data(&format!("invalid parameter \"query\": {why}")),
    }
}

/// Answers a range query. Past values are a function of the seed and the time, as current ones are.
async fn range(cluster: &Cluster, request: Request<Body>) -> Response {
    let Some(given) = parameters(request).await else { return bad_data("the parameters cannot be read") };
    let millis = |name: &str| {
        let seconds: f64 = given.get(name)?.parse().ok()?;
        seconds.is_finite().then_some((seconds * SECOND as f64).round() as Millis)
    };
    let (Some(start), Some(end), Some(step)) = (millis("start"), millis("end"), millis("step")) else {
        return bad_data("invalid parameter \"start\", \"end\" or \"step\"");
    };
    if step <= 0 || end < start {
        return bad_data("zero or negative query resolution step widths are not accepted");
    }
    if (end - start) / step >= MOST_STEPS {
        return bad_data("exceeded maximum resolution of 11,000 points per timeseries");
    }
    // There are no samples of the future.
    let now = cluster.world.clock.now();
    let steps: Vec<Millis> = (start..=end.min(now)).step_by(step as usize).collect();
    match query::parse(given.get("query").map(String::as_str).unwrap_or_default()) {
        Ok(Expr::Range(..)) => bad_data("invalid expression type \"range vector\" for range query"),
        Ok(expr) => matrix(&steps, expr.matrix(&cluster.world, &steps)),
        Err(why) => bad_data(&format!("invalid parameter \"query\": {why}")),
    }
}

fn matrix(steps: &[Millis], found: query::Matrix) -> Response {
    let mut out = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
    let found = found.into_iter().filter(|(_, values)| values.iter().any(Option::is_some));
    join(&mut out, found, |out, (labels, values)| {
        metric(out, &labels);
        out.push_str(r#","values":["#);
        let known = steps.iter().zip(values).filter_map(|(at, value)| Some((*at, value?)));
        join(out, known, |out, (at, value)| sample(out, at, value));
        out.push_str("]}");
    });
    out.push_str("]}}");
    status::json(200, out)
}

/// Returns the parameters of the query string, or of a posted form; `None` if they cannot be read.
async fn parameters(request: Request<Body>) -> Option<HashMap<String, String>> {
    let posted = request.method() == Method::POST;
    let uri = match posted {
        true => {
            let form = to_bytes(request.into_body(), BODY_LIMIT).await.ok()?;
            Uri::builder().path_and_query(format!("/?{}", std::str::from_utf8(&form).ok()?)).build().ok()?
        }
        false => request.into_parts().0.uri,
    };
    Query::<HashMap<String, String>>::try_from_uri(&uri).ok().map(|Query(given)| given)
}

fn evaluated(cluster: &Cluster, expr: &Expr, now: Millis) -> Response {
    let mut out = String::from(r#"{"status":"success","data":{"resultType":""#);
    match expr {
        Expr::Range(selector, range) => {
            out.push_str(r#"matrix","result":["#);
            let found = cluster.world.series(selector);
            let sampled = found.iter().map(|series| (series, series.samples(now, *range)));
            join(&mut out, sampled.filter(|(_, samples)| !samples.is_empty()), |out, (series, samples)| {
                metric(out, &series.labels);
                out.push_str(r#","values":["#);
                join(out, samples, |out, (at, value)| sample(out, at, value));
                out.push_str("]}");
            });
        }
        _ => {
            out.push_str(r#"vector","result":["#);
            join(&mut out, expr.vector(&cluster.world, now), |out, (labels, value)| {
                metric(out, &labels);
                out.push_str(r#","value":"#);
                sample(out, now, value);
                out.push('}');
            });
        }
    }
    out.push_str("]}}");
    status::json(200, out)
}

fn metric(out: &mut String, labels: &[(String, String)]) {
    out.push_str(r#"{"metric":{"#);
    join(out, labels, |out, (name, value)| put!(out, "{}:{}", Quoted(name), Quoted(value)));
    out.push('}');
}

/// Writes a sample: the time in seconds, the value as text.
fn sample(out: &mut String, at: Millis, value: f64) {
    put!(out, r#"[{}.{:03},"{value}"]"#, at.div_euclid(SECOND), at.rem_euclid(SECOND));
}

fn bad_data(why: &str) -> Response {
    status::json(400, format!(r#"{{"status":"error","errorType":"bad_data","error":{}}}"#, Quoted(why)))
}

/// The answer to an injected status, worded as Prometheus does.
fn injected(code: u16, retry_after: Option<u64>) -> Response {
    let kind = match code {
        503 => "unavailable",
        500 => "internal",
        _ => "execution",
    };
    let body = format!(r#"{{"status":"error","errorType":"{kind}","error":"an error that was asked for"}}"#);
    let mut response = status::json(code, body);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
