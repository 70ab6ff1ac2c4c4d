//! Whose certificates are accepted: those that KubeVirt's own authority has signed, which its ConfigMap
//! `kubevirt-ca` holds, or that of a file.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{
    client::{Cluster, virt_handlers},
    config::{CollectConfig, VirtHandlerConfig},
    error::{Access, Failure, FollowError, Stage, source_error},
    k8s::lenient::Obj,
    poll::BoundedClient,
};
use i18n::{key, msg};
use model::{message::Message, reason::Reason};
use wukong_core::observation::SourceError;

/// The name of KubeVirt's ConfigMap.
const CONFIG_MAP: &str = "kubevirt-ca";
/// Bytes of the largest ConfigMap that is read: KubeVirt keeps up to 50 certificates in it.
const LARGEST: usize = 256 << 10;

/// How the certificates of one installation are verified.
pub struct Trust {
    client: BoundedClient,
    namespace: String,
    ca: Option<PathBuf>,
    insecure_tls: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigMap {
    data: Obj<Data>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(rename = "ca-bundle")]
    ca_bundle: String,
}

impl Trust {
    pub fn new(
        cluster: &Cluster,
        config: &CollectConfig,
        virt_handler: &VirtHandlerConfig,
        namespace: &str,
    ) -> Self {
        let client = BoundedClient {
            client: cluster.client.clone(),
            deadline: config.metrics_deadline,
            limit: LARGEST,
            budget: cluster.budgets.objects.clone(),
        };
        let VirtHandlerConfig { ca, insecure_tls, .. } = virt_handler.clone();
        Self { client, namespace: namespace.to_owned(), ca, insecure_tls }
    }

    /// Reads the authority, and returns a client that trusts it.
    pub async fn load(&self) -> Result<kube::Client, SourceError> {
        let (authorities, place) = match (&self.ca, self.insecure_tls) {
            (_, true) => (None, Message::default()),
            (Some(path), false) => (Some(read(path).await?), key!(collect.handler_ca_file).into()),
            (None, false) => {
                let place = msg!(collect.handler_ca, name = CONFIG_MAP, namespace = self.namespace.as_str());
                (Some(self.bundle().await?.into_bytes()), place)
            }
        };
        virt_handlers(&self.namespace, authorities.as_deref()).map_err(|why| {
            tracing::debug!(why, "the authority of virt-handlers cannot be used");
            source_error(Reason::BadAnswer, msg!(collect.no_certificates, file = place))
        })
    }

    async fn bundle(&self) -> Result<String, SourceError> {
        let path = format!("/api/v1/namespaces/{}/configmaps/{CONFIG_MAP}", self.namespace);
        let decode = |answer: &[u8]| Some(serde_json::from_slice::<ConfigMap>(answer).ok()?.data.0.ca_bundle);
        match self.client.ask(&path, decode).await {
            // An object that does not exist holds no certificates.
            Err(failure) if failure.is_status(404) => Ok(String::new()),
            answer => answer.map_err(|failure| self.describe(failure)),
        }
    }

    fn describe(&self, failure: Failure) -> SourceError {
        let access =
            Access { resource: format!("configmaps/{CONFIG_MAP}"), namespace: Some(self.namespace.clone()) };
        access.follow_error(&FollowError { stage: Stage::Get, failure })
    }
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, SourceError> {
    tokio::fs::read(path).await.map_err(|error| {
        tracing::debug!(path = %path.display(), %error, "cannot read a file");
        let detail =
            msg!(collect.unreadable, file = key!(collect.handler_ca_file), why = error.kind().to_string());
        source_error(Reason::Forbidden, detail)
    })
}
