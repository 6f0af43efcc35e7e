//! The cluster index: fed by apply, delete and sweep without a cluster, read through [`Snapshot`]s.
//!
//! Node ids are dense and stay while the node exists or pods are bound to its name. What is requested per node is kept
//! incrementally and exactly (wide integers), finished pods excluded. It must never hold whole objects: a pod is a
//! record of a few words, details are kept only for pods that are, or may go, to the cloud.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use policies::node::{NodeClass, NodeRow, Texts};
use policies::policy::Policy;
use smol_str::SmolStr;

use crate::slim::{SlimNode, SlimPod};
use crate::snapshot::{BurstPod, NameMap, NodeId, Snapshot};

mod publish;
mod record;
mod sum;

use record::{PodKey, PodRecord, Shapes};
use sum::Sum;

/// One node name: its row if the node exists, and what is bound to it.
#[derive(Debug, Default)]
struct Slot {
    name: SmolStr,
    row: Option<Arc<NodeRow>>,
    used: Sum,
    generation: u32,
    undecodable: bool,
    changed: bool,
}

impl Slot {
    fn class(&self) -> Option<NodeClass> {
        self.row.as_ref().map(|row| row.class)
    }

    fn empty(&self) -> bool {
        self.row.is_none() && self.used.pods() == 0
    }
}

/// The index. Not shared: one task owns it and publishes snapshots.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Slot>,
    free: Vec<NodeId>,
    /// Every slot's name, nodes that do not exist (yet) included.
    by_name: NameMap,
    pods: HashMap<PodKey, PodRecord, RandomState>,
    /// Details of pods that are in the cloud, may go there, or are bound to a node that is not known yet.
    details: HashMap<PodKey, Arc<BurstPod>, RandomState>,
    shapes: Shapes,
    /// Of labels.
    texts: Texts,
    node_generation: u32,
    pod_generation: u32,
    /// Pods without a node.
    pending: Sum,
    undecodable_pods: u32,
    published: Snapshot,
    nodes_changed: bool,
    details_changed: bool,
    changed_slots: Vec<NodeId>,
}

impl Index {
    /// Adds or replaces a node. A node without a name is ignored.
    pub fn apply_node(&mut self, node: SlimNode) {
        if node.name().is_empty() {
            return;
        }
        let id = self.slot_of(node.name());
        let generation = self.node_generation;
        let undecodable = node.undecodable;
        let Some(slot) = self.slots.get_mut(id.at()) else { return };
        let before = slot.class();
        let mut row = node.into_row(slot.used.total());
        slot.generation = generation;
        slot.undecodable = undecodable;
        if slot.row.as_deref() == Some(&row) {
            return;
        }
        let class = row.class;
        row.labels = self.texts.share(&row.labels);
        slot.row = Some(Arc::new(row));
        self.nodes_changed |= before != Some(class);
        self.details_changed |= before != Some(class);
        self.touch(id);
    }

    /// Removes a node. Pods bound to its name stay counted, for it may come back.
    pub fn delete_node(&mut self, name: &str) {
        let Some(id) = self.by_name.get(name).copied() else { return };
        if let Some(slot) = self.slots.get_mut(id.at())
            && slot.row.take().is_some()
        {
            self.nodes_changed = true;
            self.details_changed = true;
            self.touch(id);
        }
        self.release(id);
    }

    /// Adds or replaces a pod; a finished pod is removed. A pod without a UID is ignored.
    pub fn apply_pod(&mut self, pod: &SlimPod) {
        if pod.uid().is_empty() {
            return;
        }
        let key = PodKey::of(pod.uid());
        if pod.phase.finished() {
            self.remove(key);
            return;
        }
        let node = pod.node.as_deref().map(|name| self.slot_of(name));
        let record = PodRecord {
            node,
            shape: self.shapes.take(pod.requests),
            generation: self.pod_generation,
            policy: pod.policy(),
            undecodable: pod.undecodable,
        };
        self.add(record);
        if let Some(old) = self.pods.insert(key, record) {
            self.take_back(old);
            old.node.into_iter().for_each(|id| self.release(id));
        }
        self.keep_details(key, pod, node);
    }

    /// Whether an unfinished pod is known to have a node.
    pub fn is_bound(&self, uid: &str) -> bool {
        self.pods.get(&PodKey::of(uid)).is_some_and(|pod| pod.node.is_some())
    }

    /// Removes a pod by UID.
    pub fn delete_pod(&mut self, uid: &str) {
        self.remove(PodKey::of(uid));
    }

    /// A complete list of nodes begins: what is not applied before [`Self::sweep_nodes`] does not exist.
    pub const fn relist_nodes(&mut self) {
        self.node_generation = self.node_generation.wrapping_add(1);
    }

