//! Why a pod that should run is not created yet: one mechanism for everything that holds it, told to its owner once.

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use super::Table;
use crate::pods::deletion_cost;
use crate::pods::entry::{Entry, News};
use crate::pods::ground::Ground;
use crate::pods::machine::{Api, Cloud, Input};
use crate::pods::permits::Permit;
use crate::pods::status::Trouble;
use crate::pods::words::{self, Reason};

/// The ledger is written before the pod is let go, but the two come by different watches.
const LEDGER_LAG: Duration = Duration::from_secs(2);
/// A deletion cost that somebody else changes is written again at most so often.
pub(super) const COST_PAUSE: Duration = Duration::from_secs(60);
/// Reason of the condition and the event.
const AWAITING_GRANT: &str = "AwaitingGrant";

impl Table {
    /// A new picture of grants, policies and other nodes.
    pub fn on_ground(&mut self, ground: Arc<Ground>) {
        if ground.listed && !self.ground.listed {
            let own = ground.reports.get(self.settings.node.as_str());
            self.stock.restore(
                own.and_then(|own| own.spec.as_ref().ok())
                    .map(|own| own.stock_outs.clone())
                    .unwrap_or_default(),
            );
        }
        let policies = !Arc::ptr_eq(&self.ground.policies, &ground.policies);
        self.ground = ground;
        self.closings_changed();
        let (permitted, costs): (Vec<_>, Vec<_>) = (self.newly_permitted(), self.with_cost(policies));
        for uid in permitted {
            self.drop_outdated_hold(&uid);
            self.settle(&uid);
        }
        for uid in costs {
            self.keep_cost(&uid);
            self.settle(&uid);
        }
    }

    fn newly_permitted(&self) -> Vec<SmolStr> {
        let held =
            |e: &Entry| e.record.api == Api::Wanted && e.record.cloud == Cloud::Absent && is_governed(e);
        self.entries.iter().filter(|(_, e)| held(e)).map(|(uid, _)| uid.clone()).collect()
    }

    fn with_cost(&self, changed: bool) -> Vec<SmolStr> {
        let any = |e: &Entry| changed && e.pod.as_ref().is_some_and(|p| p.marks.controller.is_some());
        self.entries.iter().filter(|(_, e)| any(e)).map(|(uid, _)| uid.clone()).collect()
    }

    /// Whether an instance may be made.
    pub(super) fn permitted(&self, entry: &Entry) -> bool {
        !is_governed(entry) || self.permit(entry) == Permit::Open
    }

    fn permit(&self, entry: &Entry) -> Permit {
        self.ground.permits.of(&entry.identity.uid, &self.settings.node)
    }

    /// The grant came before its absence was written down: then nobody needs to read of it.
    fn drop_outdated_hold(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get(uid) else { return };
        let outdated = matches!(&entry.news, Some(News::Trouble(t)) if t.reason == AWAITING_GRANT);
        if outdated && self.permitted(entry) {
            if let Some(entry) = self.entries.get_mut(uid) {
                entry.news = None;
            }
            self.learn(uid, Input::Dirty(false));
        }
    }

    /// Everyone who waits is asked again.
    pub(super) fn settle_waiting(&mut self) {
        let waits = |e: &Entry| e.record.api == Api::Wanted && e.instance.is_none();
        let all: Vec<SmolStr> =
            self.entries.iter().filter(|(_, e)| waits(e)).map(|(uid, _)| uid.clone()).collect();
        for uid in all {
            self.settle(&uid);
        }
    }

    /// The machine has nothing to do for this pod: if something holds it, its owner is told.
    pub(super) fn tell_hold(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get(uid) else { return };
        if entry.record.api != Api::Wanted || entry.instance.is_some() || entry.record.op.is_some() {
            return;
        }
        if let Some(error) = &self.unlistable {
            let trouble = words::trouble(error);
            return self.tell(uid, Reason::CreateFailed, trouble);
        }
        let from = entry.first_seen + LEDGER_LAG;
        let idle = entry.record.cloud == Cloud::Absent && !entry.record.finished && !entry.record.ran;
        let Some(message) = idle.then(|| self.missing_grant(entry)).flatten() else { return };
        if self.now < from {
            return self.arm(uid, from);
        }
        self.tell(uid, Reason::AwaitingGrant, Trouble { reason: AWAITING_GRANT, message });
        // The condition is written by the machine's next look at it.
        if self.entries.get(uid).is_some_and(|e| e.record.dirty && e.record.op.is_none()) && self.synced() {
            self.settle(uid);
        }
    }

    fn missing_grant(&self, entry: &Entry) -> Option<String> {
        if !is_governed(entry) || !self.synced() {
            return None;
        }
        let policy = entry.pod.as_ref().and_then(|pod| pod.marks.policy.as_deref()).unwrap_or("a policy");
        match self.permit(entry) {
            Permit::Open | Permit::Unknown => None,
            Permit::None => Some(format!(
                "{policy} limits this pod's way into the cloud and has not granted it an instance; it starts when \
                 it does (kubectl burst explain pod says what is missing)"
            )),
            Permit::Elsewhere => Some(format!(
                "{policy} granted this pod a place that is not virtual node {}; it is not created here",
                self.settings.node
            )),
            Permit::Closing => Some(format!(
                "{policy} took this pod's grant back; it is not created before it gets a new one"
            )),
        }
    }

    /// A deletion cost that is ours to correct (written before, now another, or no longer wanted) is written again; the
    /// first one rides on a status.
    pub(super) fn keep_cost(&mut self, uid: &SmolStr) {
        let Some(entry) = self.entries.get(uid) else { return };
        let Some(pod) = entry.pod.as_ref().filter(|_| entry.record.api == Api::Wanted) else { return };
        if pod.marks.original_deletion_cost.is_none() {
            return;
        }
        let policy = pod.marks.policy.as_deref().and_then(|key| self.ground.policy(key));
        let wish = super::start::wish(self.settings.deletion_cost, policy);
        if deletion_cost::annotations(&pod.marks, wish).is_none() {
            return;
        }
        let quiet = entry.cost_quiet_until;
        self.learn(uid, if quiet > self.now { Input::DirtyQuietly(quiet) } else { Input::Dirty(true) });
    }
}

fn is_governed(entry: &Entry) -> bool {
    entry.pod.as_ref().is_some_and(|pod| pod.marks.governed)
}
