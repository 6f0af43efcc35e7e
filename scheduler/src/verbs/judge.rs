//! What only a provider knows of a pod: whether it can run all of its fields, and sells a size that large.
//!
//! The same tables refuse a pod at admission and at creation; here they keep a pod off a virtual node that could not
//! run it, if it came past admission. Computed at most once per request, and only when a virtual node was sent.

use std::cell::OnceCell;

use policies::node::NodeRow;
use policies::pod::PodFacts;
use policies::pod::view::{Container, PodView, ResourceList};
use policies::quantity::Quantity;
use policies::reasons::Reason;
use policies::shape::cci::{Amount, Ask, Refusal, round};
use policies::support;
use serde_json::Value;

/// Value of the provider taint on CCI's virtual nodes.
const HUAWEI: &str = "huawei";

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
            Some(HUAWEI) => *self.cci.get_or_init(|| self.cci()),
            _ => None,
        }
    }

    fn cci(&self) -> Option<Reason> {
        if !self.facts.asks_cpu {
            return Some(Reason::NoCpuRequest);
        }
        let view: PodView<'_> = serde_json::from_str(self.text).ok()?;
        match round(&asks(&view)) {
            Err(Refusal::NoCpu) => return Some(Reason::NoCpuRequest),
            Err(Refusal::TooLarge(_)) => return Some(Reason::ShapeTooLarge),
            Ok(_) => {}
        }
        let pod: Value = serde_json::from_str(self.text).ok()?;
        (!support::check(&pod).is_empty()).then_some(Reason::UnsupportedField)
    }
}

fn asks(pod: &PodView<'_>) -> Vec<Ask> {
    let sidecar =
        |c: &Container<'_>| c.restart_policy.as_ref().is_some_and(|policy| policy.as_str() == "Always");
    let ask = |c: &Container<'_>, init: bool| Ask {
        name: c.name.as_str().to_owned(),
        requests: amount(&c.resources.requests),
        limits: amount(&c.resources.limits),
        init,
    };
    let init = pod.spec.init_containers.iter().map(|c| ask(c, !sidecar(c)));
    init.chain(pod.spec.containers.iter().map(|c| ask(c, false))).collect()
}

fn amount(list: &ResourceList<'_>) -> Amount {
    let read = |name: &str, unit: fn(&Quantity) -> i64| {
        let quantity = Quantity::parse(&list.get(name)?.0).ok()?;
        u64::try_from(unit(&quantity)).ok()
    };
    Amount {
        cpu_milli: read("cpu", Quantity::to_milli_ceil),
        memory_bytes: read("memory", Quantity::to_value_ceil),
    }
}
