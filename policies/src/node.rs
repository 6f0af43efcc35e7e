//! A node as a decision sees it: one plain row, filled by whoever watches the cluster.

mod labels;

pub use labels::{NodeLabels, Texts};

use serde::{Deserialize, Serialize};

use crate::keys;
use crate::resources::Resources;

/// Labels that name a node's zone, in order of preference.
const ZONES: [&str; 2] = ["topology.kubernetes.io/zone", keys::ZONE];

/// Whether the cluster owns the node or a bridge serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeClass {
    /// A node that the cluster owns.
    Real,
    /// A node that a bridge serves: label `type=virtual-kubelet`.
    Virtual,
}

/// What a taint does to a pod that does not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaintEffect {
    /// The scheduler does not place the pod.
    NoSchedule,
    /// The scheduler avoids the node.
    PreferNoSchedule,
    /// The pod is not placed, and evicted if running.
    NoExecute,
}

/// A node's taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// Taint key.
    pub key: String,
    /// Taint value, empty if none.
    #[serde(default)]
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

/// One node in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Node name.
    pub name: String,
    /// Real or virtual.
    pub class: NodeClass,
    /// Value of the provider taint on a virtual node (`huawei`, `ucloud`, …).
    pub provider: Option<String>,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// Sum of the effective requests of the pods bound here that are not finished.
    pub requested: Resources,
    /// All taints.
    pub taints: Vec<Taint>,
    /// All labels (nodes are few, pods are many).
    pub labels: NodeLabels,
    /// Condition Ready is True.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
}

impl NodeRow {
    /// What is still free: allocatable minus requested, never below zero.
    pub const fn free(&self) -> Resources {
        self.allocatable.minus(self.requested)
    }

    /// Whether its provider runs one container more in every instance ([`keys::NETWORK_INTEROP`]).
    pub fn interop(&self) -> bool {
        self.labels.has(keys::NETWORK_INTEROP, "true")
    }

    /// The zone, by Kubernetes' label or by ours; empty if it has none.
    pub fn zone(&self) -> &str {
        ZONES.iter().find_map(|key| self.labels.get(key)).unwrap_or_default()
    }
}
