//! Pods whose affinity names the virtual nodes that there were, and a node that comes later.

use super::*;

/// A pod that may run on virtual nodes only and waits, made when there was `virtual` alone.
fn waiting(name: &str, owner: Option<&str>) -> Value {
    let field = json!({"key": "metadata.name", "operator": "In", "values": ["virtual"]});
    let class = json!({"key": "type", "operator": "In", "values": ["virtual-kubelet"]});
    let owner = owner.map(
        |kind| json!({"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "rs", "controller": true}),
    );
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"burst.io/resolved-policy": "enforce", "burst.io/virtual-nodes": "virtual"},
            "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
        },
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "200", "memory": "1Gi"}}}],
            "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [class], "matchFields": [field]}]}}},
        },
        "status": {"phase": "Pending"},
    })
}

fn cluster() -> FakeApi {
    let api = api(None, 0);
    api.put(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "rs"},
        "spec": {"replicas": 9, "template": {"spec": {"containers": [{"name": "c"}]}}},
        "status": {"replicas": 2},
    }));
    api
}

fn larger(name: &str) -> Value {
    let mut node = node(name, Some("huawei"));
    node["status"]["allocatable"]["cpu"] = json!("1000");
    node
}

fn told(api: &FakeApi) -> Vec<(String, String)> {
    let text = |event: &Value, pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let events = api.list("events.k8s.io/v1", "events");
    let ours = events.iter().filter(|event| event["reason"] == "BurstMadeAnew");
    ours.map(|event| (text(event, "/regarding/name"), text(event, "/note"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_made_anew_for_a_node_that_came_after_it() {
    let api = cluster();
    api.put(waiting("p0", Some("ReplicaSet")));
    let _replica = Replica::lead(&api);
    settle().await;
    assert!(api.requests_of("POST", "/eviction").is_empty(), "there is no other node");
    api.put(node("small", Some("huawei")));
    settle().await;
    assert!(api.requests_of("POST", "/eviction").is_empty(), "it would not take the pod");
    api.put(larger("later"));
    until("given back", || !api.requests_of("POST", "/eviction").is_empty()).await;
    settle().await;
    let evictions = api.requests_of("POST", "/eviction");
    assert_eq!(evictions.len(), 1, "once");
    assert_eq!(evictions[0].body["deleteOptions"]["preconditions"]["uid"], "p0");
    let told = told(&api);
    assert!(matches!(told.as_slice(), [(pod, note)] if pod == "p0" && note.contains("later")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn who_would_not_come_back_is_told_and_left_alone() {
    let api = cluster();
    api.put(waiting("bare", None));
    api.put(waiting("once", Some("Job")));
    let mut own = waiting("own", Some("ReplicaSet"));
    own["metadata"]["annotations"] = json!({"burst.io/resolved-policy": "enforce"});
    api.put(own);
    api.put(larger("later"));
    let _replica = Replica::lead(&api);
    until("told", || told(&api).len() == 2).await;
    settle().await;
    let mut pods: Vec<_> = told(&api).into_iter().map(|(pod, _)| pod).collect();
    pods.sort();
    assert_eq!(pods, ["bare", "once"], "the third one names its node by itself");
    assert!(api.requests_of("POST", "/eviction").is_empty());
}
