use serde_json::json;

use super::*;
use crate::testing::{FakeApi, Fault};

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "managedFields": [{"manager": "x"}]},
        "spec": {"nodeName": node, "futureField": {"kept": true}},
    })
}

async fn next(stream: &mut BoxStream<'static, PodEvent>) -> PodEvent {
    stream.next().await.expect("never ends")
}

fn name(event: &PodEvent) -> (&'static str, String) {
    match event {
        PodEvent::Applied(pod) => ("applied", pod.name.to_string()),
        PodEvent::Deleted(pod) => ("deleted", pod.name.to_string()),
        PodEvent::Restarted => ("restarted", String::new()),
        PodEvent::Synced => ("synced", String::new()),
        PodEvent::Interrupted(_) => ("interrupted", String::new()),
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_nodes_pods_come_with_every_field_and_survive_an_expired_watch() {
    let api = FakeApi::new();
    api.put(pod("a", "virt"));
    api.put(pod("b", "real"));
    let mut stream = watch(&api.client(), "virt");
    assert_eq!(next(&mut stream).await, PodEvent::Restarted);
    let PodEvent::Applied(a) = next(&mut stream).await else { panic!("a was not listed") };
    assert_eq!((a.uid.as_str(), a.namespace.as_str(), a.name.as_str()), ("uid-a", "shop", "a"));
    let object = a.object();
    assert_eq!(object.pointer("/spec/futureField/kept"), Some(&json!(true)));
    assert_eq!(object.pointer("/kind"), Some(&json!("Pod")));
    assert_eq!(object.pointer("/metadata/managedFields"), None);
    assert_eq!(next(&mut stream).await, PodEvent::Synced);

    api.put(pod("c", "virt"));
    assert_eq!(name(&next(&mut stream).await), ("applied", "c".to_owned()));
    api.expire();
    api.remove("v1", "pods", "shop", "a");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(kind, _)| *kind != "synced") {
        seen.push(name(&next(&mut stream).await));
    }
    let want = [("interrupted", ""), ("restarted", ""), ("applied", "c"), ("synced", "")];
    assert_eq!(seen, want.map(|(kind, name)| (kind, name.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_mark_and_the_end_are_seen() {
    let api = FakeApi::new();
    api.put(pod("a", "virt"));
    let client = api.client();
    let mut stream = watch(&client, "virt");
    while next(&mut stream).await != PodEvent::Synced {}
    let evict = crate::patch::PodRef { namespace: "shop", name: "a", uid: "uid-a" };
    crate::patch::evict_pod(&client, evict).await.expect("evicts");
    let PodEvent::Applied(a) = next(&mut stream).await else { panic!("no mark") };
    assert!(a.deletion_timestamp.is_some());
    assert_eq!(a.deletion_grace_seconds, Some(30));
    crate::patch::delete_pod_now(&client, evict).await.expect("deletes");
    assert_eq!(name(&next(&mut stream).await), ("deleted", "a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn odd_objects_and_failures_do_not_stop_the_stream() {
    let api = FakeApi::new();
    api.fault(Fault::status(500).on("GET", "/pods").times(1));
    let mut odd = pod("odd", "virt");
    odd["spec"]["containers"] = json!("not a list");
    odd["metadata"]["labels"] = json!(7);
    api.put(odd);
    let mut stream = watch(&api.client(), "virt");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(kind, _)| *kind != "synced") {
        seen.push(name(&next(&mut stream).await));
    }
    let want =
        [("restarted", ""), ("interrupted", ""), ("restarted", ""), ("applied", "odd"), ("synced", "")];
    assert_eq!(seen, want.map(|(kind, name)| (kind, name.to_owned())));
}
