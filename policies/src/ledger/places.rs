//! The tiers of a policy against the nodes that exist: who belongs where, and what is sold out.

use std::collections::BTreeMap;

use super::{Bound, Grant, GrantState, Seat, Seconds, VirtualNode, World, limits::Ceiling};
use crate::{
    burst_policy::{BurstPolicySpec, Side, Tier},
    keys,
    node::{NodeClass, NodeRow},
    resources::Resources,
    selector::{Requirement, Term},
    stock,
};

/// Every tier of a policy; without any, the two that are implied.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiers {
    pub(super) rows: Vec<Row>,
}

/// One tier.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) tier: Tier,
    pub(super) ceiling: Ceiling,
    /// Cloud: the virtual nodes of the tier, in the order of its zones.
    pub(super) nodes: Vec<usize>,
}

impl Tiers {
    pub(super) fn of(spec: &BurstPolicySpec, world: &World<'_>) -> Self {
        let implied = [("local", Side::Local), ("cloud", Side::Cloud)].map(|(name, side)| Tier {
            name: name.to_owned(),
            side,
            ..Tier::default()
        });
        let tiers = if spec.tiers.is_empty() { &implied[..] } else { &spec.tiers[..] };
        let rows = tiers.iter().map(|tier| Row {
            ceiling: Ceiling::of(&tier.max),
            nodes: members(tier, world.virtual_nodes),
            tier: tier.clone(),
        });
        Self { rows: rows.collect() }
    }

    /// Where a seat's tier stands; `None` if the policy has no such tier any more.
    pub(super) fn find(&self, seat: &Seat) -> Option<usize> {
        self.rows.iter().position(|r| r.tier.side == seat.side && r.tier.name == seat.tier)
    }

    /// Tiers of a side, in order.
    pub(super) fn of_side(&self, side: Side) -> impl Iterator<Item = (usize, &Row)> {
        self.rows.iter().enumerate().filter(move |(_, row)| row.tier.side == side)
    }

    /// Whether real nodes have ceilings, so that pods on them are counted.
    pub(super) fn has_local_ceilings(&self) -> bool {
        self.of_side(Side::Local).any(|(_, row)| row.ceiling.is_set())
    }

    pub(super) fn seat(&self, at: usize) -> Seat {
        self.rows.get(at).map(|r| Seat { side: r.tier.side, tier: r.tier.name.clone() }).unwrap_or_default()
    }
}

impl Row {
    /// Whether the tier takes only some of the virtual nodes.
    pub(super) fn is_narrow(&self) -> bool {
        self.tier.provider.is_some() || !self.tier.zones.is_empty() || !self.tier.node_selector.is_empty()
    }

    /// Whether a bound pod's node belongs to the tier. A virtual node that is not known belongs by provider and zone.
    pub(super) fn holds(&self, bound: &Bound, world: &World<'_>, real: &BTreeMap<&str, &NodeRow>) -> bool {
        match (self.tier.side, bound.class) {
            (Side::Local, NodeClass::Real) => {
                let labels = real.get(bound.name.as_str()).map(|n| &n.labels);
                self.tier.node_selector.iter().all(|(k, v)| labels.is_some_and(|l| l.has(k, v)))
            }
            (Side::Cloud, NodeClass::Virtual) => {
                let unknown = || VirtualNode {
                    name: bound.name.clone(),
                    provider: bound.provider.clone(),
                    zone: bound.zone.clone(),
                    ..VirtualNode::default()
                };
                world
                    .virtual_nodes
                    .iter()
                    .find(|n| n.name == bound.name)
                    .map_or_else(|| takes(&self.tier, &unknown()), |n| takes(&self.tier, n))
            }
            _ => false,
        }
    }

    /// Whether a real node belongs to the tier.
    pub(super) fn takes_real(&self, node: &NodeRow) -> bool {
        self.tier.side == Side::Local
            && self.tier.node_selector.iter().all(|(key, value)| node.labels.has(key, value))
    }

