//! A floor under the cloud core-seconds of every schedule, computed offline from the trace alone.
//!
//! *Relaxation*: at each instant the real nodes are one big node (their capacities added up, pods cut like a fluid, free
//! moves between nodes and between sides at every instant, the whole future known). Two things are kept: the real nodes
//! together have C cores, and a pod that fits no real node even when all are empty can never run on one.
//!
//! *Claim*: for every schedule that keeps capacities, cloud(t) + waiting(t) >= N(t) + max(0, D(t) - C) at every instant
//! t, where D(t) are the cores of the pods alive at t that fit some empty real node, and N(t) those of the pods that fit
//! none. So the integral of the right side is a lower bound for cloud + unserved core-seconds, and for cloud
//! core-seconds alone of every schedule in which no pod waits.
//!
//! *Proof*: the pods alive at t are each on a real node, in the cloud, or waiting (a pod exists from its creation until
//! its deletion, wherever it is). Those that fit no empty real node are never on one, so all of N(t) is in the cloud or
//! waiting. Of the others, those on real nodes have at most C cores together, because on every node the requests are at
//! most its allocatable; so at least D(t) - C of their cores, and at least none, are in the cloud or waiting. The two
//! sets are disjoint; add up and integrate. ∎
//!
//! It is not tight: fragmentation, memory, GPUs and models only make real schedules worse, never better.

use super::{room::Rooms, trace::Trace};

/// Milli-core seconds that every schedule leaves to the cloud or unserved. `usable[i]` says whether pod i fits some
/// real node when all are empty.
pub fn cloud_cpu_floor(trace: &Trace, usable: impl Fn(usize) -> bool) -> u128 {
    let real = trace.nodes.iter().filter(|n| n.provider.is_none());
    let capacity: u64 = real.map(|n| u64::from(n.size.cpu_milli)).sum();
    // (when, change of D, change of N)
    let mut steps: Vec<(i64, i64, i64)> = Vec::with_capacity(trace.pods.len() * 2);
    for (index, pod) in trace.pods.iter().enumerate() {
        let cores = i64::from(pod.size.cpu_milli);
        let (fits, never) = if usable(index) { (cores, 0) } else { (0, cores) };
        steps.push((pod.created, fits, never));
        steps.push((pod.deleted, -fits, -never));
    }
    steps.sort_unstable_by_key(|(when, ..)| *when);
    let (mut floor, mut at, mut fits, mut never) = (0_u128, i64::MIN, 0_i64, 0_i64);
    for (when, more_fits, more_never) in steps {
        let seconds = when.saturating_sub(at).unsigned_abs();
        let over = u64::try_from(fits).unwrap_or(0).saturating_sub(capacity);
        let level = u64::try_from(never).unwrap_or(0).saturating_add(over);
        if level > 0 {
            floor += u128::from(level) * u128::from(seconds);
        }
        (at, fits, never) = (when, fits + more_fits, never + more_never);
    }
    floor
}

/// Whether each pod fits some real node when all are empty.
pub fn usable(trace: &Trace, empty: &Rooms) -> Vec<bool> {
    let fits = |pod: &super::trace::Pod| {
        let models = trace.traits.get(pod.traits as usize).map_or(&[][..], |t| &t.gpu_models);
        empty.kinds().any(|kind| pod.size.fits(kind.size) && super::usable_model(models, kind))
    };
    trace.pods.iter().map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Node, Pod, Size, Trace};
    use super::*;

    #[test]
    fn by_hand() {
        let size = |cpu_milli| Size { cpu_milli, memory_mib: 1, gpu: 0, pods: 1 };
        let pod = |cpu, created, deleted| Pod {
            name: "p".into(),
            size: size(cpu),
            created,
            deleted,
            priority: 0,
            traits: 0,
        };
        let nodes = vec![
            Node { size: size(2_000), ..Node::default() },
            Node { size: size(9_000), provider: Some("huawei".into()), ..Node::default() },
        ];
        // 0..10: 1500; 10..20: 3000, 1000 over; 20..30: 1500. The large one never fits: 5 s of 4000.
        let pods = vec![pod(1_500, 0, 20), pod(1_500, 10, 30), pod(4_000, 2, 7)];
        let trace = Trace { pods, nodes, ..Trace::default() };
        assert_eq!(cloud_cpu_floor(&trace, |i| i != 2), 1_000 * 10 + 4_000 * 5);
        assert_eq!(cloud_cpu_floor(&Trace::default(), |_| true), 0);
    }
}
