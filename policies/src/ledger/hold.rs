//! Why a pod waits, with constant texts. Codes are metric labels, keys of a policy's `status.heldBack` and reasons of
//! events: never rename one.

use serde::{Serialize, Serializer};

/// Why a pod has no grant now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hold {
    /// `wait.beforeBurstSeconds` is not over.
    WaitBeforeBurst,
    /// localPrefer, and the scheduler has not yet found that no real node takes the pod.
    LocalFirst,
    /// `wait.autoscalerSeconds` is not over.
    WaitAutoscaler,
    /// `preemptBeforeBurst`, and preemption has not been tried.
    WaitPreemption,
    /// Every tier in the cloud that could take the pod is at its ceiling.
    TierLimit,
    /// `max.cloud` is reached.
    CloudLimit,
    /// The ceiling on real nodes is reached, and the pod may not go to the cloud.
    LocalLimit,
    /// A budget does not cover the pod.
    BudgetReached,
    /// There is a budget and no price in its currency for the places that could take the pod.
    NoPrice,
    /// The cloud has sold out the pod's size in every place that the tiers allow.
    SoldOut,
    /// No virtual node that is ready belongs to the policy's tiers.
    NoVirtualNode,
    /// Fewer pods of the group exist than the gang needs.
    GangIncomplete,
    /// There is no side with room for the whole gang.
    GangTooLarge,
    /// An earlier grant of the same pod is not yet confirmed gone.
    Closing,
    /// The policy is off, and the pod is on a virtual node or behind a ceiling that is reached.
    PolicyOff,
    /// A quantity in the policy's limits cannot be read.
    BadPolicy,
}

impl Hold {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::WaitBeforeBurst,
        Self::LocalFirst,
        Self::WaitAutoscaler,
        Self::WaitPreemption,
        Self::TierLimit,
        Self::CloudLimit,
        Self::LocalLimit,
        Self::BudgetReached,
        Self::NoPrice,
        Self::SoldOut,
        Self::NoVirtualNode,
        Self::GangIncomplete,
        Self::GangTooLarge,
        Self::Closing,
        Self::PolicyOff,
        Self::BadPolicy,
    ];

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::WaitBeforeBurst => {
                ("WaitBeforeBurst", "burst: waits before it may go to the cloud (wait.beforeBurstSeconds)")
            }
            Self::LocalFirst => {
                ("LocalFirst", "burst: real nodes first; the scheduler has not found them full for this pod")
            }
            Self::WaitAutoscaler => {
                ("WaitAutoscaler", "burst: gives an autoscaler time to add nodes (wait.autoscalerSeconds)")
            }
            Self::WaitPreemption => {
                ("WaitPreemption", "burst: preemption on real nodes is tried first (preemptBeforeBurst)")
            }
            Self::TierLimit => {
                ("TierLimit", "burst: every tier in the cloud that fits is at its ceiling (tiers[].max)")
            }
            Self::CloudLimit => ("CloudLimit", "burst: the ceiling in the cloud is reached (max.cloud)"),
            Self::LocalLimit => ("LocalLimit", "burst: the ceiling on real nodes is reached (max.local)"),
            Self::BudgetReached => ("BudgetReached", "burst: the budget does not cover this pod (budget)"),
            Self::NoPrice => {
                ("NoPrice", "burst: no price for this pod in the budget's currency; add it to the price book")
            }
            Self::SoldOut => ("SoldOut", "burst: the cloud has sold out this size in every allowed place"),
            Self::NoVirtualNode => {
                ("NoVirtualNode", "burst: no virtual node that is ready belongs to the policy's tiers")
            }
            Self::GangIncomplete => ("GangIncomplete", "burst: waits for the other pods of its group (gang)"),
            Self::GangTooLarge => ("GangTooLarge", "burst: no side has room for the whole group (gang)"),
            Self::Closing => ("Closing", "burst: an earlier instance of this pod is not yet confirmed gone"),
            Self::PolicyOff => ("PolicyOff", "burst: policy off keeps the pod out of the cloud"),
            Self::BadPolicy => ("BadPolicy", "burst: a quantity in the policy's limits cannot be read"),
        }
    }

    /// Stable name for metrics, events and the API.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// Whether it is said in an event. Every pod that may run on real nodes begins with these, so that is no news.
    pub const fn is_news(self) -> bool {
        !matches!(self, Self::LocalFirst)
    }

    /// Constant text for events, without numbers.
    pub const fn text(self) -> &'static str {
        self.row().1
    }
}

impl Serialize for Hold {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_texts_are_distinct_and_constant() {
        let codes: BTreeSet<_> = Hold::ALL.iter().map(|h| h.code()).collect();
        let texts: BTreeSet<_> = Hold::ALL.iter().map(|h| h.text()).collect();
        assert_eq!((codes.len(), texts.len()), (Hold::ALL.len(), Hold::ALL.len()));
        for hold in Hold::ALL {
            assert_eq!(hold.code(), format!("{hold:?}"));
            assert!(hold.text().starts_with("burst: ") && hold.text().len() < 100, "{}", hold.text());
        }
    }
}
