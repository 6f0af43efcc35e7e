//! One scenario over one trace, in virtual time.
//!
//! Time jumps from instant to instant at which something happens: pods end, timers fire, pods arrive. Within an instant
//! room is given back first, then waiting and new pods are tried in the order of the scheduler's queue (priority, then
//! creation, then the order of the file), then pods move home. Pods that would be answered alike (same policy, size,
//! priority, models) wait in one class; when the first of a class finds no place, the rest of it is not asked.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
};

use crate::{
    ledger::{Grant, Hold, Seconds, home},
    money::Rate,
    policy::Policy,
    price::Quote,
};

use super::{
    Event, Happening, Rule, Scenario, Settings,
    clouds::{Clouds, FREE},
    governor::{Ask, Governor, LocalRule, Permit, Seat},
    meter::{Meter, Place},
    purse::Purse,
    report::{Report, Tally},
    room::{Kind, NodeIndex, Rooms},
    slots::{Info, Slots},
    stock::{self, Spread},
    trace::{Pod, Size, Trace},
    usable_model,
};

type PodIndex = u32;
type ClassIndex = u32;
/// First among equals: higher priority, earlier creation, earlier row.
type Turn = (Reverse<i32>, i64, PodIndex);

/// Where a pod is.
#[derive(Clone, Debug)]
enum State {
    Unborn,
    Waiting,
    Local { node: NodeIndex, seat: Option<Box<Seat>> },
    Cloud { at: u32, seat: Option<Box<Seat>>, quote: Quote, since: i64 },
    Gone,
}

/// Pods that are answered alike: of one policy, size and priority.
#[derive(Debug)]
struct Class {
    info: usize,
    size: Size,
    /// Waiting, first come first; those that ended meanwhile are skipped.
    queue: VecDeque<PodIndex>,
    /// In the cloud with a wish to come home, longest there first.
    away: VecDeque<PodIndex>,
    timer: Option<i64>,
    /// Whom of the class was held last, and why.
    hold: Option<(PodIndex, Hold)>,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Ask a class again.
    Class(ClassIndex),
    /// See whether pods of a policy can move home.
    Home(usize),
}

/// Runs a scenario.
pub(super) fn run<'a>(trace: &'a Trace, scenario: &Scenario<'a>, settings: &'a Settings<'a>) -> Report {
    let mut run = Run::new(trace, scenario, settings);
    run.play();
    run.finish(scenario)
}

struct Run<'a> {
    trace: &'a Trace,
    settings: &'a Settings<'a>,
    stock: bool,
    slots: Slots<'a>,
    rooms: Rooms,
    clouds: Clouds<'a>,
    spread: Spread,
    classes: Vec<Class>,
    known: HashMap<(usize, Size, i32), ClassIndex>,
    /// Classes with somebody waiting who may run on real nodes, by what they ask of cpu.
    hungry: BTreeSet<(u32, ClassIndex)>,
    states: Vec<State>,
    class_of: Vec<ClassIndex>,
    timers: BinaryHeap<Reverse<(i64, Timer)>>,
    meter: Meter,
    tally: Tally,
    now: i64,
    /// Real nodes that got room in this instant.
    freed: Vec<NodeIndex>,
    /// Classes to try in this instant.
    trying: BTreeSet<ClassIndex>,
}

