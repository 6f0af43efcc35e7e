//! Moves pods home for the policies that wish it (`repatriation`): what [`policies::ledger::home`] decides is asked of the
//! API server as a dry run, written into the ledger, and only then done.
//!
//! A pod ends only by its eviction, guarded by its UID and within its disruption budgets; it must never be deleted. Who
//! may not be evicted now is asked again at a later look. What is remembered here can be lost: it delays a move.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::patch::{evict_pod, may_evict_pod};
use cluster::successor::{Successor, facts, pending, successor};
use cluster::{GovernedPod, Outcome, PodPhase};
use policies::burst_policy::BurstPolicySpec;
use policies::ledger::home::{self, Move, Promise, Sight};
use policies::ledger::{Claim, Ledger, Seconds, World};
use policies::node::{NodeClass, NodeRow};
use policies::pod::PodFacts;
use tokio::time::Instant;

use super::{IDLE, Picture, Term, governed, until};
use crate::metrics::Metric;

/// Longest time between two looks.
const LOOKS: Duration = Duration::from_secs(10);
/// Pods whose successors are read in one look; the others in the next ones.
const READS: usize = 16;
/// Pods that are asked for in one look until one may be evicted.
const ASKED: usize = 8;
/// Event reason.
const MOVING: &str = "BurstMovingHome";

/// What is remembered between looks.
#[derive(Default)]
pub(super) struct Memory {
    /// When each policy was looked at.
    looked: BTreeMap<String, Instant>,
    /// By policy: what its last look saw.
    steady: BTreeMap<String, BTreeMap<String, Seconds>>,
    /// By policy: room for pods on their way.
    promises: BTreeMap<String, Vec<Promise>>,
    /// By UID of pods in the cloud.
    successors: BTreeMap<String, Successor>,
}

/// One policy, after its round.
pub(super) struct Visit<'a> {
    pub(super) policy: &'a str,
    pub(super) spec: &'a BurstPolicySpec,
    pub(super) ledger: &'a Ledger,
    pub(super) claims: &'a [Claim],
    pub(super) pods: &'a [Arc<GovernedPod>],
    pub(super) world: &'a World<'a>,
    pub(super) picture: &'a Picture,
}

impl Visit<'_> {
    fn pod(&self, uid: &str) -> Option<&Arc<GovernedPod>> {
        self.pods.iter().find(|pod| pod.uid() == uid)
    }
}

