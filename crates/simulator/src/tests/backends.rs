//! Storage under claims, file systems that guests report, and sizes in unusual places.

use serde_json::{Value, json};

use super::support::{ask, demo, empty, get, items};
use crate::{
    Backend, Bus, Disk, DiskMode, Fault, Guest, Handle, KUBEVIRT_GROUP, Kubelet, LONGHORN_GROUP, Resource,
    SUBRESOURCE_GROUP, Target, VolumeFigures,
};

const VOLUMES: &str = "/api/v1/persistentvolumes";
const LONGHORN: &str = "/apis/longhorn.io/v1beta2/volumes";

fn agent(namespace: &str, name: &str) -> String {
    format!(
        "/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}/filesystemlist"
    )
}

async fn volume_of(sim: &Handle, namespace: &str, claim: &str) -> Value {
    let claim = get(sim, &format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")).await;
    let name = claim["spec"]["volumeName"].as_str().unwrap();
    let volume = get(sim, &format!("{VOLUMES}/{name}")).await;
    let back = &volume["spec"]["claimRef"];
    assert_eq!(
        (&back["uid"], &back["name"], &back["namespace"]),
        (&claim["metadata"]["uid"], &claim["metadata"]["name"], &claim["metadata"]["namespace"])
    );
    volume
}

#[tokio::test]
async fn a_claim_leads_to_its_backend() {
    let sim = empty().await;
    let on = |name: &str, backend| Disk::new("one", name, "10Gi").mode(DiskMode::Block).on(backend);
    let disks = vec![
        on("rbd", Backend::Rbd { fast_diff: true }).holds(1 << 30, 10 << 30),
        on("horn", Backend::Longhorn).holds(1 << 30, 10 << 30),
        on("dir", Backend::HostPath),
        on("san", Backend::San),
    ];
    sim.world().put(Guest::new("a", "one").disks(disks).running_on("n1", 0));

    let rbd = volume_of(&sim, "a", "one-rbd").await;
    let csi = &rbd["spec"]["csi"];
    assert_eq!(csi["driver"], "rook-ceph.rbd.csi.ceph.com");
    let image = sim.world().images().remove(0);
    assert_eq!(
        (&csi["volumeAttributes"]["pool"], &csi["volumeAttributes"]["imageName"]),
        (&json!("vms"), &json!(image.name))
    );
    assert!(image.used.unwrap() >= 1 << 30 && image.used.unwrap() % (4 << 20) == 0, "{image:?}");

    let horn = volume_of(&sim, "a", "one-horn").await;
    assert_eq!(horn["spec"]["csi"]["driver"], "driver.longhorn.io");
    let handle = horn["spec"]["csi"]["volumeHandle"].as_str().unwrap();
    let object =
        get(&sim, &format!("/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes/{handle}")).await;
    assert_eq!((&object["kind"], &object["spec"]["size"]), (&json!("Volume"), &json!("10737418240")));
    assert!(object["status"]["actualSize"].as_u64().unwrap() >= 1 << 30, "a number, not text");

    assert!(volume_of(&sim, "a", "one-dir").await["spec"].get("csi").is_none());
    assert_eq!(volume_of(&sim, "a", "one-san").await["spec"]["csi"]["driver"], "csi.san.example.com");

    assert!(sim.world().remove("a", "one"));
    for path in [VOLUMES, LONGHORN] {
        assert!(items(&get(&sim, path).await).is_empty(), "{path}");
    }
}

/// As udev, libvirt and the drivers of Windows have it.
#[tokio::test]
async fn a_guest_reports_serials_in_the_spelling_of_its_bus() {
    let sim = empty().await;
    let long = "7286dfe6-7c44-4057-a8f4-362cc1e7468c";
    let disks = vec![
        Disk::new("one", "root", "10Gi").serial(long),
        Disk::new("one", "ata", "10Gi").bus(Bus::Sata).serial(long),
        Disk::new("one", "hot", "10Gi").mode(DiskMode::Hotplug).serial(long),
        Disk::new("one", "bare", "10Gi").mode(DiskMode::Hotplug),
    ];
    let mut windows =
        Guest::new("a", "two").disks(vec![Disk::new("two", "root", "10Gi").bus(Bus::Sata).serial("W")]);
    windows.os_image = "windows-2022".into();
    sim.world().put(Guest::new("a", "one").disks(disks).running_on("n1", 0));
    sim.world().put(windows.running_on("n1", 0));
    let serials = async |name: &str| -> Vec<(String, u64)> {
        let found = get(&sim, &agent("a", name)).await;
        let serial = |fs: &Value| {
            (fs["disk"][0]["serial"].as_str().unwrap().to_owned(), fs["totalBytes"].as_u64().unwrap())
        };
        items(&found).iter().map(serial).collect()
    };
    let linux: Vec<String> = serials("one-vm").await.into_iter().map(|(serial, _)| serial).collect();
    let cut = "7286dfe6-7c44-4057-a";
    let (ata, hot) = (format!("QEMU_HARDDISK_{cut}"), format!("0QEMU_QEMU_HARDDISK_{long}"));
    assert_eq!(linux, [cut, cut, &ata, &hot, "0QEMU_QEMU_HARDDISK_drive-ua-bare"]);
    let windows = serials("two-vm").await;
    assert!(windows.iter().all(|(serial, _)| serial == "W                   "), "{windows:?}");
    let sizes: Vec<bool> = windows.iter().map(|(_, total)| *total > 0).collect();
    assert_eq!(sizes, [false, true, false], "firmware and recovery are mounted nowhere");
}

#[tokio::test]
async fn a_claim_that_is_not_bound_has_no_volume() {
    let sim = demo().await;
    let claim = get(&sim, "/api/v1/namespaces/ci/persistentvolumeclaims/runner-small-08-root").await;
    assert!(claim["spec"].get("volumeName").is_none());
    let volumes = get(&sim, VOLUMES).await;
    assert!(
        items(&volumes).iter().all(|volume| volume["spec"]["claimRef"]["name"] != "runner-small-08-root")
    );
}

#[tokio::test]
async fn longhorn_can_be_removed() {
    let sim = demo().await;
    assert!(!items(&get(&sim, LONGHORN).await).is_empty());
    sim.world().set_installed(LONGHORN_GROUP, false);
    assert_eq!(ask(&sim, LONGHORN).await.0, 404);
    assert!(!get(&sim, "/apis").await.to_string().contains("longhorn"));
}

#[tokio::test]
async fn an_agent_reports_file_systems_and_their_disks() {
    let sim = empty().await;
    let disks = vec![
        Disk::new("one", "root", "10Gi").serial("S-ROOT").holds(3 << 30, 10 << 30),
        Disk::new("one", "raw", "5Gi").mode(DiskMode::Block).serial("S-RAW").holds(1 << 30, 5 << 30),
        Disk::new("one", "plain", "2Gi").holds(1 << 20, 2 << 30),
    ];
    sim.world().put(Guest::new("a", "one").disks(disks).running_on("n1", 0));
    let list = get(&sim, &agent("a", "one-vm")).await;
    assert_eq!(list["kind"], "VirtualMachineInstanceFileSystemList");
    let found = items(&list);
    let root: u64 = found
        .iter()
        .filter(|fs| fs["disk"][0]["serial"] == "S-ROOT")
        .map(|fs| fs["usedBytes"].as_u64().unwrap())
        .sum();
    assert_eq!(root, 3 << 30, "the root's two file systems together");
    let raw = found.iter().find(|fs| fs["disk"][0]["serial"] == "S-RAW").unwrap();
    assert_eq!(
        (&raw["usedBytes"], &raw["mountPoint"], &raw["fileSystemType"]),
        (&json!(1 << 30), &json!("/srv/raw"), &json!("xfs"))
    );
    assert!(raw["totalBytes"].as_u64().unwrap() > 4 << 30);
    let plain = found.iter().find(|fs| fs["mountPoint"] == "/srv/plain").unwrap();
    assert_eq!(plain["disk"], json!([{"busType": "virtio"}]));
    let instance = get(&sim, "/apis/kubevirt.io/v1/namespaces/a/virtualmachineinstances/one-vm").await;
    assert_eq!(instance["spec"]["domain"]["devices"]["disks"][1]["serial"], "S-RAW");
}

#[tokio::test]
async fn a_guest_without_an_agent_answers_as_kubevirt_does() {
    let sim = empty().await;
    sim.world().put(Guest::new("a", "off").without_agent().running_on("n1", 0));
    sim.world().put(Guest::new("a", "stopped"));
    sim.world().put(Guest::new("a", "lost").running_on("n2", 0));
    sim.world().set_kubelet("n2", Kubelet::Refuses);
    let (code, status) = ask(&sim, &agent("a", "off-vm")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert!(status["message"].as_str().unwrap().contains("guest agent connected"));
    let instance = get(&sim, "/apis/kubevirt.io/v1/namespaces/a/virtualmachineinstances/off-vm").await;
    assert!(!instance["status"]["conditions"].to_string().contains("AgentConnected"));
    let (code, status) = ask(&sim, &agent("a", "stopped-vm")).await;
    assert_eq!((code, &status["reason"]), (404, &json!("NotFound")));
    assert_eq!(ask(&sim, &agent("a", "lost-vm")).await.0, 500);

    sim.world().change("a", "off", |guest| guest.agent = true);
    assert_eq!(ask(&sim, &agent("a", "off-vm")).await.0, 200);
    assert_eq!(sim.requests().count(&Target::Filesystems), 4);
    sim.faults().add_times(Target::Filesystems, Fault::status(403), 1);
    assert_eq!(ask(&sim, &agent("a", "off-vm")).await.0, 403);
    for group in [SUBRESOURCE_GROUP, KUBEVIRT_GROUP] {
        sim.world().set_installed(group, false);
        let (code, text) = ask(&sim, &agent("a", "off-vm")).await;
        assert_eq!((code, text), (404, json!("404 page not found\n")));
        sim.world().set_installed(group, true);
    }
}

#[tokio::test]
async fn an_access_review_covers_the_guest_agent() {
    let sim = empty().await;
    sim.faults().add(Target::Filesystems, Fault::status(403));
    let url = format!("{}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", sim.url());
    let attributes = json!({"verb": "get", "group": SUBRESOURCE_GROUP, "resource": "virtualmachineinstances", "subresource": "filesystemlist"});
    let body =
        json!({"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}).to_string();
    let text = reqwest::Client::new().post(url).body(body).send().await.unwrap().text().await.unwrap();
    let review: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(review["status"]["allowed"], false);
}

#[tokio::test]
async fn a_kubelet_omits_volumes_that_it_cannot_measure() {
    let sim = empty().await;
    let disks = vec![
        Disk::new("one", "root", "10Gi"),
        Disk::new("one", "dir", "10Gi").on(Backend::HostPath),
        Disk::new("one", "left", "10Gi").unlisted(),
    ];
    sim.world().put(Guest::new("a", "one").disks(disks).running_on("n1", 0));
    let summary = get(&sim, "/api/v1/nodes/n1/proxy/stats/summary").await.to_string();
    assert!(summary.contains("one-root"));
    assert!(!summary.contains("one-dir") && !summary.contains("one-left"));
}

#[tokio::test]
async fn sizes_are_in_the_fields_that_kubevirt_uses() {
    let sim = empty().await;
    sim.world().put(
        Guest::new("a", "typed")
            .cpu(4)
            .memory("8Gi")
            .without_wukong()
            .instancetype("u1.large")
            .running_on("n1", 0),
    );
    sim.world().put(
        Guest::new("a", "huge").cpu(2).memory("4Gi").hugepages("1Gi").uses("1", "4Gi").running_on("n1", 0),
    );
    sim.world().put(Guest::new("a", "alone").standalone().running_on("n1", 0));

    let machine = get(&sim, "/apis/kubevirt.io/v1/namespaces/a/virtualmachines/typed").await;
    let domain = &machine["spec"]["template"]["spec"]["domain"];
    assert!(domain.get("cpu").is_none() && domain.get("memory").is_none(), "{domain}");
    assert_eq!(machine["spec"]["instancetype"]["name"], "u1.large");
    let instance = get(&sim, "/apis/kubevirt.io/v1/namespaces/a/virtualmachineinstances/typed").await;
    assert_eq!(instance["spec"]["domain"]["cpu"]["cores"], 4);
    assert_eq!(instance["status"]["memory"]["guestCurrent"], "8Gi");

    for path in ["virtualmachines/huge-vm", "virtualmachineinstances/huge-vm"] {
        let object = get(&sim, &format!("/apis/kubevirt.io/v1/namespaces/a/{path}")).await;
        let domain = object.pointer("/spec/template/spec/domain").unwrap_or(&object["spec"]["domain"]);
        assert_eq!(domain["memory"]["hugepages"]["pageSize"], "1Gi", "{path}");
    }
    let metrics =
        get(&sim, "/apis/metrics.k8s.io/v1beta1/pods?labelSelector=vm.kubevirt.io%2Fname%3Dhuge-vm").await;
    let memory = items(&metrics)[0]["containers"][0]["usage"]["memory"].as_str().unwrap();
    assert!(memory.strip_suffix("Ki").unwrap().parse::<u64>().unwrap() < 400 << 10, "{memory}");

    let alone = get(&sim, "/apis/kubevirt.io/v1/namespaces/a/virtualmachineinstances/alone").await;
    assert!(alone["metadata"].get("ownerReferences").is_none());
    assert_eq!(ask(&sim, "/apis/kubevirt.io/v1/namespaces/a/virtualmachines/alone").await.0, 404);
}

#[tokio::test]
async fn the_demo_has_a_vm_for_each_source() {
    let sim = demo().await;
    let guest = |namespace: &str, name: &str| sim.world().guest(namespace, name).unwrap();
    let images = sim.world().images();
    let used = |name: &str, of: usize| {
        let guest = guest(name.split_once('/').unwrap().0, name.split_once('/').unwrap().1);
        let image = guest.image_name(&guest.disks[of]);
        images.iter().find(|found| found.name == image).unwrap().used
    };
    assert!(used("data/elastic-hot-01", 1).is_some());
    assert_eq!(used("payments/vault-backup-01", 1), None);
    for (namespace, name) in
        [("data", "mongo-shard-01"), ("data", "elastic-hot-01"), ("ci", "firmware-lab-01")]
    {
        assert!(!guest(namespace, name).agent, "{name}");
    }
    let lake = get(&sim, &agent("data", "analytics-warehouse-vm")).await;
    let lake = items(&lake).iter().find(|fs| fs["disk"][0]["serial"] == "LAKE-2019-07").unwrap();
    assert!(lake["usedBytes"].as_u64().unwrap() > 1 << 30);
    assert_eq!(ask(&sim, &agent("staging", "scratch-vmi-01")).await.0, 200);
    assert!(guest("monitoring", "thanos-store-01").disks[1].unlisted);
}

#[tokio::test]
async fn a_changed_fill_shows_in_the_backend() {
    let sim = empty().await;
    let disk = Disk::new("one", "root", "10Gi").mode(DiskMode::Block).on(Backend::Longhorn);
    sim.world().put(Guest::new("a", "one").disks(vec![disk.holds(1 << 30, 10 << 30)]).running_on("n1", 0));
    let actual = async || items(&get(&sim, LONGHORN).await)[0]["status"]["actualSize"].as_u64().unwrap();
    let before = actual().await;
    sim.world().set_volume("a", "one", "root", VolumeFigures::of_ext4(5 << 30, 10 << 30));
    assert!(actual().await >= before + (4 << 30));
    assert_eq!(Resource::LonghornVolumes.api().qualified(), "volumes.longhorn.io");
}
