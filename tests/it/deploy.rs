//! The manifests in deploy/: each tier grants what it should, and nothing more.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use i18n::{Lang, permission, text_in};
use model::source::SourceId;
use serde_json::Value;

use crate::program::PROGRAM;

mod components;

/// The tiers, least first.
pub const TIERS: [&str; 4] = ["namespaced", "cluster", "nodes-stats", "nodes-proxy"];
pub const VERBS: [&str; 4] = ["get", "list", "watch", "create"];
/// What may be created: the API server answers a review, and keeps nothing.
const REVIEWS: [&str; 3] = [
    "tokenreviews.authentication.k8s.io",
    "subjectaccessreviews.authorization.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io",
];

/// Returns all objects that `kubectl apply -k deploy/TIER` creates. Supports the features of kustomize that deploy/ uses:
/// resources, components, `namespace`, and patches that add, test or replace a value.
pub fn objects(tier: &str) -> Vec<Value> {
    build(&deploy().join(tier))
}

pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn build(folder: &Path) -> Vec<Value> {
    let mut objects = Vec::new();
    add(folder, "Kustomization", &mut objects);
    objects
}

/// Adds a folder's objects and changes to the others, as kustomize does with a component.
pub fn add_component(name: &str, objects: &mut Vec<Value>) {
    add(&deploy().join("components").join(name), "Component", objects);
}

fn add(folder: &Path, kind: &str, objects: &mut Vec<Value>) {
    let kustomization = documents(&folder.join("kustomization.yaml")).remove(0);
    assert_eq!(kustomization["kind"], kind, "{}", folder.display());
    for key in kustomization.as_object().expect("a mapping").keys() {
        let known =
            ["apiVersion", "kind", "resources", "components", "namespace", "patches"].contains(&key.as_str());
        assert!(known, "{}: this test does not know {key}", folder.display());
    }
    for path in list(&kustomization["resources"]).iter().map(|resource| folder.join(text(resource))) {
        objects.extend(if path.is_dir() { build(&path) } else { documents(&path) });
    }
    for component in list(&kustomization["components"]) {
        add(&folder.join(text(component)), "Component", objects);
    }
    if let Some(namespace) = kustomization["namespace"].as_str() {
        objects.iter_mut().for_each(|object| object["metadata"]["namespace"] = namespace.into());
    }
    for patch in list(&kustomization["patches"]) {
        apply(patch, objects);
    }
}

fn apply(patch: &Value, objects: &mut [Value]) {
    let of = |object: &&mut Value| {
        object["kind"] == patch["target"]["kind"] && object["metadata"]["name"] == patch["target"]["name"]
    };
    let object = objects.iter_mut().find(of).unwrap_or_else(|| panic!("{patch} has no target"));
    let operations: Vec<Value> = serde_saphyr::from_str(text(&patch["patch"])).expect("YAML");
    for operation in operations {
        let (path, value) = (text(&operation["path"]), &operation["value"]);
        match (text(&operation["op"]), path.strip_suffix("/-")) {
            ("add", Some(list)) => {
                let list = object.pointer_mut(list).and_then(Value::as_array_mut);
                list.expect("a list to append to").push(value.clone());
            }
            ("add", None) => {
                let (parent, key) = path.rsplit_once('/').expect("a path");
                let parent = object.pointer_mut(parent).and_then(Value::as_object_mut);
                let before = parent.expect("a mapping to add to").insert(key.to_owned(), value.clone());
                assert_eq!(before, None, "{operation} replaces a value");
            }
            ("test", None) => assert_eq!(object.pointer(path), Some(value), "{operation}"),
            ("replace", None) => *object.pointer_mut(path).expect("a value to replace") = value.clone(),
            _ => panic!("this test does not know {operation}"),
        }
    }
}

