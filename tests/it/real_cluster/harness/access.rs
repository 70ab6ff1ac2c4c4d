//! Service accounts of the program from the project's manifests, one for each test that needs one.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{api::Api, control_plane::ControlPlane};
use crate::deploy;

/// The name in the manifest of namespace, service account, roles and bindings.
const SHIPPED: &str = "wukong-dashboard";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

/// A service account with the permissions of a tier of deploy/, under a name of its own, so that tests do not share it.
pub struct Access {
    api: Api,
    name: String,
    /// The ClusterRoles as shipped.
    roles: Vec<Value>,
    pub token: String,
    pub kubeconfig: PathBuf,
}

impl Access {
    /// The tier that does not depend on the kubelets' certificates.
    pub async fn install(plane: &ControlPlane, test: &str) -> Self {
        Self::of_tier(plane, test, "nodes-proxy", &[]).await
    }

    /// Applies the tier's permissions and asks the TokenRequest API for a token. Roles are made in each of `namespaces`.
    pub async fn of_tier(plane: &ControlPlane, test: &str, tier: &str, namespaces: &[&str]) -> Self {
        let name = format!("{SHIPPED}-{test}");
        let api = plane.api.clone();
        let objects: Vec<Value> = deploy::objects(tier).iter().map(|object| renamed(object, &name)).collect();
        for object in objects.iter().filter(|object| ["Namespace", "ServiceAccount"].contains(&kind(object)))
        {
            api.create(object).await;
        }
        for object in objects.iter().filter(|object| object["apiVersion"] == RBAC) {
            match object["metadata"]["namespace"].is_string() {
                true => copies(&api, object, namespaces).await,
                false => drop(api.create(object).await),
            }
        }
        let token = token(&api, &name).await;
        let kubeconfig = plane.kubeconfig(&name, &token);
        let roles = objects.into_iter().filter(|object| kind(object) == "ClusterRole").collect();
        Self { api, name, roles, token, kubeconfig }
    }

    /// Its user name in the audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{0}:{0}", self.name)
    }

    /// A token that is good for as long as the Secret of this name is there, which [`Self::end_token`] removes.
    pub async fn token_until(&self, secret: &str) -> String {
        let name = &self.name;
        let object =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": name}});
        let uid = self.api.create(&object).await["metadata"]["uid"].clone();
        let bound = json!({"kind": "Secret", "apiVersion": "v1", "name": secret, "uid": uid});
        let spec = json!({"expirationSeconds": 3600, "boundObjectRef": bound});
        request(&self.api, name, &spec).await
    }

    pub async fn end_token(&self, secret: &str) {
        self.api.delete(&format!("/api/v1/namespaces/{0}/secrets/{secret}", self.name)).await;
    }

    pub async fn another_token(&self) -> String {
        token(&self.api, &self.name).await
    }

    /// Revokes the permission for a resource (`*`: for the whole group). Panics if it was not granted.
    pub async fn revoke(&self, group: &str, resource: &str) {
        let mut found = false;
        for role in &self.roles {
            let rules = role["rules"].as_array().unwrap();
            let left: Vec<Value> = rules.iter().filter_map(|rule| without(rule, group, resource)).collect();
            found |= left != *rules;
            self.put(role, &left).await;
        }
        assert!(found, "this tier does not grant {resource} of {group:?}");
    }

    /// Grants again what was revoked.
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

fn renamed(object: &Value, name: &str) -> Value {
    serde_json::from_str(&object.to_string().replace(SHIPPED, name)).expect("the same JSON")
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

async fn copies(api: &Api, object: &Value, namespaces: &[&str]) {
    for namespace in namespaces {
        let mut copy = object.clone();
        copy["metadata"]["namespace"] = json!(namespace);
        api.create(&copy).await;
    }
}

/// A token of the service account that has its namespace's name.
async fn token(api: &Api, name: &str) -> String {
    request(api, name, &json!({"expirationSeconds": 3600})).await
}

async fn request(api: &Api, name: &str, spec: &Value) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("/api/v1/namespaces/{name}/serviceaccounts/{name}/token");
    api.post(&path, &request).await["status"]["token"].as_str().expect("a token").to_owned()
}

/// Returns the rule without a resource; `None` if nothing is left of it.
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
