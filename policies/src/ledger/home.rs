//! Repatriation: which pod in the cloud is moved home now, as a pure function.
//!
//! A move is an eviction; whoever made the pod makes a new one, and that one finds room on a real node. So a pod moves only
//! where nothing is left to guess (what only the scheduler can judge keeps it where it is), one at a time for each policy,
//! and never into room that somebody else waits for or that another move was promised. The moves of the last hour are in
//! the ledger, so that neither a new leader nor a second one exceeds the pace. `docs/scale-in.md` is the user's side of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Claim, GrantState, Ledger, Seconds, World, round::Round};
use crate::{
    burst_policy::{BurstPolicySpec, Side},
    decide::feasible::obstacle,
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    resources::Resources,
};

/// The window of `maxPerHour`.
pub const HOUR: Seconds = 3_600;
/// How long room is kept for the successor of a pod that moves.
pub const PROMISE: Seconds = 60;
/// Label of a StatefulSet's pods: their names (Kubernetes).
const STATEFUL_POD: &str = "statefulset.kubernetes.io/pod-name";
/// Labels that the API server copies from the node to a pod that it binds.
const OF_THE_NODE: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// A pod that was moved home, and counts against the pace for an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Move {
    /// When it was decided.
    pub at: Seconds,
    /// The pod that was evicted.
    pub uid: String,
    /// What its successor is expected to take; absent once it is on a real node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
}

/// Room for a pod that does not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Promise {
    /// The namespace of both pods.
    pub namespace: String,
    /// The labels of both pods, without those of their nodes: they are of one template.
    pub labels: BTreeMap<String, String>,
    /// The real node that had room.
    pub node: String,
    /// What the pod requests.
    pub requests: Resources,
    /// The successor went to the cloud again: no pod with these labels is moved for an hour.
    pub back: bool,
}

/// A pod without a node that the scheduler may bind at any time.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The pod.
    pub facts: PodFacts,
    /// The policy in force.
    pub policy: Policy,
}

/// What a look at one policy rests on.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The policy; one without `repatriation` moves nobody.
    pub spec: &'a BurstPolicySpec,
    /// Its ledger, after a round over these claims: what became of its moves is noted.
    pub ledger: &'a Ledger,
    /// Every pod that it governs.
    pub claims: &'a [Claim],
    /// The world; its real nodes are not looked at.
    pub world: &'a World<'a>,
    /// Real nodes with what is promised and waited for taken off ([`room`]).
    pub rooms: &'a [NodeRow],
    /// By UID, the pod that would be made in its place. Who is not in here is not moved.
    pub successors: &'a BTreeMap<String, PodFacts>,
    /// By UID, since when each look found room.
    pub steady: &'a BTreeMap<String, Seconds>,
    /// Seconds for which every look must have found room.
    pub room_seconds: u64,
}

/// What a look saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// By UID, since when each look found room: for the next look.
    pub steady: BTreeMap<String, Seconds>,
    /// Of whom one may be moved now, the longest stay first.
    pub ready: Vec<Move>,
}

/// The moves that count now, with what became of them.
///
/// A successor has the labels of the pod that moved and was made within a minute of the move; one of a StatefulSet, whose
/// labels name it, at any time after. Where several could be it, one on a real node is.
pub(super) fn settled(ledger: &Ledger, claims: &[Claim], now: Seconds) -> Vec<Move> {
    let recent = ledger.moves.iter().filter(|one| one.at.saturating_add(HOUR) > now);
    recent
        .map(|one| {
            let promise = one.promise.as_ref().filter(|promise| !promise.back);
            match promise.and_then(|promise| Some((promise, came(one, promise, claims)?))) {
                None => one.clone(),
                Some((_, NodeClass::Real)) => Move { promise: None, ..one.clone() },
                Some((promise, NodeClass::Virtual)) => {
                    Move { promise: Some(Promise { back: true, ..promise.clone() }), ..one.clone() }
                }
            }
        })
        .collect()
}

