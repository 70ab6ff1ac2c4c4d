//! The kinds that are watched: where each is served, and how its objects become facts.

mod core;
mod kubevirt;
mod node;
mod storage;
mod wukong;

use std::{borrow::Cow, fmt::Debug, marker::PhantomData};

use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

pub use self::{
    core::{Claims, Pods},
    kubevirt::{Instances, VirtualMachines},
    node::Nodes,
    storage::{LonghornVolumes, PersistentVolumes},
    wukong::Wukongs,
};
use crate::{
    model::{Millis, source::SourceId},
    server::{
        k8s::{lenient::Obj, meta::Object, time},
        snapshot::facts::{Change, Key, Observation},
    },
};

/// One watched kind.
pub trait Kind: Clone + Debug + Send + Sync + 'static {
    const SOURCE: SourceId;
    const GROUP: &'static str;
    const VERSION: &'static str;
    const KIND: &'static str;
    const PLURAL: &'static str;
    const LABELS: Option<&'static str> = None;
    const SCOPE: Scope = Scope::Namespaced;

    type Spec: DeserializeOwned + Default;
    type Status: DeserializeOwned + Default;
    type Facts: Clone + Debug + Send + Sync + 'static;

    fn facts(object: Object<Self::Spec, Self::Status>) -> Self::Facts;
    fn key(facts: &Self::Facts) -> Key;
    fn observation(change: Change<Self::Facts>) -> Observation;

    /// `wukongs.vm.novasphere.dev`, as RBAC and people write it.
    fn resource() -> String {
        if Self::GROUP.is_empty() { Self::PLURAL.into() } else { format!("{}.{}", Self::PLURAL, Self::GROUP) }
    }

    /// Path of the collection, cluster-wide or in a namespace.
    fn path(namespace: Option<&str>) -> String {
        Watched::<Self>::url_path(&(), namespace)
    }
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// An object on its way in: facts already, and the version that the watch goes on from.
#[derive(Clone, Debug)]
pub struct Watched<K: Kind> {
    meta: ObjectMeta,
    /// None where the object has no name, or no namespace and should have one: nothing could refer to it.
    pub facts: Option<K::Facts>,
    kind: PhantomData<K>,
}

impl<'de, K: Kind> Deserialize<'de> for Watched<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Obj(object) = Obj::<Object<K::Spec, K::Status>>::deserialize(deserializer)?;
        let resource_version = Some(object.metadata.resource_version.0.clone());
        let placed = K::SCOPE == Scope::Cluster || !object.metadata.namespace.is_empty();
        let named = placed && !object.metadata.name.is_empty();
        Ok(Self {
            meta: ObjectMeta { resource_version, ..ObjectMeta::default() },
            facts: named.then(|| K::facts(object)),
            kind: PhantomData,
        })
    }
}

impl<K: Kind> Resource for Watched<K> {
    type DynamicType = ();
    /// Of a kind at cluster scope too: only ever asked for in all namespaces, where it makes no difference.
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        K::VERSION.into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// A creation time; the epoch where it cannot be read.
fn created(text: &str) -> Millis {
    time::rfc3339(text).unwrap_or_default()
}

#[cfg(test)]
fn read<K: Kind>(json: &str) -> Option<K::Facts> {
    serde_json::from_str::<Watched<K>>(json).unwrap_or_else(|e| panic!("{json}: {e}")).facts
}
