//! The one shared listing of the cloud: when it starts, whom it settles, and when it is not believed.

use std::collections::HashMap;
use std::time::Duration;

use smol_str::{SmolStr, ToSmolStr};

use super::{Table, Work};
use crate::cloud::{CloudError, Instance};
use crate::gc;
use crate::pods::backoff::Backoff;
use crate::pods::entry::Entry;
use crate::pods::machine::{Api, Cloud, Input, Moment, Next, Record};

/// The one shared listing of the cloud.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) running: bool,
    /// Earliest next start, after failures.
    pub(super) backoff: Backoff,
    /// When a listing would help somebody.
    pub(super) wanted: Option<Moment>,
}

impl Table {
    pub(super) fn listed(&mut self, started: Moment, result: Result<Vec<Instance>, CloudError>) {
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

    pub(super) fn believe_list(&mut self, started: Moment, instances: Vec<Instance>) {
        self.release_by_list(started, &instances);
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

    pub(super) fn look_due(&self, entry: &Entry) -> Moment {
        match entry.record.cloud {
            Cloud::Unknown { since } => since + self.settings.settle,
            Cloud::Deleting { .. } | Cloud::Present | Cloud::Finished { .. } | Cloud::Absent => Moment::ZERO,
        }
    }

    pub(super) fn want_look(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get(uid) else { return };
        let at = self.look_due(entry).max(self.now);
        self.look.wanted = Some(self.look.wanted.map_or(at, |w| w.min(at)));
        self.start_look();
    }

    pub(super) fn start_look(&mut self) {
        let due = self.look.wanted.is_some_and(|at| at.max(self.look.backoff.not_before) <= self.now);
        if due && !self.look.running {
            self.look.running = true;
            self.look.wanted = None;
            self.output.work.push(Work::List { started: self.now });
        }
    }
}

/// A pod whose instance's disappearance would be a loss.
const fn is_loss(record: &Record) -> bool {
    matches!(record.api, Api::Wanted) && record.ran && !record.finished
}