/// Where the successor of a pod came to; none while it is not known.
fn came(one: &Move, promise: &Promise, claims: &[Claim]) -> Option<NodeClass> {
    let named = promise.labels.contains_key(STATEFUL_POD);
    let until = one.at.saturating_add(if named { HOUR } else { PROMISE });
    let mut candidates: Vec<Option<NodeClass>> = claims
        .iter()
        .filter(|c| promise.is_for(&c.namespace, &c.labels))
        .filter(|c| c.uid != one.uid && (one.at..=until).contains(&c.created))
        .map(|c| c.node.as_ref().map(|node| node.class))
        .collect();
    // A real node decides; one that still waits leaves it open.
    candidates.sort_by_key(|class| match class {
        Some(NodeClass::Real) => 0,
        None => 1,
        Some(NodeClass::Virtual) => 2,
    });
    candidates.first().copied().flatten()
}

impl Promise {
    fn is_for(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && own_labels(labels).eq(&self.labels)
    }
}

/// Labels that a pod has of its template.
fn own_labels(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    labels.iter().filter(|(key, _)| !OF_THE_NODE.contains(&key.as_str()))
}

impl Move {
    /// The room that is still kept for its successor: for a minute, and as long as the pod itself takes to end.
    pub fn in_flight(&self, claims: &[Claim], now: Seconds) -> Option<&Promise> {
        let ending = || claims.iter().any(|claim| claim.uid == self.uid && claim.deleting);
        let promise = self.promise.as_ref().filter(|promise| !promise.back)?;
        (self.at.saturating_add(PROMISE) > now || ending()).then_some(promise)
    }
}

/// Whether one more move keeps within the pace; else when it will. `moves` in the order of time.
pub fn pace(moves: impl Iterator<Item = Seconds>, most: u32, now: Seconds) -> Result<(), Seconds> {
    let recent: Vec<Seconds> = moves.filter(|at| at.saturating_add(HOUR) > now).collect();
    let Some(over) = recent.len().checked_sub(most as usize) else { return Ok(()) };
    Err(recent.get(over).map_or(Seconds::MAX, |at| at.saturating_add(HOUR)))
}

/// From when a pod that went to the cloud may leave it.
pub fn leaves(since: Seconds, min_stay_seconds: u64) -> Seconds {
    since.saturating_add_unsigned(min_stay_seconds)
}

/// The pods that have stayed long enough, the longest stay first, while the pace allows a move; else when it will be worth
/// to look again, if time alone brings it.
pub fn guests<'c>(
    spec: &BurstPolicySpec,
    ledger: &Ledger,
    claims: &'c [Claim],
    now: Seconds,
) -> Result<Vec<&'c Claim>, Option<Seconds>> {
    let Some(wish) = &spec.repatriation else { return Err(None) };
    pace(ledger.moves.iter().map(|one| one.at), wish.max_per_hour, now).map_err(Some)?;
    let mut stays: Vec<(Seconds, &Claim)> =
        claims.iter().filter_map(|claim| Some((stays_since(ledger, claim)?, claim))).collect();
    stays.sort_by_key(|(since, claim)| (*since, claim.uid.as_str()));
    let first = stays.first().map(|(since, _)| leaves(*since, wish.min_stay_seconds));
    stays.retain(|(since, _)| leaves(*since, wish.min_stay_seconds) <= now);
    match stays.is_empty() {
        true => Err(first),
        false => Ok(stays.into_iter().map(|(_, claim)| claim).collect()),
    }
}

/// Since when a pod that may run on real nodes is in the cloud. Members of a gang stay together and never move.
fn stays_since(ledger: &Ledger, claim: &Claim) -> Option<Seconds> {
    let may = matches!(claim.policy, Policy::Auto | Policy::LocalPrefer);
    let grant = ledger.grants.get(&claim.uid)?;
    let there = claim.node.as_ref().is_some_and(|node| node.class == NodeClass::Virtual);
    let open = grant.side == Side::Cloud && grant.state == GrantState::Open;
    grant.started.filter(|_| may && there && open && claim.is_live() && claim.gang.is_none())
}

