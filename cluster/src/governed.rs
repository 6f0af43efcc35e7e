//! The pods that a policy object governs (label `burst.io/governed`), as the leader needs them.
//!
//! Kept by UID. A pod that cannot be read completely is known only by its identity and must never be granted anything:
//! what it asks for is not known.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use policies::daemons::record;
use policies::keys;
use policies::pod::effective_requests;
use policies::pod::view::{PodView, Spec, Text};
use policies::policy::Policy;
use policies::resources::Resources;
use policies::shape;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::guarded;
use crate::kept::{self, Kept, Keyed};
use crate::patch::PodRef;
use crate::protobuf::spoken;
use crate::slim::PodPhase;
use crate::slim::wire::{decode, identity, identity_of, or_default, text};

/// Annotations that the leader reads.
const ANNOTATIONS: [&str; 6] = [
    keys::BURST_POLICY,
    keys::RESOLVED_POLICY,
    keys::GRANT,
    keys::GANG_SIZE,
    keys::UNSUPPORTED_BY,
    keys::DAEMONSETS_REQUESTS,
];

/// A governed pod.
#[derive(Clone, Debug, Default)]
pub struct GovernedPod {
    /// Namespace, name, UID and resource version only.
    pub metadata: ObjectMeta,
    /// All labels: a gang's may be any of them.
    pub labels: BTreeMap<String, String>,
    /// The annotations that burst writes or reads.
    pub annotations: BTreeMap<String, String>,
    /// Whether it has any annotation at all.
    pub has_annotations: bool,
    /// `spec.nodeName`.
    pub node: Option<SmolStr>,
    /// `status.nominatedNodeName`.
    pub nominated_node: Option<SmolStr>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Has a deletion timestamp.
    pub deleting: bool,
    /// Effective requests; `pods` is 1.
    pub requests: Resources,
    /// What a provider counts of it, where that makes another bill than the sum of the requests.
    pub billed: BTreeMap<String, Resources>,
    /// `spec.priority`.
    pub priority: i32,
    /// `metadata.creationTimestamp`.
    pub created: Option<jiff::Timestamp>,
    /// Since when the condition PodScheduled is False with reason Unschedulable.
    ///
    /// The scheduler keeps the time while the condition stays False, so for a pod that was gated it is when the gate was
    /// seen.
    pub unschedulable_since: Option<jiff::Timestamp>,
    /// Whether the same condition says what preemption found.
    ///
    /// The scheduler's default preemption puts `preemption: ` and its outcome at the end of the message whenever it
    /// nominates no node.
    pub preemption_told: bool,
    /// Since when the condition PodScheduled is True: when it was bound.
    pub bound_since: Option<jiff::Timestamp>,
    /// Names of the scheduling gates still there.
    pub gates: Vec<SmolStr>,
    /// Whether `spec.tolerations` has an item.
    pub has_tolerations: bool,
    /// Values of the provider taint that its tolerations name; empty text for any.
    pub opened: Vec<SmolStr>,
    /// Only identity, node and phase could be read.
    pub undecodable: bool,
}

impl GovernedPod {
    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// What a write is guarded by.
    pub fn reference(&self) -> PodRef<'_> {
        PodRef { namespace: self.namespace(), name: self.name(), uid: self.uid() }
    }

    /// The policy in force, as admission recorded it.
    pub fn policy(&self) -> Option<Policy> {
        self.annotations.get(keys::RESOLVED_POLICY).and_then(|value| Policy::parse(value))
    }

    /// The policy object that governs it.
    pub fn burst_policy(&self) -> Option<&str> {
        self.annotations.get(keys::BURST_POLICY).map(String::as_str)
    }

    /// The tier that was granted to it.
    pub fn grant(&self) -> Option<&str> {
        self.annotations.get(keys::GRANT).map(String::as_str)
    }

    /// The providers that cannot run it, as admission found them.
    pub fn unsupported_by(&self) -> impl Iterator<Item = &str> {
        let names = self.annotations.get(keys::UNSUPPORTED_BY).map(String::as_str).unwrap_or_default();
        names.split(',').filter(|name| !name.is_empty())
    }

    /// What the DaemonSets beside it ask for; none if that cannot be read.
    pub fn beside(&self) -> Option<Resources> {
        record::requests(&self.annotations).ok()
    }

    /// Whether our gate holds it.
    pub fn gated(&self) -> bool {
        self.gates.iter().any(|gate| gate == keys::GATE)
    }

    /// The gang size that its annotation gives; a value that is no number above 0 is none.
    pub fn gang_size(&self) -> Option<u32> {
        self.annotations.get(keys::GANG_SIZE)?.parse().ok().filter(|size| *size > 0)
    }
}

/// Watches the governed pods of all namespaces; keys are UIDs. Must be called within a tokio runtime.
pub fn watch(client: &Client, cancel: CancellationToken, tracker: &TaskTracker) -> Kept<GovernedPod> {
    let api = Api::all(spoken(&guarded(client, Arc::new(|| {})), Arc::new(|_| {})));
    let config = watcher::Config::default().labels(&format!("{}=true", keys::GOVERNED));
    kept::start(api, config, cancel, tracker)
}

impl Keyed for GovernedPod {
    const OPTIONAL: bool = false;

