//! One round: what became of the grants that exist, then new ones in order, then what to tell.
//!
//! Counts, money and the memory of stock-outs follow every grant through [`Round::put`] and [`Round::take`]; nothing
//! else touches them, so that they are always the sum of the grants.

mod choose;
mod observe;
mod report;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use self::choose::Choice;
use super::{
    Bound, Claim, Grant, GrantState, Held, Hold, Ledger, Released, Seat, Seconds, VirtualNode, World,
    budget::Purse,
    limits::{Ceiling, Used, counted},
    places::{Memory, Tiers},
    room::Room,
};
use crate::{
    burst_policy::{BurstPolicySpec, Side},
    node::{NodeClass, NodeRow},
    policy::Policy,
    resources::Resources,
};

/// Why a pod gets no grant, and until when if the clock ends it.
pub(super) type Refusal = (Hold, Option<Seconds>);

pub(super) struct Round<'a> {
    pub(super) spec: &'a BurstPolicySpec,
    pub(super) world: &'a World<'a>,
    pub(super) claims: &'a [Claim],
    pub(super) by_uid: HashMap<&'a str, &'a Claim>,
    pub(super) tiers: Tiers,
    pub(super) max_local: Ceiling,
    pub(super) max_cloud: Ceiling,
    /// Real nodes have ceilings: pods on them are counted by grants.
    pub(super) counts_local: bool,
    virtual_nodes: BTreeMap<&'a str, &'a VirtualNode>,
    real_nodes: BTreeMap<&'a str, &'a NodeRow>,
    released: HashSet<(&'a str, &'a Released)>,
    pub(super) ledger: Ledger,
    pub(super) used: Used,
    pub(super) purse: Option<Purse<'a>>,
    pub(super) memory: Memory,
    room: Option<Room>,
    pub(super) holds: Vec<Held>,
}

/// A point to go back to when a gang does not fit as a whole.
pub(super) struct Checkpoint<'a> {
    used: Used,
    purse: Option<Purse<'a>>,
    memory: Memory,
    room: Option<super::room::Mark>,
    serial: u64,
}

impl<'a> Round<'a> {
    pub(super) fn begin(
        spec: &'a BurstPolicySpec,
        ledger: &Ledger,
        claims: &'a [Claim],
        world: &'a World<'a>,
    ) -> Self {
        let tiers = Tiers::of(spec, world);
        let (max_local, max_cloud) = (Ceiling::of(&spec.max.local), Ceiling::of(&spec.max.cloud));
        let reports = world.reports.iter();
        Self {
            spec,
            world,
            claims,
            by_uid: claims.iter().map(|c| (c.uid.as_str(), c)).collect(),
            counts_local: max_local.is_set() || tiers.has_local_ceilings(),
            used: Used { tiers: vec![Default::default(); tiers.rows.len()], ..Used::default() },
            tiers,
            max_local,
            max_cloud,
            virtual_nodes: world.virtual_nodes.iter().map(|n| (n.name.as_str(), n)).collect(),
            real_nodes: world.real_nodes.iter().map(|n| (n.name.as_str(), n)).collect(),
            released: reports.flat_map(|(name, r)| r.released.iter().map(|r| (name.as_str(), r))).collect(),
            purse: spec.budget.as_ref().map(|b| Purse::open(b, ledger, world.now)),
            memory: Memory::of(world),
            room: None,
            ledger: ledger.clone(),
            holds: Vec::new(),
        }
    }

    /// Counts a grant and puts it into the ledger.
    pub(super) fn put(&mut self, uid: &str, grant: Grant) {
        self.used.add(&self.tiers, &grant);
        if let Some(purse) = &mut self.purse {
            purse.hold(&grant);
        }
        self.memory.note(&grant, &self.virtual_nodes);
        self.ledger.grants.insert(uid.to_owned(), grant);
    }

    /// Takes a grant out of the ledger and the counts.
    pub(super) fn take(&mut self, uid: &str) -> Option<Grant> {
        let grant = self.ledger.grants.remove(uid)?;
        self.used.remove(&self.tiers, &grant);
        if let Some(purse) = &mut self.purse {
            purse.free(&grant);
        }
        self.memory.forget(&grant, &self.virtual_nodes);
        Some(grant)
    }

