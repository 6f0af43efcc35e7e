//! Why a pod is where it is, as a record. Pure.

use cluster::Snapshot;
use jiff::Timestamp;
use policies::decide::{self, Outcome};
use policies::keys;
use policies::node::{NodeClass, NodeRow};
use policies::pod::PodFacts;
use policies::policy::Policy;
use policies::reasons::Reason;

use crate::decisions::{CLOUD, Decision, LOCAL};

/// A real node had room.
const HAD_ROOM: &str = "RealNodeHadRoom";
/// Our engine would have chosen the other class; scores and filters that it does not know decided.
const SCHEDULER_CHOSE: &str = "SchedulerChose";

/// Explains a bound pod from the picture after its binding; none for a pod without a policy, or on a node that is
/// not known.
pub fn explain(pod: &PodFacts, snapshot: &Snapshot, now: Timestamp) -> Option<Decision> {
    let policy = policy(pod)?;
    let node = snapshot.by_name(pod.node_name.as_deref()?)?;
    let before = before_binding(node, pod);
    let unbound = PodFacts { node_name: None, ..pod.clone() };
    // Of the virtual nodes only the chosen one is looked at, so that the sentence is about the node it went to.
    let others = snapshot
        .nodes()
        .map(|(_, row)| row)
        .filter(|row| row.class == NodeClass::Real && !std::ptr::eq(*row, node));
    let decided = decide::decide(&unbound, policy, others.chain([&before]));
    let (outcome, reason, sentence) = verdict(node, &decided);
    Some(Decision {
        time: now,
        uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        workload: pod.workload(),
        policy,
        source: pod.annotations.get(keys::POLICY_SOURCE).cloned().unwrap_or_else(|| "pod label".to_owned()),
        outcome,
        node: Some(node.name.clone()),
        provider: node.provider.clone(),
        reason,
        sentence,
        policy_object: pod.annotations.get(keys::BURST_POLICY).cloned(),
        tier: pod.annotations.get(keys::GRANT).cloned(),
        alternatives: decided.alternatives.into_iter().map(|a| a.sentence).collect(),
        ..Decision::default()
    })
}

/// The policy in force as far as the pod itself tells.
fn policy(facts: &PodFacts) -> Option<Policy> {
    let label = || keys::POLICY.iter().find_map(|key| facts.labels.get(*key)).and_then(|v| Policy::parse(v));
    facts.recorded_policy().or_else(label).filter(|policy| *policy != Policy::Off)
}

/// The node as it was without the pod, which the picture counts by now.
fn before_binding(node: &NodeRow, pod: &PodFacts) -> NodeRow {
    NodeRow { requested: node.requested.minus(pod.requests), ..node.clone() }
}

fn verdict(node: &NodeRow, decided: &decide::Decision<'_>) -> (&'static str, &'static str, String) {
    let outcome = if node.class == NodeClass::Virtual { CLOUD } else { LOCAL };
    let alternative = decided.alternatives.first().map(|a| format!("; {}", a.sentence)).unwrap_or_default();
    match (node.class, &decided.outcome) {
        (NodeClass::Real, Outcome::Local) => (outcome, HAD_ROOM, decided.sentence.clone()),
        (NodeClass::Virtual, Outcome::Cloud { .. }) => {
            let reason = decided.reasons.first().map_or(SCHEDULER_CHOSE, |reason| Reason::code(*reason));
            (outcome, reason, format!("{}{alternative}", decided.sentence))
        }
        _ => (outcome, SCHEDULER_CHOSE, chosen_otherwise(node, decided)),
    }
}

fn chosen_otherwise(node: &NodeRow, decided: &decide::Decision<'_>) -> String {
    format!(
        "the scheduler chose {}: its scores and filters know more than requests and taints; by those alone the pod {}",
        node.name, decided.sentence
    )
}
