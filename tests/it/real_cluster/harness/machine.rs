//! A virtual machine as the operators leave it in a cluster: Wukong, KubeVirt objects, pods, claims and what it uses.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    api::Api,
    kubelet::{ContainerLoad, GuestLoad, Kubelet, PodLoad, VolumeLoad},
};

pub const MI: u64 = 1 << 20;
pub const GI: u64 = 1 << 30;

/// Usage of the launcher's second container, so that a sum that forgets it is wrong.
const SIDECAR: ContainerLoad =
    ContainerLoad { name: "guest-console-log", nanocores: 2_000_000, bytes: 8 * MI };

/// A virtual machine. The default is a running VM of a Wukong with all its KubeVirt objects.
#[derive(Clone, Debug)]
pub struct Machine {
    pub namespace: &'static str,
    pub name: &'static str,
    pub owner: Owner,
    /// `Wukong.status.vmName`; the VirtualMachine's name where there is no Wukong.
    pub vm_name: &'static str,
    /// Name of the VirtualMachine; empty if there is none.
    pub vm: &'static str,
    /// `Wukong.status.phase` and `VirtualMachine.status.printableStatus`.
    pub phase: &'static str,
    pub printable: &'static str,
    /// Node of the guest; empty if it does not run.
    pub node: &'static str,
    /// Target node of a live migration.
    pub target: &'static str,
    pub cores: u64,
    pub memory: &'static str,
    /// Usage of all containers of the pod.
    pub nanocores: u64,
    pub bytes: u64,
    pub disks: Vec<Disk>,
    /// Whether pods have KubeVirt's label and annotation that name their VM.
    pub labelled: bool,
    /// Whether the instance's Completed pod is still there, as a migration's source is until it is swept away.
    pub lingering: bool,
    /// Condition `AgentConnected`.
    pub agent: bool,
    /// Whether its instance is being deleted while the guest ignores that.
    pub stopping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Wukong,
    Nobody,
}

#[derive(Clone, Debug)]
pub struct Disk {
    pub claim: &'static str,
    pub size: u64,
    pub used: u64,
    /// Capacity as the kubelet reports it.
    pub capacity: u64,
    /// Capacity in the claim's status.
    pub granted: u64,
    pub reported: VolumeReport,
    /// Backend of the claim's PersistentVolume.
    pub backend: Backend,
    /// Serial in the spec; empty if there is none.
    pub serial: &'static str,
    pub bus: &'static str,
}

/// Backend of a PersistentVolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// There is no PersistentVolume.
    None,
    /// A `volumes.longhorn.io` with this name and these allocated bytes.
    Longhorn(&'static str, u64),
    /// An image of the pool `rbdpool`, as ceph-csi notes it.
    Rbd(&'static str),
    /// A static image, whose handle is its name.
    StaticRbd(&'static str),
    /// KubeVirt's hostpath driver.
    HostPathCsi,
}

/// How a kubelet names a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeReport {
    ByReference,
    /// The seed's name for a claim, without `pvcRef`.
    BySeedName,
    /// The pod's name for the volume, without `pvcRef`.
    ByPodVolume,
    /// A raw device: capacity and zeros.
    Block,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            namespace: "prod",
            name: "",
            owner: Owner::Wukong,
            vm_name: "",
            vm: "",
            phase: "Running",
            printable: "Running",
            node: "node-a",
            target: "",
            cores: 1,
            memory: "1Gi",
            nanocores: 0,
            bytes: 0,
            disks: Vec::new(),
            labelled: true,
            lingering: false,
            agent: false,
            stopping: false,
        }
    }
}

impl Disk {
    pub fn new(claim: &'static str, size: u64, used: u64) -> Self {
        let (reported, backend) = (VolumeReport::ByReference, Backend::None);
        Self {
            claim,
            size,
            used,
            capacity: size,
            granted: size,
            reported,
            backend,
            serial: "",
            bus: "virtio",
        }
    }

    /// A directory of a pool: the kubelet and the claim's status report the whole pool.
    pub fn in_pool(claim: &'static str, size: u64, used: u64, pool: u64) -> Self {
        let backend = Backend::HostPathCsi;
        Self { capacity: pool, granted: pool, backend, ..Self::new(claim, size, used) }
    }

