//! Watch semantics: initial state, resuming, selectors that are entered and left, bookmarks, expiry, timeouts, cuts.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

mod support;

use http::StatusCode;
use serde_json::{Value, json};
use support::{Cloud, PODS, pod};

/// Kinds and names of the next events.
async fn next(watch: &mut support::Watch, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let (kind, object) = watch.event().await;
        seen.push(format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or("-")));
    }
    seen
}

/// Reads until an event of this kind, answering its object.
async fn until(watch: &mut support::Watch, kind: &str) -> Value {
    loop {
        let (seen, object) = watch.event().await;
        if seen == kind {
            return object;
        }
    }
}

#[tokio::test]
async fn without_a_version_the_present_comes_first_and_with_one_only_what_followed() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    client.post(PODS, pod("a")).await;
    client.until_phase("a", "Running").await;
    let list = client.get(PODS).await.1;
    let version = list["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let mut all = client.watch(&format!("{PODS}?watch=true")).await;
    let mut later = client.watch(&format!("{PODS}?watch=1&resourceVersion={version}")).await;
    assert_eq!(next(&mut all, 1).await, ["ADDED a"]);
    client.post(PODS, pod("b")).await;
    assert_eq!(next(&mut all, 1).await, ["ADDED b"]);
    let (kind, object) = later.event().await;
    assert_eq!((kind.as_str(), &object["metadata"]["name"]), ("ADDED", &json!("b")));
    assert_eq!((&object["kind"], &object["apiVersion"]), (&json!("Pod"), &json!("v1")));
    client.delete(&format!("{PODS}/b?gracePeriodSeconds=0")).await;
    let gone = until(&mut later, "DELETED").await;
    let number =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
    assert!(number(&gone) > number(&object));
}

#[tokio::test]
async fn an_object_that_enters_or_leaves_a_selection_is_added_or_deleted() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let mut watch = client.watch(&format!("{PODS}?watch=true&labelSelector=tier%3Dgold")).await;
    client.post(PODS, pod("a")).await;
    client.until_phase("a", "Running").await;
    let path = format!("{PODS}/a");
    client.patch(&path, "merge-patch", json!({"metadata": {"labels": {"tier": "gold"}}})).await;
    client.patch(&path, "merge-patch", json!({"metadata": {"annotations": {"x": "y"}}})).await;
    client.patch(&path, "merge-patch", json!({"metadata": {"labels": {"tier": null}}})).await;
    assert_eq!(next(&mut watch, 3).await, ["ADDED a", "MODIFIED a", "DELETED a"]);
    let mut running = client.watch(&format!("{PODS}?watch=true&fieldSelector=status.phase%3DPending")).await;
    client.post(PODS, pod("b")).await;
    assert_eq!(next(&mut running, 1).await, ["ADDED b"]);
    assert_eq!(until(&mut running, "DELETED").await["metadata"]["name"], "b");
}

#[tokio::test]
async fn a_version_without_history_has_expired() {
    let cloud = Cloud::with_namespace(&["--history", "5"]).await;
    let client = &cloud.client;
    client.post(PODS, pod("a")).await;
    for i in 0..10 {
        client
            .patch(
                &format!("{PODS}/a"),
                "merge-patch",
                json!({"metadata": {"annotations": {"n": i.to_string()}}}),
            )
            .await;
    }
    let mut watch = client.watch(&format!("{PODS}?watch=true&resourceVersion=2")).await;
    let (kind, status) = watch.event().await;
    assert_eq!(
        (kind.as_str(), &status["code"], &status["reason"]),
        ("ERROR", &json!(410), &json!("Expired"))
    );
    assert_eq!(watch.next().await, Ok(None), "and the watch ends");
    // An open watch that falls behind expires too.
    let mut open = client.watch(&format!("{PODS}?watch=true")).await;
    assert_eq!(next(&mut open, 1).await, ["ADDED a"]);
    assert_eq!(client.post("/_sim/compact", json!({"resource": "pods"})).await.0, StatusCode::OK);
    assert_eq!(open.event().await.0, "ERROR");
}

#[tokio::test]
async fn bookmarks_come_in_time_and_at_the_end() {
    let cloud = Cloud::with_namespace(&["--bookmark-seconds", "30"]).await;
    let client = &cloud.client;
    let path = format!("{PODS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=100");
    let mut watch = client.watch(&path).await;
    client.post(PODS, pod("a")).await;
    client.until_phase("a", "Running").await;
    let mut last = Value::Null;
    for _ in 0..4 {
        // Time moves in steps smaller than the client's clock skew.
        client.post("/_sim/clock", json!({"advanceSeconds": 31})).await;
        last = until(&mut watch, "BOOKMARK").await;
    }
    assert_eq!((&last["kind"], &last["spec"]), (&json!("Pod"), &Value::Null));
    assert_eq!(watch.next().await, Ok(None), "the timeout ends it cleanly");
    let version = last["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let mut again = client.watch(&format!("{PODS}?watch=true&resourceVersion={version}")).await;
    client.post(PODS, pod("b")).await;
    assert_eq!(next(&mut again, 1).await, ["ADDED b"]);
}

#[tokio::test]
async fn a_fault_cuts_a_watch_in_the_middle() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    client
        .faults(json!([{"watch": true, "times": 1, "action": {"kind": "watchDrop", "milliseconds": 50}}]))
        .await;
    let mut watch = client.watch(&format!("{PODS}?watch=true")).await;
    assert!(watch.next().await.is_err(), "cut, not ended");
    let mut next_watch = client.watch(&format!("{PODS}?watch=true")).await;
    client.post(PODS, pod("a")).await;
    assert_eq!(next(&mut next_watch, 1).await, ["ADDED a"]);
}

#[tokio::test]
async fn every_watcher_of_many_sees_every_instance_once_in_order() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let path = format!("{PODS}?watch=true&resourceVersion=1");
    let mut watchers = Vec::new();
    for _ in 0..8 {
        watchers.push(client.watch(&path).await);
    }
    for i in 0..100 {
        client.post(PODS, pod(&format!("p-{i:03}"))).await;
    }
    for mut watch in watchers {
        let (mut added, mut last) = (0, 0);
        while added < 100 {
            let (kind, object) = watch.event().await;
            let version = object["metadata"]["resourceVersion"]
                .as_str()
                .and_then(|v| v.parse::<u64>().ok())
                .expect("a version");
            assert!(version > last, "versions only grow");
            last = version;
            added += usize::from(kind == "ADDED");
        }
    }
}
