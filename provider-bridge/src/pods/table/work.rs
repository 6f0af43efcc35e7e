//! What goes into and out of a [`super::Table`]: settings, calls to make, answers to them, notes.

use std::net::IpAddr;
use std::time::Duration;

use cluster::events::Event;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::cloud::{CloudError, CreateRequest, Instance, PodIdentity};
use crate::gc;
use crate::pods::deletion_cost::Wish;
use crate::pods::hand_back::Way;
use crate::pods::machine::{Moment, Outcome};

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
    /// How long an accepted instance may stay without a place in the cloud.
    pub place_patience: Duration,
    /// The cloud's zone; empty if not known.
    pub zone: String,
    /// Whether pods in the cloud get a lower deletion cost.
    pub deletion_cost: Wish,
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
        /// Annotations to write along.
        annotations: Option<Value>,
        /// What this writes, to be given back with the answer.
        fingerprint: u64,
        /// When the news came from the cloud.
        since: Moment,
    },
    /// Remove the API object of a pod.
    Remove(PodIdentity),
    /// Give a pod back to its controller.
    HandBack {
        /// Which.
        pod: PodIdentity,
        /// Patch of `status` that says so first.
        status: Value,
        /// What follows.
        way: Way,
    },
    /// Ask the Job of a pod whether it ignores disruptions.
    AskJob {
        /// The pod.
        pod: PodIdentity,
        /// Name of its Job.
        job: String,
    },
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
    /// To `Create`: the grant was gone by the time of the call; nothing was sent.
    Withheld(PodIdentity),
    /// To `HandBack`.
    HandedBack(PodIdentity, Outcome),
    /// To `AskJob`: whether it ignores disruptions, if that could be found out.
    JobAsked(PodIdentity, Option<bool>),
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
