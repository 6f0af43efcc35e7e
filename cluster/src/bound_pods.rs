//! The pods bound to one node, as events with the complete object, for the bridge.
//!
//! Objects are kept as compact JSON text without `managedFields` and parsed on demand: ten thousand of them must fit
//! beside everything else. An object that cannot be read never stops the stream.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use policies::keys;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::guarded::{WATCH_SECONDS, guarded};
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
    /// What burst reads of the metadata at every change.
    pub marks: Box<Marks>,
    /// The complete Pod as JSON text, `apiVersion` and `kind` included, `managedFields` not.
    pub json: Bytes,
}

/// What burst reads of a pod's metadata at every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It carries the label [`keys::GOVERNED`]: it needs a grant. A policy object that limits nothing governs nobody.
    pub governed: bool,
    /// The policy object that governs it.
    pub policy: Option<SmolStr>,
    /// `metadata.creationTimestamp`.
    pub created: Option<jiff::Timestamp>,
    /// Its controller.
    pub controller: Option<Controller>,
    /// Annotation [`keys::DELETION_COST`].
    pub deletion_cost: Option<SmolStr>,
    /// Annotation [`keys::ORIGINAL_DELETION_COST`].
    pub original_deletion_cost: Option<SmolStr>,
}

/// The owner reference with `controller: true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// `ReplicaSet`, `Job`, …
    pub kind: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// Its UID.
    pub uid: SmolStr,
}

impl Marks {
    fn of(metadata: &Map<String, Value>) -> Self {
        let entry = |map: &str, key: &str| Some(SmolStr::from(metadata.get(map)?.get(key)?.as_str()?));
        let policy = entry("annotations", keys::BURST_POLICY);
        let owners = metadata.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
        let of = |owner: &Value, key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default().into();
        let controller = owners
            .filter(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
            .map(|owner| Controller {
                kind: of(owner, "kind"),
                name: of(owner, "name"),
                uid: of(owner, "uid"),
            })
            .next();
        Self {
            governed: entry("labels", keys::GOVERNED).is_some_and(|value| value == "true"),
            policy,
            created: metadata.get("creationTimestamp").and_then(Value::as_str).and_then(|at| at.parse().ok()),
            controller,
            deletion_cost: entry("annotations", keys::DELETION_COST),
            original_deletion_cost: entry("annotations", keys::ORIGINAL_DELETION_COST),
        }
    }
}

impl BoundPod {
    /// The complete Pod.
    pub fn object(&self) -> Arc<Value> {
        Arc::new(serde_json::from_slice(&self.json).unwrap_or_default())
    }

    /// Reads a Pod; none if it has no UID.
    pub fn from_object(mut object: Value) -> Option<Self> {
        let fields = object.as_object_mut()?;
        fields.insert("apiVersion".to_owned(), "v1".into());
        fields.insert("kind".to_owned(), "Pod".into());
        let metadata = fields.get_mut("metadata")?.as_object_mut()?;
        metadata.remove("managedFields");
        let text = |key: &str| text(metadata, key);
        let uid = text("uid");
        if uid.is_empty() {
            return None;
        }
        let marks = Box::new(Marks::of(metadata));
        let pod = Self {
            uid,
            namespace: text("namespace"),
            name: text("name"),
            resource_version: text("resourceVersion"),
            deletion_timestamp: deletion(metadata),
            deletion_grace_seconds: metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64),
            phase: PodPhase::parse(
                object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default(),
            ),
            marks,
            json: Bytes::new(),
        };
        Some(Self { json: Bytes::from(serde_json::to_vec(&object).ok()?.into_boxed_slice()), ..pod })
    }
}

fn text(metadata: &Map<String, Value>, key: &str) -> SmolStr {
    metadata.get(key).and_then(Value::as_str).unwrap_or_default().into()
}

/// The deletion time; one that is set but unreadable still means that the pod is being deleted.
fn deletion(metadata: &Map<String, Value>) -> Option<jiff::Timestamp> {
    let value = metadata.get("deletionTimestamp").filter(|value| !value.is_null())?;
    Some(value.as_str().and_then(|text| text.parse().ok()).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
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

/// Watches the pods bound to `node`; never ends unless dropped. Must be called within a tokio runtime.
pub fn watch(client: &Client, node: &str) -> BoxStream<'static, PodEvent> {
    let api: Api<RawPod> = Api::all(guarded(client, Arc::new(|| {})));
    let config = watcher::Config::default().timeout(WATCH_SECONDS).fields(&format!("spec.nodeName={node}"));
    watcher(api, config).default_backoff().filter_map(|event| std::future::ready(translate(event))).boxed()
}

fn translate(event: watcher::Result<watcher::Event<RawPod>>) -> Option<PodEvent> {
    Some(match event {
        Ok(watcher::Event::Init) => PodEvent::Restarted,
        Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => PodEvent::Applied(pod.pod?),
        Ok(watcher::Event::Delete(pod)) => PodEvent::Deleted(pod.pod?),
        Ok(watcher::Event::InitDone) => PodEvent::Synced,
        Err(error) => PodEvent::Interrupted(error.to_string()),
    })
}

/// A Pod as the watch decodes it: any JSON will do.
#[derive(Clone, Debug)]
struct RawPod {
    metadata: ObjectMeta,
    pod: Option<BoundPod>,
}

impl<'de> Deserialize<'de> for RawPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let object: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
        let pod = BoundPod::from_object(object);
        if pod.is_none() {
            tracing::warn!("a pod without metadata.uid was skipped");
        }
        Ok(Self { metadata: ObjectMeta { resource_version: version, ..ObjectMeta::default() }, pod })
    }
}

crate::read_as!(RawPod as Pod);

#[cfg(test)]
mod tests;
