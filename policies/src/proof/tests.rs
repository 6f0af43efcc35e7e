#![allow(clippy::needless_pass_by_value, reason = "tables read better with values than with borrows")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scheduler_config::ScoreWeights;

fn config(taint_weight: i64, extenders: Value) -> SchedulerConfig {
    serde_json::from_value(json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "profiles": [{"schedulerName": "default-scheduler", "plugins": {"score": {
            "enabled": [{"name": "TaintToleration", "weight": taint_weight}]}}}],
        "extenders": extenders}))
    .unwrap()
}

fn ours(weight: i64, managed: bool) -> Value {
    let managed =
        if managed { json!([{"name": "burst.io/managed", "ignoredByScheduler": true}]) } else { json!([]) };
    json!({"urlPrefix": "https://127.0.0.1:10260/v1", "prioritizeVerb": "prioritize", "weight": weight,
           "managedResources": managed})
}

fn other(weight: i64) -> Value {
    json!({"urlPrefix": "http://gpu", "prioritizeVerb": "score", "weight": weight})
}

fn counts(v: u32, r: u32) -> TaintCounts {
    TaintCounts { virtual_min: v, virtual_max: v, real_max: r }
}

#[track_caller]
fn by_taint(config: &SchedulerConfig, taints: TaintCounts, margin: i64, needed: Option<i64>) {
    let verdict = verify(config, taints, 10).remove(0);
    assert_eq!((verdict.taint.margin, verdict.taint.needed_weight), (margin, needed), "{:?}", verdict.taint);
    assert_eq!(verdict.taint.proved, margin > 0);
}

#[test]
fn taint_weights() {
    by_taint(&SchedulerConfig::default(), TaintCounts::SHIPPED, 300 - 1200, Some(13));
    by_taint(&config(12, json!([])), TaintCounts::SHIPPED, 0, Some(13));
    by_taint(&config(13, json!([])), TaintCounts::SHIPPED, 100, Some(13));
    by_taint(&config(13, json!([ours(20, true)])), TaintCounts::SHIPPED, 100, Some(13));
    by_taint(&config(13, json!([ours(20, false)])), TaintCounts::SHIPPED, 1300 - 1200 - 2000, Some(33));
    by_taint(&config(13, json!([ours(20, true), other(2)])), TaintCounts::SHIPPED, -100, Some(15));
    by_taint(&config(13, json!([])), counts(1, 1), -1200, None);
    by_taint(&config(13, json!([])), counts(0, 0), -1200, None);
    by_taint(&config(13, json!([])), counts(3, 1), 13 * 66 - 1200, Some(19));
    by_taint(
        &config(20, json!([])),
        TaintCounts { virtual_min: 1, virtual_max: 2, real_max: 0 },
        20 * 50 - 1200,
        Some(25),
    );
}

#[track_caller]
fn by_extender(config: &SchedulerConfig, delta: i64, margin: Option<i64>, needed: Option<i64>) {
    let verdict = verify(config, TaintCounts::SHIPPED, delta).remove(0);
    let got = verdict.extender;
    assert_eq!(got.as_ref().map(|p| p.margin), margin, "{got:?}");
    assert_eq!(got.and_then(|p| p.needed_weight), needed);
}

#[test]
fn extender_weights() {
    by_extender(&config(3, json!([])), 10, None, None);
    by_extender(&config(3, json!([ours(15, false)])), 10, Some(0), Some(16));
    by_extender(&config(3, json!([ours(16, false)])), 10, Some(100), Some(16));
    by_extender(&config(3, json!([ours(50, false)])), 3, Some(0), Some(51));
    by_extender(&config(3, json!([ours(16, false), other(4)])), 10, Some(-300), Some(20));
    by_extender(&config(3, json!([ours(50, true)])), 10, Some(-1500), None);
    by_extender(&config(3, json!([other(50)])), 10, None, None);
}

#[test]
fn either_proof_is_enough_and_the_reasons_are_told() {
    let by_extender = verify(&config(3, json!([ours(16, false)])), TaintCounts::SHIPPED, 10).remove(0);
    assert!(by_extender.proved() && !by_extender.taint.proved);
    let marked = verify(&config(3, json!([ours(50, true)])), TaintCounts::SHIPPED, 10).remove(0);
    assert!(!marked.proved());
    assert!(marked.extender.unwrap().premises[0].contains("does not apply"));
    let spoiled = verify(&config(13, json!([])), counts(1, 2), 10).remove(0);
    assert!(spoiled.taint.premises[0].contains("no weight is enough"));
}

/// TaintToleration's score as kube-scheduler normalises it.
fn taint_score(count: u32, largest: u32) -> i64 {
    if largest == 0 { 100 } else { 100 - 100 * i64::from(count) / i64::from(largest) }
}

#[derive(Clone, Debug)]
struct World {
    taint_weight: i64,
    our_weight: i64,
    marked: bool,
    other_weight: i64,
    v: u32,
    more: u32,
    r: u32,
    scores: Vec<(i64, i64)>,
    other: (i64, i64),
}

fn world() -> impl Strategy<Value = World> {
    let weights = (1i64..60, 1i64..60, any::<bool>(), 1i64..4);
    let taints = (0u32..4, 0u32..3, 0u32..4);
    let scores = prop::collection::vec((0i64..=100, 0i64..=100), 8);
    (weights, taints, scores, (0i64..=10, 0i64..=10)).prop_map(|(w, t, scores, other)| World {
        taint_weight: w.0,
        our_weight: w.1,
        marked: w.2,
        other_weight: w.3,
        v: t.0,
        more: t.1,
        r: t.2,
        scores,
        other,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the other plugins and extenders say about a real and a virtual node, a proved gap decides.
    #[test]
    fn random_scores_never_beat_a_proved_gap(w in world(), real in 0u32..4, largest_more in any::<bool>()) {
        let config = config(w.taint_weight, json!([ours(w.our_weight, w.marked), other(w.other_weight)]));
        let taints = TaintCounts { virtual_min: w.v, virtual_max: w.v + w.more, real_max: w.r };
        let verdict = verify(&config, taints, 10).remove(0);
        let weights = ScoreWeights::of(&config.profiles[0]);
        let others = weights.iter().filter(|(n, _)| *n != "TaintToleration").zip(&w.scores);
        let (mut on_real, mut on_virtual) = (0, 0);
        for ((_, weight), (real, virt)) in others {
            on_real += weight * real;
            on_virtual += weight * virt;
        }
        on_real += 10 * w.other_weight * w.other.0;
        on_virtual += 10 * w.other_weight * w.other.1;
        let largest = if largest_more { w.v + w.more } else { w.v }.max(real.min(w.r));
        let taint_real = w.taint_weight * taint_score(real.min(w.r), largest);
        let taint_virtual = w.taint_weight * taint_score(w.v, largest);
        if verdict.taint.proved {
            // Our own extender answers, or not, or stands on its head: nothing of it counts for a marked profile.
            let worst = if w.marked { 0 } else { 100 * w.our_weight };
            prop_assert!(taint_real + on_real > taint_virtual + on_virtual + worst);
        }
        if verdict.extender.as_ref().is_some_and(|p| p.proved) {
            let any_taint = w.scores[7];
            let real = on_real + w.taint_weight * any_taint.0 + 100 * w.our_weight;
            prop_assert!(real > on_virtual + w.taint_weight * any_taint.1);
        }
    }
}
