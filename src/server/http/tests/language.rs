//! The language of pages, and that programs always get English.

use axum::http::Method;

use std::sync::Arc;

use super::fixture::*;
use i18n::{Lang, Localize, msg};
use model::{
    figure::{Figure, Missing},
    message::Message,
    reason::Reason,
    source::SourceId,
    vm::{Reading, Vm},
};
use wukong_core::{
    ClusterState, Limits,
    observation::{Observation, SourceError},
};

const CHINESE: (&str, &str) = ("accept-language", "zh-CN,zh;q=0.9,en;q=0.5");

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn is_chinese(answer: &Answer) -> bool {
    let html = text(answer);
    let lang = answer.header("content-language");
    assert!(html.contains(&format!("<html lang=\"{lang}\"")), "{lang}: {html}");
    lang == "zh-CN"
}

#[tokio::test]
async fn the_parameter_beats_the_cookie_and_the_cookie_the_browser() {
    let server = Server::new(vec![vm("shop", "web")]);
    let (english, klingon) = (("cookie", "a=b; lang=en"), ("cookie", "lang=tlh"));
    let from_elsewhere =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    for (path, headers, chinese, kept) in [
        ("/", vec![], false, ""),
        ("/", vec![CHINESE], true, ""),
        ("/", vec![CHINESE, english], false, ""),
        ("/", vec![CHINESE, klingon], true, ""),
        ("/?q=web&lang=zh-CN", vec![english], true, "lang=zh-CN;"),
        ("/?lang=en", vec![CHINESE], false, "lang=en;"),
        // A page of another site links to it: its choice is not remembered.
        ("/?lang=zh-CN", vec![english, from_elsewhere[0], from_elsewhere[1], from_elsewhere[2]], true, ""),
        ("/?lang=zh-CN", vec![english, ("sec-fetch-site", "same-origin")], true, "lang=zh-CN;"),
        // A link with an unknown language works, and does not change the language.
        ("/?lang=tlh", vec![CHINESE], true, ""),
        ("/?lang=", vec![("cookie", "lang=zh-CN")], true, ""),
    ] {
        let answer = server.send(Method::GET, path, &headers).await;
        assert_eq!((answer.status.as_u16(), is_chinese(&answer)), (200, chinese), "{path} {headers:?}");
        assert!(answer.header("set-cookie").starts_with(kept), "{path}");
        assert_eq!(answer.header("set-cookie").is_empty(), kept.is_empty(), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        let vary: Vec<_> =
            answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.contains(&"accept-language, cookie"), "{vary:?}");
    }
}

#[tokio::test]
async fn every_page_is_in_the_readers_language() {
    let mut silent = vm("shop", "web");
    silent.summary.usage.memory = missing(Reason::TooNew);
    let server = Server::new(vec![silent]);
    for (path, status, words) in [
        ("/", 200, "已分配"),
        ("/", 200, "刚启动，指标 API 需要两次采样"),
        ("/vms/shop/web", 200, "为什么未知？"),
        ("/vms/shop/nope", 404, "命名空间 shop 中没有"),
        ("/nodes/node-1", 200, "用量最高"),
        ("/nodes/nope", 404, "没有名为"),
        ("/sources", 200, "数据来源"),
        ("/nope", 404, "页面不存在"),
        ("/?page=0", 400, "不小于 1 的整数"),
    ] {
        let answer = server.send(Method::GET, path, &[CHINESE]).await;
        assert_eq!((answer.status.as_u16(), is_chinese(&answer)), (status, true), "{path}");
        assert!(text(&answer).contains(words), "{path} lacks {words}: {}", text(&answer));
    }
}

#[tokio::test]
async fn problems_are_in_the_readers_language() {
    let server = Server::new(vec![]);
    let long = format!("/?q={}", "x".repeat(9_000));
    for (method, path, status, words) in [
        (Method::POST, "/", 405, "只应答 GET 和 HEAD"),
        (Method::GET, "/%FF", 400, "URL 不是有效的"),
        (Method::GET, long.as_str(), 414, "URL 超过 8192 字节"),
    ] {
        let answer = server.send(method.clone(), path, &[CHINESE]).await;
        assert_eq!((answer.status.as_u16(), is_chinese(&answer)), (status, true), "{path}");
        assert!(text(&answer).contains(words), "{}", text(&answer));
        let english = server.send(method, path, &[]).await;
        assert!(!is_chinese(&english) && !text(&english).contains(words), "{}", text(&english));
    }
}

