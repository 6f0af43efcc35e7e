//! Writes, each guarded by the identity that it is meant for, each with a typed outcome.
//!
//! They never retry and never replace whole objects (fields newer than our types would be lost). Facts: the API
//! conventions on preconditions; a patch that carries `metadata.uid` is refused with 409 when another object has the name.

use std::time::Duration;

use kube::Client;
use serde_json::Value;
use thiserror::Error;

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
    Retry(Duration),
}

/// The API server refused the write for good: sending the same again will not help.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{operation} {object}: refused with {code} {reason}: {message}")]
pub struct WriteError {
    /// What was tried.
    pub operation: &'static str,
    /// On what, as `kind namespace/name`.
    pub object: String,
    /// HTTP status.
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

/// Result of a write.
pub type Written = Result<Outcome, WriteError>;

/// Strategic-merge patch of `status` of exactly this pod; `status` is the patch of the status alone.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_pod_status(client: &Client, pod: PodRef<'_>, status: &Value) -> Written {
    todo!()
}

/// Strategic-merge patch of exactly this pod's metadata (annotations, labels); `metadata` must not name a UID.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_pod_metadata(client: &Client, pod: PodRef<'_>, metadata: &Value) -> Written {
    todo!()
}

/// Removes exactly this pod at once (grace 0): only when nothing of it runs any more.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn delete_pod_now(client: &Client, pod: PodRef<'_>) -> Written {
    todo!()
}

/// Creates a node from a complete object; `Conflict` if it exists.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn create_node(client: &Client, node: &Value) -> Written {
    todo!()
}

/// Strategic-merge patch of a node's metadata and spec.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_node(client: &Client, name: &str, patch: &Value) -> Written {
    todo!()
}

/// Strategic-merge patch of a node's status; `status` is the patch of the status alone.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn patch_node_status(client: &Client, name: &str, status: &Value) -> Written {
    todo!()
}

/// Sets one label of a namespace.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn label_namespace(client: &Client, name: &str, key: &str, value: &str) -> Written {
    todo!()
}
