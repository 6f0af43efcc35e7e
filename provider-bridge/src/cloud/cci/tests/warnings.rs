//! Events of CCI: only warnings, only from now on, and from the last one on when the position is lost.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::cloud::kubelike::testing::{Answer, Seen, status};

fn events() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/events")
}

/// A watch that the test writes lines to.
fn open(server: &Server) -> mpsc::Sender<Bytes> {
    let (lines, chunks) = mpsc::channel(16);
    server
        .next(|seen: &Seen| seen.path == events() && seen.query.contains("watch=1"), Answer::Stream(chunks));
    lines
}

fn event(kind: &str, message: &str, at: &str) -> Value {
    json!({"metadata": {"name": message, "resourceVersion": "7"}, "type": kind, "reason": "Failed", "message": message,
        "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": "web-1", "uid": "cloud-1"},
        "lastTimestamp": at, "count": 1})
}

async fn send(lines: &mpsc::Sender<Bytes>, kind: &str, object: &Value) {
    lines.send(format!("{}\n", json!({"type": kind, "object": object})).into()).await.unwrap();
}

async fn next(warnings: &mut BoxStream<'static, Warning>) -> Warning {
    timeout(Duration::from_secs(20), warnings.next()).await.expect("in time").expect("never ends")
}

#[tokio::test]
async fn warnings_are_told_once_and_nothing_else_is() {
    let server = Server::start().await;
    let provider = provider(&server);
    server.put(&format!("{}/old", events()), event("Warning", "before the start", "2026-01-02T03:00:00Z"));
    let lines = open(&server);
    let mut warnings = provider.warnings();
    let mut other = event("Warning", "a network", "2026-01-02T03:01:00Z");
    other["involvedObject"]["kind"] = "Network".into();
    send(&lines, "ADDED", &other).await;
    send(&lines, "ADDED", &event("Normal", "pulled", "2026-01-02T03:01:00Z")).await;
    send(&lines, "BOOKMARK", &json!({"metadata": {"resourceVersion": "8"}})).await;
    send(&lines, "DELETED", &event("Warning", "expired", "2026-01-02T03:01:00Z")).await;
    send(&lines, "ADDED", &event("Warning", "first", "2026-01-02T03:02:00Z")).await;
    let told = next(&mut warnings).await;
    assert_eq!(told.id, "web-1/cloud-1");
    assert_eq!((told.reason.as_str(), told.message.as_str(), told.from), ("Failed", "first", "CCI"));
    assert_eq!((told.namespace.as_str(), told.name.as_str()), (NAMESPACE, "web-1"));
    send(&lines, "MODIFIED", &event("Warning", "again", "2026-01-02T03:03:00Z")).await;
    assert_eq!(next(&mut warnings).await.message, "again");
    // The position is lost: what came meanwhile is told, and what was told is not.
    server.put(&format!("{}/told", events()), event("Warning", "again", "2026-01-02T03:03:00Z"));
    server.put(&format!("{}/missed", events()), event("Warning", "missed", "2026-01-02T03:04:00Z"));
    let more = open(&server);
    send(&lines, "ERROR", &status(410, "Expired")).await;
    assert_eq!(next(&mut warnings).await.message, "missed");
    send(&more, "ADDED", &event("Warning", "last", "2026-01-02T03:05:00Z")).await;
    assert_eq!(next(&mut warnings).await.message, "last");
    let asked: Vec<String> = server.seen().into_iter().map(|seen| seen.query).collect();
    let selector = "fieldSelector=involvedObject.kind%3DPod%2Ctype%3DWarning";
    assert_eq!(asked[0], format!("{selector}&limit=1"), "nothing of the past is fetched");
    assert_eq!(asked.len(), 4, "a list and a watch, twice: {asked:?}");
    drop(warnings);
    timeout(Duration::from_secs(20), more.closed()).await.expect("the connection is closed");
}

/// A bad line, a lost connection and a cloud without events end nothing.
#[tokio::test]
async fn errors_are_waited_out() {
    let server = Server::start().await;
    let provider = provider(&server);
    server.next(|seen: &Seen| seen.path == events(), Answer::Status(500, status(500, "InternalError")));
    server.next(|seen: &Seen| seen.path == events(), Answer::Dropped);
    let broken = open(&server);
    let lines = open(&server);
    let mut warnings = provider.warnings();
    broken.send("not json\n".into()).await.unwrap();
    send(&lines, "ADDED", &event("Warning", "told", "2026-01-02T03:02:00Z")).await;
    assert_eq!(next(&mut warnings).await.message, "told");
}
