use serde_json::json;

use super::*;
use crate::policy::Policy;

fn rows(imported: &Imported) -> Vec<(String, &'static str)> {
    let mut rows: Vec<_> = imported.rows.iter().map(|r| (r.field.clone(), r.fate.as_str())).collect();
    rows.sort();
    rows
}

/// Converts, and checks the spec that comes out and the fate of every field.
fn check(object: &Value, spec: &Value, wanted: &[(&str, &str)]) -> Imported {
    let imported = convert(object).unwrap_or_else(|e| panic!("{object}: {e}"));
    assert_eq!(imported.manifest()["spec"], *spec, "{}", imported.title);
    let mut wanted: Vec<_> = wanted.iter().map(|(field, fate)| ((*field).to_owned(), *fate)).collect();
    wanted.sort();
    let have = rows(&imported);
    let have: Vec<_> = have.iter().map(|(field, fate)| (field.clone(), *fate)).collect();
    assert_eq!(have, wanted, "{}", imported.title);
    assert!(imported.rows.iter().all(|row| !row.note.is_empty()));
    assert_eq!(imported.problems, Vec::<String>::new());
    // What is printed is what the API server and files take.
    serde_json::from_value::<BurstPolicySpec>(imported.manifest()["spec"].clone()).expect("our own spec");
    imported
}

#[test]
fn huawei() {
    let profile = json!({
        "apiVersion": "scheduling.cci.io/v1", "kind": "ScheduleProfile",
        "metadata": {"name": "web", "namespace": "shop", "uid": "x", "labels": {"team": "blue"}},
        "spec": {
            "objectLabels": {"matchLabels": {"app": "web"}},
            "strategy": "localPrefer",
            "virtualNodes": [{"type": "bursting-node"}],
            "location": {
                "local": {"maxNum": 20, "scaleDownPriority": 5},
                "cci": {"maxNum": 10, "scaleDownPriority": 10},
            },
            "futureField": {"deep": [1]},
        },
        "status": {"phase": "initialized"},
    });
    let imported = check(
        &profile,
        &json!({
            "selector": {"matchLabels": {"app": "web"}},
            "policy": "localPrefer",
            "tiers": [{"name": "local", "side": "Local"}, {"name": "cloud", "side": "Cloud", "provider": "huawei"}],
            "max": {"local": {"pods": 20}, "cloud": {"pods": 10}},
        }),
        &[
            ("apiVersion", "approximated"),
            ("metadata.labels.team", "refused"),
            ("metadata.name", "maps"),
            ("metadata.namespace", "maps"),
            ("spec.futureField.deep[0]", "refused"),
            ("spec.location.cci.maxNum", "maps"),
            ("spec.location.cci.scaleDownPriority", "approximated"),
            ("spec.location.local.maxNum", "maps"),
            ("spec.location.local.scaleDownPriority", "approximated"),
            ("spec.objectLabels.matchLabels", "maps"),
            ("spec.strategy", "maps"),
            ("spec.virtualNodes[0].type", "approximated"),
            ("status.phase", "refused"),
        ],
    );
    assert_eq!(imported.title, "ScheduleProfile shop/web (Huawei CCE)");
    assert_eq!(imported.object.key, "BurstPolicy/shop/web");
    let unknown = imported.rows.iter().find(|r| r.field == "spec.futureField.deep[0]").expect("reported");
    assert!(unknown.note.contains("burst does not know this field"), "{unknown:?}");
}

