//! What the API server and the cloud report about pods and instances, one by one and as complete lists.

use std::sync::Arc;
use std::time::Duration;

use cluster::bound_pods::BoundPod;
use serde_json::Value;
use smol_str::{SmolStr, ToSmolStr};

use super::Table;
use crate::cloud::{Instance, PodIdentity};
use crate::gc;
use crate::pods::entry::{self, Entry, News};
use crate::pods::machine::{Api, Cloud, Input, Moment};
use crate::pods::status;
use crate::pods::words::{self, Reason};

/// How long "still being created" may wait for something better to say.
const QUIET: Duration = Duration::from_secs(1);

impl Table {
    pub(super) fn pod_applied(&mut self, pod: BoundPod) {
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
        self.keep_cost(&uid);
        self.settle(&uid);
    }

    pub(super) fn pod_deleted(&mut self, uid: &SmolStr) {
        if self.entries.contains_key(uid) {
            self.learn(uid, Input::Api { api: Api::Absent, ran: false, finished: false });
            self.settle(uid);
        }
    }

    pub(super) fn api_listed(&mut self) {
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

    pub(super) fn instance_seen(&mut self, instance: Instance) {
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
        let quiet = status::is_quiet(&status);
        let unplaced = status::unplaced(&status).map(str::to_owned);
        let started = status::has_run(&status) && !entry.record.ran;
        let news = note_status(entry, status, now);
        self.learn(&uid, seen);
        self.placed(&uid, unplaced.as_deref(), started);
        if news {
            self.learn(&uid, if quiet { Input::DirtyQuietly(now + QUIET) } else { Input::Dirty(true) });
        }
        self.settle(&uid);
    }

    pub(super) fn instance_gone(&mut self, instance: &Instance) {
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

    pub(super) fn believe_gone(&mut self, uid: &SmolStr) {
        self.learn(uid, Input::Gone);
        self.after_gone(uid);
        self.settle(uid);
        self.wake_successors(uid);
    }

    pub(super) fn after_gone(&mut self, uid: &SmolStr) {
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

    pub(super) fn cloud_listed(&mut self) {
        let generation = self.cloud_generation;
        let missing: Vec<SmolStr> = self
            .entries
            .iter()
            .filter(|(_, e)| e.instance.is_some() && e.cloud_generation < generation)
            .map(|(uid, _)| uid.clone())
            .collect();
        // One listing only raises doubt; a second one, asked for by the doubt, decides.
        for uid in missing {
            self.learn(&uid, Input::Doubt);
            self.settle(&uid);
        }
        self.cloud_synced = true;
        self.unlistable = None;
        self.settle_all_once_synced();
    }

    pub(super) fn settle_all_once_synced(&mut self) {
        if self.synced() {
            let all: Vec<SmolStr> = self.entries.keys().cloned().collect();
            for uid in all {
                self.settle(&uid);
            }
        }
    }
}

pub(super) fn without_status(instance: Instance) -> Instance {
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
