//! Parses a request path into what it asks for.

use crate::resource::{METRICS_GROUP, REVIEW_GROUP, Resource, SUBRESOURCE_GROUP, TOKEN_GROUP};

/// What a request path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    Version,
    Health,
    CoreVersions,
    Groups,
    Group(&'a str),
    Resources {
        group: &'a str,
        version: &'a str,
    },
    Objects {
        resource: Resource,
        namespace: Option<&'a str>,
    },
    Object {
        resource: Resource,
        namespace: &'a str,
        name: &'a str,
    },
    PodMetrics {
        namespace: Option<&'a str>,
    },
    OnePodMetrics {
        namespace: &'a str,
        name: &'a str,
    },
    Summary {
        node: &'a str,
    },
    /// The file systems that a guest agent reports.
    Filesystems {
        namespace: &'a str,
        name: &'a str,
    },
    Review(Review),
    Unknown,
}

/// What is reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// What the caller may do.
    OwnAccess,
    /// What a user may do.
    Access,
    Token,
}

pub fn parse(path: &str) -> Ask<'_> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => Ask::Version,
        ["healthz" | "livez" | "readyz", ..] => Ask::Health,
        ["api"] => Ask::CoreVersions,
        ["apis"] => Ask::Groups,
        ["apis", group] => Ask::Group(group),
        ["api", version] => Ask::Resources { group: "", version },
        ["api", "v1", "nodes", node, "proxy", "stats", "summary"] => Ask::Summary { node },
        ["api", version, rest @ ..] => objects("", version, rest),
        ["apis", group, version] => Ask::Resources { group, version },
        ["apis", REVIEW_GROUP, "v1", "selfsubjectaccessreviews"] => Ask::Review(Review::OwnAccess),
        ["apis", REVIEW_GROUP, "v1", "subjectaccessreviews"] => Ask::Review(Review::Access),
        ["apis", TOKEN_GROUP, "v1", "tokenreviews"] => Ask::Review(Review::Token),
        ["apis", METRICS_GROUP, "v1beta1", rest @ ..] => pod_metrics(rest),
        ["apis", SUBRESOURCE_GROUP, "v1", rest @ ..] => subresource(rest),
        ["apis", group, version, rest @ ..] => objects(group, version, rest),
        _ => Ask::Unknown,
    }
}

fn objects<'a>(group: &str, version: &str, rest: &[&'a str]) -> Ask<'a> {
    let find = |plural: &str| Resource::find(group, version, plural);
    let in_namespace = |plural: &str| find(plural).filter(|resource| resource.api().namespaced);
    let found = match *rest {
        ["namespaces", namespace, plural] => {
            in_namespace(plural).map(|resource| Ask::Objects { resource, namespace: Some(namespace) })
        }
        ["namespaces", namespace, plural, name] => {
            in_namespace(plural).map(|resource| Ask::Object { resource, namespace, name })
        }
        [plural] => find(plural).map(|resource| Ask::Objects { resource, namespace: None }),
        [plural, name] => find(plural)
            .filter(|resource| !resource.api().namespaced)
            .map(|resource| Ask::Object { resource, namespace: "", name }),
        _ => None,
    };
    found.unwrap_or(Ask::Unknown)
}

fn pod_metrics<'a>(rest: &[&'a str]) -> Ask<'a> {
    match *rest {
        ["pods"] => Ask::PodMetrics { namespace: None },
        ["namespaces", namespace, "pods"] => Ask::PodMetrics { namespace: Some(namespace) },
        ["namespaces", namespace, "pods", name] => Ask::OnePodMetrics { namespace, name },
        _ => Ask::Unknown,
    }
}

fn subresource<'a>(rest: &[&'a str]) -> Ask<'a> {
    match *rest {
        ["namespaces", namespace, "virtualmachineinstances", name, "filesystemlist"] => {
            Ask::Filesystems { namespace, name }
        }
        _ => Ask::Unknown,
    }
}

impl Ask<'_> {
    /// The resource whose objects are asked for.
    pub fn resource(&self) -> Option<Resource> {
        match self {
            Self::Objects { resource, .. } | Self::Object { resource, .. } => Some(*resource),
            _ => None,
        }
    }

    /// The API group that must be installed. The core group and reviews always are.
    pub fn group(&self) -> &str {
        match self {
            Self::Group(group) | Self::Resources { group, .. } => group,
            Self::Objects { resource, .. } | Self::Object { resource, .. } => resource.api().group,
            Self::PodMetrics { .. } | Self::OnePodMetrics { .. } => METRICS_GROUP,
            Self::Filesystems { .. } => SUBRESOURCE_GROUP,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_api_are_understood() {
        let pods = Resource::Pods;
        for (path, want) in [
            ("/version", Ask::Version),
            ("/api/v1", Ask::Resources { group: "", version: "v1" }),
            ("/api/v1/pods", Ask::Objects { resource: pods, namespace: None }),
            ("/api/v1/namespaces/a/pods", Ask::Objects { resource: pods, namespace: Some("a") }),
            ("/api/v1/namespaces/a/pods/b", Ask::Object { resource: pods, namespace: "a", name: "b" }),
            ("/api/v1/namespaces", Ask::Objects { resource: Resource::Namespaces, namespace: None }),
            (
                "/api/v1/namespaces/a",
                Ask::Object { resource: Resource::Namespaces, namespace: "", name: "a" },
            ),
            ("/api/v1/nodes/n/proxy/stats/summary", Ask::Summary { node: "n" }),
            (
                "/apis/kubevirt.io/v1/virtualmachines",
                Ask::Objects { resource: Resource::VirtualMachines, namespace: None },
            ),
            ("/apis/metrics.k8s.io/v1beta1/namespaces/a/pods", Ask::PodMetrics { namespace: Some("a") }),
            (
                "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/b/filesystemlist",
                Ask::Filesystems { namespace: "a", name: "b" },
            ),
            (
                "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/b/console",
                Ask::Unknown,
            ),
            (
                "/apis/longhorn.io/v1beta2/volumes",
                Ask::Objects { resource: Resource::LonghornVolumes, namespace: None },
            ),
            ("/api/v1/namespaces/a/persistentvolumes", Ask::Unknown),
            ("/api/v1/secrets", Ask::Unknown),
            ("/api/v1/namespaces/a/nodes", Ask::Unknown),
            ("/", Ask::Unknown),
        ] {
            assert_eq!(parse(path), want, "{path}");
        }
    }
}
