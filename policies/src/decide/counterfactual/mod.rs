//! The smallest changes that would decide otherwise (DESIGN 4.5), found by search and checked by deciding again.
//!
//! Every [`Alternative`] holds: with its changes the outcome is of the class it names, and with any of them left out, or
//! an amount smaller by one unit, it is not. Two searches: over nodes ([`nodes`]: a node's obstacles are independent of
//! each other, so a node needs all of its repairs and nothing else does) and over knobs ([`knobs`]: limits, money, time,
//! which only a full plan can judge). Alternatives come nearest first by [`Change::weight`].

pub mod knobs;
pub mod nodes;

use serde::Serialize;

use super::{Class, sentence};
use crate::{money::Money, node::Taint, policy::Policy, resources::Resources};

/// One thing that could be different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Change {
    /// More is free on a node.
    Room {
        /// The node.
        node: String,
        /// What it lacks, resource by resource.
        lacks: Resources,
        /// What the pod asks for, to measure what is lacking.
        #[serde(skip)]
        asked: Resources,
    },
    /// A taint is taken off a node.
    Untaint {
        /// The node.
        node: String,
        /// The taint.
        taint: Taint,
    },
    /// A node is uncordoned.
    Uncordon {
        /// The node.
        node: String,
    },
    /// A node becomes ready.
    Ready {
        /// The node.
        node: String,
    },
    /// A node's label has a value, or is not there.
    Label {
        /// The node.
        node: String,
        /// Label key.
        key: String,
        /// The value; none if the label must go.
        value: Option<String>,
    },
    /// The pod has another policy.
    Policy {
        /// Which.
        to: Policy,
    },
    /// A ceiling is higher.
    Limit {
        /// Tier, or `local` or `cloud` for a side.
        name: String,
        /// Whether `name` is a tier.
        tier: bool,
        /// What is counted.
        what: Counted,
        /// By how much: pods, GPUs, thousandths of a core, bytes.
        by: u64,
        /// The ceiling now.
        now: u64,
    },
    /// A budget is higher.
    Budget {
        /// Which.
        window: Window,
        /// By how much.
        by: Money,
        /// The budget now.
        now: Money,
        /// Currency.
        currency: String,
    },
    /// Time passes and nothing else happens.
    Wait {
        /// How much.
        seconds: u64,
    },
    /// The scheduler finds that no real node takes the pod.
    FoundUnschedulable,
    /// Preemption on real nodes was tried.
    PreemptionTried,
    /// The cloud has the size again.
    InStock {
        /// The virtual node.
        node: String,
        /// The zone; empty if the node has none.
        zone: String,
        /// The class of size, see [`crate::stock`].
        class: String,
    },
    /// Another policy object has a higher priority, and governs the pod.
    Priority {
        /// The object's key.
        object: String,
        /// Its priority then.
        to: i32,
    },
}

/// What a ceiling counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// Pods.
    Pods,
    /// Thousandths of a core.
    Cpu,
    /// Bytes.
    Memory,
    /// Devices.
    Gpu,
}

/// Which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// `perHour`.
    Hour,
    /// `perDay`.
    Day,
    /// `perMonth`.
    Month,
}

/// Changes that together decide otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// The class of the outcome then.
    pub becomes: Class,
    /// What has to be different, all of it.
    pub changes: Vec<Change>,
    /// For people: `would have stayed local if 380m more cpu were free on node-2`.
    pub sentence: String,
}

/// What an operator's switch counts: as much as the whole of what a pod asks for, or doubling a ceiling.
const SWITCH: u128 = 1000;

impl Change {
    /// How far away it is, in thousandths: of what the pod asks for (room), of the ceiling (limits and budgets). What
    /// comes by itself is nearest; a switch that somebody has to throw counts 1000.
    pub fn weight(&self) -> u128 {
        match self {
            Self::Room { lacks, asked, .. } => share_of(*lacks, *asked),
            Self::Limit { by, now, .. } => share(u128::from(*by), u128::from(*now)),
            Self::Budget { by, now, .. } => share(by.as_nano().unsigned_abs(), now.as_nano().unsigned_abs()),
            // A day is a switch.
            Self::Wait { seconds } => u128::from(*seconds) * SWITCH / 86_400,
            Self::FoundUnschedulable | Self::PreemptionTried => SWITCH / 10,
            Self::Untaint { .. } | Self::Uncordon { .. } | Self::Ready { .. } | Self::Label { .. } => SWITCH,
            Self::InStock { .. } | Self::Priority { .. } => SWITCH,
            Self::Policy { .. } => 2 * SWITCH,
        }
    }

    /// Alternatives that need the same kinds of change are rivals, of which only the nearest is told.
    const fn kind(&self) -> u8 {
        match self {
            Self::Room { .. } => 0,
            Self::Untaint { .. } => 1,
            Self::Uncordon { .. } => 2,
            Self::Ready { .. } => 3,
            Self::Label { .. } => 4,
            Self::Policy { .. } => 5,
            Self::Limit { .. } => 6,
            Self::Budget { .. } => 7,
            Self::Wait { .. } => 8,
            Self::FoundUnschedulable => 9,
            Self::PreemptionTried => 10,
            Self::InStock { .. } => 11,
            Self::Priority { .. } => 12,
        }
    }
}

fn share_of(lacks: Resources, asked: Resources) -> u128 {
    let of = |lack: u64, asked: u64| share(u128::from(lack), u128::from(asked));
    of(lacks.cpu_milli, asked.cpu_milli)
        + of(lacks.memory_bytes, asked.memory_bytes)
        + of(lacks.ephemeral_storage_bytes, asked.ephemeral_storage_bytes)
        + of(lacks.gpu, asked.gpu)
        + of(lacks.pods, asked.pods)
}

const fn share(part: u128, whole: u128) -> u128 {
    let whole = if whole == 0 { 1 } else { whole };
    part.saturating_mul(SWITCH).div_ceil(whole)
}

impl Alternative {
    /// An alternative to an outcome of class `from`.
    pub(super) fn new(from: Class, becomes: Class, changes: Vec<Change>) -> Self {
        let sentence = sentence::alternative(from, becomes, &changes);
        Self { becomes, changes, sentence }
    }

    /// Sum of the weights.
    pub fn weight(&self) -> u128 {
        self.changes.iter().map(Change::weight).fold(0, u128::saturating_add)
    }

    fn kinds(&self) -> Vec<u8> {
        let mut kinds: Vec<u8> = self.changes.iter().map(Change::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// Nearest first. Of alternatives to the same class, one that needs several kinds of change is left out where some of
/// its kinds are enough, and of those with the same kinds only the nearest is told.
pub(super) fn ranked(mut all: Vec<Alternative>) -> Vec<Alternative> {
    all.sort_by_cached_key(|a| (a.kinds().len(), a.weight(), a.changes.len(), a.sentence.clone()));
    let mut kept: Vec<Alternative> = Vec::new();
    for each in all {
        let kinds = each.kinds();
        let enough = |k: &Alternative| k.kinds().iter().all(|kind| kinds.contains(kind));
        if !kept.iter().any(|k| k.becomes == each.becomes && enough(k)) {
            kept.push(each);
        }
    }
    kept.sort_by_cached_key(|a| (a.weight(), a.sentence.clone()));
    kept
}
