//! The pods of one virtual node: events in, work out, no IO and no clock of its own.
//!
//! Every input ends in [`Table::settle`], which asks the machine what each touched pod needs now; calls are started up to
//! a limit per side and queued beyond it. Nothing polls: there is one timer set for the whole node. What a cloud or API
//! listing says is believed only within the limits of [`gc`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::bound_pods::{BoundPod, PodEvent};
use cluster::events::Event;
use serde_json::{Map, Value};
use smol_str::{SmolStr, ToSmolStr};

use super::entry::{self, Entry, News};
use super::machine::{self, Api, Cloud, Context, Input, Moment, Next, Op, Outcome};
use super::status::{self, Place};
use super::words::{self, Reason};
use crate::cloud::{CloudError, CreateRequest, Instance, InstanceEvent, PodIdentity};
use crate::gc;

mod sweep;

/// Settings of one table.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Virtual node name.
    pub node: String,
    /// Its InternalIP.
    pub host_ip: IpAddr,
    /// No new instances.
    pub cordoned: bool,
    /// Calls to the cloud in flight.
    pub cloud_calls: usize,
    /// Calls to the API server in flight.
    pub api_calls: usize,
    /// How long a finished pod's instance is kept.
    pub finished_ttl: Duration,
    /// Longest back-off.
    pub max_backoff: Duration,
    /// How far a cloud's listing may lag behind its writes.
    pub settle: Duration,
    /// How long after the grace period a deletion is waited for before looking.
    pub deletion_patience: Duration,
    /// Limits of what a listing may make us believe.
    pub limits: gc::Limits,
    /// Seed of the back-off's jitter.
    pub seed: u64,
}

/// A call to make, with everything it needs.
#[derive(Clone, Debug)]
pub enum Work {
    /// Create or adopt.
    Create(CreateRequest),
    /// Delete an instance.
    Delete {
        /// Which.
        instance: Instance,
        /// Seconds the containers get.
        grace_seconds: u32,
    },
    /// Patch `status` of a pod.
    Patch {
        /// Whose.
        pod: PodIdentity,
        /// Patch of `status`.
        status: Map<String, Value>,
        /// What this writes, to be given back with the answer.
        fingerprint: u64,
        /// When the news came from the cloud.
        since: Moment,
    },
    /// Remove the API object of a pod.
    Remove(PodIdentity),
    /// List the cloud's instances.
    List {
        /// When it was asked for: absences count for what was unknown long enough before.
        started: Moment,
    },
    /// Ask the API server which pods the node has, before orphans are deleted.
    ConfirmOrphans(Vec<SmolStr>),
    /// Make the account ready again.
    Prepare,
}

/// The answer to one [`Work`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// To `Create`.
    Created(PodIdentity, Result<Instance, CloudError>),
    /// To `Delete`.
    Deleted(PodIdentity, Result<(), CloudError>),
    /// To `Patch`: what it would write, when the news came, how it ended.
    Patched(PodIdentity, u64, Moment, Outcome),
    /// To `Remove`.
    Removed(PodIdentity, Outcome),
    /// To `List`.
    Listed(Moment, Result<Vec<Instance>, CloudError>),
    /// To `ConfirmOrphans`: the candidates and the UIDs that the API server has, if it answered.
    OrphansConfirmed(Vec<SmolStr>, Option<Vec<SmolStr>>),
    /// To `Prepare`.
    Prepared(Result<(), CloudError>),
}

/// Durations and complaints that the driver turns into metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A create is sent so long after the binding was seen.
    CreateSent(Duration),
    /// A status was written so long after the cloud told it.
    StatusWritten(Duration),
    /// A listing would bury or delete too many at once; nothing was done.
    Implausible {
        /// What was listed.
        what: &'static str,
        /// How many would be hit.
        affected: usize,
        /// Out of how many.
        total: usize,
    },
    /// An orphan is being deleted.
    OrphanDeleted(PodIdentity),
}

