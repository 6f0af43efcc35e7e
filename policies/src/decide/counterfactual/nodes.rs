//! What would have to be different on one node for the pod to fit there.
//!
//! A node's obstacles are independent of each other, so all of its repairs are needed and together they are enough.
//! Nodes are read, not cloned, so that thousands can be asked; only the nearest ones are repaired and judged again.

use std::collections::BTreeMap;

use super::{Alternative, Change, ranked};
use crate::{
    decide::{Class, NodeVerdict, feasible, filter::Judge, verdict},
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    reasons::Reason,
    selector::{Requirement, Term},
};

/// The nearest repairs, per kind of repair and class of node, that turn an outcome of class `from`.
pub(in crate::decide) fn search(
    pod: &PodFacts,
    policy: Policy,
    verdicts: &[NodeVerdict<'_>],
    judge: Judge<'_>,
    from: Class,
) -> Vec<Alternative> {
    let mut nearest: BTreeMap<(Class, Vec<u8>), Found<'_>> = BTreeMap::new();
    for NodeVerdict { node, obstacle } in verdicts {
        let Some(becomes) = becomes(from, node.class) else { continue };
        let Some(changes) = obstacle.and_then(|met| repairs(pod, node, met)) else { continue };
        let mut kinds: Vec<u8> = changes.iter().map(Change::kind).collect();
        kinds.dedup();
        let weight: u128 = changes.iter().map(Change::weight).sum();
        let best = nearest.entry((becomes, kinds)).or_insert((weight, node, vec![]));
        if best.2.is_empty() || (weight, &node.name) < (best.0, &best.1.name) {
            *best = (weight, node, changes);
        }
    }
    let fits = |node: &NodeRow, changes: &[Change]| {
        let mut repaired = node.clone();
        changes.iter().for_each(|change| apply(change, &mut repaired));
        verdict(pod, policy, &repaired, judge).obstacle.is_none()
    };
    let checked = nearest.into_iter().filter(|(_, (_, node, changes))| fits(node, changes));
    ranked(checked.map(|((becomes, _), (_, _, changes))| Alternative::new(from, becomes, changes)).collect())
}

/// A node with the weight of its repairs, and these.
type Found<'n> = (u128, &'n NodeRow, Vec<Change>);

/// What the outcome becomes when a node of the class takes the pod.
const fn becomes(from: Class, node: NodeClass) -> Option<Class> {
    match (from, node) {
        (Class::Cloud | Class::Wait | Class::Reject, NodeClass::Real) => Some(Class::Local),
        (Class::Wait | Class::Reject, NodeClass::Virtual) => Some(Class::Cloud),
        _ => None,
    }
}

/// Everything that would have to be different on the node, in the order in which it is judged; none where no change of
/// the node helps.
fn repairs(pod: &PodFacts, node: &NodeRow, met: Reason) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    match met {
        Reason::NotReady
        | Reason::Cordoned
        | Reason::UntoleratedTaint
        | Reason::SelectorMismatch
        | Reason::ShortOfPods
        | Reason::ShortOfCpu
        | Reason::ShortOfMemory
        | Reason::ShortOfEphemeralStorage
        | Reason::ShortOfGpu => {}
        _ => return None,
    }
    let name = || node.name.clone();
    match feasible::state_obstacle(pod, node) {
        Some(Reason::NotReady) => changes.push(Change::Ready { node: name() }),
        Some(_) => changes.push(Change::Uncordon { node: name() }),
        None => {}
    }
    let condition = |key: &str| key == feasible::NOT_READY_TAINT || key == feasible::CORDON_TAINT;
    for taint in feasible::untolerated(pod, node) {
        let change = match taint.key.as_str() {
            // They come and go with the node's own state.
            feasible::NOT_READY_TAINT => Change::Ready { node: name() },
            feasible::CORDON_TAINT => Change::Uncordon { node: name() },
            _ => Change::Untaint { node: name(), taint: taint.clone() },
        };
        if !condition(&taint.key) || !changes.contains(&change) {
            changes.push(change);
        }
    }
    // A node that is both not ready and cordoned needs both.
    let cordoned = Change::Uncordon { node: name() };
    if node.unschedulable && !feasible::tolerates(pod, feasible::CORDON_TAINT) && !changes.contains(&cordoned)
    {
        changes.push(cordoned);
    }
    changes.extend(labels(pod, node)?);
    let lacks = pod.requests.minus(node.free());
    if lacks != crate::resources::Resources::default() {
        changes.push(Change::Room { node: name(), lacks, asked: pod.requests });
    }
    Some(changes)
}

