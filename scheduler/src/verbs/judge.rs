//! What only a provider knows of a pod, computed at most once per request, and only when a virtual node was sent.

use std::cell::OnceCell;

use policies::decide::provider;
use policies::node::NodeRow;
use policies::pod::PodFacts;
use policies::providers;
use policies::reasons::Reason;

/// The providers' view of one pod.
pub(super) struct Judge<'a> {
    text: &'a str,
    facts: &'a PodFacts,
    /// By provider, without and with network interop.
    answers: [[OnceCell<Option<Reason>>; 2]; providers::ALL.len()],
}

impl<'a> Judge<'a> {
    /// A judge of a pod's text.
    pub(super) const fn new(text: &'a str, facts: &'a PodFacts) -> Self {
        Self { text, facts, answers: [const { [const { OnceCell::new() }; 2] }; providers::ALL.len()] }
    }

    /// Why the node's provider cannot run the pod; none if it can, or if there is no table for the provider.
    pub(super) fn objection(&self, node: &NodeRow) -> Option<Reason> {
        let provider = node.provider.as_deref()?;
        let at = providers::position(provider)?;
        let answer = self.answers.get(at)?.get(usize::from(node.interop()))?;
        *answer.get_or_init(|| provider::objection(node, self.text, self.facts))
    }
}
