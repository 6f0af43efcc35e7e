use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::cloud::kubelike::testing::{Answer, Seen, status};

type Events = BoxStream<'static, Result<InstanceEvent, CloudError>>;

fn is_watch(seen: &Seen) -> bool {
    seen.query.contains("watch=1")
}

/// A watch that the test writes lines to.
fn open_watch(server: &Server) -> mpsc::Sender<Bytes> {
    let (lines, chunks) = mpsc::channel(16);
    server.next(is_watch, Answer::Stream(chunks));
    lines
}

async fn next(events: &mut Events) -> Result<InstanceEvent, CloudError> {
    timeout(Duration::from_secs(20), events.next())
        .await
        .expect("an event in time")
        .expect("the stream never ends")
}

/// The next event in short: what happened, to whom, in which phase.
async fn short(events: &mut Events) -> String {
    match next(events).await {
        Ok(InstanceEvent::Restarted) => "restarted".into(),
        Ok(InstanceEvent::Synced) => "synced".into(),
        Ok(InstanceEvent::Changed(i)) => {
            let deleting = if i.deleting { " deleting" } else { "" };
            format!("changed {} {}{deleting}", i.pod.name, i.status["phase"].as_str().unwrap_or_default())
        }
        Ok(InstanceEvent::Gone(i)) => format!("gone {}", i.pod.name),
        Err(error) => format!("error {error}"),
    }
}

fn pod(name: &str, phase: &str, version: u32) -> Value {
    json!({"kind": "Pod",
        "metadata": {"name": format!("{name}-1"), "uid": "cu", "resourceVersion": version.to_string(),
            "labels": {"burst.io/cluster-id": CLUSTER, "burst.io/virtual-node": NODE, "burst.io/pod-uid": format!("uid-{name}")},
            "annotations": {"burst.io/pod-namespace": "shop", "burst.io/pod-name": name, "burst.io/copies": "secrets/s-1"}},
        "status": {"phase": phase, "hostIP": "10.0.0.1"}})
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": kind, "object": object})).into()
}

fn queries(server: &Server) -> Vec<String> {
    let get = |query: &str, name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let pods = server.seen().into_iter().filter(|seen| seen.path.ends_with("/pods"));
    pods.map(|seen| match get(&seen.query, "watch") {
        Some(_) => format!("watch {}", get(&seen.query, "resourceVersion").unwrap_or_default()),
        None => "list".to_owned(),
    })
    .collect()
}

#[tokio::test]
async fn a_list_then_changes_until_it_is_really_gone() {
    let server = Server::start().await;
    let provider = provider(&server);
    provider.create(&request("old", |_| ()), &Local::default()).await.unwrap();
    server.put(
        &format!("/api/v1/namespaces/{NAMESPACE}/secrets/s-1"),
        json!({"kind": "Secret", "metadata": {"name": "s-1"}}),
    );
    let lines = open_watch(&server);
    let mut events = provider.watch();
    for expected in ["restarted", "changed old Pending", "synced"] {
        assert_eq!(short(&mut events).await, expected);
    }
    lines.send(line("ADDED", &pod("web", "Pending", 1001))).await.unwrap();
    assert_eq!(short(&mut events).await, "changed web Pending");
    // A line in two pieces, a bookmark, a stranger and an empty line.
    let running = line("MODIFIED", &pod("web", "Running", 1002));
    lines.send(running.slice(..40)).await.unwrap();
    lines.send(running.slice(40..)).await.unwrap();
    lines.send(line("BOOKMARK", &json!({"metadata": {"resourceVersion": "1010"}}))).await.unwrap();
    lines
        .send(line("ADDED", &json!({"metadata": {"name": "stranger", "resourceVersion": "1011"}})))
        .await
        .unwrap();
    lines.send("\n".into()).await.unwrap();
    assert_eq!(short(&mut events).await, "changed web Running");
    // Deletion is asynchronous: the finalizer keeps the object until the bill is closed.
    let mut ending = pod("web", "Running", 1012);
    ending["metadata"]["deletionTimestamp"] = "2026-01-02T04:00:00Z".into();
    lines.send(line("MODIFIED", &ending)).await.unwrap();
    assert_eq!(short(&mut events).await, "changed web Running deleting");
    lines.send(line("DELETED", &ending)).await.unwrap();
    assert_eq!(short(&mut events).await, "gone web");
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/s-1");
    timeout(Duration::from_secs(20), async {
        while server.object(&secret).is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the copied Secret goes with its instance");
}

#[tokio::test]
async fn an_ended_watch_goes_on_from_the_last_bookmark() {
    let server = Server::start().await;
    let provider = provider(&server);
    let first = open_watch(&server);
    let second = open_watch(&server);
    let mut events = provider.watch();
    assert_eq!((short(&mut events).await, short(&mut events).await), ("restarted".into(), "synced".into()));
    first.send(line("BOOKMARK", &json!({"metadata": {"resourceVersion": "1500"}}))).await.unwrap();
    drop(first);
    second.send(line("ADDED", &pod("web", "Pending", 1501))).await.unwrap();
    assert_eq!(short(&mut events).await, "changed web Pending");
    assert_eq!(queries(&server), ["list", "watch 1000", "watch 1500"]);
}

#[tokio::test]
async fn a_lost_position_lists_again() {
    for in_stream in [true, false] {
        let server = Server::start().await;
        let provider = provider(&server);
        if in_stream {
            let lines = open_watch(&server);
            lines.send(line("ERROR", &status(410, "Expired"))).await.unwrap();
        } else {
            server.next(is_watch, Answer::Status(410, status(410, "Expired")));
        }
        let lines = open_watch(&server);
        let mut events = provider.watch();
        assert_eq!(
            (short(&mut events).await, short(&mut events).await),
            ("restarted".into(), "synced".into())
        );
        assert!(short(&mut events).await.starts_with("error "));
        assert_eq!(
            (short(&mut events).await, short(&mut events).await),
            ("restarted".into(), "synced".into())
        );
        lines.send(line("ADDED", &pod("web", "Pending", 1))).await.unwrap();
        assert_eq!(short(&mut events).await, "changed web Pending");
        assert_eq!(queries(&server), ["list", "watch 1000", "list", "watch 1000"]);
    }
}

#[tokio::test]
async fn errors_are_items_and_the_watch_goes_on() {
    let server = Server::start().await;
    let provider = provider(&server);
    let is_list = |seen: &Seen| seen.path.ends_with("/pods") && !is_watch(seen);
    server.next(is_list, Answer::Status(500, status(500, "InternalError")));
    server.next(is_list, Answer::Dropped);
    server.next(is_watch, Answer::Status(503, Value::Null));
    let lines = open_watch(&server);
    let mut events = provider.watch();
    assert!(short(&mut events).await.starts_with("error list pods"));
    assert!(short(&mut events).await.contains("the connection broke"));
    assert_eq!((short(&mut events).await, short(&mut events).await), ("restarted".into(), "synced".into()));
    assert!(short(&mut events).await.starts_with("error watch pods"));
    lines.send(line("ADDED", &pod("web", "Pending", 1))).await.unwrap();
    assert_eq!(short(&mut events).await, "changed web Pending");
}

#[tokio::test]
async fn dropping_the_stream_ends_the_watch() {
    let server = Server::start().await;
    let provider = provider(&server);
    let lines = open_watch(&server);
    let mut events = provider.watch();
    assert_eq!(short(&mut events).await, "restarted");
    assert_eq!(short(&mut events).await, "synced");
    lines.send("\n".into()).await.unwrap();
    drop(events);
    timeout(Duration::from_secs(20), lines.closed()).await.expect("the connection is closed");
}
