//! Splits the answer to a list into items while it arrives, so that no list is ever held whole: a page of 500
//! objects takes 6 MB in most clusters, and more if the authors of the objects make them larger.

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::{Deserialize, de::IgnoredAny};

use super::{budget::Lease, error::Failure};
use crate::k8s::lenient::{Obj, nullable};

/// Bytes of a list without its items: kind, version and continue token.
const LARGEST_FRAME: usize = 64 << 10;

/// A list without its items. Without a field `items` the answer is no list, and is refused.
#[derive(Debug, Deserialize)]
pub struct ListHead {
    #[serde(default)]
    pub metadata: Obj<ListMeta>,
    /// The array is empty here, since its elements were cut out.
    #[serde(deserialize_with = "nullable::<_, _, 0>", rename = "items")]
    _items: Vec<IgnoredAny>,
}

/// The `metadata` of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ListMeta {
    pub resource_version: Option<String>,
    pub r#continue: Option<String>,
}

/// One item of a list.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Whole(&'a [u8]),
    /// The item is larger than the limit: this is its beginning.
    TooLarge(&'a [u8]),
}

/// Bytes of the largest answer that is read to its end, and of the largest item that is held.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    pub answer: usize,
    pub item: usize,
}

/// Reads a list to its end and passes each item to `take`. Also returns how many bytes the answer had.
pub async fn read_items(
    mut body: Body,
    limits: ReadLimits,
    mut lease: Lease,
    mut take: impl FnMut(Item<'_>) + Send,
) -> Result<(ListHead, usize), Failure> {
    let mut splitter = ItemSplitter::default();
    let mut received = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| Failure::Transport(error.into()))?.into_data() else { continue };
        received = received.saturating_add(data.len());
        if received > limits.answer {
            return Err(Failure::TooLarge(limits.answer));
        }
        splitter.split(&data, limits.item, &mut take);
        if splitter.frame.len() > LARGEST_FRAME.min(limits.answer) {
            return Err(Failure::TooLarge(limits.answer));
        }
        match splitter.begun.len() {
            0 => lease.release(),
            held if held > limits.item || !lease.cover(held).await => {
                take(Item::TooLarge(&splitter.skip()));
                lease.release();
            }
            _ => {}
        }
    }
    Ok((splitter.head().ok_or(Failure::Undecodable)?, received))
}

/// Splits an answer that is already complete, as the fuzz targets do.
#[cfg(any(test, feature = "fuzzing"))]
pub fn split_items(answer: &[u8], mut take: impl FnMut(Item<'_>)) -> Option<ListHead> {
    let mut splitter = ItemSplitter::default();
    splitter.split(&Bytes::copy_from_slice(answer), usize::MAX, &mut take);
    splitter.head()
}

/// The part of the answer that the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// Before or after the items.
    #[default]
    Frame,
    BetweenItems,
    Item,
    /// In an item of which no more is kept.
    SkippedItem,
}

#[derive(Debug, Default)]
struct ItemSplitter {
    position: Position,
    value: ValueScanner,
    keys: KeyScanner,
    /// The item that has begun and not ended.
    begun: Vec<u8>,
    /// The answer without its items.
    frame: Vec<u8>,
}

