//! Pods in the cloud go first when a ReplicaSet is scaled in: an offset on `pod-deletion-cost` that keeps the user's own
//! order, written together with the status and taken back on demand.
//!
//! Pure. Facts: KEP-2255: an int32 in an annotation, the lowest goes first, absent or unreadable counts as 0, read by
//! the ReplicaSet controller alone. Another writer is respected: a value that is neither ours nor the recorded one is its
//! wish and becomes the new original; one that puts the recorded one back insists, and is left alone.

use policies::keys;
use serde_json::{Value, json};

use cluster::bound_pods::Marks;

/// What is taken off the user's value of a pod in the cloud.
const OFFSET: i32 = 1_000_000;

/// What burst wants for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Cloud pods go first.
    CloudFirst,
    /// As the user wrote it.
    Original,
}

/// The value of a pod in the cloud whose user asked for `original`.
pub(super) fn lowered(original: &str) -> i32 {
    original.trim().parse::<i32>().unwrap_or(0).saturating_sub(OFFSET)
}

/// The annotations to write, if any differ; `null` removes one.
pub(super) fn annotations(marks: &Marks, wish: Wish) -> Option<Value> {
    let cost = marks.deletion_cost.as_deref();
    let original = marks.original_deletion_cost.as_deref();
    match (wish, original) {
        _ if marks.controller.as_ref().is_none_or(|c| c.kind != "ReplicaSet") => None,
        (Wish::Original, None) => None,
        (Wish::Original, Some(original)) => {
            // What another writer wrote since is not ours to take away.
            let ours = cost == Some(lowered(original).to_string().as_str());
            let back = if ours { Some(original).filter(|o| !o.is_empty()) } else { cost };
            Some(json!({ keys::DELETION_COST: back, keys::ORIGINAL_DELETION_COST: null_value() }))
        }
        (Wish::CloudFirst, None) => Some(lower(cost.unwrap_or_default())),
        (Wish::CloudFirst, Some(original)) => {
            let ours = cost == Some(lowered(original).to_string().as_str());
            let insists = cost.unwrap_or_default() == original;
            (!ours && !insists).then(|| lower(cost.unwrap_or_default()))
        }
    }
}

fn lower(original: &str) -> Value {
    json!({ keys::DELETION_COST: lowered(original).to_string(), keys::ORIGINAL_DELETION_COST: original })
}

const fn null_value() -> Value {
    Value::Null
}

#[cfg(test)]
mod tests {
    use cluster::bound_pods::Controller;

    use super::*;

    fn marks(cost: Option<&str>, original: Option<&str>) -> Marks {
        Marks {
            controller: Some(Controller { kind: "ReplicaSet".into(), name: "rs".into(), uid: "rs".into() }),
            deletion_cost: cost.map(Into::into),
            original_deletion_cost: original.map(Into::into),
            ..Marks::default()
        }
    }

    /// (cost, original) → what is written as (cost, original); `None` writes nothing.
    #[allow(clippy::type_complexity, reason = "a row of the table")]
    fn check(wish: Wish, before: (Option<&str>, Option<&str>), wanted: Option<(Option<&str>, Option<&str>)>) {
        let got = annotations(&marks(before.0, before.1), wish);
        let wanted = wanted.map(
            |(cost, original)| json!({ keys::DELETION_COST: cost, keys::ORIGINAL_DELETION_COST: original }),
        );
        assert_eq!(got, wanted, "{wish:?} {before:?}");
    }

    #[test]
    fn lowered_once_and_other_writers_are_respected() {
        let first = Wish::CloudFirst;
        check(first, (None, None), Some((Some("-1000000"), Some(""))));
        check(first, (Some("5"), None), Some((Some("-999995"), Some("5"))));
        check(first, (Some("-2147483648"), None), Some((Some("-2147483648"), Some("-2147483648"))));
        check(first, (Some("ten"), None), Some((Some("-1000000"), Some("ten"))));
        check(first, (Some("-999995"), Some("5")), None);
        check(first, (Some("-1000000"), Some("")), None);
        check(first, (Some("7"), Some("5")), Some((Some("-999993"), Some("7"))));
        check(first, (None, Some("5")), Some((Some("-1000000"), Some(""))));
        check(first, (Some("5"), Some("5")), None);
        check(first, (None, Some("")), None);
    }

    #[test]
    fn restored_as_it_was() {
        let back = Wish::Original;
        check(back, (None, None), None);
        check(back, (Some("5"), None), None);
        check(back, (Some("-999995"), Some("5")), Some((Some("5"), None)));
        check(back, (Some("-1000000"), Some("")), Some((None, None)));
        check(back, (Some("7"), Some("5")), Some((Some("7"), None)));
    }

    #[test]
    fn only_pods_of_replica_sets() {
        for kind in ["StatefulSet", "Job", "DaemonSet"] {
            let other = Marks {
                controller: Some(Controller { kind: kind.into(), name: "o".into(), uid: "u".into() }),
                ..marks(None, None)
            };
            assert_eq!(annotations(&other, Wish::CloudFirst), None, "{kind}");
        }
        assert_eq!(annotations(&Marks::default(), Wish::CloudFirst), None);
    }

    #[test]
    fn the_users_order_is_kept() {
        let costs = ["-10", "", "3", "100"];
        let lowered: Vec<i32> = costs.iter().map(|cost| lowered(cost)).collect();
        assert!(lowered.is_sorted() && lowered.iter().all(|cost| *cost < 0), "{lowered:?}");
    }
}
