//! What should happen to a pod, and why (DESIGN 4.5): a value, from facts alone.
//!
//! [`decide`] answers for people, records and the capacity page; [`filter`](filter::filter),
//! [`preempt`](filter::preempt) and [`score_virtual`](score::score_virtual) are the same rules in the pieces that
//! the scheduler asks for. No side effects, no clock: asked twice, the answer is the same.

pub mod case;
pub mod counterfactual;
pub mod feasible;
pub mod filter;
pub mod provider;
pub mod score;
pub mod sentence;
#[cfg(test)]
mod tests;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    reasons::Reason,
};
pub use counterfactual::{Alternative, Change};
use filter::Judge;

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "class")]
pub enum Outcome {
    /// A real node; the scheduler picks which.
    Local,
    /// A virtual node.
    Cloud {
        /// The virtual node with the fewest pods of those that can take it.
        node: String,
        /// Its provider, the value of the provider taint.
        provider: Option<String>,
    },
    /// No node now; a change in the cluster can help.
    Wait,
    /// No node, and no change in the cluster helps: the pod itself has to change.
    Reject,
}

/// The class of an outcome: where a pod goes, without which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A real node.
    Local,
    /// A virtual node.
    Cloud,
    /// No node now.
    Wait,
    /// No node ever.
    Reject,
}

impl Outcome {
    /// Its class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Local => Class::Local,
            Self::Cloud { .. } => Class::Cloud,
            Self::Wait => Class::Wait,
            Self::Reject => Class::Reject,
        }
    }
}

/// What was found on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeVerdict<'n> {
    /// The node.
    pub node: &'n NodeRow,
    /// The first thing that keeps the pod off it; `None` if nothing does.
    pub obstacle: Option<Reason>,
}

impl Serialize for NodeVerdict<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut row = s.serialize_struct("NodeVerdict", 3)?;
        row.serialize_field("node", &self.node.name)?;
        row.serialize_field("class", &self.node.class)?;
        row.serialize_field("obstacle", &self.obstacle)?;
        row.end()
    }
}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision<'n> {
    /// Where the pod goes.
    pub outcome: Outcome,
    /// Every node, in the order given.
    pub verdicts: Vec<NodeVerdict<'n>>,
    /// The distinct obstacles met on the class that was not chosen (or on both), most frequent first.
    pub reasons: Vec<Reason>,
    /// For people.
    pub sentence: String,
    /// The smallest changes of nodes that would have decided otherwise, nearest first.
    pub alternatives: Vec<Alternative>,
}

/// Decides where a pod goes, under a policy, over the nodes of a snapshot, without provider knowledge.
pub fn decide<'n>(
    pod: &PodFacts,
    policy: Policy,
    nodes: impl IntoIterator<Item = &'n NodeRow>,
) -> Decision<'n> {
    decide_with(pod, policy, nodes, &filter::no_objection)
}

/// As [`decide`], with a judge for what only the provider of a virtual node knows.
///
/// off: real nodes only. enforce: virtual nodes only. localPrefer: a virtual node only if no real node has room.
/// auto: the same, which is what its score leans to; the scheduler's other scores may decide otherwise.
pub fn decide_with<'n>(
    pod: &PodFacts,
    policy: Policy,
    nodes: impl IntoIterator<Item = &'n NodeRow>,
    judge: Judge<'_>,
) -> Decision<'n> {
    let verdicts: Vec<_> = nodes.into_iter().map(|node| verdict(pod, policy, node, judge)).collect();
    let outcome = outcome(&verdicts);
    let alternatives = counterfactual::nodes::search(pod, policy, &verdicts, judge, outcome.class());
    Decision {
        reasons: reasons(&outcome, &verdicts),
        sentence: explain(pod, policy, &outcome, &verdicts),
        outcome,
        alternatives,
        verdicts,
    }
}

fn verdict<'n>(pod: &PodFacts, policy: Policy, node: &'n NodeRow, judge: Judge<'_>) -> NodeVerdict<'n> {
    let asked = node.class == NodeClass::Virtual && policy != Policy::Off;
    let objection = if asked { judge(node) } else { None };
    // What the provider can never do comes first: "short of cpu" would promise that waiting helps.
    let permanent = objection.filter(|reason| reason.is_permanent());
    let obstacle = permanent.or_else(|| feasible::obstacle(pod, policy, node)).or(objection);
    NodeVerdict { node, obstacle }
}

fn outcome(verdicts: &[NodeVerdict<'_>]) -> Outcome {
    let fits = |class| verdicts.iter().filter(move |v| v.node.class == class && v.obstacle.is_none());
    if fits(NodeClass::Real).next().is_some() {
        return Outcome::Local;
    }
    let emptiest =
        fits(NodeClass::Virtual).map(|v| v.node).min_by_key(|n| (n.requested.pods, n.name.as_str()));
    if let Some(node) = emptiest {
        return Outcome::Cloud { node: node.name.clone(), provider: node.provider.clone() };
    }
    let open = |r: Reason| !r.is_permanent() && r != Reason::PolicyEnforce;
    let refused_for_good = verdicts.iter().filter_map(|v| v.obstacle).any(Reason::is_permanent);
    match refused_for_good && !verdicts.iter().filter_map(|v| v.obstacle).any(open) {
        true => Outcome::Reject,
        false => Outcome::Wait,
    }
}

/// Distinct obstacles, the most frequent first, of the nodes that the outcome passed over.
fn reasons(outcome: &Outcome, verdicts: &[NodeVerdict<'_>]) -> Vec<Reason> {
    let met = |class| verdicts.iter().filter(move |v| v.node.class == class).filter_map(|v| v.obstacle);
    let mut counts: Vec<(Reason, usize)> = Vec::new();
    let passed_over: Vec<Reason> = match outcome {
        Outcome::Local => met(NodeClass::Virtual).collect(),
        Outcome::Cloud { .. } => met(NodeClass::Real).collect(),
        Outcome::Wait | Outcome::Reject => met(NodeClass::Real).chain(met(NodeClass::Virtual)).collect(),
    };
    for reason in passed_over {
        match counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, n)) => *n += 1,
            None => counts.push((reason, 1)),
        }
    }
    counts.sort_by_key(|(reason, n)| (std::cmp::Reverse(*n), *reason));
    let missing = |class, reason| {
        let chosen = matches!(outcome, Outcome::Local) || verdicts.iter().any(|v| v.node.class == class);
        (!chosen).then_some(reason)
    };
    let absent =
        [missing(NodeClass::Real, Reason::NoRealNode), missing(NodeClass::Virtual, Reason::NoVirtualNode)];
    counts.into_iter().map(|(reason, _)| reason).chain(absent.into_iter().flatten()).collect()
}

fn explain(pod: &PodFacts, policy: Policy, outcome: &Outcome, verdicts: &[NodeVerdict<'_>]) -> String {
    let real = || sentence::nodes(NodeClass::Real, verdicts, pod.requests);
    let cloud = || sentence::nodes(NodeClass::Virtual, verdicts, pod.requests);
    let policy = policy.as_str();
    match outcome {
        Outcome::Local => format!("stays local, policy {policy}; {}", real()),
        Outcome::Cloud { node, provider } => {
            let provider = provider.as_deref().map(|p| format!(" ({p})")).unwrap_or_default();
            format!("bursts to {node}{provider}, policy {policy}; {}", real())
        }
        Outcome::Wait => format!("waits, policy {policy}; {}; {}", real(), cloud()),
        Outcome::Reject => format!("cannot run, policy {policy}; {}; {}", real(), cloud()),
    }
}
