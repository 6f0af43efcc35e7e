//! `pods/resize` of a governed pod: whether its grant may grow.

use super::{Claim, Grant, Ledger, Seat, Side, World, limits::counted, round::Round};
use crate::{burst_policy::BurstPolicySpec, resources::Resources};

/// Whether the pod of a claim may grow to `requests` under its grant. A pod without a grant may: it asks anew.
///
/// # Errors
/// What it would pass, with the numbers.
pub fn resize(
    spec: &BurstPolicySpec,
    ledger: &Ledger,
    claim: &Claim,
    requests: Resources,
    world: &World<'_>,
) -> Result<(), String> {
    let claims = [claim.clone()];
    let mut round = Round::begin(spec, ledger, &claims, world);
    round.count();
    let Some(old) = round.take(&claim.uid) else { return Ok(()) };
    let more = Resources { pods: 0, ..counted(requests).minus(old.requests) };
    if more == Resources::default() {
        return Ok(());
    }
    within_ceilings(&round, &old, counted(requests), more)?;
    let grown = Claim { requests, billed: None, ..claim.clone() };
    match round.pays_for(&grown, &old) {
        true => Ok(()),
        false => Err(format!("the budget of {} does not cover the larger size", ledger.policy)),
    }
}

fn within_ceilings(round: &Round<'_>, old: &Grant, new: Resources, more: Resources) -> Result<(), String> {
    let own = Seat { side: old.side, tier: old.tier.clone() };
    let sides = [(Side::Local, "max.local", round.max_local), (Side::Cloud, "max.cloud", round.max_cloud)];
    let seats = || std::iter::once(&own).chain(&old.also);
    // Only what grows is judged, so that a pod over a lowered ceiling may still shrink or change something else.
    let only = |n: u64, grows: u64| if grows > 0 { n } else { 0 };
    let asked = Resources {
        cpu_milli: only(new.cpu_milli, more.cpu_milli),
        memory_bytes: only(new.memory_bytes, more.memory_bytes),
        gpu: only(new.gpu, more.gpu),
        ..Resources::default()
    };
    let check = |what: &str, ceiling: super::limits::Ceiling, used: Resources| match ceiling
        .first_short(used, asked)
    {
        None => Ok(()),
        Some((name, used, asked, max)) => {
            Err(format!("{what} {name}: {asked} beside {used} of other pods is more than {max}"))
        }
    };
    for (side, what, ceiling) in sides {
        if seats().any(|s| s.side == side) {
            check(what, ceiling, round.used.side(side))?;
        }
    }
    for seat in seats() {
        if let Some((at, row)) = round.tiers.find(seat).and_then(|at| Some((at, round.tiers.rows.get(at)?))) {
            let used = round.used.tiers.get(at).copied().unwrap_or_default();
            check(&format!("tier {}", row.tier.name), row.ceiling, used)?;
        }
    }
    Ok(())
}
