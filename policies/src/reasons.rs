//! Every reason for which burst says no to a node or sends a pod somewhere, with its constant text.
//!
//! The scheduler groups equal texts and truncates its event, so texts are short, constant and carry no numbers;
//! numbers belong into the sentences of [`crate::decide`]. Codes are metric labels and API values: never rename one.

use serde::{Serialize, Serializer};

/// Why a node does not take a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The node's Ready condition is not True.
    NotReady,
    /// `spec.unschedulable`.
    Cordoned,
    /// A taint that the pod does not tolerate.
    UntoleratedTaint,
    /// `nodeSelector` or required node affinity does not match.
    SelectorMismatch,
    /// The node has its limit of pods.
    ShortOfPods,
    /// Not enough CPU is free.
    ShortOfCpu,
    /// Not enough memory is free.
    ShortOfMemory,
    /// Not enough ephemeral storage is free.
    ShortOfEphemeralStorage,
    /// Not enough GPUs are free.
    ShortOfGpu,
    /// A real node has room, and the policy is localPrefer.
    LocalRoomFree,
    /// The policy is off: no virtual node.
    PolicyOff,
    /// The policy is enforce: no real node.
    PolicyEnforce,
    /// There is no real node at all.
    NoRealNode,
    /// There is no virtual node at all.
    NoVirtualNode,
    /// The cloud sells nothing that large.
    ShapeTooLarge,
    /// The provider cannot honour a field of the pod.
    UnsupportedField,
    /// The provider needs a CPU request and the pod has none.
    NoCpuRequest,
    /// The cloud has no room for the pod's size in the node's zone.
    SoldOut,
    /// The policy object that governs the pod has not granted it this node.
    NotGranted,
    /// The node is not in the snapshot.
    UnknownNode,
    /// The snapshot is not synced or too old to decide on.
    StaleCache,
}

impl Reason {
    /// Every reason, in the order in which a node is judged.
    pub const ALL: [Self; 21] = [
        Self::NotReady,
        Self::Cordoned,
        Self::UntoleratedTaint,
        Self::SelectorMismatch,
        Self::ShortOfPods,
        Self::ShortOfCpu,
        Self::ShortOfMemory,
        Self::ShortOfEphemeralStorage,
        Self::ShortOfGpu,
        Self::LocalRoomFree,
        Self::PolicyOff,
        Self::PolicyEnforce,
        Self::NoRealNode,
        Self::NoVirtualNode,
        Self::ShapeTooLarge,
        Self::UnsupportedField,
        Self::NoCpuRequest,
        Self::SoldOut,
        Self::NotGranted,
        Self::UnknownNode,
        Self::StaleCache,
    ];

    /// Code, short phrase ("3 short of cpu") and full text.
    const fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NotReady => ("NotReady", "not ready", "burst: the node is not ready"),
            Self::Cordoned => ("Cordoned", "cordoned", "burst: the node is cordoned"),
            Self::UntoleratedTaint => (
                "UntoleratedTaint",
                "with a taint the pod does not tolerate",
                "burst: the pod does not tolerate a taint of the node",
            ),
            Self::SelectorMismatch => (
                "SelectorMismatch",
                "not matching nodeSelector or node affinity",
                "burst: the node does not match the pod's nodeSelector or node affinity",
            ),
            Self::ShortOfPods => ("ShortOfPods", "at their pod limit", "burst: the node is at its pod limit"),
            Self::ShortOfCpu => ("ShortOfCpu", "short of cpu", "burst: the node is short of cpu"),
            Self::ShortOfMemory => ("ShortOfMemory", "short of memory", "burst: the node is short of memory"),
            Self::ShortOfEphemeralStorage => (
                "ShortOfEphemeralStorage",
                "short of ephemeral storage",
                "burst: the node is short of ephemeral storage",
            ),
            Self::ShortOfGpu => ("ShortOfGpu", "short of GPUs", "burst: the node is short of GPUs"),
            Self::LocalRoomFree => (
                "LocalRoomFree",
                "held back while a real node has room",
                "burst: policy localPrefer and a real node has room",
            ),
            Self::PolicyOff => {
                ("PolicyOff", "closed by policy off", "burst: policy off keeps the pod off virtual nodes")
            }
            Self::PolicyEnforce => (
                "PolicyEnforce",
                "closed by policy enforce",
                "burst: policy enforce keeps the pod off real nodes",
            ),
            Self::NoRealNode => ("NoRealNode", "no real node", "burst: the cluster has no real node"),
            Self::NoVirtualNode => {
                ("NoVirtualNode", "no virtual node", "burst: the cluster has no virtual node")
            }
            Self::ShapeTooLarge => {
                ("ShapeTooLarge", "without a size that large", "burst: the cloud sells no size that large")
            }
            Self::UnsupportedField => (
                "UnsupportedField",
                "unable to honour a field of the pod",
                "burst: the provider cannot honour a field of the pod",
            ),
            Self::NoCpuRequest => (
                "NoCpuRequest",
                "in need of a cpu request",
                "burst: the provider needs one container with a cpu request",
            ),
            Self::SoldOut => (
                "SoldOut",
                "sold out of this size",
                "burst: the cloud has sold out this size in the node's zone",
            ),
            Self::NotGranted => (
                "NotGranted",
                "held back by the policy object",
                "burst: the policy object has not granted the pod this node",
            ),
            Self::UnknownNode => ("UnknownNode", "not known yet", "burst: the node is not in the cache yet"),
            Self::StaleCache => {
                ("StaleCache", "judged on a stale cache", "burst: the node cache is not synced or too old")
            }
        }
    }

    /// Stable name for metrics and the API.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// Phrase that follows a count: `3 short of cpu`.
    pub const fn phrase(self) -> &'static str {
        self.row().1
    }

    /// Constant text for the scheduler (`FailedAndUnresolvableNodes`) and events.
    pub const fn text(self) -> &'static str {
        self.row().2
    }

    /// Whether waiting cannot help: only another pod spec or another cloud can.
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::ShapeTooLarge | Self::UnsupportedField | Self::NoCpuRequest)
    }

    /// Whether the node lacks an amount of something, and nothing else.
    pub const fn is_shortage(self) -> bool {
        matches!(
            self,
            Self::ShortOfPods
                | Self::ShortOfCpu
                | Self::ShortOfMemory
                | Self::ShortOfEphemeralStorage
                | Self::ShortOfGpu
        )
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_texts_are_distinct_and_short() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        let texts: BTreeSet<_> = Reason::ALL.iter().map(|r| r.text()).collect();
        assert_eq!((codes.len(), texts.len()), (Reason::ALL.len(), Reason::ALL.len()));
        for reason in Reason::ALL {
            assert_eq!(reason.code(), format!("{reason:?}"));
            assert!(reason.text().starts_with("burst: ") && reason.text().len() < 80, "{}", reason.text());
            assert!(!reason.text().contains(|c: char| c.is_ascii_digit()), "{}", reason.text());
        }
    }
}
