//! Asks the API server by SelfSubjectAccessReview what the dashboard's credentials may do. Used by `check`.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::Client;

use crate::server::config::{SignInMode, SignInModes};
use collector::{
    client::{is_served, may, words as error_words},
    config::CollectConfig,
};
use model::source::SourceId;

/// Most reviews at the same time.
const AT_ONCE: usize = 8;

/// What a permission is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Source(SourceId),
    /// To show what happened to a VM on its page.
    Events,
    /// To know whose Kubernetes token it is.
    TokenSignIn,
    /// To know what those who sign in may see.
    SignIn,
    /// To know sooner what somebody may see. Without it every namespace is asked about in turn.
    SignInHints,
}

/// One permission that is needed.
#[derive(Clone, Copy, Debug)]
struct Permission {
    purpose: Purpose,
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// The only object that is needed; empty for all.
    name: &'static str,
    namespaced: bool,
}

/// The answer to one review.
#[derive(Clone, Debug)]
pub struct PermissionReview {
    pub purpose: Purpose,
    /// `list pods.metrics.k8s.io in namespace prod`
    pub what: String,
    /// Whether it is allowed, or why the review failed.
    pub allowed: Result<bool, String>,
    /// Whether the cluster has what it is about, as far as that was asked.
    pub is_served: bool,
}

const FOLLOW: &[&str] = &["list", "watch"];
const CREATE: &[&str] = &["create"];

const fn needed(source: SourceId, verbs: &'static [&'static str], group: &'static str) -> Permission {
    needed_for(Purpose::Source(source), verbs, group)
}

const fn needed_for(purpose: Purpose, verbs: &'static [&'static str], group: &'static str) -> Permission {
    Permission { purpose, verbs, group, resource: "", subresource: "", name: "", namespaced: true }
}

const NEEDED: [Permission; 19] = [
    Permission { resource: "wukongs", ..needed(SourceId::Wukongs, FOLLOW, "vm.novasphere.dev") },
    Permission { resource: "virtualmachines", ..needed(SourceId::VirtualMachines, FOLLOW, "kubevirt.io") },
    Permission { resource: "virtualmachineinstances", ..needed(SourceId::Instances, FOLLOW, "kubevirt.io") },
    Permission {
        resource: "virtualmachineinstancemigrations",
        ..needed(SourceId::Migrations, FOLLOW, "kubevirt.io")
    },
    Permission { resource: "events", ..needed_for(Purpose::Events, &["list"], "") },
    Permission { resource: "pods", ..needed(SourceId::Pods, FOLLOW, "") },
    Permission { resource: "persistentvolumeclaims", ..needed(SourceId::Claims, FOLLOW, "") },
    Permission {
        resource: "persistentvolumes",
        namespaced: false,
        ..needed(SourceId::PersistentVolumes, FOLLOW, "")
    },
    Permission { resource: "nodes", namespaced: false, ..needed(SourceId::Nodes, FOLLOW, "") },
    Permission {
        resource: "virtualmachineclusterinstancetypes",
        namespaced: false,
        ..needed(SourceId::ClusterInstancetypes, FOLLOW, "instancetype.kubevirt.io")
    },
    Permission {
        resource: "virtualmachineinstancetypes",
        ..needed(SourceId::Instancetypes, FOLLOW, "instancetype.kubevirt.io")
    },
    Permission { resource: "pods", ..needed(SourceId::PodMetrics, &["list"], "metrics.k8s.io") },
    Permission {
        resource: "nodes",
        subresource: "stats",
        namespaced: false,
        ..needed(SourceId::Kubelet, &["get"], "")
    },
    Permission {
        resource: "nodes",
        subresource: "proxy",
        namespaced: false,
        ..needed(SourceId::Kubelet, &["get"], "")
    },
    KUBEVIRTS,
    HANDLER_PODS,
    Permission { resource: "configmaps", name: "kubevirt-ca", ..needed(SourceId::VirtHandler, &["get"], "") },
    Permission {
        resource: "virtualmachineinstances",
        subresource: "filesystemlist",
        ..needed(SourceId::GuestAgent, &["get"], "subresources.kubevirt.io")
    },
    Permission {
        resource: "volumes",
        namespaced: false,
        ..needed(SourceId::Longhorn, FOLLOW, "longhorn.io")
    },
];

/// Where KubeVirt is, unless that is configured.
const KUBEVIRTS: Permission =
    Permission { resource: "kubevirts", ..needed(SourceId::VirtHandler, FOLLOW, "kubevirt.io") };
/// The virt-handlers of a namespace that is configured. Without one, launcher pods need the same permission.
const HANDLER_PODS: Permission = Permission { resource: "pods", ..needed(SourceId::VirtHandler, FOLLOW, "") };

