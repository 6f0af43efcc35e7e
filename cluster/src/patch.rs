//! Writes, each guarded by the identity that it is meant for, each with a typed outcome.
//!
//! They never retry and never replace whole objects (fields newer than our types would be lost). Facts: the API
//! conventions on preconditions; the API server answers 422 (immutable `metadata.uid`) to a patch whose UID is another
//! object's, and 409 to a delete whose precondition fails.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use thiserror::Error;

mod judge;

use judge::judge;

/// Longest wait for the answer to a write.
const ANSWER: Duration = Duration::from_secs(10);

/// When to send a write again that got no answer.
const AGAIN: Duration = Duration::from_secs(1);

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The answer's object is not read, so only its metadata is asked for.
const ACCEPT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written.
    Done,
    /// The object does not exist.
    Gone,
    /// Another object has the name (other UID), or it exists already (create).
    Conflict,
    /// Not now: overloaded, throttled, unreachable or in contention; the same write may be sent again after this time.
    /// After a lost answer it may have been done: every write here is safe to repeat.
    Retry(Duration),
}

/// The API server refused the write for good: sending the same again will not help.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{operation} {object}: refused with {code} {reason}: {message}")]
pub struct WriteError {
    /// What was tried.
    pub operation: &'static str,
    /// On what, for example `pod shop/web-7f`.
    pub object: String,
    /// HTTP status; 0 if no request could be made.
    pub code: u16,
    /// `Status.reason`.
    pub reason: String,
    /// `Status.message`.
    pub message: String,
}

/// The pod that a write is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodRef<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`: the guard.
    pub uid: &'a str,
}

impl PodRef<'_> {
    fn path(self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }

    fn words(self) -> String {
        format!("pod {}/{}", self.namespace, self.name)
    }
}

/// Result of a write.
pub type Written = Result<Outcome, WriteError>;

/// Strategic-merge patch of `status` of exactly this pod; `status` is the patch of the status alone.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_pod_status(client: &Client, pod: PodRef<'_>, status: &Value) -> Written {
    patch_pod_status_with(client, pod, status, None).await
}

/// As [`patch_pod_status`], with annotations of the pod in the same write (`null` removes one): the API server takes
/// metadata along with a status.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_pod_status_with(
    client: &Client,
    pod: PodRef<'_>,
    status: &Value,
    annotations: Option<&Value>,
) -> Written {
    let mut metadata = json!({"uid": pod.uid});
    if let (Some(annotations), Some(metadata)) = (annotations, metadata.as_object_mut()) {
        metadata.insert("annotations".to_owned(), annotations.clone());
    }
    let body = json!({"metadata": metadata, "status": status});
    let path = format!("{}/status", pod.path());
    send(client, Write::patch("patch status of", pod.words(), path, body)).await
}

/// Strategic-merge patch of exactly this pod's labels and annotations: `metadata` is an object with `labels` and/or
/// `annotations`.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_pod_metadata(client: &Client, pod: PodRef<'_>, metadata: &Value) -> Written {
    let mut metadata = metadata.clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("uid".to_owned(), json!(pod.uid));
    }
    send(client, Write::patch("patch", pod.words(), pod.path(), json!({"metadata": metadata}))).await
}

/// Removes exactly this pod at once (grace 0): only when nothing of it runs any more.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn delete_pod_now(client: &Client, pod: PodRef<'_>) -> Written {
    let body = delete_options(pod, Some(0));
    send(client, Write::new(Method::DELETE, "delete", pod.words(), pod.path(), body)).await
}

/// Evicts exactly this pod, gracefully and within its disruption budgets (`Retry` while they forbid it).
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn evict_pod(client: &Client, pod: PodRef<'_>) -> Written {
    evict(client, pod, delete_options(pod, None)).await
}

/// Asks whether exactly this pod could be evicted now (`Retry` while its disruption budgets forbid it); does nothing.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn may_evict_pod(client: &Client, pod: PodRef<'_>) -> Written {
    let mut options = delete_options(pod, None);
    if let Some(options) = options.as_object_mut() {
        options.insert("dryRun".to_owned(), json!(["All"]));
    }
    evict(client, pod, options).await
}

async fn evict(client: &Client, pod: PodRef<'_>, options: Value) -> Written {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": options,
    });
    let path = format!("{}/eviction", pod.path());
    send(client, Write::new(Method::POST, "evict", pod.words(), path, body)).await
}

fn delete_options(pod: PodRef<'_>, grace_seconds: Option<u32>) -> Value {
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": pod.uid}});
    if let (Some(grace), Some(options)) = (grace_seconds, options.as_object_mut()) {
        options.insert("gracePeriodSeconds".to_owned(), json!(grace));
    }
    options
}