    /// A raw device: a kubelet knows only its size.
    pub fn block(claim: &'static str, size: u64) -> Self {
        Self { reported: VolumeReport::Block, ..Self::new(claim, size, 0) }
    }

    fn mode(&self) -> &'static str {
        if self.reported == VolumeReport::Block { "Block" } else { "Filesystem" }
    }

    fn volume(&self) -> VolumeLoad {
        let block = self.reported == VolumeReport::Block;
        VolumeLoad {
            name: match self.reported {
                VolumeReport::BySeedName => format!("kubernetes.io~pvc/{}", self.claim),
                _ => pod_volume(self.claim),
            },
            claim: matches!(self.reported, VolumeReport::ByReference | VolumeReport::Block)
                .then(|| self.claim.to_owned()),
            used: if block { 0 } else { self.used },
            capacity: self.capacity,
            inodes: if block { 0 } else { 1_310_720 },
        }
    }
}

/// Returns the pod's name for a claim's volume. It differs from the claim's name, so that nothing matches by chance.
fn pod_volume(claim: &str) -> String {
    format!("vol-{claim}")
}

impl Machine {
    /// A Wukong `name` whose VirtualMachine has the same name.
    pub fn new(namespace: &'static str, name: &'static str) -> Self {
        Self { namespace, name, vm_name: name, vm: name, ..Self::default() }
    }

    /// Returns the name of the pod with the guest.
    pub fn pod(&self) -> String {
        format!("virt-launcher-{}-x7k2p", self.launcher())
    }

