#![allow(clippy::needless_pass_by_value, reason = "tables read better with values than with borrows")]

mod property;

use serde_json::{Value, json};

use super::*;

fn config(taint_weight: i64, extenders: Value) -> SchedulerConfig {
    with_plugins(
        json!({"score": {"enabled": [{"name": "TaintToleration", "weight": taint_weight}]}}),
        extenders,
    )
}

fn with_plugins(plugins: Value, extenders: Value) -> SchedulerConfig {
    whole(
        json!({"profiles": [{"schedulerName": "default-scheduler", "plugins": plugins}], "extenders": extenders}),
    )
}

fn whole(config: Value) -> SchedulerConfig {
    let config = parsed(config);
    config.validate().unwrap();
    config
}

fn parsed(mut config: Value) -> SchedulerConfig {
    config["apiVersion"] = json!("kubescheduler.config.k8s.io/v1");
    config["kind"] = json!("KubeSchedulerConfiguration");
    serde_json::from_value(config).unwrap()
}

fn ours(weight: i64, managed: bool) -> Value {
    let marker = |name: &str| json!({"name": name, "ignoredByScheduler": true});
    let managed =
        if managed { json!([marker("burst.io/managed"), marker("burst.io/checked")]) } else { json!([]) };
    json!({"urlPrefix": "https://127.0.0.1:10260/v1", "prioritizeVerb": "prioritize", "weight": weight,
           "managedResources": managed, "nodeCacheCapable": true})
}

fn other(weight: i64) -> Value {
    json!({"urlPrefix": "http://gpu", "prioritizeVerb": "score", "weight": weight})
}

fn counts(v: u32, r: u32) -> TaintCounts {
    TaintCounts { virtual_min: v, virtual_max: v, real_max: r }
}

fn facts(taints: TaintCounts, gap: i64) -> Facts {
    Facts { taints, gap, nodes: None }
}

#[track_caller]
fn by_taint(config: &SchedulerConfig, taints: TaintCounts, margin: i64, needed: Option<i64>) {
    let verdict = verify(config, facts(taints, 10)).remove(0);
    assert_eq!((verdict.taint.margin, verdict.taint.needed_weight), (margin, needed), "{:?}", verdict.taint);
    assert_eq!(verdict.taint.proved, margin > 0);
}

#[test]
fn taint_weights() {
    by_taint(&SchedulerConfig::default(), TaintCounts::SHIPPED, 300 - 1200, Some(13));
    by_taint(&config(12, json!([])), TaintCounts::SHIPPED, 0, Some(13));
    by_taint(&config(13, json!([])), TaintCounts::SHIPPED, 100, Some(13));
    // Our own extender never raises a virtual node; a foreign one may.
    by_taint(&config(13, json!([ours(20, true)])), TaintCounts::SHIPPED, 100, Some(13));
    by_taint(&config(13, json!([ours(20, false)])), TaintCounts::SHIPPED, 100, Some(13));
    by_taint(&config(13, json!([ours(20, true), other(2)])), TaintCounts::SHIPPED, -100, Some(15));
    by_taint(&config(16, json!([other(1), other(2)])), TaintCounts::SHIPPED, 100, Some(16));
    by_taint(&config(13, json!([])), counts(1, 1), -1200, None);
    by_taint(&config(13, json!([])), counts(0, 0), -1200, None);
    by_taint(&config(17, json!([])), counts(3, 1), 17 * 67 - 1200, Some(18));
    by_taint(&config(18, json!([])), counts(3, 1), 18 * 67 - 1200, Some(18));
    let uneven = TaintCounts { virtual_min: 1, virtual_max: 2, real_max: 0 };
    by_taint(&config(20, json!([])), uneven, 20 * 50 - 1200, Some(25));
}

