//! The life of one pod as a transition table: what is known on both sides → what to do next.
//!
//! Pure: time comes in, work goes out, nothing is remembered outside [`Record`]. It is level-triggered: [`next`] looks
//! only at the present facts, so a lost, repeated or reordered event can delay work but never lose it. Invariants, each
//! a property test below: no second create without a confirmed absence in between; the API object is never removed
//! while an instance may exist; nothing destructive before both sides were listed once.

use std::time::Duration;

use super::backoff::Backoff;

/// So many failed status writes in a row no longer hold up what comes after them.
const SAVE_ATTEMPTS: u32 = 5;

/// A point on the caller's monotonic clock, as time since its start.
pub type Moment = Duration;

/// What the API server says about the pod.
///
/// Ordered as a life goes: what is known never moves backwards, whatever order reports come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// No object with this UID was ever seen: an orphan if the cloud has an instance, which only a sweep may decide.
    Unseen,
    /// It should run.
    Wanted,
    /// Its phase is Succeeded or Failed, as stored in the API server.
    Finished,
    /// `deletionTimestamp` is set.
    Deleting {
        /// `deletionGracePeriodSeconds`.
        grace_seconds: u32,
    },
    /// Confirmed: no object with this UID exists any more. Final, because UIDs do not come back.
    Absent,
}

impl Api {
    const fn rank(self) -> u8 {
        match self {
            Self::Unseen => 0,
            Self::Wanted => 1,
            Self::Finished => 2,
            Self::Deleting { .. } => 3,
            Self::Absent => 4,
        }
    }

    /// The later of two reports.
    const fn max(self, other: Self) -> Self {
        if other.rank() >= self.rank() { other } else { self }
    }
}

/// What is known about the pod's instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// It may or may not exist, since this moment; only a listing that began later can tell.
    Unknown {
        /// When the knowledge was lost.
        since: Moment,
    },
    /// Confirmed: there is none.
    Absent,
    /// It exists and has not finished.
    Present,
    /// It exists and its phase is terminal.
    Finished {
        /// When that was first seen.
        since: Moment,
    },
    /// Its deletion was accepted and is not confirmed.
    Deleting {
        /// When the deletion was accepted or seen.
        since: Moment,
    },
}

/// A call that one pod can have in flight; at most one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Create the instance, or adopt the one that exists.
    Create,
    /// Delete the instance.
    Delete {
        /// Seconds the containers get to stop.
        grace_seconds: u32,
    },
    /// Write the pod's status.
    Patch,
    /// Write that an instance which ran was lost: phase Failed, condition DisruptionTarget.
    PatchLost,
    /// Remove the API object (grace 0, UID precondition).
    Remove,
    /// Give the pod back to its controller: condition DisruptionTarget, then an eviction with UID precondition.
    HandBack,
}

impl Op {
    /// Whether the call goes to the cloud (else to the API server).
    pub const fn to_cloud(self) -> bool {
        matches!(self, Self::Create | Self::Delete { .. })
    }
}

/// How a call ended, reduced to what the machine must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Refused for certain: nothing was changed. `after` is how long the other side asks to wait, if it does.
    Refused {
        /// Requested pause.
        after: Option<Duration>,
    },
    /// It may have happened or not (timeout, broken connection, 5xx).
    Unsure,
    /// The object of the call does not exist.
    NotFound,
}

/// What to do next for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start this call.
    Do(Op),
    /// A listing of the cloud is needed.
    Look,
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until something is reported.
    Idle,
    /// Both sides are gone: drop the record.
    Forget,
}

/// What the machine must know beyond the pod itself.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Now.
    pub now: Moment,
    /// Both the API server's pods and the cloud's instances have been listed completely since start.
    pub synced: bool,
    /// A predecessor with the same namespace/name may still have an instance, or the node is cordoned.
    pub held: bool,
    /// No policy limits the pod, or a ledger has an open grant for it. Without it nothing is created; what runs, runs on.
    pub permitted: bool,
    /// From when the pod may be handed back to its controller if its place is sold out; `None`: never.
    pub hand_back: Option<Moment>,
    /// How long a finished pod's instance is kept.
    pub finished_ttl: Duration,
    /// How long after the grace period a deletion may take before the cloud is asked again.
    pub deletion_patience: Duration,
    /// How long an accepted instance may stay without a place in the cloud before its place counts as sold out.
    pub place_patience: Duration,
}

