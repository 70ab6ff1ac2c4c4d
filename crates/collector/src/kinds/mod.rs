//! The kinds of objects that are watched: where the API server serves each, and how its objects become facts.
//! Used by the list and watch of a collection.

mod core;
mod kubevirt;
mod node;
mod provisioner;
mod rbac;
mod rbd;
mod storage;
mod virt_handler;
mod wukong;

use std::fmt::Debug;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

pub use self::{
    core::{Claims, Pods},
    kubevirt::{ClusterInstancetypes, Instances, Instancetypes, Migrations, VirtualMachines},
    node::Nodes,
    rbac::{Binding, ClusterRoleBindings, RoleBindings},
    storage::{LonghornVolumes, PersistentVolumes},
    virt_handler::{Kubevirt, Kubevirts, VirtHandler, VirtHandlers},
    wukong::Wukongs,
};
use crate::k8s::{lenient::Obj, meta::Object, time};
use model::{Millis, source::SourceId};
use wukong_core::observation::{Change, Key, Observation};

/// The label selector of launcher pods.
pub const LAUNCHERS: &str = "kubevirt.io=virt-launcher";

/// A kind of objects that is watched.
pub trait Kind: Clone + Debug + Send + Sync + 'static {
    const GROUP: &'static str;
    const VERSION: &'static str;
    const PLURAL: &'static str;
    const LABELS: Option<&'static str> = None;
    const SCOPE: Scope = Scope::Namespaced;

    type Spec: DeserializeOwned + Default;
    type Status: DeserializeOwned + Default;
    type Facts: Clone + Debug + Send + Sync + 'static;

    fn facts(object: Object<Self::Spec, Self::Status>) -> Self::Facts;
    fn key(facts: &Self::Facts) -> Key;

    /// Roughly how many bytes these facts take in memory.
    fn weight(facts: &Self::Facts) -> usize;

    /// How many elements of the object's lists are over their bounds.
    fn left_out(_: &Object<Self::Spec, Self::Status>) -> u32 {
        0
    }

    /// The resource as in RBAC and in texts for people: `wukongs.vm.novasphere.dev`.
    fn resource() -> String {
        if Self::GROUP.is_empty() { Self::PLURAL.into() } else { format!("{}.{}", Self::PLURAL, Self::GROUP) }
    }

    /// The path of the collection, in one namespace or in all.
    fn path(namespace: Option<&str>) -> String {
        let group = if Self::GROUP.is_empty() { "/api".into() } else { format!("/apis/{}", Self::GROUP) };
        let scope = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
        format!("{group}/{}/{scope}{}", Self::VERSION, Self::PLURAL)
    }
}

/// A kind that is a source of figures: its changes become observations.
pub trait ObservedKind: Kind {
    const SOURCE: SourceId;

    fn observation(change: Change<Self::Facts>) -> Observation;
}

/// Bytes held for a row besides its facts: what is joined to it, and its part of the answers to readers.
const ROW: usize = 1 << 10;
/// Bytes held for a volume besides its facts: its readings, its remedies, and its part of the answers to
/// readers.
const VOLUME_ROW: usize = 512;
/// The number of volumes that an ordinary VM may have. An object with more is made to take room: each further
/// volume counts twice.
const USUAL_VOLUMES: usize = 16;

/// Bytes that an object's volumes count for besides their facts.
fn volume_rows(count: usize) -> usize {
    (count + count.saturating_sub(USUAL_VOLUMES)) * VOLUME_ROW
}

/// The total bytes of these texts.
fn texts(texts: &[impl AsRef<str>]) -> usize {
    texts.iter().map(|text| text.as_ref().len()).sum()
}

/// Whether a kind is namespaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// An object as it is decoded: its facts, and the version that the watch continues from.
#[derive(Debug)]
pub struct Watched<K: Kind> {
    pub version: String,
    /// `None` if the object has no name, or lacks the namespace that it should have: nothing could refer to
    /// it.
    pub facts: Option<K::Facts>,
    /// How many elements of its lists are over their bounds.
    pub left_out: u32,
}

