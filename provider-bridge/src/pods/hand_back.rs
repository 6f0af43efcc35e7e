//! Which sold-out pods are given back to their controller, and when.
//!
//! Pure. A bound pod cannot be unbound, so giving back means ending it; that is right only where somebody makes a new one
//! that may go elsewhere. A successor that comes back to the same sold-out place waits twice as long each time, so that
//! a scheduler that knows no better cannot spin.

use std::collections::HashMap;
use std::time::Duration;

use cluster::bound_pods::Marks;
use serde_json::Value;
use smol_str::SmolStr;

/// Time between the refusal and the eviction, in which the report of the stock-out reaches those who decide.
const FIRST: Duration = Duration::from_secs(2);
/// Longest such time.
const LONGEST: Duration = Duration::from_secs(300);
/// Owners whose last round is older are forgotten.
const FORGET: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// What becomes of the pod when it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Evicted; its controller makes a new one for it.
    Evict,
    /// Failed with DisruptionTarget, which its Job ignores: a Job that replaces only failed pods would wait for ever for
    /// one that is only deleted.
    Fail,
}

/// Whether somebody makes a new pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Yes.
    By(Way),
    /// A Job does, if its failure policy says so: ask it.
    AskJob,
    /// No, for this reason.
    Never(&'static str),
}

/// Who makes a new pod for this one. `scheduled`: the scheduler bound it.
pub fn replaced(marks: &Marks, scheduled: bool) -> Replaced {
    match marks.controller.as_ref().map(|owner| owner.kind.as_str()) {
        None => Replaced::Never("it has no controller that would make a new one"),
        _ if !scheduled => Replaced::Never("it was bound by nodeName, and a new one would come back here"),
        Some("ReplicaSet" | "StatefulSet") => Replaced::By(Way::Evict),
        Some("Job") => Replaced::AskJob,
        Some(_) => Replaced::Never("its controller is not known to make a new one elsewhere"),
    }
}

/// Whether a Job's failure policy ignores pods that were disrupted: the first rule about DisruptionTarget decides.
pub fn ignores_disruption(job: &Value) -> bool {
    let rules = job.pointer("/spec/podFailurePolicy/rules").and_then(Value::as_array).into_iter().flatten();
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let matches = |rule: &&Value| {
        rule.get("onPodConditions").and_then(Value::as_array).into_iter().flatten().any(|condition| {
            text(condition, "type") == "DisruptionTarget" && text(condition, "status") != "False"
        })
    };
    rules.filter(matches).map(|rule| text(rule, "action")).next().is_some_and(|action| action == "Ignore")
}

/// Memory of rounds, by owner.
#[derive(Debug, Default)]
pub struct Rounds {
    owners: HashMap<SmolStr, Round>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    number: u32,
    began: jiff::Timestamp,
}

impl Rounds {
    /// How long a pod of this owner waits before it is given back. A pod that was made after the pods of the owner's last
    /// round were given back is a successor and begins the next one.
    pub fn delay(&mut self, owner: &SmolStr, created: jiff::Timestamp, now: jiff::Timestamp) -> Duration {
        self.owners.retain(|_, round| now.duration_since(round.began) < FORGET);
        let successor = |round: &Round| {
            created.duration_since(round.began)
                > jiff::SignedDuration::try_from(wait(round.number)).unwrap_or_default()
        };
        let next = match self.owners.get(owner) {
            None => Round { number: 0, began: now },
            Some(round) if successor(round) => Round { number: round.number.saturating_add(1), began: now },
            Some(round) => *round,
        };
        self.owners.insert(owner.clone(), next);
        wait(next.number)
    }
}

fn wait(round: u32) -> Duration {
    FIRST.saturating_mul(1 << round.min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use cluster::bound_pods::Controller;
    use serde_json::json;

    use super::*;

    #[test]
    fn who_makes_a_new_one() {
        let check = |kind: Option<&str>, scheduled: bool, wanted: fn(&Replaced) -> bool| {
            let controller =
                kind.map(|kind| Controller { kind: kind.into(), name: "o".into(), uid: "o".into() });
            let got = replaced(&Marks { controller, ..Marks::default() }, scheduled);
            assert!(wanted(&got), "{kind:?} {scheduled}: {got:?}");
        };
        let never = |r: &Replaced| matches!(r, Replaced::Never(_));
        check(None, true, never);
        check(Some("ReplicaSet"), true, |r| *r == Replaced::By(Way::Evict));
        check(Some("StatefulSet"), true, |r| *r == Replaced::By(Way::Evict));
        check(Some("ReplicaSet"), false, never);
        check(Some("Job"), true, |r| *r == Replaced::AskJob);
        check(Some("DaemonSet"), true, never);
        check(Some("Workflow"), true, never);
    }

    #[test]
    fn a_job_must_ignore_disruptions() {
        let job = |rules: Value| json!({"spec": {"podFailurePolicy": {"rules": rules}}});
        let on = |action: &str, kind: &str| json!({"action": action, "onPodConditions": [{"type": kind, "status": "True"}]});
        assert!(!ignores_disruption(&json!({"spec": {}})));
        assert!(ignores_disruption(&job(json!([on("Ignore", "DisruptionTarget")]))));
        assert!(!ignores_disruption(&job(json!([
            on("FailJob", "DisruptionTarget"),
            on("Ignore", "DisruptionTarget")
        ]))));
        assert!(!ignores_disruption(&job(json!([on("Ignore", "ConfigIssue")]))));
        let exit = json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}});
        assert!(ignores_disruption(&job(json!([exit, on("Ignore", "DisruptionTarget")]))));
    }

    #[test]
    fn successors_that_come_back_wait_longer() {
        let at = |seconds: i64| jiff::Timestamp::from_second(1_000_000 + seconds).expect("in range");
        let (mut rounds, owner) = (Rounds::default(), SmolStr::from("rs"));
        assert_eq!(rounds.delay(&owner, at(0), at(1)), FIRST);
        assert_eq!(rounds.delay(&owner, at(0), at(2)), FIRST, "a sibling of the same round");
        assert_eq!(rounds.delay(&owner, at(2), at(3)), FIRST, "made while its siblings waited");
        assert_eq!(rounds.delay(&owner, at(4), at(5)), FIRST * 2);
        assert_eq!(rounds.delay(&owner, at(10), at(11)), FIRST * 4);
        assert_eq!(rounds.delay(&SmolStr::from("other"), at(10), at(11)), FIRST);
        assert_eq!(rounds.delay(&owner, at(10), at(4000)), FIRST, "forgotten after an hour");
        for n in 1..20 {
            rounds.delay(&owner, at(4000 + n * 400), at(4001 + n * 400));
        }
        assert_eq!(rounds.delay(&owner, at(12_000), at(12_001)), LONGEST);
    }
}