impl Term<'_> {
    /// Looks whether a pod of the policy may move, and moves it; returns when to look again.
    pub(super) async fn home(&mut self, visit: &Visit<'_>) -> Duration {
        let (policy, now) = (visit.policy, visit.world.now);
        let in_flight = visit.ledger.moves.iter().filter_map(|one| one.in_flight(visit.claims, now));
        let promises = in_flight.cloned().collect();
        self.memory.home.promises.insert(policy.to_owned(), promises);
        let guests = match home::guests(visit.spec, visit.ledger, visit.claims, now) {
            Ok(guests) => guests,
            Err(next) => {
                // Looks are no longer in a row.
                self.memory.home.looked.remove(policy);
                self.memory.home.steady.remove(policy);
                return next.map_or(IDLE, |at| until(at, visit.picture.now));
            }
        };
        let pause = self.pause();
        let looked = self.memory.home.looked.get(policy).map_or(pause, Instant::elapsed);
        if looked < pause {
            return pause.saturating_sub(looked);
        }
        self.memory.home.looked.insert(policy.to_owned(), Instant::now());
        if let Err(why) = self.look(visit, &guests).await {
            tracing::debug!(policy, why, "nobody moves home now");
            self.memory.home.steady.remove(policy);
        }
        pause
    }

    /// Three looks see the room that must be there for a while.
    fn pause(&self) -> Duration {
        Duration::from_secs((self.leader.room_seconds / 3).max(1)).min(LOOKS)
    }

    async fn look(&mut self, visit: &Visit<'_>, guests: &[&Claim]) -> Result<(), String> {
        self.learn(visit, guests).await;
        let pending = pending(&self.leader.client).await?;
        let real = visit.picture.snapshot.nodes().map(|(_, row)| row);
        let real: Vec<NodeRow> = real.filter(|row| row.class == NodeClass::Real).cloned().collect();
        let memory = &self.memory.home;
        let rooms = home::room(&real, memory.promises.values().flatten(), &pending);
        let successors: BTreeMap<String, PodFacts> = guests
            .iter()
            .filter(|claim| visit.pod(&claim.uid).is_some_and(|pod| pod.phase == PodPhase::Running))
            .filter_map(|claim| match memory.successors.get(&claim.uid)? {
                Successor::Like(facts) => Some((claim.uid.clone(), PodFacts::clone(facts))),
                Successor::Nobody(_) => None,
            })
            .collect();
        let none = BTreeMap::new();
        let look = home::look(&Sight {
            spec: visit.spec,
            ledger: visit.ledger,
            claims: visit.claims,
            world: visit.world,
            rooms: &rooms,
            successors: &successors,
            steady: memory.steady.get(visit.policy).unwrap_or(&none),
            room_seconds: self.leader.room_seconds,
        });
        self.memory.home.steady.insert(visit.policy.to_owned(), look.steady);
        self.move_first(visit, look.ready).await
    }

    /// Reads who would come after each pod, once in the pod's life.
    async fn learn(&mut self, visit: &Visit<'_>, guests: &[&Claim]) {
        let alive = self.leader.pods.objects();
        self.memory.home.successors.retain(|uid, _| alive.contains_key(uid.as_str()));
        let known = &self.memory.home.successors;
        let new: Vec<&Arc<GovernedPod>> = guests
            .iter()
            .filter(|claim| !known.contains_key(&claim.uid))
            .filter_map(|claim| visit.pod(&claim.uid))
            .take(READS)
            .collect();
        for pod in new {
            let client = &self.leader.client;
            let after = match facts(client, pod.reference()).await {
                Ok(Some(facts)) => successor(client, facts, visit.spec.gates()).await,
                Ok(None) => continue,
                Err(why) => Err(why),
            };
            match after {
                Ok(successor) => {
                    if let Successor::Nobody(why) = &successor {
                        tracing::debug!(pod = pod.name(), why, "a pod is never moved home");
                    }
                    self.memory.home.successors.insert(pod.uid().to_owned(), successor);
                }
                Err(why) => tracing::debug!(pod = pod.name(), why, "a pod is not moved home now"),
            }
        }
    }

    /// Moves the first pod that its disruption budgets let go. Of pods of one kind only the first is asked for.
    async fn move_first(&mut self, visit: &Visit<'_>, ready: Vec<Move>) -> Result<(), String> {
        let client = self.leader.client.clone();
        let mut asked = BTreeSet::new();
        for one in ready {
            let (Some(pod), Some(promise)) = (visit.pod(&one.uid), one.promise.clone()) else { continue };
            if asked.len() >= ASKED || !asked.insert((promise.namespace.clone(), promise.labels.clone())) {
                continue;
            }
            let may = may_evict_pod(&client, pod.reference()).await;
            if result(&may) != "moved" {
                self.moved(pod, &may);
                continue;
            }
            let mut moves = visit.ledger.moves.clone();
            moves.push(one);
            let noted = self.desk.note(visit.policy, moves, self.claim).await;
            if !noted.map_err(|later| later.to_string())? {
                return Ok(());
            }
            self.memory.home.promises.entry(visit.policy.to_owned()).or_default().push(promise.clone());
            // Refused now, it stays counted: rare, and the pace errs on the slow side.
            let evicted = evict_pod(&client, pod.reference()).await;
            if self.moved(pod, &evicted) {
                self.tell_move(visit, pod, &promise.node);
            }
            return Ok(());
        }
        Ok(())
    }

    /// Counts how it ended; whether the pod goes.
    fn moved(&self, pod: &GovernedPod, written: &Result<Outcome, cluster::WriteError>) -> bool {
        if let Err(error) = written {
            tracing::warn!(pod = pod.name(), %error, "a pod could not be moved home");
        }
        let result = result(written);
        self.leader.metrics.count(Metric::Repatriations, [("result", result)]);
        result == "moved"
    }

    fn tell_move(&self, visit: &Visit<'_>, pod: &GovernedPod, node: &str) {
        let started = visit.ledger.grants.get(pod.uid()).and_then(|grant| grant.started);
        let stay = started.map_or(0, |since| visit.world.now.saturating_sub(since));
        let sentence = format!(
            "burst: moves home after {stay} s in the cloud: real node {node} has room [{}]",
            visit.policy
        );
        tracing::info!(pod = pod.name(), node, policy = visit.policy, "a pod moves home");
        let about = governed(visit.policy, pod.uid(), pod.namespace(), pod.name(), pod.policy());
        self.leader.decisions.record_move(about, node.to_owned(), sentence.clone(), visit.picture.now);
        self.event(pod.namespace(), pod.name(), pod.uid(), MOVING, sentence);
    }
}

/// The word of the metric.
const fn result(written: &Result<Outcome, cluster::WriteError>) -> &'static str {
    match written {
        Ok(Outcome::Done) => "moved",
        Ok(Outcome::Retry(_)) => "later",
        Ok(Outcome::Gone | Outcome::Conflict) => "gone",
        Err(_) => "refused",
    }
}