/// Everything known about one pod UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The API side.
    pub api: Api,
    /// The cloud side.
    pub cloud: Cloud,
    /// Call in flight.
    pub op: Option<Op>,
    /// The cloud's status differs from what the API server has.
    pub dirty: bool,
    /// The difference is not worth a write of its own before this moment: more is about to follow.
    pub quiet_until: Moment,
    /// The instance was seen running (or the API server's status says so): losing it is a failure of the pod.
    pub ran: bool,
    /// A terminal phase was seen: the pod has a result, which must be saved and never made again.
    pub finished: bool,
    /// A report of absence came while a create was in flight: its success must be checked.
    pub contradicted: bool,
    /// The removal of the API object was accepted; only finalizers can keep it.
    pub removed: bool,
    /// The last create was refused because the cloud has no room for this size here.
    pub sold_out: bool,
    /// The instance exists, and the cloud has had no place for it since then.
    pub unplaced: Option<Moment>,
    /// The eviction was accepted: the pod's end comes from the API server.
    pub handed_back: bool,
    /// Back-off of calls to the cloud.
    pub cloud_backoff: Backoff,
    /// Back-off of calls to the API server.
    pub api_backoff: Backoff,
}

impl Record {
    /// A pod of which nothing is known yet.
    pub const fn new(now: Moment) -> Self {
        Self {
            api: Api::Unseen,
            cloud: Cloud::Unknown { since: now },
            op: None,
            dirty: false,
            quiet_until: Duration::ZERO,
            ran: false,
            finished: false,
            contradicted: false,
            removed: false,
            sold_out: false,
            unplaced: None,
            handed_back: false,
            cloud_backoff: Backoff::new(),
            api_backoff: Backoff::new(),
        }
    }

    /// Whether an instance may exist: what a successor of the same name waits for.
    pub const fn may_have_instance(&self) -> bool {
        !matches!(self.cloud, Cloud::Absent) || matches!(self.op, Some(Op::Create))
    }
}

/// The table. Rows: the API side; columns: the cloud side.
pub fn next(record: &Record, context: &Context) -> Next {
    if record.op.is_some() || !context.synced {
        return Next::Idle;
    }
    let wish = match (record.api, record.cloud) {
        // Knowledge first: no decision rests on an instance that may or may not be there.
        (_, Cloud::Unknown { .. }) => Next::Look,

        (Api::Unseen, Cloud::Absent) => Next::Forget,
        (Api::Unseen, Cloud::Present | Cloud::Finished { .. }) => Next::Idle,
        (Api::Unseen, Cloud::Deleting { since }) => confirm(since, 0, context),

        (Api::Wanted, Cloud::Absent) => start(record, context),
        (Api::Wanted, Cloud::Present) => give_up_place(record, context),
        (Api::Wanted, Cloud::Finished { .. }) => save_or(record, Next::Idle, context),
        (Api::Wanted, Cloud::Deleting { since }) => save_or(record, confirm(since, 0, context), context),

        (Api::Finished, Cloud::Absent) => Next::Idle,
        (Api::Finished, Cloud::Present) => Next::Do(Op::Delete { grace_seconds: 0 }),
        (Api::Finished, Cloud::Finished { since }) => expire(since, context),
        (Api::Finished, Cloud::Deleting { since }) => confirm(since, 0, context),

        // A result that is known before the end is saved before the object goes: a Job counts it.
        (Api::Deleting { .. }, Cloud::Absent) if record.removed => Next::Idle,
        (Api::Deleting { .. }, Cloud::Absent) => save_result_or(record, Next::Do(Op::Remove)),
        (Api::Deleting { .. }, Cloud::Finished { .. }) => {
            save_result_or(record, Next::Do(Op::Delete { grace_seconds: 0 }))
        }
        (Api::Deleting { grace_seconds }, Cloud::Present) => Next::Do(Op::Delete { grace_seconds }),
        (Api::Deleting { grace_seconds }, Cloud::Deleting { since }) => {
            save_result_or(record, confirm(since, grace_seconds, context))
        }

        (Api::Absent, Cloud::Absent) => Next::Forget,
        (Api::Absent, Cloud::Present | Cloud::Finished { .. }) => Next::Do(Op::Delete { grace_seconds: 0 }),
        (Api::Absent, Cloud::Deleting { since }) => confirm(since, 0, context),
    };
    backed_off(record, wish, context.now)
}

/// A pod that should run and certainly has no instance.
fn start(record: &Record, context: &Context) -> Next {
    if record.dirty && (record.finished || worth_saving(record)) {
        Next::Do(Op::Patch)
    } else if record.finished {
        Next::Idle
    } else if record.ran {
        Next::Do(Op::PatchLost)
    } else if context.held || !context.permitted || record.handed_back {
        Next::Idle
    } else {
        match context.hand_back {
            Some(from) if record.sold_out => hand_back(record, from, context.now),
            _ => Next::Do(Op::Create),
        }
    }
}

