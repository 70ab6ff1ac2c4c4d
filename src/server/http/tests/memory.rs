//! Adds up the memory that clients can make the program hold.

use crate::server::{
    config::HttpConfig,
    http::{
        MOST_CONNECTIONS,
        connection::{LONGEST_HEAD, LONGEST_QUEUE},
        events::{BUFFERED_BYTES, CHANNEL_BYTES, PIECE},
        limits::{ANSWER_BYTES, DOWNLOAD_BYTES, DOWNLOADS, FILE_BYTES, LIST_BYTES},
        listing::LISTING_BYTES,
    },
};

/// Memory of the program itself with 10,000 VMs, which `make bench` checks.
const PROGRAM: usize = 200_000_000;

/// Returns the manifest's memory limit (`limits: { memory: 448Mi }`) in bytes.
fn manifest_limit() -> usize {
    let manifest = include_str!("../../../../deploy/base/deployment.yaml");
    let (_, limits) = manifest.split_once("limits: { memory: ").expect("a limit of memory");
    let (mebibytes, _) = limits.split_once("Mi }").expect("in Mi");
    mebibytes.parse::<usize>().expect("a number") << 20
}

#[test]
fn all_client_memory_fits_beside_the_program() {
    let clients = HttpConfig::default().max_event_clients;
    let pools = [
        ("answers", ANSWER_BYTES),
        ("lists", LIST_BYTES),
        ("listings", LISTING_BYTES),
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