/// The labels that a node lacks for the pod's selector and for the term of its required affinity that needs the fewest;
/// none where labels cannot do it.
fn labels(pod: &PodFacts, node: &NodeRow) -> Option<Vec<Change>> {
    let own = node.labels.to_map();
    let mut labels = own.clone();
    for (key, value) in &pod.node_selector {
        labels.insert(key.clone(), value.clone());
    }
    if let Some(terms) = &pod.required_terms {
        let fitted = terms.iter().filter_map(|term| fitted(term, &node.name, &labels));
        labels = fitted.min_by_key(|fitted| differences(&own, fitted).count())?;
    }
    let change = |(key, value): (&String, Option<&String>)| Change::Label {
        node: node.name.clone(),
        key: key.clone(),
        value: value.cloned(),
    };
    Some(differences(&own, &labels).map(change).collect())
}

/// The labels with those changed that the term needs; none where no label can satisfy it.
fn fitted(term: &Term, node: &str, labels: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let mut labels = labels.clone();
    for requirement in &term.match_expressions {
        if requirement.matches(labels.get(&requirement.key).map(String::as_str)) {
            continue;
        }
        match value(requirement)? {
            Some(value) => labels.insert(requirement.key.clone(), value),
            None => labels.remove(&requirement.key),
        };
    }
    term.matches(node, |key| labels.get(key).map(String::as_str)).then_some(labels)
}

/// The value with which a requirement holds that does not hold now: `Some(None)` is no label at all.
fn value(requirement: &Requirement) -> Option<Option<String>> {
    let bound = || requirement.values.first()?.parse::<i64>().ok();
    match requirement.operator.as_str() {
        "In" => requirement.values.first().map(|value| Some(value.clone())),
        "NotIn" | "DoesNotExist" => Some(None),
        "Exists" => Some(Some("true".to_owned())),
        "Gt" => bound().and_then(|b| b.checked_add(1)).map(|b| Some(b.to_string())),
        "Lt" => bound().and_then(|b| b.checked_sub(1)).map(|b| Some(b.to_string())),
        _ => None,
    }
}

fn differences<'l>(
    from: &'l BTreeMap<String, String>,
    to: &'l BTreeMap<String, String>,
) -> impl Iterator<Item = (&'l String, Option<&'l String>)> {
    let changed = to.iter().filter(|(key, value)| from.get(*key) != Some(*value)).map(|(k, v)| (k, Some(v)));
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key, None));
    changed.chain(gone)
}

/// Makes a change to the node that it names.
pub fn apply(change: &Change, node: &mut NodeRow) {
    match change {
        Change::Room { lacks, .. } => {
            // What is requested may be more than there is: then nothing is free, and the lack comes on top.
            node.allocatable = node.requested.plus(node.free()).plus(*lacks);
        }
        Change::Untaint { taint, .. } => node.taints.retain(|t| t != taint),
        Change::Uncordon { .. } => {
            node.unschedulable = false;
            node.taints.retain(|t| t.key != feasible::CORDON_TAINT);
        }
        Change::Ready { .. } => {
            node.ready = true;
            node.taints.retain(|t| t.key != feasible::NOT_READY_TAINT);
        }
        Change::Label { key, value, .. } => node.labels.change(key, value.as_deref()),
        _ => {}
    }
}
