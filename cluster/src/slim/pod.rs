//! A Pod as decisions need it: who, where, how much, under which policy.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use policies::keys;
use policies::pod::effective_requests;
use policies::pod::view::{PodView, Spec};
use policies::policy::Policy;
use policies::resources::Resources;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

use super::wire::{decode, identity, identity_of, kept, or_default, text};

/// Labels that name an application, in order of preference.
const APP: [&str; 2] = ["app.kubernetes.io/name", "app"];

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum PodPhase {
    /// Accepted, not all containers started.
    #[default]
    Pending,
    /// Bound, containers started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly.
    Failed,
    /// Anything else.
    Unknown,
}

impl PodPhase {
    /// Reads `status.phase`; empty is Pending, as the API server defaults it.
    pub fn parse(phase: &str) -> Self {
        match phase {
            "" | "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Succeeded or Failed: the pod uses nothing any more.
    pub const fn finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The controlling owner of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct OwnerRef {
    /// `apiVersion`.
    pub api_version: SmolStr,
    /// `kind`.
    pub kind: SmolStr,
    /// `name`.
    pub name: SmolStr,
    /// `uid`.
    pub uid: SmolStr,
}

/// A Pod with only what decisions need.
#[derive(Clone, Debug, Default)]
pub struct SlimPod {
    /// Namespace, name, UID and resource version only.
    pub metadata: ObjectMeta,
    /// `spec.nodeName`.
    pub node: Option<SmolStr>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Has a deletion timestamp.
    pub deleting: bool,
    /// Policy keys and application labels only.
    pub labels: BTreeMap<String, String>,
    /// Annotations `burst.io/resolved-policy` and `burst.io/policy-source` only.
    pub annotations: BTreeMap<String, String>,
    /// The controlling owner.
    pub owner: Option<OwnerRef>,
    /// Effective requests; `pods` is 1.
    pub requests: Resources,
    /// `spec.priority`.
    pub priority: i32,
    /// `metadata.creationTimestamp`.
    pub created: Option<jiff::Timestamp>,
    /// Only identity, node and phase could be read; requests count as one pod.
    pub undecodable: bool,
    /// The whole pod as it was sent, if it has a node and a policy other than off: for whoever is told of its binding.
    pub text: Option<Box<str>>,
}

impl SlimPod {
    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The policy in force: the annotation written at admission, else the pod's own label.
    pub fn policy(&self) -> Option<Policy> {
        let label = || keys::POLICY.iter().find_map(|key| self.labels.get(*key));
        self.annotations.get(keys::RESOLVED_POLICY).or_else(label).and_then(|value| Policy::parse(value))
    }

    /// The application's name, from its labels.
    pub fn app(&self) -> Option<&str> {
        APP.iter().find_map(|key| self.labels.get(*key)).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for SlimPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode(deserializer, from_text, from_value)
    }
}

fn from_text(text: &str) -> Result<SlimPod, serde_json::Error> {
    let wire: PodWire<'_> = serde_json::from_str(text)?;
    let view = PodView { spec: wire.spec, ..PodView::default() };
    let requests = effective_requests(&view).map_err(serde_json::Error::custom)?;
    let node = view.spec.node_name.as_ref().map(|node| node.as_str()).filter(|node| !node.is_empty());
    let meta = wire.metadata;
    let owner = meta.owner_references.into_iter().find(|o| o.controller);
    let mut pod = SlimPod {
        metadata: identity(meta.name, meta.namespace, meta.uid, meta.resource_version),
        node: node.map(SmolStr::new),
        phase: PodPhase::parse(&wire.status.phase),
        deleting: meta.deletion_timestamp.is_some(),
        labels: meta.labels,
        annotations: meta.annotations,
        owner: owner.map(OwnerWire::into_ref),
        requests,
        priority: view.spec.priority.unwrap_or_default(),
        created: meta.creation_timestamp.and_then(|at| at.parse().ok()),
        undecodable: false,
        text: None,
    };
    if pod.node.is_some() && pod.policy().is_some_and(|policy| policy != Policy::Off) {
        pod.text = Some(text.into());
    }
    Ok(pod)
}

fn from_value(value: &Value) -> SlimPod {
    let node = text(value, "/spec/nodeName");
    SlimPod {
        metadata: identity_of(value),
        node: (!node.is_empty()).then(|| node.into()),
        phase: PodPhase::parse(text(value, "/status/phase")),
        deleting: value.pointer("/metadata/deletionTimestamp").is_some_and(|v| !v.is_null()),
        requests: Resources { pods: 1, ..Resources::default() },
        undecodable: true,
        ..SlimPod::default()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodWire<'a> {
    #[serde(deserialize_with = "or_default")]
    metadata: PodMeta,
    #[serde(borrow, deserialize_with = "or_default")]
    spec: Spec<'a>,
    #[serde(deserialize_with = "or_default")]
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PodMeta {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    namespace: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    #[serde(deserialize_with = "or_default")]
    resource_version: String,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "wanted_labels")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "wanted_annotations")]
    annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    owner_references: Vec<OwnerWire>,
}

fn wanted_labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    kept(deserializer, |key| {
        keys::POLICY.contains(&key) || keys::ECI_POD.contains(&key) || APP.contains(&key)
    })
}

fn wanted_annotations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    kept(deserializer, |key| key == keys::RESOLVED_POLICY || key == keys::POLICY_SOURCE)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OwnerWire {
    api_version: SmolStr,
    kind: SmolStr,
    name: SmolStr,
    uid: SmolStr,
    #[serde(deserialize_with = "or_default")]
    controller: bool,
}

impl OwnerWire {
    fn into_ref(self) -> OwnerRef {
        OwnerRef { api_version: self.api_version, kind: self.kind, name: self.name, uid: self.uid }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    #[serde(deserialize_with = "or_default")]
    phase: String,
}

crate::read_as!(SlimPod as Pod);

#[cfg(test)]
mod tests;
