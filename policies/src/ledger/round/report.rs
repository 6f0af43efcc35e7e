//! What a round tells: pods to wake, use, money, when to look again.

use super::{Claim, Grant, GrantState, Ledger, NodeClass, Policy, Round, Seat, Side, counted};
use crate::{
    burst_policy::{Limit, Usage},
    ledger::{Plan, Wake, home, limits::shown},
    resources::Resources,
    selector::Term,
};

impl Round<'_> {
    /// The plan. `before` is the ledger that the round began with.
    pub(in crate::ledger) fn finish(mut self, before: &Ledger) -> Plan {
        match &self.purse {
            Some(purse) => purse.close(&mut self.ledger),
            None => {
                self.ledger.spend.clear();
                self.ledger.settled = 0;
            }
        }
        // Noted while it can be seen: a successor that goes again must not bring the promise back.
        self.ledger.moves = home::settled(before, self.claims, self.world.now);
        let changed = self.ledger.grants != before.grants
            || self.ledger.serial != before.serial
            || self.ledger.moves != before.moves;
        Plan {
            changed,
            wake: self.claims.iter().filter_map(|c| self.wake(c)).collect(),
            next_time: self.holds.iter().filter_map(|h| h.until).min(),
            usage: self.usage(),
            spend: self.purse.as_ref().map(|p| p.rows()).unwrap_or_default(),
            holds: self.holds,
            ledger: self.ledger,
        }
    }

    /// What a pod must still be told of its grant.
    fn wake(&self, claim: &Claim) -> Option<Wake> {
        let grant = self.ledger.grants.get(&claim.uid).filter(|g| g.state == GrantState::Open)?;
        let cloud = grant.side == Side::Cloud;
        let lacks = |tolerated: &Vec<String>| {
            !tolerated.is_empty()
                && (grant.providers.is_empty() || grant.providers.iter().any(|p| !tolerated.contains(p)))
        };
        let due = match &claim.node {
            _ if !claim.is_live() => false,
            Some(bound) => cloud && bound.class == NodeClass::Virtual && claim.granted.is_none(),
            None if claim.gated => true,
            None => {
                cloud
                    && (claim.granted.as_ref() != Some(&grant.tier)
                        || claim.tolerated.as_ref().is_some_and(lacks))
            }
        };
        due.then(|| Wake {
            uid: claim.uid.clone(),
            tier: grant.tier.clone(),
            cloud,
            providers: grant.providers.clone(),
            ungate: claim.gated,
            affinity: if claim.gated { self.affinity(claim, grant) } else { None },
        })
    }

    /// The nodes that a gated pod may go to: the real tiers that it was granted, and the cloud unless it must stay out
    /// of it. Real nodes stay out of reach where the cloud was granted instead.
    fn affinity(&self, claim: &Claim, grant: &Grant) -> Option<Vec<Term>> {
        // Who tolerates the provider taint already has nothing left to be withheld: on the local side only its affinity
        // keeps it there.
        let later = claim.policy != Policy::Off && claim.gang.is_none() && claim.tolerated.is_none();
        let cloud = grant.side == Side::Cloud || later;
        let own = Seat { side: grant.side, tier: grant.tier.clone() };
        let local = std::iter::once(&own).chain(&grant.also).filter(|s| s.side == Side::Local);
        let mut terms: Vec<Term> =
            local.filter_map(|s| Some(self.tiers.rows.get(self.tiers.find(s)?)?.term())).collect();
        if self.spec.tiers.is_empty() && cloud && !terms.is_empty() {
            return None;
        }
        if cloud {
            terms.extend(self.tiers.of_side(Side::Cloud).map(|(_, row)| row.term()));
        }
        let mut kept: Vec<Term> = Vec::new();
        for term in terms {
            if !kept.contains(&term) {
                kept.push(term);
            }
        }
        Some(kept)
    }

    fn usage(&self) -> Vec<Usage> {
        let home = (!self.counts_local).then(|| self.at_home_now());
        let tiers = self.tiers.rows.iter().enumerate().map(|(at, row)| {
            let used = match &home {
                Some((tiers, _)) if row.tier.side == Side::Local => tiers.get(at),
                _ => self.used.tiers.get(at),
            };
            (row.tier.name.clone(), used.copied().unwrap_or_default(), row.tier.max.clone())
        });
        let local = home.as_ref().map_or(self.used.local, |(_, all)| *all);
        let sides = [
            ("local".to_owned(), local, self.spec.max.local.clone()),
            ("cloud".to_owned(), self.used.cloud, self.spec.max.cloud.clone()),
        ];
        let implied = self.spec.tiers.is_empty();
        let rows = tiers.filter(|_| !implied).chain(sides);
        rows.map(|(name, used, max): (String, Resources, Limit)| Usage { name, used: shown(used), max })
            .collect()
    }

    /// Pods on real nodes, where nothing counts them: by tier, and all.
    fn at_home_now(&self) -> (Vec<Resources>, Resources) {
        let mut tiers = vec![Resources::default(); self.tiers.rows.len()];
        let mut all = Resources::default();
        for claim in self.claims.iter().filter(|c| !c.finished) {
            let Some(bound) = claim.node.as_ref().filter(|n| n.class == NodeClass::Real) else { continue };
            let requests = counted(claim.requests);
            all = all.plus(requests);
            let at = self.tiers.rows.iter().position(|r| r.holds(bound, self.world, &self.real_nodes));
            if let Some(used) = at.and_then(|at| tiers.get_mut(at)) {
                *used = used.plus(requests);
            }
        }
        (tiers, all)
    }
}
