//! Splits the answer to a list into items while it arrives, so that no list is ever held whole: a page of 500
//! objects takes 6 MB in most clusters, and more if the authors of the objects make them larger.

mod scanner;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::{Deserialize, de::IgnoredAny};

use self::scanner::{KeyScanner, ValueScanner};
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
