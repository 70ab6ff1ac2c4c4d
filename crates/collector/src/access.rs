//! Asks Kubernetes who presents a token, and what a user may list. The API server answers reviews and keeps none
//! of them.

mod record;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{
        LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
    },
};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    client::Cluster,
    clock,
    error::{Access, Failure, FollowError, Stage},
    poll::BoundedClient,
};
use model::{hidden::escape_hidden, vm::Kind};
use record::ReviewKind;
use wukong_core::{
    access::{Decision, Question, Review, ReviewedResource, UserInfo},
    observation::SourceError,
};

pub use record::ReviewRecord;

/// The audience of tokens that are made for the dashboard.
pub const AUDIENCE: &str = "wukong-dashboard";
/// Longest token that is sent to the API server, in bytes: its own limit for a request's head is 1 MiB, and
/// tokens have some kB.
pub const LONGEST_TOKEN: usize = 16 << 10;
/// The attribute that names the single token (Kubernetes, KEP-4193). No right depends on it, and with it each token
/// of a user would be a user of its own, with reviews of its own.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of the largest answer: a user of many groups.
const LARGEST_ANSWER: usize = 256 << 10;

/// Asks the API server of one cluster, as the program itself.
#[derive(Clone)]
pub struct Reviewer {
    client: BoundedClient,
    /// Whether only some namespaces are served, in which access can be reviewed in these alone.
    namespaced: bool,
    record: ReviewRecord,
}

/// Why nobody is known for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The API server does not know the token, or not any more.
    Rejected,
    /// The API server did not say.
    Unanswered(SourceError),
}

impl Reviewer {
    pub fn new(cluster: &Cluster, namespaced: bool) -> Self {
        let client = BoundedClient {
            client: cluster.client.clone(),
            deadline: DEADLINE,
            limit: LARGEST_ANSWER,
            budget: cluster.budgets.reviews.clone(),
        };
        Self { client, namespaced, record: ReviewRecord::default() }
    }

    /// Returns the record of its reviews.
    pub fn record(&self) -> ReviewRecord {
        self.record.clone()
    }

    /// Returns whose token this is: made for the dashboard, or for the API server.
    pub async fn review_token(&self, token: &str) -> Result<UserInfo, TokenError> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::Rejected);
        }
        match self.review_audience(token, Some(AUDIENCE)).await {
            Err(TokenError::Rejected) => self.review_audience(token, None).await,
            answer => answer,
        }
    }

    async fn review_audience(&self, token: &str, audience: Option<&str>) -> Result<UserInfo, TokenError> {
        let spec = TokenReviewSpec {
            token: token.to_owned(),
            audiences: audience.map(|audience| vec![audience.to_owned()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let access = Access { resource: "tokenreviews.authentication.k8s.io".into(), namespace: None };
        let answer: Result<TokenReview, _> = self.create(ReviewKind::Token, path, access, &review).await;
        let answer = answer.map_err(TokenError::Unanswered)?;
        let status = answer.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).ok_or(TokenError::Rejected)?;
        // An API server that knows no audiences leaves them out: the token is then for the API server itself.
        let audiences = status.audiences.unwrap_or_default();
        if audience.is_some_and(|wanted| !audiences.is_empty() && audiences.iter().all(|of| of != wanted)) {
            return Err(TokenError::Rejected);
        }
        let name = user.username.filter(|name| !name.is_empty()).ok_or(TokenError::Rejected)?;
        Ok(UserInfo {
            name,
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user
                .extra
                .unwrap_or_default()
                .into_iter()
                .filter(|(key, _)| key != CREDENTIAL_ID)
                .collect(),
        })
    }

    /// Asks whether a user may list something.
    pub async fn review_access(&self, review: &Review) -> Decision {
        let Review { user, question: Question { namespace, resource } } = review;
        // The program may review access only in the namespaces that it serves.
        if self.namespaced && namespace.is_none() {
            return Decision::Denied;
        }
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()).filter(|extra: &BTreeMap<_, _>| !extra.is_empty()),
            resource_attributes: Some(attributes(*resource, namespace.as_deref())),
            non_resource_attributes: None,
        };
        let allowed = match namespace.as_deref().filter(|_| self.namespaced) {
            Some(namespace) => {
                let path =
                    format!("/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews");
                let mut review = LocalSubjectAccessReview { spec, ..LocalSubjectAccessReview::default() };
                review.metadata.namespace = Some(namespace.to_owned());
                let access = Access {
                    resource: "localsubjectaccessreviews.authorization.k8s.io".into(),
                    namespace: Some(namespace.to_owned()),
                };
                let answer: Result<LocalSubjectAccessReview, _> =
                    self.create(ReviewKind::Rights, &path, access, &review).await;
                answer.map(|answer| answer.status)
            }
            None => {
                let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
                let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
                let access =
                    Access { resource: "subjectaccessreviews.authorization.k8s.io".into(), namespace: None };
                let answer: Result<SubjectAccessReview, _> =
                    self.create(ReviewKind::Rights, path, access, &review).await;
                answer.map(|answer| answer.status)
            }
        };
        match allowed.map(Option::unwrap_or_default) {
            Ok(status) if status.allowed && status.denied != Some(true) => Decision::Allowed,
            Ok(_) => Decision::Denied,
            Err(error) => {
                tracing::debug!(
                    ?error,
                    user = &*escape_hidden(&user.name),
                    "an access review was not answered"
                );
                Decision::Failed
            }
        }
    }

    /// Sends a review, and records how it was answered.
    async fn create<T>(
        &self,
        about: ReviewKind,
        path: &str,
        access: Access,
        review: &T,
    ) -> Result<T, SourceError>
    where
        T: Serialize + serde::de::DeserializeOwned + Send + 'static,
    {
        let begun = Instant::now();
        let answer = match serde_json::to_vec(review) {
            Ok(body) => self.client.create(path, body, |bytes| serde_json::from_slice(bytes).ok()).await,
            Err(_) => Err(Failure::Undecodable),
        };
        let answer =
            answer.map_err(|failure| access.follow_error(&FollowError { stage: Stage::Create, failure }));
        self.record.add(about, answer.as_ref().map(|_| begun.elapsed()), clock::steady());
        answer
    }
}

/// What `kubectl get` of the rows' own kind needs.
fn attributes(resource: ReviewedResource, namespace: Option<&str>) -> ResourceAttributes {
    let (group, resource) = match resource {
        ReviewedResource::Rows(Kind::Wukong) => ("vm.novasphere.dev", "wukongs"),
        ReviewedResource::Rows(Kind::VirtualMachine) => ("kubevirt.io", "virtualmachines"),
        ReviewedResource::Rows(Kind::VirtualMachineInstance) => ("kubevirt.io", "virtualmachineinstances"),
        ReviewedResource::Nodes => ("", "nodes"),
        ReviewedResource::Events => ("", "events"),
    };
    ResourceAttributes {
        verb: Some("list".into()),
        group: Some(group.into()),
        resource: Some(resource.into()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    }
}