#[test]
fn plugins_of_every_kind() {
    let check = |plugins: Value, margin, needed| {
        by_taint(&with_plugins(plugins, json!([])), TaintCounts::SHIPPED, margin, needed);
    };
    let taint = |weight: i64| json!({"name": "TaintToleration", "weight": weight});
    // Out of tree, at either place, of either sign; silenced at score.
    check(json!({"score": {"enabled": [taint(20), {"name": "Mine", "weight": 7}]}}), 2000 - 1900, Some(20));
    check(json!({"score": {"enabled": [taint(20), {"name": "Mine", "weight": -7}]}}), 2000 - 1900, Some(20));
    check(json!({"multiPoint": {"enabled": [taint(20), {"name": "Mine", "weight": 8}]}}), 0, Some(21));
    check(
        json!({"multiPoint": {"enabled": [taint(20), {"name": "Mine", "weight": 8}]}, "score": {"disabled": [{"name": "Mine"}]}}),
        800,
        Some(13),
    );
    // Everything else off: weight 1 is enough. Itself off: the weight to give is still told.
    check(json!({"score": {"disabled": [{"name": "*"}], "enabled": [taint(1)]}}), 100, Some(1));
    check(json!({"score": {"disabled": [{"name": "TaintToleration"}]}}), -1200, Some(13));
    check(json!({"score": {"disabled": [{"name": "*"}]}}), 0, Some(1));
    check(
        json!({"score": {"enabled": [{"name": "NodeAffinity", "weight": 30}, taint(-20)]}}),
        -2000 - 4000,
        Some(41),
    );
    // A score without its preScore fails the cycle.
    check(json!({"score": {"enabled": [taint(20)]}, "preScore": {"disabled": [{"name": "*"}]}}), -1200, None);
    check(
        json!({"preScore": {"disabled": [{"name": "*"}], "enabled": [{"name": "TaintToleration"}]}, "score": {"enabled": [taint(20)]}}),
        800,
        Some(13),
    );
}

#[track_caller]
fn by_extender(config: &SchedulerConfig, delta: i64, margin: Option<i64>, needed: Option<i64>) {
    let verdict = verify(config, facts(TaintCounts::SHIPPED, delta)).remove(0);
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
    let turned = json!({"score": {"enabled": [{"name": "NodeAffinity", "weight": 2}, {"name": "TaintToleration", "weight": -1}]}});
    by_extender(&with_plugins(turned, json!([ours(16, false)])), 10, Some(300), Some(14));
    by_extender(&config(3, json!([ours(16, false), other(4)])), 10, Some(-300), Some(20));
    by_extender(&config(3, json!([ours(50, true)])), 10, Some(-1500), None);
    by_extender(&config(3, json!([other(50)])), 10, None, None);
    // Of the pods that prefer, few ask for a GPU: such an extender is not asked about the others.
    let mut mixed = ours(50, true);
    mixed["managedResources"] = json!([{"name": "nvidia.com/gpu"}, {"name": "burst.io/managed"}]);
    by_extender(&config(3, json!([mixed])), 10, Some(-1500), None);
    let mut deaf = ours(50, false);
    deaf["prioritizeVerb"] = json!("");
    by_extender(&config(3, json!([deaf])), 10, Some(-1500), None);
}

#[test]
fn sums_that_overflow_prove_nothing() {
    let huge = verify(&config(3, json!([ours(i64::MAX / 50, false)])), Facts::SHIPPED).remove(0);
    let proof = huge.extender.unwrap();
    assert!(!proof.proved && proof.premises[0].contains("overflow"), "{proof:?}");
    let unreachable = verify(&config(3, json!([other(i64::MAX / 200)])), Facts::SHIPPED).remove(0);
    assert_eq!(unreachable.taint.needed_weight, None, "plugin weights have 32 bits");
}

#[test]
fn either_proof_is_enough_and_the_reasons_are_told() {
    let by_extender = verify(&config(3, json!([ours(16, false)])), Facts::SHIPPED).remove(0);
    assert!(by_extender.proved() && !by_extender.taint.proved);
    let marked = verify(&config(3, json!([ours(50, true)])), Facts::SHIPPED).remove(0);
    assert!(!marked.proved());
    assert!(marked.extender.unwrap().premises[0].contains("does not apply"));
    let spoiled = verify(&config(13, json!([])), facts(counts(1, 2), 10)).remove(0);
    assert!(spoiled.taint.premises[0].contains("no weight is enough"));
}