impl<'a> Run<'a> {
    fn new(trace: &'a Trace, scenario: &Scenario<'a>, settings: &'a Settings<'a>) -> Self {
        let clouds = Clouds::new(&trace.nodes, settings.prices, settings.currency.clone());
        let slots = Slots::new(trace, &scenario.rule, &clouds.rows, settings);
        let rooms = Rooms::new(&trace.nodes, |node| slots.selected(node));
        let from = trace.pods.iter().map(|p| p.created).min().unwrap_or(0);
        let until = trace.pods.iter().map(|p| p.deleted).max().unwrap_or(0);
        Self {
            stock: matches!(scenario.rule, Rule::Stock),
            spread: Spread::new(&trace.nodes),
            classes: Vec::new(),
            known: HashMap::new(),
            hungry: BTreeSet::new(),
            states: vec![State::Unborn; trace.pods.len()],
            class_of: vec![ClassIndex::MAX; trace.pods.len()],
            timers: BinaryHeap::new(),
            meter: Meter::new(from, until, settings.slices),
            tally: Tally::default(),
            now: from,
            freed: Vec::new(),
            trying: BTreeSet::new(),
            trace,
            settings,
            slots,
            rooms,
            clouds,
        }
    }

    fn play(&mut self) {
        let order = |key: fn(&Pod) -> i64| {
            let count = u32::try_from(self.trace.pods.len()).unwrap_or(u32::MAX);
            let mut all: Vec<PodIndex> = (0..count).collect();
            all.sort_by_key(|i| self.trace.pods.get(*i as usize).map(key));
            all
        };
        let (arrivals, departures) = (order(|p| p.created), order(|p| p.deleted));
        let (mut arrived, mut departed) = (0, 0);
        let trace = self.trace;
        let time = |list: &[PodIndex], i: usize, key: fn(&Pod) -> i64| {
            list.get(i).and_then(|p| trace.pods.get(*p as usize)).map(key)
        };
        loop {
            let arrival = time(&arrivals, arrived, |p| p.created);
            let departure = time(&departures, departed, |p| p.deleted);
            // A timer after the last pod's end has nobody to ask.
            let timer = self.timers.peek().map(|Reverse((when, _))| *when);
            let Some(next) = arrival.into_iter().chain(departure).chain(timer).min() else { break };
            if arrival.is_none() && departure.is_none() {
                break;
            }
            self.begin(next);
            let mut brief = Vec::new();
            while time(&departures, departed, |p| p.deleted) == Some(next) {
                if let Some(pod) = departures.get(departed) {
                    match self.states.get(*pod as usize) {
                        Some(State::Unborn) => brief.push(*pod),
                        _ => self.end(*pod),
                    }
                }
                departed += 1;
            }
            self.fire();
            while time(&arrivals, arrived, |p| p.created) == Some(next) {
                if let Some(pod) = arrivals.get(arrived) {
                    self.arrive(*pod);
                }
                arrived += 1;
            }
            self.schedule();
            self.move_home();
            if !brief.is_empty() {
                self.freed.clear();
                self.trying.clear();
                brief.into_iter().for_each(|pod| self.end(pod));
                self.schedule();
            }
        }
    }

    fn begin(&mut self, now: i64) {
        self.meter.advance(now);
        self.now = now;
        self.freed.clear();
        self.trying.clear();
    }

    /// Seconds since the epoch.
    fn clock(&self) -> Seconds {
        self.settings.start + self.now
    }

