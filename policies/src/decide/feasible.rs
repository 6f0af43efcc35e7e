//! Whether a pod could run on a node, for explanations and for the rules that depend on local room.
//!
//! Not a second scheduler: it judges what a node row tells (readiness, cordon, taints, selectors, resources) and
//! says through [`PodFacts::unjudged`] what it cannot judge. The order of checks is the order of [`Reason::ALL`].

use crate::{
    keys,
    node::{NodeClass, NodeRow, Taint, TaintEffect},
    pod::PodFacts,
    policy::Policy,
    reasons::Reason,
    resources::Resources,
    selector,
};

pub(super) const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";
pub(super) const CORDON_TAINT: &str = "node.kubernetes.io/unschedulable";

/// The first thing that keeps the pod off the node; `None` if nothing does.
pub fn obstacle(pod: &PodFacts, policy: Policy, node: &NodeRow) -> Option<Reason> {
    class_obstacle(policy, node.class)
        .or_else(|| state_obstacle(pod, node))
        .or_else(|| taint_obstacle(pod, node))
        .or_else(|| {
            let selected = selector::selects(&pod.node_selector, pod.required_terms.as_deref(), node);
            (!selected).then_some(Reason::SelectorMismatch)
        })
        .or_else(|| shortage(pod.requests, node.free()))
}

/// Whether the policy closes the whole class of nodes.
pub const fn class_obstacle(policy: Policy, class: NodeClass) -> Option<Reason> {
    match (policy, class) {
        (Policy::Off, NodeClass::Virtual) => Some(Reason::PolicyOff),
        (Policy::Enforce, NodeClass::Real) => Some(Reason::PolicyEnforce),
        _ => None,
    }
}

pub(super) fn state_obstacle(pod: &PodFacts, node: &NodeRow) -> Option<Reason> {
    if !node.ready && !tolerates(pod, NOT_READY_TAINT) {
        return Some(Reason::NotReady);
    }
    (node.unschedulable && !tolerates(pod, CORDON_TAINT)).then_some(Reason::Cordoned)
}

/// Whether the pod tolerates a NoSchedule taint without a value.
pub(super) fn tolerates(pod: &PodFacts, key: &str) -> bool {
    let taint = Taint { key: key.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
    pod.tolerations.iter().any(|t| t.tolerates(&taint))
}

/// The node's hard taints that the pod does not tolerate.
pub(super) fn untolerated<'n>(pod: &PodFacts, node: &'n NodeRow) -> impl Iterator<Item = &'n Taint> {
    let hard = node.taints.iter().filter(|t| t.effect != TaintEffect::PreferNoSchedule);
    hard.filter(|taint| !tolerated(pod, taint))
}

fn taint_obstacle(pod: &PodFacts, node: &NodeRow) -> Option<Reason> {
    untolerated(pod, node).next().map(|taint| match taint.key.as_str() {
        NOT_READY_TAINT => Reason::NotReady,
        CORDON_TAINT => Reason::Cordoned,
        _ => Reason::UntoleratedTaint,
    })
}

/// The provider taint is the door that the policy opens: as long as the pod says nothing about it, a policy that
/// allows virtual nodes counts as the toleration that admission grants.
fn tolerated(pod: &PodFacts, taint: &Taint) -> bool {
    let granted = taint.key == keys::TAINT_PROVIDER && !pod.tolerations.iter().any(|t| t.key == taint.key);
    granted || pod.tolerations.iter().any(|t| t.tolerates(taint))
}

/// The first resource of which less is free than the pod needs.
pub const fn shortage(need: Resources, free: Resources) -> Option<Reason> {
    if need.pods > free.pods {
        Some(Reason::ShortOfPods)
    } else if need.cpu_milli > free.cpu_milli {
        Some(Reason::ShortOfCpu)
    } else if need.memory_bytes > free.memory_bytes {
        Some(Reason::ShortOfMemory)
    } else if need.ephemeral_storage_bytes > free.ephemeral_storage_bytes {
        Some(Reason::ShortOfEphemeralStorage)
    } else if need.gpu > free.gpu {
        Some(Reason::ShortOfGpu)
    } else {
        None
    }
}

/// Whether some real node has room for the pod now. Stops at the first.
pub fn real_node_has_room<'n>(pod: &PodFacts, nodes: impl IntoIterator<Item = &'n NodeRow>) -> bool {
    nodes
        .into_iter()
        .filter(|node| node.class == NodeClass::Real)
        .any(|node| obstacle(pod, Policy::Off, node).is_none())
}
