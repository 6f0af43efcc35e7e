//! One round of one policy: which pods may go where, as a pure function.

use serde::Serialize;

use super::{Claim, Hold, Ledger, Seconds, World, round::Round};
use crate::{
    burst_policy::{BurstPolicySpec, SpendRow, Usage, Wait},
    selector::Term,
};

/// What a round decides. Write `ledger` first, with compare-and-swap; only then act on the rest. When the write loses,
/// read again and plan again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The next ledger.
    pub ledger: Ledger,
    /// Whether anything but the running total of money differs from the ledger that was passed in. A ledger that is
    /// not written is settled again from where it was, with the same result; write it from time to time all the same
    /// when there is a budget.
    pub changed: bool,
    /// Pods with a grant that do not show it yet, in the order of the claims.
    pub wake: Vec<Wake>,
    /// Pods that wait, in the order of the claims.
    pub holds: Vec<Held>,
    /// When to plan again even if nothing happens. Later than `now`.
    pub next_time: Option<Seconds>,
    /// Use against ceilings: every tier, then `local` and `cloud`.
    pub usage: Vec<Usage>,
    /// Money: one row per window and scope.
    pub spend: Vec<SpendRow>,
}

/// What to write into a pod: the annotation [`crate::keys::GRANT`] with the tier, on the cloud side the tolerations, and
/// for a pod with the gate its affinity while the gate is taken off, all in one patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wake {
    /// The pod.
    pub uid: String,
    /// Value of the annotation.
    pub tier: String,
    /// Whether the pod gets the provider toleration: the grant is on the cloud side.
    pub cloud: bool,
    /// Values of the provider taint to tolerate; empty means any (`Exists`).
    pub providers: Vec<String>,
    /// Take the gate off.
    pub ungate: bool,
    /// Alternatives of which a node must satisfy one; they are joined (AND) with every required term that the pod has.
    /// Only ever with `ungate`.
    pub affinity: Option<Vec<Term>>,
}

/// A pod that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The pod.
    pub uid: String,
    /// Why.
    pub hold: Hold,
    /// Until when, if the clock ends it.
    pub until: Option<Seconds>,
}

/// Plans one round.
///
/// Pure and deterministic; planning again with the ledger that came out changes nothing. A grant that exists is not
/// granted again, and the sum of all grants, closing ones included, never passes a ceiling through this function.
/// `claims` must be every pod that the policy governs, from a synced watch. Where real nodes have ceilings the claims must
/// also be no older than the ledger: who takes over, or lost a write, reads the ledger first and then lists the pods (a
/// leader's own writes need nothing, it had seen their pods). Ceilings in the cloud and budgets hold without that,
/// because there a grant whose pod is not seen only closes. A pod whose deletion was seen may be passed
/// once more with `deleting` set: if it was never bound, its grant ends at once instead of asking every bridge.
pub fn plan(spec: &BurstPolicySpec, ledger: &Ledger, claims: &[Claim], world: &World<'_>) -> Plan {
    let mut round = Round::begin(spec, ledger, claims, world);
    round.observe();
    round.adopt();
    round.grant();
    round.finish(ledger)
}

/// As [`plan`], for a scheduler that burst cannot configure: nothing makes it lean to real nodes, and to its scores an empty
/// virtual node is the best there is. So an auto pod waits, as a localPrefer one does, until it was found unschedulable.
pub fn plan_real_first(spec: &BurstPolicySpec, ledger: &Ledger, claims: &[Claim], world: &World<'_>) -> Plan {
    let autoscaler_seconds = spec.wait.autoscaler_seconds.or(Some(0));
    let spec = BurstPolicySpec { wait: Wait { autoscaler_seconds, ..spec.wait.clone() }, ..spec.clone() };
    plan(&spec, ledger, claims, world)
}
