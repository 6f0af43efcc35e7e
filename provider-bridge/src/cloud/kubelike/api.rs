//! The calls on a Kubernetes-style cloud's objects that a provider is made of, each one request (or one complete list).
//!
//! Knows paths, selectors and decoding; decides nothing.

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cloud::Instance;

use super::call::{Call, Limit};
use super::claims::{Removals, Uses};
use super::client::Client;
use super::names;
use super::operation::{Operation, Verb};
use super::refusal::Refusal;
use super::wire::{CloudPod, Page};

/// Objects per page of a list.
pub(super) const PAGE: &str = "500";
/// The API of what pods use, the same wherever it is.
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
/// How often a list is begun again when its position expired.
const LIST_ATTEMPTS: usize = 3;

/// How one cloud of this kind differs from the others.
#[derive(Clone, Copy, Debug)]
pub(in crate::cloud) struct Dialect {
    /// Its name in messages.
    pub(in crate::cloud) cloud: &'static str,
    /// Where people look after their objects: `in the CCI console`.
    pub(in crate::cloud) console: &'static str,
    /// Logs can be asked for from a moment on (`sinceTime`).
    pub(in crate::cloud) since_time: bool,
    /// Path before `namespaces`, by group and version of its pods.
    pub(in crate::cloud) root: &'static str,
    /// What to do where it has no `metrics.k8s.io`.
    pub(in crate::cloud) no_usage: &'static str,
    /// How claims that instances share are taken away; none where there are none.
    pub(in crate::cloud) claims: Option<Removals>,
}

/// Which objects of a cloud are ours.
#[derive(Clone, Debug)]
pub(in crate::cloud) struct Scope {
    /// UID of the cluster's kube-system namespace.
    pub(in crate::cloud) cluster_id: String,
    /// The virtual nodes whose instances are served.
    pub(in crate::cloud) node_names: Vec<String>,
    /// The namespace that holds every instance; `None` if there are several.
    pub(in crate::cloud) namespace: Option<String>,
    pub(in crate::cloud) dialect: Dialect,
}

/// The API of one cloud, within a scope.
#[derive(Debug)]
pub(in crate::cloud) struct Api {
    pub(in crate::cloud) client: Client,
    pub(in crate::cloud) scope: Scope,
    selector: String,
    /// Claims that are being made or removed.
    pub(super) claims: Uses,
}

/// Where an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloud) struct Place<'a> {
    pub(in crate::cloud) namespace: &'a str,
    pub(in crate::cloud) name: &'a str,
    /// The UID that the cloud gave it, where known.
    pub(in crate::cloud) uid: Option<&'a str>,
}

impl Api {
    pub(in crate::cloud) fn new(client: Client, scope: Scope) -> Self {
        let selector = names::selector(&scope.cluster_id, &scope.node_names);
        Self { client, scope, selector, claims: Uses::default() }
    }

    /// A call in this cloud's words.
    pub(in crate::cloud) fn operation(&self, verb: Verb, object: impl Into<String>) -> Operation {
        Operation::new(self.scope.dialect.cloud, verb, object)
    }

    /// Path of a collection in a namespace.
    pub(in crate::cloud) fn collection(&self, namespace: &str, plural: &str) -> String {
        format!("{}/namespaces/{namespace}/{plural}", self.scope.dialect.root)
    }

    /// Path of a collection over everything in scope.
    pub(super) fn everywhere(&self, plural: &str) -> String {
        match &self.scope.namespace {
            Some(namespace) => self.collection(namespace, plural),
            None => format!("{}/{plural}", self.scope.dialect.root),
        }
    }

    /// Path of a pod, or of one of its subresources.
    pub(in crate::cloud) fn pod_path(&self, place: Place<'_>, subresource: &str) -> String {
        format!("{}/{}{subresource}", self.collection(place.namespace, "pods"), place.name)
    }

    /// Where an instance is, from its id.
    pub(in crate::cloud) fn place<'a>(&'a self, id: &'a str) -> Place<'a> {
        let (namespace, rest) = match &self.scope.namespace {
            Some(namespace) => (namespace.as_str(), id),
            None => id.split_once('/').unwrap_or_default(),
        };
        let (name, uid) = names::parse_id(rest);
        Place { namespace, name, uid }
    }

    /// How a pod is named in messages.
    fn shown(&self, place: Place<'_>) -> String {
        match &self.scope.namespace {
            Some(_) => place.name.to_owned(),
            None => format!("{}/{}", place.namespace, place.name),
        }
    }

    /// A call on one pod, in this cloud's words.
    pub(in crate::cloud) fn on_pod(&self, verb: Verb, place: Place<'_>) -> Operation {
        self.operation(verb, self.shown(place))
    }

