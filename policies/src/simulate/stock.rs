//! The yardstick: `auto` as the vendors' add-ons have it, a toleration and the stock scheduler's own scores, no burst.
//!
//! total = 3 x TaintToleration + 2 x PodTopologySpread + NodeResourcesFit (LeastAllocated) + BalancedAllocation, each 0
//! to 100, integers as the plugins round them; the other default plugins give equal points to all nodes of a trace. A
//! virtual node carries the one PreferNoSchedule taint, is one host and a zone of its own. Spread is the system default
//! (hostname with maxSkew 3, zone with 5, soft) over the pods of the same owner; pods without an owner have none.
//!
//! Simplified: of the real nodes of one kind only the least allocated one competes. The class that wins is the class of
//! the highest total, a real node first among equals.

use std::collections::HashMap;

use super::{
    room::{NodeIndex, Rooms},
    trace::{Node, Size},
};

const TAINT: i64 = 3;
const SPREAD: i64 = 2;
const SKEW_HOST: f64 = 3.0;
const SKEW_ZONE: f64 = 5.0;

/// How many pods of each owner are where.
#[derive(Debug, Default)]
pub(super) struct Spread {
    on_node: HashMap<(u32, NodeIndex), u32>,
    in_zone: HashMap<(u32, u32), u32>,
    /// By node: number of its zone; a virtual node is a zone of its own.
    zones: Vec<u32>,
    hosts: f64,
    zone_count: f64,
}

impl Spread {
    pub(super) fn new(nodes: &[Node]) -> Self {
        let mut known: HashMap<(&str, Option<usize>), u32> = HashMap::new();
        let mut zones = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let own = node.provider.is_some().then_some(index);
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            zones.push(*known.entry((&node.zone, own)).or_insert(next));
        }
        let (hosts, zone_count) = (count(nodes.len()), count(known.len()));
        Self { zones, hosts, zone_count, ..Self::default() }
    }

    fn zone(&self, node: NodeIndex) -> u32 {
        self.zones.get(node as usize).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, owner: u32, node: NodeIndex) {
        *self.on_node.entry((owner, node)).or_default() += 1;
        *self.in_zone.entry((owner, self.zone(node))).or_default() += 1;
    }

    pub(super) fn remove(&mut self, owner: u32, node: NodeIndex) {
        let zone = self.zone(node);
        if let Some(pods) = self.on_node.get_mut(&(owner, node)) {
            *pods = pods.saturating_sub(1);
        }
        if let Some(pods) = self.in_zone.get_mut(&(owner, zone)) {
            *pods = pods.saturating_sub(1);
        }
    }

    /// How crowded a node is with pods of this owner, before normalising.
    fn crowd(&self, owner: u32, node: NodeIndex) -> f64 {
        let at = |pods: Option<&u32>| pods.copied().map_or(0.0, f64::from);
        let host = at(self.on_node.get(&(owner, node))) * (self.hosts + 2.0).ln() + SKEW_HOST - 1.0;
        let zone =
            at(self.in_zone.get(&(owner, self.zone(node)))) * (self.zone_count + 2.0).ln() + SKEW_ZONE - 1.0;
        (host + zone).round()
    }
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}

/// A node that competes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    node: NodeIndex,
    points: i64,
    crowd: f64,
}

/// The node with the highest total. `virtual_nodes` are those that can take the pod; `owner` is `None` without an owner.
pub(super) fn choose(
    nodes: &[Node],
    rooms: &Rooms,
    real: impl Iterator<Item = NodeIndex>,
    virtual_nodes: impl Iterator<Item = (NodeIndex, Size)>,
    need: Size,
    spread: &Spread,
    owner: Option<u32>,
) -> Option<NodeIndex> {
    let crowd = |node| owner.map_or(0.0, |owner| spread.crowd(owner, node));
    let allocatable = |node: NodeIndex| nodes.get(node as usize).map(|n| n.size).unwrap_or_default();
    let real = real.map(|node| Entry {
        node,
        points: TAINT * 100 + resources(allocatable(node), rooms.free(node).minus(need)),
        crowd: crowd(node),
    });
    let virtual_nodes = virtual_nodes.map(|(node, free)| Entry {
        node,
        points: resources(allocatable(node), free.minus(need)),
        crowd: crowd(node),
    });
    let entries: Vec<Entry> = real.chain(virtual_nodes).collect();
    let most = entries.iter().map(|e| e.crowd).fold(0.0, f64::max);
    let least = entries.iter().map(|e| e.crowd).fold(f64::INFINITY, f64::min);
    let mut best: Option<(i64, NodeIndex)> = None;
    for entry in entries {
        let share =
            if owner.is_none() || most <= 0.0 { 0.0 } else { 100.0 * (most + least - entry.crowd) / most };
        #[expect(clippy::cast_possible_truncation, reason = "0 to 100, rounded down as the plugin does")]
        let total = entry.points + SPREAD * share as i64;
        if best.is_none_or(|(points, _)| total > points) {
            best = Some((total, entry.node));
        }
    }
    best.map(|(_, node)| node)
}

/// NodeResourcesFit (LeastAllocated) plus BalancedAllocation, of what is free after placing.
fn resources(all: Size, free: Size) -> i64 {
    let share = |free: u32, all: u32| i64::from(free) * 100 / i64::from(all.max(1));
    let least = (share(free.cpu_milli, all.cpu_milli) + share(free.memory_mib, all.memory_mib)) / 2;
    let used = |free: u32, all: u32| 1.0 - f64::from(free) / f64::from(all.max(1));
    let apart = (used(free.cpu_milli, all.cpu_milli) - used(free.memory_mib, all.memory_mib)).abs() / 2.0;
    #[expect(clippy::cast_possible_truncation, reason = "0 to 100, rounded down as the plugin does")]
    let balanced = ((1.0 - apart) * 100.0) as i64;
    least + balanced
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of scheduling.md 2.3: with what a trace tells, the taint just holds; there a preferred
    /// anti-affinity tipped it.
    #[test]
    fn a_crowded_real_node_against_an_empty_virtual_one() {
        let size = Size { cpu_milli: 10_000, memory_mib: 10_000, gpu: 0, pods: 100 };
        let huge = Size { cpu_milli: 1 << 30, memory_mib: 1 << 30, gpu: 0, pods: 1 << 30 };
        let nodes = [
            Node { size, ..Node::default() },
            Node { size: huge, provider: Some("huawei".into()), ..Node::default() },
        ];
        let need = Size { cpu_milli: 100, memory_mib: 100, gpu: 0, pods: 1 };
        let mut rooms = Rooms::new(&nodes, |_| 0);
        let mut spread = Spread::new(&nodes);
        for _ in 0..90 {
            assert!(rooms.take(0, need));
            spread.add(7, 0);
        }
        assert_eq!((spread.crowd(7, 0), spread.crowd(7, 1), spread.crowd(8, 0)), (256.0, 6.0, 6.0));
        assert_eq!(resources(size, rooms.free(0).minus(need)), 9 + 100);
        assert_eq!(resources(huge, huge.minus(need)), 99 + 100);
        // 300 + 109 + 2 x 2 against 199 + 2 x 100.
        let real = || [0].into_iter();
        let choose = |real: &mut dyn Iterator<Item = NodeIndex>, owner| {
            choose(&nodes, &rooms, real, [(1, huge)].into_iter(), need, &spread, owner)
        };
        assert_eq!(choose(&mut real(), Some(7)), Some(0));
        assert_eq!(choose(&mut real(), None), Some(0));
        assert_eq!(choose(&mut [].into_iter(), Some(7)), Some(1));
    }
}
