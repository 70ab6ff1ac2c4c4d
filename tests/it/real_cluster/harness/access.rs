//! The program's service account with the project's own manifest, as often as there are tests that want one.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    api::{Api, documents},
    control_plane::ControlPlane,
};

/// The name in the manifest of namespace, service account, roles and bindings.
const SHIPPED: &str = "wukong-dashboard";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

/// deploy/rbac.yaml under a name of its own, so that one test's permissions are nobody else's.
pub struct Access {
    api: Api,
    name: String,
    /// The ClusterRoles as shipped.
    roles: Vec<Value>,
    pub token: String,
    pub kubeconfig: PathBuf,
}

impl Access {
    /// Applies the manifest and asks the TokenRequest API for a token.
    pub async fn install(plane: &ControlPlane, test: &str) -> Self {
        let name = format!("{SHIPPED}-{test}");
        let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/rbac.yaml"));
        let manifest = manifest.expect("deploy/rbac.yaml").replace(SHIPPED, &name);
        let api = plane.api.clone();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.create(&namespace).await;
        let objects = documents(&manifest);
        for object in &objects {
            api.create(object).await;
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600}});
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts/{name}/token");
        let token = api.post(&path, &request).await["status"]["token"].as_str().unwrap().to_owned();
        let kubeconfig = plane.kubeconfig(&name, &token);
        let roles = objects.into_iter().filter(|object| object["kind"] == "ClusterRole").collect();
        Self { api, name, roles, token, kubeconfig }
    }

    /// Its user name in the audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{0}:{0}", self.name)
    }

    /// Takes the permission for a resource away (`*`: for the whole group). Panics if it was not granted.
    pub async fn revoke(&self, group: &str, resource: &str) {
        let mut found = false;
        for role in &self.roles {
            let rules = role["rules"].as_array().unwrap();
            let left: Vec<Value> = rules.iter().filter_map(|rule| without(rule, group, resource)).collect();
            found |= left != *rules;
            self.put(role, &left).await;
        }
        assert!(found, "deploy/rbac.yaml does not grant {resource} of {group:?}");
    }

    /// Gives back whatever was taken.
    pub async fn restore(&self) {
        for role in &self.roles {
            self.put(role, role["rules"].as_array().unwrap()).await;
        }
    }

    async fn put(&self, role: &Value, rules: &[Value]) {
        let path = format!("{ROLES}/{}", role["metadata"]["name"].as_str().unwrap());
        self.api.patch(&path, &json!({"rules": rules})).await;
    }
}

/// The rule without a resource; none where nothing is left of it.
fn without(rule: &Value, group: &str, resource: &str) -> Option<Value> {
    if rule["apiGroups"] != json!([group]) {
        return Some(rule.clone());
    }
    let resources = rule["resources"].as_array().unwrap();
    let kept: Vec<&Value> = resources.iter().filter(|r| resource != "*" && **r != resource).collect();
    let mut rule = rule.clone();
    rule["resources"] = json!(kept);
    (!kept.is_empty()).then_some(rule)
}
