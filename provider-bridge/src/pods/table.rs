//! The pods of one virtual node: events in, work out, no IO and no clock of its own.
//!
//! Every input ends in [`Table::settle`], which asks the machine what each touched pod needs now; calls are started up to
//! a limit per side and queued beyond it. Nothing polls: there is one timer set for the whole node. What a cloud or API
//! listing says is believed only within the limits of [`gc`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use cluster::bound_pods::PodEvent;
use smol_str::SmolStr;

use self::look::Look;
use super::entry::Entry;
use super::machine::{self, Context, Input, Moment, Next};
use super::words;
use crate::cloud::{CloudError, InstanceEvent, PodIdentity};
use crate::gc;
use crate::pods::ground::Ground;
use crate::pods::hand_back::Rounds;
use crate::pods::stock::Stock;

mod answers;
mod holds;
mod look;
mod release;
mod reports;
mod start;
mod stock_out;
mod sweep;
mod view;
mod work;

pub use work::{Answer, Note, Output, Settings, Work};

/// The pods of one virtual node.
#[derive(Debug)]
pub struct Table {
    settings: Settings,
    entries: HashMap<SmolStr, Entry>,
    names: HashMap<SmolStr, Vec<SmolStr>>,
    timers: BTreeSet<(Moment, SmolStr)>,
    cloud_queue: VecDeque<SmolStr>,
    api_queue: VecDeque<SmolStr>,
    cloud_busy: usize,
    api_busy: usize,
    api_synced: bool,
    cloud_synced: bool,
    /// Why the cloud was never listed, if that is for the owner to know.
    unlistable: Option<CloudError>,
    api_generation: u64,
    cloud_generation: u64,
    look: Look,
    /// Grants, policies, other virtual nodes.
    ground: Arc<Ground>,
    /// Closing grants that may be ours.
    closing: release::Closings,
    stock: Stock,
    rounds: Rounds,
    sweeper: gc::Sweeper,
    preparing: bool,
    jitter: u64,
    now: Moment,
    wall: jiff::Timestamp,
    output: Output,
}

impl Table {
    /// An empty table.
    pub fn new(settings: Settings) -> Self {
        let jitter = settings.seed | 1;
        Self {
            stock: Stock::of(&settings.zone, Vec::new()),
            ground: Arc::default(),
            closing: release::Closings::default(),
            rounds: Rounds::default(),
            settings,
            entries: HashMap::new(),
            names: HashMap::new(),
            timers: BTreeSet::new(),
            cloud_queue: VecDeque::new(),
            api_queue: VecDeque::new(),
            cloud_busy: 0,
            api_busy: 0,
            api_synced: false,
            cloud_synced: false,
            unlistable: None,
            api_generation: 0,
            cloud_generation: 0,
            look: Look::default(),
            sweeper: gc::Sweeper::default(),
            preparing: false,
            jitter,
            now: Moment::ZERO,
            wall: jiff::Timestamp::UNIX_EPOCH,
            output: Output::default(),
        }
    }

    /// Both sides were listed completely at least once.
    pub const fn synced(&self) -> bool {
        self.api_synced && self.cloud_synced
    }

    /// Tells the time; call before each input.
    pub fn tick(&mut self, now: Moment, wall: jiff::Timestamp) {
        self.now = now;
        self.wall = wall;
    }