/// Everything that one input produced.
#[derive(Debug, Default)]
pub struct Output {
    /// Calls to make.
    pub work: Vec<Work>,
    /// Events to record.
    pub events: Vec<Event>,
    /// For metrics and logs.
    pub notes: Vec<Note>,
}

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
    api_generation: u64,
    cloud_generation: u64,
    look: Look,
    sweeper: gc::Sweeper,
    preparing: bool,
    jitter: u64,
    now: Moment,
    wall: jiff::Timestamp,
    output: Output,
}

/// The one shared listing of the cloud.
#[derive(Debug, Default)]
struct Look {
    running: bool,
    /// Earliest next start, after failures.
    backoff: super::backoff::Backoff,
    /// When a listing would help somebody.
    wanted: Option<Moment>,
}

impl Table {
    /// An empty table.
    pub fn new(settings: Settings) -> Self {
        let jitter = settings.seed | 1;
        Self {
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

    fn pod_applied(&mut self, pod: BoundPod) {
        let uid = pod.uid.clone();
        let (state, ran) = (entry::api_state(&pod), entry::has_run(&pod));
        let finished = matches!(pod.phase, cluster::PodPhase::Succeeded | cluster::PodPhase::Failed);
        let generation = self.api_generation;
        let synced = self.synced();
        let identity = PodIdentity {
            uid: pod.uid.to_string(),
            namespace: pod.namespace.to_string(),
            name: pod.name.to_string(),
        };
        let fresh = !self.entries.contains_key(&uid);
        let entry = self.entry(&uid, identity);
        entry.api_generation = generation;
        if entry.pod.is_none() {
            entry.has_gates = entry::has_gates(&pod);
        }
        entry.pod = Some(pod);
        if entry.has_gates && entry.news.is_none() {
            entry.news = entry.last_status.clone().map(News::Status);
        }
        let reconsider = entry.news.is_some();
        self.learn(&uid, Input::Api { api: state, ran, finished });
        if fresh && synced && !ran {
            // Bound after both lists were complete: nobody can have made an instance of this UID.
            self.learn(&uid, Input::Gone);
        }
        if reconsider {
            self.learn(&uid, Input::Dirty(true));
        }
        self.settle(&uid);
    }

    fn pod_deleted(&mut self, uid: &SmolStr) {
        if self.entries.contains_key(uid) {
            self.learn(uid, Input::Api { api: Api::Absent, ran: false, finished: false });
            self.settle(uid);
        }
    }

    fn api_listed(&mut self) {
        let generation = self.api_generation;
        let known = |e: &Entry| e.pod.is_some() && !matches!(e.record.api, Api::Absent | Api::Unseen);
        let total = self.entries.values().filter(|e| known(e)).count();
        let missing: Vec<SmolStr> = self
            .entries
            .iter()
            .filter(|(_, e)| known(e) && e.api_generation < generation)
            .map(|(uid, _)| uid.clone())
            .collect();
        let believed = gc::plausible(missing.len(), total, &self.settings.limits);
        if !believed {
            self.complain("pods in the API server", missing.len(), total);
        }
        for uid in missing {
            let absent = Input::Api { api: Api::Absent, ran: false, finished: false };
            self.learn(&uid, if believed { absent } else { Input::Doubtful });
            self.settle(&uid);
        }
        self.api_synced = true;
        self.settle_all_once_synced();
    }

    fn instance_seen(&mut self, instance: Instance) {
        if instance.node != self.settings.node {
            return;
        }
        let uid = instance.pod.uid.to_smolstr();
        let phase = status::phase(&instance.status);
        let seen = Input::Seen {
            deleting: instance.deleting,
            finished: status::is_terminal(phase),
            ran: phase == "Running" || status::is_terminal(phase),
        };
        let (generation, now) = (self.cloud_generation, self.now);
        let entry = self.entry(&uid, instance.pod.clone());
        entry.cloud_generation = generation;
        let status = instance.status.clone();
        entry.instance = Some(without_status(instance));
        let news = note_status(entry, status, now);
        self.learn(&uid, seen);
        if news {
            self.learn(&uid, Input::Dirty(true));
        }
        self.settle(&uid);
    }

    fn instance_gone(&mut self, instance: &Instance) {
        let uid = instance.pod.uid.to_smolstr();
        let Some(entry) = self.entries.get(&uid) else { return };
        // The end of a duplicate or of an older instance is not the end of this one.
        if entry.instance.as_ref().is_none_or(|i| i.id == instance.id) {
            let status = instance.status.clone();
            let phase = status::phase(&status).to_owned();
            if status::is_terminal(&phase) && !entry.record.finished {
                self.instance_seen(Instance { deleting: true, ..instance.clone() });
            }
            self.believe_gone(&uid);
        }
    }

    fn believe_gone(&mut self, uid: &SmolStr) {
        self.learn(uid, Input::Gone);
        self.after_gone(uid);
        self.settle(uid);
        self.wake_successors(uid);
    }

    fn after_gone(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if entry.record.cloud != Cloud::Absent {
            return;
        }
        entry.instance = None;
        entry.last_status = None;
        if !entry.record.dirty {
            entry.news = None;
        }
        match entry.record.api {
            Api::Deleting { .. } if entry.record.ran || entry.create_sent => {
                let event = words::pod_event(
                    &entry.identity,
                    Reason::DeleteSuccess,
                    "the instance is gone".to_owned(),
                );
                self.output.events.push(event);
            }
            Api::Wanted if entry.record.ran && !entry.record.finished => {
                let text =
                    "the instance ran and is gone from the cloud; nobody here asked for that".to_owned();
                self.output.events.push(words::pod_event(&entry.identity, Reason::InstanceLost, text));
            }
            _ => {}
        }
    }

    fn cloud_listed(&mut self) {
        let generation = self.cloud_generation;
        let missing: Vec<SmolStr> = self
            .entries
            .iter()
            .filter(|(_, e)| e.instance.is_some() && e.cloud_generation < generation && e.record.op.is_none())
            .map(|(uid, _)| uid.clone())
            .collect();
        // One listing only raises doubt; a second one, asked for by the doubt, decides.
        for uid in missing {
            self.learn(&uid, Input::Doubt);
            self.settle(&uid);
        }
        self.cloud_synced = true;
        self.settle_all_once_synced();
    }

    fn settle_all_once_synced(&mut self) {
        if self.synced() {
            let all: Vec<SmolStr> = self.entries.keys().cloned().collect();
            for uid in all {
                self.settle(&uid);
            }
        }
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
        }
        self.drain_queues();
    }

    fn created(&mut self, pod: &PodIdentity, result: Result<Instance, CloudError>) {
        self.cloud_busy = self.cloud_busy.saturating_sub(1);
        let uid = pod.uid.to_smolstr();
        match result {
            Ok(instance) => {
                let generation = self.cloud_generation;
                let Some(entry) = self.entries.get_mut(&uid) else { return };
                entry.cloud_generation = generation;
                entry.told = None;
                let text = format!("created instance {} in the cloud", instance.id);
                // A report by watch is never older than this answer.
                if entry.instance.is_none() {
                    entry.instance = Some(without_status(instance));
                }
                if matches!(entry.news, Some(News::Trouble(_))) {
                    entry.news = None;
                    self.learn(&uid, Input::Dirty(false));
                }
                self.output.events.push(words::pod_event(pod, Reason::CreateSuccess, text));
                self.done(pod, Outcome::Ok);
            }
            Err(error) => {
                if matches!(error, CloudError::Account(_) | CloudError::Gone(_)) {
                    self.prepare();
                }
                self.refused(pod, &error);
                self.done(pod, outcome_of(&error));
            }
        }
    }

    /// Tells the pod's owner, once per change of mind.
    fn refused(&mut self, pod: &PodIdentity, error: &CloudError) {
        let (uid, now) = (pod.uid.to_smolstr(), self.now);
        let Some(entry) = self.entries.get_mut(&uid) else { return };
        let trouble = words::trouble(error);
        let fingerprint = entry::fingerprint(&trouble);
        let lasting = words::tell_at_once(error) || entry.record.cloud_backoff.attempts >= 3;
        if entry.told == Some(fingerprint) || !lasting {
            return;
        }
        entry.told = Some(fingerprint);
        self.output.events.push(words::pod_event(pod, Reason::CreateFailed, trouble.message.clone()));
        if entry.instance.is_none() {
            entry.news = Some(News::Trouble(trouble));
            entry.news_since = now;
            self.learn(&uid, Input::Dirty(true));
        }
    }

    fn deleted(&mut self, pod: &PodIdentity, result: &Result<(), CloudError>) {
        self.cloud_busy = self.cloud_busy.saturating_sub(1);
        if let Err(error) = result
            && !matches!(error, CloudError::Gone(_))
            && let Some(entry) = self.entries.get_mut(&pod.uid.to_smolstr())
        {
            let fingerprint = entry::fingerprint(&words::trouble(error));
            if entry.told != Some(fingerprint) {
                entry.told = Some(fingerprint);
                self.output.events.push(words::pod_event(pod, Reason::DeleteFailed, error.to_string()));
            }
        }
        self.done(pod, result.as_ref().map_or_else(outcome_of, |()| Outcome::Ok));
    }

    fn patched(&mut self, pod: &PodIdentity, fingerprint: u64, since: Moment, outcome: Outcome) {
        self.api_busy = self.api_busy.saturating_sub(1);
        let uid = pod.uid.to_smolstr();
        if outcome == Outcome::Ok
            && let Some(entry) = self.entries.get_mut(&uid)
        {
            entry.written = fingerprint;
            if entry.news.as_ref().is_some_and(|n| n.fingerprint() == fingerprint) {
                entry.news = None;
            }
            let more = entry.news.is_some();
            self.output.notes.push(Note::StatusWritten(self.now.saturating_sub(since)));
            self.learn(&uid, Input::Dirty(more));
        }
        self.done(pod, outcome);
    }

    fn done(&mut self, pod: &PodIdentity, outcome: Outcome) {
        let uid = pod.uid.to_smolstr();
        self.learn(&uid, Input::Done(outcome));
        self.settle(&uid);
        self.wake_successors(&uid);
    }

    fn listed(&mut self, started: Moment, result: Result<Vec<Instance>, CloudError>) {
        self.look.running = false;
        match result {
            Err(error) => {
                let after = if let CloudError::Throttled { after, .. } = error { Some(after) } else { None };
                let (now, jitter, cap) = (self.now, self.next_jitter(), self.settings.max_backoff);
                self.look.backoff.failed(now, after, jitter, cap);
                self.look.wanted.get_or_insert(now);
            }
            Ok(instances) => {
                self.look.backoff.reset();
                self.believe_list(started, instances);
            }
        }
        self.start_look();
    }

    fn believe_list(&mut self, started: Moment, instances: Vec<Instance>) {
        let node = self.settings.node.clone();
        let mut found: HashMap<SmolStr, Instance> =
            instances.into_iter().filter(|i| i.node == node).map(|i| (i.pod.uid.to_smolstr(), i)).collect();
        let asked: Vec<SmolStr> = self
            .entries
            .iter()
            .filter(|(_, e)| self.next(e) == Next::Look && self.look_due(e) <= started)
            .map(|(uid, _)| uid.clone())
            .collect();
        let losses = |t: &Self, uids: &[SmolStr]| {
            uids.iter().filter(|u| t.entries.get(*u).is_some_and(|e| is_loss(&e.record))).count()
        };
        let missing: Vec<SmolStr> = asked.iter().filter(|u| !found.contains_key(*u)).cloned().collect();
        let total = self.entries.values().filter(|e| is_loss(&e.record)).count();
        let lost = losses(self, &missing);
        let believed = gc::plausible(lost, total, &self.settings.limits);
        if !believed {
            self.complain("instances in the cloud", lost, total);
            let (now, jitter, cap) = (self.now, self.next_jitter(), self.settings.max_backoff);
            self.look.backoff.failed(now, Some(Duration::from_secs(10)), jitter, cap);
        }
        for uid in asked {
            if let Some(instance) = found.remove(&uid) {
                self.learn(&uid, Input::Doubt);
                self.instance_seen(instance);
            } else if believed || !self.entries.get(&uid).is_some_and(|e| is_loss(&e.record)) {
                self.believe_gone(&uid);
            }
        }
        let still: Vec<SmolStr> =
            self.entries.iter().filter(|(_, e)| self.next(e) == Next::Look).map(|(u, _)| u.clone()).collect();
        for uid in still {
            self.settle(&uid);
        }
    }

    fn look_due(&self, entry: &Entry) -> Moment {
        match entry.record.cloud {
            Cloud::Unknown { since } => since + self.settings.settle,
            Cloud::Deleting { .. } | Cloud::Present | Cloud::Finished { .. } | Cloud::Absent => Moment::ZERO,
        }
    }

    fn prepare(&mut self) {
        if !self.preparing {
            self.preparing = true;
            self.output.work.push(Work::Prepare);
        }
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
            finished_ttl: self.settings.finished_ttl,
            deletion_patience: self.settings.deletion_patience,
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
                Next::Idle => return,
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

    fn want_look(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get(uid) else { return };
        let at = self.look_due(entry).max(self.now);
        self.look.wanted = Some(self.look.wanted.map_or(at, |w| w.min(at)));
        self.start_look();
    }

    fn start_look(&mut self) {
        let due = self.look.wanted.is_some_and(|at| at.max(self.look.backoff.not_before) <= self.now);
        if due && !self.look.running {
            self.look.running = true;
            self.look.wanted = None;
            self.output.work.push(Work::List { started: self.now });
        }
    }

    fn drain_queues(&mut self) {
        while self.cloud_busy < self.settings.cloud_calls
            && let Some(uid) = self.cloud_queue.pop_front()
        {
            self.unqueue(&uid);
        }
        while self.api_busy < self.settings.api_calls
            && let Some(uid) = self.api_queue.pop_front()
        {
            self.unqueue(&uid);
        }
    }

    fn unqueue(&mut self, uid: &SmolStr) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.queued = false;
            self.settle(uid);
        }
    }

