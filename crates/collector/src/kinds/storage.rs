//! The objects that connect a claim to its backend: PersistentVolumes and Longhorn's volumes.

use super::{Kind, ObservedKind, Scope, provisioner, rbd, texts};
use crate::k8s::{
    longhorn::{LonghornSpec, LonghornStatus},
    meta::{Nothing, Object},
    storage::PersistentVolumeSpec,
};
use model::source::SourceId;
use wukong_core::observation::{
    Backend, Change, Image, Key, LonghornEngine, LonghornFacts, Observation, PersistentVolumeFacts,
    Provisioner,
};

/// The CSI driver whose volume handles are names of Longhorn volumes.
const LONGHORN_DRIVER: &str = "driver.longhorn.io";

/// PersistentVolumes.
#[derive(Clone, Debug)]
pub struct PersistentVolumes;

impl Kind for PersistentVolumes {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "persistentvolumes";
    const SCOPE: Scope = Scope::Cluster;

    type Spec = PersistentVolumeSpec;
    type Status = Nothing;
    type Facts = PersistentVolumeFacts;

    fn facts(object: Object<PersistentVolumeSpec, Nothing>) -> PersistentVolumeFacts {
        let (meta, spec) = (object.metadata.0, object.spec.0);
        let claim = &spec.claim_ref;
        PersistentVolumeFacts {
            claim: Key::new(&claim.namespace, &claim.name),
            provisioner: provisioner(&meta.annotations.provisioned_by, &spec),
            backend: backend(&spec),
            name: meta.name.0.into(),
        }
    }

    fn weight(facts: &PersistentVolumeFacts) -> usize {
        let backend = facts.backend.as_ref().map_or(0, |backend| match backend {
            Backend::Longhorn(volume) => volume.len(),
            Backend::Rbd(image) => size_of::<Image>() + texts(&[&image.pool, &image.namespace, &image.name]),
        });
        size_of::<PersistentVolumeFacts>()
            + texts(&[&facts.name, &facts.claim.namespace, &facts.claim.name])
            + backend
    }

    fn key(facts: &PersistentVolumeFacts) -> Key {
        Key::new("", &facts.name)
    }
}

impl ObservedKind for PersistentVolumes {
    const SOURCE: SourceId = SourceId::PersistentVolumes;

    fn observation(change: Change<PersistentVolumeFacts>) -> Observation {
        Observation::PersistentVolumes(change)
    }
}

/// Longhorn's volumes.
#[derive(Clone, Debug)]
pub struct LonghornVolumes;

impl Kind for LonghornVolumes {
    const GROUP: &'static str = "longhorn.io";
    const VERSION: &'static str = "v1beta2";
    const PLURAL: &'static str = "volumes";

    type Spec = LonghornSpec;
    type Status = LonghornStatus;
    type Facts = LonghornFacts;

