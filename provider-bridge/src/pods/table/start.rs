//! Starts the calls that the machine asks for, up to a limit per side; the rest waits in line.

use policies::burst_policy::{BurstPolicySpec, ScaleIn};
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::{Note, Table, Work};
use crate::cloud::CreateRequest;
use crate::pods::deletion_cost::{self, Wish};
use crate::pods::entry::{Entry, News};
use crate::pods::machine::{Api, Input, Moment, Op};
use crate::pods::status::{self, Place};

impl Table {
    pub(super) fn drain_queues(&mut self) {
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

    pub(super) fn unqueue(&mut self, uid: &SmolStr) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.queued = false;
            self.settle(uid);
        }
    }

    /// Starts a call or queues it. `false`: there was nothing to do after all, ask again.
    pub(super) fn start(&mut self, uid: &SmolStr, op: Op) -> bool {
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
        let policy = entry.pod.as_ref().and_then(|pod| pod.marks.policy.clone());
        let policy = policy.and_then(|key| self.ground.policy(&key));
        let wish = wish(self.settings.deletion_cost, policy);
        let Some(work) = work_of(entry, op, place, &self.settings.node, (wish, self.now), policy) else {
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
        let corrects = entry.pod.as_ref().is_some_and(|pod| pod.marks.original_deletion_cost.is_some());
        if corrects && matches!(work, Work::Patch { annotations: Some(_), .. }) {
            entry.cost_quiet_until = self.now + super::holds::COST_PAUSE;
        }
        self.output.work.push(work);
        self.learn(uid, Input::Started(op));
        true
    }
}

/// What is wanted of the pod's deletion cost.
pub(super) fn wish(configured: Wish, policy: Option<&BurstPolicySpec>) -> Wish {
    match policy.map(|spec| spec.scale_in) {
        Some(ScaleIn::Off) => Wish::Original,
        Some(ScaleIn::CloudFirst) | None => configured,
    }
}

fn work_of(
    entry: &Entry,
    op: Op,
    place: Place,
    node: &str,
    (wish, now): (Wish, Moment),
    policy: Option<&BurstPolicySpec>,
) -> Option<Work> {
    match op {
        Op::Create => Some(Work::Create(CreateRequest {
            pod: entry.identity.clone(),
            node: node.to_owned(),
            object: entry.pod.as_ref()?.object(),
            labels: policy.map(|spec| spec.cloud_labels.clone()).unwrap_or_default(),
            annotations: policy.map(|spec| spec.cloud_annotations.clone()).unwrap_or_default(),
            hidden: Vec::new(),
            needs_grant: entry.pod.as_ref()?.marks.governed,
        })),
        Op::Delete { grace_seconds } => {
            Some(Work::Delete { instance: entry.instance.clone()?, grace_seconds })
        }
        Op::Remove => Some(Work::Remove(entry.identity.clone())),
        Op::Patch => {
            let pod = entry.pod.as_ref()?.object();
            let patch = match &entry.news {
                Some(News::Status(status)) => status::patch(&pod, status, place),
                Some(News::Trouble(trouble)) => status::trouble_patch(&pod, trouble, place),
                None => None,
            };
            let marks = &entry.pod.as_ref()?.marks;
            let quiet = entry.cost_quiet_until > now;
            let annotations = if quiet { None } else { deletion_cost::annotations(marks, wish) };
            if patch.is_none() && annotations.is_none() {
                return None;
            }
            let fingerprint = entry.news.as_ref().map_or(entry.written, News::fingerprint);
            patch_work(entry, patch.unwrap_or_else(|| json!({})), annotations, fingerprint)
        }
        Op::PatchLost => {
            patch_work(entry, status::lost_patch(&entry.pod.as_ref()?.object(), place)?, None, 0)
        }
        Op::HandBack => {
            let (_, way) = entry.hand_back?;
            let status = status::hand_back_patch(&entry.pod.as_ref()?.object(), way, place)?;
            Some(Work::HandBack { pod: entry.identity.clone(), status, way })
        }
    }
}

fn patch_work(entry: &Entry, patch: Value, annotations: Option<Value>, fingerprint: u64) -> Option<Work> {
    let Value::Object(status) = patch else { return None };
    let since = entry.news_since;
    Some(Work::Patch { pod: entry.identity.clone(), status, annotations, fingerprint, since })
}
