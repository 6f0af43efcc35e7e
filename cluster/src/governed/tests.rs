use serde_json::json;

use super::*;

fn read(pod: &Value) -> GovernedPod {
    serde_json::from_str(&pod.to_string()).expect("every object decodes")
}

#[test]
fn what_the_leader_needs_is_read() {
    let pod = read(&json!({
        "metadata": {
            "name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"burst.io/governed": "true", "job": "j"},
            "annotations": {
                "burst.io/burst-policy": "BurstPolicy/shop/web", "burst.io/resolved-policy": "localPrefer",
                "burst.io/gang-size": "4", "other": "x",
            },
        },
        "spec": {
            "priority": 5, "schedulingGates": [{"name": "mine"}, {"name": "burst.io/grant"}],
            "tolerations": [
                {"key": "a"}, {"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"},
                {"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoExecute"},
            ],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}],
        },
        "status": {
            "phase": "Pending", "nominatedNodeName": "n1",
            "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "lastTransitionTime": "2026-01-01T00:00:05Z",
            }],
        },
    }));
    assert_eq!((pod.uid(), pod.namespace(), pod.name()), ("u", "shop", "a"));
    assert_eq!(pod.burst_policy(), Some("BurstPolicy/shop/web"));
    assert_eq!((pod.policy(), pod.gang_size(), pod.grant()), (Some(Policy::LocalPrefer), Some(4), None));
    assert!(pod.gated() && pod.has_tolerations && pod.has_annotations && !pod.undecodable);
    assert_eq!(pod.opened, ["huawei"], "only what opens the taint's effect");
    assert_eq!((pod.requests.cpu_milli, pod.requests.pods, pod.priority), (500, 1, 5));
    assert_eq!(pod.nominated_node.as_deref(), Some("n1"));
    assert_eq!(pod.unschedulable_since.map(jiff::Timestamp::as_second), Some(1_767_225_605));
    assert!(!pod.annotations.contains_key("other"));
}

#[test]
fn a_gated_or_scheduled_pod_is_not_unschedulable() {
    let check = |status: &str, reason: &str| {
        let condition = json!({
            "type": "PodScheduled", "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:05Z",
        });
        let pod = read(&json!({"metadata": {"uid": "u"}, "status": {"conditions": [condition]}}));
        assert_eq!(pod.unschedulable_since, None, "{status} {reason}");
    };
    check("False", "SchedulingGated");
    check("True", "");
}

/// A pod of unknown size must not look like a small one.
#[test]
fn a_pod_with_an_unreadable_request_keeps_its_identity_and_says_so() {
    let pod = read(&json!({
        "metadata": {"uid": "u", "annotations": {"burst.io/burst-policy": "ClusterBurstPolicy/all"}},
        "spec": {"nodeName": "v", "containers": [{"resources": {"requests": {"cpu": "much"}}}]},
    }));
    assert!(pod.undecodable);
    assert_eq!((pod.uid(), pod.node.as_deref()), ("u", Some("v")));
    assert_eq!(pod.burst_policy(), Some("ClusterBurstPolicy/all"));
}
