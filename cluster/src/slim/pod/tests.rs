use serde_json::json;

use super::*;

fn read(pod: &Value) -> SlimPod {
    serde_json::from_str(&pod.to_string()).expect("every JSON object decodes")
}

#[test]
fn what_decisions_need_is_read() {
    let pod = read(&json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": "2026-01-02T03:05:05Z",
            "labels": {"app": "web", "other": "x", "burst-to-cci": "auto"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "burst.io/resolved-policy": "localPrefer", "burst.io/policy-source": "Deployment/web"},
            "ownerReferences": [{"kind": "A", "name": "a", "uid": "1", "apiVersion": "v1"}, {"kind": "ReplicaSet", "name": "web", "uid": "2", "apiVersion": "apps/v1", "controller": true}],
            "managedFields": [{}],
        },
        "spec": {
            "nodeName": "virt", "priority": 5, "overhead": {"cpu": "10m"},
            "containers": [{"name": "c", "resources": {"requests": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": "2"}}}],
            "initContainers": [{"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}}],
        },
        "status": {"phase": "Running"},
    }));
    let want = Resources { cpu_milli: 1110, memory_bytes: 1 << 30, gpu: 2, pods: 1, ..Resources::default() };
    assert_eq!(pod.requests, want);
    assert_eq!(
        (pod.node.as_deref(), pod.phase, pod.deleting, pod.priority),
        (Some("virt"), PodPhase::Running, true, 5)
    );
    assert_eq!((pod.policy(), pod.app(), pod.uid()), (Some(Policy::LocalPrefer), Some("web"), "u"));
    assert_eq!(pod.labels.keys().collect::<Vec<_>>(), ["app", "burst-to-cci"]);
    assert_eq!(pod.annotations.len(), 2);
    assert_eq!(pod.owner.as_ref().map(|o| (o.kind.as_str(), o.uid.as_str())), Some(("ReplicaSet", "2")));
    assert_eq!(pod.created, "2026-01-02T03:04:05Z".parse().ok());
    assert!(!pod.undecodable);
}

#[test]
fn nulls_are_absent_and_wrong_types_leave_the_identity() {
    let empty = read(
        &json!({"metadata": {"uid": "u", "labels": null, "ownerReferences": null}, "spec": {"containers": null, "nodeName": null}, "status": null}),
    );
    assert_eq!((empty.undecodable, empty.phase, empty.requests.pods), (false, PodPhase::Pending, 1));
    let check = |spec: Value| {
        let pod = read(
            &json!({"metadata": {"uid": "u", "name": "n", "namespace": "s", "resourceVersion": "3"}, "spec": spec, "status": {"phase": "Running"}}),
        );
        assert!(pod.undecodable, "{spec}");
        assert_eq!((pod.uid(), pod.node.as_deref(), pod.phase), ("u", Some("virt"), PodPhase::Running));
        assert_eq!(pod.metadata.resource_version.as_deref(), Some("3"));
        assert_eq!(pod.requests, Resources { pods: 1, ..Resources::default() });
    };
    check(json!({"nodeName": "virt", "containers": 7}));
    check(json!({"nodeName": "virt", "priority": "high"}));
    check(json!({"nodeName": "virt", "containers": [{"resources": {"requests": {"cpu": "much"}}}]}));
    for odd in [json!(null), json!([]), json!("x"), json!({"metadata": 1})] {
        assert!(read(&odd).uid().is_empty(), "{odd}");
    }
}
