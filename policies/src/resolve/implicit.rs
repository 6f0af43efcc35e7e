//! Pods that choose virtual nodes by themselves, without any label.
//!
//! The vendors' manuals teach `nodeName`, `nodeSelector: {type: virtual-kubelet}` and tolerations of the provider
//! taint; all are respected. What admission itself wrote earlier looks the same, so the recorded policy and source
//! decide then: a pod that passes admission twice resolves as it did the first time.

use super::{Resolved, Source};
use crate::{
    keys,
    node::{NodeClass, TaintEffect},
    pod::PodFacts,
    policy::Policy,
    selector::{Requirement, Term, Toleration},
};

/// Where a pod insists on a virtual node.
pub fn insists(pod: &PodFacts, class_of: impl Fn(&str) -> Option<NodeClass>) -> Option<Source> {
    if pod.node_name.as_deref().and_then(class_of) == Some(NodeClass::Virtual) {
        return Some(Source::NodeName);
    }
    if selector_confines(pod) {
        return Some(Source::NodeSelector);
    }
    affinity_confines(pod).then_some(Source::NodeAffinity)
}

/// What the pod chooses by itself, if anything.
pub(super) fn choice(pod: &PodFacts, class_of: impl Fn(&str) -> Option<NodeClass>) -> Option<Resolved> {
    if pod.node_name.as_deref().and_then(&class_of) == Some(NodeClass::Real) {
        return Some(Resolved { policy: Policy::Off, source: Source::NodeName, provider: None });
    }
    if let Some(source) = insists(pod, class_of) {
        let source = recorded(pod, |p| p == Policy::Enforce).map_or(source, |(_, source)| source);
        return Some(Resolved { policy: Policy::Enforce, source, provider: None });
    }
    if !names_our_taint(pod) {
        return None;
    }
    let granted = recorded(pod, |p| matches!(p, Policy::Auto | Policy::LocalPrefer));
    let (policy, source) = granted.unwrap_or((Policy::Auto, Source::Toleration));
    Some(Resolved { policy, source, provider: None })
}

/// The policy and source that admission wrote on the pod before.
fn recorded(pod: &PodFacts, wanted: impl Fn(Policy) -> bool) -> Option<(Policy, Source)> {
    let policy = pod.recorded_policy().filter(|p| wanted(*p))?;
    let source = pod.annotations.get(keys::POLICY_SOURCE)?;
    Some((policy, Source::Recorded(source.clone())))
}

/// Whether `nodeSelector` itself asks for virtual nodes.
pub fn selector_confines(pod: &PodFacts) -> bool {
    pod.node_selector.get(keys::NODE_TYPE).is_some_and(|v| v == keys::NODE_TYPE_VIRTUAL)
}

/// Whether every required node affinity term that can match asks for virtual nodes.
pub fn affinity_confines(pod: &PodFacts) -> bool {
    let terms = pod.required_terms.as_deref().unwrap_or(&[]);
    let mut filled = terms.iter().filter(|t| !t.is_empty()).peekable();
    filled.peek().is_some() && filled.all(term_confines)
}

/// Whether a term matches virtual nodes only.
pub fn term_confines(term: &Term) -> bool {
    let only_virtual = |r: &Requirement| {
        r.operator == "In" && !r.values.is_empty() && r.values.iter().all(|v| v == keys::NODE_TYPE_VIRTUAL)
    };
    type_requirements(term).any(only_virtual)
}

/// Whether a term can never match a virtual node.
pub fn term_excludes(term: &Term) -> bool {
    type_requirements(term).any(|r| !r.matches(Some(keys::NODE_TYPE_VIRTUAL)))
}

fn type_requirements(term: &Term) -> impl Iterator<Item = &Requirement> {
    term.match_expressions.iter().filter(|r| r.key == keys::NODE_TYPE)
}

/// Whether a toleration names the provider taint and lets the pod past it.
pub fn names_our_taint(pod: &PodFacts) -> bool {
    pod.tolerations.iter().any(|t| t.key == keys::TAINT_PROVIDER && t.has_effect(TaintEffect::NoSchedule))
}

/// Whether the pod's own tolerations let it past the provider taint, by name or wholesale.
pub fn gets_in(pod: &PodFacts) -> bool {
    let blanket = |t: &Toleration| t.is_blanket() && t.has_effect(TaintEffect::NoSchedule);
    names_our_taint(pod) || pod.tolerations.iter().any(blanket)
}
