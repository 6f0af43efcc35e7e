//! The extender's Filter and Preempt as rules: which of the nodes that the scheduler names may take the pod.
//!
//! The nodes named already passed the scheduler's own filters on fresher data, so resources are not judged again;
//! what is judged is the class, by policy, and what only the provider knows. Pure: the same question gets the same
//! answer, and filtering what passed changes nothing.

use super::feasible::class_obstacle;
use crate::{
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    reasons::Reason,
};

/// Judges what only a provider knows of a virtual node: support matrix, sizes, quota, stock.
pub type Judge<'j> = &'j dyn Fn(&NodeRow) -> Option<Reason>;

/// A judge that has nothing to say.
pub const fn no_objection(_: &NodeRow) -> Option<Reason> {
    None
}

/// The rule for one Filter call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRule {
    policy: Policy,
    /// Virtual nodes are refused because a real node has room.
    local_first: bool,
}

impl FilterRule {
    /// The rule for a call that names these nodes. `room` is asked at most once, and only where it matters: for a
    /// localPrefer pod that is nominated to the one virtual node named. Such a call skips scoring, so the
    /// preference has to be kept here. Where only the scheduler can judge the real nodes it is not kept: refusing
    /// on a guess could leave the pod pending.
    pub fn new(
        policy: Policy,
        pod: &PodFacts,
        only_node: Option<&NodeRow>,
        room: impl FnOnce() -> bool,
    ) -> Self {
        let nominated_virtual = only_node.is_some_and(|node| {
            node.class == NodeClass::Virtual && pod.nominated_node_name.as_ref() == Some(&node.name)
        });
        let local_first =
            policy == Policy::LocalPrefer && nominated_virtual && pod.unjudged.is_empty() && room();
        Self { policy, local_first }
    }

    /// Why the node may not take the pod; `None` if it may. `node` is `None` when the snapshot does not know the
    /// name: a new node passes, except for enforce, which must not land on a real node by mistake.
    pub fn refuses(&self, node: Option<&NodeRow>, judge: Judge<'_>) -> Option<Reason> {
        let Some(node) = node else {
            return (self.policy == Policy::Enforce).then_some(Reason::UnknownNode);
        };
        if let Some(reason) = class_obstacle(self.policy, node.class) {
            return Some(reason);
        }
        match node.class {
            NodeClass::Real => None,
            NodeClass::Virtual if self.local_first => Some(Reason::LocalRoomFree),
            NodeClass::Virtual => judge(node),
        }
    }
}

/// The answer to a Filter call: every name is in exactly one of the lists, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtered<'s> {
    /// Names that pass.
    pub passed: Vec<&'s str>,
    /// Names that do not, with the constant reason.
    pub refused: Vec<(&'s str, Reason)>,
}

/// Filters node names. `find` looks a name up in the snapshot; `room` tells whether a real node has room now.
pub fn filter<'s, 'n>(
    policy: Policy,
    pod: &PodFacts,
    names: &[&'s str],
    find: impl Fn(&str) -> Option<&'n NodeRow>,
    room: impl FnOnce() -> bool,
    judge: Judge<'_>,
) -> Filtered<'s> {
    let only = match names {
        [name] => find(name),
        _ => None,
    };
    let rule = FilterRule::new(policy, pod, only, room);
    let mut answer = Filtered::default();
    for &name in names {
        match rule.refuses(find(name), judge) {
            None => answer.passed.push(name),
            Some(reason) => answer.refused.push((name, reason)),
        }
    }
    answer
}

/// Which preemption candidates stay. off drops virtual nodes; localPrefer drops them as long as a real candidate is
/// left; auto keeps all; enforce drops real ones. A name that the snapshot does not know stays, except for enforce.
pub fn preempt<'s>(
    policy: Policy,
    names: &[&'s str],
    class_of: impl Fn(&str) -> Option<NodeClass>,
) -> Vec<&'s str> {
    let real_left = names.iter().any(|n| class_of(n) == Some(NodeClass::Real));
    let stays = |class| match policy {
        Policy::Off => class != Some(NodeClass::Virtual),
        Policy::LocalPrefer => class != Some(NodeClass::Virtual) || !real_left,
        Policy::Auto => true,
        Policy::Enforce => class == Some(NodeClass::Virtual),
    };
    names.iter().copied().filter(|name| stays(class_of(name))).collect()
}