    /// Starts a call or queues it. `false`: there was nothing to do after all, ask again.
    fn start(&mut self, uid: &SmolStr, op: Op) -> bool {
        let full = if op.to_cloud() {
            self.cloud_busy >= self.settings.cloud_calls
        } else {
            self.api_busy >= self.settings.api_calls
        };
        let Some(entry) = self.entries.get_mut(uid) else { return true };
        if full {
            if !entry.queued {
                entry.queued = true;
                if op.to_cloud() { &mut self.cloud_queue } else { &mut self.api_queue }
                    .push_back(uid.clone());
            }
            return true;
        }
        let place = Place { host_ip: self.settings.host_ip, now: self.wall };
        let Some(work) = work_of(entry, op, place, &self.settings.node) else {
            // Nothing differs, or nothing to do it with.
            let input = if op.to_cloud() { Input::Doubt } else { Input::Dirty(false) };
            if let Some(news) = entry.news.take() {
                entry.written = news.fingerprint();
            }
            if op == Op::PatchLost {
                self.learn(uid, Input::Api { api: Api::Finished, ran: true, finished: true });
            }
            self.learn(uid, input);
            return false;
        };
        if op == Op::Create && !entry.create_sent {
            entry.create_sent = true;
            self.output.notes.push(Note::CreateSent(self.now.saturating_sub(entry.first_seen)));
        }
        if op.to_cloud() {
            self.cloud_busy += 1;
        } else {
            self.api_busy += 1;
        }
        self.output.work.push(work);
        self.learn(uid, Input::Started(op));
        true
    }

