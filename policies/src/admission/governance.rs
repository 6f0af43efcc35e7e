//! What a policy object asks of admission: which pods it holds back until the leader grants, and how.
//!
//! A pod that is held back has no provider toleration of burst's, so no virtual node takes it, and it stays an ordinary
//! pending pod that autoscalers see. A gate is added only where the toleration is not enough: where the node affinity has
//! to be written before the pod is scheduled, or where the pod tolerates the provider taint by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{patch::Draft, tolerations};
use crate::{
    burst_policy::{BurstPolicySpec, Limit, PolicyObject, Side, SideLimits, Tier, Wait},
    daemons::Beside,
    keys,
    pod::PodFacts,
    policy::Policy,
    resolve::implicit,
};

/// What the policy object that speaks for a pod asks of admission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Governance {
    /// The object: `BurstPolicy/shop/web`, `ClusterBurstPolicy/all`.
    pub policy: String,
    /// The way into the cloud is limited, delayed or ordered: the toleration is withheld until the leader grants.
    pub holds_back: bool,
    /// Nor may a pod be put on a real node before the leader has decided: it gets the scheduling gate.
    pub gates: bool,
    /// Spread constraints and anti-affinity are rewritten so that a virtual node does not count as one host.
    pub rewrites_topology: bool,
}

impl Governance {
    /// What this object asks.
    pub fn of(object: &PolicyObject) -> Self {
        Self {
            policy: object.key.clone(),
            holds_back: object.spec.holds_back(),
            gates: object.spec.gates(),
            rewrites_topology: object.spec.rewrite_topology,
        }
    }

    /// What holds under the toleration driver: no scheduler of ours prefers real nodes, so a pod that has both kinds is
    /// opened by the leader, after it was found unschedulable. An object that speaks for it keeps its name.
    #[must_use]
    pub fn by_driver(object: Option<Self>, policy: Policy) -> Option<Self> {
        match policy {
            Policy::Auto | Policy::LocalPrefer => {
                let named =
                    object.unwrap_or_else(|| Self { policy: keys::DRIVER.to_owned(), ..Self::default() });
                Some(Self { holds_back: true, ..named })
            }
            Policy::Off | Policy::Enforce => object,
        }
    }
}

impl BurstPolicySpec {
    /// Whether pods need a grant before they may burst: something limits, delays or orders their way, or leads them back.
    pub fn holds_back(&self) -> bool {
        let Self { max, tiers, budget, wait, preempt_before_burst, gang, repatriation, .. } = self;
        *max != SideLimits::default()
            || tiers.iter().any(Tier::chooses)
            || budget.is_some()
            || *wait != Wait::default()
            || *preempt_before_burst
            || gang.is_some()
            || repatriation.is_some()
    }

    /// Whether pods need a decision before they are scheduled at all: ceilings on real nodes and gangs are kept by node
    /// affinity, which only a gated pod can still get.
    pub fn gates(&self) -> bool {
        let local = |side: Side, max: &Limit| side == Side::Local && *max != Limit::default();
        self.gang.is_some()
            || local(Side::Local, &self.max.local)
            || self.tiers.iter().any(|tier| local(tier.side, &tier.max))
    }
}

impl Tier {
    /// Whether it has a ceiling, or names places in the cloud.
    fn chooses(&self) -> bool {
        let places = self.provider.is_some() || !self.zones.is_empty() || !self.node_selector.is_empty();
        self.max != Limit::default() || (self.side == Side::Cloud && places)
    }
}

/// Withholds the provider toleration. What the in-process policy wrote earlier in the same admission is taken back; who
/// tolerates the taint by itself keeps what it wrote and is gated instead.
pub(super) fn hold_back(draft: &mut Draft, pod: &PodFacts, gates: bool) {
    let own = tolerations::take_back(draft, pod);
    if gates || implicit::gets_in(&own) {
        gate(draft, pod);
    }
}

fn gate(draft: &mut Draft, pod: &PodFacts) {
    if !pod.scheduling_gates.iter().any(|name| name == keys::GATE) {
        draft.push(&["spec", "schedulingGates"], json!({ "name": keys::GATE }));
    }
}

/// Names the object on the pod, and marks the pod as one that waits for grants. Marks that are not true are taken off:
/// the leader and the bridge go by them.
pub(super) fn record(draft: &mut Draft, governance: Option<&Governance>, held_back: bool) {
    let (annotation, label) =
        (["metadata", "annotations", keys::BURST_POLICY], ["metadata", "labels", keys::GOVERNED]);
    match governance {
        Some(governance) => draft.set(&annotation, Value::from(governance.policy.as_str())),
        None => draft.remove(&annotation),
    }
    if held_back {
        draft.set(&label, Value::from(GOVERNED));
    } else {
        draft.remove(&label);
    }
}

/// Names the providers that cannot run the pod, for the leader. What is not true is taken off.
pub(super) fn record_unable(draft: &mut Draft, unable: Option<&BTreeSet<String>>) {
    let annotation = ["metadata", "annotations", keys::UNSUPPORTED_BY];
    match unable.filter(|unable| !unable.is_empty()) {
        Some(unable) => {
            let names: Vec<&str> = unable.iter().map(String::as_str).collect();
            draft.set(&annotation, Value::from(names.join(",")));
        }
        None => draft.remove(&annotation),
    }
}

/// Names the DaemonSets beside the pod and what they ask for. What is not true is taken off: sizes and money go by it.
pub(super) fn record_beside(draft: &mut Draft, beside: Option<&Beside>) {
    for (key, value) in beside.map_or_else(|| Beside::default().written(), Beside::written) {
        let annotation = ["metadata", "annotations", key];
        match value {
            Some(value) => draft.set(&annotation, Value::from(value)),
            None => draft.remove(&annotation),
        }
    }
}

/// The value of the label [`keys::GOVERNED`].
const GOVERNED: &str = "true";
