//! What became of the grants that exist.

use super::{Bound, Claim, Grant, GrantState, NodeClass, Round, Seat, Side, VirtualNode, counted};
use crate::price::{Place, Quote};

impl Round<'_> {
    /// Looks at every grant beside its pod: bound, gone, released, resized.
    pub(in crate::ledger) fn observe(&mut self) {
        for (uid, grant) in std::mem::take(&mut self.ledger.grants) {
            if let Some(grant) = self.observed(&uid, grant) {
                self.put(&uid, grant);
            }
        }
    }

    fn observed(&mut self, uid: &str, mut grant: Grant) -> Option<Grant> {
        let Some(claim) = self.by_uid.get(uid).copied() else { return self.gone(uid, grant) };
        match &claim.node {
            Some(bound) if bound.class == NodeClass::Real => {
                let grant = Grant { requests: counted(claim.requests), ..grant };
                return (self.counts_local && !claim.finished).then(|| self.at_home(grant, bound));
            }
            Some(_) if grant.side == Side::Local => return None,
            Some(bound) => self.bound(claim, &mut grant, bound),
            // The API server binds no pod that is being deleted.
            None if claim.deleting && !claim.finished => return None,
            None => {}
        }
        if !claim.is_live() || grant.state == GrantState::Closing {
            return self.gone(uid, grant);
        }
        grant.requests = claim.counted(grant.side);
        self.reprice(claim, &mut grant);
        Some(grant)
    }

    /// The pod is gone: nothing is made for it any more, and the grant counts until the bridges say that nothing is.
    fn gone(&mut self, uid: &str, mut grant: Grant) -> Option<Grant> {
        if grant.side == Side::Local {
            return None;
        }
        grant.state = GrantState::Closing;
        grant.also.retain(|seat| seat.side == Side::Cloud);
        if !self.is_released(uid, &grant) {
            return Some(grant);
        }
        if let Some(purse) = &mut self.purse {
            purse.ended(&grant);
        }
        None
    }

    /// Whether every bridge that may have an instance says that it has none. A virtual node of which neither the Node
    /// nor the report exists was decommissioned.
    fn is_released(&self, uid: &str, grant: &Grant) -> bool {
        let answer = grant.released(uid);
        let answered = |node: &str| self.released.contains(&(node, &answer));
        let exists =
            |node: &str| self.virtual_nodes.contains_key(node) || self.world.reports.contains_key(node);
        if let Some(node) = &grant.node {
            return !exists(node) || answered(node);
        }
        let named = |node: &str| grant.nodes.is_empty() || grant.nodes.iter().any(|n| n == node);
        let nodes = self.virtual_nodes.keys().copied().chain(self.world.reports.keys().map(String::as_str));
        nodes.filter(|n| named(n)).all(answered)
    }

    /// The pod is on a virtual node: it costs from now on, and counts in one tier only.
    fn bound(&mut self, claim: &Claim, grant: &mut Grant, bound: &Bound) {
        grant.also.retain(|seat| seat.side == Side::Cloud);
        if grant.started.is_none() {
            let since = bound.since.unwrap_or(grant.granted).min(self.world.now).max(grant.granted);
            if let Some(purse) = &mut self.purse {
                purse.seen(grant, since);
            }
            grant.started = Some(since);
        }
        grant.node = Some(bound.name.clone());
        if grant.nodes.is_empty() || grant.nodes.contains(&bound.name) || !claim.is_live() {
            let own = Seat { side: Side::Cloud, tier: grant.tier.clone() };
            let holds = |seat: &Seat| {
                let row = self.tiers.find(seat).and_then(|at| self.tiers.rows.get(at));
                row.is_some_and(|row| row.holds(bound, self.world, &self.real_nodes))
            };
            if let Some(seat) = std::iter::once(&own).chain(&grant.also).find(|s| holds(s)).cloned() {
                (grant.tier, grant.also) = (seat.tier, Vec::new());
                grant.nodes = vec![bound.name.clone()];
            }
        }
    }

    /// A grant of a pod on a real node: no permission for the cloud, only a count.
    pub(super) fn at_home(&self, grant: Grant, bound: &Bound) -> Grant {
        let own = Seat { side: grant.side, tier: grant.tier.clone() };
        let holds = |at: &usize| {
            self.tiers.rows.get(*at).is_some_and(|row| row.holds(bound, self.world, &self.real_nodes))
        };
        let seats = std::iter::once(&own).chain(&grant.also).filter(|s| s.side == Side::Local);
        let at = seats
            .filter_map(|s| self.tiers.find(s))
            .find(holds)
            .or_else(|| self.tiers.of_side(Side::Local).map(|(at, _)| at).find(holds));
        Grant {
            namespace: grant.namespace,
            name: grant.name,
            serial: grant.serial,
            side: Side::Local,
            tier: at.map_or_else(|| "local".to_owned(), |at| self.tiers.seat(at).tier),
            requests: grant.requests,
            granted: grant.granted,
            node: Some(bound.name.clone()),
            ..Grant::default()
        }
    }

    /// The dearest of the places that a grant allows, or the one where its pod is.
    pub(super) fn reprice(&self, claim: &Claim, grant: &mut Grant) {
        let quote = match &claim.node {
            Some(bound) => self.quote_at(claim, bound),
            None => {
                let named = |n: &&VirtualNode| grant.nodes.is_empty() || grant.nodes.contains(&n.name);
                self.dearest(claim, self.world.virtual_nodes.iter().filter(named))
            }
        };
        if let Some(Quote { rate, minimum_seconds }) = quote {
            (grant.rate, grant.minimum) = (rate, minimum_seconds);
        }
    }

    pub(super) fn quote_at(&self, claim: &Claim, bound: &Bound) -> Option<Quote> {
        let billing = self.virtual_nodes.get(bound.name.as_str()).map(|n| n.billing).unwrap_or_default();
        self.quote(claim, Place { provider: &bound.provider, zone: &bound.zone, billing })
    }
}
