use serde_json::{Value, json};

use super::*;

fn spec(spec: &Value) -> BurstPolicySpec {
    serde_json::from_value(spec.clone()).unwrap_or_else(|e| panic!("{spec}: {e}"))
}

/// Checks the problems of a spec by itself: field and a part of each sentence, in order.
fn check_spec(value: &Value, wanted: &[(ProblemKind, &str, &str)]) {
    check_problems(&value.to_string(), &check(&spec(value)), wanted);
}

fn check_problems(what: &str, problems: &[Problem], wanted: &[(ProblemKind, &str, &str)]) {
    assert_eq!(problems.len(), wanted.len(), "{what}: {problems:#?}");
    for (problem, (kind, field, text)) in problems.iter().zip(wanted) {
        assert_eq!((problem.kind, problem.field.as_str()), (*kind, *field), "{what}");
        assert!(problem.text.contains(text), "{what}: {:?} does not say {text:?}", problem.text);
    }
}

#[test]
fn what_is_sound_has_no_problem() {
    check_spec(&json!({}), &[]);
    check_spec(
        &json!({
            "selector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}],
                "owner": {"kind": "Deployment"},
            },
            "policy": "localPrefer",
            "tiers": [
                {"name": "reserved", "nodeSelector": {"pool": "reserved"}, "max": {"cpu": "64", "memory": "256Gi"}},
                {"name": "any"},
                {"name": "zone-a", "side": "Cloud", "provider": "huawei", "zones": ["a"]},
                {"name": "huawei", "side": "Cloud", "provider": "huawei", "max": {"pods": 0}},
                {"name": "rest", "side": "Cloud"},
            ],
            "budget": {"currency": "CNY", "perHour": "1.20"},
            "wait": {"beforeBurstSeconds": 30, "deadlineSeconds": 30},
            "gang": {"labelKey": "job", "size": 1},
            "repatriation": {},
        }),
        &[],
    );
}

#[test]
fn tiers() {
    use ProblemKind::{Contradiction, DuplicateTier, TierUnreachable};
    let tiers = |tiers: Value, wanted: &[_]| check_spec(&json!({"tiers": tiers}), wanted);
    let unreachable = |tiers_before: Value, tier: Value, wanted: bool| {
        let wanted: &[_] = if wanted {
            &[(TierUnreachable, "spec.tiers[1]", "give \"a\" a max, or move \"b\" before it")]
        } else {
            &[]
        };
        tiers(json!([tiers_before, tier]), wanted);
    };
    let cloud = |more: Value| {
        let mut tier = json!({"name": "a", "side": "Cloud"});
        json_patch::merge(&mut tier, &more);
        tier
    };
    let second = |more: Value| {
        let mut tier = cloud(more);
        tier["name"] = json!("b");
        tier
    };
    unreachable(cloud(json!({})), second(json!({})), true);
    unreachable(
        cloud(json!({})),
        second(json!({"provider": "huawei", "zones": ["a"], "max": {"pods": 3}})),
        true,
    );
    unreachable(cloud(json!({"provider": "huawei"})), second(json!({"provider": "huawei"})), true);
    unreachable(cloud(json!({"zones": ["a", "b"]})), second(json!({"zones": ["b"]})), true);
    unreachable(
        cloud(json!({"nodeSelector": {"k": "v"}})),
        second(json!({"nodeSelector": {"k": "v", "l": "w"}})),
        true,
    );
    unreachable(json!({"name": "a"}), json!({"name": "b", "nodeSelector": {"pool": "x"}}), true);
    unreachable(cloud(json!({"max": {"pods": 3}})), second(json!({})), false);
    unreachable(cloud(json!({"provider": "huawei"})), second(json!({"provider": "ucloud"})), false);
    unreachable(cloud(json!({"provider": "huawei"})), second(json!({})), false);
    unreachable(cloud(json!({"zones": ["a"]})), second(json!({"zones": ["a", "b"]})), false);
    unreachable(cloud(json!({"zones": ["a"]})), second(json!({})), false);
    unreachable(
        cloud(json!({"nodeSelector": {"k": "v"}})),
        second(json!({"nodeSelector": {"k": "w"}})),
        false,
    );
    unreachable(json!({"name": "a"}), second(json!({})), false);

    tiers(
        json!([{"name": "a", "max": {"pods": 1}}, {"name": "a", "side": "Cloud"}]),
        &[(DuplicateTier, "spec.tiers[1].name", "a name of its own")],
    );
    tiers(
        json!([{"name": "a", "provider": "huawei", "zones": ["z"]}]),
        &[
            (Contradiction, "spec.tiers[0].provider", "side: Cloud"),
            (Contradiction, "spec.tiers[0].zones", "nodeSelector"),
        ],
    );
    for policy in ["off", "enforce"] {
        check_spec(
            &json!({"policy": policy, "tiers": [{"name": "a"}, {"name": "b", "side": "Cloud"}]}),
            &[(Contradiction, "spec.tiers[0]", "write policy auto or localPrefer")],
        );
    }
}

