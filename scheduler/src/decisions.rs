//! The last decisions, in a bounded ring: what was decided for which pod, and why.
//!
//! Two write here: the observer, when a pod was bound, and the leader, when a governed pod is held back or granted. A
//! record is added when something is decided otherwise than before, not each time it is decided; what `record_*`
//! returns says so, and one event follows from it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;
use policies::ledger::{Hold, Seconds};
use policies::policy::Policy;
use serde::Serialize;

/// How many decisions are kept.
pub const KEPT: usize = 2048;
/// Of how many pods the last mind is remembered; beyond it all are forgotten, and told once more.
const MINDS: usize = 100_000;

/// Outcome of a pod on a virtual node.
pub const CLOUD: &str = "cloud";
/// Outcome of a pod on a real node.
pub const LOCAL: &str = "local";
/// Outcome of a pod that is held back, or has no node.
pub const WAIT: &str = "wait";
/// Outcome of a pod that may go now where it may not have gone before.
pub const GRANTED: &str = "granted";
/// Outcome of a pod in the cloud that is evicted because a real node has room for its successor.
pub const MOVED: &str = "moved";

/// One decision, as `/api/decisions` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was decided: for a placement, when the pod was seen bound.
    pub time: Timestamp,
    /// Pod UID.
    pub uid: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// The workload that the pod belongs to: `Deployment/web`.
    pub workload: Option<String>,
    /// The policy in force.
    pub policy: Policy,
    /// Where the policy came from, for example `Deployment/web`.
    pub source: String,
    /// The policy object that governs the pod: `BurstPolicy/shop/web`.
    pub policy_object: Option<String>,
    /// `local`, `cloud`, `wait`, `granted` or `moved`.
    pub outcome: &'static str,
    /// The node that the scheduler chose; none while there is none.
    pub node: Option<String>,
    /// The node's provider, when it is virtual.
    pub provider: Option<String>,
    /// The tier that was granted.
    pub tier: Option<String>,
    /// Reason code, from a closed set.
    pub reason: &'static str,
    /// The reason as a sentence, with numbers.
    pub sentence: String,
    /// What it is waiting for, if a time: RFC 3339.
    pub until: Option<Timestamp>,
    /// The ceilings that the decision came up against, in words: `tier burst: 3 of 3 pods`.
    pub limits: Vec<String>,
    /// What the pod costs in the cloud, in words: `0.31 CNY per hour`; none where no price is known.
    pub cost: Option<String>,
    /// The smallest changes that would have decided otherwise, nearest first.
    pub alternatives: Vec<String>,
}

/// A governed pod, as the leader knows it when it records something about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Governed {
    /// Pod UID.
    pub uid: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// The workload that the pod belongs to, if known: `Deployment/web`.
    pub workload: Option<String>,
    /// The policy word in force.
    pub policy: Policy,
    /// The policy object's key: `BurstPolicy/shop/web`.
    pub policy_object: String,
    /// Ceilings and budgets that the decision came up against, in words.
    pub limits: Vec<String>,
    /// What the pod costs in the cloud, in words.
    pub cost: Option<String>,
    /// The smallest changes that would decide otherwise, in words.
    pub alternatives: Vec<String>,
}

impl Governed {
    fn decision(self, time: Timestamp) -> Decision {
        Decision {
            time,
            uid: self.uid,
            namespace: self.namespace,
            name: self.name,
            workload: self.workload,
            policy: self.policy,
            source: self.policy_object.clone(),
            policy_object: Some(self.policy_object),
            limits: self.limits,
            cost: self.cost,
            alternatives: self.alternatives,
            ..Decision::default()
        }
    }
}

/// What a decision has to differ in to be another one.
type Mind = (&'static str, &'static str);

/// A bounded list of decisions, newest last.
#[derive(Debug, Default)]
pub struct Ring {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    decisions: VecDeque<Decision>,
    /// The newest outcome and reason by pod. Kept apart from the list: more pods may be held back than the list
    /// holds, and none of them shall be told the same twice.
    minds: HashMap<String, Mind, RandomState>,
}

impl Ring {
    /// Adds a decision and forgets the oldest when full.
    pub fn push(&self, decision: Decision) {
        self.lock().push(decision);
    }

    /// A governed pod is held back for `reason` (a code), perhaps until a time. Returns whether that is a change of
    /// mind: the same reason again adds no record.
    pub fn record_hold(
        &self,
        pod: Governed,
        reason: &'static str,
        sentence: String,
        until: Option<Seconds>,
        now: Timestamp,
    ) -> bool {
        let until = until.and_then(|at| Timestamp::from_second(at).ok());
        self.lock().changed(Decision { outcome: WAIT, reason, sentence, until, ..pod.decision(now) })
    }

    /// A governed pod may go to `tier` now. Returns whether that is news to somebody who was told that it has to wait.
    pub fn record_grant(&self, pod: Governed, tier: String, sentence: String, now: Timestamp) -> bool {
        let decision = Decision { outcome: GRANTED, reason: "Granted", sentence, ..pod.decision(now) };
        let mut kept = self.lock();
        let quiet = (WAIT, Hold::LocalFirst.code());
        let told = kept.minds.get(&decision.uid).is_some_and(|mind| *mind != quiet);
        kept.changed(Decision { tier: Some(tier), ..decision }) && told
    }

