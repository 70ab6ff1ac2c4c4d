//! Launcher pods and PersistentVolumeClaims.

use super::{Kind, ObservedKind, created, provisioner, texts};
use crate::k8s::{
    core::{ClaimSpec, ClaimStatus, Container, ContainerStatus, PodSpec, PodStatus, PodVolume},
    lenient::Scalar,
    meta::Object,
};
use model::{quantity::Quantity, source::SourceId};
use wukong_core::observation::{Change, ClaimFacts, Key, Observation, PodContainer, PodFacts};

/// Launcher pods.
#[derive(Clone, Debug)]
pub struct Pods;

impl Kind for Pods {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "pods";
    const LABELS: Option<&'static str> = Some(crate::kinds::LAUNCHERS);

    type Spec = PodSpec;
    type Status = PodStatus;
    type Facts = PodFacts;

    fn facts(object: Object<PodSpec, PodStatus>) -> PodFacts {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        let containers = containers(&spec, &status);
        PodFacts {
            containers,
            created: created(&meta.creation_timestamp),
            deleting: !meta.deletion_timestamp.is_empty(),
            created_by: meta.labels.0.created_by.0,
            domain: meta.annotations.0.domain.0,
            uid: meta.uid.0,
            namespace: meta.namespace.0,
            name: meta.name.0,
            node_name: spec.node_name.0,
            host_ip: status.host_ip.0.parse().ok(),
            phase: status.phase.0,
            claims: spec.volumes.items.into_iter().filter_map(claim).collect(),
        }
    }

    fn left_out(object: &Object<PodSpec, PodStatus>) -> u32 {
        object.spec.volumes.left_out
    }

    fn weight(facts: &PodFacts) -> usize {
        // Every kubelet may report the claims of the pods on its node, and what is kept of that is larger than the pod.
        let claims = facts.claims.iter().map(|(name, claim)| {
            let reported = wukong_core::reported_bytes(&[&facts.namespace, claim]);
            size_of::<(String, String)>() + texts(&[name, claim]) + reported
        });
        let own = [&facts.uid, &facts.namespace, &facts.name, &facts.node_name, &facts.phase];
        let containers =
            facts.containers.iter().map(|container| size_of::<PodContainer>() + texts(&[&container.name]));
        size_of::<PodFacts>()
            + texts(&own)
            + texts(&[&facts.created_by, &facts.domain])
            + claims.sum::<usize>()
            + containers.sum::<usize>()
    }

