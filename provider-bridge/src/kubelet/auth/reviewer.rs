//! Who answers "whose token is this" and "may they": the API server, by TokenReview and SubjectAccessReview.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::Access;

/// Who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// User name.
    pub name: String,
    /// UID, when the authenticator knows one.
    pub uid: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// More that authorisers may look at.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The API server could not be asked. The text holds no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReviewError(
    /// What failed.
    pub String,
);

/// Authentication and authorisation by somebody else.
#[async_trait]
pub trait Reviewer: Send + Sync + 'static {
    /// Whose token it is; `None` when nobody's.
    async fn review_token(&self, token: &str) -> Result<Option<User>, ReviewError>;

    /// May `user` have this access to the Node `node`?
    async fn review_access(&self, user: &User, node: &str, access: Access) -> Result<bool, ReviewError>;
}

/// Asks the cluster.
#[derive(Clone)]
pub struct KubeReviewer {
    client: kube::Client,
}

impl KubeReviewer {
    /// The client needs `create` on tokenreviews and subjectaccessreviews (ClusterRole `system:auth-delegator`).
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Reviewer for KubeReviewer {
    async fn review_token(&self, token: &str) -> Result<Option<User>, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() },
            ..TokenReview::default()
        };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| failed("TokenReview", &error))?.status.unwrap_or_default();
        if !status.authenticated.unwrap_or_default() {
            return Ok(None);
        }
        let user = status.user.unwrap_or_default();
        Ok(user.username.map(|name| User {
            name,
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }

    async fn review_access(&self, user: &User, node: &str, access: Access) -> Result<bool, ReviewError> {
        let review =
            SubjectAccessReview { spec: question(user, node, access), ..SubjectAccessReview::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let status =
            answer.map_err(|error| failed("SubjectAccessReview", &error))?.status.unwrap_or_default();
        Ok(status.allowed && !status.denied.unwrap_or_default())
    }
}

fn question(user: &User, node: &str, access: Access) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: user.uid.clone(),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone()),
        resource_attributes: Some(ResourceAttributes {
            verb: Some(access.verb.to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: Some(access.subresource.to_owned()),
            name: Some(node.to_owned()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

fn failed(what: &str, error: &kube::Error) -> ReviewError {
    ReviewError(format!("{what} failed: {error}; the bridge needs the ClusterRole system:auth-delegator"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_the_node_and_the_subresource() {
        let user =
            User { name: "ann".into(), uid: Some("7".into()), groups: vec!["ops".into()], ..User::default() };
        let spec = serde_json::to_value(question(&user, "vn-1", Access { verb: "get", subresource: "pods" }))
            .unwrap();
        let expected = serde_json::json!({
            "user": "ann", "uid": "7", "groups": ["ops"], "extra": {},
            "resourceAttributes": {
                "verb": "get", "version": "v1", "resource": "nodes", "subresource": "pods", "name": "vn-1",
            },
        });
        assert_eq!(spec, expected);
    }
}