#[test]
fn fields() {
    use ProblemKind::{BadField, Contradiction};
    check_spec(
        &json!({"max": {"cloud": {"cpu": "many", "memory": "1GB"}, "local": {"cpu": "-1"}}}),
        &[
            (BadField, "spec.max.local.cpu", "below zero"),
            (BadField, "spec.max.cloud.cpu", "does not start with a number"),
            (BadField, "spec.max.cloud.memory", "\"GB\""),
        ],
    );
    check_spec(
        &json!({"wait": {"beforeBurstSeconds": 60, "deadlineSeconds": 30}}),
        &[(Contradiction, "spec.wait.deadlineSeconds", "raise the deadline or shorten the wait")],
    );
    check_spec(
        &json!({"gang": {"labelKey": "job", "size": 0}}),
        &[(BadField, "spec.gang.size", "belong together")],
    );
    check_spec(
        &json!({"budget": {"currency": "yuan"}}),
        &[(BadField, "spec.budget.currency", "USD"), (BadField, "spec.budget", "perHour")],
    );
    check_spec(
        &json!({"budget": {"currency": "CNY", "perDay": "-1"}}),
        &[(BadField, "spec.budget", "below zero")],
    );
    check_spec(
        &json!({"repatriation": {"maxPerHour": 0}}),
        &[(BadField, "spec.repatriation.maxPerHour", "remove repatriation")],
    );
    check_spec(&json!({"selector": {"owner": {}}}), &[(BadField, "spec.selector.owner", "a kind, a name")]);
    check_spec(
        &json!({"selector": {"matchExpressions": [
            {"key": "a", "operator": "In"}, {"key": "b", "operator": "Exists", "values": ["x"]},
        ]}}),
        &[
            (BadField, "spec.selector.matchExpressions[0].values", "at least one"),
            (BadField, "spec.selector.matchExpressions[1].values", "no values"),
            (Contradiction, "spec.selector", "no pod can meet"),
        ],
    );
    check_spec(
        &json!({"namespaceSelector": {"matchLabels": {"a": "x"}, "matchExpressions": [
            {"key": "a", "operator": "NotIn", "values": ["x"]},
        ]}}),
        &[(Contradiction, "spec.namespaceSelector", "no namespace can meet")],
    );
}

fn object(name: &str, value: &Value) -> PolicyObject {
    match name.split_once('/') {
        Some((namespace, name)) => PolicyObject::new(Some(namespace), name, spec(value)),
        None => PolicyObject::new(None, name, spec(value)),
    }
}

/// Checks the problems of the first object among all of them.
fn check_among(objects: &[(&str, Value)], usage: &[Usage], wanted: &[(ProblemKind, &str, &str)]) {
    let objects: Vec<_> = objects.iter().map(|(name, value)| object(name, value)).collect();
    let around = Surroundings { objects: &objects, usage, priced: &|currency| currency == "CNY" };
    check_problems(&objects[0].key, &check_object(&objects[0], &around), wanted);
}