    /// When [`Self::on_time`] must be called, if nothing else happens.
    pub fn next_timer(&self) -> Option<Moment> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let look = if self.look.running {
            None
        } else {
            self.look.wanted.map(|at| at.max(self.look.backoff.not_before))
        };
        timer.into_iter().chain(look).min()
    }

    /// What the inputs since the last call produced.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// A timer is due.
    pub fn on_time(&mut self) {
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now
        {
            if let Some((_, uid)) = self.timers.pop_first() {
                if let Some(entry) = self.entries.get_mut(&uid) {
                    entry.timer = None;
                }
                self.settle(&uid);
            }
        }
        self.start_look();
    }

    /// Something about the node's pods in the API server.
    pub fn on_pod(&mut self, event: PodEvent) {
        match event {
            PodEvent::Restarted => self.api_generation += 1,
            PodEvent::Applied(pod) => self.pod_applied(pod),
            PodEvent::Deleted(pod) => self.pod_deleted(&pod.uid),
            PodEvent::Synced => self.api_listed(),
            PodEvent::Interrupted(_) => {}
        }
    }

    /// Something about the node's instances in the cloud.
    pub fn on_instance(&mut self, event: InstanceEvent) {
        match event {
            InstanceEvent::Restarted => self.cloud_generation += 1,
            InstanceEvent::Changed(instance) => self.instance_seen(instance),
            InstanceEvent::Gone(instance) => self.instance_gone(&instance),
            InstanceEvent::Synced => self.cloud_listed(),
        }
    }

    /// The cloud could not be listed or watched. Until it was listed once nothing is created, so whoever waits for that is
    /// told why.
    pub fn on_instances_unlistable(&mut self, error: &CloudError) {
        if self.cloud_synced || !words::tell_at_once(error) {
            return;
        }
        self.unlistable = Some(error.clone());
        self.settle_waiting();
    }

    /// The answer to a piece of work.
    pub fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Created(pod, result) => self.created(&pod, result),
            Answer::Deleted(pod, result) => self.deleted(&pod, &result),
            Answer::Patched(pod, fingerprint, since, outcome) => {
                self.patched(&pod, fingerprint, since, outcome);
            }
            Answer::Removed(pod, outcome) => {
                self.api_busy = self.api_busy.saturating_sub(1);
                self.done(&pod, outcome);
            }
            Answer::Listed(started, result) => self.listed(started, result),
            Answer::OrphansConfirmed(candidates, known) => self.orphans_confirmed(candidates, known),
            Answer::Prepared(_) => self.preparing = false,
            Answer::Withheld(pod) => {
                self.cloud_busy = self.cloud_busy.saturating_sub(1);
                self.done(&pod, machine::Outcome::Refused { after: None });
            }
            Answer::HandedBack(pod, outcome) => self.handed_back(&pod, outcome),
            Answer::JobAsked(pod, ignores) => self.job_asked(&pod, ignores),
        }
        self.drain_queues();
    }

    fn complain(&mut self, what: &'static str, affected: usize, total: usize) {
        self.output.notes.push(Note::Implausible { what, affected, total });
    }

    fn entry(&mut self, uid: &SmolStr, identity: PodIdentity) -> &mut Entry {
        let now = self.now;
        let names = &mut self.names;
        self.entries.entry(uid.clone()).or_insert_with(|| {
            let entry = Entry::new(identity, now);
            names.entry(entry.name.clone()).or_default().push(uid.clone());
            entry
        })
    }

    fn learn(&mut self, uid: &SmolStr, input: Input) {
        let (now, jitter, cap) = (self.now, self.next_jitter(), self.settings.max_backoff);
        if let Some(entry) = self.entries.get_mut(uid) {
            machine::learn(&mut entry.record, input, now, jitter, cap);
        }
    }

    /// xorshift: spread is all that is asked of it.
    fn next_jitter(&mut self) -> f64 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        f64::from(u32::try_from(self.jitter >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    fn next(&self, entry: &Entry) -> Next {
        let context = Context {
            now: self.now,
            synced: self.synced(),
            held: self.settings.cordoned || self.has_predecessor(entry),
            permitted: self.permitted(entry),
            hand_back: entry.hand_back.map(|(from, _)| from),
            finished_ttl: self.settings.finished_ttl,
            deletion_patience: self.settings.deletion_patience,
            place_patience: self.settings.place_patience,
        };
        machine::next(&entry.record, &context)
    }

    /// StatefulSets, fixed addresses and disks: the old instance must be gone before the new one is made.
    fn has_predecessor(&self, entry: &Entry) -> bool {
        self.names.get(&entry.name).is_some_and(|uids| {
            uids.len() > 1
                && uids
                    .iter()
                    .filter(|uid| uid.as_str() != entry.identity.uid)
                    .filter_map(|uid| self.entries.get(uid))
                    .any(|other| other.record.may_have_instance())
        })
    }

    fn wake_successors(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get(uid) else { return };
        if entry.record.may_have_instance() {
            return;
        }
        let others: Vec<SmolStr> =
            self.names.get(&entry.name).into_iter().flatten().filter(|u| *u != uid).cloned().collect();
        for other in others {
            self.settle(&other);
        }
    }

    /// Asks the machine and starts, queues or schedules what it says.
    fn settle(&mut self, uid: &SmolStr) {
        // At most a few rounds: each either starts something, waits, or finds a patch to be empty.
        for _ in 0..4 {
            let Some(entry) = self.entries.get(uid) else { return };
            match self.next(entry) {
                Next::Idle => return self.tell_hold(uid),
                Next::Forget => return self.forget(uid),
                Next::Wait(at) => return self.arm(uid, at),
                Next::Look => return self.want_look(uid),
                Next::Do(op) => {
                    if self.start(uid, op) {
                        return;
                    }
                }
            }
        }
    }

    fn forget(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.remove(uid) else { return };
        let name = entry.name.clone();
        if let Some(at) = entry.timer {
            self.timers.remove(&(at, uid.clone()));
        }
        let mut left = Vec::new();
        if let Some(uids) = self.names.get_mut(&name) {
            uids.retain(|u| u != uid);
            left.clone_from(uids);
        }
        if left.is_empty() {
            self.names.remove(&name);
        }
        for other in left {
            self.settle(&other);
        }
        self.reconsider_release(uid);
    }

    fn arm(&mut self, uid: &SmolStr, at: Moment) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if entry.timer == Some(at) {
            return;
        }
        if let Some(old) = entry.timer.replace(at) {
            self.timers.remove(&(old, uid.clone()));
        }
        self.timers.insert((at, uid.clone()));
    }
}