#[tokio::test]
async fn programs_get_english_whatever_pages_were_served_before() {
    let mut silent = vm("shop", "web");
    silent.summary.usage.memory = missing(Reason::TooNew);
    let server = Server::new(vec![silent]);
    for _ in 0..3 {
        assert!(is_chinese(&server.send(Method::GET, "/", &[CHINESE]).await));
        let answer = server.send(Method::GET, "/api/vms/web?lang=zh-CN", &[CHINESE]).await;
        let missing = &answer.json()["usage"]["memory"]["missing"];
        assert_eq!(missing["text"], "too new: the metrics API needs two samples", "{missing}");
        assert_eq!((answer.header("content-language"), answer.header("set-cookie")), ("", ""));
        let bad = server.send(Method::POST, "/api/vms", &[CHINESE]).await;
        assert_eq!(bad.json()["detail"], "only GET and HEAD are supported");
        assert!(!is_chinese(&server.get("/").await));
    }
}

#[tokio::test]
async fn source_errors_are_in_the_readers_language_and_in_english_for_programs() {
    let limits = Limits {
        metrics_interval: 15_000,
        disk_interval: 60_000,
        ceph_interval: 300_000,
        disk_sources: vec![],
        virt_handler: false,
        most_vms: usize::MAX,
    };
    let mut state = ClusterState::new(limits);
    let failed = |source, detail| Observation::WatchFailed {
        source,
        namespace: None,
        error: SourceError { reason: Reason::Unreachable, detail },
    };
    let refused = msg!(collect.refused, peer = msg!(collect.api_server));
    state.apply(failed(SourceId::Wukongs, refused));
    // The text of another program, which is not translated.
    state.apply(failed(SourceId::Pods, "no such host".into()));
    let server = Server::new(vec![]);
    server.snapshots.send_replace(Arc::new(state.join(7_000)));
    let (english, chinese) = ("the API server refuses connections", "API server 拒绝连接");
    for (path, headers, words, others) in [
        ("/sources", vec![], english, chinese),
        ("/sources", vec![CHINESE], chinese, english),
        ("/at/h1/en/fn/sources", vec![], english, chinese),
        ("/at/h1/zh-CN/fn/sources", vec![], chinese, english),
        ("/api/sources", vec![CHINESE], english, chinese),
    ] {
        let answer = server.send(Method::GET, path, &headers).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains(words) && !text.contains(others), "{path} {headers:?}: {text}");
        assert!(text.contains("no such host"), "{path} {headers:?}: {text}");
    }
}

/// Returns a VM with a message in every place that can hold one, and the number of messages.
fn full_of_messages() -> (Vm, usize) {
    let message = || -> Option<Box<Message>> { Some(Box::new(msg!(error.no_serial))) };
    let missing = || Missing {
        detail: msg!(error.no_serial),
        fix: msg!(error.no_serial),
        ..Reason::NotReported.into()
    };
    let figure = || Figure::Missing(missing());
    let mut vm = vm("shop", "web");
    vm.summary.fault = message();
    vm.conflict = message();
    (vm.failure, vm.allocation_gap) = (Some(Box::new(missing())), Some(Box::new(missing())));
    let usage = &mut vm.summary.usage;
    (usage.cpu, usage.memory, usage.disk) = (figure(), figure(), figure());
    vm.volumes.truncate(1);
    vm.volumes[0].usage = figure();
    vm.volumes[0].readings = vec![Reading { source: SourceId::Kubelet, figure: figure() }];
    (vm, 2 + 2 * 7)
}

#[test]
fn no_message_of_a_localized_vm_is_left_without_a_language() {
    let (vm, messages) = full_of_messages();
    assert_eq!(format!("{vm:?}").matches("Template(").count(), messages);
    let localized = format!("{:?}", vm.localized(Lang::Chinese));
    assert!(!localized.contains("Template("), "{localized}");
}
