//! Downloads of the list as CSV or JSON: every VM that the query selects, in its order, on all pages, with
//! exact figures.
//!
//! Rows are written a few at a time while they are sent, each with its VM's data of that moment, so that a
//! slow download holds names and no VMs of an old snapshot. A VM that is gone by then is left out. `limits::download`
//! sends the pieces, and ends a download whose viewer loses a right.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Uri, header},
    response::Response,
};
use futures::{StreamExt, stream};

use super::cell::as_text;
use crate::server::http::{
    address, error::ApiResult, json::VmJson, reader::Reader, sign_in::Viewer, state::App,
};
use model::{
    activity::{Activity, ActivityRow, Amount},
    delta::RowKey,
    figure::Figure,
    query::Query,
    vm::{Vm, VmSummary},
};
use wukong_core::{Visible, amounts, attention, outlook::Outlooks, select::Selection, view};

/// Number of VMs that are written at once: some 250 kB of JSON.
const CHUNK: usize = 64;

/// `GET /api/vms.csv`, with the parameters of the list.
pub async fn csv(State(app): State<App>, viewer: Viewer, uri: Uri) -> ApiResult<Response> {
    let rows = selected(&app, &viewer, &uri)?;
    let chunks = pieces(app.reader.clone(), viewer, rows, |visible, chunk, first, _| {
        table(&Outlooks::of(visible), chunk, first)
    });
    Ok(attachment(chunks, "text/csv; charset=utf-8; header=present", "attachment; filename=\"vms.csv\""))
}

/// `GET /api/vms.json`, with the parameters of the list: an array like that of `/api/vms`.
pub async fn json(State(app): State<App>, viewer: Viewer, uri: Uri) -> ApiResult<Response> {
    let rows = selected(&app, &viewer, &uri)?;
    let chunks = pieces(app.reader.clone(), viewer, rows, |_, chunk, first, last| array(chunk, first, last));
    Ok(attachment(chunks, "application/json", "attachment; filename=\"vms.json\""))
}

fn selected(app: &App, viewer: &Viewer, uri: &Uri) -> ApiResult<Vec<RowKey>> {
    let query = Query::of_address(address::query(uri))?;
    let visible = app.reader.visible(viewer.scope());
    let mut selection = Selection::of(&visible, &query);
    selection.sort(&query);
    Ok(selection.vms.into_iter().map(|vm| vm.summary.row_key()).collect())
}

/// Writes the VMs in pieces; without VMs there is one piece. `write` is told whether its piece is the first
/// and whether it is the last. A VM that the viewer may not see any more is left out of the pieces that follow.
fn pieces(
    reader: Reader,
    viewer: Viewer,
    rows: Vec<RowKey>,
    write: impl Fn(&Visible, &[&Vm], bool, bool) -> Vec<u8>,
) -> impl Iterator<Item = Vec<u8>> {
    let count = rows.len().div_ceil(CHUNK).max(1);
    let mut begun = false;
    (0..count).filter_map(move |at| {
        let visible = reader.visible(&viewer.scope_now());
        let chunk = &rows[at * CHUNK..rows.len().min((at + 1) * CHUNK)];
        let chunk: Vec<&Vm> = chunk.iter().filter_map(|row| view::of_row(&visible, row)).collect();
        let is_last = at + 1 == count;
        if chunk.is_empty() && !is_last {
            return None;
        }
        Some(write(&visible, &chunk, !std::mem::replace(&mut begun, true), is_last))
    })
}

/// Sends the pieces as a file.
fn attachment(
    pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
    kind: &'static str,
    name: &'static str,
) -> Response {
    let pieces = stream::iter(pieces).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(pieces));
    for (header, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(header, HeaderValue::from_static(value));
    }
    response
}

fn array(vms: &[&Vm], first: bool, last: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, vm) in vms.iter().enumerate() {
        out.push(if first && at == 0 { b'[' } else { b',' });
        // Writing numbers and texts into memory cannot fail.
        let _ = serde_json::to_writer(&mut out, &VmJson::new(vm));
    }
    if vms.is_empty() && first {
        out.push(b'[');
    }
    if last {
        out.push(b']');
    }
    out
}

/// Columns of each figure.
const FIGURE: [&str; 8] =
    ["used", "of", "percent", "sampled_at", "window_seconds", "source", "stale", "missing"];

/// Columns of what the guest does, as the list sorts by it. A missing amount is empty, and `activity_missing` says why
/// nothing is known.
const ACTIVITY: [&str; 12] = [
    "guest_memory_percent",
    "network_bytes_per_second",
    "storage_bytes_per_second",
    "storage_operations_per_second",
    "storage_latency_seconds",
    "contention_percent",
    "activity_sampled_at",
    "activity_window_seconds",
    "activity_source",
    "activity_missing",
    "network_source",
    "network_uncounted_interfaces",
];