/// A TokenReview belongs to no namespace, whatever `--namespace` says.
const TOKEN_REVIEWS: Permission = Permission {
    resource: "tokenreviews",
    namespaced: false,
    ..needed_for(Purpose::TokenSignIn, CREATE, "authentication.k8s.io")
};
const ROLE_BINDINGS: Permission = Permission {
    resource: "rolebindings",
    ..needed_for(Purpose::SignInHints, FOLLOW, "rbac.authorization.k8s.io")
};
/// What sign-in needs to serve all namespaces.
const NEEDED_TO_SIGN_IN: [Permission; 4] = [
    TOKEN_REVIEWS,
    Permission {
        resource: "subjectaccessreviews",
        namespaced: false,
        ..needed_for(Purpose::SignIn, CREATE, "authorization.k8s.io")
    },
    ROLE_BINDINGS,
    Permission { resource: "clusterrolebindings", namespaced: false, ..ROLE_BINDINGS },
];
/// The same within some namespaces.
const NEEDED_TO_SIGN_IN_WITHIN: [Permission; 3] = [
    TOKEN_REVIEWS,
    Permission {
        resource: "localsubjectaccessreviews",
        ..needed_for(Purpose::SignIn, CREATE, "authorization.k8s.io")
    },
    ROLE_BINDINGS,
];

/// A question to the API server: what it is about, its words for people, and its attributes.
pub type PermissionQuestion = (Purpose, String, ResourceAttributes);

/// Asks for every permission that the configured sources need, in the order of `NEEDED`, and for those of
/// signing in.
pub async fn review_permissions(
    client: &Client,
    config: &CollectConfig,
    modes: &SignInModes,
) -> Vec<PermissionReview> {
    stream::iter(all_questions(config, modes))
        .map(|(purpose, what, attributes)| {
            let deadline = config.metrics_deadline;
            async move {
                let answer = tokio::time::timeout(deadline, may(client, attributes.clone())).await;
                let answer = answer.map(|answer| answer.map_err(|error| error_words(&error)));
                let allowed = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
                let has_more = purpose == Purpose::SignInHints && allowed == Ok(true);
                let asked = async { !has_more || is_served(client, &attributes).await };
                let is_served = tokio::time::timeout(deadline, asked).await.unwrap_or(true);
                PermissionReview { purpose, what, allowed, is_served }
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Returns the questions about every permission that is needed.
pub fn all_questions(config: &CollectConfig, modes: &SignInModes) -> Vec<PermissionQuestion> {
    let disk_sources = config.asked_disk_sources();
    let is_used = |needed: &&Permission| match needed.purpose {
        Purpose::Source(SourceId::PersistentVolumes) => {
            disk_sources.iter().any(|id| *id != SourceId::GuestAgent)
        }
        Purpose::Source(SourceId::VirtHandler) => {
            let of_kubevirt = config.virt_handler.as_ref().map(|of| of.namespace.is_some());
            match (of_kubevirt, needed.resource) {
                (Some(is_configured), "kubevirts") => !is_configured,
                (Some(is_configured), "pods") => is_configured,
                (of_kubevirt, _) => of_kubevirt.is_some(),
            }
        }
        Purpose::Source(id) => !SourceId::DISK.contains(&id) || disk_sources.contains(&id),
        Purpose::Events => true,
        Purpose::TokenSignIn => modes.has(SignInMode::Token),
        Purpose::SignIn | Purpose::SignInHints => !modes.is_none(),
    };
    let sign_in: &[Permission] =
        if config.namespaces.is_some() { &NEEDED_TO_SIGN_IN_WITHIN } else { &NEEDED_TO_SIGN_IN };
    let needed = NEEDED.iter().chain(sign_in).filter(is_used);
    needed.flat_map(|needed| questions(needed, config)).collect()
}

fn questions(needed: &Permission, config: &CollectConfig) -> Vec<PermissionQuestion> {
    let everywhere = vec![None];
    let scopes = match &config.namespaces {
        _ if needed.purpose == Purpose::Source(SourceId::VirtHandler) => {
            vec![config.virt_handler.as_ref().and_then(|of| of.namespace.clone())]
        }
        Some(namespaces) if needed.namespaced => namespaces.iter().cloned().map(Some).collect(),
        _ => everywhere,
    };
    let question = |(scope, verb): (&Option<String>, &&str)| {
        let attributes = ResourceAttributes {
            group: Some(needed.group.to_owned()),
            resource: Some(needed.resource.to_owned()),
            subresource: Some(needed.subresource.to_owned()).filter(|name| !name.is_empty()),
            name: Some(needed.name.to_owned()).filter(|name| !name.is_empty()),
            verb: Some((*verb).to_owned()),
            namespace: scope.clone(),
            ..ResourceAttributes::default()
        };
        (needed.purpose, words(needed, verb, scope.as_deref()), attributes)
    };
    scopes.iter().flat_map(|scope| needed.verbs.iter().map(move |verb| (scope, verb))).map(question).collect()
}

fn words(needed: &Permission, verb: &str, namespace: Option<&str>) -> String {
    let mut words = format!("{verb} {}", needed.resource);
    if !needed.subresource.is_empty() {
        words = format!("{words}/{}", needed.subresource);
    }
    if !needed.group.is_empty() {
        words = format!("{words}.{}", needed.group);
    }
    if !needed.name.is_empty() {
        words = format!("{words}/{}", needed.name);
    }
    match namespace {
        Some(namespace) => format!("{words} in namespace {namespace}"),
        None => words,
    }
}
