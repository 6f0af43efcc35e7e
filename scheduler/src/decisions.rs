//! The last decisions, in a bounded ring: what was decided for which pod, and why.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use policies::policy::Policy;
use serde::Serialize;

/// How many decisions are kept.
pub const KEPT: usize = 2048;

/// One decision, as `/api/decisions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When the pod was seen bound.
    pub time: Timestamp,
    /// Pod UID.
    pub uid: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// The policy in force.
    pub policy: Policy,
    /// Where the policy came from, for example `Deployment/web`.
    pub source: String,
    /// `local` or `cloud`.
    pub outcome: &'static str,
    /// The node that the scheduler chose.
    pub node: String,
    /// The node's provider, when it is virtual.
    pub provider: Option<String>,
    /// Reason code, from a closed set.
    pub reason: &'static str,
    /// The reason as a sentence, with numbers.
    pub sentence: String,
}

/// A bounded list of decisions, newest last.
#[derive(Debug, Default)]
pub struct Ring {
    kept: Mutex<VecDeque<Decision>>,
}

impl Ring {
    /// Adds a decision and forgets the oldest when full.
    pub fn push(&self, decision: Decision) {
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(decision);
    }

    /// The newest `limit` decisions about one pod (`namespace`, `name`), or about all; newest first.
    pub fn newest(&self, pod: Option<(&str, &str)>, limit: usize) -> Vec<Decision> {
        let about =
            |d: &&Decision| pod.is_none_or(|(namespace, name)| d.namespace == namespace && d.name == name);
        self.lock().iter().rev().filter(about).take(limit).cloned().collect()
    }

    /// The newest decision about each of the pods that `wanted` accepts by UID.
    pub fn latest_by_uid(&self, wanted: impl Fn(&str) -> bool) -> hashbrown::HashMap<String, Decision> {
        let kept = self.lock();
        let relevant = kept.iter().filter(|d| wanted(&d.uid));
        relevant.map(|d| (d.uid.clone(), d.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Decision>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn decision(name: &str, reason: &'static str) -> Decision {
        Decision {
            time: Timestamp::UNIX_EPOCH,
            uid: format!("uid-{name}"),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            policy: Policy::Auto,
            source: "Deployment/web".to_owned(),
            outcome: "cloud",
            node: "burst-cci-0".to_owned(),
            provider: Some("huawei".to_owned()),
            reason,
            sentence: "because".to_owned(),
        }
    }

    #[test]
    fn the_ring_is_bounded_and_answers_newest_first() {
        let ring = Ring::default();
        for n in 0..KEPT + 10 {
            ring.push(decision(&format!("p{n}"), "a"));
        }
        ring.push(decision("p500", "b"));
        let all = ring.newest(None, usize::MAX);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all.first().map(|d| d.name.as_str()), Some("p500"));
        assert!(all.iter().all(|d| d.name != "p10"), "the oldest are forgotten");
        let one: Vec<_> = ring.newest(Some(("shop", "p500")), 10).iter().map(|d| d.reason).collect();
        assert_eq!(one, ["b", "a"]);
        assert!(ring.newest(Some(("other", "p500")), 10).is_empty());
        let latest = ring.latest_by_uid(|uid| uid == "uid-p500");
        assert_eq!(latest.get("uid-p500").map(|d| d.reason), Some("b"));
        assert_eq!(latest.len(), 1);
    }
}
