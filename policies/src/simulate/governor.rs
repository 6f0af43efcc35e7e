//! A policy object's say over its pods: the ledger's own rules ([`Standing`]), asked one pod at a time.
//!
//! What stands for what: a pod that finds no real node is unschedulable from its creation, preemption is tried at once and
//! finds nobody, a granted pod is bound in the same second, and an instance is confirmed gone in the second its pod ends.

use std::collections::BTreeMap;

use crate::{
    burst_policy::{PolicyObject, Side},
    ledger::{Claim, Grant, Hold, Seconds, Standing, VirtualNode},
    policy::Policy,
    price::Quote,
};

use super::{Settings, clouds::Clouds, room::Kind, trace::Size};

/// A pod that finds no real node.
#[derive(Debug)]
pub(super) struct Ask {
    /// Name for the ledger; equal for all pods whose money is counted together.
    pub(super) namespace: u32,
    pub(super) size: Size,
    pub(super) word: Policy,
    pub(super) created: Seconds,
    pub(super) now: Seconds,
}

/// What a placed pod holds of its policy.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    grant: Grant,
    key: Option<u64>,
}

impl Seat {
    /// What the policy's budget pays for it.
    pub(super) const fn price(&self) -> Quote {
        Quote { rate: self.grant.rate, minimum_seconds: self.grant.minimum }
    }
}

/// Permission to go to a virtual node (by position).
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) at: usize,
    pub(super) grant: Option<Grant>,
}

/// Which real nodes a pod may go to.
#[derive(Clone, Debug)]
pub(super) enum LocalRule {
    /// Nothing limits real nodes.
    Any,
    /// The tiers with room under their ceilings, in order: position, and bit in [`Kind::selected`].
    Tiers(Vec<(usize, u64)>),
}

impl LocalRule {
    pub(super) fn allows(&self, kind: &Kind) -> bool {
        match self {
            Self::Any => true,
            Self::Tiers(tiers) => tiers.iter().any(|(_, bit)| kind.selected & bit != 0),
        }
    }

    /// Every way to be on a real node, in order: the bit that a kind must have, and the tier to count in.
    pub(super) fn ways(&self) -> Vec<(Option<u64>, Option<usize>)> {
        match self {
            Self::Any => vec![(None, None)],
            Self::Tiers(tiers) => tiers.iter().map(|(tier, bit)| (Some(*bit), Some(*tier))).collect(),
        }
    }
}

/// One policy object that limits, delays or orders.
#[derive(Debug)]
pub(super) struct Governor<'a> {
    standing: Standing<'a>,
    /// By tier: the bit of its node selector, for local ones.
    bits: Vec<u64>,
    /// Real nodes have ceilings.
    limits_local: bool,
}

impl<'a> Governor<'a> {
    /// `None` where the object limits, delays and orders nothing. `selectors` are the distinct ones of local tiers.
    pub(super) fn of(
        object: &'a PolicyObject,
        clouds: &[VirtualNode],
        selectors: &[BTreeMap<String, String>],
        settings: &Settings<'a>,
    ) -> Option<Self> {
        let spec = &object.spec;
        if !spec.holds_back() {
            return None;
        }
        let all = BTreeMap::new();
        let bit = |selector: &BTreeMap<String, String>| {
            selectors.iter().position(|s| s == selector).map_or(0, |at| 1 << at)
        };
        let implied = [Side::Local, Side::Cloud].map(|side| (side, &all));
        let tiers: Vec<_> = match spec.tiers.is_empty() {
            true => implied.to_vec(),
            false => spec.tiers.iter().map(|t| (t.side, &t.node_selector)).collect(),
        };
        let bits = tiers.iter().map(|(side, selector)| if *side == Side::Local { bit(selector) } else { 0 });
        let standing = Standing::new(spec, clouds, settings.prices, settings.start);
        let limits_local = standing.local_tiers(Size::default().resources(), settings.start).is_some();
        Some(Self { bits: bits.collect(), limits_local, standing })
    }

    /// Which real nodes a pod may go to now.
    pub(super) fn local(&self, size: Size, now: Seconds) -> LocalRule {
        if !self.limits_local {
            return LocalRule::Any;
        }
        let bit = |tier: usize| self.bits.get(tier).copied().unwrap_or(0);
        let tiers = self.standing.local_tiers(size.resources(), now);
        tiers.map_or(LocalRule::Any, |tiers| {
            LocalRule::Tiers(tiers.into_iter().map(|tier| (tier, bit(tier))).collect())
        })
    }

    /// Whether a pod may go to the cloud now, and where; else why not, and until when if the clock ends it.
    pub(super) fn cloud(&self, ask: &Ask, clouds: &Clouds<'_>) -> Result<Permit, (Hold, Option<Seconds>)> {
        if clouds.choose(ask.size, |_| true).is_none() {
            return Err((Hold::NoVirtualNode, None));
        }
        let home = match self.local(ask.size, ask.now) {
            LocalRule::Any => true,
            LocalRule::Tiers(tiers) => !tiers.is_empty(),
        };
        let claim = Claim {
            uid: "pod".to_owned(),
            namespace: ask.namespace.to_string(),
            policy: ask.word,
            requests: ask.size.resources(),
            created: ask.created,
            unschedulable_since: Some(ask.created),
            preemption_tried: true,
            ..Claim::default()
        };
        let grants = self.standing.burst(std::slice::from_ref(&claim), home, ask.now)?;
        let Some(grant) = grants.into_iter().next() else { return Err((Hold::NoVirtualNode, None)) };
        let permitted = |at: usize| clouds.rows.get(at).is_some_and(|node| grant.permits(&node.name));
        match clouds.choose(ask.size, permitted) {
            Some(at) => Ok(Permit { at, grant: Some(grant) }),
            None => Err((Hold::NoVirtualNode, None)),
        }
    }

    pub(super) fn take_local(&mut self, tier: usize, size: Size, namespace: u32, now: Seconds) -> Seat {
        self.keep(self.standing.at_home(tier, &namespace.to_string(), size.resources()), now)
    }

    pub(super) fn take_cloud(&mut self, grant: Grant, node: &VirtualNode, now: Seconds) -> Seat {
        self.keep(self.standing.bound(grant, node, now), now)
    }

    fn keep(&mut self, grant: Grant, now: Seconds) -> Seat {
        let key = self.standing.keep(&grant, now);
        Seat { grant, key }
    }

    pub(super) fn release(&mut self, seat: &Seat, now: Seconds) {
        self.standing.end(&seat.grant, seat.key, now);
    }
}
