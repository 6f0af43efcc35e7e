//! What people read about a pod on a virtual node: event reasons and the words of a cloud's refusal.
//!
//! Reasons are those of virtual-kubelet where it has one, so that existing alerts keep working. Texts never hold secrets:
//! they are built from [`CloudError`], which promises that.

use cluster::events::{Event, EventKind, Regarding};

use super::status::Trouble;
use crate::cloud::{CloudError, PodIdentity};

/// Reason of the event on a pod that runs without a DaemonSet which asks to be replaced in the cloud.
pub(super) const NOT_REPLACED: &str = "DaemonSetNotReplaced";

/// Reasons of events on pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The instance exists.
    CreateSuccess,
    /// The cloud did not create it.
    CreateFailed,
    /// The instance is gone, as asked.
    DeleteSuccess,
    /// The cloud did not delete it.
    DeleteFailed,
    /// The instance vanished without anyone asking here.
    InstanceLost,
    /// A policy limits the pod and no ledger has an open grant for it.
    AwaitingGrant,
    /// The cloud has no room for it, and it keeps trying.
    StockOut,
    /// The cloud has no room for it, and it goes back to its controller.
    HandedBack,
}

impl Reason {
    /// As written into the event.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::CreateSuccess => "ProviderCreateSuccess",
            Self::CreateFailed => "ProviderCreateFailed",
            Self::DeleteSuccess => "ProviderDeleteSuccess",
            Self::DeleteFailed => "ProviderDeleteFailed",
            Self::InstanceLost => "ProviderInstanceLost",
            Self::AwaitingGrant => "AwaitingGrant",
            Self::StockOut => "StockOut",
            Self::HandedBack => "HandedBack",
        }
    }

    const fn kind(self) -> EventKind {
        match self {
            Self::CreateSuccess | Self::DeleteSuccess => EventKind::Normal,
            Self::AwaitingGrant => EventKind::Normal,
            Self::CreateFailed
            | Self::DeleteFailed
            | Self::InstanceLost
            | Self::StockOut
            | Self::HandedBack => EventKind::Warning,
        }
    }

    const fn action(self) -> &'static str {
        match self {
            Self::CreateSuccess | Self::CreateFailed | Self::AwaitingGrant | Self::StockOut => {
                "CreateInstance"
            }
            Self::HandedBack => "EvictPod",
            Self::DeleteSuccess | Self::DeleteFailed => "DeleteInstance",
            Self::InstanceLost => "WatchInstance",
        }
    }
}

/// An event about a pod.
pub(super) fn pod_event(pod: &PodIdentity, reason: Reason, note: String) -> Event {
    let (kind, text, action) = (reason.kind(), reason.text(), reason.action());
    Event {
        regarding: regarding(pod),
        kind,
        reason: text.to_owned(),
        action: action.to_owned(),
        note,
        from: None,
    }
}

/// What was noticed about the objects that a pod refers to; the reasons are those of virtual-kubelet.
pub(super) fn notice(pod: &PodIdentity, reason: &str, note: &str) -> Event {
    let action = Reason::CreateFailed.action().to_owned();
    Event {
        regarding: regarding(pod),
        kind: EventKind::Warning,
        reason: reason.to_owned(),
        action,
        note: note.to_owned(),
        from: None,
    }
}

/// What an event about a pod is about.
pub(super) fn regarding(pod: &PodIdentity) -> Regarding {
    Regarding { kind: "Pod", namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}

/// A refusal in words for the pod's owner.
pub(super) fn trouble(error: &CloudError) -> Trouble {
    Trouble { reason: class(error), message: error.to_string() }
}

/// One word for the kind of error; also a metric label.
pub(super) const fn class(error: &CloudError) -> &'static str {
    match error {
        CloudError::Retryable(_) => "Retryable",
        CloudError::Throttled { .. } => "Throttled",
        CloudError::Capacity(_) => "Capacity",
        CloudError::Invalid(_) => "Invalid",
        CloudError::Auth(_) => "Auth",
        CloudError::Account(_) => "Account",
        CloudError::Gone(_) => "Gone",
    }
}

/// Whether the owner can do something about it or should know at once; the others are shown when they last.
pub(super) const fn tell_at_once(error: &CloudError) -> bool {
    match error {
        CloudError::Capacity(_) | CloudError::Invalid(_) | CloudError::Auth(_) | CloudError::Account(_) => {
            true
        }
        CloudError::Retryable(_) | CloudError::Throttled { .. } | CloudError::Gone(_) => false,
    }
}
