//! What a plan looks at: the governed pods, and the world around them. Plain rows, filled by whoever watches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{NodeReport, Seconds, limits::counted};
use crate::{
    burst_policy::Side,
    node::{NodeClass, NodeRow},
    policy::Policy,
    price::{Billing, PriceBook},
    resources::Resources,
};

/// One governed pod, as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claim {
    /// The pod's UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The policy in force (annotation `burst.io/resolved-policy`).
    pub policy: Policy,
    /// Effective requests; `pods` is counted as 1 whatever stands here.
    pub requests: Resources,
    /// What the DaemonSets beside it ask for: it counts in the cloud only.
    pub beside: Resources,
    /// What a provider (value of the provider taint) counts of the pod, where that makes another bill than the sum of the
    /// requests ([`crate::shape::counted`]).
    pub billed: BTreeMap<String, Resources>,
    /// `metadata.creationTimestamp`.
    pub created: Seconds,
    /// Since when the condition PodScheduled is False with the reason Unschedulable.
    pub unschedulable_since: Option<Seconds>,
    /// Preemption has been tried for it: a node was nominated, or it was found unschedulable once more afterwards.
    pub preemption_tried: bool,
    /// `spec.priority`.
    pub priority: i32,
    /// The group it goes with.
    pub gang: Option<GangMember>,
    /// It has the scheduling gate [`crate::keys::GATE`].
    pub gated: bool,
    /// Its annotation [`crate::keys::GRANT`]: the tier that was written into it.
    pub granted: Option<String>,
    /// Values of the provider taint that it tolerates, where the watch keeps them; empty means any. `None`: not known.
    pub tolerated: Option<Vec<String>>,
    /// Where it is bound.
    pub node: Option<Bound>,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// Its phase is Succeeded or Failed.
    pub finished: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Providers (values of the provider taint) that cannot run it.
    pub unsupported_by: Vec<String>,
}

impl Claim {
    /// Whether it may still want something.
    pub const fn is_live(&self) -> bool {
        !self.deleting && !self.finished
    }

    /// What it counts as on a side: one pod.
    pub(super) const fn counted(&self, side: Side) -> Resources {
        match side {
            Side::Local => counted(self.requests),
            Side::Cloud => counted(self.requests.plus(self.beside)),
        }
    }
}

/// The group of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GangMember {
    /// Name of the group (value of the policy's gang label); groups of different namespaces are different.
    pub group: String,
    /// How many pods must exist before the group is decided.
    pub size: u32,
}

/// The node that a pod is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// Real or virtual.
    pub class: NodeClass,
    /// Value of the provider taint; empty on real nodes.
    pub provider: String,
    /// The zone; empty if it has none.
    pub zone: String,
    /// When it was bound (the condition PodScheduled's transition), if that is known.
    pub since: Option<Seconds>,
}

/// A virtual node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualNode {
    /// Its name.
    pub name: String,
    /// Value of the provider taint.
    pub provider: String,
    /// The cloud's zone: label `topology.kubernetes.io/zone` or `burst.io/zone`; empty if it has none.
    pub zone: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Condition Ready is True and the node is not cordoned.
    pub ready: bool,
    /// How its instances are paid for.
    pub billing: Billing,
}

/// Everything around the claims.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Now.
    pub now: Seconds,
    /// Every virtual node that exists and that a bridge of ours serves: each of them answers to closing grants.
    pub virtual_nodes: &'a [VirtualNode],
    /// Every real node (virtual ones among them are skipped): where pods with a gate have room. May be empty when no
    /// claim is gated.
    pub real_nodes: &'a [NodeRow],
    /// What the bridges report, by name of the virtual node: stock-outs, and answers to closing grants. A report counts
    /// as long as it exists, whether or not its node does.
    pub reports: &'a BTreeMap<String, NodeReport>,
    /// Prices.
    pub prices: &'a PriceBook,
}