    /// The nodes of the tier as a term of a required node affinity.
    pub(super) fn term(&self) -> Term {
        let one = |key: &str, operator: &str, value: &str| Requirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: vec![value.to_owned()],
        };
        let class = match self.tier.side {
            Side::Local => one(keys::NODE_TYPE, "NotIn", keys::NODE_TYPE_VIRTUAL),
            Side::Cloud => one(keys::NODE_TYPE, "In", keys::NODE_TYPE_VIRTUAL),
        };
        let selected = self.tier.node_selector.iter().map(|(key, value)| one(key, "In", value));
        Term { match_expressions: std::iter::once(class).chain(selected).collect(), match_fields: Vec::new() }
    }
}

fn takes(tier: &Tier, node: &VirtualNode) -> bool {
    tier.provider.as_ref().is_none_or(|p| *p == node.provider)
        && (tier.zones.is_empty() || tier.zones.contains(&node.zone))
        && tier.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
}

/// The virtual nodes of a tier: by the order of its zones, then as they come.
fn members(tier: &Tier, nodes: &[VirtualNode]) -> Vec<usize> {
    let mut members: Vec<usize> = match tier.side {
        Side::Local => Vec::new(),
        Side::Cloud => nodes.iter().enumerate().filter(|(_, n)| takes(tier, n)).map(|(at, _)| at).collect(),
    };
    let zone = |at: &usize| nodes.get(*at).and_then(|n| tier.zones.iter().position(|z| *z == n.zone));
    members.sort_by_key(zone);
    members
}

/// What the memory of stock-outs says of a place and a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stock {
    /// Nothing.
    Good,
    /// Sold out until then.
    Out(Seconds),
    /// It was sold out and the time is over: one pod may try.
    Probe,
    /// One pod is trying.
    Probing,
}

/// Places that are sold out, by provider, zone and class of size.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    out: BTreeMap<(String, String, String), Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    until: Seconds,
    /// Grants that were made for the place after the outage ran out.
    probes: usize,
}

impl Memory {
    pub(super) fn of(world: &World<'_>) -> Self {
        let mut out = BTreeMap::new();
        for report in world.reports.values() {
            for stock_out in &report.stock_outs {
                let key = (report.provider.clone(), stock_out.zone.clone(), stock_out.class.clone());
                let outage = out.entry(key).or_insert(Outage { until: stock_out.until, probes: 0 });
                outage.until = outage.until.max(stock_out.until);
            }
        }
        Self { out }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn look(&self, node: &VirtualNode, requests: Resources, now: Seconds) -> Stock {
        if self.out.is_empty() {
            return Stock::Good;
        }
        match self.out.get(&key(node, requests)) {
            None => Stock::Good,
            Some(outage) if now < outage.until => Stock::Out(outage.until),
            Some(outage) if outage.probes > 0 => Stock::Probing,
            Some(_) => Stock::Probe,
        }
    }

    /// Takes note of a grant: one that was made for a place after its outage ran out is the probe.
    pub(super) fn note(&mut self, grant: &Grant, nodes: &BTreeMap<&str, &VirtualNode>) {
        self.change(grant, nodes, |probes| probes + 1);
    }

    /// Takes the note of a grant back.
    pub(super) fn forget(&mut self, grant: &Grant, nodes: &BTreeMap<&str, &VirtualNode>) {
        self.change(grant, nodes, |probes| probes.saturating_sub(1));
    }

    fn change(&mut self, grant: &Grant, nodes: &BTreeMap<&str, &VirtualNode>, by: fn(usize) -> usize) {
        if self.out.is_empty() || grant.state != GrantState::Open || grant.side != Side::Cloud {
            return;
        }
        for name in grant.node.iter().chain(&grant.nodes) {
            let Some(node) = nodes.get(name.as_str()) else { continue };
            let outage = self.out.get_mut(&key(node, grant.requests));
            if let Some(outage) = outage.filter(|outage| grant.granted >= outage.until) {
                outage.probes = by(outage.probes);
            }
        }
    }
}

fn key(node: &VirtualNode, requests: Resources) -> (String, String, String) {
    (node.provider.clone(), node.zone.clone(), stock::class(requests))
}
