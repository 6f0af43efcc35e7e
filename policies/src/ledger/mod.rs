//! The durable ledger: which pods may be in the cloud, and what they have cost. Plain data that one object per policy
//! holds (`BurstLedger`), written by one leader with compare-and-swap, read by the bridge before it materialises.
//!
//! Instances never exceed a limit because an instance is made only for a UID that has an open grant here, a grant is
//! added only while the sum of all grants (open and closing) stays within the limits, and a grant is taken out only
//! when its instance is confirmed gone. So whatever restarts, times out or is replayed, the count of grants is an upper
//! bound of the count of instances. Nothing here knows a clock: `now` is passed in, in seconds since the epoch.

mod budget;
mod claim;
mod gang;
mod hold;
pub mod home;
mod limits;
mod places;
mod plan;
mod room;
mod round;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::standing::Standing;
pub use self::{
    claim::{Bound, Claim, GangMember, VirtualNode, World},
    hold::Hold,
    plan::{Held, Plan, Wake, plan, plan_real_first},
};
use crate::{
    burst_policy::Side,
    money::{Money, Rate},
    resources::Resources,
};

/// Seconds since 1970-01-01T00:00:00Z.
pub type Seconds = i64;

/// One policy's ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// The policy: `BurstPolicy/shop/web` or `ClusterBurstPolicy/all`.
    pub policy: String,
    /// Grants by pod UID.
    pub grants: BTreeMap<String, Grant>,
    /// Money spent, by scope: empty text for the policy, else the namespace.
    pub spend: BTreeMap<String, Spend>,
    /// Until when spending is added up; running grants cost from here on.
    pub settled: Seconds,
    /// The serial number that was given out last, see [`Grant::serial`].
    pub serial: u64,
    /// Pods that were moved home within the last hour, in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<home::Move>,
}

/// Permission of one pod to have an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Grant {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, for people.
    pub name: String,
    /// Number of this grant, never used twice in one ledger: it tells this grant of a pod from an earlier one.
    pub serial: u64,
    /// The side it was granted on. A grant on the local side is no permission for an instance; it counts where a policy
    /// has ceilings on real nodes.
    pub side: Side,
    /// The tier it was granted in (`cloud` or `local` without tiers).
    pub tier: String,
    /// Other tiers that its pod may still land in. It counts in these too until it is bound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Seat>,
    /// The providers (values of the provider taint) it may go to; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The virtual nodes that may materialise it; empty means any. See [`Grant::permits`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Effective requests; `pods` is 1.
    pub requests: Resources,
    /// What its rounded size costs; 0 when the policy has no budget.
    pub rate: Rate,
    /// Seconds that the cloud bills at least.
    #[serde(skip_serializing_if = "is_zero")]
    pub minimum: u64,
    /// When it was granted.
    pub granted: Seconds,
    /// From when it costs money: when its pod was seen bound to a virtual node. `None` before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Seconds>,
    /// The virtual node its pod was seen on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Open, or closing.
    pub state: GrantState,
}

/// A place that counts: a tier of a side.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Seat {
    /// The side.
    pub side: Side,
    /// The tier.
    pub tier: String,
}

impl Grant {
    /// Whether the bridge that serves this virtual node may make an instance now. It must ask again, with the freshest
    /// ledger, right before the create call. Whoever has an instance already keeps it, whatever this says.
    pub fn permits(&self, node: &str) -> bool {
        self.state == GrantState::Open
            && self.side == Side::Cloud
            && (self.nodes.is_empty() || self.nodes.iter().any(|n| n == node))
    }

    /// The answer of a bridge that has no instance for this grant and will make none.
    pub fn released(&self, uid: &str) -> Released {
        Released { uid: uid.to_owned(), serial: self.serial }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Where a grant is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GrantState {
    /// The pod may be materialised.
    #[default]
    Open,
    /// The pod is gone; nothing may be materialised for it any more, and it counts until every virtual node that may
    /// have an instance of it says that it has none.
    Closing,
}

/// Money spent in the current windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spend {
    /// This calendar hour (UTC).
    pub hour: Window,
    /// This calendar day (UTC).
    pub day: Window,
    /// This calendar month (UTC).
    pub month: Window,
}

/// One window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Window {
    /// When it began.
    pub start: Seconds,
    /// Spent in it until `settled`.
    pub spent: Money,
    /// Carried over from the window before.
    pub carried: Money,
}

/// What a bridge reports of one virtual node (`VirtualNodeReport`, cluster-scoped, named like the node): the memory
/// that the bridge and the scheduler share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeReport {
    /// Value of the provider taint.
    pub provider: String,
    /// The cloud's zone, if known.
    pub zone: String,
    /// Version of the bridge.
    pub version: String,
    /// Instances that exist, whatever their state.
    pub instances: u64,
    /// Sum of their billed sizes.
    pub billed: Resources,
    /// Sizes that the cloud has no room for.
    pub stock_outs: Vec<StockOut>,
    /// Closing grants for which this node has no instance and will make none ([`Grant::released`]). An answer may be
    /// dropped once the ledger no longer holds the grant.
    pub released: Vec<Released>,
}

/// Word of a bridge that a virtual node has no instance for a closing grant and will make none for it. The serial keeps
/// an old answer from being taken for a later grant of the same pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Released {
    /// The pod's UID.
    pub uid: String,
    /// [`Grant::serial`].
    pub serial: u64,
}

/// A size class that the cloud has no room for in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StockOut {
    /// Zone; empty if the node has none.
    pub zone: String,
    /// Class of size: see [`crate::stock`].
    pub class: String,
    /// First refusal in a row.
    pub since: Seconds,
    /// Next probe: before it, decisions avoid the place.
    pub until: Seconds,
    /// Refusals in a row.
    pub failures: u32,
    /// What the cloud said, for people.
    pub message: String,
}
