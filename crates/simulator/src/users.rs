//! The people who can sign in to a dashboard of the cluster. The tokens of three of them are fixed, and a test can let
//! one end; a scenario or [`crate::Options`] can have others.

use serde_json::{Value, json};

use super::clock::Millis;

/// A person who may list every object in some namespaces, as may everybody in one of their groups.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub name: String,
    pub groups: Vec<String>,
    pub token: String,
    pub namespaces: Vec<String>,
}

impl Viewer {
    /// Returns the RoleBinding that lets them look into a namespace.
    pub fn binding(&self, namespace: &str) -> Value {
        let group = "rbac.authorization.k8s.io";
        let subject = |kind: &str, name: &str| json!({"apiGroup": group, "kind": kind, "name": name});
        let groups = self.groups.iter().map(|name| subject("Group", name));
        let subjects: Vec<Value> = std::iter::once(subject("User", &self.name)).chain(groups).collect();
        json!({
            "metadata": {"name": self.name, "namespace": namespace, "uid": format!("{namespace}-{}", self.name)},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "kubevirt.io:view"},
            "subjects": subjects,
        })
    }
}

/// A user, as reviews know them.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    pub name: &'static str,
    pub uid: &'static str,
    pub groups: &'static [&'static str],
    token: &'static str,
    sees: VisibleNamespaces,
}

/// What a user may list.
#[derive(Debug, PartialEq, Eq)]
enum VisibleNamespaces {
    All,
    /// The objects in these namespaces.
    Only(&'static [&'static str]),
}

static USERS: [User; 3] = [
    User {
        name: "admin",
        uid: "9a1e0000-0000-4000-8000-000000000001",
        groups: &["system:masters", "system:authenticated"],
        token: "admin-token",
        sees: VisibleNamespaces::All,
    },
    User {
        name: "ana.ruiz@example.com",
        uid: "9a1e0000-0000-4000-8000-000000000002",
        groups: &["payments-devs", "shop-ops", "system:authenticated"],
        token: "ana-token",
        sees: VisibleNamespaces::Only(&["payments", "shop"]),
    },
    // A name that a shell must not read.
    User {
        name: "noor.o'brien@example.com",
        uid: "9a1e0000-0000-4000-8000-000000000003",
        groups: &["interns", "system:authenticated"],
        token: "noor-token",
        sees: VisibleNamespaces::Only(&[]),
    },
];

/// Returns whose token this is. `ana-token-until-1800000000` is one of Ana's that ends at that second since 1970.
pub fn of_token(token: &str, now: Millis) -> Option<&'static User> {
    let (token, ends) = token.split_once("-until-").unwrap_or((token, "9999999999"));
    let is_valid = ends.parse::<Millis>().is_ok_and(|seconds| now < seconds * 1000);
    USERS.iter().find(|user| is_valid && user.token == token)
}

/// Returns whether the user of this name may list objects in a namespace, or in all if it is empty.
pub fn may_list(name: &str, namespace: &str) -> bool {
    USERS.iter().filter(|user| user.name == name).any(|user| match user.sees {
        VisibleNamespaces::All => true,
        VisibleNamespaces::Only(namespaces) => namespaces.contains(&namespace),
    })
}
