//! Which real node a pod goes to: the feasible one with the most free after placing it (LeastAllocated), found without
//! looking at every node.
//!
//! The score of a node is the mean over cpu and memory of (free - request) / allocatable, as exact fractions: the real
//! plugin rounds each to hundredths, which would only add ties. The first node of the file wins a tie. Nodes of one kind
//! (equal allocatable, GPU model and local tiers) are ordered by free cpu and memory whatever the pod asks for, so each
//! kind keeps a tree with the largest score and the largest free amounts under every branch; the search descends into
//! the better branch first and leaves out what cannot fit or cannot win. A property test compares with the plain scan.

use std::collections::HashMap;

use super::trace::{Node, Size};

/// Nodes, by index in the order given.
pub type NodeIndex = u32;

/// The largest of everything under one branch.
#[derive(Clone, Copy, Debug, Default)]
struct Branch {
    free: Size,
    /// free cpu x allocatable memory + free memory x allocatable cpu.
    score: u64,
}

impl Branch {
    fn over(self, other: Self) -> Self {
        let (a, b) = (self.free, other.free);
        let free = Size {
            cpu_milli: a.cpu_milli.max(b.cpu_milli),
            memory_mib: a.memory_mib.max(b.memory_mib),
            gpu: a.gpu.max(b.gpu),
            pods: a.pods.max(b.pods),
        };
        Self { free, score: self.score.max(other.score) }
    }
}

/// What makes nodes interchangeable but for what is free on them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Allocatable.
    pub size: Size,
    /// Model of GPUs.
    pub gpu_model: String,
    /// Bit i: the i-th distinct node selector of the scenario's local tiers chooses it.
    pub selected: u64,
}

/// The nodes of one kind.
#[derive(Debug)]
struct Group {
    kind: Kind,
    /// Nodes in ascending order.
    members: Vec<NodeIndex>,
    /// A complete binary tree: branch i has the children 2i and 2i + 1, leaves begin at `leaves`.
    tree: Vec<Branch>,
    leaves: usize,
}

/// A candidate, comparable over kinds.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Score after placing, as the fraction `above / below`.
    above: u128,
    below: u128,
    node: NodeIndex,
}

impl Candidate {
    fn beats(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.above * other.below, other.above * self.below);
        mine > theirs || (mine == theirs && self.node < other.node)
    }
}

fn below(kind: &Kind) -> u64 {
    u64::from(kind.size.cpu_milli.max(1)) * u64::from(kind.size.memory_mib.max(1))
}

fn score(kind: &Kind, free: Size) -> u64 {
    u64::from(free.cpu_milli) * u64::from(kind.size.memory_mib.max(1))
        + u64::from(free.memory_mib) * u64::from(kind.size.cpu_milli.max(1))
}

impl Group {
    fn new(kind: Kind) -> Self {
        Self { kind, members: Vec::new(), tree: Vec::new(), leaves: 0 }
    }

    fn grow(&mut self) {
        self.leaves = self.members.len().next_power_of_two();
        self.tree = vec![Branch::default(); 2 * self.leaves];
    }

    fn set(&mut self, slot: usize, free: Size) {
        let mut at = self.leaves + slot;
        if let Some(leaf) = self.tree.get_mut(at) {
            *leaf = Branch { free, score: score(&self.kind, free) };
        }
        while at > 1 {
            at /= 2;
            let children = (self.tree.get(2 * at), self.tree.get(2 * at + 1));
            let (Some(left), Some(right)) = children else { return };
            let merged = left.over(*right);
            if let Some(branch) = self.tree.get_mut(at) {
                *branch = merged;
            }
        }
    }

    /// The slot of the feasible node with the largest score, the first among equals.
    fn best(&self, need: Size) -> Option<(u64, usize)> {
        let mut best = None;
        self.search(1, 0, self.leaves, need, &mut best);
        best
    }

