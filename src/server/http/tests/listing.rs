//! The bytes of `/api/vms`: entity tags, codings, and sharing between clients.

use std::{io::Read, sync::Arc};

use axum::http::Method;
use model::query::{Query, Sort};
use wukong_core::{Scope, scope::Kinds};

use super::fixture::*;
use crate::server::http::{error::ApiError, listing::Listings};

fn many() -> Vec<model::vm::Vm> {
    (0..40).map(|n| vm("shop", &format!("web-{n}"))).collect()
}

#[tokio::test]
async fn known_content_is_not_sent_again() {
    let server = Server::new(many());
    let first = server.get("/api/vms").await;
    let tag = first.header("etag").to_owned();
    assert_eq!(
        (first.status.as_u16(), first.header("vary")),
        (200, "accept-encoding, cookie, authorization")
    );
    for known in [tag.clone(), tag.trim_start_matches("W/").to_owned(), format!("\"x\", {tag}"), "*".into()] {
        let again = server.send(Method::GET, "/api/vms", &[("if-none-match", &known)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{known}");
        assert_eq!(again.header("etag"), tag);
    }
    let other = server.send(Method::GET, "/api/vms", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_new_snapshot_has_a_new_tag_only_if_it_differs() {
    let server = Server::new(many());
    let first = server.get("/api/vms").await;
    server.publish(2, many());
    assert_eq!(server.get("/api/vms").await.header("etag"), first.header("etag"));
    server.publish(3, many().split_off(1));
    let third = server.get("/api/vms").await;
    assert_ne!(third.header("etag"), first.header("etag"));
    assert_eq!(third.json().as_array().unwrap().len(), 39);
}

#[tokio::test]
async fn every_coding_holds_the_same_bytes() {
    let server = Server::new(many());
    let plain = server.get("/api/vms").await;
    assert_eq!(plain.header("content-encoding"), "");
    for (accept, coding) in [("gzip, br", "br"), ("gzip", "gzip"), ("zstd", ""), ("br;q=0", "")] {
        let answer = server.send(Method::GET, "/api/vms", &[("accept-encoding", accept)]).await;
        assert_eq!(answer.header("content-encoding"), coding, "{accept}");
        assert_eq!(answer.header("etag"), plain.header("etag"), "{accept}");
        assert_eq!(decode(coding, &answer.body), plain.body, "{accept}");
        assert!(coding.is_empty() || answer.body.len() < plain.body.len() / 4, "{accept}");
    }
}

fn decode(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        _ => (&mut &*body).read_to_end(&mut plain),
    }
    .unwrap();
    plain
}

#[tokio::test]
async fn compressed_bytes_are_made_once_and_kept_for_equal_snapshots() {
    let server = Server::new(many());
    let ask = async || server.send(Method::GET, "/api/vms", &[("accept-encoding", "br")]).await.body;
    let first = ask().await;
    server.publish(2, many());
    let second = ask().await;
    // The same memory, not just the same bytes.
    assert_eq!(first.as_ptr(), second.as_ptr());
    server.publish(3, many().split_off(1));
    assert_ne!(first.as_ptr(), ask().await.as_ptr());
}

#[tokio::test]
async fn simultaneous_requests_share_one_answer() {
    let server = Server::new(many());
    let ask = || server.send(Method::GET, "/api/vms", &[("accept-encoding", "gzip")]);
    let answers = futures::future::join_all((0..16).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| answer.body.as_ptr() == answers[0].body.as_ptr()));
}

/// A client that asked for some VMs was sent all of them.
#[tokio::test]
async fn a_query_selects_and_sorts_as_it_does_for_downloads() {
    let server = Server::new([many(), vec![vm("ops", "db"), vm("ops", "web-1")]].concat());
    for (query, count) in [
        ("namespace=ops", 2),
        ("q=web-1&order=desc", 12),
        ("status=stopped", 0),
        ("node=none", 0),
        ("sort=namespace", 42),
        ("order=desc", 42),
        ("page=7&view=map", 42),
    ] {
        let list = server.get(&format!("/api/vms?{query}")).await;
        assert_eq!(list.json().as_array().unwrap().len(), count, "{query}");
        assert_eq!(list.body, server.get(&format!("/api/vms.json?{query}")).await.body, "{query}");
        let tag = list.header("etag");
        let again = server.send(Method::GET, &format!("/api/vms?{query}"), &[("if-none-match", tag)]).await;
        assert_eq!(again.status.as_u16(), 304, "{query}");
    }
    assert_eq!(server.app.listings.len(), 1, "what is selected is not kept");
}

#[tokio::test]
async fn an_older_snapshot_never_replaces_a_newer_one() {
    let server = Server::new(many());
    server.publish(5, many().split_off(1));
    let newer = server.get("/api/vms").await;
    server.publish(4, many());
    assert_eq!(server.get("/api/vms").await.header("etag"), newer.header("etag"));
}

/// Returns the scope of one namespace.
fn scope(namespace: &str) -> Scope {
    Scope::new(Kinds::default(), [(namespace.into(), Kinds::ALL)].into(), false)
}

#[tokio::test]
async fn listings_of_many_scopes_take_a_bounded_number_of_bytes() {
    const NAMESPACES: usize = 50;
    let vms =
        (0..NAMESPACES).flat_map(|at| (0..10).map(move |n| vm(&format!("team-{at}"), &format!("web-{n}"))));
    let server = Server::new(vms.collect());
    let reader = &server.app.reader;
    let one = Listings::new(reader.clone());
    one.listing_for(&scope("team-0")).await.unwrap();
    let limit = 10 * one.bytes();
    let listings = Listings::with_bytes(reader.clone(), limit);
    let mut first = Vec::new();
    for at in 0..NAMESPACES {
        first.push(listings.listing_for(&scope(&format!("team-{at}"))).await.unwrap());
        // The first is asked for all the time, so that others give way.
        assert!(Arc::ptr_eq(&listings.listing_for(&scope("team-0")).await.unwrap(), &first[0]), "{at}");
        assert!(listings.bytes() <= limit, "{} of {limit} bytes", listings.bytes());
    }
    assert!((8..=10).contains(&listings.len()), "{}", listings.len());
    let again = listings.listing_for(&scope("team-1")).await.unwrap();
    assert!(!Arc::ptr_eq(&again, &first[1]), "it had given way");
    // Compressed bytes count too.
    let before = listings.bytes();
    let headers = [(axum::http::header::ACCEPT_ENCODING, "br".parse().unwrap())].into_iter().collect();
    again.respond(&headers).await.unwrap();
    assert!(listings.bytes() > before);
}

#[tokio::test]
async fn a_list_that_is_too_long_is_not_made() {
    let server = Server::new(many());
    let longest = server.get("/api/vms").await.body.len();
    let whole = Listings::up_to(server.app.reader.clone(), longest);
    whole.listing_for(&Scope::all()).await.unwrap();
    let listings = Listings::up_to(server.app.reader.clone(), longest - 1);
    for _ in 0..2 {
        assert!(matches!(listings.listing_for(&Scope::all()).await, Err(ApiError::Unavailable(_))));
        let by_cpu = Query { sort: Sort::Cpu, ..Query::default() };
        assert!(matches!(listings.selected(&Scope::all(), by_cpu).await, Err(ApiError::Unavailable(_))));
    }
    server.publish(2, many().split_off(1));
    listings.listing_for(&Scope::all()).await.expect("a shorter one is made");
}

#[tokio::test]
async fn a_listing_that_is_larger_than_all_may_take_is_shared_too() {
    let server = Server::new(many());
    let listings = Listings::with_bytes(server.app.reader.clone(), 1);
    let first = listings.listing_for(&Scope::all()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &listings.listing_for(&Scope::all()).await.unwrap()));
    listings.listing_for(&scope("shop")).await.unwrap();
    assert_eq!(listings.len(), 1);
}
