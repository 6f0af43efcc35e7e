//! The pod of a request: read once, with the policy in force.

use std::collections::BTreeMap;

use policies::pod::PodFacts;
use policies::policy::Policy;
use policies::resolve::{Resolved, Voices, resolve};

use super::View;

/// The pod and its policy.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    /// The pod's text, for what only the provider's rules look at.
    pub(super) text: &'a str,
    pub(super) facts: PodFacts,
    pub(super) policy: Policy,
}

/// Reads the pod.
///
/// # Errors
/// A sentence that names the field which cannot be read.
pub(super) fn read<'a>(text: &'a str, view: &View<'_>) -> Result<Asking<'a>, String> {
    let facts = PodFacts::from_json(text).map_err(|e| format!("burst: {e}"))?;
    let policy = policy(&facts, view);
    Ok(Asking { text, facts, policy })
}

/// What admission recorded; else what the pod itself says, for pods that passed while admission was down. A label that
/// cannot be read is no permission to burst.
fn policy(pod: &PodFacts, view: &View<'_>) -> Policy {
    if let Some(recorded) = Resolved::recorded(pod) {
        return recorded.policy;
    }
    let voices = Voices {
        pod,
        owners: &[],
        namespace: &BTreeMap::new(),
        default: view.default_policy,
        class_of: &|name| view.snapshot.by_name(name).map(|node| node.class),
    };
    resolve(&voices).map_or(Policy::Off, |resolved| resolved.policy)
}
