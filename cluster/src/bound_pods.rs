//! The pods bound to one node, as events with the complete object, for the bridge.
//!
//! Objects are kept as compact JSON text without `managedFields` and parsed on demand: ten thousand of them must fit
//! beside everything else. An object that cannot be read never stops the stream.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use kube::Client;
use serde_json::Value;
use smol_str::SmolStr;

use crate::slim::PodPhase;

/// A pod bound to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundPod {
    /// `metadata.uid`: the identity.
    pub uid: SmolStr,
    /// `metadata.namespace`.
    pub namespace: SmolStr,
    /// `metadata.name`.
    pub name: SmolStr,
    /// `metadata.resourceVersion`.
    pub resource_version: SmolStr,
    /// `metadata.deletionTimestamp`.
    pub deletion_timestamp: Option<jiff::Timestamp>,
    /// `metadata.deletionGracePeriodSeconds`.
    pub deletion_grace_seconds: Option<i64>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// The complete Pod as JSON text, `apiVersion` and `kind` included, `managedFields` not.
    pub json: Bytes,
}

impl BoundPod {
    /// The complete Pod.
    pub fn object(&self) -> Arc<Value> {
        Arc::new(serde_json::from_slice(&self.json).unwrap_or_default())
    }
}

/// What happened to the pods of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodEvent {
    /// A complete list begins: pods not applied before the next [`PodEvent::Synced`] do not exist.
    Restarted,
    /// New or changed.
    Applied(BoundPod),
    /// Removed from the API server.
    Deleted(BoundPod),
    /// The list is complete.
    Synced,
    /// The watch failed and is being opened again with back-off; what is known stays.
    Interrupted(String),
}

/// Watches the pods bound to `node`; never ends unless dropped.
pub fn watch(client: Client, node: &str) -> BoxStream<'static, PodEvent> {
    todo!()
}
