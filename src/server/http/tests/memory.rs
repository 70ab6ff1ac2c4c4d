//! What clients can make the program hold, added up.

use crate::server::{
    config::HttpConfig,
    http::{
        MOST_CONNECTIONS,
        connection::{LONGEST_HEAD, LONGEST_QUEUE},
        events::{BUFFERED_BYTES, CHANNEL_BYTES, PIECE},
        limits::{ANSWER_BYTES, DOWNLOAD_BYTES, DOWNLOADS, FILE_BYTES, LIST_BYTES},
    },
};

/// The program itself with 10,000 VMs, as `make bench` demands it.
const PROGRAM: usize = 200_000_000;

/// In bytes: `limits: { memory: 384Mi }`.
fn manifest_limit() -> usize {
    let manifest = include_str!("../../../../deploy/base/deployment.yaml");
    let (_, limits) = manifest.split_once("limits: { memory: ").expect("a limit of memory");
    let (mebibytes, _) = limits.split_once("Mi }").expect("in Mi");
    mebibytes.parse::<usize>().expect("a number") << 20
}

#[test]
fn everything_that_all_clients_can_hold_fits_beside_the_program() {
    let clients = HttpConfig::default().max_event_clients;
    let pools = [
        ("answers", ANSWER_BYTES),
        ("lists", LIST_BYTES),
        ("files", FILE_BYTES),
        ("downloads", DOWNLOADS * DOWNLOAD_BYTES),
        ("event views", CHANNEL_BYTES),
        ("events that are read", BUFFERED_BYTES),
        ("heads of requests", MOST_CONNECTIONS * LONGEST_HEAD),
        ("pieces of events", clients * (LONGEST_QUEUE + PIECE)),
    ];
    let all = PROGRAM + pools.iter().map(|(_, bytes)| bytes).sum::<usize>();
    assert!(all <= manifest_limit(), "{} MiB: {pools:?}", all >> 20);
}
