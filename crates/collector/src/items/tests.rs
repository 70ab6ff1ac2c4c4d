//! Lists that arrive in pieces: where their items begin and end, and what is never held.

use proptest::prelude::*;

use super::*;
use crate::{budget::Budget, tests::body};

/// Items as text, with `!` before the beginning of an item that is too large; and the list without its
/// items.
type Read = (Vec<String>, Option<ListHead>);

/// Passes these pieces to the splitter one after another.
fn split<'a>(pieces: impl Iterator<Item = &'a [u8]>, largest: usize) -> Read {
    let (mut splitter, mut items) = (ItemSplitter::default(), Vec::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for piece in pieces {
        splitter.split(&Bytes::copy_from_slice(piece), largest, &mut |item: Item<'_>| {
            items.push(match item {
                Item::Whole(item) => text(item),
                Item::TooLarge(item) => format!("!{}", text(item)),
            });
        });
        if splitter.begun.len() > largest {
            items.push(format!("!{}", text(&splitter.skip())));
        }
    }
    (items, splitter.head())
}

fn version(head: Option<ListHead>) -> Option<String> {
    head?.metadata.0.resource_version
}

const LISTS: [(&str, &[&str]); 8] = [
    // A list of a built-in kind and of a custom kind as Go writes them: the keys of the latter are in
    // alphabetical order.
    (
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"a":1},{"b":[2]}]}"#,
        &[r#"{"a":1}"#, r#"{"b":[2]}"#],
    ),
    (
        r#"{"apiVersion":"v1","items":[{"a":"}]\\\"[{"},{"b":"\\"}],"kind":"List","metadata":{"resourceVersion":"7"}}"#,
        &[r#"{"a":"}]\\\"[{"}"#, r#"{"b":"\\"}"#],
    ),
    (r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#, &[]),
    (r#"{"metadata":{"resourceVersion":"7"},"items":null}"#, &[]),
    (
        "{ \"items\" : [ 7 , \"x\" , null , [[]] , {} ] , \"metadata\" : {\"resourceVersion\": \"7\"} }",
        &["7 ", "\"x\" ", "null ", "[[]]", "{}"],
    ),
    // Only the array under the key of the outermost object counts.
    (r#"{"metadata":{"resourceVersion":"7","items":[1]},"x":"items","items":[2]}"#, &["2"]),
    (
        r#"{"metadata":{"resourceVersion":"7"},"xs":["items",["items"]],"items":[{"items":[1]}]}"#,
        &[r#"{"items":[1]}"#],
    ),
    (r#"{"metadata":{"resourceVersion":"7"},"items":[{"a":{"b":{"c":{}}}}]}"#, &[r#"{"a":{"b":{"c":{}}}}"#]),
];

#[test]
fn items_are_found_wherever_the_answer_is_split() {
    for (list, want) in LISTS {
        for size in 1..=list.len() {
            let (items, head) = split(list.as_bytes().chunks(size), 1000);
            assert_eq!(items, want, "{list} in pieces of {size}");
            assert_eq!(version(head).as_deref(), Some("7"), "{list} in pieces of {size}");
        }
    }
}

#[test]
fn an_answer_that_is_not_a_list_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "<html>",
        r#"{"items":3}"#,
        r#"{"items":{"a":1}}"#,
        r#"{"items":[{"a":1}"#,
        r#"{"items":[{"a":1}]"#,
        r#"{"items":[}]}"#,
        r#"{"items":[:]}"#,
        r#"{"items":[]}}"#,
        r#"{"metadata":{"resourceVersion":"7"}}"#,
    ] {
        assert!(split([text.as_bytes()].into_iter(), 1000).1.is_none(), "{text}");
    }
}

#[test]
fn an_oversized_item_loses_only_itself() {
    let large = "y".repeat(500);
    let list = format!(
        r#"{{"items":[{{"a":1}},{{"name":"big","of":"{large}","a":[{{}},"\"]"]}},{{"b":2}}],"metadata":{{"resourceVersion":"7"}}}}"#
    );
    for size in [1, 3, 50, 99, 101, 10_000] {
        let (items, head) = split(list.as_bytes().chunks(size), 100);
        assert_eq!((items.len(), &*items[0], &*items[2]), (3, r#"{"a":1}"#, r#"{"b":2}"#), "{size}");
        assert!(items[1].starts_with(r#"!{"name":"big","of":"yyy"#), "{size}: {}", items[1]);
        assert_eq!(version(head).as_deref(), Some("7"), "{size}");
    }
}

#[tokio::test]
async fn an_endless_item_is_never_held() {
    let budget = Budget::new(&[(1, 1 << 20)]);
    let head = Bytes::from_static(br#"{"items":[{"metadata":{"name":"a"},"x":""#);
    let piece = Bytes::from(vec![b'y'; 1 << 16]);
    let tail = Bytes::from_static(br#""},{"b":2}],"metadata":{}}"#);
    let pieces = [vec![head], vec![piece; 640], vec![tail]].concat();
    let (mut whole, mut large) = (Vec::new(), Vec::new());
    let limits = ReadLimits { answer: usize::MAX, item: 4 << 20 };
    let read = read_items(body(pieces).await, limits, budget.lease(), |item| match item {
        Item::Whole(item) => whole.push(item.to_vec()),
        Item::TooLarge(item) => large.push(item.len()),
    });
    read.await.unwrap();
    assert_eq!(whole, [br#"{"b":2}"#]);
    assert!(matches!(large[..], [held] if held <= (1 << 20) + (1 << 17)), "{large:?} of 40 MB");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    let limits = ReadLimits { answer: 1000, item: 1000 };
    for text in [
        format!(r#"{{"items":[{{"x":"{}"}}],"metadata":{{}}}}"#, "y".repeat(2000)),
        format!(r#"{{"items":[],"x":"{}"}}"#, "y".repeat(2000)),
        format!(r#"{{"items":[]}}{}"#, " ".repeat(2000)),
    ] {
        let lease = Budget::new(&[]).lease();
        let read = read_items(body(vec![Bytes::from(text)]).await, limits, lease, |_| {}).await;
        assert!(matches!(read, Err(Failure::TooLarge(1000))), "{read:?}");
    }
    let endless = ReadLimits { answer: usize::MAX, item: 1000 };
    let blank = vec![Bytes::from(vec![b' '; 1 << 14]); 10];
    let read = read_items(body(blank).await, endless, Budget::new(&[]).lease(), |_| {}).await;
    assert!(matches!(read, Err(Failure::TooLarge(_))), "nor are 160 kB around the items: {read:?}");
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_items_in_any_pieces(text in "[\\[\\]{}\",:\\\\a ]{0,60}", items in any::<bool>(), size in 1usize..20) {
        let text = if items { format!(r#"{{"items":[{text}"#) } else { text };
        let (whole, _) = split([text.as_bytes()].into_iter(), 1000);
        let (pieces, _) = split(text.as_bytes().chunks(size), 1000);
        prop_assert_eq!(whole, pieces);
    }
}