#[test]
fn baidu() {
    let profile = json!({
        "apiVersion": "scheduling.bci.cloud.baidu.com/v1", "kind": "ScheduleProfile", "metadata": {"name": "all"},
        "spec": {
            "objectSelector": {"namespace": {"labels": {"env": "test"}}, "pod": {"labels": {"app": "web"}}},
            "strategy": "localprefer",
            "distribution": {"local": {"maxNum": 3, "deletionPriority": 9}, "bci": {"deletionPriority": 1}},
        },
    });
    let imported = check(
        &profile,
        &json!({
            "selector": {"matchLabels": {"app": "web"}},
            "namespaceSelector": {"matchLabels": {"env": "test"}},
            "policy": "localPrefer",
            "max": {"local": {"pods": 3}},
            "scaleIn": "Off",
        }),
        &[
            ("metadata.name", "maps"),
            ("spec.distribution.bci.deletionPriority", "approximated"),
            ("spec.distribution.local.deletionPriority", "approximated"),
            ("spec.distribution.local.maxNum", "maps"),
            ("spec.objectSelector.namespace.labels", "maps"),
            ("spec.objectSelector.pod.labels", "maps"),
            ("spec.strategy", "maps"),
        ],
    );
    assert_eq!(imported.object.key, "ClusterBurstPolicy/all");
    for (word, policy) in [("bciOnly", "enforce"), ("localOnly", "off")] {
        let mut profile = profile.clone();
        profile["spec"]["strategy"] = json!(word);
        assert_eq!(convert(&profile).expect(word).manifest()["spec"]["policy"], json!(policy));
    }
}

#[test]
fn resource_policy() {
    let object = json!({
        "apiVersion": "scheduling.alibabacloud.com/v1alpha1", "kind": "ResourcePolicy",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}],
            "strategy": "prefer",
            "units": [
                {"resource": "ecs", "nodeSelector": {"pool": "a"}, "max": 4, "podLabels": {"x": "y"}, "scaleInWeight": 1},
                {"resource": "acs", "max": 1},
                {"resource": "eci", "maxResources": {"cpu": 8, "memory": "16Gi", "nvidia.com/gpu": "2"},
                 "podAnnotations": {"k8s.aliyun.com/eci-use-specs": "2-4Gi"}, "spotInstance": true},
            ],
            "preemptPolicy": "BeforeNextUnit",
            "ignorePreviousPod": true,
            "ignoreTerminatingPod": false,
            "matchLabelKeys": ["pod-template-hash"],
            "whenTryNextUnits": {"policy": "TimeoutOrExceedMax", "timeout": "1m30s"},
            "consumerRef": {"kind": "Deployment"},
        },
    });
    check(
        &object,
        &json!({
            "selector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}],
            },
            "policy": "localPrefer",
            "tiers": [
                {"name": "ecs-0", "side": "Local", "nodeSelector": {"pool": "a"}, "max": {"pods": 4}},
                {"name": "eci-2", "side": "Cloud", "provider": "alibabacloud",
                 "max": {"cpu": "8", "memory": "16Gi", "gpu": 2}},
            ],
            "wait": {"autoscalerSeconds": 90},
            "preemptBeforeBurst": true,
            "cloudAnnotations": {"k8s.aliyun.com/eci-use-specs": "2-4Gi"},
        }),
        &[
            ("metadata.name", "maps"),
            ("metadata.namespace", "maps"),
            ("spec.consumerRef", "refused"),
            ("spec.ignorePreviousPod", "refused"),
            ("spec.ignoreTerminatingPod", "maps"),
            ("spec.matchExpressions[0]", "maps"),
            ("spec.matchLabelKeys", "refused"),
            ("spec.preemptPolicy", "maps"),
            ("spec.selector", "maps"),
            ("spec.strategy", "maps"),
            ("spec.units[0].max", "maps"),
            ("spec.units[0].nodeSelector", "maps"),
            ("spec.units[0].podLabels", "refused"),
            ("spec.units[0].resource", "maps"),
            ("spec.units[0].scaleInWeight", "refused"),
            ("spec.units[1]", "refused"),
            ("spec.units[2].maxResources.cpu", "maps"),
            ("spec.units[2].maxResources.memory", "maps"),
            ("spec.units[2].maxResources.nvidia.com/gpu", "approximated"),
            ("spec.units[2].podAnnotations", "approximated"),
            ("spec.units[2].resource", "maps"),
            ("spec.units[2].spotInstance", "refused"),
            ("spec.whenTryNextUnits.policy", "approximated"),
            ("spec.whenTryNextUnits.timeout", "maps"),
        ],
    );
}

