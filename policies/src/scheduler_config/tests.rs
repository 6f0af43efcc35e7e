#![allow(clippy::needless_pass_by_value, reason = "tables read better with values than with borrows")]

use serde_json::json;

use super::*;

fn profile(plugins: Value) -> Profile {
    serde_json::from_value(json!({"schedulerName": "s", "plugins": plugins})).unwrap()
}

#[track_caller]
fn check(plugins: Value, sum: i64, taint: i64) {
    let weights = ScoreWeights::of(&profile(plugins));
    assert_eq!((weights.sum(), weights.get("TaintToleration")), (sum, taint), "{weights:?}");
}

#[test]
fn weights_combine_as_in_kube_scheduler() {
    assert_eq!(ScoreWeights::of(&Profile::default()).sum(), 15);
    check(json!({}), 15, 3);
    check(json!({"score": {"enabled": [{"name": "TaintToleration", "weight": 20}]}}), 32, 20);
    check(
        json!({"score": {"disabled": [{"name": "TaintToleration"}],
                         "enabled": [{"name": "TaintToleration", "weight": 20}]}}),
        32,
        20,
    );
    check(json!({"score": {"disabled": [{"name": "TaintToleration"}]}}), 12, 0);
    check(json!({"score": {"disabled": [{"name": "*"}]}}), 0, 0);
    check(json!({"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "TaintToleration"}]}}), 1, 1);
    check(json!({"multiPoint": {"enabled": [{"name": "TaintToleration", "weight": 7}]}}), 19, 7);
    check(json!({"multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodePorts"}]}}), 0, 0);
    check(json!({"multiPoint": {"disabled": [{"name": "ImageLocality"}]}}), 14, 3);
    check(json!({"multiPoint": {"enabled": [{"name": "OutOfTree", "weight": 5}]}}), 20, 3);
    check(
        json!({"multiPoint": {"enabled": [{"name": "TaintToleration", "weight": 7}]},
               "score": {"enabled": [{"name": "TaintToleration", "weight": 0}]}}),
        13,
        1,
    );
    // The example of a second scheduler profile: 5+2+2+2+2+1+2+1.
    check(
        json!({"score": {"disabled": [{"name": "ImageLocality"}],
                         "enabled": [{"name": "TaintToleration", "weight": 5},
                                     {"name": "NodeResourcesFit", "weight": 2}]}}),
        17,
        5,
    );
}

#[test]
fn unknown_fields_are_refused_as_strict_decoding_does() {
    let wrong = json!({"apiVersion": API_VERSION, "kind": KIND, "profilez": []});
    assert!(serde_json::from_value::<SchedulerConfig>(wrong).unwrap_err().to_string().contains("profilez"));
}

#[test]
fn validation() {
    let read = |v: Value| serde_json::from_value::<SchedulerConfig>(v).unwrap().validate();
    let head = |rest: Value| {
        let mut v = json!({"apiVersion": API_VERSION, "kind": KIND});
        v.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        v
    };
    assert_eq!(read(head(json!({}))), Ok(()));
    assert!(matches!(
        read(json!({"apiVersion": "v1", "kind": "Pod"})),
        Err(ConfigError::NotASchedulerConfiguration { .. })
    ));
    assert!(matches!(
        read(head(json!({"extenders": [{"urlPrefix": "u", "prioritizeVerb": "p"}]}))),
        Err(ConfigError::ExtenderWeight { .. })
    ));
    assert_eq!(
        read(head(json!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}))),
        Err(ConfigError::DuplicateProfile("a".into()))
    );
}

#[test]
fn sample_sizes() {
    let config = SchedulerConfig::default();
    let find = |nodes| config.nodes_to_find(&Profile::default(), nodes);
    assert_eq!([find(50), find(150), find(1000), find(5000), find(15_000)], [50, 100, 420, 500, 750]);
    let all = Profile { percentage_of_nodes_to_score: Some(100), ..Profile::default() };
    assert_eq!(config.nodes_to_find(&all, 5000), 5000);
}
