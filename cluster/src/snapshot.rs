//! What a decision reads: an immutable picture of nodes, burst pods and totals, shared by `Arc`.
//!
//! Built by [`crate::index::Index`] only. It must never be changed after it was published, so that one request sees
//! one consistent picture; how fresh the picture is, is told by [`crate::freshness::Freshness`].

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use policies::node::{NodeClass, NodeRow};
use policies::policy::Policy;
use policies::resources::Resources;
use serde::Serialize;
use smol_str::SmolStr;

use crate::slim::{OwnerRef, PodPhase};

/// Name to dense id.
pub(crate) type NameMap = HashMap<SmolStr, NodeId, RandomState>;

/// Dense index of a node within snapshots; an id may be reused after its node is gone, so it must not outlive the
/// snapshot that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct NodeId(pub u32);

impl NodeId {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// A pod that is in the cloud, or that may go there and has no node yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BurstPod {
    /// `metadata.uid`: the identity.
    pub uid: SmolStr,
    /// `metadata.namespace`.
    pub namespace: SmolStr,
    /// `metadata.name`.
    pub name: SmolStr,
    /// `spec.nodeName`; none while pending.
    pub node: Option<SmolStr>,
    /// The policy in force: the annotation written at admission, else the pod's own label.
    pub policy: Option<Policy>,
    /// Where the policy came from (annotation), for example `Deployment/web`.
    pub policy_source: Option<SmolStr>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Has a deletion timestamp.
    pub deleting: bool,
    /// The controlling owner.
    pub owner: Option<OwnerRef>,
    /// Value of the label `app.kubernetes.io/name`, else `app`.
    pub app: Option<SmolStr>,
    /// Effective requests.
    pub requests: Resources,
    /// `spec.priority`.
    pub priority: i32,
    /// `metadata.creationTimestamp`.
    pub created: Option<jiff::Timestamp>,
}

/// Sums over the nodes of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassTotals {
    /// Nodes of this class.
    pub nodes: u32,
    /// Of which ready and schedulable.
    pub usable: u32,
    /// Sum of `allocatable`.
    pub allocatable: Resources,
    /// Sum of `requested`; its `pods` is the number of unfinished pods bound to the class.
    pub requested: Resources,
}

/// Unfinished pods of one policy, by where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyTotals {
    /// Without a node.
    pub pending: u32,
    /// On a real node, or on a node that is not known yet.
    pub local: u32,
    /// On a virtual node.
    pub burst: u32,
}

/// Sums over the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Real nodes.
    pub real: ClassTotals,
    /// Virtual nodes.
    pub virtual_nodes: ClassTotals,
    /// Unfinished pods without a node, of any policy.
    pub pending_pods: u32,
    /// By policy, in the order of [`Policy::ALL`]; pods without any policy are not counted here.
    pub policies: [PolicyTotals; 4],
    /// Objects that could not be decoded completely and are counted with what was readable.
    pub undecodable: u32,
}

impl Totals {
    /// The counts of one policy.
    pub fn policy(&self, policy: Policy) -> PolicyTotals {
        Policy::ALL
            .iter()
            .zip(self.policies)
            .find(|(p, _)| **p == policy)
            .map_or_else(PolicyTotals::default, |(_, t)| t)
    }
}

/// An immutable picture of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) rows: Vec<Option<Arc<NodeRow>>>,
    pub(crate) classes: Arc<Vec<Option<NodeClass>>>,
    pub(crate) names: Arc<NameMap>,
    pub(crate) virtual_nodes: Arc<Vec<NodeId>>,
    pub(crate) burst_pods: Arc<Vec<Arc<BurstPod>>>,
    pub(crate) totals: Totals,
    pub(crate) synced: bool,
    pub(crate) generation: u64,
}

impl Snapshot {
    /// Whether nodes and pods were listed completely at least once. An unsynced snapshot must not be used to decide.
    pub const fn synced(&self) -> bool {
        self.synced
    }

    /// Number of this picture: grows by one with each one published.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The id of a node, if the node exists.
    pub fn id(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// A node by id.
    pub fn node(&self, id: NodeId) -> Option<&NodeRow> {
        self.rows.get(id.at()).and_then(Option::as_deref)
    }

    /// A node by name.
    pub fn by_name(&self, name: &str) -> Option<&NodeRow> {
        self.id(name).and_then(|id| self.node(id))
    }

    /// The class of a node without touching its row; none if there is no such node.
    pub fn class(&self, id: NodeId) -> Option<NodeClass> {
        self.classes.get(id.at()).copied().flatten()
    }

    /// Every node.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeRow)> {
        (0u32..).map(NodeId).zip(&self.rows).filter_map(|(id, row)| row.as_deref().map(|row| (id, row)))
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.names.len()
    }

    /// Ids of the virtual nodes, ascending.
    pub fn virtual_ids(&self) -> &[NodeId] {
        &self.virtual_nodes
    }

    /// The virtual nodes.
    pub fn virtual_nodes(&self) -> impl Iterator<Item = &NodeRow> {
        self.virtual_nodes.iter().filter_map(|id| self.node(*id))
    }

    /// Unfinished pods on virtual nodes, and pods with a policy other than off that have no node yet; in no
    /// particular order.
    pub fn burst_pods(&self) -> &[Arc<BurstPod>] {
        &self.burst_pods
    }

    /// Sums over the cluster.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }
}