#[test]
fn the_order_of_units_decides_the_policy() {
    let policy = |units: &[&str]| {
        let units: Vec<_> = units.iter().map(|unit| json!({"resource": unit})).collect();
        let object = json!({
            "apiVersion": "scheduling.alibabacloud.com/v1alpha1", "kind": "ResourcePolicy",
            "metadata": {"name": "web"}, "spec": {"units": units},
        });
        let imported = convert(&object).expect("converts");
        assert_eq!(imported.object.key, "BurstPolicy/default/web");
        imported.object.spec.policy
    };
    assert_eq!(policy(&["ecs", "eci"]), Some(Policy::LocalPrefer));
    assert_eq!(policy(&["eci", "ecs"]), Some(Policy::Auto));
    assert_eq!(policy(&["eci"]), Some(Policy::Enforce));
    assert_eq!(policy(&["ecs"]), Some(Policy::LocalPrefer));
    assert_eq!(policy(&[]), None);
}

#[test]
fn eci_profile() {
    let object = json!({
        "apiVersion": "eci.aliyun.com/v1", "kind": "Selector", "metadata": {"name": "web"},
        "spec": {
            "namespaceLabels": {"matchLabels": {"eci": "yes"}},
            "objectLabels": {"matchLabels": {"app": "web"}},
            "effect": {"annotations": {"k8s.aliyun.com/eci-use-specs": "2-4Gi"}, "labels": {"a": "b"}},
            "policy": {"normalNodePrefer": {"cpuRatio": 0.5, "other": 1}},
            "priority": 10,
        },
    });
    check(
        &object,
        &json!({
            "selector": {"matchLabels": {"app": "web"}},
            "namespaceSelector": {"matchLabels": {"eci": "yes"}},
            "priority": 10,
            "policy": "localPrefer",
            "tiers": [{"name": "local", "side": "Local"}, {"name": "eci", "side": "Cloud", "provider": "alibabacloud"}],
            "cloudLabels": {"a": "b"},
            "cloudAnnotations": {"k8s.aliyun.com/eci-use-specs": "2-4Gi"},
        }),
        &[
            ("metadata.name", "maps"),
            ("spec.effect.annotations", "approximated"),
            ("spec.effect.labels", "approximated"),
            ("spec.namespaceLabels.matchLabels", "maps"),
            ("spec.objectLabels.matchLabels", "maps"),
            ("spec.policy.normalNodePrefer", "maps"),
            ("spec.policy.normalNodePrefer.cpuRatio", "refused"),
            ("spec.policy.normalNodePrefer.other", "refused"),
            ("spec.priority", "approximated"),
        ],
    );
    for (name, policy) in [("fair", "auto"), ("normalNodeOnly", "off"), ("virtualNodeOnly", "enforce")] {
        let mut object = object.clone();
        object["spec"]["policy"] = json!({name: {}});
        let imported = convert(&object).expect(name);
        assert_eq!(imported.manifest()["spec"]["policy"], json!(policy));
        assert_eq!(imported.problems, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let refused = |object: Value, says: &str| {
        let error = convert(&object).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    };
    let alibaba = |spec: Value| json!({"apiVersion": "scheduling.alibabacloud.com/v1alpha1", "kind": "ResourcePolicy", "metadata": {"name": "a"}, "spec": spec});
    refused(json!({"apiVersion": "v1", "kind": "Pod"}), "v1 Pod is none of the objects");
    refused(json!("text"), "is none of the objects");
    refused(json!({"apiVersion": "x/v1", "kind": "ScheduleProfile"}), "metadata.name is missing");
    refused(
        alibaba(json!({"units": [{"resource": "moon"}]})),
        "spec.units[0].resource: \"moon\" is not ecs, eci",
    );
    refused(alibaba(json!({"units": [{"resource": "eci", "max": "many"}]})), "spec.units[0].max");
    refused(alibaba(json!({"units": 3})), "spec.units: 3 is not a list");
    refused(alibaba(json!({"whenTryNextUnits": {"timeout": "soon"}})), "15m");
    refused(alibaba(json!({"whenTryNextUnits": {"timeout": "15"}})), "15m");
    refused(alibaba(json!({"whenTryNextUnits": {"timeout": "1\u{e9}"}})), "15m");
    refused(alibaba(json!({"strategy": "maybe"})), "prefer or required");
}