    /// Searches the branch `at`, which covers `width` slots from `first` on.
    fn search(&self, at: usize, first: usize, width: usize, need: Size, best: &mut Option<(u64, usize)>) {
        let Some(branch) = self.tree.get(at) else { return };
        let hopeless = |b: &Branch, first: usize, best: &Option<(u64, usize)>| {
            !need.fits(b.free)
                || best.is_some_and(|(score, slot)| b.score < score || (b.score == score && first > slot))
        };
        if hopeless(branch, first, best) {
            return;
        }
        if width == 1 {
            // Slots beyond the members have no free pod slot, so they never fit.
            *best = Some((branch.score, first));
            return;
        }
        let half = width / 2;
        let score = |at: usize| self.tree.get(at).map(|b| b.score);
        let (left, right) = ((2 * at, first), (2 * at + 1, first + half));
        let order = if score(right.0) > score(left.0) { [right, left] } else { [left, right] };
        for (child, first) in order {
            self.search(child, first, half, need, best);
        }
    }

    fn candidate(&self, need: Size) -> Option<Candidate> {
        let (score, slot) = self.best(need)?;
        let node = *self.members.get(slot)?;
        let taken = self::score(&self.kind, need);
        Some(Candidate {
            above: u128::from(score.saturating_sub(taken)),
            below: u128::from(below(&self.kind)),
            node,
        })
    }
}

/// What is free on every real node.
#[derive(Debug, Default)]
pub struct Rooms {
    /// The plain truth, by node.
    free: Vec<Size>,
    /// By node: its group and its slot there. Virtual nodes have none.
    place: Vec<Option<(usize, usize)>>,
    groups: Vec<Group>,
}

impl Rooms {
    /// Empty nodes. `selected` tells which local selectors choose a node (see [`Kind::selected`]).
    pub fn new(nodes: &[Node], selected: impl Fn(&Node) -> u64) -> Self {
        let mut rooms = Self::default();
        let mut known: HashMap<Kind, usize> = HashMap::new();
        for (index, node) in (0..).zip(nodes) {
            if node.provider.is_some() {
                rooms.free.push(Size::default());
                rooms.place.push(None);
                continue;
            }
            let kind = Kind { size: node.size, gpu_model: node.gpu_model.clone(), selected: selected(node) };
            let at = *known.entry(kind).or_insert_with_key(|kind| {
                rooms.groups.push(Group::new(kind.clone()));
                rooms.groups.len() - 1
            });
            rooms.free.push(node.size);
            if let Some(group) = rooms.groups.get_mut(at) {
                rooms.place.push(Some((at, group.members.len())));
                group.members.push(index);
            }
        }
        rooms.groups.iter_mut().for_each(Group::grow);
        for node in 0..rooms.free.len() {
            rooms.refresh(node);
        }
        rooms
    }

    /// The node for a pod among the kinds that `allowed` lets it use; `None` if it fits nowhere.
    pub fn best(&self, need: Size, allowed: impl Fn(&Kind) -> bool) -> Option<NodeIndex> {
        let mut best: Option<Candidate> = None;
        for group in self.groups.iter().filter(|g| allowed(&g.kind)) {
            let Some(candidate) = group.candidate(need) else { continue };
            if best.is_none_or(|b| candidate.beats(&b)) {
                best = Some(candidate);
            }
        }
        best.map(|b| b.node)
    }

    /// The best node of every kind that `allowed` lets a pod use.
    pub fn best_of_each(
        &self,
        need: Size,
        allowed: impl Fn(&Kind) -> bool,
    ) -> impl Iterator<Item = NodeIndex> {
        let groups = self.groups.iter().filter(move |g| allowed(&g.kind));
        groups.filter_map(move |g| g.candidate(need)).map(|c| c.node)
    }

    /// Takes room on a node; `false` (and nothing changes) if it does not fit.
    pub fn take(&mut self, node: NodeIndex, size: Size) -> bool {
        let Some(free) = self.free.get_mut(node as usize).filter(|free| size.fits(**free)) else {
            return false;
        };
        *free = free.minus(size);
        self.refresh(node as usize);
        true
    }

    /// Gives room back.
    pub fn give(&mut self, node: NodeIndex, size: Size) {
        if let Some(free) = self.free.get_mut(node as usize) {
            *free = free.plus(size);
            self.refresh(node as usize);
        }
    }

    /// What is free on a node.
    pub fn free(&self, node: NodeIndex) -> Size {
        self.free.get(node as usize).copied().unwrap_or_default()
    }

