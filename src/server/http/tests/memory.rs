//! Adds up the memory that clients can make the program hold.

use crate::server::{
    config::HttpConfig,
    http::{
        MOST_CONNECTIONS,
        connection_limits::{LONGEST_HEAD, LONGEST_QUEUE},
        events::{BUFFERED_BYTES, CHANNEL_BYTES, PIECE},
        handshake::LONGEST_TLS_QUEUE,
        limits::{ANSWER_BYTES, DOWNLOAD_BYTES, DOWNLOADS, FILE_BYTES, LIST_BYTES, WAITING_BYTES},
        listing::{LISTING_BYTES, LONGEST_LISTING, LONGEST_SELECTION},
    },
};

/// Memory of the program itself with 10,000 VMs: the peak while it starts.
const PROGRAM: usize = 240_000_000;

/// Memory of the kernel for one connection that sends requests and reads nothing. It counts in the container's limit.
const KERNEL_BYTES: usize = 48 << 10;

/// Most bytes that TLS holds of one connection: a record that has not arrived as a whole, one that hyper has not
/// read (RFC 8446, 5.1), what the client does not read, and the state of the session.
const TLS_BYTES: usize = 2 * (16 << 10) + LONGEST_TLS_QUEUE + (8 << 10);

/// Returns the manifest's memory limit (`limits: { memory: 672Mi }`) in bytes.
fn manifest_limit() -> usize {
    let manifest = include_str!("../../../../deploy/base/deployment.yaml");
    mebibytes(manifest, "limits: { memory: ")
}

/// Returns the memory limit with TLS (`value: 816Mi`) in bytes.
fn limit_with_tls() -> usize {
    let patches = include_str!("../../../../deploy/components/tls/kustomization.yaml");
    let (_, replacement) = patches.split_once("- op: replace").expect("one replacement");
    mebibytes(replacement, "limits/memory\n        value: ")
}

fn mebibytes(manifest: &str, before: &str) -> usize {
    let (_, limit) = manifest.split_once(before).expect("a limit of memory");
    let (mebibytes, _) = limit.split_once("Mi").expect("in Mi");
    mebibytes.parse::<usize>().expect("a number") << 20
}

#[test]
fn all_client_memory_fits_beside_the_program() {
    let clients = HttpConfig::default().max_event_clients;
    let pools = [
        ("answers", ANSWER_BYTES),
        ("lists", LIST_BYTES),
        ("answers and lists that wait for room", 2 * WAITING_BYTES),
        ("listings", LISTING_BYTES),
        ("the listing that is made", LONGEST_LISTING),
        ("a selection before it has its room", LONGEST_SELECTION),
        ("files", FILE_BYTES),
        ("downloads", DOWNLOADS * DOWNLOAD_BYTES),
        ("event views", CHANNEL_BYTES),
        ("events that are read", BUFFERED_BYTES),
        ("buffers of the kernel", MOST_CONNECTIONS * KERNEL_BYTES),
        ("heads of requests", MOST_CONNECTIONS * LONGEST_HEAD),
        ("pieces of events", clients * (LONGEST_QUEUE + PIECE)),
    ];
    let all = PROGRAM + pools.iter().map(|(_, bytes)| bytes).sum::<usize>();
    assert!(all <= manifest_limit(), "{} MiB: {pools:?}", all >> 20);
    let with_tls = all + MOST_CONNECTIONS * TLS_BYTES;
    assert!(with_tls <= limit_with_tls(), "{} MiB with TLS", with_tls >> 20);
}