    fn key(facts: &PodFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

impl ObservedKind for Pods {
    const SOURCE: SourceId = SourceId::Pods;

    fn observation(change: Change<PodFacts>) -> Observation {
        Observation::Pods(change)
    }
}

/// PersistentVolumeClaims.
#[derive(Clone, Debug)]
pub struct Claims;

impl Kind for Claims {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "persistentvolumeclaims";

    type Spec = ClaimSpec;
    type Status = ClaimStatus;
    type Facts = ClaimFacts;

    fn facts(object: Object<ClaimSpec, ClaimStatus>) -> ClaimFacts {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        let annotations = &meta.annotations;
        let named = [&annotations.storage_provisioner, &annotations.storage_provisioner_beta];
        ClaimFacts {
            provisioner: named
                .into_iter()
                .find(|name| !name.is_empty())
                .map(|name| provisioner::classify(name))
                .unwrap_or_default(),
            namespace: meta.namespace.0,
            name: meta.name.0,
            block: &*spec.volume_mode == "Block",
            request: bytes(&spec.resources.requests.storage),
            capacity: bytes(&status.capacity.storage),
            storage_class: spec.storage_class_name.0,
            volume_name: spec.volume_name.0,
        }
    }

    fn weight(facts: &ClaimFacts) -> usize {
        let own = [&facts.namespace, &facts.name, &facts.storage_class, &facts.volume_name];
        size_of::<ClaimFacts>() + texts(&own)
    }

    fn key(facts: &ClaimFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

impl ObservedKind for Claims {
    const SOURCE: SourceId = SourceId::Claims;

    fn observation(change: Change<ClaimFacts>) -> Observation {
        Observation::Claims(change)
    }
}

/// The containers that the pod's figures add up: those of its spec that run side by side. Empty if there are
/// more than are read.
fn containers(spec: &PodSpec, status: &PodStatus) -> Box<[PodContainer]> {
    let always = |container: &&Container| &*container.restart_policy == "Always";
    let lists = [&spec.containers, &spec.init_containers, &spec.ephemeral_containers];
    if lists.iter().any(|list| list.left_out > 0) {
        return Box::default();
    }
    let is_running = |name: &str| {
        let runs =
            |status: &ContainerStatus| *status.name == *name && !status.state.running.started_at.is_empty();
        status.container_statuses.iter().any(runs)
    };
    let [containers, init, ephemeral] = lists;
    let all = containers.iter().chain(init.iter().filter(always)).chain(ephemeral.iter());
    let named = all.filter(|container| !container.name.is_empty());
    named
        .map(|container| PodContainer {
            name: (&*container.name).into(),
            required: is_running(&container.name),
        })
        .collect()
}

fn claim(volume: PodVolume) -> Option<(String, String)> {
    let claim = volume.persistent_volume_claim.0.claim_name.0;
    (!claim.is_empty()).then_some((volume.name.0, claim))
}

fn bytes(quantity: &Scalar) -> Option<u64> {
    Some(Quantity::parse(quantity.given()?).ok()?.units())
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};
    use wukong_core::observation::Provisioner;

    #[test]
    fn a_launcher_pod() {
        let facts = read::<Pods>(
            r#"{"metadata": {"name": "virt-launcher-web-x7k2p", "namespace": "prod", "uid": "p-1", "resourceVersion": "9",
                "creationTimestamp": "1970-01-01T00:00:01Z", "deletionTimestamp": "1970-01-01T00:00:02Z",
                "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": "vmi-1"},
                "annotations": {"kubevirt.io/domain": "web", "other": "x"}, "managedFields": [{"fieldsV1": {"f:a": {}}}]},
            "spec": {"nodeName": "n1", "containers": [{"name": "compute"}, {"image": "x"}],
                "initContainers": [{"name": "container-disk-binary"}, {"name": "guest-console-log", "restartPolicy": "Always"}], "volumes": [
                {"name": "root", "persistentVolumeClaim": {"claimName": "web-root"}}, {"name": "token", "projected": {}}, 7]},
            "status": {"phase": "Running", "hostIP": "10.1.0.7", "conditions": [],
                "containerStatuses": [{"name": "compute", "state": {"running": {"startedAt": "1970-01-01T00:00:02Z"}}}],
                "initContainerStatuses": [{"name": "guest-console-log", "state": {"running": {"startedAt": "1970-01-01T00:00:02Z"}}}]}}"#,
        );
        let want = PodFacts {
            uid: "p-1".into(),
            namespace: "prod".into(),
            name: "virt-launcher-web-x7k2p".into(),
            node_name: "n1".into(),
            phase: "Running".into(),
            created: 1000,
            deleting: true,
            host_ip: "10.1.0.7".parse().ok(),
            created_by: "vmi-1".into(),
            domain: "web".into(),
            claims: [("root".into(), "web-root".into())].into(),
            containers: [
                PodContainer { name: "compute".into(), required: true },
                PodContainer { name: "guest-console-log".into(), required: false },
            ]
            .into(),
        };
        assert_eq!(facts, Some(want));
    }

