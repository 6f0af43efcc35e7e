//! The virtual nodes of a trace: what they take, what it costs there, and which one a pod goes to.
//!
//! The choice is that of [`crate::decide`]: of the virtual nodes that can take the pod, the one with the fewest pods, then
//! the first name.

use std::collections::HashMap;

use crate::{
    ledger::VirtualNode,
    money::Rate,
    price::{Place, PriceBook, Quote},
    providers,
    reasons::Reason,
    shape,
};

use super::{
    room::NodeIndex,
    trace::{ENDLESS, Node, Size},
};

/// One virtual node in use.
#[derive(Debug)]
struct Cloud {
    node: NodeIndex,
    /// No limit where it is [`ENDLESS`].
    free: Size,
    pods: u64,
}

impl Cloud {
    /// What of a size counts against the node.
    fn counted(&self, size: Size) -> Size {
        let counted = |amount: u32, free: u32| if free == ENDLESS { 0 } else { amount };
        Size {
            cpu_milli: counted(size.cpu_milli, self.free.cpu_milli),
            memory_mib: counted(size.memory_mib, self.free.memory_mib),
            gpu: counted(size.gpu, self.free.gpu),
            pods: counted(size.pods, self.free.pods),
        }
    }
}

/// The virtual nodes of a trace.
#[derive(Debug)]
pub(super) struct Clouds<'a> {
    /// As the ledger sees them, in the order of the file.
    pub(super) rows: Vec<VirtualNode>,
    clouds: Vec<Cloud>,
    /// Whether any of them can be full.
    pub(super) limited: bool,
    prices: &'a PriceBook,
    currency: Option<String>,
    quotes: HashMap<(usize, Size), Option<Quote>>,
}

impl<'a> Clouds<'a> {
    /// `currency` is that of the quotes; `None` when the book has no price at all.
    pub(super) fn new(nodes: &[Node], prices: &'a PriceBook, currency: Option<String>) -> Self {
        let (mut rows, mut clouds) = (Vec::new(), Vec::new());
        for (index, node) in (0..).zip(nodes) {
            let Some(provider) = &node.provider else { continue };
            rows.push(VirtualNode {
                name: node.name.clone(),
                provider: provider.clone(),
                zone: node.zone.clone(),
                labels: node.labels.clone(),
                ready: true,
                ..VirtualNode::default()
            });
            clouds.push(Cloud { node: index, free: node.size, pods: 0 });
        }
        let full = |s: Size| [s.cpu_milli, s.memory_mib, s.gpu, s.pods].iter().any(|n| *n != ENDLESS);
        let limited = clouds.iter().any(|c: &Cloud| full(c.free));
        Self { rows, clouds, limited, prices, currency, quotes: HashMap::new() }
    }

    /// Why the virtual node cannot take the pod; `None` if it can.
    fn obstacle(&self, at: usize, size: Size) -> Option<Reason> {
        let (Some(row), Some(cloud)) = (self.rows.get(at), self.clouds.get(at)) else {
            return Some(Reason::NoVirtualNode);
        };
        unsellable(row, size)
            .or_else(|| crate::decide::feasible::shortage(size.resources(), cloud.free.resources()))
    }

    /// The virtual node for a pod among those that `allowed` names by position.
    pub(super) fn choose(&self, size: Size, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let fits = |at: &usize| allowed(*at) && self.obstacle(*at, size).is_none();
        let name = |at: usize| self.rows.get(at).map(|r| r.name.as_str());
        let pods = |at: usize| self.clouds.get(at).map(|c| c.pods);
        (0..self.rows.len()).filter(fits).min_by_key(|at| (pods(*at), name(*at)))
    }

    /// Those that can take the pod, with what is free on them.
    pub(super) fn able(&self, size: Size) -> impl Iterator<Item = (NodeIndex, Size)> {
        let able = (0..self.rows.len()).filter(move |at| self.obstacle(*at, size).is_none());
        able.filter_map(|at| self.clouds.get(at)).map(|c| (c.node, c.free))
    }

    /// Position of a virtual node by its index among all nodes.
    pub(super) fn position(&self, node: NodeIndex) -> Option<usize> {
        self.clouds.iter().position(|c| c.node == node)
    }

    /// Index among all nodes.
    pub(super) fn node(&self, at: usize) -> NodeIndex {
        self.clouds.get(at).map_or(NodeIndex::MAX, |c| c.node)
    }

    /// What a pod costs there; `None` without a price.
    pub(super) fn quote(&mut self, at: usize, size: Size) -> Option<Quote> {
        let (row, currency) = (self.rows.get(at)?, self.currency.as_deref()?);
        let place = Place { provider: &row.provider, zone: &row.zone, billing: row.billing };
        let quote = || self.prices.quote(currency, place, size.resources(), None);
        *self.quotes.entry((at, size)).or_insert_with(quote)
    }

    pub(super) fn take(&mut self, at: usize, size: Size) {
        if let Some(cloud) = self.clouds.get_mut(at) {
            cloud.free = cloud.free.minus(cloud.counted(size));
            cloud.pods += 1;
        }
    }

    pub(super) fn give(&mut self, at: usize, size: Size) {
        if let Some(cloud) = self.clouds.get_mut(at) {
            cloud.free = cloud.free.plus(cloud.counted(size));
            cloud.pods = cloud.pods.saturating_sub(1);
        }
    }
}

/// What the provider can never sell.
fn unsellable(node: &VirtualNode, size: Size) -> Option<Reason> {
    let rules = providers::shape(&node.provider)?;
    let asked =
        shape::Size { cpu_milli: u64::from(size.cpu_milli), memory_bytes: u64::from(size.memory_mib) << 20 };
    let place = Place { provider: &node.provider, zone: &node.zone, billing: node.billing };
    rules.billed(asked, place).err().map(|misfit| misfit.reason)
}

/// Nothing is charged.
pub(super) const FREE: Quote = Quote { rate: Rate(0), minimum_seconds: 0 };
