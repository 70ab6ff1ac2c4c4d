//! What leads from a claim to its backend: PersistentVolumes, and Longhorn's volumes.

use super::{Kind, Scope, texts};
use crate::{
    model::source::SourceId,
    server::{
        k8s::{
            longhorn::{LonghornSpec, LonghornStatus},
            meta::{Nothing, Object},
            storage::{Csi, PersistentVolumeSpec, VolumeAttributes},
        },
        snapshot::facts::{
            Backend, Change, Image, Key, Lead, LonghornFacts, Observation, PersistentVolumeFacts,
        },
    },
};

/// The CSI driver whose volume handles are names of Longhorn volumes.
const LONGHORN_DRIVER: &str = "driver.longhorn.io";

#[derive(Clone, Debug)]
pub struct PersistentVolumes;

impl Kind for PersistentVolumes {
    const SOURCE: SourceId = SourceId::PersistentVolumes;
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "persistentvolumes";
    const SCOPE: Scope = Scope::Cluster;

    type Spec = PersistentVolumeSpec;
    type Status = Nothing;
    type Facts = PersistentVolumeFacts;

    fn facts(object: Object<PersistentVolumeSpec, Nothing>) -> PersistentVolumeFacts {
        let (claim, csi) = (object.spec.0.claim_ref.0, object.spec.0.csi.0);
        let lead =
            backend(csi).map(|backend| Lead { claim: Key::new(&claim.namespace, &claim.name), backend });
        PersistentVolumeFacts { name: object.metadata.0.name.0.into(), lead }
    }

    fn weight(facts: &PersistentVolumeFacts) -> usize {
        let lead = facts.lead.as_ref().map_or(0, |lead| {
            let backend = match &lead.backend {
                Backend::Longhorn(volume) => volume.len(),
                Backend::Rbd(image) => {
                    size_of::<Image>() + texts(&[&image.pool, &image.namespace, &image.name])
                }
            };
            texts(&[&lead.claim.namespace, &lead.claim.name]) + backend
        });
        size_of::<PersistentVolumeFacts>() + texts(&[&facts.name]) + lead
    }

    fn key(facts: &PersistentVolumeFacts) -> Key {
        Key::new("", &facts.name)
    }

    fn observation(change: Change<PersistentVolumeFacts>) -> Observation {
        Observation::PersistentVolumes(change)
    }
}

#[derive(Clone, Debug)]
pub struct LonghornVolumes;

impl Kind for LonghornVolumes {
    const SOURCE: SourceId = SourceId::Longhorn;
    const GROUP: &'static str = "longhorn.io";
    const VERSION: &'static str = "v1beta2";
    const PLURAL: &'static str = "volumes";

    type Spec = LonghornSpec;
    type Status = LonghornStatus;
    type Facts = LonghornFacts;

    fn facts(object: Object<LonghornSpec, LonghornStatus>) -> LonghornFacts {
        LonghornFacts {
            size: object.spec.size.bytes(),
            actual_size: object.status.actual_size.bytes(),
            namespace: object.metadata.0.namespace.0,
            name: object.metadata.0.name.0,
        }
    }

    fn weight(facts: &LonghornFacts) -> usize {
        size_of::<LonghornFacts>() + texts(&[&facts.namespace, &facts.name])
    }

    fn key(facts: &LonghornFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }

    fn observation(change: Change<LonghornFacts>) -> Observation {
        Observation::LonghornVolumes(change)
    }
}

/// None where no source could tell of it.
fn backend(csi: Csi) -> Option<Backend> {
    if *csi.driver == *LONGHORN_DRIVER && !csi.volume_handle.is_empty() {
        return Some(Backend::Longhorn(csi.volume_handle.0.into()));
    }
    image(csi.volume_attributes.0).map(Backend::Rbd)
}

