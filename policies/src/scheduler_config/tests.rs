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
    check(json!(null), 15, 3);
    check(json!({"score": null, "multiPoint": {"enabled": null}}), 15, 3);
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
    check(json!({"multiPoint": {"enabled": [{"name": "TaintToleration"}]}}), 13, 1);
    check(json!({"multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodePorts"}]}}), 0, 0);
    check(
        json!({"multiPoint": {"disabled": [{"name": "*"}],
                              "enabled": [{"name": "TaintToleration", "weight": 4}, {"name": "ImageLocality"}]}}),
        5,
        4,
    );
    check(json!({"multiPoint": {"disabled": [{"name": "ImageLocality"}]}}), 14, 3);
    check(json!({"multiPoint": {"enabled": [{"name": "OutOfTree", "weight": 5}]}}), 20, 3);
    check(
        json!({"multiPoint": {"enabled": [{"name": "OutOfTree", "weight": 5}]},
               "score": {"disabled": [{"name": "OutOfTree"}]}}),
        15,
        3,
    );
    check(json!({"score": {"enabled": [{"name": "OutOfTree", "weight": 5}]}}), 20, 3);
    check(json!({"score": {"enabled": [{"name": "OutOfTree", "weight": -5}]}}), 20, 3);
    check(
        json!({"multiPoint": {"enabled": [{"name": "TaintToleration", "weight": 7}]},
               "score": {"enabled": [{"name": "TaintToleration", "weight": 0}]}}),
        13,
        1,
    );
    // Off at multiPoint, on again at score; and off at another point, which does not matter to the score.
    check(
        json!({"multiPoint": {"disabled": [{"name": "TaintToleration"}]},
               "score": {"enabled": [{"name": "TaintToleration", "weight": 9}]}}),
        21,
        9,
    );
    check(json!({"filter": {"disabled": [{"name": "*"}]}}), 15, 3);
    // The example of a second scheduler profile: 5+2+2+2+2+1+2+1.
    check(
        json!({"score": {"disabled": [{"name": "ImageLocality"}],
                         "enabled": [{"name": "TaintToleration", "weight": 5},
                                     {"name": "NodeResourcesFit", "weight": 2}]}}),
        17,
        5,
    );
}

/// Given again at score, then what multiPoint brings in its order, then what is only at score.
#[test]
fn order_is_that_of_the_framework() {
    let weights = ScoreWeights::of(&profile(json!({
        "multiPoint": {"disabled": [{"name": "VolumeBinding"}],
                       "enabled": [{"name": "Late"}, {"name": "NodeAffinity", "weight": 4}]},
        "score": {"disabled": [{"name": "InterPodAffinity"}],
                  "enabled": [{"name": "Only"}, {"name": "ImageLocality", "weight": 6}, {"name": "InterPodAffinity"}]},
    })));
    let order: Vec<(&str, i64)> = weights.iter().collect();
    let wanted = [
        ("ImageLocality", 6),
        ("TaintToleration", 3),
        ("NodeAffinity", 4),
        ("NodeResourcesFit", 1),
        ("PodTopologySpread", 2),
        ("DynamicResources", 2),
        ("NodeResourcesBalancedAllocation", 1),
        ("Late", 1),
        ("Only", 1),
        ("InterPodAffinity", 1),
    ];
    assert_eq!(order, wanted);
}

fn head(rest: Value) -> Value {
    let mut v = json!({"apiVersion": API_VERSION, "kind": KIND});
    v.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    v
}

fn read(rest: Value) -> SchedulerConfig {
    serde_json::from_value(head(rest)).unwrap()
}

