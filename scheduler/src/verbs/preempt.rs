//! `preempt`: on which of the candidate nodes pods may be ended to make room for this one.
//!
//! Ending a cloud pod to place another cloud pod buys nothing, so virtual nodes leave the list unless the policy
//! allows them. The reply names victims by UID in both cache modes.

use std::collections::HashSet;

use policies::decide::filter::preempt;

use super::{Answer, View, answered, pod};
use crate::metrics::Mode;
use crate::wire::{PreemptionArgs, meta_victims};

/// Answers a preempt request.
///
/// # Errors
/// Why it could not be read.
pub(super) fn answer(body: &[u8], view: View<'_>) -> Result<Answer, String> {
    let args = PreemptionArgs::parse(body).map_err(|e| e.to_string())?;
    let asking = pod::read(args.pod().map_err(|e| e.to_string())?, &view)?;
    let candidates = args.victims().map_err(|e| e.to_string())?;
    let names: Vec<&str> = candidates.iter().map(|c| c.node.as_str()).collect();
    let class_of = |name: &str| view.snapshot.by_name(name).map(|node| node.class);
    let kept: HashSet<&str> = preempt(asking.policy, &names, class_of).into_iter().collect();
    let kept = candidates.iter().filter(|c| kept.contains(c.node.as_str()));
    // A node without victims fails the whole call in the scheduler.
    let body = meta_victims(kept.filter(|c| !c.uids.is_empty()));
    Ok(answered(body, Mode::None, candidates.len()))
}