/// ceph-csi names pool and image of what it provisions. Its driver's name begins with the operator's namespace, so
/// these two fields alone tell an RBD volume.
fn image(attributes: VolumeAttributes) -> Option<Box<Image>> {
    let (pool, name) = (&*attributes.pool, &*attributes.image_name);
    let named = !pool.is_empty() && !name.is_empty();
    named.then(|| {
        Box::new(Image {
            pool: pool.into(),
            namespace: (&*attributes.rados_namespace).into(),
            name: name.into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    fn volume(spec: &str) -> PersistentVolumeFacts {
        let json = format!(r#"{{"metadata": {{"name": "pvc-1", "uid": "u"}}, "spec": {spec}}}"#);
        read::<PersistentVolumes>(&json).expect("it has no namespace, and needs none")
    }

    #[test]
    fn an_rbd_volume_names_its_image() {
        let facts = volume(
            r#"{"accessModes": ["ReadWriteMany"], "capacity": {"storage": "20Gi"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "prod", "name": "web-root", "uid": "c"},
            "csi": {"driver": "rook-ceph.rbd.csi.ceph.com", "volumeHandle": "0001-0009-rook-ceph-0000000000000002-9d",
                "nodeStageSecretRef": {"name": "x", "namespace": "y"}, "volumeAttributes": {"clusterID": "rook-ceph",
                "imageFeatures": "layering", "imageName": "csi-vol-9d", "journalPool": "rbd", "pool": "rbd", "radosNamespace": "tenant"}}}"#,
        );
        let image = Image { pool: "rbd".into(), namespace: "tenant".into(), name: "csi-vol-9d".into() };
        let lead = Lead { claim: Key::new("prod", "web-root"), backend: Backend::Rbd(Box::new(image)) };
        assert_eq!(facts, PersistentVolumeFacts { name: "pvc-1".into(), lead: Some(lead) });
    }

    #[test]
    fn a_longhorn_volume_is_named_by_its_handle() {
        let facts = volume(
            r#"{"claimRef": {"namespace": "prod", "name": "web"}, "csi": {"driver": "driver.longhorn.io", "volumeHandle": "pvc-9"}}"#,
        );
        let lead = Lead { claim: Key::new("prod", "web"), backend: Backend::Longhorn("pvc-9".into()) };
        assert_eq!(facts.lead, Some(lead));
    }

    #[test]
    fn what_is_of_no_backend_leads_nowhere() {
        for spec in [
            r#"{"hostPath": {"path": "/data"}, "claimRef": {"namespace": "prod", "name": "web"}}"#,
            r#"{"csi": "rbd", "claimRef": {"namespace": "prod", "name": "web"}}"#,
            r#"{"csi": {"driver": 1, "volumeHandle": [], "volumeAttributes": "x"}, "claimRef": {"namespace": "prod", "name": "web"}}"#,
            r#"{"csi": {"driver": "driver.longhorn.io"}, "claimRef": {"namespace": "prod", "name": "web"}}"#,
            // A pool is no image.
            r#"{"csi": {"driver": "d", "volumeHandle": "h", "volumeAttributes": {"pool": "rbd"}}}"#,
            "null",
        ] {
            assert_eq!(volume(spec), PersistentVolumeFacts { name: "pvc-1".into(), lead: None }, "{spec}");
        }
    }

    #[test]
    fn longhorn_says_sizes_as_text_and_as_numbers() {
        for (spec, status, size, actual) in [
            (r#"{"size": "21474836480"}"#, r#"{"actualSize": 1073741824}"#, Some(20 << 30), Some(1 << 30)),
            (r#"{"size": "21474836480"}"#, r#"{"actualSize": 0}"#, Some(20 << 30), Some(0)),
            (r#"{"size": "20Gi"}"#, r#"{"actualSize": -1}"#, None, None),
            (r#"{"size": {}}"#, r#"{"actualSize": 1.5}"#, None, None),
            (r#"{"size": "9223372036854775808"}"#, r#"{"actualSize": 9223372036854775808}"#, None, None),
            ("{}", "{}", None, None),
        ] {
            let json = format!(
                r#"{{"metadata": {{"name": "pvc-1", "namespace": "longhorn-system"}}, "spec": {spec}, "status": {status}}}"#
            );
            let facts = read::<LonghornVolumes>(&json).unwrap();
            assert_eq!((facts.size, facts.actual_size), (size, actual), "{spec} {status}");
        }
    }

    #[test]
    fn only_a_kind_at_cluster_scope_needs_no_namespace() {
        assert!(read::<LonghornVolumes>(r#"{"metadata": {"name": "pvc-1"}}"#).is_none());
        assert!(read::<PersistentVolumes>(r#"{"metadata": {"namespace": "prod"}}"#).is_none());
    }
}