    /// The list of nodes is complete. Returns how many were removed.
    pub fn sweep_nodes(&mut self) -> usize {
        let current = self.node_generation;
        let gone = |slot: &&Slot| slot.row.is_some() && slot.generation != current;
        let gone: Vec<SmolStr> = self.slots.iter().filter(gone).map(|slot| slot.name.clone()).collect();
        gone.iter().for_each(|name| self.delete_node(name));
        gone.len()
    }

    /// A complete list of pods begins: what is not applied before [`Self::sweep_pods`] does not exist.
    pub const fn relist_pods(&mut self) {
        self.pod_generation = self.pod_generation.wrapping_add(1);
    }

    /// The list of pods is complete. Returns how many were removed.
    pub fn sweep_pods(&mut self) -> usize {
        let current = self.pod_generation;
        let gone = self.pods.iter().filter(|(_, pod)| pod.generation != current);
        let gone: Vec<PodKey> = gone.map(|(key, _)| *key).collect();
        gone.iter().for_each(|key| self.remove(*key));
        gone.len()
    }

    /// Unfinished pods known.
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    fn slot_of(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let name = SmolStr::new(name);
        let slot = Slot { name: name.clone(), generation: self.node_generation, ..Slot::default() };
        let id = match self.free.pop() {
            Some(id) => id,
            None => NodeId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX)),
        };
        match self.slots.get_mut(id.at()) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        self.by_name.insert(name, id);
        id
    }

    /// Gives an empty slot back.
    fn release(&mut self, id: NodeId) {
        let Some(slot) = self.slots.get_mut(id.at()).filter(|slot| slot.empty() && !slot.name.is_empty())
        else {
            return;
        };
        self.by_name.remove(&slot.name);
        slot.name = SmolStr::default();
        self.free.push(id);
    }

    fn touch(&mut self, id: NodeId) {
        if let Some(slot) = self.slots.get_mut(id.at())
            && !slot.changed
        {
            slot.changed = true;
            self.changed_slots.push(id);
        }
    }

    fn tally(&mut self, node: Option<NodeId>) -> Option<&mut Sum> {
        match node {
            None => Some(&mut self.pending),
            Some(id) => {
                self.touch(id);
                self.slots.get_mut(id.at()).map(|slot| &mut slot.used)
            }
        }
    }

    fn add(&mut self, record: PodRecord) {
        let requests = self.shapes.get(record.shape);
        self.undecodable_pods += u32::from(record.undecodable);
        if let Some(sum) = self.tally(record.node) {
            sum.add(requests, record.policy);
        }
    }

    fn take_back(&mut self, record: PodRecord) {
        let requests = self.shapes.get(record.shape);
        self.shapes.give_back(record.shape);
        self.undecodable_pods = self.undecodable_pods.saturating_sub(record.undecodable.into());
        if let Some(sum) = self.tally(record.node) {
            sum.remove(requests, record.policy);
        }
    }

    fn remove(&mut self, key: PodKey) {
        let Some(old) = self.pods.remove(&key) else { return };
        self.take_back(old);
        self.details_changed |= self.details.remove(&key).is_some();
        if let Some(node) = old.node {
            self.release(node);
        }
    }

    /// Keeps what the page shows of a pod that is, or may go, to the cloud; drops it otherwise.
    fn keep_details(&mut self, key: PodKey, pod: &SlimPod, node: Option<NodeId>) {
        let kept = match node.and_then(|id| self.slots.get(id.at())) {
            None => pod.policy().is_some_and(|policy| policy != Policy::Off),
            Some(slot) => slot.class() != Some(NodeClass::Real),
        };
        self.details_changed |= if kept {
            let details = Arc::new(details(pod));
            self.details.insert(key, Arc::clone(&details)).is_none_or(|old| old != details)
        } else {
            self.details.remove(&key).is_some()
        };
    }
}

fn details(pod: &SlimPod) -> BurstPod {
    let text = |s: &Option<String>| SmolStr::new(s.as_deref().unwrap_or_default());
    BurstPod {
        uid: pod.uid().into(),
        namespace: text(&pod.metadata.namespace),
        name: text(&pod.metadata.name),
        node: pod.node.clone(),
        policy: pod.policy(),
        policy_source: pod.annotations.get(policies::keys::POLICY_SOURCE).map(SmolStr::new),
        phase: pod.phase,
        deleting: pod.deleting,
        owner: pod.owner.clone(),
        app: pod.app().map(SmolStr::new),
        requests: pod.requests,
        priority: pod.priority,
        created: pod.created,
    }
}

#[cfg(test)]
mod tests;
