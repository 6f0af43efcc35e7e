//! One scenario over one trace, in virtual time.
//!
//! Time jumps from instant to instant at which something happens: pods end, timers fire, pods arrive. Within an instant
//! room is given back first, then waiting and new pods are tried in the order of the scheduler's queue (priority, then
//! creation, then the order of the file), then pods move home. Pods that would be answered alike (same policy, size,
//! priority, models) wait in one class; when the first of a class finds no place, the rest of it is not asked.

mod home;
mod places;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
};

use crate::{
    ledger::{Hold, Seconds},
    money::Rate,
    policy::Policy,
    price::Quote,
};

use super::{
    Event, Happening, Rule, Scenario, Settings,
    clouds::{Clouds, FREE},
    governor::{Governor, Seat},
    meter::{Meter, Place},
    purse::Purse,
    report::{Report, Tally},
    room::{NodeIndex, Rooms},
    slots::{Info, Slots},
    stock::Spread,
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