#[test]
fn every_profile_is_judged_for_itself() {
    let plugins =
        |weight: i64| json!({"multiPoint": {"enabled": [{"name": "TaintToleration", "weight": weight}]}});
    let config = whole(json!({"profiles": [
        {"schedulerName": "default-scheduler"},
        {"schedulerName": "burst", "plugins": plugins(13)},
        {"schedulerName": "packed", "plugins": plugins(40), "percentageOfNodesToScore": 100}]}));
    let verdicts = verify(&config, Facts::SHIPPED);
    let said: Vec<_> = verdicts.iter().map(|v| (v.profile.as_str(), v.proved(), v.weight_sum)).collect();
    assert_eq!(said, [("default-scheduler", false, 15), ("burst", true, 25), ("packed", true, 52)]);
}

#[test]
fn the_sample_is_part_of_the_proof() {
    let check = |config: &SchedulerConfig, real, virtual_nodes, holds: bool, word: &str| {
        let nodes = Some(NodeCounts { real, virtual_nodes });
        let sampling = verify(config, Facts { nodes, ..Facts::SHIPPED }).remove(0).sampling;
        assert!(sampling.holds == holds && sampling.sentence.contains(word), "{sampling:?}");
    };
    let stock = config(20, json!([]));
    check(&stock, 10, 80, true, "every feasible one of the 90 nodes");
    check(&stock, 5000, 99, true, "ends at 509 feasible nodes, and 99 are virtual");
    check(&stock, 100, 120, false, "ends at 107 feasible nodes, and 120 are virtual");
    check(&stock, 5000, 1, true, "every sample holds a real node");
    let listed = json!([{"name": "PodTopologySpread", "args": {"defaultingType": "List"}}]);
    let reusing = whole(json!({"profiles": [{"pluginConfig": listed}]}));
    check(&reusing, 5000, 1, false, "OpportunisticBatching");
    check(&reusing, 50, 1, true, "every feasible one");
    let all = whole(json!({"percentageOfNodesToScore": 100, "profiles": [{"pluginConfig": listed}]}));
    check(&all, 5000, 1, true, "every feasible one");
    let assumed = verify(&stock, Facts::SHIPPED).remove(0).sampling;
    assert!(assumed.holds && assumed.sentence.contains("fewer than 100 nodes are virtual"), "{assumed:?}");
}

#[track_caller]
fn leads_to(config: &SchedulerConfig, words: &[&str]) {
    let said = verify(config, Facts::SHIPPED).remove(0).consequences;
    for word in words {
        assert_eq!(said.iter().filter(|s| s.contains(word)).count(), 1, "{word:?} in {said:#?}");
    }
    assert_eq!(said.len(), words.len(), "{said:#?}");
}

#[test]
fn consequences_are_told() {
    let ours = |change: Value| {
        let mut extender = ours(20, true);
        extender["httpTimeout"] = json!("300ms");
        extender["ignorable"] = json!(true);
        extender.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        config(20, json!([extender]))
    };
    leads_to(&config(20, json!([])), &["no extender of burst"]);
    leads_to(&ours(json!({})), &[]);
    leads_to(&ours(json!({"managedResources": []})), &["every pod of every profile is sent"]);
    let partly = json!([{"name": "burst.io/managed"}]);
    leads_to(
        &ours(json!({ "managedResources": partly })),
        &[
            "burst.io/managed is not ignoredByScheduler",
            "burst.io/checked is in no extender's managedResources",
        ],
    );
    leads_to(&ours(json!({"bindVerb": "bind"})), &["asked to bind"]);
    leads_to(&ours(json!({"ignorable": false, "filterVerb": "filter"})), &["no pod that is sent to it"]);
    leads_to(&ours(json!({"httpTimeout": "0s"})), &["may take 5 s"]);
    leads_to(&ours(json!({"nodeCacheCapable": false})), &["whole Node objects"]);
    leads_to(&ours(json!({"enableHTTPS": true})), &["not verified"]);
    leads_to(&ours(json!({"enableHTTPS": true, "tlsConfig": {"caFile": "/ca"}})), &[]);
    let mut lost = ours(json!({}));
    lost.profiles[0].plugin_config = serde_json::from_value(
        json!([{"name": "NodeResourcesFit", "args": {"ignoredResources": ["example.com/x"]}}]),
    )
    .unwrap();
    leads_to(&lost, &["ignoredResources (example.com/x) are lost"]);
    let mut open = ours(json!({}));
    open.profiles[0].plugins.filter =
        serde_json::from_value(json!({"disabled": [{"name": "TaintToleration"}]})).unwrap();
    leads_to(&open, &["does not filter"]);
}
