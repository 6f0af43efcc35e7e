//! Starts the calls that the machine asks for, up to a limit per side; the rest waits in line.

use serde_json::Value;
use smol_str::SmolStr;

use super::{Note, Table, Work};
use crate::cloud::CreateRequest;
use crate::pods::entry::{Entry, News};
use crate::pods::machine::{Api, Input, Op};
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
