//! From samples to counters. Pure: time comes with the samples.
//!
//! A cloud that tells what a container has used since its start is repeated. Where it tells only what is in use now, that
//! is taken to have held since the sample before and added up; a sum so made begins anew with this process. Pod and node
//! add up differences, so that neither a container that restarts nor a pod that goes makes their counters fall: whoever
//! computes rates from them would take a fall for a restart of the counter.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{ContainerUsed, NodeUsage, Observed, PodUsage};
use crate::cloud::usage::{ContainerUsage, Memory};

/// What a sum that begins now takes the present rate to have held: nothing that reads counters likes a zero.
const BEGINNING_SECONDS: i64 = 15;
const NANO: u128 = 1_000_000_000;

/// The counters of one virtual node.
#[derive(Debug)]
pub struct Meter {
    node: String,
    since: Timestamp,
    total: u64,
    pods: HashMap<String, PodCounter>,
}

#[derive(Debug, Default)]
struct PodCounter {
    total: u64,
    containers: HashMap<String, Counter>,
}

/// What is remembered of a container.
#[derive(Clone, Copy, Debug)]
struct Counter {
    at: Timestamp,
    started: Option<Timestamp>,
    total: u64,
    nano_cores: Option<u64>,
}

/// A counter after a sample, and by how much that moved the sums above it.
struct Step {
    counter: Counter,
    pod: u64,
    node: u64,
}

impl Meter {
    /// Counts from now on.
    pub fn new(node: &str, now: Timestamp) -> Self {
        Self { node: node.to_owned(), since: now, total: 0, pods: HashMap::new() }
    }

    /// Takes a batch: every pod that runs, with what the cloud told of it.
    pub fn add(&mut self, batch: Vec<Observed>, now: Timestamp) -> NodeUsage {
        let running: HashSet<String> = batch.iter().map(|observed| observed.pod.uid.clone()).collect();
        self.pods.retain(|uid, _| running.contains(uid));
        let all = batch.len();
        let mut pods: Vec<PodUsage> = batch.into_iter().filter_map(|observed| self.pod(observed)).collect();
        pods.sort_by(|a, b| (&a.pod.namespace, &a.pod.name).cmp(&(&b.pod.namespace, &b.pod.name)));
        let memory = pods.iter().fold(Memory::NOTHING, |sum, pod| sum.plus(pod.memory));
        NodeUsage {
            node: self.node.clone(),
            since: self.since,
            at: now,
            nano_cores: pods.iter().filter_map(|pod| pod.nano_cores).fold(0, u64::saturating_add),
            core_nano_seconds: self.total,
            // What is left below the limits of pods is not what is left on the node.
            memory: Memory { available: None, ..memory },
            skipped: all.saturating_sub(pods.len()),
            pods,
        }
    }

    fn pod(&mut self, observed: Observed) -> Option<PodUsage> {
        let Observed { pod, started, containers: own, usage } = observed;
        let usage = usage?;
        let known = self.pods.entry(pod.uid.clone()).or_default();
        let mut containers = Vec::new();
        for (name, began) in own {
            let Some(sample) = usage.containers.iter().find(|sample| sample.name == name) else { continue };
            let step = step(known.containers.get(&name), sample, began, self.since);
            known.total = known.total.saturating_add(step.pod);
            self.total = self.total.saturating_add(step.node);
            let Counter { at, total, nano_cores, .. } = step.counter;
            known.containers.insert(name.clone(), step.counter);
            containers.push(ContainerUsed {
                name,
                started: began,
                at,
                nano_cores,
                core_nano_seconds: total,
                memory: sample.memory,
            });
        }
        Some(PodUsage {
            started,
            at: containers.iter().map(|container| container.at).max()?,
            nano_cores: containers
                .iter()
                .try_fold(0_u64, |sum, container| Some(sum.saturating_add(container.nano_cores?))),
            core_nano_seconds: known.total,
            memory: containers.iter().fold(Memory::NOTHING, |sum, container| sum.plus(container.memory)),
            containers,
            interfaces: usage.interfaces,
            pod,
        })
    }
}

fn step(
    before: Option<&Counter>,
    sample: &ContainerUsage,
    started: Option<Timestamp>,
    since: Timestamp,
) -> Step {
    // Another start is another counter.
    let before = before.filter(|before| before.started == started);
    let counter = |total, nano_cores| Counter { at: sample.at, started, total, nano_cores };
    let Some(before) = before else {
        let total = sample.core_nano_seconds.unwrap_or_else(|| beginning(sample, started));
        // What was used before the node's counter began is none of its business.
        let node = if started.is_some_and(|started| started >= since) { total } else { 0 };
        return Step { counter: counter(total, sample.nano_cores), pod: total, node };
    };
    if sample.at <= before.at {
        return Step { counter: *before, pod: 0, node: 0 };
    }
    let nanos = sample.at.duration_since(before.at).as_nanos().unsigned_abs();
    let total = sample.core_nano_seconds.unwrap_or_else(|| {
        let held = u128::from(sample.nano_cores.unwrap_or_default()).saturating_mul(nanos) / NANO;
        before.total.saturating_add(u64::try_from(held).unwrap_or(u64::MAX))
    });
    // A counter that fell was begun anew without anybody saying so.
    let moved = total.checked_sub(before.total).unwrap_or(total);
    let rate = u128::from(moved).saturating_mul(NANO).checked_div(nanos);
    let rate = sample.nano_cores.or_else(|| rate.and_then(|rate| u64::try_from(rate).ok()));
    Step { counter: counter(total, rate), pod: moved, node: moved }
}

/// The first sum of a container of which only the rate is known.
fn beginning(sample: &ContainerUsage, started: Option<Timestamp>) -> u64 {
    let age = started.map_or(BEGINNING_SECONDS, |started| sample.at.duration_since(started).as_secs());
    let seconds = u64::try_from(age.clamp(0, BEGINNING_SECONDS)).unwrap_or_default();
    sample.nano_cores.unwrap_or_default().saturating_mul(seconds)
}