fn documents(path: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// `(verb, resource)` of every rule that a tier grants, the resource as RBAC's errors write it.
pub fn grants(tier: &str) -> BTreeSet<(String, String)> {
    let mut grants = BTreeSet::new();
    for role in objects(tier).iter().filter(|object| text(&object["kind"]).ends_with("Role")) {
        for rule in list(&role["rules"]) {
            grants.extend(pairs(rule));
        }
    }
    grants
}

fn pairs(rule: &Value) -> impl Iterator<Item = (String, String)> {
    let mut pairs = Vec::new();
    for group in list(&rule["apiGroups"]).iter().map(text) {
        for resource in list(&rule["resources"]).iter().map(text) {
            let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            pairs.extend(list(&rule["verbs"]).iter().map(|verb| (text(verb).to_owned(), name.clone())));
        }
    }
    pairs.into_iter()
}

#[test]
fn every_tier_only_reads() {
    for tier in TIERS {
        let grants = grants(tier);
        assert!(!grants.is_empty(), "{tier}");
        for (verb, resource) in grants {
            let reads = ["get", "list", "watch"].contains(&verb.as_str());
            let reviews = verb == "create" && REVIEWS.contains(&resource.as_str());
            assert!(reads || reviews, "{tier}: {verb} {resource}");
            assert!(!resource.contains('*') && !resource.contains("secret"), "{tier}: {verb} {resource}");
        }
    }
}

#[test]
fn a_tier_with_nodes_adds_one_permission_to_the_cluster_tier() {
    let cluster = grants("cluster");
    assert!(cluster.iter().all(|(_, resource)| !resource.starts_with("nodes/")), "{cluster:?}");
    assert!(cluster.contains(&("watch".to_owned(), "nodes".to_owned())), "{cluster:?}");
    for (tier, resource) in [("nodes-stats", "nodes/stats"), ("nodes-proxy", "nodes/proxy")] {
        let grants = grants(tier);
        let more: Vec<_> = grants.difference(&cluster).collect();
        assert_eq!(more, [&("get".to_owned(), resource.to_owned())], "{tier}");
        assert!(cluster.is_subset(&grants), "{tier}");
    }
}

#[test]
fn the_namespaced_tier_stays_in_its_namespaces() {
    let objects = objects("namespaced");
    let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    assert!(of("ClusterRole").is_empty() && of("ClusterRoleBinding").is_empty());
    let namespaces =
        |kind| of(kind).iter().map(|o| text(&o["metadata"]["namespace"])).collect::<BTreeSet<_>>();
    let namespace =
        arguments(&objects).into_iter().find_map(|a| Some(a.strip_prefix("--namespace=")?.to_owned()));
    let flag = namespace.expect("the Deployment names its namespaces");
    assert_eq!(namespaces("Role"), flag.split(',').collect());
    assert_eq!(namespaces("RoleBinding"), namespaces("Role"));
    // A review of a whole cluster is a resource of its own, and covers each of its namespaces.
    let wider = |(verb, resource): (String, String)| (verb, resource.trim_start_matches("local").to_owned());
    let widened: BTreeSet<_> = grants("namespaced").into_iter().map(wider).collect();
    assert!(widened.is_subset(&grants("cluster")));
    assert!(grants("namespaced").iter().all(|(_, resource)| !resource.starts_with("nodes")));
}

/// What sign-in needs. TokenReviews belong to no namespace, so no Role can grant them.
#[test]
fn every_tier_may_review_access_and_read_bindings() {
    for tier in TIERS {
        let namespaced = tier == "namespaced";
        let has = |verb: &str, resource: &str| grants(tier).contains(&(verb.to_owned(), resource.to_owned()));
        let [tokens, access, local_access] = REVIEWS;
        let reviews = [has("create", tokens), has("create", access), has("create", local_access)];
        assert_eq!(reviews, [!namespaced, !namespaced, namespaced], "{tier}");
        for verb in ["list", "watch"] {
            assert!(has(verb, "rolebindings.rbac.authorization.k8s.io"), "{tier}");
            assert_eq!(has(verb, "clusterrolebindings.rbac.authorization.k8s.io"), !namespaced, "{tier}");
        }
    }
}

/// The text of each source names the permissions that it needs.
#[test]
fn every_permission_that_a_source_names_is_in_a_tier() {
    let mut granted = grants("nodes-stats");
    granted.extend(grants("nodes-proxy"));
    for id in SourceId::ALL.into_iter().filter(|id| !matches!(id, SourceId::Prometheus | SourceId::Ceph)) {
        let permission = text_in(Lang::English, permission(id));
        let words: Vec<&str> = permission.split(' ').filter(|word| !["and", "or"].contains(word)).collect();
        let (verbs, resources): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| VERBS.contains(word));
        assert!(!verbs.is_empty() && !resources.is_empty(), "{permission}");
        for (verb, resource) in verbs.iter().flat_map(|verb| resources.iter().map(move |r| (*verb, *r))) {
            assert!(
                granted.contains(&(verb.to_owned(), resource.to_owned())),
                "{verb} {resource} is in no tier"
            );
        }
    }
}