    fn key(&self) -> SmolStr {
        self.uid().into()
    }
}

impl<'de> Deserialize<'de> for GovernedPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode(deserializer, from_text, from_value)
    }
}

fn from_text(text: &str) -> Result<GovernedPod, serde_json::Error> {
    let wire: PodWire<'_> = serde_json::from_str(text)?;
    let mut view = PodView { spec: wire.spec, ..PodView::default() };
    if let Some(specs) = wire.metadata.annotations.get(keys::ECI_USE_SPECS) {
        let entry = (Text(keys::ECI_USE_SPECS.into()), Text(specs.as_str().to_owned().into()));
        view.metadata.annotations.extend([entry]);
    }
    let requests = effective_requests(&view).map_err(serde_json::Error::custom)?;
    let beside = record::sizes(&wire.metadata.annotations).unwrap_or_default();
    let billed = shape::counted(&view, &beside, requests);
    let (spec, meta, status) = (view.spec, wire.metadata, wire.status);
    let node = spec.node_name.as_ref().map(|node| node.as_str()).filter(|node| !node.is_empty());
    Ok(GovernedPod {
        metadata: identity(meta.name, meta.namespace, meta.uid, meta.resource_version),
        labels: meta.labels,
        has_annotations: !meta.annotations.is_empty(),
        annotations: wanted(meta.annotations),
        node: node.map(SmolStr::new),
        nominated_node: status.nominated_node_name.filter(|node| !node.is_empty()),
        phase: PodPhase::parse(&status.phase),
        deleting: meta.deletion_timestamp.is_some(),
        requests,
        billed,
        priority: spec.priority.unwrap_or_default(),
        created: meta.creation_timestamp.and_then(|at| at.parse().ok()),
        unschedulable_since: status.conditions.iter().find_map(ConditionWire::unschedulable_since),
        preemption_told: status.conditions.iter().any(ConditionWire::tells_of_preemption),
        bound_since: status.conditions.iter().find_map(ConditionWire::bound_since),
        gates: spec.scheduling_gates.iter().map(|gate| gate.name.as_str().into()).collect(),
        has_tolerations: !spec.tolerations.is_empty(),
        opened: opened(&spec),
        undecodable: false,
    })
}

fn from_value(value: &Value) -> GovernedPod {
    let map = |pointer: &str| -> BTreeMap<String, String> {
        let fields = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let node = text(value, "/spec/nodeName");
    GovernedPod {
        metadata: identity_of(value),
        labels: map("/metadata/labels"),
        has_annotations: value.pointer("/metadata/annotations").is_some_and(|all| !all.is_null()),
        annotations: wanted(map("/metadata/annotations")),
        node: (!node.is_empty()).then(|| node.into()),
        phase: PodPhase::parse(text(value, "/status/phase")),
        deleting: value.pointer("/metadata/deletionTimestamp").is_some_and(|v| !v.is_null()),
        requests: Resources { pods: 1, ..Resources::default() },
        undecodable: true,
        ..GovernedPod::default()
    }
}

/// Which values of the provider taint the tolerations name for `NoSchedule`.
fn opened(spec: &Spec<'_>) -> Vec<SmolStr> {
    let named = spec.tolerations.iter().filter(|toleration| {
        let effect = toleration.effect.as_str();
        toleration.key.as_str() == keys::TAINT_PROVIDER && (effect.is_empty() || effect == "NoSchedule")
    });
    named
        .map(|toleration| match toleration.operator.as_str() {
            "Exists" => SmolStr::default(),
            _ => toleration.value.as_str().into(),
        })
        .collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodWire<'a> {
    #[serde(deserialize_with = "or_default")]
    metadata: MetaWire,
    #[serde(borrow, deserialize_with = "or_default")]
    spec: Spec<'a>,
    #[serde(deserialize_with = "or_default")]
    status: StatusWire,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct MetaWire {
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
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
}

fn wanted(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.retain(|key, _| ANNOTATIONS.contains(&key.as_str()));
    annotations
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatusWire {
    #[serde(deserialize_with = "or_default")]
    phase: String,
    nominated_node_name: Option<SmolStr>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<ConditionWire>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ConditionWire {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: SmolStr,
    #[serde(deserialize_with = "or_default")]
    status: SmolStr,
    #[serde(deserialize_with = "or_default")]
    reason: SmolStr,
    #[serde(deserialize_with = "or_default")]
    message: String,
    last_transition_time: Option<String>,
}

impl ConditionWire {
    fn unschedulable(&self) -> bool {
        self.kind == "PodScheduled" && self.status == "False" && self.reason == "Unschedulable"
    }

    fn unschedulable_since(&self) -> Option<jiff::Timestamp> {
        self.since(self.unschedulable())
    }

    fn tells_of_preemption(&self) -> bool {
        self.unschedulable() && self.message.contains("preemption: ")
    }

    fn bound_since(&self) -> Option<jiff::Timestamp> {
        self.since(self.status == "True")
    }

    fn since(&self, holds: bool) -> Option<jiff::Timestamp> {
        let holds = holds && self.kind == "PodScheduled";
        self.last_transition_time.as_deref().filter(|_| holds)?.parse().ok()
    }
}

crate::read_as!(GovernedPod as Pod);

#[cfg(test)]
mod tests;