    /// Counts the grants of the ledger as they are.
    pub(super) fn count(&mut self) {
        for (uid, grant) in std::mem::take(&mut self.ledger.grants) {
            self.put(&uid, grant);
        }
    }

    /// A grant for a claim, without a place.
    fn blank(&mut self, claim: &Claim) -> Grant {
        self.ledger.serial += 1;
        Grant {
            namespace: claim.namespace.clone(),
            name: claim.name.clone(),
            serial: self.ledger.serial,
            requests: counted(claim.requests),
            granted: self.world.now,
            ..Grant::default()
        }
    }

    pub(super) fn checkpoint(&self) -> Checkpoint<'a> {
        Checkpoint {
            used: self.used.clone(),
            purse: self.purse.clone(),
            memory: self.memory.clone(),
            room: self.room.as_ref().map(Room::mark),
            serial: self.ledger.serial,
        }
    }

    /// Undoes everything since the checkpoint; `uids` got grants since then and had none before.
    pub(super) fn back_to(&mut self, point: Checkpoint<'a>, uids: &[&str]) {
        for uid in uids {
            self.ledger.grants.remove(*uid);
        }
        (self.used, self.purse, self.memory) = (point.used, point.purse, point.memory);
        self.ledger.serial = point.serial;
        match (&mut self.room, point.room) {
            (Some(room), Some(mark)) => room.back_to(mark),
            (room, _) => *room = None,
        }
    }

    /// Pods on real nodes count where these have ceilings, whether or not anyone asked.
    pub(super) fn adopt(&mut self) {
        if !self.counts_local {
            return;
        }
        for claim in self.claims {
            let Some(bound) = claim.node.as_ref().filter(|n| n.class == NodeClass::Real) else { continue };
            if !claim.finished && !self.ledger.grants.contains_key(&claim.uid) {
                let grant = self.blank(claim);
                let grant = self.at_home(grant, bound);
                self.put(&claim.uid, grant);
            }
        }
    }

    /// New grants: the highest priority first, then the oldest, then by UID. Who does not fit is passed over.
    pub(super) fn grant(&mut self) {
        let mut order: Vec<&Claim> = self.claims.iter().filter(|c| c.is_live()).collect();
        order.sort_by_key(|c| (Reverse(c.priority), c.created, c.uid.as_str()));
        self.follow_all(&order);
        let mut waiting = super::gang::groups(&order);
        // Who was refused is asked once more when all others have what they get: then the reasons are those of the
        // ledger that comes out, and the next round finds the same.
        loop {
            self.holds.clear();
            let (asked, serial) = (waiting.len(), self.ledger.serial);
            waiting.retain(|members| {
                let told = self.holds.len();
                match members.as_slice() {
                    [claim] if claim.gang.is_none() => {
                        let refused = self.single(claim);
                        self.tell(claim, refused);
                    }
                    members => self.gang(members),
                }
                self.holds.len() > told
            });
            if waiting.is_empty() || (waiting.len() == asked && self.ledger.serial == serial) {
                break;
            }
        }
        let mut astray = self.follow_all(&order);
        self.holds.append(&mut astray);
    }

    /// Grants follow their pods to where these were bound, until no more can. First of all, because it makes room.
    fn follow_all(&mut self, order: &[&Claim]) -> Vec<Held> {
        let mut astray: Vec<&Claim> = order.iter().copied().filter(|c| self.is_astray(c)).collect();
        loop {
            let before = astray.len();
            let mut holds = Vec::new();
            astray.retain(|claim| {
                let Some(bound) = &claim.node else { return false };
                let moved = self.move_to(claim, bound);
                if let Err((hold, until)) = moved {
                    let until = until.filter(|t| *t > self.world.now);
                    holds.push(Held { uid: claim.uid.clone(), hold, until });
                }
                moved.is_err()
            });
            if astray.is_empty() || astray.len() == before {
                return holds;
            }
        }
    }

    /// Whether a pod with an open grant is on a virtual node that the grant does not name.
    fn is_astray(&self, claim: &Claim) -> bool {
        let bound = claim.node.as_ref().filter(|n| n.class == NodeClass::Virtual);
        let grant = self.ledger.grants.get(&claim.uid).filter(|g| g.state == GrantState::Open);
        bound.zip(grant).is_some_and(|(bound, grant)| {
            grant.side == Side::Cloud && !grant.nodes.is_empty() && !grant.nodes.contains(&bound.name)
        })
    }

    pub(super) fn tell(&mut self, claim: &Claim, refused: Result<(), Refusal>) {
        if let Err((hold, until)) = refused {
            let until = until.filter(|t| *t > self.world.now);
            self.holds.push(Held { uid: claim.uid.clone(), hold, until });
        }
    }

    /// One pod by itself.
    pub(super) fn single(&mut self, claim: &Claim) -> Result<(), Refusal> {
        let grant = self.ledger.grants.get(&claim.uid);
        let open = grant.is_some_and(|g| g.side == Side::Cloud);
        if grant.is_some_and(|g| g.state == GrantState::Closing) {
            return Err((Hold::Closing, None));
        }
        match &claim.node {
            Some(bound) if bound.class == NodeClass::Real => Ok(()),
            Some(_) if open => Ok(()),
            Some(bound) => self.on_node(claim, bound),
            None if open => self.widen(claim),
            None if claim.gated && grant.is_some() => Ok(()),
            None if claim.gated => self.gated(claim),
            None if claim.policy == Policy::Off => Ok(()),
            None => self.burst(claim, true),
        }
    }

    /// A gated pod: a real tier with room under its ceiling, else the cloud.
    fn gated(&mut self, claim: &Claim) -> Result<(), Refusal> {
        if claim.policy != Policy::Enforce && self.local(claim, false) {
            return Ok(());
        }
        match claim.policy {
            Policy::Off => Err((Hold::LocalLimit, None)),
            _ => self.burst(claim, false),
        }
    }

    /// Grants a gated pod its place on real nodes: the first tier that has room under its ceiling and on its nodes. If
    /// no tier has room on its nodes, the pod may go to any tier with room under its ceiling, where schedulers and
    /// autoscalers see it wait; not so if it `must_fit`.
    pub(super) fn local(&mut self, claim: &Claim, must_fit: bool) -> bool {
        let requests = counted(claim.requests);
        let open = self.local_tiers(requests);
        if open.is_empty() {
            return false;
        }
        let fitting = self.fitting(&open, requests);
        let seats: Vec<Seat> = match fitting {
            Some(at) => vec![self.tiers.seat(at)],
            None if must_fit => return false,
            None => open.iter().map(|at| self.tiers.seat(*at)).collect(),
        };
        let mut seats = seats.into_iter();
        let first = seats.next().unwrap_or_default();
        let grant = self.blank(claim);
        self.put(&claim.uid, Grant { side: Side::Local, tier: first.tier, also: seats.collect(), ..grant });
        true
    }

    /// The tiers of real nodes with room under their ceilings, in order; none if `max.local` is reached.
    pub(super) fn local_tiers(&self, requests: Resources) -> Vec<usize> {
        let requests = counted(requests);
        if self.max_local.unreadable || !self.max_local.fits(self.used.local, requests) {
            return Vec::new();
        }
        let open = self.tiers.of_side(Side::Local).filter(|(at, row)| {
            let used = self.used.tiers.get(*at).copied().unwrap_or_default();
            !row.ceiling.unreadable && row.ceiling.fits(used, requests)
        });
        open.map(|(at, _)| at).collect()
    }

    /// The first of some tiers on whose nodes the pod fits; the room is taken.
    fn fitting(&mut self, tiers: &[usize], requests: Resources) -> Option<usize> {
        let mut room = match self.room.take() {
            Some(room) => room,
            None => self.survey(),
        };
        let rows = &self.tiers.rows;
        let found = tiers.iter().copied().find(|at| {
            rows.get(*at).is_some_and(|row| room.take(self.world.real_nodes, (*at, row), requests))
        });
        self.room = Some(room);
        found
    }

    /// What is free on real nodes, less what pods with a local grant will take that are not bound yet.
    fn survey(&self) -> Room {
        let mut room = Room::of(self.world.real_nodes);
        // In the order in which they were made, so that the next round comes to the same room.
        let mut grants: Vec<_> = self.ledger.grants.iter().collect();
        grants.sort_by_key(|(_, grant)| grant.serial);
        for (uid, grant) in grants {
            let unbound = self.by_uid.get(uid.as_str()).is_some_and(|c| c.node.is_none());
            if unbound && grant.side == Side::Local {
                let seat = Seat { side: Side::Local, tier: grant.tier.clone() };
                let row = self.tiers.find(&seat).and_then(|at| Some((at, self.tiers.rows.get(at)?)));
                if let Some(row) = row {
                    room.take(self.world.real_nodes, row, grant.requests);
                }
            }
        }
        room
    }

    /// Lets a pod into the cloud once its waits are over and everything has room. `home` says that it may run on real
    /// nodes too, and so must have tried.
    pub(super) fn burst(&mut self, claim: &Claim, home: bool) -> Result<(), Refusal> {
        self.waits(claim, home)?;
        let choice = self.choose(claim, None)?;
        let also = match self.take(&claim.uid) {
            Some(local) => {
                std::iter::once(Seat { side: local.side, tier: local.tier }).chain(local.also).collect()
            }
            None => Vec::new(),
        };
        let grant = self.blank(claim);
        self.put(&claim.uid, Grant { also, ..self.placed(grant, choice) });
        Ok(())
    }

    /// A pod that is on a virtual node already, without a grant: nothing is left to wait for or to choose.
    fn on_node(&mut self, claim: &Claim, bound: &Bound) -> Result<(), Refusal> {
        if claim.policy == Policy::Off {
            return Err((Hold::PolicyOff, None));
        }
        let choice = self.choose(claim, Some(bound))?;
        let mut grant = self.blank(claim);
        (grant.started, grant.node) = (Some(self.world.now), Some(bound.name.clone()));
        let grant = self.placed(grant, choice);
        self.put(&claim.uid, grant);
        Ok(())
    }

    /// A granted pod was bound to a virtual node outside of what was granted: the grant follows it if its tier there
    /// has room. Until then the bridge of that node makes nothing.
    fn move_to(&mut self, claim: &Claim, bound: &Bound) -> Result<(), Refusal> {
        let Some(old) = self.ledger.grants.get(&claim.uid).cloned() else { return Ok(()) };
        self.take(&claim.uid);
        match self.choose(claim, Some(bound)) {
            Ok(choice) => {
                let moved = Grant { also: Vec::new(), ..self.placed(old, choice) };
                self.put(&claim.uid, moved);
                Ok(())
            }
            Err(refused) => {
                self.put(&claim.uid, old);
                Err(refused)
            }
        }
    }

    /// A granted pod that is not bound, and that no place takes any more: another place is added. Nothing is taken
    /// away, because an instance may be on its way in the first one; it counts in both until it is bound. To find out
    /// whether a place is still sold out is left to those that have no grant yet.
    fn widen(&mut self, claim: &Claim) -> Result<(), Refusal> {
        let Some(old) = self.ledger.grants.get(&claim.uid).cloned() else { return Ok(()) };
        if self.is_usable(&old) {
            return Ok(());
        }
        self.take(&claim.uid);
        let widened = match self.choose(claim, None) {
            Ok(choice) if !choice.probe => self.joined(&old, choice),
            Ok(_) => {
                let until = self.back_in_stock(&old);
                self.put(&claim.uid, old);
                return Err((Hold::SoldOut, until));
            }
            Err(refused) => {
                self.put(&claim.uid, old);
                return Err(refused);
            }
        };
        self.put(&claim.uid, widened);
        Ok(())
    }

    /// The old grant and one more place.
    fn joined(&self, old: &Grant, choice: Choice) -> Grant {
        let new = self.placed(old.clone(), choice);
        let mut also: BTreeSet<Seat> = old.also.iter().cloned().collect();
        also.insert(Seat { side: old.side, tier: old.tier.clone() });
        also.remove(&Seat { side: new.side, tier: new.tier.clone() });
        let union = |a: &[String], b: &[String]| -> Vec<String> {
            if a.is_empty() || b.is_empty() {
                return Vec::new();
            }
            a.iter().chain(b).collect::<BTreeSet<_>>().into_iter().cloned().collect()
        };
        Grant {
            also: also.into_iter().collect(),
            providers: union(&old.providers, &new.providers),
            nodes: union(&old.nodes, &new.nodes),
            rate: old.rate.max(new.rate),
            minimum: old.minimum.max(new.minimum),
            ..new
        }
    }
}
