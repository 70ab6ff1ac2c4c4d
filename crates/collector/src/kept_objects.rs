//! Decides which objects of a collection are kept, within its quota, and records those that are not. Used by
//! the collection's list and watch.

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    error::{Access, Failure},
    identity::Identity,
    items::Item,
    kinds::{Kind, Scope, Watched},
    lines::WatchLine,
    omissions::Omissions,
    quota::{Quota, TotalQuota},
};
use crate::k8s::lenient::Obj;
use wukong_core::observation::Key;

/// A change of a collection.
#[derive(Debug)]
pub enum Event<T> {
    /// A list was read to its end: exactly these objects exist.
    Listed(Vec<T>),
    Applied(T),
    /// The object is gone, or too large to be known.
    Deleted(Key),
}

/// The result of one line of a watch: its event, if it is about an object, and the version that the watch has
/// reached.
pub type WatchStep<T> = (Option<Event<T>>, String);

/// The quota of the objects that are kept, and the record of those that are not.
#[derive(Debug)]
pub struct KeptObjects {
    pub quota: Quota,
    pub omissions: Omissions,
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow)]
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The object of an event of the type `ERROR`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireStatus {
    code: u16,
}

impl KeptObjects {
    /// Keeps up to `limit` bytes of facts, within the total of all collections.
    pub fn new(limit: usize, total: &TotalQuota) -> Self {
        Self { quota: Quota::new(limit, total), omissions: Omissions::default() }
    }

    /// The objects of a new list of the same collection.
    pub fn successor(&self) -> Self {
        Self { quota: self.quota.successor(), omissions: Omissions::default() }
    }

    /// Replaces the objects of the list before.
    pub fn replace(&mut self, before: Self) {
        self.omissions.follow(&before.omissions);
        self.quota.replace(before.quota);
    }

    /// The facts of one item of a list; `None` if it is not kept.
    pub fn item<K: Kind>(&mut self, item: Item<'_>) -> Option<K::Facts> {
        let object = match item {
            Item::Whole(bytes) => serde_json::from_slice::<Watched<K>>(bytes).map_err(|_| bytes),
            Item::TooLarge(bytes) => Err(bytes),
        };
        match object {
            Ok(object) => self.admit(object).ok(),
            Err(bytes) => {
                self.leave_out::<K>(&Identity::parse(bytes));
                None
            }
        }
    }

    /// Returns the facts if there is room for them. Otherwise returns the object's key; `None` for an object
    /// without a name.
    fn admit<K: Kind>(&mut self, object: Watched<K>) -> Result<K::Facts, Option<Key>> {
        let Some(facts) = object.facts else {
            self.omissions.leave_out(None);
            return Err(None);
        };
        let key = K::key(&facts);
        if !self.quota.admit(&key, K::weight(&facts)) {
            self.omissions.crowd_out(key.clone());
            return Err(Some(key));
        }
        self.omissions.read(key, object.left_out > 0);
        Ok(facts)
    }

    fn leave_out<K: Kind>(&mut self, identity: &Identity) {
        let key = identity.key(K::SCOPE == Scope::Namespaced);
        if let Some(key) = &key {
            self.quota.leave(key);
        }
        self.omissions.leave_out(key);
    }

    /// The event of a line, and the version that the watch has reached.
    pub fn event<K: Kind>(
        &mut self,
        line: WatchLine,
        access: &Access,
    ) -> Result<WatchStep<K::Facts>, Failure> {
        let line = match line {
            WatchLine::Whole(line) => line,
            WatchLine::TooLarge(identity) => return self.large_event::<K>(identity),
        };
        let event: WireEvent<'_> = serde_json::from_slice(&line).map_err(|_| Failure::Undecodable)?;
        match event.r#type {
            "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" => {}
            "ERROR" => return Err(status(event.object)),
            _ => return Err(Failure::Undecodable),
        }
        let Ok(mut object) = serde_json::from_str::<Watched<K>>(event.object.get()) else {
            return self.large_event::<K>(Identity::parse(&line));
        };
        let version = std::mem::take(&mut object.version);
        if version.is_empty() {
            return Err(access.no_version());
        }
        let change = match event.r#type {
            "BOOKMARK" => None,
            "DELETED" => object.facts.map(|facts| self.deleted(K::key(&facts))),
            _ => match self.admit(object) {
                Ok(facts) => Some(Event::Applied(facts)),
                Err(key) => key.map(Event::Deleted),
            },
        };
        Ok((change, version))
    }

    fn deleted<T>(&mut self, key: Key) -> Event<T> {
        self.quota.leave(&key);
        self.omissions.clear(&key);
        Event::Deleted(key)
    }

    /// Handles an event that is too large or cannot be read: its object is no longer known. If the event does
    /// not name the object either, this fails, and only a new list can tell.
    fn large_event<K: Kind>(&mut self, identity: Identity) -> Result<WatchStep<K::Facts>, Failure> {
        let key = identity.key(K::SCOPE == Scope::Namespaced).filter(|_| !identity.version.is_empty());
        let key = key.ok_or(Failure::Undecodable)?;
        let event = match identity.event.as_str() {
            "DELETED" => self.deleted(key),
            _ => {
                self.leave_out::<K>(&identity);
                Event::Deleted(key)
            }
        };
        Ok((Some(event), identity.version))
    }
}

fn status(object: &RawValue) -> Failure {
    let Obj(status) = serde_json::from_str::<Obj<WireStatus>>(object.get()).unwrap_or_default();
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Failure::Status { code, retry_after: None }
}
