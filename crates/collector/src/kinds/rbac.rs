//! RoleBindings and ClusterRoleBindings: to whom they grant something, and where. What they grant is not read:
//! the reviews say that.

use std::{mem::take, sync::Arc};

use super::{Kind, Scope, texts};
use crate::k8s::{
    meta::{Nothing, Object},
    rbac,
};
use wukong_core::{access::Subject, observation::Key};

const GROUP: &str = "rbac.authorization.k8s.io";

/// What is kept of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The namespace that it grants something in; `None` for the whole cluster.
    pub namespace: Option<Arc<str>>,
    pub name: Box<str>,
    /// The kind and the name of its role. Labels and the like are not kept: they change no right, and each change of
    /// a hint costs reviews.
    pub role: Box<str>,
    pub subjects: Box<[Subject]>,
}

impl Binding {
    pub fn key(&self) -> Key {
        Key::new(self.namespace.as_deref().unwrap_or_default(), &self.name)
    }
}

/// RoleBindings.
#[derive(Clone, Debug)]
pub struct RoleBindings;

/// ClusterRoleBindings.
#[derive(Clone, Debug)]
pub struct ClusterRoleBindings;

impl Kind for RoleBindings {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "rolebindings";

    type Spec = Nothing;
    type Status = Nothing;
    type Facts = Binding;

    fn facts(object: Object<Nothing, Nothing>) -> Binding {
        binding(object)
    }

    fn left_out(object: &Object<Nothing, Nothing>) -> u32 {
        object.subjects.left_out
    }

    fn weight(facts: &Binding) -> usize {
        weight(facts)
    }

    fn key(facts: &Binding) -> Key {
        facts.key()
    }
}

impl Kind for ClusterRoleBindings {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "clusterrolebindings";
    const SCOPE: Scope = Scope::Cluster;

    type Spec = Nothing;
    type Status = Nothing;
    type Facts = Binding;

    fn facts(mut object: Object<Nothing, Nothing>) -> Binding {
        take(&mut object.metadata.0.namespace);
        binding(object)
    }

    fn left_out(object: &Object<Nothing, Nothing>) -> u32 {
        object.subjects.left_out
    }

    fn weight(facts: &Binding) -> usize {
        weight(facts)
    }

    fn key(facts: &Binding) -> Key {
        facts.key()
    }
}

fn binding(object: Object<Nothing, Nothing>) -> Binding {
    let (meta, role) = (object.metadata.0, object.role_ref.0);
    let subjects = object.subjects.items.into_iter().filter_map(|of| subject(of, &meta.namespace));
    Binding {
        subjects: subjects.collect(),
        role: format!("{}/{}", &*role.kind, &*role.name).into(),
        namespace: Some(&*meta.namespace).filter(|name| !name.is_empty()).map(Arc::from),
        name: meta.name.0.into(),
    }
}

/// Returns the subject as a user or a group. A service account without a namespace is one of the binding's own
/// namespace (`appliesToUser` of Kubernetes' RBAC authorizer).
fn subject(wire: rbac::Subject, own_namespace: &str) -> Option<Subject> {
    let (name, namespace) = (wire.name.0, &*wire.namespace);
    match (&*wire.kind, if namespace.is_empty() { own_namespace } else { namespace }) {
        _ if name.is_empty() => None,
        ("User", _) => Some(Subject::User(name)),
        ("Group", _) => Some(Subject::Group(name)),
        ("ServiceAccount", "") => None,
        ("ServiceAccount", namespace) => {
            Some(Subject::User(format!("system:serviceaccount:{namespace}:{name}")))
        }
        _ => None,
    }
}

/// Bytes that a subject takes in the hints besides its name: its entry, and a tree of one place.
const HINT: usize = 384;

/// A subject is kept here, in the hints that are read, and in the hints that replace them.
fn weight(binding: &Binding) -> usize {
    let subject = |subject: &Subject| match subject {
        Subject::User(name) | Subject::Group(name) => size_of::<Subject>() + 3 * name.len() + 2 * HINT,
    };
    let namespace = binding.namespace.as_deref().unwrap_or_default();
    size_of::<Binding>()
        + texts(&[namespace, &binding.name, &binding.role])
        + binding.subjects.iter().map(subject).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    const SUBJECTS: &str = r#"[{"kind": "User", "name": "oidc:Ann Lee", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "Group", "name": "system:authenticated"}, {"kind": "ServiceAccount", "name": "ci", "namespace": "ops"},
        {"kind": "ServiceAccount", "name": "robot"}, {"kind": "Robot", "name": "r2"}, {"kind": "User"}, 7, null]"#;

    fn json(namespace: &str) -> String {
        format!(
            r#"{{"metadata": {{"name": "edit", {namespace} "uid": "u", "resourceVersion": "7"}},
                "roleRef": {{"kind": "ClusterRole", "name": "edit"}}, "subjects": {SUBJECTS}}}"#
        )
    }

    #[test]
    fn a_role_binding_names_users_groups_and_accounts_in_its_namespace() {
        let binding = read::<RoleBindings>(&json(r#""namespace": "shop","#)).unwrap();
        let user = |name: &str| Subject::User(name.into());
        let want = Binding {
            namespace: Some("shop".into()),
            name: "edit".into(),
            role: "ClusterRole/edit".into(),
            subjects: [
                user("oidc:Ann Lee"),
                Subject::Group("system:authenticated".into()),
                user("system:serviceaccount:ops:ci"),
                user("system:serviceaccount:shop:robot"),
            ]
            .into(),
        };
        assert_eq!((RoleBindings::key(&binding), binding), (Key::new("shop", "edit"), want));
    }

    #[test]
    fn a_cluster_role_binding_has_no_namespace_and_an_account_without_one_is_nobody() {
        for namespace in ["", r#""namespace": "shop","#] {
            let binding = read::<ClusterRoleBindings>(&json(namespace)).unwrap();
            assert_eq!((&binding.namespace, binding.subjects.len()), (&None, 3), "{binding:?}");
            assert_eq!(ClusterRoleBindings::key(&binding), Key::new("", "edit"));
        }
    }

    #[test]
    fn a_binding_without_subjects_grants_nothing() {
        for subjects in ["null", "{}", r#""ann""#] {
            let json = format!(
                r#"{{"metadata": {{"name": "a", "namespace": "b", "resourceVersion": "7"}}, "subjects": {subjects}}}"#
            );
            assert!(read::<RoleBindings>(&json).unwrap().subjects.is_empty(), "{subjects}");
        }
    }

    #[test]
    fn a_binding_weighs_what_its_subjects_do_and_a_long_one_is_cut() {
        let subject = format!(r#"{{"kind": "User", "name": "{}"}}"#, "x".repeat(100));
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "subjects": [{}]}}"#,
            vec![subject.as_str(); 1100].join(",")
        );
        let object = serde_json::from_str::<super::super::Watched<RoleBindings>>(&json).unwrap();
        let binding = object.facts.unwrap();
        assert_eq!((binding.subjects.len(), object.left_out), (1024, 76));
        assert!(RoleBindings::weight(&binding) > 1024 * 1000, "{}", RoleBindings::weight(&binding));
    }
}
