//! Answers to closing grants: which pods have no instance here and will get none, so that the leader can use their
//! places again. An answer needs a complete list of the cloud that began after the grant was seen closing.

use std::collections::HashMap;
use std::time::Duration;

use policies::ledger::Released;
use smol_str::SmolStr;

use super::Table;
use crate::cloud::Instance;
use crate::pods::entry::Entry;
use crate::pods::machine::{Cloud, Moment};
use crate::pods::permits::Permit;

/// Lists that only serve answers are at least so far apart.
const SPACING: Duration = Duration::from_secs(2);

/// Closing grants that may be ours, by pod UID.
#[derive(Debug, Default)]
pub(super) struct Closings {
    by_uid: HashMap<SmolStr, Closing>,
    last_list: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    serial: u64,
    /// When it was first seen closing.
    since: Moment,
    released: bool,
}

impl Table {
    /// The ledgers changed.
    pub(super) fn closings_changed(&mut self) {
        let mut known = std::mem::take(&mut self.closing.by_uid);
        let node = self.settings.node.as_str();
        let ours = self.ground.permits.closing().filter(|c| c.node.as_deref().is_none_or(|n| n == node));
        self.closing.by_uid = ours
            .map(|c| {
                let same = known.remove(&c.uid).filter(|k| k.serial == c.serial);
                let new = Closing { serial: c.serial, since: self.now, released: false };
                (c.uid.clone(), same.unwrap_or(new))
            })
            .collect();
        self.want_release_list();
    }

    /// Something about this pod ended: its grant may be answered for.
    pub(super) fn reconsider_release(&mut self, uid: &SmolStr) {
        if self.closing.by_uid.get(uid).is_some_and(|c| !c.released) {
            self.want_release_list();
        }
    }

    /// A list of the cloud that would answer for somebody is asked for.
    pub(super) fn want_release_list(&mut self) {
        let open = self.closing.by_uid.iter().filter(|(uid, c)| !c.released && self.is_without(uid));
        let Some(due) = open.map(|(_, c)| c.since + self.settings.settle).min() else { return };
        let spaced = self.closing.last_list.map_or(Moment::ZERO, |at| at + SPACING);
        let at = due.max(spaced).max(self.now);
        self.look.wanted = Some(self.look.wanted.map_or(at, |wanted| wanted.min(at)));
        self.start_look();
    }

    /// A complete list, begun at `started`.
    pub(super) fn release_by_list(&mut self, started: Moment, instances: &[Instance]) {
        if self.closing.by_uid.is_empty() {
            return;
        }
        self.closing.last_list = Some(started);
        let node = self.settings.node.as_str();
        let there: std::collections::HashSet<&str> =
            instances.iter().filter(|i| i.node == node).map(|i| i.pod.uid.as_str()).collect();
        let free: Vec<SmolStr> = self
            .closing
            .by_uid
            .iter()
            .filter(|(uid, c)| {
                !c.released && c.since + self.settings.settle <= started && !there.contains(uid.as_str())
            })
            .filter(|(uid, _)| self.is_without(uid))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in free {
            if let Some(closing) = self.closing.by_uid.get_mut(&uid) {
                closing.released = true;
            }
        }
        self.want_release_list();
    }

    /// No instance that we know of, no call that could make one, and none would be started.
    fn is_without(&self, uid: &SmolStr) -> bool {
        let idle = |e: &Entry| e.record.cloud == Cloud::Absent && e.record.op.is_none();
        let refused = self.ground.permits.of(uid, &self.settings.node) != Permit::Open;
        self.synced() && refused && self.entries.get(uid).is_none_or(idle)
    }

    /// The answers that hold now.
    pub(super) fn released(&self) -> Vec<Released> {
        let released = self.closing.by_uid.iter().filter(|(_, c)| c.released);
        let mut rows: Vec<_> =
            released.map(|(uid, c)| Released { uid: uid.to_string(), serial: c.serial }).collect();
        rows.sort_unstable();
        rows
    }
}