    fn pod(&self, pod: PodIndex) -> Option<&'a Pod> {
        self.trace.pods.get(pod as usize)
    }

    /// Sets where a pod is; where it was.
    fn set(&mut self, pod: PodIndex, state: State) -> State {
        self.states.get_mut(pod as usize).map_or(State::Gone, |old| std::mem::replace(old, state))
    }

    fn info(&self, class: ClassIndex) -> Option<&Info> {
        self.slots.infos.get(self.classes.get(class as usize)?.info)
    }

    fn governor(&mut self, class: ClassIndex) -> Option<&mut Governor<'a>> {
        let slot = self.info(class)?.slot?;
        self.slots.governors.get_mut(slot)?.as_mut()
    }

    fn tell(&mut self, pod: PodIndex, what: Happening) {
        if self.settings.keep_events {
            self.tally.events.push(Event { at: self.now, pod, what });
        }
    }

    /// Timers that are due.
    fn fire(&mut self) {
        while let Some(Reverse((when, timer))) = self.timers.peek().copied() {
            if when > self.now {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Class(class) => {
                    if let Some(class) = self.classes.get_mut(class as usize) {
                        class.timer = None;
                    }
                    self.trying.insert(class);
                }
                Timer::Home(slot) => {
                    self.slots.stirred.insert(slot);
                }
            }
        }
    }

    fn arrive(&mut self, pod: PodIndex) {
        let Some(row) = self.pod(pod) else { return };
        let info = self.slots.info_of(row.traits);
        let next = ClassIndex::try_from(self.classes.len()).unwrap_or(ClassIndex::MAX);
        let class = *self.known.entry((info, row.size, row.priority)).or_insert(next);
        if class == next {
            self.classes.push(Class {
                info,
                size: row.size,
                queue: VecDeque::new(),
                away: VecDeque::new(),
                timer: None,
                hold: None,
            });
        }
        if let Some(slot) = self.class_of.get_mut(pod as usize) {
            *slot = class;
        }
        self.set(pod, State::Waiting);
        self.meter.now.add(Place::Waiting, row.size);
        if let Some(class) = self.classes.get_mut(class as usize) {
            class.queue.push_back(pod);
        }
        self.wake(class);
        self.trying.insert(class);
    }

    /// Somebody waits in the class: room on real nodes and room in its policy concern it.
    fn wake(&mut self, class: ClassIndex) {
        let Some(info) = self.info(class) else { return };
        let (local, slot) = (info.word != Policy::Enforce, info.slot);
        if local && let Some(row) = self.classes.get(class as usize) {
            self.hungry.insert((row.size.cpu_milli, class));
        }
        self.slots.waits(slot, class);
    }

    fn sleep(&mut self, class: ClassIndex) {
        if let Some(row) = self.classes.get(class as usize) {
            self.hungry.remove(&(row.size.cpu_milli, class));
        }
        let slot = self.info(class).and_then(|i| i.slot);
        self.slots.waits_no_more(slot, class);
    }

    /// The pod ends, wherever it is.
    fn end(&mut self, pod: PodIndex) {
        let Some(row) = self.pod(pod) else { return };
        let state = self.set(pod, State::Gone);
        if matches!(state, State::Waiting) {
            self.meter.now.remove(Place::Waiting, row.size);
            let class = self.class_of.get(pod as usize).and_then(|c| self.classes.get(*c as usize));
            let hold = class.and_then(|c| c.hold).map(|(_, hold)| hold);
            self.tally.failed(hold);
            self.tell(pod, Happening::Failed);
        } else {
            self.leave(pod, row, state);
            self.tell(pod, Happening::Ended);
        }
    }

    /// Gives back what a placed pod has.
    fn leave(&mut self, pod: PodIndex, row: &Pod, state: State) {
        let class = self.class_of.get(pod as usize).copied().unwrap_or(ClassIndex::MAX);
        let seat = match state {
            State::Local { node, seat } => {
                self.rooms.give(node, row.size);
                self.freed.push(node);
                self.meter.now.remove(Place::Local, row.size);
                self.part(pod, node);
                seat
            }
            State::Cloud { at, seat, quote, since } => {
                self.clouds.give(at as usize, row.size);
                self.meter.now.remove(Place::Cloud(quote.rate), row.size);
                let short = seconds(quote.minimum_seconds).saturating_sub(self.now - since);
                if short > 0 {
                    self.meter.charge(quote.rate.over(short.unsigned_abs()));
                }
                self.part(pod, self.clouds.node(at as usize));
                if self.clouds.limited {
                    self.slots.cloud_freed(&mut self.trying);
                }
                self.paid(class, seat.as_deref(), self.now - since);
                seat
            }
            _ => None,
        };
        let Some(seat) = seat else { return };
        let clock = self.clock();
        let Some(slot) = self.info(class).and_then(|i| i.slot) else { return };
        if let Some(governor) = self.slots.governors.get_mut(slot).and_then(Option::as_mut) {
            governor.release(&seat, clock);
        }
        self.slots.touched(slot, &mut self.trying);
    }

    fn owner(&self, pod: PodIndex) -> Option<u32> {
        let traits = self.pod(pod)?.traits;
        let owned = self.trace.traits.get(traits as usize).is_some_and(|t| !t.owner.1.is_empty());
        (self.stock && owned).then_some(traits)
    }

    fn part(&mut self, pod: PodIndex, node: NodeIndex) {
        if let Some(owner) = self.owner(pod) {
            self.spread.remove(owner, node);
        }
    }

    /// Tries everybody whom this instant concerns, in turn.
    fn schedule(&mut self) {
        for index in 0..self.freed.len() {
            let Some(node) = self.freed.get(index).copied() else { break };
            let (free, kind) = (self.rooms.free(node), self.rooms.kind(node));
            let Some(kind) = kind else { continue };
            for (_, class) in self.hungry.range(..=(free.cpu_milli, ClassIndex::MAX)) {
                let Some(row) = self.classes.get(*class as usize) else { continue };
                let usable = self.slots.infos.get(row.info).is_some_and(|i| usable_model(&i.models, kind));
                if usable && row.size.fits(free) {
                    self.trying.insert(*class);
                }
            }
        }
        let trying = std::mem::take(&mut self.trying);
        let mut turns: BinaryHeap<Reverse<(Turn, ClassIndex)>> =
            trying.iter().filter_map(|class| self.turn(*class)).map(Reverse).collect();
        while let Some(Reverse(((_, _, pod), class))) = turns.pop() {
            if self.attempt(pod, class) {
                if let Some(row) = self.classes.get_mut(class as usize) {
                    row.queue.pop_front();
                }
                turns.extend(self.turn(class).map(Reverse));
            }
        }
        self.trying = trying;
    }

    /// The first of a class who still waits.
    fn turn(&mut self, class: ClassIndex) -> Option<(Turn, ClassIndex)> {
        loop {
            let pod = self.classes.get(class as usize)?.queue.front().copied();
            let Some(pod) = pod else {
                self.sleep(class);
                return None;
            };
            if matches!(self.states.get(pod as usize), Some(State::Waiting)) {
                let row = self.pod(pod)?;
                return Some(((Reverse(row.priority), row.created, pod), class));
            }
            self.classes.get_mut(class as usize)?.queue.pop_front();
        }
    }

    /// Places a pod if it can be placed now.
    fn attempt(&mut self, pod: PodIndex, class: ClassIndex) -> bool {
        let (Some(row), Some(info)) = (self.pod(pod), self.info(class)) else { return false };
        let word = info.word;
        if self.stock {
            return self.attempt_stock(pod, row, class);
        }
        if word != Policy::Enforce && self.attempt_local(pod, row, class) {
            return true;
        }
        word != Policy::Off && self.attempt_cloud(pod, row, class)
    }

    fn attempt_local(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex) -> bool {
        let Some((node, tier)) = self.local_place(row, class) else { return false };
        self.settle_local(pod, row, class, node, tier);
        true
    }

    /// The real node for a pod, and the tier it counts in.
    fn local_place(&mut self, row: &Pod, class: ClassIndex) -> Option<(NodeIndex, Option<usize>)> {
        let rule = self.local_rule(class, row.size);
        let info = self.info(class)?;
        rule.ways().into_iter().find_map(|(bit, tier)| {
            let within = |kind: &Kind| bit.is_none_or(|bit| kind.selected & bit != 0);
            let usable = |kind: &Kind| within(kind) && usable_model(&info.models, kind);
            self.rooms.best(row.size, usable).map(|node| (node, tier))
        })
    }

    fn local_rule(&mut self, class: ClassIndex, size: Size) -> LocalRule {
        let clock = self.clock();
        self.governor(class).map_or(LocalRule::Any, |g| g.local(size, clock))
    }

    fn settle_local(
        &mut self,
        pod: PodIndex,
        row: &Pod,
        class: ClassIndex,
        node: NodeIndex,
        tier: Option<usize>,
    ) {
        self.occupy(pod, row, class, node, tier);
        self.placed(pod, row, Place::Local, node);
    }

    fn occupy(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex, node: NodeIndex, tier: Option<usize>) {
        let fits = self.rooms.take(node, row.size);
        debug_assert!(fits, "a real node was chosen that has no room");
        let clock = self.clock();
        let namespace = self.info(class).map_or(0, |i| i.namespace);
        let seat = tier.and_then(|tier| {
            let governor = self.governor(class)?;
            Some(Box::new(governor.take_local(tier, row.size, namespace, clock)))
        });
        self.set(pod, State::Local { node, seat });
    }

    fn attempt_stock(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex) -> bool {
        let Some(info) = self.info(class) else { return false };
        let real = self.rooms.best_of_each(row.size, |kind| usable_model(&info.models, kind));
        let owner = self.owner(pod);
        let able = self.clouds.able(row.size);
        let Some(node) =
            stock::choose(&self.trace.nodes, &self.rooms, real, able, row.size, &self.spread, owner)
        else {
            return false;
        };
        if let Some(owner) = owner {
            self.spread.add(owner, node);
        }
        match self.clouds.position(node) {
            None => self.settle_local(pod, row, class, node, None),
            Some(at) => self.settle_cloud(pod, row, class, at, None),
        }
        true
    }

    fn attempt_cloud(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex) -> bool {
        let Some(info) = self.info(class) else { return false };
        let (slot, namespace, word) = (info.slot, info.namespace, info.word);
        let ask = Ask {
            namespace,
            size: row.size,
            word,
            created: self.settings.start + row.created,
            now: self.clock(),
        };
        let governor = slot.and_then(|s| self.slots.governors.get(s)).and_then(Option::as_ref);
        let permit = match governor {
            None => {
                let Some(at) = self.clouds.choose(row.size, |_| true) else { return false };
                Permit { at, grant: None }
            }
            Some(governor) => match governor.cloud(&ask, &self.clouds) {
                Ok(permit) => permit,
                Err((hold, until)) => {
                    self.hold(pod, class, hold, until);
                    return false;
                }
            },
        };
        self.settle_cloud(pod, row, class, permit.at, permit.grant);
        true
    }

    fn hold(&mut self, pod: PodIndex, class: ClassIndex, hold: Hold, until: Option<Seconds>) {
        let told = self.classes.get_mut(class as usize).and_then(|class| class.hold.replace((pod, hold)));
        if told != Some((pod, hold)) {
            self.tell(pod, Happening::Held(hold));
        }
        // What the rest of a window must pay for shrinks as time passes, so a budget may cover a pod before it ends.
        let again = (hold == Hold::BudgetReached).then(|| self.now + self.settings.ask_again_seconds.max(1));
        let until = until.map(|u| u - self.settings.start).filter(|u| *u > self.now);
        let Some(until) = until.into_iter().chain(again).min() else { return };
        let Some(row) = self.classes.get_mut(class as usize) else { return };
        if row.timer.is_none_or(|timer| until < timer) {
            row.timer = Some(until);
            self.timers.push(Reverse((until, Timer::Class(class))));
        }
    }

    fn settle_cloud(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex, at: usize, grant: Option<Grant>) {
        let Some(info) = self.info(class) else { return };
        let (word, slot) = (info.word, info.slot);
        if word != Policy::Enforce && self.real_room(row, class) {
            self.tally.over_burst += 1;
        }
        self.clouds.take(at, row.size);
        let quote = self.clouds.quote(at, row.size);
        if quote.is_none() {
            self.tally.unpriced += 1;
        }
        let quote = quote.unwrap_or(FREE);
        let clock = self.clock();
        let governor = slot.and_then(|s| self.slots.governors.get_mut(s)).and_then(Option::as_mut);
        let seat = grant.and_then(|grant| {
            let node = self.clouds.rows.get(at)?;
            Some(Box::new(governor?.take_cloud(grant, node, clock)))
        });
        let price = seat.as_deref().map_or(FREE, Seat::price);
        self.pay(class, |purse| purse.set(clock, purse.rate().plus(price.rate)));
        self.set(
            pod,
            State::Cloud { at: u32::try_from(at).unwrap_or(u32::MAX), seat, quote, since: self.now },
        );
        self.placed(pod, row, Place::Cloud(quote.rate), self.clouds.node(at));
        if let Some(slot) = slot.filter(|_| word != Policy::Enforce) {
            self.goes_away(pod, row, class, slot);
        }
    }

    /// Where the policy brings pods home, one that goes to the cloud is remembered.
    fn goes_away(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex, slot: usize) {
        let Some(stay) = self.slots.repatriation(slot).map(|r| r.min_stay_seconds) else { return };
        let home = home::leaves(self.now, stay);
        if home >= row.deleted {
            return;
        }
        if let Some(class) = self.classes.get_mut(class as usize) {
            class.away.push_back(pod);
        }
        self.slots.goes_away(slot, class);
        self.timers.push(Reverse((home, Timer::Home(slot))));
    }

    /// Pods of policies that want them back go home, longest away first, as far as room and the policy's pace allow.
    fn move_home(&mut self) {
        let stirred = std::mem::take(&mut self.slots.stirred);
        let concerned = if self.freed.is_empty() { stirred.clone() } else { self.slots.with_pods_away() };
        for slot in concerned {
            let mut tired = BTreeSet::new();
            if !stirred.contains(&slot) {
                tired = self.too_large_for_freed(slot);
            }
            while let Some((pod, class)) = self.longest_away(slot, &tired) {
                match self.slots.may_move(slot, self.now) {
                    Ok(()) if self.go_home(pod, class) => self.slots.moved(slot, self.now),
                    Ok(()) => {
                        tired.insert(class);
                    }
                    Err(again) => {
                        self.timers.push(Reverse((again, Timer::Home(slot))));
                        break;
                    }
                }
            }
        }
    }

    /// Classes of pods away that fit none of the nodes that got room: nothing changed for them.
    fn too_large_for_freed(&self, slot: usize) -> BTreeSet<ClassIndex> {
        let fits = |class: &ClassIndex| {
            let size = self.classes.get(*class as usize).map(|c| c.size).unwrap_or_default();
            self.freed.iter().any(|node| size.fits(self.rooms.free(*node)))
        };
        let away = self.slots.away.get(slot).into_iter().flatten();
        away.filter(|class| !fits(class)).copied().collect()
    }

    /// Of the pods that stayed long enough, the one longest away; a class that finds no room is not asked again.
    fn longest_away(&mut self, slot: usize, tired: &BTreeSet<ClassIndex>) -> Option<(PodIndex, ClassIndex)> {
        let stay = self.slots.repatriation(slot)?.min_stay_seconds;
        let mut longest: Option<((i64, PodIndex), ClassIndex)> = None;
        for class in self.slots.away.get(slot)?.difference(tired).copied().collect::<Vec<_>>() {
            let Some((pod, since)) = self.first_away(class) else {
                self.slots.nobody_away(slot, class);
                continue;
            };
            let earlier = longest.is_none_or(|(first, _)| (since, pod) < first);
            if home::leaves(since, stay) <= self.now && earlier {
                longest = Some(((since, pod), class));
            }
        }
        longest.map(|((_, pod), class)| (pod, class))
    }

    fn first_away(&mut self, class: ClassIndex) -> Option<(PodIndex, i64)> {
        loop {
            let pod = self.classes.get(class as usize)?.away.front().copied()?;
            match self.states.get(pod as usize) {
                Some(State::Cloud { since, .. }) => return Some((pod, *since)),
                _ => self.classes.get_mut(class as usize)?.away.pop_front(),
            };
        }
    }

    fn go_home(&mut self, pod: PodIndex, class: ClassIndex) -> bool {
        let Some(row) = self.pod(pod) else { return false };
        let Some((node, tier)) = self.local_place(row, class) else { return false };
        let from = self.set(pod, State::Gone);
        self.leave(pod, row, from);
        self.occupy(pod, row, class, node, tier);
        self.meter.now.add(Place::Local, row.size);
        self.tally.moves += 1;
        self.tell(pod, Happening::Moved { node });
        true
    }

    /// A pod leaves the cloud after so many seconds: for the watch over the policy's budget.
    fn paid(&mut self, class: ClassIndex, seat: Option<&Seat>, stayed: i64) {
        let Quote { rate, minimum_seconds } = seat.map_or(FREE, Seat::price);
        let rest = seconds(minimum_seconds).saturating_sub(stayed).max(0).unsigned_abs();
        let clock = self.clock();
        self.pay(class, |purse| {
            purse.set(clock, Rate(purse.rate().0.saturating_sub(rate.0)));
            purse.pay(clock, rate.over(rest));
        });
    }

    /// Adds to the watch over the policy's budget.
    fn pay(&mut self, class: ClassIndex, pay: impl FnOnce(&mut Purse)) {
        let Some((slot, namespace)) = self.info(class).and_then(|i| Some((i.slot?, i.namespace))) else {
            return;
        };
        if let Some(purse) = self.slots.purse(slot, namespace) {
            pay(purse);
        }
    }

    /// The check that is independent of the choice: every real node looked at in the plain table. Ceilings on real
    /// nodes close them as the policy says.
    fn real_room(&mut self, row: &Pod, class: ClassIndex) -> bool {
        let rule = self.local_rule(class, row.size);
        let Some(traits) = self.trace.traits.get(row.traits as usize) else { return false };
        (0..).zip(&self.trace.nodes).any(|(index, node)| {
            node.provider.is_none()
                && row.size.fits(self.rooms.free(index))
                && (traits.gpu_models.is_empty() || traits.gpu_models.contains(&node.gpu_model))
                && self.rooms.kind(index).is_some_and(|kind| rule.allows(kind))
        })
    }

    fn placed(&mut self, pod: PodIndex, row: &Pod, place: Place, node: NodeIndex) {
        self.meter.now.remove(Place::Waiting, row.size);
        self.meter.now.add(place, row.size);
        self.tally.placed(matches!(place, Place::Local), self.now - row.created);
        self.tell(pod, Happening::Placed { node });
    }

    fn finish(mut self, scenario: &Scenario<'_>) -> Report {
        let real = self.trace.nodes.iter().filter(|n| n.provider.is_none());
        let cores: u64 = real.map(|n| u64::from(n.size.cpu_milli)).sum();
        let from = self.trace.pods.iter().map(|p| p.created).min().unwrap_or(0);
        let until = self.trace.pods.iter().map(|p| p.deleted).max().unwrap_or(0);
        let clock = self.clock();
        Report {
            name: scenario.name.clone(),
            pods: self.trace.pods.len() as u64,
            local: self.tally.local,
            cloud: self.tally.cloud,
            failed: self.tally.failed,
            late: self.tally.late(),
            used: *self.meter.total(),
            local_capacity: u128::from(cores) * u128::from((until - from).unsigned_abs()),
            unpriced: self.tally.unpriced,
            currency: self.settings.currency.clone(),
            waits: self.tally.waits(),
            moves: self.tally.moves,
            over_burst: self.tally.over_burst,
            overshoot: self.slots.overshoot(clock),
            failed_by: self.tally.failed_by,
            slice_seconds: self.meter.width(),
            slices: self.meter.slices(),
            events: self.tally.events,
            notes: self.slots.notes,
        }
    }
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