/// Real nodes as they are when every promise is kept and every pending pod has what it could take. A pending pod is taken
/// off every node that it fits on, because only the scheduler knows which it gets.
pub fn room<'p>(
    real_nodes: &[NodeRow],
    promises: impl Iterator<Item = &'p Promise>,
    pending: &[Pending],
) -> Vec<NodeRow> {
    let mut rows: Vec<NodeRow> =
        real_nodes.iter().filter(|row| row.class == NodeClass::Real).cloned().collect();
    let mut waiting: Vec<&Pending> = pending.iter().filter(|p| p.facts.scheduling_gates.is_empty()).collect();
    for promise in promises {
        if let Some(row) = rows.iter_mut().find(|row| row.name == promise.node) {
            row.requested = row.requested.plus(promise.requests);
        }
        let successor = |p: &&Pending| promise.is_for(&p.facts.namespace, &p.facts.labels);
        if let Some(at) = waiting.iter().position(successor) {
            waiting.swap_remove(at);
        }
    }
    // All that could take a node are taken off it, whether or not they fit together.
    let taken = rows.iter().map(|row| {
        let takers = waiting.iter().filter(|p| obstacle(&p.facts, p.policy, row).is_none());
        takers.fold(Resources::default(), |sum, p| sum.plus(p.facts.requests))
    });
    let taken: Vec<Resources> = taken.collect();
    for (row, taken) in rows.iter_mut().zip(taken) {
        row.requested = row.requested.plus(taken);
    }
    rows
}

/// Looks at the pods of one policy once.
pub fn look(sight: &Sight<'_>) -> Look {
    let Sight { spec, ledger, claims, world, .. } = *sight;
    let Ok(guests) = guests(spec, ledger, claims, world.now) else { return Look::default() };
    let places = Places::of(sight);
    let mut seen = Look::default();
    for claim in guests {
        let Some(node) = sight.successors.get(&claim.uid).and_then(|facts| places.best(claim, facts)) else {
            continue;
        };
        let since = sight.steady.get(&claim.uid).copied().unwrap_or(world.now);
        seen.steady.insert(claim.uid.clone(), since);
        if since.saturating_add_unsigned(sight.room_seconds) <= world.now {
            seen.ready.push(departure(claim, node, world.now));
        }
    }
    let moves = &ledger.moves;
    if moves.iter().any(|one| one.in_flight(claims, world.now).is_some()) || claims.iter().any(waits_for_room)
    {
        seen.ready.clear();
    }
    let resting: BTreeSet<_> = moves
        .iter()
        .filter_map(|one| one.promise.as_ref())
        .filter(|promise| promise.back)
        .map(|promise| (&promise.namespace, &promise.labels))
        .collect();
    seen.ready
        .retain(|one| one.promise.as_ref().is_some_and(|p| !resting.contains(&(&p.namespace, &p.labels))));
    seen
}

fn waits_for_room(claim: &Claim) -> bool {
    claim.node.is_none() && claim.is_live() && claim.policy != Policy::Enforce
}

fn departure(claim: &Claim, node: &NodeRow, now: Seconds) -> Move {
    let promise = Promise {
        namespace: claim.namespace.clone(),
        labels: own_labels(&claim.labels).map(|(k, v)| (k.clone(), v.clone())).collect(),
        node: node.name.clone(),
        requests: claim.requests,
        back: false,
    };
    Move { at: now, uid: claim.uid.clone(), promise: Some(promise) }
}

/// The real nodes that a policy's pods may come to.
struct Places<'a> {
    round: Round<'a>,
    rooms: &'a [NodeRow],
    /// Which of them the tiers allow is decided by the leader.
    gates: bool,
}

impl<'a> Places<'a> {
    fn of(sight: &Sight<'a>) -> Self {
        let mut round = Round::begin(sight.spec, sight.ledger, sight.claims, sight.world);
        round.count();
        Self { round, rooms: sight.rooms, gates: sight.spec.gates() }
    }

    /// The emptiest node with room for a pod as it is and as it would be made again, under the ceilings of its tier.
    fn best(&self, claim: &Claim, facts: &PodFacts) -> Option<&'a NodeRow> {
        if !facts.unjudged.is_empty() {
            return None;
        }
        let larger = PodFacts { requests: facts.requests.max(claim.requests), ..facts.clone() };
        let fits = self.rooms.iter().filter(|row| obstacle(&larger, claim.policy, row).is_none());
        let emptiest = |row: &&NodeRow| {
            (Reverse(row.free().cpu_milli), Reverse(row.free().memory_bytes), row.name.as_str().to_owned())
        };
        if !self.gates {
            return fits.min_by_key(emptiest);
        }
        let fits: Vec<&NodeRow> = fits.collect();
        let tiers = self.round.local_tiers(larger.requests);
        let rows = tiers.iter().filter_map(|at| self.round.tiers.rows.get(*at));
        rows.filter_map(|tier| fits.iter().copied().filter(|row| tier.takes_real(row)).min_by_key(emptiest))
            .next()
    }
}