#[test]
fn unknown_fields_are_refused_as_strict_decoding_does() {
    let refused = |rest: Value, word: &str| {
        let error = serde_json::from_value::<SchedulerConfig>(head(rest)).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(json!({"profilez": []}), "profilez");
    refused(json!({"profiles": [{"plugins": {"skore": {}}}]}), "skore");
    refused(json!({"profiles": [{"plugins": {"podGroupPostFilter": {}}}]}), "podGroupPostFilter");
    refused(json!({"profiles": [{"pluginConfig": [{"name": "X", "arg": {}}]}]}), "arg");
    refused(json!({"extenders": [{"urlPrefix": "u", "verb": "x"}]}), "verb");
    refused(json!({"extenders": [{"urlPrefix": "u", "httpTimeout": "5"}]}), "not a duration");
    refused(json!({"extenders": [{"urlPrefix": "u", "tlsConfig": {"ca": "x"}}]}), "ca");
}

#[test]
fn validation_refuses_what_kube_scheduler_does_not_start_with() {
    let check = |rest: Value, wanted: Option<&str>| {
        let got = read(rest).validate().map_err(|e| e.to_string()).err();
        match (got, wanted) {
            (None, None) => {}
            (Some(got), Some(part)) if got.contains(part) => {}
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
    };
    let plugins = |plugins: Value| json!({"profiles": [{"schedulerName": "a", "plugins": plugins}]});
    check(json!({}), None);
    check(json!({"profiles": null, "extenders": null}), None);
    check(json!({"profiles": [{}]}), None);
    check(json!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}), Some("two profiles"));
    check(json!({"profiles": [{"schedulerName": "a"}, {}]}), Some("profile 1 has no schedulerName"));
    check(json!({"profiles": [{"schedulerName": ""}]}), Some("profile 0 has no schedulerName"));
    check(json!({"percentageOfNodesToScore": 101}), Some("0 to 100"));
    check(json!({"profiles": [{"percentageOfNodesToScore": -1}]}), Some("profile default-scheduler is -1"));
    check(plugins(json!({"score": {"enabled": [{"name": "NodePorts"}]}})), Some("does not score"));
    check(plugins(json!({"score": {"enabled": [{"name": "X"}, {"name": "X"}]}})), Some("twice under score"));
    check(plugins(json!({"filter": {"enabled": [{"name": "EBSLimits"}]}})), Some("removed"));
    let weighted = |first: i32, second: i32| json!({"score": {"enabled": [{"name": "NodeAffinity", "weight": first}, {"name": "ImageLocality", "weight": second}]}});
    check(plugins(weighted(9, -5)), None);
    check(plugins(weighted(5, -9)), Some("up to ImageLocality add up to less than 0"));
    check(plugins(weighted(-5, 9)), Some("up to NodeAffinity"));
    check(plugins(json!({"multiPoint": {"disabled": [{"name": "*"}]}})), Some("0 plugins run at queueSort"));
    check(plugins(json!({"queueSort": {"enabled": [{"name": "Mine"}]}})), Some("2 plugins run at queueSort"));
    check(plugins(json!({"queueSort": {"enabled": [{"name": "Mine"}], "disabled": [{"name": "*"}]}})), None);
    check(plugins(json!({"multiPoint": {"enabled": [{"name": "Coscheduling"}]}})), None);
    check(
        plugins(json!({"multiPoint": {"enabled": [{"name": "Coscheduling"}], "disabled": [{"name": "*"}]}})),
        None,
    );
    check(plugins(json!({"bind": {"disabled": [{"name": "DefaultBinder"}]}})), Some("0 plugins run at bind"));
    check(
        json!({"profiles": [{"schedulerName": "a"},
            {"schedulerName": "b", "plugins": {"queueSort": {"enabled": [{"name": "M"}], "disabled": [{"name": "*"}]}}}]}),
        Some("profile b: queueSort"),
    );
    check(json!({"profiles": [{"pluginConfig": [{"name": "X"}, {"name": "X"}]}]}), Some("names X twice"));
    let extender = |more: Value| {
        let mut e = json!({"urlPrefix": "u"});
        e.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        e
    };
    check(json!({"extenders": [extender(json!({"prioritizeVerb": "p"}))]}), Some("weight greater than 0"));
    check(
        json!({"extenders": [extender(json!({"bindVerb": "b"})), extender(json!({"bindVerb": "b"}))]}),
        Some("2 extenders have a bindVerb"),
    );
    let managing = |name: &str| extender(json!({"managedResources": [{"name": name}]}));
    check(json!({"extenders": [managing("a.b/c"), managing("a.b/c")]}), Some("managed already"));
    check(json!({"extenders": [managing("cpu")]}), Some("not an extended resource"));
    check(json!({"extenders": [managing("x.kubernetes.io/c")]}), Some("not an extended resource"));
    let pod: SchedulerConfig = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod"})).unwrap();
    assert!(matches!(pod.validate(), Err(ConfigError::NotASchedulerConfiguration { .. })));
}