#[test]
fn neighbours() {
    let app = |value: &str| json!({"selector": {"matchLabels": {"app": value}}});
    let class = |value: &str| json!({"selector": {"priorityClassName": value}});
    let owner = |kind: &str, name: &str| json!({"selector": {"owner": {"kind": kind, "name": name}}});
    let equal = |text| [(ProblemKind::EqualRank, "spec.selector", text)];
    check_among(
        &[("shop/b", json!({})), ("shop/a", json!({}))],
        &[],
        &equal("with BurstPolicy a for the same pods, so only the name decides (a speaks)"),
    );
    check_among(
        &[("shop/a", app("web")), ("shop/b", class("high"))],
        &[],
        &equal("(a speaks): give one a higher priority"),
    );
    check_among(
        &[("a", json!({})), ("b", json!({})), ("c", json!({}))],
        &[],
        &equal("ClusterBurstPolicy b, c"),
    );
    check_among(
        &[("shop/a", owner("Deployment", "web")), ("shop/b", owner("ReplicaSet", "web-1"))],
        &[],
        &equal("b"),
    );
    // Another namespace, kind, priority, number of terms, or pods.
    check_among(&[("shop/a", json!({})), ("bank/a", json!({})), ("a", json!({}))], &[], &[]);
    check_among(&[("shop/a", json!({})), ("shop/b", json!({"priority": 1}))], &[], &[]);
    check_among(&[("shop/a", json!({})), ("shop/b", app("web"))], &[], &[]);
    check_among(&[("shop/a", app("api")), ("shop/b", app("web"))], &[], &[]);
    check_among(&[("shop/a", class("low")), ("shop/b", class("high"))], &[], &[]);
    check_among(&[("shop/a", owner("Job", "x")), ("shop/b", owner("Job", "y"))], &[], &[]);
    let team = |value: &str| json!({"namespaceSelector": {"matchLabels": {"team": value}}});
    check_among(&[("a", team("blue")), ("b", team("red"))], &[], &[]);
    check_among(&[("a", team("blue")), ("b", team("blue"))], &[], &equal("b"));
}

#[test]
fn the_present() {
    let limit = |pods, cpu: &str| Limit { pods: Some(pods), cpu: Some(cpu.into()), ..Limit::default() };
    let row = |name: &str, used: Limit| Usage { name: name.into(), used, max: Limit::default() };
    let policy = json!({
        "tiers": [{"name": "a", "side": "Cloud", "max": {"pods": 3}}],
        "max": {"cloud": {"cpu": "2"}},
    });
    check_among(
        &[("shop/a", policy.clone())],
        &[row("a", limit(5, "2500m")), row("cloud", limit(5, "2500m")), row("local", limit(9, "9"))],
        &[
            (ProblemKind::MaxBelowUse, "spec.tiers[0].max", "5 pods (max 3)"),
            (ProblemKind::MaxBelowUse, "spec.max.cloud", "cpu 2500m (max 2)"),
        ],
    );
    check_among(&[("shop/a", policy)], &[row("a", limit(3, "2")), row("cloud", limit(3, "2000m"))], &[]);
    let budget = |currency: &str| json!({"budget": {"currency": currency, "perHour": "1"}});
    check_among(&[("shop/a", budget("CNY"))], &[], &[]);
    check_among(
        &[("shop/a", budget("EUR"))],
        &[],
        &[(ProblemKind::NoPrice, "spec.budget.currency", "add prices in EUR")],
    );
    check_among(
        &[("shop/a", json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}}))],
        &[],
        &[(ProblemKind::Contradiction, "spec.namespaceSelector", "write a ClusterBurstPolicy")],
    );
}

#[test]
fn the_condition_keeps_its_time_while_its_status_holds() {
    let problems = check(&spec(&json!({"gang": {"labelKey": "", "size": 0}})));
    let first = valid_condition(&problems, None, 4, "2026-01-01T00:00:00Z");
    assert_eq!(
        (first.kind.as_str(), first.status.as_str(), first.reason.as_str()),
        ("Valid", "False", "BadField")
    );
    assert!(first.message.contains("spec.gang.size: ") && first.message.contains("; spec.gang.labelKey: "));
    let again = valid_condition(&problems, Some(&first), 5, "2026-01-02T00:00:00Z");
    assert_eq!((again.last_transition_time.as_str(), again.observed_generation), ("2026-01-01T00:00:00Z", 5));
    let mended = valid_condition(&[], Some(&again), 6, "2026-01-03T00:00:00Z");
    assert_eq!(
        (mended.status.as_str(), mended.last_transition_time.as_str()),
        ("True", "2026-01-03T00:00:00Z")
    );
    assert_eq!(mended.message, "");
}
