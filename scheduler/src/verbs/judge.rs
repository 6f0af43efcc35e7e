//! What only a provider knows of a pod, computed at most once per request, and only when a virtual node was sent.

use std::cell::OnceCell;

use policies::decide::provider::{self, HUAWEI};
use policies::node::NodeRow;
use policies::pod::PodFacts;
use policies::reasons::Reason;

/// The provider's view of one pod.
pub(super) struct Judge<'a> {
    text: &'a str,
    facts: &'a PodFacts,
    cci: OnceCell<Option<Reason>>,
}

impl<'a> Judge<'a> {
    /// A judge of a pod's text.
    pub(super) const fn new(text: &'a str, facts: &'a PodFacts) -> Self {
        Self { text, facts, cci: OnceCell::new() }
    }

    /// Why the node's provider cannot run the pod; none if it can, or if there is no table for the provider.
    pub(super) fn objection(&self, node: &NodeRow) -> Option<Reason> {
        match node.provider.as_deref() {
            provider @ Some(HUAWEI) => {
                *self.cci.get_or_init(|| provider::objection(provider, self.text, self.facts))
            }
            _ => None,
        }
    }
}
