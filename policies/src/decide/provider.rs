//! What only a provider knows of a pod: whether it can run all of its fields, and sells a size that large.
//!
//! The same tables refuse a pod at admission and at creation; here they keep it off a virtual node that could not run
//! it, and explain why.

use serde_json::Value;

use crate::{
    pod::{PodFacts, view::PodView},
    reasons::Reason,
    shape::cci::{POD_DISK_MAX, Refusal, asks, disk, round},
    support::{self, HUAWEI},
};

/// Why a provider cannot run the pod with this text; none if it can, or if there is no table for the provider.
pub fn objection(provider: Option<&str>, text: &str, facts: &PodFacts) -> Option<Reason> {
    match provider {
        Some(HUAWEI) => cci(text, facts),
        Some(other) => fields(other, text),
        None => None,
    }
}

fn fields(provider: &str, text: &str) -> Option<Reason> {
    support::table(provider)?;
    let pod: Value = serde_json::from_str(text).ok()?;
    (!support::check(provider, &pod).is_empty()).then_some(Reason::UnsupportedField)
}

fn cci(text: &str, facts: &PodFacts) -> Option<Reason> {
    if !facts.asks_cpu {
        return Some(Reason::NoCpuRequest);
    }
    let view: PodView<'_> = serde_json::from_str(text).ok()?;
    match round(&asks(&view)) {
        Err(Refusal::NoCpu) => return Some(Reason::NoCpuRequest),
        Err(Refusal::TooLarge(_)) => return Some(Reason::ShapeTooLarge),
        Ok(_) if disk(&view) > POD_DISK_MAX => return Some(Reason::ShapeTooLarge),
        Ok(_) => {}
    }
    fields(HUAWEI, text)
}