impl<'de, K: Kind> Deserialize<'de> for Watched<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Obj(object) = Obj::<Object<K::Spec, K::Status>>::deserialize(deserializer)?;
        let version = object.metadata.resource_version.0.clone();
        let left_out = object.metadata.owner_references.left_out.saturating_add(K::left_out(&object));
        let placed = K::SCOPE == Scope::Cluster || !object.metadata.namespace.is_empty();
        let named = placed && !object.metadata.name.is_empty();
        Ok(Self { version, facts: named.then(|| K::facts(object)), left_out })
    }
}

/// Parses a creation time; the epoch if it cannot be read.
fn created(text: &str) -> Millis {
    time::rfc3339(text).unwrap_or_default()
}

#[cfg(test)]
fn read<K: Kind>(json: &str) -> Option<K::Facts> {
    serde_json::from_str::<Watched<K>>(json).unwrap_or_else(|e| panic!("{json}: {e}")).facts
}

#[cfg(test)]
mod tests {
    mod memory;

    use super::*;

    #[test]
    fn a_collection_has_its_path() {
        for (path, want) in [
            (Wukongs::path(None), "/apis/vm.novasphere.dev/v1alpha1/wukongs"),
            (Wukongs::path(Some("prod")), "/apis/vm.novasphere.dev/v1alpha1/namespaces/prod/wukongs"),
            (Pods::path(None), "/api/v1/pods"),
            (Claims::path(Some("prod")), "/api/v1/namespaces/prod/persistentvolumeclaims"),
        ] {
            assert_eq!(path, want);
        }
    }

    #[test]
    fn a_list_that_is_cut_is_counted_on_its_object() {
        let many = |item: &str| vec![item; 300].join(",");
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b", "resourceVersion": "7", "ownerReferences": [{}]}},
                "spec": {{"disks": [{}]}}, "status": {{"volumes": [{}]}}}}"#,
            many("{}"),
            many(r#"{"size": "1Gi"}"#),
            many(r#"{"pvcName": "c"}"#)
        );
        let object = serde_json::from_str::<Watched<Wukongs>>(&json).unwrap();
        let facts = object.facts.unwrap();
        assert_eq!((object.version.as_str(), object.left_out), ("7", (300 - 64) + 2 * (300 - 256)));
        assert_eq!((facts.disks.len(), facts.disks_left_out), (256, 44));
        assert_eq!((facts.volumes.len(), facts.volumes_left_out), (256, 44));
    }

    #[test]
    fn an_object_weighs_what_its_texts_do() {
        let light = read::<Wukongs>(r#"{"metadata": {"name": "a", "namespace": "b"}}"#).unwrap();
        let disk = format!(r#"{{"name": "{}"}}"#, "x".repeat(100));
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "spec": {{"disks": [{}]}}}}"#,
            [disk.as_str(); 10].join(",")
        );
        let heavy = read::<Wukongs>(&json).unwrap();
        assert!(Wukongs::weight(&light) < 3000 && Wukongs::weight(&heavy) > Wukongs::weight(&light) + 1000);
    }

    /// The join made 400 MB of 900 small objects with 256 volumes each.
    #[test]
    fn a_volume_weighs_what_the_join_makes_of_it() {
        let volumes = [r#"{"name": "v", "pvcName": "c"}"#; 256].join(",");
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "status": {{"volumes": [{volumes}]}}}}"#
        );
        assert!(Wukongs::weight(&read::<Wukongs>(&json).unwrap()) > 256 * 550);
        let volumes = [r#"{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}"#; 256].join(",");
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "spec": {{"volumes": [{volumes}]}}}}"#
        );
        assert!(Instances::weight(&read::<Instances>(&json).unwrap()) > 256 * 550);
    }
}