    fn launcher(&self) -> &'static str {
        if self.vm.is_empty() { self.vm_name } else { self.vm }
    }

    pub fn runs(&self) -> bool {
        !self.node.is_empty()
    }

    /// Returns how many of its pods kubelets measure.
    pub fn pods(&self) -> usize {
        usize::from(self.runs()) + usize::from(!self.target.is_empty())
    }

    /// `spec.memory` in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let (number, unit) = self.memory.split_at(self.memory.len() - 2);
        let number: f64 = number.parse().expect("a number");
        (number * if unit == "Gi" { GI } else { MI } as f64) as u64
    }

    /// Creates all its objects in the cluster.
    pub async fn install(&self, api: &Api, kubelets: &BTreeMap<&'static str, Kubelet>) {
        let wukong = match self.owner {
            Owner::Wukong => Some(api.create(&self.wukong()).await),
            Owner::Nobody => None,
        };
        if !self.vm.is_empty() {
            api.create(&self.virtual_machine(wukong.as_ref())).await;
        }
        for disk in &self.disks {
            api.create(&self.claim(disk)).await;
            for object in self.backend(disk) {
                api.create(&object).await;
            }
        }
        let mut instance = Value::Null;
        if self.runs() && !self.vm.is_empty() {
            instance = api.create(&self.instance()).await;
        }
        let uid = text(&instance["metadata"]["uid"]);
        if self.lingering {
            let mut pod = self.pod_object("a0000", self.node, uid);
            pod["status"] = json!({"phase": "Succeeded"});
            api.create(&pod).await;
        }
        if self.runs() {
            self.start(uid, api, kubelets).await;
        }
        if self.stopping {
            api.delete(&self.instance_path()).await;
        }
    }

    fn instance_path(&self) -> String {
        format!("/apis/kubevirt.io/v1/namespaces/{}/virtualmachineinstances/{}", self.namespace, self.vm)
    }

    /// Its pods, as the instance `uid`; empty where there is none.
    async fn start(&self, uid: &str, api: &Api, kubelets: &BTreeMap<&'static str, Kubelet>) {
        let pod = api
            .create(&with_host_address(&kubelets[self.node], self.pod_object("x7k2p", self.node, uid)))
            .await;
        let mut active = json!({});
        active[text(&pod["metadata"]["uid"])] = json!(self.node);
        kubelets[self.node].set(self.load(&pod, self.nanocores, self.bytes));
        if !self.target.is_empty() {
            let target = self.pod_object("b9999", self.target, uid);
            let target = api.create(&with_host_address(&kubelets[self.target], target)).await;
            active[text(&target["metadata"]["uid"])] = json!(self.target);
            // The guest has not arrived yet: the pod uses almost nothing.
            kubelets[self.target].set(self.load(&target, 11_000_000, 48 * MI));
        }
        if !self.vm.is_empty() {
            let path = format!("{}/status", self.instance_path());
            api.patch(&path, &json!({"status": {"activePods": active}})).await;
        }
    }

    fn load(&self, pod: &Value, nanocores: u64, bytes: u64) -> PodLoad {
        let compute = ContainerLoad {
            name: "compute",
            nanocores: nanocores - SIDECAR.nanocores,
            bytes: bytes - SIDECAR.bytes,
        };
        PodLoad {
            namespace: self.namespace.to_owned(),
            name: text(&pod["metadata"]["name"]).to_owned(),
            uid: text(&pod["metadata"]["uid"]).to_owned(),
            containers: vec![compute, SIDECAR],
            volumes: self.disks.iter().map(Disk::volume).collect(),
            guest: (!self.vm.is_empty()).then(|| self.guest()),
        }
    }

    /// Memory as the guest reports it: the firmware has some of it, half of it is free.
    pub fn guest(&self) -> GuestLoad {
        let available = self.memory_bytes() - 64 * MI;
        GuestLoad { name: self.vm, available, usable: available / 2 }
    }

    fn wukong(&self) -> Value {
        let disks = self.disks.iter().enumerate().map(|(n, disk)| {
            json!({"name": format!("disk-{n}"), "size": format!("{}Gi", disk.size / GI),
                "storageClassName": "standard", "boot": n == 0})
        });
        let volumes = self.disks.iter().enumerate().map(|(n, disk)| {
            json!({"name": format!("disk-{n}"), "pvcName": disk.claim, "bound": true,
                "size": format!("{}Gi", disk.size / GI)})
        });
        json!({
            "apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"cpu": self.cores, "memory": self.memory, "osImage": "debian-13",
                "disks": disks.collect::<Vec<_>>(), "networks": [{"name": "default", "type": "bridge"}]},
            "status": {"phase": self.phase, "vmName": self.vm_name, "nodeName": self.node,
                "volumes": volumes.collect::<Vec<_>>()},
        })
    }

    fn virtual_machine(&self, wukong: Option<&Value>) -> Value {
        let mut vm = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
            "metadata": {"name": self.vm, "namespace": self.namespace},
            "spec": {"runStrategy": "Always", "template": {"spec": {"domain": self.domain()}}},
            "status": {"printableStatus": self.printable, "ready": self.runs()},
        });
        if let Some(wukong) = wukong {
            vm["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong", "controller": true,
                "name": self.name, "uid": wukong["metadata"]["uid"],
            }]);
        }
        vm
    }

    fn domain(&self) -> Value {
        let disks = self.disks.iter().enumerate().filter(|(_, disk)| !disk.serial.is_empty());
        let disks = disks.map(|(n, disk)| {
            json!({"name": format!("disk-{n}"), "serial": disk.serial, "disk": {"bus": disk.bus}})
        });
        json!({"cpu": {"cores": self.cores, "sockets": 1, "threads": 1}, "memory": {"guest": self.memory},
            "devices": {"disks": disks.collect::<Vec<_>>()}})
    }

    fn instance(&self) -> Value {
        let claims = self.disks.iter().enumerate().map(|(n, disk)| {
            json!({"name": format!("disk-{n}"), "persistentVolumeClaim": {"claimName": disk.claim}})
        });
        let mut instance = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {"name": self.vm, "namespace": self.namespace},
            "spec": {"domain": self.domain(), "volumes": claims.collect::<Vec<_>>()},
            "status": {"phase": "Running", "nodeName": self.node,
                "interfaces": [{"name": "default", "ipAddress": "10.244.1.7"}]},
        });
        if self.stopping {
            // KubeVirt's finalizer: the object stays until the guest is off.
            instance["metadata"]["finalizers"] = json!(["kubevirt.io/virtualMachineControllerFinalize"]);
        }
        if self.agent {
            instance["status"]["conditions"] = json!([{"type": "AgentConnected", "status": "True"}]);
        }
        if !self.target.is_empty() {
            instance["status"]["migrationState"] = json!({
                "sourceNode": self.node, "targetNode": self.target,
                "sourcePod": self.pod(), "targetPod": format!("virt-launcher-{}-b9999", self.launcher()),
                "startTimestamp": "2026-01-01T00:00:00Z",
            });
        }
        instance
    }

    fn pod_object(&self, suffix: &str, node: &str, created_by: &str) -> Value {
        let volumes = self.disks.iter().map(|disk| {
            json!({"name": pod_volume(disk.claim), "persistentVolumeClaim": {"claimName": disk.claim}})
        });
        let container = |name: &str| json!({"name": name, "image": "quay.io/kubevirt/virt-launcher"});
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("virt-launcher-{}-{suffix}", self.launcher()), "namespace": self.namespace,
                "labels": {"kubevirt.io": "virt-launcher"},
            },
            "spec": {"nodeName": node, "automountServiceAccountToken": false, "restartPolicy": "Never",
                "containers": [container("compute"), container(SIDECAR.name)],
                "volumes": volumes.collect::<Vec<_>>()},
            "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
        });
        if self.labelled && !created_by.is_empty() {
            pod["metadata"]["labels"]["kubevirt.io/created-by"] = json!(created_by);
            pod["metadata"]["annotations"] = json!({"kubevirt.io/domain": self.vm});
        }
        pod
    }

    fn claim(&self, disk: &Disk) -> Value {
        let size = format!("{}Gi", disk.size / GI);
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": disk.claim, "namespace": self.namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "volumeMode": disk.mode(),
                "resources": {"requests": {"storage": size}}},
            "status": {"phase": "Bound", "capacity": {"storage": format!("{}Gi", disk.granted / GI)}},
        });
        if disk.backend != Backend::None {
            claim["spec"]["volumeName"] = json!(self.persistent_volume(disk));
        }
        claim
    }

    fn persistent_volume(&self, disk: &Disk) -> String {
        format!("pvc-{}-{}", self.namespace, disk.claim)
    }

    /// The PersistentVolume, and what Longhorn's controller would make for it.
    fn backend(&self, disk: &Disk) -> Vec<Value> {
        let csi = match disk.backend {
            Backend::None => return Vec::new(),
            Backend::StaticRbd(_) | Backend::HostPathCsi => Value::Null,
            Backend::Longhorn(handle, _) => json!({"driver": "driver.longhorn.io", "volumeHandle": handle}),
            Backend::Rbd(image) => json!({"driver": "rbd.csi.ceph.com",
                "volumeHandle": format!("0001-0009-rook-ceph-0000000000000001-{image}"),
                "volumeAttributes": {"clusterID": "rook-ceph", "pool": "rbdpool", "imageName": image}}),
        };
        let csi = match disk.backend {
            Backend::StaticRbd(image) => json!({"driver": "rbd.csi.ceph.com", "volumeHandle": image,
                "volumeAttributes": {"clusterID": "rook-ceph", "pool": "rbdpool", "staticVolume": "true",
                    "imageFeatures": "layering"}}),
            Backend::HostPathCsi => json!({"driver": "kubevirt.io.hostpath-provisioner",
                "volumeHandle": self.persistent_volume(disk)}),
            _ => csi,
        };
        let mut objects = vec![json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.persistent_volume(disk)},
            "spec": {"capacity": {"storage": format!("{}Gi", disk.size / GI)}, "accessModes": ["ReadWriteOnce"],
                "storageClassName": "standard", "volumeMode": disk.mode(), "csi": csi,
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": self.namespace, "name": disk.claim}},
            "status": {"phase": "Bound"},
        })];
        if let Backend::Longhorn(handle, actual) = disk.backend {
            objects.push(json!({
                "apiVersion": "longhorn.io/v1beta2", "kind": "Volume",
                "metadata": {"name": handle, "namespace": "longhorn-system"},
                "spec": {"size": disk.size.to_string(), "numberOfReplicas": 3, "frontend": "blockdev"},
                "status": {"actualSize": actual, "state": "attached", "robustness": "healthy"},
            }));
        }
        objects
    }
}

/// With the address of its node, as the kubelet reports it of every pod that it has started.
fn with_host_address(kubelet: &Kubelet, mut pod: Value) -> Value {
    pod["status"]["hostIP"] = json!(kubelet.address());
    pod["status"]["hostIPs"] = json!([{"ip": kubelet.address()}]);
    pod
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