/// Returns the names of the columns: those of the API in snake case, with the unit at the end.
fn heads() -> Vec<String> {
    let words = [
        "namespace",
        "name",
        "kind",
        "status",
        "kubevirt_status",
        "needs_attention",
        "node",
        "migrating_to",
        "ip_address",
        "os_image",
        "created_at",
        "cpu_nanocores",
        "memory_bytes",
        "disk_bytes",
    ];
    let figures = ["cpu", "memory", "disk"].into_iter();
    let figures = figures.flat_map(|name| FIGURE.map(|what| [name, "_", what].concat()));
    let rest = ["disk_known_volumes", "disk_volumes", "fullest_disk_percent"]
        .into_iter()
        .chain(ACTIVITY)
        .map(str::to_owned);
    words.into_iter().map(str::to_owned).chain(figures).chain(rest).collect()
}

/// Writes the VMs as CSV (RFC 4180), after the header if `first`.
fn table(outlooks: &Outlooks, vms: &[&Vm], first: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // A Vec takes every write, and all rows have the same length.
    if first {
        let _ = writer.write_record(heads());
    }
    for vm in vms {
        let _ = writer.write_record(row(vm, outlooks).into_iter().map(as_text));
    }
    writer.into_inner().unwrap_or_default()
}

fn row(vm: &Vm, outlooks: &Outlooks) -> Vec<String> {
    let VmSummary { usage, .. } = &vm.summary;
    let summary = &vm.summary;
    let number = |amount: Option<u64>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    let mut row = vec![
        summary.namespace.clone(),
        summary.name.clone(),
        summary.kind.name().to_owned(),
        summary.status.name().to_owned(),
        summary.kubevirt_status.clone(),
        (!attention::kinds(vm, &outlooks.of_vm(vm)).is_empty()).to_string(),
        summary.node.clone(),
        summary.migrating_to.clone(),
        summary.ip_address.clone(),
        vm.os_image.clone(),
        if vm.created > 0 { moment(vm.created) } else { String::new() },
        number(summary.cpu),
        number(summary.memory),
        summary.disk.to_string(),
    ];
    for figure in [&usage.cpu, &usage.memory, &usage.disk] {
        row.extend(self::figure(figure));
    }
    row.extend([usage.disk_known.to_string(), usage.disk_volumes.to_string(), number(usage.fullest_disk)]);
    row.extend(activity(vm));
    row
}

fn activity(vm: &Vm) -> [String; 12] {
    let ActivityRow { stale: _, guest_memory, network, storage, operations, latency, contention } =
        amounts::row(vm);
    let thousandths = |amount: Amount| amount.known().map(thousandths).unwrap_or_default();
    let seconds = |nanos: u64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    let [at, window, source, missing] = match &vm.activity {
        Activity::Known(of) => {
            let window = self::thousandths(of.window_ms.into());
            [moment(of.at), window, of.source.name().to_owned(), String::new()]
        }
        Activity::Missing(missing) => {
            [String::new(), String::new(), String::new(), missing.reason.code().to_owned()]
        }
    };
    let [network_source, uncounted] = match &vm.activity {
        Activity::Known(of) => match &of.network {
            Ok(traffic) => [of.network_origin().source.name().to_owned(), traffic.uncounted.to_string()],
            Err(_) => [String::new(), String::new()],
        },
        Activity::Missing(_) => [String::new(), String::new()],
    };
    [
        thousandths(guest_memory),
        thousandths(network),
        thousandths(storage),
        thousandths(operations),
        latency.known().map(seconds).unwrap_or_default(),
        thousandths(contention),
        at,
        window,
        source,
        missing,
        network_source,
        uncounted,
    ]
}

/// Returns the columns of a figure. A missing figure has only a reason: its other fields are empty and not
/// zero.
fn figure(figure: &Figure) -> [String; 8] {
    match figure {
        Figure::Known(sample) => [
            sample.used.to_string(),
            sample.of.to_string(),
            if sample.of > 0 { thousandths(sample.percent_milli()) } else { String::new() },
            moment(sample.at),
            thousandths(sample.window_ms.into()),
            sample.source.name().to_owned(),
            sample.stale.to_string(),
            String::new(),
        ],
        Figure::Missing(missing) => {
            let mut fields = [const { String::new() }; 8];
            fields[7] = missing.reason.code().to_owned();
            fields
        }
    }
}

/// Formats thousandths with three decimals: `25.842`.
fn thousandths(milli: u64) -> String {
    format!("{}.{:03}", milli / 1000, milli % 1000)
}

/// Formats a time as `2026-03-04T09:12:33.25Z`, which both spreadsheets and programs can read.
fn moment(at: model::Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