    #[test]
    fn fields_of_the_wrong_type_are_absent() {
        let facts = read::<Pods>(
            r#"{"metadata": {"name": "a", "namespace": "b", "labels": ["x"], "annotations": 1, "creationTimestamp": 5},
            "spec": {"nodeName": {}, "volumes": "none"}, "status": null}"#,
        );
        assert_eq!(facts, Some(PodFacts { name: "a".into(), namespace: "b".into(), ..PodFacts::default() }));
    }

    /// A claim's own annotations are used if its PersistentVolume cannot be read.
    #[test]
    fn a_claim_names_its_provisioner() {
        for (annotations, want) in [
            (
                r#"{"volume.kubernetes.io/storage-provisioner": "rancher.io/local-path"}"#,
                Provisioner::Directory,
            ),
            (r#"{"volume.beta.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}"#, Provisioner::Device),
            (
                r#"{"volume.beta.kubernetes.io/storage-provisioner": "ebs.csi.aws.com", "volume.kubernetes.io/storage-provisioner": "nfs.csi.k8s.io"}"#,
                Provisioner::Directory,
            ),
            ("{}", Provisioner::Unknown),
        ] {
            let json =
                format!(r#"{{"metadata": {{"name": "a", "namespace": "b", "annotations": {annotations}}}}}"#);
            assert_eq!(read::<Claims>(&json).unwrap().provisioner, want, "{annotations}");
        }
    }

    /// A container that is not known could be any, so all reported containers count.
    /// kubevirt/kubevirt#15134: the container that logs the guest's console has failed, and the guest runs on.
    #[test]
    fn a_container_that_has_ended_is_not_required() {
        let pod = read::<Pods>(
            r#"{"metadata": {"name": "virt-launcher-ubuntu5-l2xlj", "namespace": "prod"},
            "spec": {"containers": [{"name": "compute"}, {"name": "guest-console-log"}, {"name": "debugger"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "compute", "ready": true, "state": {"running": {"startedAt": "2025-07-09T13:51:26Z"}}},
                {"name": "guest-console-log", "ready": false, "state": {"terminated": {"reason": "Error", "exitCode": 1,
                    "startedAt": "2025-07-09T13:51:27Z", "finishedAt": "2025-07-09T13:51:47Z"}}},
                {"name": "debugger", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}"#,
        );
        let containers = pod.unwrap().containers.into_iter();
        let required: Vec<_> =
            containers.map(|container| (container.name.to_string(), container.required)).collect();
        let want = [("compute", true), ("guest-console-log", false), ("debugger", false)];
        assert_eq!(required, want.map(|(name, required)| (name.to_owned(), required)));
    }

    #[test]
    fn of_more_containers_than_are_read_none_is_known() {
        let containers = |count: usize| {
            let list = vec![r#"{"name": "c"}"#; count].join(",");
            let json = format!(
                r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "spec": {{"containers": [{list}], "initContainers": [{{"name": "i", "restartPolicy": "Always"}}]}}}}"#
            );
            read::<Pods>(&json).unwrap().containers.len()
        };
        assert_eq!([containers(64), containers(65)], [65, 0]);
    }

    /// 2,860 pods that mount 320 shared claims each made kubelets report 915,000 volumes, for whose memory nobody counted.
    #[test]
    fn a_pod_counts_with_what_kubelets_report_of_its_claims() {
        let pod = |claims: usize| {
            let volumes: Vec<String> = (0..claims)
                .map(|n| {
                    format!(r#"{{"name": "v{n}", "persistentVolumeClaim": {{"claimName": "claim-{n}"}}}}"#)
                })
                .collect();
            let volumes = volumes.join(",");
            let json = format!(
                r#"{{"metadata": {{"name": "a", "namespace": "shared"}}, "spec": {{"volumes": [{volumes}]}}}}"#
            );
            let facts = read::<Pods>(&json).unwrap();
            (facts.claims.len(), Pods::weight(&facts))
        };
        let ((none, empty), (all, full)) = (pod(0), pod(320));
        assert_eq!((none, all), (0, 320));
        let reported = wukong_core::reported_bytes(&["shared", "claim-7"]);
        assert!(full - empty >= 320 * reported, "{full} with 320 claims, {empty} without");
        assert!((300..1000).contains(&reported), "{reported}");
    }

    #[test]
    fn claims_have_what_they_ask_for_and_what_they_got() {
        for (rest, block, sizes) in [
            (
                r#""spec": {"volumeMode": "Block", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"capacity": {"storage": "2Gi"}}"#,
                true,
                (Some(1 << 30), Some(2 << 30)),
            ),
            (
                r#""spec": {"volumeMode": "Filesystem", "resources": {"requests": {"storage": 4096}}}, "status": {"phase": "Pending"}"#,
                false,
                (Some(4096), None),
            ),
            (r#""spec": {}, "status": {"capacity": {"storage": "much"}}"#, false, (None, None)),
            (r#""spec": [], "status": {"capacity": {"storage": "-1Gi"}}"#, false, (None, None)),
        ] {
            let json = format!(r#"{{"metadata": {{"name": "a", "namespace": "b"}}, {rest}}}"#);
            let facts = read::<Claims>(&json).unwrap();
            assert_eq!((facts.block, (facts.request, facts.capacity)), (block, sizes), "{rest}");
        }
    }
}
