//! Pods that a policy object governs: what is withheld, what is recorded, what is rewritten.

use super::*;
use crate::burst_policy::{BurstPolicySpec, PolicyObject};

fn governed(spec: Value) -> World {
    let spec: BurstPolicySpec = serde_json::from_value(spec).unwrap();
    let object = PolicyObject::new(Some("shop"), "web", spec);
    World { governance: Some(Governance::of(&object)), ..World::default() }
}

fn limited() -> World {
    governed(json!({"max": {"cloud": {"pods": 3}}}))
}

fn marks(pod: &Value) -> (&Value, &Value) {
    (
        &pod["metadata"]["labels"]["burst.io/governed"],
        &pod["metadata"]["annotations"]["burst.io/burst-policy"],
    )
}

const KEY: &str = "BurstPolicy/shop/web";

#[test]
fn what_holds_pods_back_and_what_gates_them() {
    let check = |spec: Value, holds_back: bool, gates: bool| {
        let spec: BurstPolicySpec = serde_json::from_value(spec).unwrap();
        assert_eq!((spec.holds_back(), spec.gates()), (holds_back, gates), "{spec:?}");
    };
    check(json!({}), false, false);
    check(json!({"policy": "auto", "rewriteTopology": true, "scaleIn": "Off"}), false, false);
    check(
        json!({"tiers": [{"name": "own", "nodeSelector": {"a": "b"}}, {"name": "c", "side": "Cloud"}]}),
        false,
        false,
    );
    check(json!({"wait": {"deadlineSeconds": 5}}), true, false);
    check(json!({"max": {"cloud": {"pods": 0}}}), true, false);
    for chosen in
        [json!({"provider": "huawei"}), json!({"zones": ["a"]}), json!({"nodeSelector": {"a": "b"}})]
    {
        let mut tier = json!({"name": "c", "side": "Cloud"});
        json_patch::merge(&mut tier, &chosen);
        check(json!({"tiers": [tier]}), true, false);
    }
    check(json!({"tiers": [{"name": "c", "side": "Cloud", "max": {"pods": 2}}]}), true, false);
    check(json!({"budget": {"currency": "CNY", "perHour": "1"}}), true, false);
    check(json!({"wait": {"beforeBurstSeconds": 5}}), true, false);
    check(json!({"wait": {"autoscalerSeconds": 5}}), true, false);
    check(json!({"preemptBeforeBurst": true}), true, false);
    check(json!({"repatriation": {}}), true, false);
    check(json!({"gang": {"labelKey": "job", "size": 2}}), true, true);
    check(json!({"max": {"local": {"cpu": "4"}}}), true, true);
    check(
        json!({"tiers": [{"name": "own", "max": {"pods": 2}}, {"name": "c", "side": "Cloud"}]}),
        true,
        true,
    );
}

#[test]
fn the_provider_toleration_is_withheld_and_nothing_else() {
    for policy in ["auto", "localPrefer", "enforce"] {
        let open = admitted(&World::default(), &pod(burst(policy), json!({}))).0;
        let (held, warnings) = admitted(&limited(), &pod(burst(policy), json!({})));
        let without = |pod: &Value| {
            let mut spec = pod["spec"].clone();
            let list = spec["tolerations"].as_array().cloned().unwrap_or_default();
            let kept: Vec<Value> = list.into_iter().filter(|t| *t != provider()).collect();
            spec["tolerations"] = json!(kept);
            spec["containers"] = json!(null);
            spec
        };
        assert_eq!(without(&held), without(&open), "{policy}");
        assert!(!held["spec"].to_string().contains("virtual-kubelet.io/provider"), "{held}");
        let plain = &pod(None, json!({}))["spec"]["containers"];
        assert_eq!(&held["spec"]["containers"], plain, "{policy}: autoscalers do not know the marker");
        assert_eq!(marks(&held), (&json!("true"), &json!(KEY)), "{policy}");
        assert_eq!(recorded(&held).0, policy);
        assert_eq!(warnings, [] as [&str; 0]);
    }
}

