//! What only a provider knows of a pod: whether it can run all of its fields, and sells a size that large.
//!
//! The same tables refuse a pod at admission and at creation; here they keep it off a virtual node that could not run
//! it, and explain why.

use serde_json::Value;

use crate::{
    pod::{
        PodFacts,
        view::{Container, PodView, ResourceList},
    },
    quantity::Quantity,
    reasons::Reason,
    shape::cci::{Amount, Ask, Refusal, round},
    support,
};

/// Value of the provider taint on CCI's virtual nodes.
pub const HUAWEI: &str = "huawei";

/// Why a provider cannot run the pod with this text; none if it can, or if there is no table for the provider.
pub fn objection(provider: Option<&str>, text: &str, facts: &PodFacts) -> Option<Reason> {
    match provider {
        Some(HUAWEI) => cci(text, facts),
        _ => None,
    }
}

fn cci(text: &str, facts: &PodFacts) -> Option<Reason> {
    if !facts.asks_cpu {
        return Some(Reason::NoCpuRequest);
    }
    let view: PodView<'_> = serde_json::from_str(text).ok()?;
    match round(&asks(&view)) {
        Err(Refusal::NoCpu) => return Some(Reason::NoCpuRequest),
        Err(Refusal::TooLarge(_)) => return Some(Reason::ShapeTooLarge),
        Ok(_) => {}
    }
    let pod: Value = serde_json::from_str(text).ok()?;
    (!support::check(&pod).is_empty()).then_some(Reason::UnsupportedField)
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
