//! From the index to a [`Snapshot`]: only what changed since the last one is copied.

use std::sync::Arc;

use policies::node::{NodeClass, NodeRow};
use policies::resources::Resources;

use super::sum::Sum;
use super::{Index, Slot};
use crate::snapshot::{BurstPod, ClassTotals, NodeId, PolicyTotals, Snapshot, Totals};

impl Index {
    /// The picture as it is now. Only rows that changed since the last call are copied; the rest is shared.
    pub fn snapshot(&mut self, synced: bool) -> Arc<Snapshot> {
        self.refresh_rows();
        self.refresh_nodes();
        self.refresh_details();
        self.published.totals = self.totals();
        self.published.synced = synced;
        self.published.generation += 1;
        Arc::new(self.published.clone())
    }

    fn refresh_rows(&mut self) {
        if self.changed_slots.is_empty() {
            return;
        }
        self.published.rows.resize(self.slots.len(), None);
        for id in std::mem::take(&mut self.changed_slots) {
            let Some(slot) = self.slots.get_mut(id.at()) else { continue };
            slot.changed = false;
            let used = slot.used.total();
            if let Some(row) = slot.row.as_mut().filter(|row| row.requested != used) {
                Arc::make_mut(row).requested = used;
            }
            if let Some(published) = self.published.rows.get_mut(id.at()) {
                published.clone_from(&slot.row);
            }
        }
    }

    fn refresh_nodes(&mut self) {
        if !std::mem::take(&mut self.nodes_changed) {
            return;
        }
        let slots = || (0u32..).map(NodeId).zip(&self.slots);
        let known = || slots().filter(|(_, slot)| slot.row.is_some());
        let virtual_nodes = known().filter(|(_, slot)| slot.class() == Some(NodeClass::Virtual));
        self.published.virtual_nodes = Arc::new(virtual_nodes.map(|(id, _)| id).collect());
        self.published.names = Arc::new(known().map(|(id, slot)| (slot.name.clone(), id)).collect());
        self.published.classes = Arc::new(self.slots.iter().map(Slot::class).collect());
    }

    fn refresh_details(&mut self) {
        if !std::mem::take(&mut self.details_changed) {
            return;
        }
        let class = |pod: &BurstPod| {
            let id = self.by_name.get(pod.node.as_deref()?)?;
            self.slots.get(id.at()).and_then(Slot::class)
        };
        self.details.retain(|_, pod| class(pod) != Some(NodeClass::Real));
        let shown = |pod: &&Arc<BurstPod>| pod.node.is_none() || class(pod) == Some(NodeClass::Virtual);
        self.published.burst_pods = Arc::new(self.details.values().filter(shown).cloned().collect());
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals { pending_pods: self.pending.pods(), ..Totals::default() };
        totals.undecodable = self.undecodable_pods;
        count(&mut totals.policies, &self.pending, |t| &mut t.pending);
        for slot in &self.slots {
            totals.undecodable += u32::from(slot.undecodable && slot.row.is_some());
            match slot.class() {
                Some(NodeClass::Virtual) => count(&mut totals.policies, &slot.used, |t| &mut t.burst),
                _ => count(&mut totals.policies, &slot.used, |t| &mut t.local),
            }
            if let Some(row) = slot.row.as_deref() {
                match row.class {
                    NodeClass::Real => add_node(&mut totals.real, row, slot.used.total()),
                    NodeClass::Virtual => add_node(&mut totals.virtual_nodes, row, slot.used.total()),
                }
            }
        }
        totals
    }
}

fn count(totals: &mut [PolicyTotals; 4], sum: &Sum, field: fn(&mut PolicyTotals) -> &mut u32) {
    for (total, pods) in totals.iter_mut().zip(sum.policies()) {
        *field(total) += pods;
    }
}

fn add_node(totals: &mut ClassTotals, row: &NodeRow, used: Resources) {
    totals.nodes += 1;
    totals.usable += u32::from(row.ready && !row.unschedulable);
    totals.allocatable = totals.allocatable.plus(row.allocatable);
    totals.requested = totals.requested.plus(used);
}
