//! What the providers of the virtual nodes that a pod could go to cannot run.
//!
//! There is a support matrix for CCI. A virtual node of another provider may be able to run anything, so as soon as the
//! pod could go to one, nothing is refused for CCI's sake; and where no virtual node is known nothing is refused either.
//! Filter and the bridge still check node by node.

use cluster::Snapshot;
use policies::keys;
use policies::node::{NodeRow, TaintEffect};
use policies::pod::PodFacts;
use policies::selector::selects;
use policies::support::{self, HUAWEI, Unsupported};
use serde_json::Value;

/// Whether CCI's rules bind the pod: every virtual node that it could go to is CCI's, and there is one. `provider` is the
/// one that its policy's own key names.
pub(super) fn only_cci(snapshot: &Snapshot, provider: Option<&str>, pod: &PodFacts) -> bool {
    let mut open = snapshot.virtual_nodes().filter(|node| could_go(node, provider, pod)).peekable();
    open.peek().is_some() && open.all(|node| node.provider.as_deref() == Some(HUAWEI))
}

/// What of a pod, or of a pod template, none of the providers that it could go to can run.
pub(super) fn unsupported(
    snapshot: &Snapshot,
    provider: Option<&str>,
    pod: &PodFacts,
    object: &Value,
) -> Vec<Unsupported> {
    if only_cci(snapshot, provider, pod) { support::check(HUAWEI, object) } else { Vec::new() }
}

fn could_go(node: &NodeRow, provider: Option<&str>, pod: &PodFacts) -> bool {
    if let Some(name) = &pod.node_name {
        return node.name == *name;
    }
    provider.is_none_or(|provider| node.provider.as_deref() == Some(provider))
        && tolerated(node, pod)
        && selects(&pod.node_selector, pod.required_terms.as_deref(), node)
}

/// Whoever names the provider taint has chosen by itself; everybody else gets the toleration that opens any.
fn tolerated(node: &NodeRow, pod: &PodFacts) -> bool {
    let mut own = pod
        .tolerations
        .iter()
        .filter(|t| t.key == keys::TAINT_PROVIDER && t.has_effect(TaintEffect::NoSchedule))
        .peekable();
    let taint = node.taints.iter().find(|t| t.key == keys::TAINT_PROVIDER);
    own.peek().is_none() || taint.is_none_or(|taint| own.any(|t| t.tolerates(taint)))
}
