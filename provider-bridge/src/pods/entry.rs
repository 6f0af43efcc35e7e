//! What the bridge holds in memory about one pod UID. All of it can be rebuilt from the API server and the cloud's list.

use std::sync::Arc;

use cluster::bound_pods::BoundPod;
use cluster::slim::PodPhase;
use serde_json::Value;
use smol_str::SmolStr;

use super::hand_back::Way;
use super::machine::{Api, Moment, Record};
use super::status::{self, Trouble};
use crate::cloud::{Instance, PodIdentity};

/// One pod of the table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) identity: PodIdentity,
    /// `namespace/name`: what a successor shares with its predecessor.
    pub(super) name: SmolStr,
    pub(super) record: Record,
    /// The latest object from the API server, as compact JSON.
    pub(super) pod: Option<BoundPod>,
    /// The instance without its status.
    pub(super) instance: Option<Instance>,
    /// What the cloud said and is not written yet.
    pub(super) news: Option<News>,
    /// Fingerprint of what was last written.
    pub(super) written: u64,
    /// The cloud's last status, kept only for pods with readiness gates.
    pub(super) last_status: Option<Arc<Value>>,
    /// Ready depends on conditions that others write.
    pub(super) has_gates: bool,
    /// Reason of the failure the owner was last told about: one event per change of mind.
    pub(super) told: Option<u64>,
    /// When this record was made: binding for a new pod, first sight for an orphan.
    pub(super) first_seen: Moment,
    /// When the unwritten status came.
    pub(super) news_since: Moment,
    /// A create was sent since start.
    pub(super) create_sent: bool,
    /// Listing of the cloud that last had it.
    pub(super) cloud_generation: u64,
    /// List of the API server that last had it.
    pub(super) api_generation: u64,
    /// Waits in a queue for a free call.
    pub(super) queued: bool,
    /// From when it may be handed back if its place stays sold out, and how.
    pub(super) hand_back: Option<(Moment, Way)>,
    /// What its Job answered.
    pub(super) job_ignores: Option<bool>,
    /// Class of its size, once asked for.
    pub(super) class: Option<SmolStr>,
    /// The owner was told of this stock-out.
    pub(super) stock_told: Option<u64>,
    /// Until when a changed deletion cost is not written again.
    pub(super) cost_quiet_until: Moment,
    /// Moment of the armed timer.
    pub(super) timer: Option<Moment>,
}

/// A status waiting to be written.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// From the cloud.
    Status(Arc<Value>),
    /// Why there is no instance.
    Trouble(Trouble),
}

impl News {
    pub(super) fn fingerprint(&self) -> u64 {
        match self {
            Self::Status(status) => status::fingerprint(status),
            Self::Trouble(trouble) => fingerprint(trouble),
        }
    }
}

/// Fingerprint of a trouble.
pub(super) fn fingerprint(trouble: &Trouble) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    trouble.hash(&mut hasher);
    hasher.finish()
}

impl Entry {
    pub(super) fn new(identity: PodIdentity, now: Moment) -> Self {
        Self {
            name: name_key(&identity.namespace, &identity.name),
            identity,
            record: Record::new(now),
            pod: None,
            instance: None,
            news: None,
            written: 0,
            last_status: None,
            has_gates: false,
            told: None,
            first_seen: now,
            news_since: now,
            create_sent: false,
            cloud_generation: 0,
            api_generation: 0,
            queued: false,
            hand_back: None,
            job_ignores: None,
            class: None,
            stock_told: None,
            cost_quiet_until: Moment::ZERO,
            timer: None,
        }
    }
}

pub(super) fn name_key(namespace: &str, name: &str) -> SmolStr {
    smol_str::format_smolstr!("{namespace}/{name}")
}

/// The API side of the machine, from the object.
pub(super) fn api_state(pod: &BoundPod) -> Api {
    if pod.deletion_timestamp.is_some() {
        let grace = pod.deletion_grace_seconds.unwrap_or(0).clamp(0, i64::from(u32::MAX));
        return Api::Deleting { grace_seconds: u32::try_from(grace).unwrap_or(0) };
    }
    match pod.phase {
        PodPhase::Succeeded | PodPhase::Failed => Api::Finished,
        PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => Api::Wanted,
    }
}

/// The stored status says that containers were started.
pub(super) const fn has_run(pod: &BoundPod) -> bool {
    matches!(pod.phase, PodPhase::Running | PodPhase::Succeeded | PodPhase::Failed)
}

/// Whether the spec has readiness gates; asked once per pod.
pub(super) fn has_gates(pod: &BoundPod) -> bool {
    #[derive(serde::Deserialize)]
    struct Object {
        spec: Option<Spec>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        #[serde(default)]
        readiness_gates: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Object>(&pod.json)
        .is_ok_and(|o| o.spec.is_some_and(|s| !s.readiness_gates.is_empty()))
}