    /// A governed pod was evicted so that its successor takes `node`.
    pub fn record_move(&self, pod: Governed, node: String, sentence: String, now: Timestamp) {
        let decision = Decision { outcome: MOVED, reason: "LocalRoomFree", sentence, ..pod.decision(now) };
        self.push(Decision { node: Some(node), ..decision });
    }

    /// The pod is gone, and its mind with it; its records stay.
    pub fn gone(&self, uid: &str) {
        self.lock().minds.remove(uid);
    }

    /// The newest `limit` decisions that `about` accepts, newest first.
    pub fn newest(&self, about: impl Fn(&Decision) -> bool, limit: usize) -> Vec<Decision> {
        self.lock().decisions.iter().rev().filter(|d| about(d)).take(limit).cloned().collect()
    }

    /// The newest decision about each of the pods that `wanted` accepts by UID.
    pub fn latest_by_uid(&self, wanted: impl Fn(&str) -> bool) -> HashMap<String, Decision> {
        let kept = self.lock();
        let relevant = kept.decisions.iter().filter(|d| wanted(&d.uid));
        relevant.map(|d| (d.uid.clone(), d.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn changed(&mut self, decision: Decision) -> bool {
        let mind = (decision.outcome, decision.reason);
        if self.minds.get(&decision.uid) == Some(&mind) {
            return false;
        }
        self.push(decision);
        true
    }

    fn push(&mut self, decision: Decision) {
        if self.decisions.len() >= KEPT {
            self.decisions.pop_front();
        }
        if self.minds.len() >= MINDS {
            self.minds.clear();
        }
        self.minds.insert(decision.uid.clone(), (decision.outcome, decision.reason));
        self.decisions.push_back(decision);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn decision(name: &str, reason: &'static str) -> Decision {
        Decision {
            uid: format!("uid-{name}"),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            policy: Policy::Auto,
            source: "Deployment/web".to_owned(),
            outcome: CLOUD,
            node: Some("burst-cci-0".to_owned()),
            provider: Some("huawei".to_owned()),
            reason,
            sentence: "because".to_owned(),
            ..Decision::default()
        }
    }

    fn named(name: &'static str) -> impl Fn(&Decision) -> bool {
        move |d| d.namespace == "shop" && d.name == name
    }

    #[test]
    fn the_ring_is_bounded_and_answers_newest_first() {
        let ring = Ring::default();
        for n in 0..KEPT + 10 {
            ring.push(decision(&format!("p{n}"), "a"));
        }
        ring.push(decision("p500", "b"));
        let all = ring.newest(|_| true, usize::MAX);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all.first().map(|d| d.name.as_str()), Some("p500"));
        assert!(all.iter().all(|d| d.name != "p10"), "the oldest are forgotten");
        let one: Vec<_> = ring.newest(named("p500"), 10).iter().map(|d| d.reason).collect();
        assert_eq!(one, ["b", "a"]);
        assert!(ring.newest(named("other"), 10).is_empty());
        let latest = ring.latest_by_uid(|uid| uid == "uid-p500");
        assert_eq!(latest.get("uid-p500").map(|d| d.reason), Some("b"));
        assert_eq!(latest.len(), 1);
    }

    #[test]
    fn holds_and_grants_are_recorded_once_per_change_of_mind() {
        let ring = Ring::default();
        let pod = || Governed {
            uid: "u".into(),
            namespace: "shop".into(),
            name: "web-1".into(),
            policy_object: "BurstPolicy/shop/web".into(),
            limits: vec!["cloud: 3 of 3 pods".into()],
            ..Governed::default()
        };
        let hold = |reason| ring.record_hold(pod(), reason, "waits".into(), Some(60), Timestamp::UNIX_EPOCH);
        let grant = || ring.record_grant(pod(), "cloud".into(), "may burst".into(), Timestamp::UNIX_EPOCH);
        assert!(hold("LimitReached"));
        assert!(!hold("LimitReached"), "the same again is no news");
        assert!(hold("BudgetReached"));
        assert!(grant() && !grant());
        assert!(hold("LimitReached"), "back again is news");
        ring.gone("u");
        assert!(ring.lock().minds.is_empty());
        assert!(!grant(), "nobody was told to wait");
        let seen: Vec<_> =
            ring.newest(named("web-1"), 9).into_iter().map(|d| (d.outcome, d.reason)).collect();
        assert_eq!(
            seen,
            [
                (GRANTED, "Granted"),
                (WAIT, "LimitReached"),
                (GRANTED, "Granted"),
                (WAIT, "BudgetReached"),
                (WAIT, "LimitReached")
            ]
        );
        let newest = ring.newest(|_| true, 2).remove(1);
        assert_eq!(newest.until, Timestamp::from_second(60).ok());
        assert_eq!(newest.limits, ["cloud: 3 of 3 pods"]);
    }
}