    /// The kind of a real node.
    pub fn kind(&self, node: NodeIndex) -> Option<&Kind> {
        let (group, _) = (*self.place.get(node as usize)?)?;
        self.groups.get(group).map(|g| &g.kind)
    }

    /// Every kind of real node.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.groups.iter().map(|g| &g.kind)
    }

    fn refresh(&mut self, node: usize) {
        let (Some(free), Some(Some((group, slot)))) = (self.free.get(node), self.place.get(node)) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(*group) {
            group.set(*slot, *free);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: every node looked at, fractions compared as they stand.
    fn scan(nodes: &[Node], free: &[Size], need: Size, allowed: impl Fn(&Node) -> bool) -> Option<NodeIndex> {
        let score = |node: &Node, free: Size| {
            let after = free.minus(need);
            let (c, m) = (u128::from(node.size.cpu_milli.max(1)), u128::from(node.size.memory_mib.max(1)));
            (u128::from(after.cpu_milli) * m + u128::from(after.memory_mib) * c, c * m)
        };
        let mut best: Option<(u32, (u128, u128))> = None;
        for (index, (node, free)) in (0..).zip(nodes.iter().zip(free)) {
            if node.provider.is_some() || !need.fits(*free) || !allowed(node) {
                continue;
            }
            let mine = score(node, *free);
            if best.is_none_or(|(_, theirs)| mine.0 * theirs.1 > theirs.0 * mine.1) {
                best = Some((index, mine));
            }
        }
        best.map(|(index, _)| index)
    }

    fn node() -> impl Strategy<Value = Node> {
        let sizes = prop::sample::select(vec![(4_000, 8), (4_000, 16), (8_000, 16), (0, 4), (1_000, 0)]);
        (sizes, 0_u32..3, 1_u32..4, prop::sample::select(vec!["", "A10", "T4"]), prop::bool::weighted(0.1))
            .prop_map(|((cpu_milli, memory_mib), gpu, pods, model, virtual_node)| Node {
                size: Size { cpu_milli, memory_mib, gpu, pods },
                gpu_model: model.to_owned(),
                provider: virtual_node.then(|| "huawei".to_owned()),
                ..Node::default()
            })
    }

    proptest! {
        /// Fails if the tree forgets to update a branch, prunes a winner, breaks a tie otherwise than by the order of
        /// the file, or compares kinds with each other wrongly.
        #[test]
        fn the_choice_is_that_of_the_plain_scan(
            nodes in prop::collection::vec(node(), 0..40),
            pods in prop::collection::vec((0_u32..3_000, 0_u32..6, 0_u32..2, any::<bool>(), any::<prop::sample::Index>()), 0..80),
        ) {
            let mut rooms = Rooms::new(&nodes, |_| 0);
            let empty: Vec<Size> =
                nodes.iter().map(|n| if n.provider.is_some() { Size::default() } else { n.size }).collect();
            let mut free = empty.clone();
            let mut placed: Vec<(NodeIndex, Size)> = Vec::new();
            for (cpu_milli, memory_mib, gpu, only_t4, leaves) in pods {
                let need = Size { cpu_milli, memory_mib, gpu, pods: 1 };
                let chosen = rooms.best(need, |k| !only_t4 || k.gpu_model == "T4");
                prop_assert_eq!(chosen, scan(&nodes, &free, need, |n| !only_t4 || n.gpu_model == "T4"));
                if let Some(node) = chosen {
                    prop_assert!(rooms.take(node, need));
                    free[node as usize] = free[node as usize].minus(need);
                    placed.push((node, need));
                } else if !placed.is_empty() {
                    let (node, size) = placed.swap_remove(leaves.index(placed.len()));
                    rooms.give(node, size);
                    free[node as usize] = free[node as usize].plus(size);
                }
            }
            for (node, size) in placed {
                rooms.give(node, size);
            }
            prop_assert_eq!((0..).zip(&nodes).map(|(i, _)| rooms.free(i)).collect::<Vec<_>>(), empty);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_taken() {
        let nodes = [Node { size: Size { cpu_milli: 1, memory_mib: 1, gpu: 0, pods: 1 }, ..Node::default() }];
        let mut rooms = Rooms::new(&nodes, |_| 0);
        let one = nodes[0].size;
        assert!(rooms.take(0, one) && !rooms.take(0, one) && !rooms.take(7, one));
    }
}
