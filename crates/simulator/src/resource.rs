//! The resources that the simulated cluster stores, with their names in Kubernetes discovery.

use strum::{EnumCount, VariantArray};

/// A resource that is stored and can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumCount, VariantArray)]
pub enum Resource {
    Namespaces,
    Nodes,
    Pods,
    Claims,
    VirtualMachines,
    Instances,
    Migrations,
    Wukongs,
    PersistentVolumes,
    LonghornVolumes,
    ClusterInstancetypes,
    Instancetypes,
    Kubevirts,
    ConfigMaps,
    Events,
    RoleBindings,
    ClusterRoleBindings,
}

/// How the API names a resource.
#[derive(Debug)]
pub struct Api {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub kind: &'static str,
    pub short: &'static [&'static str],
    pub namespaced: bool,
}

pub const METRICS_GROUP: &str = "metrics.k8s.io";
pub const KUBEVIRT_GROUP: &str = "kubevirt.io";
pub const INSTANCETYPE_GROUP: &str = "instancetype.kubevirt.io";
pub const WUKONG_GROUP: &str = "vm.novasphere.dev";
pub const LONGHORN_GROUP: &str = "longhorn.io";
/// KubeVirt's aggregated API, which answers on behalf of guests.
pub const SUBRESOURCE_GROUP: &str = "subresources.kubevirt.io";
pub const REVIEW_GROUP: &str = "authorization.k8s.io";
/// Installed only where the scenario has viewers.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
pub const TOKEN_GROUP: &str = "authentication.k8s.io";

impl Resource {
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.first_chunk().unwrap();

