//! The calls on CCI's objects that the provider is made of, each one request (or one complete list).
//!
//! Knows paths, selectors and decoding; decides nothing.

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cloud::CloudError;

use super::classify::Refusal;
use super::client::{Call, Client, Limit};
use super::names;
use super::operation::{Operation, Verb};
use super::settings::CciSettings;
use super::wire::{CloudPod, Page};

/// Objects per page of a list.
const PAGE: &str = "500";
/// How often a list is begun again when its position expired.
const LIST_ATTEMPTS: usize = 3;

/// The API of one CCI namespace.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) settings: CciSettings,
    pub(super) namespace: String,
    selector: String,
}

impl Api {
    pub(super) fn new(settings: CciSettings) -> Result<Self, CloudError> {
        Ok(Self {
            client: Client::new(&settings)?,
            namespace: names::namespace(&settings.cluster_id),
            selector: names::selector(&settings.cluster_id, &settings.node_names),
            settings,
        })
    }

    /// Path of a collection in the namespace.
    pub(super) fn collection(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// Path of a pod, or of one of its subresources.
    pub(super) fn pod_path(&self, name: &str, subresource: &str) -> String {
        format!("{}/{name}{subresource}", self.collection("pods"))
    }

    pub(super) async fn create_pod(&self, name: &str, pod: &Value) -> Result<CloudPod, Refusal> {
        let operation = Operation::new(Verb::CreatePod, name);
        self.client.json(&Call::new(operation, Method::POST, self.collection("pods")).json(pod)).await
    }

    pub(super) async fn read_pod(&self, name: &str) -> Result<CloudPod, Refusal> {
        let operation = Operation::new(Verb::ReadPod, name);
        self.client.json(&Call::new(operation, Method::GET, self.pod_path(name, ""))).await
    }

    /// Deletes a pod; with `uid`, only that incarnation.
    pub(super) async fn delete_pod(
        &self,
        name: &str,
        uid: Option<&str>,
        grace_seconds: u32,
    ) -> Result<(), Refusal> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_seconds});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        let operation = Operation::new(Verb::DeletePod, name);
        let call = Call::new(operation, Method::DELETE, self.pod_path(name, ""))
            .query([("gracePeriodSeconds", grace_seconds.to_string())])
            .json(&options);
        self.client.accept(&call).await
    }

    /// Every pod with our tags and the position from which to watch.
    pub(super) async fn list_pods(&self) -> Result<(Vec<CloudPod>, String), Refusal> {
        let operation = Operation::new(Verb::ListPods, &self.namespace);
        let (mut pods, position) = self.list::<CloudPod>(&operation, &self.collection("pods")).await?;
        pods.retain(|pod| self.is_ours(pod));
        Ok((pods, position))
    }

    /// Whether a pod is one of our instances, on one of our nodes.
    pub(super) fn is_ours(&self, pod: &CloudPod) -> bool {
        pod.is_ours(&self.settings.cluster_id, &self.settings.node_names)
    }

    /// A complete list, page by page, or an error: never a part.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        path: &str,
    ) -> Result<(Vec<T>, String), Refusal> {
        let mut last = Refusal::Unknown(format!("{operation}: the list expired again and again"));
        for _ in 0..LIST_ATTEMPTS {
            match self.list_once(operation, path).await {
                Err(expired @ Refusal::Expired(_)) => last = expired,
                done => return done,
            }
        }
        Err(last)
    }

    async fn list_once<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        path: &str,
    ) -> Result<(Vec<T>, String), Refusal> {
        let (mut items, mut position) = (Vec::new(), None::<String>);
        let mut token = None::<String>;
        loop {
            let call = Call::new(operation.clone(), Method::GET, path.to_owned())
                .query([("labelSelector", self.selector.clone()), ("limit", PAGE.to_owned())])
                .query(token.take().map(|token| ("continue", token)));
            let page: Page<T> = self.client.json(&call).await?;
            items.extend(page.items);
            position.get_or_insert(page.metadata.resource_version);
            match page.metadata.continue_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok((items, position.unwrap_or_default())),
            }
        }
    }

    /// Opens a watch from a position; the answer is a stream of lines.
    pub(super) async fn watch_pods(
        &self,
        position: &str,
        timeout_seconds: u64,
    ) -> Result<reqwest::Response, Refusal> {
        let call =
            Call::new(Operation::new(Verb::WatchPods, &self.namespace), Method::GET, self.collection("pods"))
                .query([
                    ("labelSelector", self.selector.clone()),
                    ("watch", "1".to_owned()),
                    ("resourceVersion", position.to_owned()),
                    ("allowWatchBookmarks", "true".to_owned()),
                    ("timeoutSeconds", timeout_seconds.to_string()),
                ])
                .limit(Limit::Beginning);
        self.client.send(&call).await
    }
}