#[test]
fn sample_sizes() {
    let config = SchedulerConfig::default();
    let find = |nodes| config.nodes_to_find(&Profile::default(), nodes);
    assert_eq!([find(50), find(150), find(1000), find(5000), find(15_000)], [50, 100, 420, 500, 750]);
    let all = Profile { percentage_of_nodes_to_score: Some(100), ..Profile::default() };
    assert_eq!(config.nodes_to_find(&all, 5000), 5000);
    let global = SchedulerConfig { percentage_of_nodes_to_score: Some(100), ..SchedulerConfig::default() };
    assert_eq!(global.nodes_to_find(&Profile::default(), 5000), 5000);
    let by_size = Profile { percentage_of_nodes_to_score: Some(0), ..Profile::default() };
    assert_eq!(global.nodes_to_find(&by_size, 5000), 500, "a profile's 0 overrides the global value");
}

#[test]
fn scores_are_reused_only_without_extenders_and_default_constraints() {
    let check = |profile: Value, extenders: Value, reuses: bool| {
        let config = read(json!({"profiles": [profile], "extenders": extenders}));
        assert_eq!(config.reuses_scores(&config.profiles[0]), reuses, "{profile}");
    };
    let args = |args: Value| json!({"pluginConfig": [{"name": "PodTopologySpread", "args": args}]});
    let some = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]);
    check(json!({}), json!([]), false);
    check(args(json!({"defaultingType": "List"})), json!([]), true);
    check(args(json!({"defaultingType": "List", "defaultConstraints": []})), json!([]), true);
    check(
        args(json!({"defaultingType": "List", "defaultConstraints": []})),
        json!([{"urlPrefix": "u"}]),
        false,
    );
    check(args(json!({"defaultingType": "List", "defaultConstraints": some})), json!([]), false);
    check(args(json!({"defaultingType": "System"})), json!([]), false);
    check(json!({"plugins": {"multiPoint": {"disabled": [{"name": "PodTopologySpread"}]}}}), json!([]), true);
    check(json!({"plugins": {"score": {"disabled": [{"name": "PodTopologySpread"}]}}}), json!([]), false);
}

#[test]
fn extender_settings() {
    let extender = |v: Value| serde_json::from_value::<Extender>(v).unwrap();
    let plain = extender(json!({"urlPrefix": "u"}));
    assert_eq!(plain.timeout().as_millis(), 5000);
    assert!(plain.for_every_pod() && !plain.is_unverified() && !plain.scores());
    let zero = extender(json!({"urlPrefix": "u", "httpTimeout": "0s", "enableHTTPS": true}));
    assert!(zero.timeout().as_secs() == 5 && zero.is_unverified());
    let given = extender(
        json!({"urlPrefix": "u", "httpTimeout": "300ms", "enableHTTPS": true, "tlsConfig": {"caFile": "/ca"},
        "managedResources": [{"name": "a/b"}, {"name": "c/d"}]}),
    );
    assert_eq!(given.timeout().as_millis(), 300);
    assert!(
        !given.is_unverified() && given.manages("a/b") && !given.only_for("a/b") && !given.for_every_pod()
    );
}
