//! What the answers to calls mean, and what the pod's owner is told about them.

use smol_str::{SmolStr, ToSmolStr};

use super::reports::without_status;
use super::{Note, Table, Work};
use crate::cloud::{CloudError, Instance, PodIdentity};
use crate::pods::entry::{self, Entry, News};
use crate::pods::machine::{Input, Moment, Outcome};
use crate::pods::status::Trouble;
use crate::pods::words::{self, Reason};

impl Table {
    pub(super) fn created(&mut self, pod: &PodIdentity, result: Result<Instance, CloudError>) {
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
                // A report that came before this answer may have said that it has no place.
                let placed = entry.record.unplaced.is_none();
                if placed {
                    (entry.stock_told, entry.hand_back) = (None, None);
                }
                if matches!(entry.news, Some(News::Trouble(_))) {
                    entry.news = None;
                    self.learn(&uid, Input::Dirty(false));
                }
                if placed {
                    self.learn(&uid, Input::SoldOut(false));
                }
                self.output.events.push(words::pod_event(pod, Reason::CreateSuccess, text));
                self.done(pod, Outcome::Ok);
            }
            Err(error) => {
                if matches!(error, CloudError::Account(_) | CloudError::Gone(_)) {
                    self.prepare();
                }
                self.refused(pod, &error);
                if let CloudError::Capacity(message) = &error {
                    self.sold_out(&uid, message);
                }
                self.done(pod, outcome_of(&error));
            }
        }
    }

    /// Tells the pod's owner of a refusal, if it is for them to know or lasts.
    pub(super) fn refused(&mut self, pod: &PodIdentity, error: &CloudError) {
        let uid = pod.uid.to_smolstr();
        let lasting = |e: &Entry| words::tell_at_once(error) || e.record.cloud_backoff.attempts >= 3;
        if self.entries.get(&uid).is_some_and(lasting) {
            self.tell(&uid, Reason::CreateFailed, words::trouble(error));
        }
    }

    /// Tells the pod's owner why there is no instance: one event and one condition per change of mind.
    pub(super) fn tell(&mut self, uid: &SmolStr, reason: Reason, trouble: Trouble) {
        let now = self.now;
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let fingerprint = entry::fingerprint(&trouble);
        if entry.told == Some(fingerprint) {
            return;
        }
        entry.told = Some(fingerprint);
        self.output.events.push(words::pod_event(&entry.identity, reason, trouble.message.clone()));
        if entry.instance.is_none() {
            entry.news = Some(News::Trouble(trouble));
            entry.news_since = now;
            self.learn(uid, Input::Dirty(true));
        }
    }

    pub(super) fn deleted(&mut self, pod: &PodIdentity, result: &Result<(), CloudError>) {
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

    pub(super) fn patched(&mut self, pod: &PodIdentity, fingerprint: u64, since: Moment, outcome: Outcome) {
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

    pub(super) fn done(&mut self, pod: &PodIdentity, outcome: Outcome) {
        let uid = pod.uid.to_smolstr();
        self.learn(&uid, Input::Done(outcome));
        self.settle(&uid);
        self.wake_successors(&uid);
    }

    pub(super) fn prepare(&mut self) {
        if !self.preparing {
            self.preparing = true;
            self.output.work.push(Work::Prepare);
        }
    }
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