    fn facts(object: Object<LonghornSpec, LonghornStatus>) -> LonghornFacts {
        LonghornFacts {
            engine: engine(&object.spec),
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
}

impl ObservedKind for LonghornVolumes {
    const SOURCE: SourceId = SourceId::Longhorn;

    fn observation(change: Change<LonghornFacts>) -> Observation {
        Observation::LonghornVolumes(change)
    }
}

/// The backend of a volume; `None` if no source reports on it.
fn backend(spec: &PersistentVolumeSpec) -> Option<Backend> {
    if let Some(rbd) = &spec.rbd {
        return rbd::in_tree(rbd).map(Box::new).map(Backend::Rbd);
    }
    let csi = &spec.csi;
    if *csi.driver == *LONGHORN_DRIVER {
        return Some(Backend::Longhorn((*csi.volume_handle).into()))
            .filter(|_| !csi.volume_handle.is_empty());
    }
    rbd::of_csi(csi).map(Box::new).map(Backend::Rbd)
}

/// The class of the volume's provisioner, by the annotation, by the CSI driver, or by the type of the volume.
fn provisioner(made_by: &str, spec: &PersistentVolumeSpec) -> Provisioner {
    let named = [made_by, &spec.csi.driver].map(provisioner::classify);
    let is_certain = |of: &&Provisioner| matches!(of, Provisioner::Device | Provisioner::Directory);
    match named.iter().find(is_certain) {
        Some(certain) => *certain,
        None if spec.host_path.is_some() => Provisioner::Directory,
        None if spec.rbd.is_some() => Provisioner::Device,
        None if named.contains(&Provisioner::Unlisted) => Provisioner::Unlisted,
        None => Provisioner::Unknown,
    }
}

/// The data engine. Before 1.6 it was in `backendStoreDriver`, and `dataEngine` did not exist.
fn engine(spec: &LonghornSpec) -> LonghornEngine {
    match (&*spec.data_engine, &*spec.backend_store_driver) {
        ("v2", _) => LonghornEngine::V2,
        ("", "v2") => LonghornEngine::UncountedV2,
        _ => LonghornEngine::V1,
    }
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
        let (pool, namespace, name) = ("rbd".into(), "tenant".into(), "csi-vol-9d".into());
        let image = Image { pool, namespace, name, any_namespace: false };
        let want = PersistentVolumeFacts {
            name: "pvc-1".into(),
            claim: Key::new("prod", "web-root"),
            provisioner: Provisioner::Device,
            backend: Some(Backend::Rbd(Box::new(image))),
        };
        assert_eq!(facts, want);
    }

    #[test]
    fn a_longhorn_volume_is_named_by_its_handle() {
        let facts = volume(
            r#"{"claimRef": {"namespace": "prod", "name": "web"}, "csi": {"driver": "driver.longhorn.io", "volumeHandle": "pvc-9"}}"#,
        );
        assert_eq!(facts.backend, Some(Backend::Longhorn("pvc-9".into())));
    }

    #[test]
    fn a_persistent_volume_of_another_backend_is_dropped() {
        for spec in [
            r#"{"hostPath": {"path": "/data"}, "claimRef": {"namespace": "prod", "name": "web"}}"#,
            r#"{"csi": "rbd", "claimRef": {"namespace": "prod", "name": "web"}}"#,
            r#"{"csi": {"driver": 1, "volumeHandle": [], "volumeAttributes": "x"}, "claimRef": {"namespace": "prod", "name": "web"}}"#,
            r#"{"csi": {"driver": "driver.longhorn.io"}, "claimRef": {"namespace": "prod", "name": "web"}}"#,
            // A pool alone names no image.
            r#"{"csi": {"driver": "d", "volumeHandle": "h", "volumeAttributes": {"pool": "rbd"}}}"#,
            "null",
        ] {
            assert_eq!(volume(spec).backend, None, "{spec}");
        }
    }

    #[test]
    fn a_persistent_volume_names_its_provisioner() {
        for (annotations, spec, want) in [
            ("{}", r#"{"hostPath": {"path": "/data"}}"#, Provisioner::Directory),
            ("{}", r#"{"local": {"path": "/mnt/disks/a"}}"#, Provisioner::Unknown),
            (
                r#"{"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}"#,
                r#"{"local": {"path": "/opt"}}"#,
                Provisioner::Directory,
            ),
            // openebs/dynamic-localpv-provisioner#254
            (
                r#"{"pv.kubernetes.io/provisioned-by": "openebs.io/local"}"#,
                r#"{"local": {"path": "/var/openebs/local/pvc-1", "fsType": ""}}"#,
                Provisioner::Directory,
            ),
            ("{}", r#"{"csi": {"driver": "kubevirt.io.hostpath-provisioner"}}"#, Provisioner::Directory),
            ("{}", r#"{"csi": {"driver": "csi.example.com"}}"#, Provisioner::Unlisted),
            ("{}", r#"{"csi": {"driver": "ebs.csi.aws.com"}}"#, Provisioner::Device),
            ("{}", r#"{"rbd": {"image": "i"}}"#, Provisioner::Device),
            ("{}", r#"{"nfs": {"server": "s", "path": "/"}}"#, Provisioner::Unknown),
            ("[]", "{}", Provisioner::Unknown),
        ] {
            let metadata = format!(r#"{{"name": "pvc-1", "annotations": {annotations}}}"#);
            let json = format!(r#"{{"metadata": {metadata}, "spec": {spec}}}"#);
            assert_eq!(read::<PersistentVolumes>(&json).unwrap().provisioner, want, "{annotations} {spec}");
        }
    }

    #[test]
    fn a_longhorn_volume_tells_its_engine() {
        for (spec, want) in [
            (r#"{"dataEngine": "v1"}"#, LonghornEngine::V1),
            (r#"{"backendStoreDriver": "v2"}"#, LonghornEngine::UncountedV2),
            (r#"{"dataEngine": "v2", "backendStoreDriver": ""}"#, LonghornEngine::V2),
            (r#"{"dataEngine": "v2", "backendStoreDriver": "v2"}"#, LonghornEngine::V2),
            (r#"{"dataEngine": "v1", "backendStoreDriver": "v2"}"#, LonghornEngine::V1),
            ("{}", LonghornEngine::V1),
        ] {
            let json =
                format!(r#"{{"metadata": {{"name": "a", "namespace": "longhorn-system"}}, "spec": {spec}}}"#);
            assert_eq!(read::<LonghornVolumes>(&json).unwrap().engine, want, "{spec}");
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
