use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::testing::{FakeApi, Fault};

fn bound(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": uid},
        "spec": {"nodeName": "virt"}, "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
    })
}

const fn web(uid: &str) -> PodRef<'_> {
    PodRef { namespace: "shop", name: "web", uid }
}

#[tokio::test]
async fn a_status_patch_reaches_only_the_pod_with_the_uid() {
    let api = FakeApi::new();
    api.put(bound("web", "u1"));
    let client = api.client();
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(patch_pod_status(&client, web("u1"), &status).await, Ok(Outcome::Done));
    let pod = api.pod("shop", "web").expect("exists");
    assert_eq!(pod.pointer("/status/phase"), Some(&json!("Running")));
    assert_eq!(pod.pointer("/status/conditions").and_then(Value::as_array).map(Vec::len), Some(2));
    assert_eq!(
        patch_pod_status(&client, web("other"), &json!({"phase": "Failed"})).await,
        Ok(Outcome::Conflict)
    );
    assert_eq!(api.pod("shop", "web"), Some(pod));
    api.remove("v1", "pods", "shop", "web");
    assert_eq!(patch_pod_status(&client, web("u1"), &status).await, Ok(Outcome::Gone));
}

#[tokio::test]
async fn a_delete_reaches_only_the_pod_with_the_uid() {
    let api = FakeApi::new();
    api.put(bound("web", "u1"));
    let client = api.client();
    assert_eq!(delete_pod_now(&client, web("other")).await, Ok(Outcome::Conflict));
    assert!(api.pod("shop", "web").is_some());
    assert_eq!(delete_pod_now(&client, web("u1")).await, Ok(Outcome::Done));
    assert!(api.pod("shop", "web").is_none());
    assert_eq!(delete_pod_now(&client, web("u1")).await, Ok(Outcome::Gone));
}

#[tokio::test]
async fn an_eviction_is_graceful_and_guarded() {
    let api = FakeApi::new();
    api.put(bound("web", "u1"));
    let client = api.client();
    assert_eq!(evict_pod(&client, web("other")).await, Ok(Outcome::Conflict));
    assert_eq!(evict_pod(&client, web("u1")).await, Ok(Outcome::Done));
    let pod = api.pod("shop", "web").expect("still there");
    assert!(pod.pointer("/metadata/deletionTimestamp").is_some());
}

#[tokio::test]
async fn nodes_namespaces_and_pod_metadata() {
    let api = FakeApi::new();
    let client = api.client();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "virt"}, "spec": {"taints": [{"key": "a"}]}});
    assert_eq!(create_node(&client, &node).await, Ok(Outcome::Done));
    assert_eq!(create_node(&client, &node).await, Ok(Outcome::Conflict));
    let labels = json!({"metadata": {"labels": {"type": "virtual-kubelet"}}});
    assert_eq!(patch_node(&client, "virt", &labels).await, Ok(Outcome::Done));
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(patch_node_status(&client, "virt", &ready).await, Ok(Outcome::Done));
    let stored = api.get("v1", "nodes", "", "virt").expect("exists");
    assert_eq!(stored.pointer("/metadata/labels/type"), Some(&json!("virtual-kubelet")));
    assert_eq!(stored.pointer("/status/conditions/0/type"), Some(&json!("Ready")));
    assert_eq!(label_namespace(&client, "default", "burst.io/active", "true").await, Ok(Outcome::Done));
    api.put(bound("web", "u1"));
    let note = json!({"annotations": {"a": "b"}});
    assert_eq!(patch_pod_metadata(&client, web("u1"), &note).await, Ok(Outcome::Done));
    assert_eq!(patch_pod_metadata(&client, web("u2"), &note).await, Ok(Outcome::Conflict));
    assert_eq!(delete_node(&client, "virt").await, Ok(Outcome::Done));
    assert_eq!(delete_node(&client, "virt").await, Ok(Outcome::Gone));
}

#[tokio::test(start_paused = true)]
async fn faults_become_outcomes() {
    let cases = [
        (Fault::status(429).retry_after(3), Ok(Outcome::Retry(Duration::from_secs(3)))),
        (Fault::status(500), Ok(Outcome::Retry(AGAIN))),
        (Fault::refused(), Ok(Outcome::Retry(AGAIN))),
        (Fault::lost_answer(), Ok(Outcome::Retry(AGAIN))),
        (Fault::hang(), Ok(Outcome::Retry(AGAIN))),
        (Fault::status(403), Err(403)),
    ];
    for (fault, want) in cases {
        let api = FakeApi::new();
        api.put(bound("web", "u1"));
        api.fault(fault.clone().times(1));
        let got = patch_pod_status(&api.client(), web("u1"), &json!({"phase": "Running"})).await;
        assert_eq!(got.map_err(|error| error.code), want, "{fault:?}");
    }
}