/// Creates a node from a complete object; `Conflict` if it exists.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn create_node(client: &Client, node: &Value) -> Written {
    let name = node.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let words = format!("node {name}");
    send(client, Write::new(Method::POST, "create", words, "/api/v1/nodes".to_owned(), node.clone())).await
}

/// Strategic-merge patch of a node's metadata and spec. The list `spec.taints` is replaced as a whole.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_node(client: &Client, name: &str, patch: &Value) -> Written {
    send(
        client,
        Write::patch("patch", format!("node {name}"), format!("/api/v1/nodes/{name}"), patch.clone()),
    )
    .await
}

/// Strategic-merge patch of a node's status; `status` is the patch of the status alone.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_node_status(client: &Client, name: &str, status: &Value) -> Written {
    let path = format!("/api/v1/nodes/{name}/status");
    send(client, Write::patch("patch status of", format!("node {name}"), path, json!({"status": status})))
        .await
}

/// Deletes a node.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn delete_node(client: &Client, name: &str) -> Written {
    let path = format!("/api/v1/nodes/{name}");
    send(client, Write::new(Method::DELETE, "delete", format!("node {name}"), path, json!({}))).await
}

/// Sets one label of a namespace.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn label_namespace(client: &Client, name: &str, key: &str, value: &str) -> Written {
    let path = format!("/api/v1/namespaces/{name}");
    let body = json!({"metadata": {"labels": {key: value}}});
    send(client, Write::patch("label", format!("namespace {name}"), path, body)).await
}

/// One write request.
pub(crate) struct Write {
    method: Method,
    operation: &'static str,
    object: String,
    path: String,
    content_type: &'static str,
    body: Value,
}

impl Write {
    pub(crate) const fn new(
        method: Method,
        operation: &'static str,
        object: String,
        path: String,
        body: Value,
    ) -> Self {
        Self { method, operation, object, path, content_type: "application/json", body }
    }

    pub(crate) const fn patch(operation: &'static str, object: String, path: String, body: Value) -> Self {
        Self { method: Method::PATCH, operation, object, path, content_type: STRATEGIC, body }
    }

    /// A JSON merge patch.
    pub(crate) const fn merge(operation: &'static str, object: String, path: String, body: Value) -> Self {
        let content_type = "application/merge-patch+json";
        Self { method: Method::PATCH, operation, object, path, content_type, body }
    }

    /// A JSON patch: a list of operations.
    pub(crate) const fn json(operation: &'static str, object: String, path: String, body: Value) -> Self {
        let content_type = "application/json-patch+json";
        Self { method: Method::PATCH, operation, object, path, content_type, body }
    }

    /// What an answer means, for writes that read most answers themselves.
    pub(crate) fn judged(&self, code: u16, body: &[u8]) -> Written {
        judge(code, body, self.method == Method::POST)
            .map_err(|why| self.refused(code, &why.reason, &why.message))
    }

    fn refused(&self, code: u16, reason: &str, message: &str) -> WriteError {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        WriteError { operation: self.operation, object: self.object.clone(), code, reason, message }
    }
}

/// What came back for a write.
pub(crate) enum Answer {
    /// An answer, whatever it says.
    Got {
        /// HTTP status.
        code: u16,
        /// The body.
        body: bytes::Bytes,
    },
    /// None; the write may have been done, and may be sent again after this time.
    None(Duration),
}

/// Sends a write and judges the answer.
pub(crate) async fn send(client: &Client, write: Write) -> Written {
    match exchange_write(client, &write).await? {
        Answer::Got { code, body } => write.judged(code, &body),
        Answer::None(after) => Ok(Outcome::Retry(after)),
    }
}

/// Sends a write, without judging the answer.
pub(crate) async fn exchange_write(client: &Client, write: &Write) -> Result<Answer, WriteError> {
    let request = Request::builder()
        .method(write.method.clone())
        .uri(&write.path)
        .header("content-type", write.content_type)
        .header("accept", ACCEPT)
        .body(Body::from(write.body.to_string().into_bytes()));
    let request = request.map_err(|error| write.refused(0, "BadRequest", &error.to_string()))?;
    Ok(match tokio::time::timeout(ANSWER, exchange(client, request)).await {
        Ok(Ok((status, body))) => Answer::Got { code: status.as_u16(), body },
        Ok(Err(error)) => {
            tracing::debug!(operation = write.operation, object = write.object, %error, "a write got no answer");
            Answer::None(AGAIN)
        }
        Err(_) => Answer::None(AGAIN),
    })
}

/// Reads the answer completely, so that the connection can be used again.
async fn exchange(
    client: &Client,
    request: Request<Body>,
) -> Result<(StatusCode, bytes::Bytes), kube::Error> {
    let response = client.send(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

#[cfg(test)]
mod tests;