#[test]
fn an_object_without_limits_is_only_named() {
    let world = governed(json!({"cloudLabels": {"team": "blue"}}));
    let (after, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([provider(), prefer()]));
    assert_eq!(marks(&after), (&Value::Null, &json!(KEY)));
}

#[test]
fn off_is_not_governed_and_false_marks_are_taken_off() {
    let (after, _) = admitted(&limited(), &pod(burst("off"), json!({})));
    assert_eq!(marks(&after), (&Value::Null, &Value::Null));
    let mut forged = pod(burst("auto"), json!({}));
    forged["metadata"]["labels"]["burst.io/governed"] = json!("true");
    forged["metadata"]["annotations"] = json!({"burst.io/burst-policy": "BurstPolicy/bank/rich"});
    let (after, _) = admitted(&World::default(), &forged);
    assert_eq!(marks(&after), (&Value::Null, &Value::Null));
    let (after, _) = admitted(&limited(), &forged);
    assert_eq!(marks(&after), (&json!("true"), &json!(KEY)));
    let field = Unsupported { field: "spec.hostPID".into(), sentence: "no".into() };
    let world = World { unsupported: vec![field], ..limited() };
    let (after, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(marks(&after), (&Value::Null, &Value::Null), "it stays on real nodes, whatever is granted");
}

#[test]
fn a_named_node_gets_marks_only() {
    let before = pod(burst("auto"), json!({"nodeName": "burst-cci"}));
    let world = governed(json!({"max": {"local": {"pods": 1}}, "rewriteTopology": true}));
    let (after, _) = admitted(&world, &before);
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(marks(&after), (&json!("true"), &json!(KEY)));
}

#[test]
fn ceilings_on_real_nodes_and_gangs_are_gated() {
    let gate = json!([{"name": "burst.io/grant"}]);
    let world = governed(json!({"max": {"local": {"pods": 2}}}));
    let (after, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(after["spec"]["schedulingGates"], gate);
    let own = json!({"schedulingGates": [{"name": "mine"}]});
    let (after, _) = admitted(&world, &pod(burst("auto"), own));
    assert_eq!(after["spec"]["schedulingGates"], json!([{"name": "mine"}, {"name": "burst.io/grant"}]));
    let (after, _) = admitted(&limited(), &pod(burst("auto"), json!({})));
    assert_eq!(after["spec"]["schedulingGates"], Value::Null, "autoscalers must see it");
}

#[test]
fn the_toleration_driver_holds_back_whoever_has_both_kinds_of_node() {
    let object = Governance { policy: KEY.to_owned(), rewrites_topology: true, ..Governance::default() };
    let check = |object: Option<Governance>, policy, wanted: Option<(&str, bool)>| {
        let governance = Governance::by_driver(object, policy);
        assert_eq!(governance.as_ref().map(|g| (g.policy.as_str(), g.holds_back)), wanted, "{policy:?}");
    };
    for policy in [Policy::Auto, Policy::LocalPrefer] {
        check(None, policy, Some(("Driver/toleration", true)));
        check(Some(object.clone()), policy, Some((KEY, true)));
    }
    for policy in [Policy::Enforce, Policy::Off] {
        check(None, policy, None);
        check(Some(object.clone()), policy, Some((KEY, false)));
    }
}

/// What the user wrote is never taken away, so a pod that lets itself in waits behind the gate.
#[test]
fn own_tolerations_are_kept_and_gated() {
    let wide = json!({"key": "virtual-kubelet.io/provider", "operator": "Exists"});
    for own in [provider(), wide, json!({"operator": "Exists"})] {
        let spec = json!({"tolerations": [own]});
        let (after, _) = admitted(&limited(), &pod(burst("auto"), spec));
        assert_eq!(after["spec"]["tolerations"][0], own);
        assert_eq!(after["spec"]["schedulingGates"], json!([{"name": "burst.io/grant"}]), "{own}");
    }
}

/// The in-process policy cannot look objects up; what it opened is closed again in the same admission.
#[test]
fn what_the_in_process_policy_opened_is_taken_back() {
    let as_written = |own: &[Value]| {
        let tolerations: Vec<Value> = own.iter().cloned().chain([provider(), prefer()]).collect();
        let mut pod = pod(burst("auto"), json!({ "tolerations": tolerations }));
        let marked = json!({"requests": {"cpu": "500m", "burst.io/managed": "1", "burst.io/checked": "1"},
            "limits": {"burst.io/managed": "1", "burst.io/checked": "1"}});
        pod["spec"]["containers"][0]["resources"] = marked;
        pod["metadata"]["annotations"] = json!({
            "burst.io/opened-in-process": "true", "burst.io/resolved-policy": "auto",
            "burst.io/policy-source": "pod label burst-to-cci",
        });
        pod
    };
    let mine = json!({"key": "mine", "operator": "Exists"});
    let (after, _) = admitted(&limited(), &as_written(std::slice::from_ref(&mine)));
    assert_eq!(after["spec"]["tolerations"], json!([mine, prefer()]));
    assert_eq!(after["spec"]["schedulingGates"], Value::Null);
    assert_eq!(after["metadata"]["annotations"]["burst.io/opened-in-process"], Value::Null);
    let resources = json!({"requests": {"cpu": "500m"}, "limits": {}});
    assert_eq!(after["spec"]["containers"][0]["resources"], resources);
    let (after, _) = admitted(&World::default(), &as_written(&[]));
    assert_eq!(after["spec"]["tolerations"], json!([provider(), prefer()]), "nobody governs it");
}

#[test]
fn pods_are_checked_where_they_can_preempt_or_a_place_is_sold_out() {
    let checked = |world: &World, policy: &str, spec: Value| {
        let (after, _) = admitted(world, &pod(burst(policy), spec));
        after["spec"]["containers"][0]["resources"]["limits"]["burst.io/checked"] == "1"
    };
    let check = |priority: Value, wanted: bool| {
        for policy in ["auto", "localPrefer"] {
            assert_eq!(checked(&World::default(), policy, priority.clone()), wanted, "{policy} {priority}");
        }
    };
    let mut sold_out = World::default();
    sold_out.settings.sold_out = true;
    for (policy, wanted) in [("off", false), ("auto", true), ("localPrefer", true), ("enforce", true)] {
        assert_eq!(checked(&sold_out, policy, json!({})), wanted, "{policy}");
        assert!(!checked(&World::default(), policy, json!({})), "{policy}");
    }
    check(json!({}), false);
    check(json!({"priority": 0}), false);
    check(json!({"priority": 1000}), true);
    check(json!({"priority": 1000, "preemptionPolicy": "PreemptLowerPriority"}), true);
    check(json!({"priority": 1000, "preemptionPolicy": "Never"}), false);
    check(json!({"priority": 1000, "schedulerName": "other"}), false);
}

fn spread(key: &str, answer: &str) -> Value {
    json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": answer, "labelSelector": {"matchLabels": {"app": "web"}}})
}

fn with(constraint: &Value, members: Value) -> Value {
    let mut constraint = constraint.clone();
    json_patch::merge(&mut constraint, &members);
    constraint
}

#[test]
fn hostname_spread_becomes_a_preference_where_asked() {
    let (host, zone) = (
        spread("kubernetes.io/hostname", "DoNotSchedule"),
        spread("topology.kubernetes.io/zone", "DoNotSchedule"),
    );
    let wide = with(&host, json!({"minDomains": 3}));
    let before = pod(burst("auto"), json!({"topologySpreadConstraints": [wide, zone]}));
    assert_eq!(admitted(&limited(), &before).0["spec"]["topologySpreadConstraints"], json!([wide, zone]));
    let world = governed(json!({"rewriteTopology": true}));
    let (after, warnings) = admitted(&world, &before);
    let honor = json!({"nodeTaintsPolicy": "Honor"});
    let soft = with(&spread("kubernetes.io/hostname", "ScheduleAnyway"), honor.clone());
    assert_eq!(after["spec"]["topologySpreadConstraints"], json!([soft, with(&zone, honor)]));
    let original = after["metadata"]["annotations"]["burst.io/original-topology"].as_str().unwrap();
    let original: Value = serde_json::from_str(original).unwrap();
    assert_eq!(original, json!({"topologySpreadConstraints": [wide, zone]}));
    assert_eq!(warnings, [] as [&str; 0]);

    let ignoring = with(&host, json!({"nodeTaintsPolicy": "Ignore"}));
    let already = spread("kubernetes.io/hostname", "ScheduleAnyway");
    let before = pod(burst("auto"), json!({"topologySpreadConstraints": [ignoring, already]}));
    let (after, _) = admitted(&world, &before);
    assert_eq!(after["spec"]["topologySpreadConstraints"], json!([already]), "one soft constraint per key");
    let soft_only = pod(burst("auto"), json!({"topologySpreadConstraints": [already]}));
    let (after, _) = admitted(&world, &soft_only);
    assert_eq!(after["metadata"]["annotations"]["burst.io/original-topology"], Value::Null);
}

#[test]
fn what_keeps_a_pod_off_virtual_nodes_is_named() {
    let mut world = World::default();
    let host = spread("kubernetes.io/hostname", "DoNotSchedule");
    let before = |policy| pod(burst(policy), json!({"topologySpreadConstraints": [host]}));
    assert_eq!(admitted(&world, &before("auto")).1, [] as [&str; 0], "no virtual node is known");
    world.settings.virtual_labels = Some(["type".to_owned()].into());
    let words =
        ["pod shop/web-1", "spec.topologySpreadConstraints[0] (DoNotSchedule over kubernetes.io/hostname)"];
    for policy in ["auto", "localPrefer"] {
        let warning = admitted(&world, &before(policy)).1.join("; ");
        assert!(
            words.iter().chain(&["keeps it on real nodes", "rewriteTopology"]).all(|w| warning.contains(w)),
            "{warning}"
        );
    }
    let text = refused(&world, &before("enforce"));
    assert!(words.iter().chain(&["policy enforce", "rewriteTopology"]).all(|w| text.contains(w)), "{text}");
    world.governance = governed(json!({"rewriteTopology": true})).governance;
    for policy in ["auto", "enforce"] {
        assert_eq!(admitted(&world, &before(policy)).1, [] as [&str; 0]);
    }
    assert_eq!(admitted(&world, &before("off")).0["spec"], before("off")["spec"]);
}

#[test]
fn anti_affinity_is_rewritten_only_where_a_virtual_node_is_a_host() {
    let term = |key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}});
    let (host, zone) = (term("kubernetes.io/hostname"), term("topology.kubernetes.io/zone"));
    let required = |terms: Value| {
        let anti = json!({"requiredDuringSchedulingIgnoredDuringExecution": terms});
        pod(burst("auto"), json!({"affinity": {"podAntiAffinity": anti}}))
    };
    let mut world = governed(json!({"rewriteTopology": true}));
    let before = required(json!([host, zone]));
    let (after, warnings) = admitted(&world, &before);
    assert_eq!(after["spec"]["affinity"], before["spec"]["affinity"], "a node without the key passes");
    assert_eq!(warnings, [] as [&str; 0]);
    let hosts = Some(["kubernetes.io/hostname".to_owned()].into());
    world.settings.virtual_labels = hosts.clone();
    let preferred = json!([{"weight": 100, "podAffinityTerm": host}]);
    let (after, _) = admitted(&world, &before);
    assert_eq!(
        after["spec"]["affinity"]["podAntiAffinity"],
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [zone],
               "preferredDuringSchedulingIgnoredDuringExecution": preferred})
    );
    let (after, _) = admitted(&world, &required(json!([host])));
    assert_eq!(
        after["spec"]["affinity"]["podAntiAffinity"],
        json!({"preferredDuringSchedulingIgnoredDuringExecution": preferred})
    );
    let mut unasked = World::default();
    unasked.settings.virtual_labels = hosts;
    let warnings = admitted(&unasked, &before).1.join("; ");
    assert!(warnings.contains("podAntiAffinity") && warnings.contains("rewriteTopology"), "{warnings}");
}
