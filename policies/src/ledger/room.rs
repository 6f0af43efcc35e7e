//! Whether real nodes have room for pods that hold a gate: an estimate, first fit, that the scheduler corrects.
//!
//! The scheduler never tries a gated pod, so this is the only evidence that there is. Nodes with a taint that keeps pods
//! off are left out: what a pod tolerates is not looked at.

use std::collections::HashMap;

use super::places::Row;
use crate::{
    node::{NodeClass, NodeRow, TaintEffect},
    resources::Resources,
};

/// What is free, with what this round has given away taken off.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    /// By node, in the order of the world.
    free: Vec<Option<Resources>>,
    /// The first node of a tier that may have room for a size: all before it had none, and none of them gets any.
    from: HashMap<(usize, Resources), usize>,
    /// What was taken, to be given back.
    taken: Vec<(usize, Resources)>,
}

/// A point to go back to.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    taken: usize,
    from: HashMap<(usize, Resources), usize>,
}

impl Room {
    pub(super) fn of(nodes: &[NodeRow]) -> Self {
        let open = |n: &&NodeRow| {
            let shut = n.taints.iter().any(|t| t.effect != TaintEffect::PreferNoSchedule);
            n.class == NodeClass::Real && n.ready && !n.unschedulable && !shut
        };
        let free = nodes.iter().map(|n| Some(n).filter(open).map(|n| n.free())).collect();
        Self { free, ..Self::default() }
    }

    /// Takes room for a pod on some node of a tier, if there is any.
    pub(super) fn take(&mut self, nodes: &[NodeRow], tier: (usize, &Row), requests: Resources) -> bool {
        let from = self.from.entry((tier.0, requests)).or_default();
        let rest = self.free.iter_mut().zip(nodes).enumerate().skip(*from);
        for (at, (free, node)) in rest {
            *from = at;
            if let Some(room) = free
                && requests.fits(*room)
                && tier.1.takes_real(node)
            {
                *room = room.minus(requests);
                self.taken.push((at, requests));
                return true;
            }
        }
        *from = self.free.len();
        false
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { taken: self.taken.len(), from: self.from.clone() }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        for (at, requests) in self.taken.drain(mark.taken.min(self.taken.len())..) {
            if let Some(Some(room)) = self.free.get_mut(at) {
                *room = room.plus(requests);
            }
        }
        self.from = mark.from;
    }
}
