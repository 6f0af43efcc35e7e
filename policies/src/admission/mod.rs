//! What the admission webhook answers, as values: a JSON Patch and warnings, or a refusal.
//!
//! Merges into what the user wrote and never replaces it; a conflict is refused with both fields named. Idempotent:
//! an object that passes twice is as it was after the first time. No look-ups: the caller resolves the policy.

mod affinity;
mod governance;
mod patch;
mod pod;
mod refusal;
mod resize;
#[cfg(test)]
mod tests;
mod tolerations;
mod topology;
mod workload;

use std::collections::BTreeSet;

pub use affinity::overlooked;
pub use governance::Governance;
pub use patch::PatchOp;
pub use pod::admit_pod;
pub use refusal::Refusal;
pub use resize::{Resize, admit_resize};
pub use workload::admit_workload;

use crate::daemons::Beside;

/// What to do instead of a burst policy on a DaemonSet.
const DAEMON_REMEDY: &str =
    "a DaemonSet has one pod per node and cannot burst: use off, or run the pods from a Deployment";

/// How this cluster wants pods admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether the scheduler declares the marker resources (`managedResources`, `ignoredByScheduler`).
    pub marker: bool,
    /// Whether some place is sold out now: what is open at admission may be refused when the pod is placed.
    pub sold_out: bool,
    /// Whether `auto` pods are left to the scheduler's taint score for now: real nodes have so much room that the extender's
    /// answer ([`crate::decide::score::DECISIVE`]) would say the same.
    pub spare_call: bool,
    /// Whether the providers in use need a container that asks for CPU (CCI does).
    pub cpu_required: bool,
    /// What a burst pod without any request asks for.
    pub default_request: Option<DefaultRequest>,
    /// Label keys that at least one virtual node carries; none if no virtual node is known.
    pub virtual_labels: Option<BTreeSet<String>>,
    /// The providers of the virtual nodes that the pod could go to, where they do not judge it alike.
    pub providers: Providers,
    /// The virtual nodes that the pod could go to and whose provider can run it.
    pub virtual_nodes: BTreeSet<String>,
    /// The DaemonSets that the pod gets beside it in the cloud.
    pub beside: Beside,
}

/// Values of the provider taint, apart by whether the provider can run the pod; both empty where all can or none can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Providers {
    /// These can.
    pub able: BTreeSet<String>,
    /// These cannot.
    pub unable: BTreeSet<String>,
}

impl Settings {
    /// Whether some virtual node carries the label; unknown without virtual nodes.
    fn virtual_nodes_have(&self, key: &str) -> Option<bool> {
        self.virtual_labels.as_ref().map(|labels| labels.contains(key))
    }
}

/// A request for pods that have none, as quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRequest {
    /// For example `500m`.
    pub cpu: String,
    /// For example `1Gi`.
    pub memory: String,
}

/// An object admitted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// What to change; empty for nothing.
    pub patch: Vec<PatchOp>,
    /// What to tell the user.
    pub warnings: Vec<String>,
}
