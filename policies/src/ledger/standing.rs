//! A policy's counts and money kept between rounds, for callers that decide one pod at a time a million times (the
//! simulator). Waits, ceilings, tiers and budgets are those of a [`Round`]: it is begun with sums instead of every grant.
//!
//! Sums stand for grants exactly: what a round looks at is linear in grants that run (their requests by tier, their
//! rates), so grants of one namespace without a billing minimum are one grant with the sum of their rates, settled
//! whenever the sum changes. A grant with a minimum is kept by itself.

use std::collections::BTreeMap;

use super::{
    Claim, Grant, Ledger, NodeReport, Seconds, VirtualNode, World,
    budget::Purse,
    limits::{Used, counted},
    places::Tiers,
    round::{Refusal, Round},
};
use crate::{
    burst_policy::{BurstPolicySpec, Side},
    price::{Place, PriceBook},
    resources::Resources,
};

/// The standing of one policy.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    spec: &'a BurstPolicySpec,
    nodes: Vec<VirtualNode>,
    prices: &'a PriceBook,
    reports: BTreeMap<String, NodeReport>,
    tiers: Tiers,
    used: Used,
    /// Money, and the grants that cost, as sums.
    sums: Ledger,
}

impl<'a> Standing<'a> {
    pub(crate) fn new(
        spec: &'a BurstPolicySpec,
        nodes: &[VirtualNode],
        prices: &'a PriceBook,
        now: Seconds,
    ) -> Self {
        let mut standing = Self {
            spec,
            nodes: nodes.to_vec(),
            prices,
            reports: BTreeMap::new(),
            tiers: Tiers::default(),
            used: Used::default(),
            sums: Ledger::default(),
        };
        let (tiers, used) = standing.round(&[], now, |round| {
            let used = Used { tiers: vec![Resources::default(); round.tiers.rows.len()], ..Used::default() };
            (round.tiers.clone(), used)
        });
        (standing.tiers, standing.used) = (tiers, used);
        standing.settle(now, |_| {});
        standing
    }

    /// Begins a round over these claims with what stands.
    fn round<T>(&self, claims: &[Claim], now: Seconds, then: impl FnOnce(&mut Round<'_>) -> T) -> T {
        let world = World {
            now,
            virtual_nodes: &self.nodes,
            real_nodes: &[],
            reports: &self.reports,
            prices: self.prices,
        };
        let mut round = Round::begin(self.spec, &self.sums, claims, &world);
        round.ledger.grants.clear();
        if let Some(purse) = &mut round.purse {
            self.sums.grants.values().for_each(|grant| purse.hold(grant));
        }
        round.used = self.used.clone();
        then(&mut round)
    }

    /// The local tiers whose ceilings a pod fits under, in order; `None` where nothing limits real nodes.
    pub(crate) fn local_tiers(&self, requests: Resources, now: Seconds) -> Option<Vec<usize>> {
        self.round(&[], now, |round| round.counts_local.then(|| round.local_tiers(requests)))
    }

    /// Whether pods may go to the cloud now, all of them or none; one grant for each. Nothing is kept. `home` says that
    /// they may run on real nodes too.
    pub(crate) fn burst(&self, claims: &[Claim], home: bool, now: Seconds) -> Result<Vec<Grant>, Refusal> {
        self.round(claims, now, |round| {
            claims.iter().try_for_each(|claim| round.burst(claim, home))?;
            Ok(claims.iter().filter_map(|claim| round.take(&claim.uid)).collect())
        })
    }

    /// A grant as it is once its pod is on a virtual node.
    pub(crate) fn bound(&self, grant: Grant, node: &VirtualNode, now: Seconds) -> Grant {
        let place = Place { provider: &node.provider, zone: &node.zone, billing: node.billing };
        let quote = self
            .spec
            .budget
            .as_ref()
            .and_then(|b| self.prices.quote(&b.currency, place, grant.requests, None));
        let quote = quote.unwrap_or_default();
        let (rate, minimum) = (quote.rate, quote.minimum_seconds);
        let node = Some(node.name.clone());
        Grant { rate, minimum, node, started: Some(now), also: Vec::new(), ..grant }
    }

    /// What a pod on a real node counts as.
    pub(crate) fn at_home(&self, tier: usize, namespace: &str, requests: Resources) -> Grant {
        let seat = self.tiers.seat(tier);
        let (namespace, requests) = (namespace.to_owned(), counted(requests));
        Grant { namespace, requests, side: Side::Local, tier: seat.tier, ..Grant::default() }
    }

    /// A grant stands from now on; the key under which it is kept, if it is kept by itself.
    pub(crate) fn keep(&mut self, grant: &Grant, now: Seconds) -> Option<u64> {
        self.settle(now, |_| {});
        self.used.add(&self.tiers, grant);
        if grant.rate.0 == 0 {
            return None;
        }
        if grant.minimum > 0 {
            self.sums.serial += 1;
            self.sums.grants.insert(own(self.sums.serial), grant.clone());
            return Some(self.sums.serial);
        }
        let sum = self.sums.grants.entry(together(&grant.namespace)).or_insert_with(|| Grant {
            namespace: grant.namespace.clone(),
            side: Side::Cloud,
            started: Some(now),
            ..Grant::default()
        });
        sum.rate = sum.rate.plus(grant.rate);
        None
    }

    /// A grant ends now, with its instance. `key` is what [`Self::keep`] said.
    pub(crate) fn end(&mut self, grant: &Grant, key: Option<u64>, now: Seconds) {
        self.settle(now, |purse| purse.ended(grant));
        self.used.remove(&self.tiers, grant);
        if let Some(key) = key {
            self.sums.grants.remove(&own(key));
        } else if let Some(sum) = self.sums.grants.get_mut(&together(&grant.namespace)) {
            sum.rate.0 = sum.rate.0.saturating_sub(grant.rate.0);
        }
    }

    /// Adds up what was spent until now.
    fn settle(&mut self, now: Seconds, then: impl FnOnce(&mut Purse<'_>)) {
        let Some(budget) = &self.spec.budget else { return };
        let mut purse = Purse::open(budget, &self.sums, now);
        then(&mut purse);
        purse.close(&mut self.sums);
    }
}

fn together(namespace: &str) -> String {
    format!("={namespace}")
}

fn own(serial: u64) -> String {
    serial.to_string()
}