    /// A call on everything in scope, in this cloud's words.
    pub(in crate::cloud) fn on_all(&self, verb: Verb) -> Operation {
        self.operation(verb, self.scope.namespace.as_deref().unwrap_or("*"))
    }

    /// A pod in domain words.
    pub(in crate::cloud) fn instance(&self, pod: CloudPod) -> Instance {
        let meta = &pod.metadata;
        let id = match &self.scope.namespace {
            Some(_) => names::id(&meta.name, &meta.uid),
            None => format!("{}/{}", meta.namespace, names::id(&meta.name, &meta.uid)),
        };
        pod.into_instance(id)
    }

    pub(in crate::cloud) async fn create_pod(
        &self,
        place: Place<'_>,
        pod: &Value,
    ) -> Result<CloudPod, Refusal> {
        let operation = self.on_pod(Verb::CreatePod, place);
        let path = self.collection(place.namespace, "pods");
        self.client.json(&Call::new(operation, Method::POST, path).json(pod)).await
    }

    pub(in crate::cloud) async fn read_pod(&self, place: Place<'_>) -> Result<CloudPod, Refusal> {
        let operation = self.on_pod(Verb::ReadPod, place);
        self.client.json(&Call::new(operation, Method::GET, self.pod_path(place, ""))).await
    }

    /// Deletes a pod; where the UID is known, only that incarnation.
    pub(in crate::cloud) async fn delete_pod(
        &self,
        place: Place<'_>,
        grace_seconds: u32,
    ) -> Result<(), Refusal> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_seconds});
        if let Some(uid) = place.uid {
            options["preconditions"] = json!({"uid": uid});
        }
        let operation = self.on_pod(Verb::DeletePod, place);
        let call = Call::new(operation, Method::DELETE, self.pod_path(place, ""))
            .query([("gracePeriodSeconds", grace_seconds.to_string())])
            .json(&options);
        self.client.accept(&call).await
    }

    /// Every pod with our tags and the position from which to watch.
    pub(in crate::cloud) async fn list_pods(&self) -> Result<(Vec<CloudPod>, String), Refusal> {
        let operation = self.on_all(Verb::ListPods);
        let (mut pods, position) = self.list::<CloudPod>(&operation, "pods").await?;
        pods.retain(|pod| self.is_ours(pod));
        Ok((pods, position))
    }

    /// Whether a pod is one of our instances, on one of our nodes.
    pub(in crate::cloud) fn is_ours(&self, pod: &CloudPod) -> bool {
        pod.is_ours(&self.scope.cluster_id, &self.scope.node_names)
    }

    /// A complete list of what is tagged as ours, page by page, or an error: never a part.
    pub(in crate::cloud) async fn list<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        plural: &str,
    ) -> Result<(Vec<T>, String), Refusal> {
        let mut last = Refusal::Unknown(format!("{operation}: the list expired again and again"));
        for _ in 0..LIST_ATTEMPTS {
            match self.list_once(operation, &self.everywhere(plural), Some(&self.selector)).await {
                Err(expired @ Refusal::Expired(_)) => last = expired,
                done => return done,
            }
        }
        Err(last)
    }

    /// What all pods with our tags use: one list.
    pub(super) async fn pod_metrics<T: DeserializeOwned>(&self) -> Result<Vec<T>, Refusal> {
        let path = match &self.scope.namespace {
            Some(namespace) => format!("{METRICS}/namespaces/{namespace}/pods"),
            None => format!("{METRICS}/pods"),
        };
        let call = Call::new(self.on_all(Verb::ReadUsage), Method::GET, path)
            .query([("labelSelector", self.selector.clone())]);
        let page: Page<T> = self.client.json(&call).await?;
        Ok(page.items)
    }

    /// A complete list of everything in a namespace, whosever it is, or an error.
    pub(super) async fn list_all<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        namespace: &str,
        plural: &str,
    ) -> Result<Vec<T>, Refusal> {
        let path = self.collection(namespace, plural);
        self.list_once(operation, &path, None).await.map(|(items, _)| items)
    }

    async fn list_once<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        path: &str,
        selector: Option<&str>,
    ) -> Result<(Vec<T>, String), Refusal> {
        let (mut items, mut position) = (Vec::new(), None::<String>);
        let mut token = None::<String>;
        loop {
            let call = Call::new(operation.clone(), Method::GET, path.to_owned())
                .query(selector.map(|selector| ("labelSelector", selector.to_owned())))
                .query([("limit", PAGE.to_owned())])
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
    pub(in crate::cloud) async fn watch_pods(
        &self,
        position: &str,
        timeout_seconds: u64,
    ) -> Result<reqwest::Response, Refusal> {
        let call = Call::new(self.on_all(Verb::WatchPods), Method::GET, self.everywhere("pods"))
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
