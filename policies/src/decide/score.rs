//! How strongly `auto` leans to real nodes: the extender's score of a virtual node, -10 to 0.
//!
//! pressure = the largest share requested of what the ready, schedulable real nodes have together, over the
//! resources the pod asks for (and pods), in thousandths, never above 1000.
//! score = -⌈(1000 - pressure) / 100⌉: -10 on an idle cluster, -1 down to the last tenth, 0 only when some
//! resource is used up. The extender lists virtual nodes only; real nodes count as 0, and the scheduler accepts
//! scores below zero.

use crate::{
    node::{NodeClass, NodeRow},
    resources::Resources,
};

/// Scores up to this one outweigh everything else that the shipped profile of kube-scheduler weighs (200 points each, all
/// other plugins together 1200): what a call would answer is known before it. At most 399 thousandths of pressure.
pub const DECISIVE: i64 = -7;

/// Room and use of the real nodes together. Sum it once per snapshot: scoring a pod is then constant time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalLoad {
    /// Allocatable of all ready, schedulable real nodes.
    pub allocatable: Resources,
    /// What pods request on them.
    pub requested: Resources,
}

impl LocalLoad {
    /// Adds up the real nodes that can take pods.
    pub fn of<'n>(nodes: impl IntoIterator<Item = &'n NodeRow>) -> Self {
        let usable = |n: &&NodeRow| n.class == NodeClass::Real && n.ready && !n.unschedulable;
        nodes.into_iter().filter(usable).fold(Self::default(), |sum, node| Self {
            allocatable: sum.allocatable.plus(node.allocatable),
            requested: sum.requested.plus(node.requested),
        })
    }

    /// Share of the scarcest resource that is requested, in thousandths (0 to 1000), over what `need` asks for.
    pub fn pressure(&self, need: Resources) -> u32 {
        let (used, all) = (self.requested, self.allocatable);
        [
            (need.cpu_milli, used.cpu_milli, all.cpu_milli),
            (need.memory_bytes, used.memory_bytes, all.memory_bytes),
            (need.ephemeral_storage_bytes, used.ephemeral_storage_bytes, all.ephemeral_storage_bytes),
            (need.gpu, used.gpu, all.gpu),
            (1, used.pods, all.pods),
        ]
        .into_iter()
        .filter(|(need, ..)| *need > 0)
        .map(|(_, used, all)| share(used, all))
        .max()
        .unwrap_or(0)
    }
}

/// Score of every virtual node for an `auto` pod that asks for `need`.
pub fn score_virtual(load: &LocalLoad, need: Resources) -> i64 {
    let free = 1000_u32.saturating_sub(load.pressure(need));
    -i64::from(free.div_ceil(100))
}

/// Thousandths of `all` that are used, rounded down so that only "nothing left" reads as 1000.
fn share(used: u64, all: u64) -> u32 {
    if used >= all {
        return 1000;
    }
    // used < all, so the quotient is below 1000 and all is not zero.
    u32::try_from(u128::from(used) * 1000 / u128::from(all)).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cpu(cpu_milli: u64) -> Resources {
        Resources { cpu_milli, pods: 1, ..Resources::default() }
    }

    fn load(used: u64, all: u64) -> LocalLoad {
        let room = Resources { pods: 1_000_000, ..cpu(all) };
        LocalLoad { allocatable: room, requested: Resources { pods: 0, ..cpu(used) } }
    }

    #[test]
    fn table() {
        let check =
            |used, all, wanted| assert_eq!(score_virtual(&load(used, all), cpu(500)), wanted, "{used}/{all}");
        check(0, 10_000, -10);
        check(1, 10_000, -10);
        check(1_000, 10_000, -9);
        check(5_000, 10_000, -5);
        check(9_000, 10_000, -1);
        check(9_999, 10_000, -1);
        check(10_000, 10_000, 0);
        check(12_000, 10_000, 0);
        check(0, 0, 0);
    }

    #[test]
    fn only_what_the_pod_asks_for_counts() {
        let mut full_of_gpu = load(0, 10_000);
        full_of_gpu.allocatable.gpu = 4;
        full_of_gpu.requested.gpu = 4;
        assert_eq!(score_virtual(&full_of_gpu, cpu(500)), -10);
        assert_eq!(score_virtual(&full_of_gpu, Resources { gpu: 1, ..cpu(500) }), 0);
    }

    #[test]
    fn nodes_that_take_no_pods_do_not_count() {
        let node = |name: &str, ready, unschedulable, class| NodeRow {
            name: name.into(),
            class,
            provider: None,
            allocatable: cpu(1_000),
            requested: Resources::default(),
            taints: vec![],
            labels: Default::default(),
            ready,
            unschedulable,
        };
        let nodes = [
            node("a", true, false, NodeClass::Real),
            node("b", false, false, NodeClass::Real),
            node("c", true, true, NodeClass::Real),
            node("d", true, false, NodeClass::Virtual),
        ];
        assert_eq!(LocalLoad::of(&nodes).allocatable, cpu(1_000));
    }

    proptest! {
        #[test]
        fn in_range_and_monotone(used in 0_u64..2_000, more in 0_u64..2_000, all in 0_u64..2_000, room in 0_u64..2_000, need in 0_u64..500) {
            let score = |used, all| score_virtual(&load(used, all), cpu(need));
            prop_assert!((-10..=0).contains(&score(used, all)));
            prop_assert!(score(used, all) <= score(used + more, all), "more use never lowers the score");
            prop_assert!(score(used, all + room) <= score(used, all), "more room never raises it");
            if need > 0 && used < all {
                prop_assert!(score(used, all) < 0, "leans to real nodes while anything is free");
            }
        }
    }
}