/// The place is sold out and a controller would make a new pod: until it may be handed back, and while the API server
/// forbids it (a disruption budget), the place is tried again.
fn hand_back(record: &Record, from: Moment, now: Moment) -> Next {
    let due = from.max(record.api_backoff.not_before);
    let retry = record.cloud_backoff.not_before;
    if due <= now {
        Next::Do(Op::HandBack)
    } else if retry <= now {
        Next::Do(Op::Create)
    } else {
        Next::Wait(due.min(retry))
    }
}

/// An instance without a place in the cloud is given up only where the pod can be handed back afterwards: elsewhere the
/// cloud goes on looking for a place.
fn give_up_place(record: &Record, context: &Context) -> Next {
    let (Some(since), Some(from), false) = (record.unplaced, context.hand_back, record.ran) else {
        return save_or(record, Next::Idle, context);
    };
    let due = (since + context.place_patience).max(from);
    if due <= context.now {
        Next::Do(Op::Delete { grace_seconds: 0 })
    } else {
        match save_or(record, Next::Idle, context) {
            Next::Wait(other) => Next::Wait(other.min(due)),
            Next::Idle => Next::Wait(due),
            patch => patch,
        }
    }
}

fn save_or(record: &Record, otherwise: Next, context: &Context) -> Next {
    match (record.dirty, record.quiet_until) {
        (false, _) => otherwise,
        (true, until) if until > context.now => Next::Wait(until),
        (true, _) => Next::Do(Op::Patch),
    }
}

/// For a pod that goes: only its result is worth a write, and a status that the API server keeps refusing must not keep
/// the instance alive.
const fn save_result_or(record: &Record, otherwise: Next) -> Next {
    if record.dirty && record.finished && worth_saving(record) { Next::Do(Op::Patch) } else { otherwise }
}

const fn worth_saving(record: &Record) -> bool {
    record.api_backoff.attempts < SAVE_ATTEMPTS
}

fn expire(since: Moment, context: &Context) -> Next {
    let end = since + context.finished_ttl;
    if context.now >= end { Next::Do(Op::Delete { grace_seconds: 0 }) } else { Next::Wait(end) }
}

/// The end of a deletion comes by watch; when it does not come, look.
fn confirm(since: Moment, grace_seconds: u32, context: &Context) -> Next {
    let end = since + Duration::from_secs(grace_seconds.into()) + context.deletion_patience;
    if context.now >= end { Next::Look } else { Next::Wait(end) }
}

fn backed_off(record: &Record, wish: Next, now: Moment) -> Next {
    let Next::Do(op) = wish else { return wish };
    let backoff = if op.to_cloud() { &record.cloud_backoff } else { &record.api_backoff };
    if backoff.not_before > now { Next::Wait(backoff.not_before) } else { wish }
}

/// Something learned about a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The API server's object, as it is now.
    Api {
        /// The state.
        api: Api,
        /// Its stored status says that it ran.
        ran: bool,
        /// Its stored phase is terminal (also while it is being deleted).
        finished: bool,
    },
    /// A list of the API server lacks so many pods that it is not believed: this one may or may not exist.
    Doubtful,
    /// The instance exists.
    Seen {
        /// Deletion is under way.
        deleting: bool,
        /// Its phase is terminal.
        finished: bool,
        /// Its phase is Running or later.
        ran: bool,
    },
    /// The cloud has no place for an instance that exists (or has one now).
    Unplaced(bool),
    /// The cloud refused the create because it is sold out here (or has taken the pod since).
    SoldOut(bool),
    /// Confirmed gone, or a listing that is late enough does not have it.
    Gone,
    /// A listing that must be confirmed does not have it, or what is known is too old.
    Doubt,
    /// The cloud's status differs from the API server's (or no longer does).
    Dirty(bool),
    /// It differs in a way that can wait until then: most pods will have said more by that time.
    DirtyQuietly(Moment),
    /// The call is started.
    Started(Op),
    /// The call in flight ended; `backoff` says when the same side may be called again if it failed.
    Done(Outcome),
}

/// Applies what was learned. `jitter` is in 0..1 and used only for back-off; `cap` is its longest value.
pub fn learn(record: &mut Record, input: Input, now: Moment, jitter: f64, cap: Duration) {
    match input {
        Input::Api { api, ran, finished } => {
            record.api = record.api.max(api);
            record.ran |= ran;
            record.finished |= finished;
        }
        // Back to "never seen": only a sweep, with its limits, may call its instance an orphan.
        Input::Doubtful => record.api = Api::Unseen,
        Input::Seen { deleting, finished, ran } => {
            record.ran |= ran;
            record.finished |= finished;
            record.contradicted = false;
            record.cloud = seen(record.cloud, deleting, finished, now);
        }
        Input::Gone => gone(record),
        Input::Doubt => doubt(record, now),
        Input::Dirty(dirty) => (record.dirty, record.quiet_until) = (dirty, Moment::ZERO),
        Input::DirtyQuietly(until) => {
            if !record.dirty {
                (record.dirty, record.quiet_until) = (true, until);
            }
        }
        Input::Unplaced(false) => record.unplaced = None,
        Input::Unplaced(true) => {
            record.unplaced.get_or_insert(now);
            record.sold_out = true;
        }
        Input::SoldOut(sold_out) => record.sold_out = sold_out,
        Input::Started(op) => started(record, op, now),
        Input::Done(outcome) => {
            if let Some(op) = record.op.take() {
                answered(record, op, outcome, now, jitter, cap);
                done(record, op, outcome, now);
            }
        }
    }
}