impl ItemSplitter {
    fn split(&mut self, data: &Bytes, largest: usize, take: &mut impl FnMut(Item<'_>)) {
        let mut data = &data[..];
        while !data.is_empty() {
            let taken = match self.position {
                Position::Frame => self.frame(data),
                Position::BetweenItems => self.between(data),
                Position::Item => self.item(data, largest, take),
                Position::SkippedItem => {
                    self.value.end(data).inspect(|_| self.position = Position::BetweenItems)
                }
            };
            data = &data[taken.unwrap_or(data.len())..];
        }
    }

    /// Like the next two methods, returns how many bytes it consumed; `None` means all.
    fn frame(&mut self, data: &[u8]) -> Option<usize> {
        let begins = self.keys.items(data);
        self.frame.extend_from_slice(&data[..begins.unwrap_or(data.len())]);
        self.position = if begins.is_some() { Position::BetweenItems } else { Position::Frame };
        begins
    }

    fn between(&mut self, data: &[u8]) -> Option<usize> {
        let at = data.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t'))?;
        self.value = ValueScanner::default();
        self.position = match data[at] {
            b']' | b'}' | b':' => Position::Frame,
            _ => Position::Item,
        };
        Some(at)
    }

    fn item(&mut self, data: &[u8], largest: usize, take: &mut impl FnMut(Item<'_>)) -> Option<usize> {
        let Some(end) = self.value.end(data) else {
            self.begun.extend_from_slice(data);
            return None;
        };
        self.position = Position::BetweenItems;
        let whole = if self.begun.is_empty() {
            &data[..end]
        } else {
            self.begun.extend_from_slice(&data[..end]);
            &self.begun
        };
        take(if whole.len() > largest { Item::TooLarge(whole) } else { Item::Whole(whole) });
        self.begun = Vec::new();
        Some(end)
    }

    /// Keeps no more of the current item. Returns what was kept of it.
    fn skip(&mut self) -> Vec<u8> {
        self.position = Position::SkippedItem;
        std::mem::take(&mut self.begun)
    }

    /// The list without its items; `None` if the answer was no list, or broke off.
    fn head(&self) -> Option<ListHead> {
        serde_json::from_slice(&self.frame).ok()
    }
}

/// Finds the end of a JSON value. It does not validate: decoding does.
#[derive(Debug, Default)]
struct ValueScanner {
    depth: usize,
    text: TextScanner,
}

impl ValueScanner {
    /// The number of bytes that belong to the value; `None` if it continues after them.
    fn end(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < data.len() {
            if self.text.is_open() {
                at += self.text.end(&data[at..])?;
                continue;
            }
            match data[at] {
                b'"' => self.text.open(),
                b'{' | b'[' => self.depth += 1,
                // A number, a word or a string at the top ends where its list continues.
                b'}' | b']' | b',' if self.depth == 0 => return Some(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Tracks whether a position is inside a JSON string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TextScanner {
    #[default]
    Closed,
    Open,
    /// After a backslash.
    Escaped,
}

impl TextScanner {
    fn is_open(self) -> bool {
        self != Self::Closed
    }

    fn open(&mut self) {
        *self = Self::Open;
    }

    /// The index after the closing quote; `None` if the string continues.
    fn end(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        if *self == Self::Escaped {
            at = 1;
            *self = Self::Open;
        }
        loop {
            let Some(rest) = data.get(at..) else {
                // The backslash was the last byte.
                *self = Self::Escaped;
                return None;
            };
            let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            if rest[found] == b'"' {
                *self = Self::Closed;
                return Some(at + found + 1);
            }
            at += found + 2;
        }
    }
}

/// Finds the array under the key `items` of the outermost object.
#[derive(Debug, Default)]
struct KeyScanner {
    depth: usize,
    text: TextScanner,
    /// The last string of the outermost object with its quotes, as long as it can be the key.
    last: Vec<u8>,
    /// Whether a colon follows it.
    is_key: bool,
}

const ITEMS: &[u8] = b"\"items\"";

impl KeyScanner {
    /// The index after the bracket that begins the items; `None` if it is not in these bytes.
    fn items(&mut self, data: &[u8]) -> Option<usize> {
        for (at, byte) in data.iter().enumerate() {
            if self.text.is_open() {
                self.keep(*byte);
                self.text.end(std::slice::from_ref(byte));
                continue;
            }
            match byte {
                b'"' => {
                    self.text.open();
                    (self.last, self.is_key) = (Vec::new(), false);
                    self.keep(*byte);
                }
                b':' => self.is_key = self.depth == 1,
                b'[' if self.depth == 1 && self.is_key && self.last == ITEMS => {
                    (self.depth, self.is_key) = (self.depth + 1, false);
                    return Some(at + 1);
                }
                b'{' | b'[' => (self.depth, self.is_key) = (self.depth + 1, false),
                b'}' | b']' => (self.depth, self.is_key) = (self.depth.saturating_sub(1), false),
                b' ' | b'\n' | b'\r' | b'\t' => {}
                _ => self.is_key = false,
            }
        }
        None
    }

    fn keep(&mut self, byte: u8) {
        if self.last.len() <= ITEMS.len() {
            self.last.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
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
        (
            r#"{"metadata":{"resourceVersion":"7"},"items":[{"a":{"b":{"c":{}}}}]}"#,
            &[r#"{"a":{"b":{"c":{}}}}"#],
        ),
    ];

    #[test]
    fn items_are_found_wherever_the_answer_is_cut() {
        for (list, want) in LISTS {
            for size in 1..=list.len() {
                let (items, head) = split(list.as_bytes().chunks(size), 1000);
                assert_eq!(items, want, "{list} in pieces of {size}");
                assert_eq!(version(head).as_deref(), Some("7"), "{list} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
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
    fn an_item_that_is_too_large_costs_itself_alone() {
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
        fn any_bytes_in_any_pieces_end(text in "[\\[\\]{}\",:\\\\a ]{0,60}", items in any::<bool>(), size in 1usize..20) {
            let text = if items { format!(r#"{{"items":[{text}"#) } else { text };
            let (whole, _) = split([text.as_bytes()].into_iter(), 1000);
            let (pieces, _) = split(text.as_bytes().chunks(size), 1000);
            prop_assert_eq!(whole, pieces);
        }
    }
}