    /// Returns the resource that discovery lists under these names.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| {
            let api = resource.api();
            (api.group, api.version, api.plural) == (group, version, plural)
        })
    }

    pub fn api(self) -> &'static Api {
        match self {
            Self::Namespaces => &NAMESPACES,
            Self::Nodes => &NODES,
            Self::Pods => &PODS,
            Self::Claims => &CLAIMS,
            Self::VirtualMachines => &VIRTUAL_MACHINES,
            Self::Instances => &INSTANCES,
            Self::Migrations => &MIGRATIONS,
            Self::Wukongs => &WUKONGS,
            Self::PersistentVolumes => &PERSISTENT_VOLUMES,
            Self::LonghornVolumes => &LONGHORN_VOLUMES,
            Self::ClusterInstancetypes => &CLUSTER_INSTANCETYPES,
            Self::Instancetypes => &INSTANCETYPES,
            Self::Kubevirts => &KUBEVIRTS,
            Self::ConfigMaps => &CONFIG_MAPS,
            Self::Events => &EVENTS,
            Self::RoleBindings => &ROLE_BINDINGS,
            Self::ClusterRoleBindings => &CLUSTER_ROLE_BINDINGS,
        }
    }

    /// The key in the store: `namespace/name`, or the name alone. Keys sort as those in etcd do.
    pub fn key(self, namespace: &str, name: &str) -> String {
        if self.api().namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

impl Api {
    /// The `apiVersion` of its objects: `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The resource's name in error messages: `plural.group`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether items of a list include `kind` and `apiVersion`: those of the core group do not, custom
    /// resources do.
    pub fn items_carry_kind(&self) -> bool {
        !self.group.is_empty()
    }
}

static NAMESPACES: Api = Api {
    group: "",
    version: "v1",
    plural: "namespaces",
    singular: "namespace",
    kind: "Namespace",
    short: &["ns"],
    namespaced: false,
};
static NODES: Api = Api {
    group: "",
    version: "v1",
    plural: "nodes",
    singular: "node",
    kind: "Node",
    short: &["no"],
    namespaced: false,
};
static PODS: Api = Api {
    group: "",
    version: "v1",
    plural: "pods",
    singular: "pod",
    kind: "Pod",
    short: &["po"],
    namespaced: true,
};
static CLAIMS: Api = Api {
    group: "",
    version: "v1",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    kind: "PersistentVolumeClaim",
    short: &["pvc"],
    namespaced: true,
};
static VIRTUAL_MACHINES: Api = Api {
    group: KUBEVIRT_GROUP,
    version: "v1",
    plural: "virtualmachines",
    singular: "virtualmachine",
    kind: "VirtualMachine",
    short: &["vm", "vms"],
    namespaced: true,
};
static INSTANCES: Api = Api {
    group: KUBEVIRT_GROUP,
    version: "v1",
    plural: "virtualmachineinstances",
    singular: "virtualmachineinstance",
    kind: "VirtualMachineInstance",
    short: &["vmi", "vmis"],
    namespaced: true,
};
static MIGRATIONS: Api = Api {
    group: KUBEVIRT_GROUP,
    version: "v1",
    plural: "virtualmachineinstancemigrations",
    singular: "virtualmachineinstancemigration",
    kind: "VirtualMachineInstanceMigration",
    short: &["vmim", "vmims"],
    namespaced: true,
};
static WUKONGS: Api = Api {
    group: WUKONG_GROUP,
    version: "v1alpha1",
    plural: "wukongs",
    singular: "wukong",
    kind: "Wukong",
    short: &["wk"],
    namespaced: true,
};
static PERSISTENT_VOLUMES: Api = Api {
    group: "",
    version: "v1",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    kind: "PersistentVolume",
    short: &["pv"],
    namespaced: false,
};
static LONGHORN_VOLUMES: Api = Api {
    group: LONGHORN_GROUP,
    version: "v1beta2",
    plural: "volumes",
    singular: "volume",
    kind: "Volume",
    short: &["lhv"],
    namespaced: true,
};
static CLUSTER_INSTANCETYPES: Api = Api {
    group: INSTANCETYPE_GROUP,
    version: "v1beta1",
    plural: "virtualmachineclusterinstancetypes",
    singular: "virtualmachineclusterinstancetype",
    kind: "VirtualMachineClusterInstancetype",
    short: &["vmclusterinstancetype", "vmcit"],
    namespaced: false,
};
static INSTANCETYPES: Api = Api {
    group: INSTANCETYPE_GROUP,
    version: "v1beta1",
    plural: "virtualmachineinstancetypes",
    singular: "virtualmachineinstancetype",
    kind: "VirtualMachineInstancetype",
    short: &["vminstancetype", "vmit"],
    namespaced: true,
};
static KUBEVIRTS: Api = Api {
    group: KUBEVIRT_GROUP,
    version: "v1",
    plural: "kubevirts",
    singular: "kubevirt",
    kind: "KubeVirt",
    short: &["kv", "kvs"],
    namespaced: true,
};
static CONFIG_MAPS: Api = Api {
    group: "",
    version: "v1",
    plural: "configmaps",
    singular: "configmap",
    kind: "ConfigMap",
    short: &["cm"],
    namespaced: true,
};
static EVENTS: Api = Api {
    group: "",
    version: "v1",
    plural: "events",
    singular: "event",
    kind: "Event",
    short: &["ev"],
    namespaced: true,
};
static ROLE_BINDINGS: Api = Api {
    group: RBAC_GROUP,
    version: "v1",
    plural: "rolebindings",
    singular: "rolebinding",
    kind: "RoleBinding",
    short: &[],
    namespaced: true,
};
static CLUSTER_ROLE_BINDINGS: Api = Api {
    group: RBAC_GROUP,
    version: "v1",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    kind: "ClusterRoleBinding",
    short: &[],
    namespaced: false,
};
/// Computed for each request and never stored, so it is not a [`Resource`].
pub static POD_METRICS: Api = Api {
    group: METRICS_GROUP,
    version: "v1beta1",
    plural: "pods",
    singular: "",
    kind: "PodMetrics",
    short: &[],
    namespaced: true,
};