#[test]
fn the_bound_account_is_the_one_of_the_pod() {
    for tier in TIERS {
        let objects = objects(tier);
        let account = |kind: &str| objects.iter().find(|o| o["kind"] == kind).expect("one of each").clone();
        let (runs, made) = (account("Deployment"), account("ServiceAccount"));
        assert_eq!(runs["spec"]["template"]["spec"]["serviceAccountName"], made["metadata"]["name"]);
        assert_eq!(runs["metadata"]["namespace"], made["metadata"]["namespace"]);
        for binding in objects.iter().filter(|object| text(&object["kind"]).ends_with("RoleBinding")) {
            let subject = &binding["subjects"][0];
            assert_eq!(subject["name"], made["metadata"]["name"], "{tier}");
            assert_eq!(subject["namespace"], made["metadata"]["namespace"], "{tier}");
            let role = |o: &&Value| {
                o["kind"] == binding["roleRef"]["kind"] && o["metadata"]["name"] == binding["roleRef"]["name"]
            };
            assert!(objects.iter().any(|object| role(&object)), "{tier}: {binding}");
        }
    }
}

#[test]
fn the_program_knows_every_flag_of_every_tier() {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut composed = objects("cluster");
    ["ingress", "tls"].into_iter().for_each(|component| add_component(component, &mut composed));
    for argument in TIERS.iter().flat_map(|tier| arguments(&objects(tier))).chain(arguments(&composed)) {
        let flag = argument.split('=').next().unwrap();
        assert!(help.contains(&format!("{flag} <")), "{flag} is not in:\n{help}");
    }
}

/// On an IPv6-only cluster, probes would fail if the program listened on `0.0.0.0`.
#[test]
fn the_pod_and_the_image_listen_on_every_family() {
    for tier in TIERS {
        let arguments = arguments(&objects(tier));
        assert!(arguments.contains(&"--listen=:8081".to_owned()), "{tier}: {arguments:?}");
    }
    let image = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).unwrap();
    assert!(image.contains("ENV WUKONG_LISTEN=:8081\n"), "{image}");
}

/// Only the tier whose token opens nothing but statistics sends it to kubelets. The other tiers send it to the API server
/// alone: their token may exec through `nodes/proxy`, or kubelets would not accept it.
#[test]
fn kubelets_receive_a_token_that_opens_statistics_alone() {
    let base = arguments(&objects("base"));
    for tier in TIERS {
        let arguments = arguments(&objects(tier));
        let access: Vec<_> = arguments.iter().filter(|a| a.starts_with("--kubelet-access")).collect();
        let want = if tier == "nodes-stats" { "direct" } else { "proxy" };
        assert_eq!(access, [&format!("--kubelet-access={want}")], "{tier}");
        let others = |of: &[String]| {
            let own = ["--kubelet-access", "--sign-in"];
            let others = of.iter().filter(|a| !own.iter().any(|own| a.starts_with(own)));
            others.cloned().collect::<BTreeSet<_>>()
        };
        assert!(others(&arguments).is_superset(&others(&base)), "{tier} drops a flag: {arguments:?}");
        let may_exec = grants(tier).contains(&("get".to_owned(), "nodes/proxy".to_owned()));
        assert!(!may_exec || want == "proxy", "{tier}");
    }
}

/// Where the program may review tokens, everybody signs in. No Role can allow that, and the NetworkPolicy lets nobody in.
#[test]
fn everybody_signs_in_where_tokens_can_be_reviewed() {
    for tier in TIERS {
        let objects = objects(tier);
        let may_review =
            grants(tier).contains(&("create".to_owned(), "tokenreviews.authentication.k8s.io".to_owned()));
        let mode = if may_review { "token" } else { "none" };
        assert!(arguments(&objects).contains(&format!("--sign-in={mode}")), "{tier}");
        let policies: Vec<_> = objects.iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
        let lets_in =
            |policy: &&Value| policy["spec"]["ingress"].as_array().is_some_and(|rules| !rules.is_empty());
        assert!(!policies.is_empty() && !policies.iter().any(lets_in), "{tier}");
    }
}

/// How a tier's Deployment asks kubelets, as a flag.
pub fn kubelet_access(tier: &str) -> String {
    let found = arguments(&objects(tier)).into_iter().find(|a| a.starts_with("--kubelet-access="));
    found.expect("every tier says how kubelets are asked")
}

/// Returns the arguments of the Deployment.
pub fn arguments(objects: &[Value]) -> Vec<String> {
    let arguments = list(&find(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]);
    arguments.iter().map(|argument| text(argument).to_owned()).collect()
}

/// Returns the object of this kind.
pub fn find<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Cargo reads every member of the workspace, whichever it compiles.
#[test]
fn the_image_is_built_from_every_member_of_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let ignored = fs::read_to_string(root.join(".dockerignore")).unwrap();
    let (_, members) = manifest.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let folders: Vec<_> =
        members.split(',').map(|member| member.trim().trim_matches('"').split('/').next().unwrap()).collect();
    assert!(folders.len() >= 2, "{folders:?}");
    for folder in folders {
        assert!(
            ignored.lines().any(|line| line == format!("!{folder}")),
            ".dockerignore leaves {folder} out"
        );
    }
}
