//! Waits, and the place in the cloud for one pod.

use super::{Bound, Claim, Grant, Hold, Policy, Refusal, Round, Seconds, Side, VirtualNode};
use crate::{
    burst_policy::Fallback,
    ledger::places::{Row, Stock},
    price::{Place, Quote},
    resources::Resources,
};

/// A place in the cloud with room.
pub(super) struct Choice {
    tier: usize,
    /// Names of the virtual nodes; empty means any.
    nodes: Vec<String>,
    /// Values of their provider taints; empty means any.
    providers: Vec<String>,
    quote: Quote,
    /// What the pod counts as there.
    requests: Resources,
    /// The place was sold out, and this pod finds out whether it still is.
    pub(super) probe: bool,
}

impl Round<'_> {
    /// Whether the pod has waited long enough.
    pub(super) fn waits(&self, claim: &Claim, home: bool) -> Result<(), Refusal> {
        let (wait, now) = (&self.spec.wait, self.world.now);
        let after = |from: Seconds, seconds: u64| from.saturating_add_unsigned(seconds);
        let deadline = wait.deadline_seconds.map(|s| after(claim.created, s));
        let late = deadline.is_some_and(|t| now >= t);
        let until = |t: Seconds| deadline.map_or(t, |d| d.min(t));
        let before = wait.before_burst_seconds.map(|s| after(claim.created, s));
        if let Some(t) = before.filter(|t| now < *t && !late) {
            return Err((Hold::WaitBeforeBurst, Some(until(t))));
        }
        if !home || claim.policy == Policy::Enforce {
            return Ok(());
        }
        let Some(since) = claim.unschedulable_since else {
            let asks = wait.autoscaler_seconds.is_some() || self.spec.preempt_before_burst;
            return match claim.policy {
                Policy::LocalPrefer => Err((Hold::LocalFirst, None)),
                _ if asks && !late => Err((Hold::LocalFirst, deadline)),
                _ => Ok(()),
            };
        };
        let scaled = wait.autoscaler_seconds.map(|s| after(since, s));
        if let Some(t) = scaled.filter(|t| now < *t && !late) {
            return Err((Hold::WaitAutoscaler, Some(until(t))));
        }
        if self.spec.preempt_before_burst && !claim.preemption_tried && !late {
            return Err((Hold::WaitPreemption, deadline));
        }
        Ok(())
    }

    /// The first tier with room, and its places; `bound` is the only place if the pod is there already.
    pub(super) fn choose(&mut self, claim: &Claim, bound: Option<&Bound>) -> Result<Choice, Refusal> {
        let requests = claim.counted(Side::Cloud);
        if self.max_cloud.unreadable {
            return Err((Hold::BadPolicy, None));
        }
        if !self.max_cloud.fits(self.used.cloud, requests) {
            return Err((Hold::CloudLimit, None));
        }
        let mut refused: Refusal = (Hold::NoVirtualNode, None);
        for at in 0..self.tiers.rows.len() {
            match self.try_tier(claim, at, bound) {
                Ok(choice) => return Ok(choice),
                Err(Some((Hold::SoldOut, until))) if self.spec.fallback == Fallback::Wait => {
                    return Err((Hold::SoldOut, until));
                }
                Err(Some(why)) => refused = worse(refused, why),
                Err(None) => {}
            }
        }
        Err(refused)
    }

    /// One tier; `Err(None)` if it is not for this pod at all.
    fn try_tier(
        &mut self,
        claim: &Claim,
        at: usize,
        bound: Option<&Bound>,
    ) -> Result<Choice, Option<Refusal>> {
        let refuse = |hold| Err(Some((hold, None)));
        let requests = claim.counted(Side::Cloud);
        let Some(row) = self.tiers.rows.get(at).filter(|r| r.tier.side == Side::Cloud) else {
            return Err(None);
        };
        if bound.is_some_and(|b| !row.holds(b, self.world, &self.real_nodes)) {
            return Err(None);
        }
        if row.ceiling.unreadable {
            return refuse(Hold::BadPolicy);
        }
        if bound.is_none() && !row.nodes.is_empty() && self.able(claim, row).next().is_none() {
            return Err(None);
        }
        if !row.ceiling.fits(self.used.tiers.get(at).copied().unwrap_or_default(), requests) {
            return refuse(Hold::TierLimit);
        }
        let mut choice = match bound {
            Some(bound) => Choice {
                tier: at,
                nodes: vec![bound.name.clone()],
                providers: vec![bound.provider.clone()],
                quote: Quote::default(),
                requests,
                probe: false,
            },
            None => self.places(claim, at, row)?,
        };
        let Some(mut purse) = self.purse.take() else { return Ok(choice) };
        let quote = match bound {
            Some(bound) => self.quote_at(claim, bound),
            None => {
                let nodes = choice.nodes.iter().filter_map(|n| self.virtual_nodes.get(n.as_str()));
                self.dearest(claim, nodes.copied())
            }
        };
        let covered = quote.map(|q| purse.covers(&claim.namespace, q.rate, q.minimum_seconds));
        self.purse = Some(purse);
        choice.quote = quote.unwrap_or_default();
        match covered {
            None => refuse(Hold::NoPrice),
            Some(Err(until)) => Err(Some((Hold::BudgetReached, until))),
            Some(Ok(())) => Ok(choice),
        }
    }

    /// The nodes of a tier that a new pod may go to.
    fn places(&self, claim: &Claim, at: usize, row: &Row) -> Result<Choice, Option<Refusal>> {
        let able: Vec<&VirtualNode> = self.able(claim, row).collect();
        let priced = |n: &&VirtualNode| self.purse.is_none() || self.quote_node(claim, n).is_some();
        let ready: Vec<&VirtualNode> = able.iter().copied().filter(|n| n.ready).filter(priced).collect();
        let (nodes, probe) = self.in_stock(claim, row, &ready).map_err(|until| match until {
            Some(until) => Some((Hold::SoldOut, Some(until))),
            None if able.iter().any(|n| n.ready) => {
                Some(if ready.is_empty() { (Hold::NoPrice, None) } else { (Hold::SoldOut, None) })
            }
            None => Some((Hold::NoVirtualNode, None)),
        })?;
        let many = self.tiers.of_side(Side::Cloud).nth(1).is_some();
        let exact = many || row.is_narrow() || self.purse.is_some() || probe || nodes.len() < row.nodes.len();
        let mut providers: Vec<String> =
            if exact { nodes.iter().map(|n| n.provider.clone()).collect() } else { Vec::new() };
        providers.sort();
        providers.dedup();
        let nodes = if exact { nodes.iter().map(|n| n.name.clone()).collect() } else { Vec::new() };
        let requests = claim.counted(Side::Cloud);
        Ok(Choice { tier: at, nodes, providers, quote: Quote::default(), requests, probe })
    }

    /// The nodes of a tier whose provider can run the pod.
    fn able<'s>(&'s self, claim: &'s Claim, row: &'s Row) -> impl Iterator<Item = &'s VirtualNode> {
        let nodes = row.nodes.iter().filter_map(|n| self.world.virtual_nodes.get(*n));
        nodes.filter(|n| !claim.unsupported_by.contains(&n.provider))
    }

    /// Of the nodes of a tier those with stock: of the first zone that has any, where zones are in order. A place whose
    /// outage ran out gets one pod to find out, when its turn comes.
    fn in_stock<'n>(
        &self,
        claim: &Claim,
        row: &Row,
        ready: &[&'n VirtualNode],
    ) -> Result<(Vec<&'n VirtualNode>, bool), Option<Seconds>> {
        let (mut good, mut until): (Vec<&VirtualNode>, Option<Seconds>) = (Vec::new(), None);
        for node in ready {
            if good.first().is_some_and(|first| !row.tier.zones.is_empty() && first.zone != node.zone) {
                break;
            }
            match self.memory.look(node, claim.counted(Side::Cloud), self.world.now) {
                Stock::Good => good.push(node),
                Stock::Probe => {
                    let place = ready.iter().filter(|n| n.provider == node.provider && n.zone == node.zone);
                    return Ok((place.copied().collect(), true));
                }
                Stock::Out(t) => until = Some(until.map_or(t, |u| u.min(t))),
                Stock::Probing => {}
            }
        }
        if good.is_empty() { Err(until) } else { Ok((good, false)) }
    }

    /// Whether a pod that is not bound can still be placed by its grant.
    pub(super) fn is_usable(&self, grant: &Grant) -> bool {
        if grant.nodes.is_empty() && self.memory.is_empty() {
            return true;
        }
        let named = |n: &&VirtualNode| grant.nodes.is_empty() || grant.nodes.contains(&n.name);
        self.world.virtual_nodes.iter().filter(named).any(|node| {
            let stock = self.memory.look(node, grant.requests, self.world.now);
            node.ready && !matches!(stock, Stock::Out(_))
        })
    }

    /// When the first of a grant's places may be tried again.
    pub(super) fn back_in_stock(&self, grant: &Grant) -> Option<Seconds> {
        let named = self.world.virtual_nodes.iter().filter(|node| grant.nodes.contains(&node.name));
        let until = named.filter_map(|node| match self.memory.look(node, grant.requests, self.world.now) {
            Stock::Out(until) => Some(until),
            Stock::Good | Stock::Probe | Stock::Probing => None,
        });
        until.min()
    }

    /// A grant with its place.
    pub(super) fn placed(&self, grant: Grant, choice: Choice) -> Grant {
        Grant {
            side: Side::Cloud,
            tier: self.tiers.seat(choice.tier).tier,
            providers: choice.providers,
            nodes: choice.nodes,
            requests: choice.requests,
            rate: choice.quote.rate,
            minimum: choice.quote.minimum_seconds,
            ..grant
        }
    }

    pub(super) fn dearest<'n>(
        &self,
        claim: &Claim,
        nodes: impl Iterator<Item = &'n VirtualNode>,
    ) -> Option<Quote> {
        nodes.filter_map(|n| self.quote_node(claim, n)).reduce(|a, b| Quote {
            rate: a.rate.max(b.rate),
            minimum_seconds: a.minimum_seconds.max(b.minimum_seconds),
        })
    }

    fn quote_node(&self, claim: &Claim, node: &VirtualNode) -> Option<Quote> {
        self.quote(claim, Place { provider: &node.provider, zone: &node.zone, billing: node.billing })
    }

    pub(super) fn quote(&self, claim: &Claim, place: Place<'_>) -> Option<Quote> {
        let budget = self.spec.budget.as_ref()?;
        let counted = claim.billed.get(place.provider).copied();
        self.world.prices.quote(&budget.currency, place, claim.counted(Side::Cloud), counted)
    }
}

/// Of two refusals the one that says more: what a person set beats what the cloud lacks.
fn worse(a: Refusal, b: Refusal) -> Refusal {
    let rank = |hold: Hold| match hold {
        Hold::NoVirtualNode => 0,
        Hold::NoPrice => 1,
        Hold::SoldOut => 2,
        Hold::TierLimit => 3,
        Hold::BudgetReached => 4,
        _ => 5,
    };
    let until = [a.1, b.1].into_iter().flatten().min();
    (if rank(b.0) > rank(a.0) { b.0 } else { a.0 }, until)
}