    /// A pod's latest object and instance, by name, for the kubelet port.
    pub fn find(&self, namespace: &str, name: &str) -> Option<(&BoundPod, Option<&Instance>)> {
        let uids = self.names.get(&entry::name_key(namespace, name))?;
        let alive = |e: &&Entry| e.pod.is_some() && e.record.api != Api::Absent;
        let entry = uids.iter().filter_map(|uid| self.entries.get(uid)).rfind(alive)?;
        entry.pod.as_ref().map(|pod| (pod, entry.instance.as_ref()))
    }

    /// The instance of a pod.
    pub fn instance(&self, uid: &str) -> Option<&Instance> {
        self.entries.get(uid)?.instance.as_ref()
    }

    /// Pods that the API server has; with `running` only those that have an instance that has not been told to stop.
    pub fn pods(&self, running: bool) -> Vec<BoundPod> {
        self.entries
            .values()
            .filter(|e| !matches!(e.record.api, Api::Absent | Api::Unseen))
            .filter(|e| !running || matches!((e.record.cloud, e.record.api), (Cloud::Present, Api::Wanted)))
            .filter_map(|e| e.pod.clone())
            .collect()
    }

    /// Number of pods by state, for the metric.
    pub fn counts(&self) -> [(&'static str, usize); 6] {
        let count =
            |test: fn(&machine::Record) -> bool| self.entries.values().filter(|e| test(&e.record)).count();
        [
            ("waiting", count(|r| r.api == Api::Wanted && r.cloud == Cloud::Absent)),
            ("unknown", count(|r| matches!(r.cloud, Cloud::Unknown { .. }))),
            ("active", count(|r| r.api == Api::Wanted && r.cloud == Cloud::Present)),
            ("finished", count(|r| r.api == Api::Finished)),
            ("deleting", count(|r| matches!(r.api, Api::Deleting { .. } | Api::Absent))),
            (
                "orphan",
                count(|r| r.api == Api::Unseen && !matches!(r.cloud, Cloud::Absent | Cloud::Unknown { .. })),
            ),
        ]
    }
}

/// A pod whose instance's disappearance would be a loss.
const fn is_loss(record: &machine::Record) -> bool {
    matches!(record.api, Api::Wanted) && record.ran && !record.finished
}

fn without_status(instance: Instance) -> Instance {
    static EMPTY: std::sync::LazyLock<Arc<Value>> = std::sync::LazyLock::new(|| Arc::new(Value::Null));
    Instance { status: EMPTY.clone(), ..instance }
}

/// Keeps a status to be written, if it says something that was not written.
fn note_status(entry: &mut Entry, status: Arc<Value>, now: Moment) -> bool {
    if entry.has_gates {
        entry.last_status = Some(status.clone());
    }
    let fingerprint = status::fingerprint(&status);
    if fingerprint == entry.written {
        // Back to what is stored: whatever waited is outdated.
        entry.news = None;
        return false;
    }
    if entry.news.is_none() {
        entry.news_since = now;
    }
    entry.news = Some(News::Status(status));
    true
}

fn outcome_of(error: &CloudError) -> Outcome {
    match error {
        CloudError::Retryable(_) => Outcome::Unsure,
        CloudError::Throttled { after, .. } => Outcome::Refused { after: Some(*after) },
        CloudError::Capacity(_) | CloudError::Invalid(_) | CloudError::Auth(_) | CloudError::Account(_) => {
            Outcome::Refused { after: None }
        }
        CloudError::Gone(_) => Outcome::NotFound,
    }
}

fn work_of(entry: &Entry, op: Op, place: Place, node: &str) -> Option<Work> {
    match op {
        Op::Create => Some(Work::Create(CreateRequest {
            pod: entry.identity.clone(),
            node: node.to_owned(),
            object: entry.pod.as_ref()?.object(),
        })),
        Op::Delete { grace_seconds } => {
            Some(Work::Delete { instance: entry.instance.clone()?, grace_seconds })
        }
        Op::Remove => Some(Work::Remove(entry.identity.clone())),
        Op::Patch => {
            let pod = entry.pod.as_ref()?.object();
            let news = entry.news.as_ref()?;
            let patch = match news {
                News::Status(status) => status::patch(&pod, status, place)?,
                News::Trouble(trouble) => status::trouble_patch(&pod, trouble, place)?,
            };
            patch_work(entry, patch, news.fingerprint())
        }
        Op::PatchLost => patch_work(entry, status::lost_patch(&entry.pod.as_ref()?.object(), place)?, 0),
    }
}

fn patch_work(entry: &Entry, patch: Value, fingerprint: u64) -> Option<Work> {
    let Value::Object(status) = patch else { return None };
    Some(Work::Patch { pod: entry.identity.clone(), status, fingerprint, since: entry.news_since })
}