/// Keeps the moment at which a state began: repeated reports must not postpone deadlines. A report that an instance
/// lives may be older than our accepted deletion and does not undo it.
const fn seen(before: Cloud, deleting: bool, finished: bool, now: Moment) -> Cloud {
    match (before, deleting, finished) {
        (Cloud::Deleting { since }, ..) => Cloud::Deleting { since },
        (_, true, _) => Cloud::Deleting { since: now },
        (Cloud::Finished { since }, false, true) => Cloud::Finished { since },
        (_, false, true) => Cloud::Finished { since: now },
        (_, false, false) => Cloud::Present,
    }
}

const fn gone(record: &mut Record) {
    if matches!(record.op, Some(Op::Create)) {
        record.contradicted = true;
        return;
    }
    record.cloud = Cloud::Absent;
    record.unplaced = None;
    // A result outlives its instance; anything else the instance said no longer matters.
    record.dirty = record.dirty && record.finished;
}

const fn doubt(record: &mut Record, now: Moment) {
    if !matches!(record.cloud, Cloud::Absent | Cloud::Unknown { .. }) {
        record.cloud = Cloud::Unknown { since: now };
    }
}

const fn started(record: &mut Record, op: Op, now: Moment) {
    record.op = Some(op);
    if matches!(op, Op::Create) {
        record.contradicted = false;
        record.cloud = Cloud::Unknown { since: now };
    }
}

fn answered(record: &mut Record, op: Op, outcome: Outcome, now: Moment, jitter: f64, cap: Duration) {
    let backoff = if op.to_cloud() { &mut record.cloud_backoff } else { &mut record.api_backoff };
    match outcome {
        Outcome::Ok => backoff.reset(),
        Outcome::Refused { after } => backoff.failed(now, after, jitter, cap),
        Outcome::Unsure | Outcome::NotFound => backoff.failed(now, None, jitter, cap),
    }
}

fn done(record: &mut Record, op: Op, outcome: Outcome, now: Moment) {
    match (op, outcome) {
        (Op::Create, Outcome::Ok) if record.contradicted => record.cloud = Cloud::Unknown { since: now },
        // "Created" or "exists" says nothing new about an instance that was reported meanwhile.
        (Op::Create, Outcome::Ok) => {
            if matches!(record.cloud, Cloud::Unknown { .. }) {
                record.cloud = Cloud::Present;
            }
        }
        // 404 on a create is a missing parent (namespace): nothing was made. A report that came meanwhile wins.
        (Op::Create, Outcome::Refused { .. } | Outcome::NotFound) => {
            if matches!(record.cloud, Cloud::Unknown { .. }) {
                record.cloud = Cloud::Absent;
            }
        }
        (Op::Create, Outcome::Unsure) => {
            if matches!(record.cloud, Cloud::Unknown { .. }) {
                record.cloud = Cloud::Unknown { since: now };
            }
        }
        (Op::Delete { .. }, Outcome::Ok) => {
            if !matches!(record.cloud, Cloud::Absent) {
                record.cloud = Cloud::Deleting { since: now };
            }
        }
        // "Not found" while something may be in flight is not final: look.
        (Op::Delete { .. }, Outcome::Unsure | Outcome::NotFound) => doubt(record, now),
        (Op::Delete { .. }, Outcome::Refused { .. }) => {}
        (Op::Remove, Outcome::Ok | Outcome::NotFound) => record.removed = true,
        (Op::HandBack, Outcome::Ok | Outcome::NotFound) => record.handed_back = true,
        (Op::PatchLost, Outcome::Ok) => {
            record.api = record.api.max(Api::Finished);
            record.finished = true;
        }
        (Op::Patch | Op::PatchLost, Outcome::NotFound) => record.dirty = false,
        // What was written, and whether more came meanwhile, is told by `Input::Dirty`.
        (Op::Patch, Outcome::Ok) => {}
        (
            Op::Remove | Op::Patch | Op::PatchLost | Op::HandBack,
            Outcome::Refused { .. } | Outcome::Unsure,
        ) => {}
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
