//! Parses a request path into what it asks for.

use crate::resource::{METRICS_GROUP, REVIEW_GROUP, Resource, SUBRESOURCE_GROUP, TOKEN_GROUP};

/// What a request path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiRequest<'a> {
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

pub fn parse(path: &str) -> ApiRequest<'_> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => ApiRequest::Version,
        ["healthz" | "livez" | "readyz", ..] => ApiRequest::Health,
        ["api"] => ApiRequest::CoreVersions,
        ["apis"] => ApiRequest::Groups,
        ["apis", group] => ApiRequest::Group(group),
        ["api", version] => ApiRequest::Resources { group: "", version },
        ["api", "v1", "nodes", node, "proxy", "stats", "summary"] => ApiRequest::Summary { node },
        ["api", version, rest @ ..] => objects("", version, rest),
        ["apis", group, version] => ApiRequest::Resources { group, version },
        ["apis", REVIEW_GROUP, "v1", "selfsubjectaccessreviews"] => ApiRequest::Review(Review::OwnAccess),
        ["apis", REVIEW_GROUP, "v1", "subjectaccessreviews"] => ApiRequest::Review(Review::Access),
        ["apis", TOKEN_GROUP, "v1", "tokenreviews"] => ApiRequest::Review(Review::Token),
        ["apis", METRICS_GROUP, "v1beta1", rest @ ..] => pod_metrics(rest),
        ["apis", SUBRESOURCE_GROUP, "v1", rest @ ..] => subresource(rest),
        ["apis", group, version, rest @ ..] => objects(group, version, rest),
        _ => ApiRequest::Unknown,
    }
}

fn objects<'a>(group: &str, version: &str, rest: &[&'a str]) -> ApiRequest<'a> {
    let find = |plural: &str| Resource::find(group, version, plural);
    let in_namespace = |plural: &str| find(plural).filter(|resource| resource.api().namespaced);
    let found = match *rest {
        ["namespaces", namespace, plural] => {
            in_namespace(plural).map(|resource| ApiRequest::Objects { resource, namespace: Some(namespace) })
        }
        ["namespaces", namespace, plural, name] => {
            in_namespace(plural).map(|resource| ApiRequest::Object { resource, namespace, name })
        }
        [plural] => find(plural).map(|resource| ApiRequest::Objects { resource, namespace: None }),
        [plural, name] => find(plural)
            .filter(|resource| !resource.api().namespaced)
            .map(|resource| ApiRequest::Object { resource, namespace: "", name }),
        _ => None,
    };
    found.unwrap_or(ApiRequest::Unknown)
}

fn pod_metrics<'a>(rest: &[&'a str]) -> ApiRequest<'a> {
    match *rest {
        ["pods"] => ApiRequest::PodMetrics { namespace: None },
        ["namespaces", namespace, "pods"] => ApiRequest::PodMetrics { namespace: Some(namespace) },
        ["namespaces", namespace, "pods", name] => ApiRequest::OnePodMetrics { namespace, name },
        _ => ApiRequest::Unknown,
    }
}

fn subresource<'a>(rest: &[&'a str]) -> ApiRequest<'a> {
    match *rest {
        ["namespaces", namespace, "virtualmachineinstances", name, "filesystemlist"] => {
            ApiRequest::Filesystems { namespace, name }
        }
        _ => ApiRequest::Unknown,
    }
}

impl ApiRequest<'_> {
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
            ("/version", ApiRequest::Version),
            ("/api/v1", ApiRequest::Resources { group: "", version: "v1" }),
            ("/api/v1/pods", ApiRequest::Objects { resource: pods, namespace: None }),
            ("/api/v1/namespaces/a/pods", ApiRequest::Objects { resource: pods, namespace: Some("a") }),
            ("/api/v1/namespaces/a/pods/b", ApiRequest::Object { resource: pods, namespace: "a", name: "b" }),
            ("/api/v1/namespaces", ApiRequest::Objects { resource: Resource::Namespaces, namespace: None }),
            (
                "/api/v1/namespaces/a",
                ApiRequest::Object { resource: Resource::Namespaces, namespace: "", name: "a" },
            ),
            ("/api/v1/nodes/n/proxy/stats/summary", ApiRequest::Summary { node: "n" }),
            (
                "/apis/kubevirt.io/v1/virtualmachines",
                ApiRequest::Objects { resource: Resource::VirtualMachines, namespace: None },
            ),
            (
                "/apis/metrics.k8s.io/v1beta1/namespaces/a/pods",
                ApiRequest::PodMetrics { namespace: Some("a") },
            ),
            (
                "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/b/filesystemlist",
                ApiRequest::Filesystems { namespace: "a", name: "b" },
            ),
            (
                "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/b/console",
                ApiRequest::Unknown,
            ),
            (
                "/apis/longhorn.io/v1beta2/volumes",
                ApiRequest::Objects { resource: Resource::LonghornVolumes, namespace: None },
            ),
            ("/api/v1/namespaces/a/persistentvolumes", ApiRequest::Unknown),
            ("/api/v1/secrets", ApiRequest::Unknown),
            ("/api/v1/namespaces/a/nodes", ApiRequest::Unknown),
            ("/", ApiRequest::Unknown),
        ] {
            assert_eq!(parse(path), want, "{path}");
        }
    }
}
