//! Orphans: instances of this node whose pod the API server never showed. A sweep proposes, the API server confirms.

use std::time::Duration;

use smol_str::SmolStr;

use super::{Note, Table, Work};
use crate::gc::{Suspect, Verdict};
use crate::pods::entry::Entry;
use crate::pods::machine::{Api, Cloud, Input};

impl Table {
    /// One sweep; call it at the configured interval.
    pub fn sweep(&mut self) {
        if !self.synced() {
            return;
        }
        let suspects =
            self.entries.iter().filter(|(_, e)| is_suspect(e)).map(|(uid, e)| self.suspect(uid, e)).collect();
        let total = self.entries.values().filter(|e| e.instance.is_some()).count();
        match self.sweeper.sweep(suspects, total, &self.settings.limits) {
            Verdict::Delete(uids) if uids.is_empty() => {}
            Verdict::Delete(uids) => {
                let uids = uids.into_iter().map(SmolStr::from).collect();
                self.output.work.push(Work::ConfirmOrphans(uids));
            }
            Verdict::Stopped { orphans, total } => self.complain("instances without a pod", orphans, total),
        }
    }

    fn suspect(&self, uid: &SmolStr, entry: &Entry) -> Suspect {
        let seen = self.now.saturating_sub(entry.first_seen);
        let by_cloud = entry
            .instance
            .as_ref()
            .and_then(|i| i.created)
            .map(|created| Duration::try_from(self.wall.duration_since(created)).unwrap_or_default());
        Suspect { uid: uid.to_string(), age: seen.max(by_cloud.unwrap_or_default()) }
    }

    pub(super) fn orphans_confirmed(&mut self, candidates: Vec<SmolStr>, known: Option<Vec<SmolStr>>) {
        let Some(known) = known else { return };
        for uid in candidates {
            let still = self.entries.get(&uid).filter(|e| is_suspect(e)).map(|e| e.identity.clone());
            if let Some(identity) = still
                && !known.contains(&uid)
            {
                self.output.notes.push(Note::OrphanDeleted(identity));
                self.learn(&uid, Input::Api { api: Api::Absent, ran: false, finished: false });
                self.settle(&uid);
            }
        }
    }
}

const fn is_suspect(entry: &Entry) -> bool {
    matches!(entry.record.api, Api::Unseen)
        && matches!(entry.record.cloud, Cloud::Present | Cloud::Finished { .. })
}
