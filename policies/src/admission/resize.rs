//! In-place resizes of governed pods: a pod that was let in small must not grow past the ceilings or the budget.
//!
//! What counts is the ledger: the size that was granted, and what everybody else holds. Afterwards the leader takes the new
//! size over from the pod. A pod without a grant may have any size: whether it fits is asked when it is granted.

use crate::{
    burst_policy::{BurstPolicySpec, Limit, Side, Tier},
    ledger::{Bound, Claim, Grant, Ledger, VirtualNode, World, plan},
    node::NodeClass,
    pod::PodFacts,
    policy::Policy,
    quantity::{Format, Quantity},
    resources::Resources,
};

use super::Refusal;

/// What an in-place resize is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Resize<'a> {
    /// The pod with its new size.
    pub pod: &'a PodFacts,
    /// The policy object: `BurstPolicy/shop/web`.
    pub policy: &'a str,
    /// What it asks for.
    pub spec: &'a BurstPolicySpec,
    /// Its ledger, read after the request came.
    pub ledger: &'a Ledger,
    /// Virtual nodes, prices and the time.
    pub world: World<'a>,
}

/// Judges the resize.
///
/// # Errors
/// [`Refusal::Resize`] with the ceiling or the budget that it would pass, in numbers.
pub fn admit_resize(resize: &Resize<'_>) -> Result<(), Refusal> {
    let Some(grant) = resize.ledger.grants.get(&resize.pod.uid) else { return Ok(()) };
    let asked = match grant.side {
        Side::Cloud => resize.pod.cloud_requests(),
        Side::Local => resize.pod.requests,
    };
    let wanted = Resources { pods: grant.requests.pods, ..asked };
    if wanted.fits(grant.requests) {
        return Ok(());
    }
    let refuse = |text: String| Refusal::Resize { object: resize.pod.title(), text };
    for ceiling in ceilings(resize, grant) {
        if let Some(passed) = ceiling.passed(grant.requests, wanted) {
            return Err(refuse(format!("{passed} of {}; ask for less, or raise it", resize.policy)));
        }
    }
    match unaffordable(resize, grant, wanted) {
        Some(text) => Err(refuse(format!("{text} of {}; ask for less, or raise it", resize.policy))),
        None => Ok(()),
    }
}

/// One ceiling and what is used of it.
struct Ceiling<'a> {
    field: String,
    max: &'a Limit,
    used: Resources,
}

fn ceilings<'a>(resize: &Resize<'a>, grant: &Grant) -> Vec<Ceiling<'a>> {
    let used = |counts: &dyn Fn(&Grant) -> bool| {
        let grants = resize.ledger.grants.values().filter(|g| counts(g));
        grants.fold(Resources::default(), |sum, g| sum.plus(g.requests))
    };
    let (side, max) = match grant.side {
        Side::Local => ("max.local", &resize.spec.max.local),
        Side::Cloud => ("max.cloud", &resize.spec.max.cloud),
    };
    let whole = Ceiling { field: side.to_owned(), max, used: used(&|g| g.side == grant.side) };
    let tier = |(index, tier): (usize, &'a Tier)| Ceiling {
        field: format!("tiers[{index}].max (tier {})", tier.name),
        max: &tier.max,
        used: used(&|g| seated(g, tier)),
    };
    let tiers = resize.spec.tiers.iter().enumerate().filter(|(_, tier)| seated(grant, tier)).map(tier);
    std::iter::once(whole).chain(tiers).collect()
}

/// Whether a grant counts in a tier: where it was granted, and where its pod may still land.
fn seated(grant: &Grant, tier: &Tier) -> bool {
    (grant.side == tier.side && grant.tier == tier.name)
        || grant.also.iter().any(|seat| seat.side == tier.side && seat.tier == tier.name)
}

impl Ceiling<'_> {
    /// How the growth from one size to another passes the ceiling.
    fn passed(&self, from: Resources, to: Resources) -> Option<String> {
        let cpu = (self.max.cpu.as_deref(), Quantity::from_milli as fn(u64) -> Quantity);
        let memory = (self.max.memory.as_deref(), bytes as fn(u64) -> Quantity);
        let rows = [
            ("cpu", cpu, from.cpu_milli, to.cpu_milli, self.used.cpu_milli),
            ("memory", memory, from.memory_bytes, to.memory_bytes, self.used.memory_bytes),
        ];
        rows.into_iter().find_map(|(name, (max, amount), from, to, used)| {
            let max = max.filter(|_| to > from)?;
            let after = used.saturating_sub(from).saturating_add(to);
            let fits = Quantity::parse(max).is_ok_and(|max| amount(after) <= max);
            (!fits).then(|| {
                format!(
                    "the resize from {name} {} to {} would pass {}.{name} {max} ({} in use, {} afterwards)",
                    amount(from),
                    amount(to),
                    self.field,
                    amount(used),
                    amount(after),
                )
            })
        })
    }
}

/// Why the budget does not cover the new size: asked of the same plan that grants, as if the pod came anew.
fn unaffordable(resize: &Resize<'_>, grant: &Grant, wanted: Resources) -> Option<String> {
    resize.spec.budget.as_ref().filter(|_| grant.side == Side::Cloud)?;
    let spec = BurstPolicySpec { budget: resize.spec.budget.clone(), ..BurstPolicySpec::default() };
    let virtual_nodes: Vec<_> = resize
        .world
        .virtual_nodes
        .iter()
        .filter(|node| grant.node.as_ref().is_none_or(|name| node.name == *name))
        .filter(|node| grant.providers.is_empty() || grant.providers.contains(&node.provider))
        .cloned()
        .collect();
    let world = World { virtual_nodes: &virtual_nodes, ..resize.world };
    let anew = Claim {
        uid: resize.pod.uid.clone(),
        namespace: grant.namespace.clone(),
        name: grant.name.clone(),
        policy: Policy::Auto,
        requests: wanted,
        created: grant.granted,
        ..Claim::default()
    };
    // What it has cost until now is spent, whatever its size will be.
    let mut ledger = plan(&spec, resize.ledger, &[as_it_is(&anew, grant, &virtual_nodes)], &world).ledger;
    ledger.grants.remove(&resize.pod.uid);
    let plan = plan(&spec, &ledger, &[anew], &world);
    let held = plan.holds.iter().find(|held| held.uid == resize.pod.uid)?;
    let rows: Vec<_> = plan
        .spend
        .iter()
        .filter(|row| row.namespace.as_ref().is_none_or(|namespace| *namespace == grant.namespace))
        .map(|row| format!("{} {} of {} spent this {}", row.currency, row.spent, row.max, row.window))
        .collect();
    let size =
        format!("cpu {} and memory {}", Quantity::from_milli(wanted.cpu_milli), bytes(wanted.memory_bytes));
    Some(format!(
        "the resize to {size} is not covered by the budget ({}; {})",
        held.hold.text(),
        rows.join(", ")
    ))
}

/// The pod with the size and at the place of its grant.
fn as_it_is(claim: &Claim, grant: &Grant, nodes: &[VirtualNode]) -> Claim {
    let node = nodes.iter().find(|node| grant.node.as_ref() == Some(&node.name));
    let node = node.map(|node| Bound {
        name: node.name.clone(),
        class: NodeClass::Virtual,
        provider: node.provider.clone(),
        zone: node.zone.clone(),
        since: grant.started,
    });
    Claim { requests: grant.requests, node, ..claim.clone() }
}

const fn bytes(bytes: u64) -> Quantity {
    Quantity::from_units(bytes, Format::BinarySi)
}
