//! Why a pod is where it is, as a record. Pure.

use cluster::Snapshot;
use jiff::Timestamp;
use policies::decide::{self, Outcome, feasible};
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

/// Explains bindings, one after the other. Pods alike that were bound within one picture are judged once.
#[derive(Debug, Default)]
pub struct Explainer {
    last: Option<Judged>,
}

impl Explainer {
    /// Explains a bound pod from the picture after its binding; none for a pod without a policy, or on a node that is
    /// not known.
    pub fn explain(&mut self, pod: &PodFacts, snapshot: &Snapshot, now: Timestamp) -> Option<Decision> {
        let policy = policy(pod)?;
        let node = snapshot.by_name(pod.node_name.as_deref()?)?;
        let question = Question {
            pod: anybody(pod),
            generation: snapshot.generation(),
            place: place(pod, policy, node),
        };
        let judged = match self.last.take().filter(|last| last.question == question) {
            Some(judged) => judged,
            None => Judged { verdict: judge(&question.pod, policy, node, snapshot), question },
        };
        let Verdict { outcome, reason, sentence, alternatives } = judged.verdict.clone();
        self.last = Some(judged);
        Some(Decision {
            time: now,
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            workload: pod.workload(),
            policy,
            source: pod
                .annotations
                .get(keys::POLICY_SOURCE)
                .cloned()
                .unwrap_or_else(|| "pod label".to_owned()),
            outcome,
            node: Some(node.name.clone()),
            provider: node.provider.clone(),
            reason,
            sentence,
            policy_object: pod.annotations.get(keys::BURST_POLICY).cloned(),
            tier: pod.annotations.get(keys::GRANT).cloned(),
            alternatives,
            ..Decision::default()
        })
    }
}

/// What was judged, and what came of it.
#[derive(Debug)]
struct Judged {
    question: Question,
    verdict: Verdict,
}

/// Equal questions have equal answers.
#[derive(Debug, PartialEq)]
struct Question {
    /// As [`anybody`].
    pod: PodFacts,
    generation: u64,
    place: Place,
}

/// Where the pod went, as far as it matters to the answer.
#[derive(Debug, PartialEq)]
enum Place {
    /// A real node that has room for one more such pod: which one it was changes nothing.
    WithRoom,
    /// This node.
    Node(String),
}

#[derive(Clone, Debug)]
struct Verdict {
    outcome: &'static str,
    reason: &'static str,
    sentence: String,
    alternatives: Vec<String>,
}

/// The pod without what tells it from its siblings and nothing is judged by.
fn anybody(pod: &PodFacts) -> PodFacts {
    let (uid, namespace, name) = <(String, String, String)>::default();
    PodFacts { uid, namespace, name, node_name: None, nominated_node_name: None, ..pod.clone() }
}

fn place(pod: &PodFacts, policy: Policy, node: &NodeRow) -> Place {
    let one_more = node.class == NodeClass::Real && feasible::obstacle(pod, policy, node).is_none();
    if one_more { Place::WithRoom } else { Place::Node(node.name.clone()) }
}

fn judge(unbound: &PodFacts, policy: Policy, node: &NodeRow, snapshot: &Snapshot) -> Verdict {
    let before = before_binding(node, unbound);
    // Of the virtual nodes only the chosen one is looked at, so that the sentence is about the node it went to.
    let others = snapshot
        .nodes()
        .map(|(_, row)| row)
        .filter(|row| row.class == NodeClass::Real && !std::ptr::eq(*row, node));
    let decided = decide::decide(unbound, policy, others.chain([&before]));
    let (outcome, reason, sentence) = verdict(node, &decided);
    let alternatives = decided.alternatives.into_iter().map(|a| a.sentence).collect();
    Verdict { outcome, reason, sentence, alternatives }
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
