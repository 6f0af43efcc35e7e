//! A Node as decisions need it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use policies::keys;
use policies::node::{NodeClass, NodeRow, Taint, TaintEffect};
use policies::pod::read_list;
use policies::pod::view::ResourceList;
use policies::resources::Resources;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::wire::{decode, identity, identity_of, kept, or_default};

/// A Node with only what decisions need.
#[derive(Clone, Debug, Default)]
pub struct SlimNode {
    /// Name, UID and resource version only.
    pub metadata: ObjectMeta,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.taints`; a taint with an effect that is not known is left out.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// Condition Ready is True.
    pub ready: bool,
    /// Only the identity could be read.
    pub undecodable: bool,
}

impl SlimNode {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Whether a bridge serves the node: label `type=virtual-kubelet`.
    pub fn class(&self) -> NodeClass {
        match self.labels.get(keys::NODE_TYPE) {
            Some(value) if value == keys::NODE_TYPE_VIRTUAL => NodeClass::Virtual,
            _ => NodeClass::Real,
        }
    }

    /// The row of a decision, with `requested` as given.
    pub fn into_row(self, requested: Resources) -> NodeRow {
        let provider = self.taints.iter().find(|t| t.key == keys::TAINT_PROVIDER).map(|t| t.value.clone());
        NodeRow {
            class: self.class(),
            name: self.metadata.name.unwrap_or_default(),
            provider,
            allocatable: self.allocatable,
            requested,
            taints: self.taints,
            labels: self.labels.into(),
            ready: self.ready,
            unschedulable: self.unschedulable,
        }
    }
}

impl<'de> Deserialize<'de> for SlimNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode(deserializer, from_text, from_value)
    }
}

fn from_text(text: &str) -> Result<SlimNode, serde_json::Error> {
    let wire: NodeWire<'_> = serde_json::from_str(text)?;
    let amounts = wire.status.allocatable.iter().map(|(name, amount)| (name.as_str(), &*amount.0));
    let allocatable = read_list("status.allocatable", amounts).map_err(serde_json::Error::custom)?;
    let meta = wire.metadata;
    Ok(SlimNode {
        metadata: identity(meta.name, String::new(), meta.uid, meta.resource_version),
        labels: meta.labels,
        taints: wire.spec.taints.into_iter().filter_map(TaintWire::known).collect(),
        unschedulable: wire.spec.unschedulable,
        allocatable,
        ready: wire.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
        undecodable: false,
    })
}

fn from_value(value: &Value) -> SlimNode {
    let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
    let labels =
        labels.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    SlimNode { metadata: identity_of(value), labels, undecodable: true, ..SlimNode::default() }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeWire<'a> {
    #[serde(deserialize_with = "or_default")]
    metadata: NodeMeta,
    #[serde(deserialize_with = "or_default")]
    spec: NodeSpec,
    #[serde(borrow, deserialize_with = "or_default")]
    status: NodeStatus<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct NodeMeta {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    #[serde(deserialize_with = "or_default")]
    resource_version: String,
    #[serde(deserialize_with = "all")]
    labels: BTreeMap<String, String>,
}

fn all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    kept(deserializer, |_| true)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeSpec {
    #[serde(deserialize_with = "or_default")]
    taints: Vec<TaintWire>,
    #[serde(deserialize_with = "or_default")]
    unschedulable: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TaintWire {
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
    #[serde(deserialize_with = "or_default")]
    effect: String,
}

impl TaintWire {
    fn known(self) -> Option<Taint> {
        let effect = match self.effect.as_str() {
            "NoSchedule" => TaintEffect::NoSchedule,
            "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
            "NoExecute" => TaintEffect::NoExecute,
            _ => return None,
        };
        Some(Taint { key: self.key, value: self.value, effect })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeStatus<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    allocatable: ResourceList<'a>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    type_: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
}

crate::read_as!(SlimNode as Node);
