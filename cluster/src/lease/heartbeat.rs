//! The heartbeat of a virtual node: what the node-lifecycle controller looks at to call a node alive.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{micro_time, path};
use crate::patch::{Outcome, Write, send};

/// Namespace of node Leases.
const NAMESPACE: &str = "kube-node-lease";

/// How long a heartbeat counts, in seconds.
const DURATION_SECONDS: u32 = 40;

/// Time between heartbeats.
const EVERY: Duration = Duration::from_secs(10);

/// Time after which a failed heartbeat is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Renews the Lease `kube-node-lease/<node>` every 10 s for 40 s until cancelled; a missing Lease is created, failures
/// are logged and tried again. `node_uid` makes the Node its owner once known.
pub async fn heartbeat(
    client: Client,
    node: String,
    node_uid: watch::Receiver<Option<String>>,
    cancel: CancellationToken,
) {
    let beats = async {
        loop {
            let started = Instant::now();
            let uid = node_uid.borrow().clone();
            let next = if beat(&client, &node, uid.as_deref()).await { EVERY } else { AGAIN };
            tokio::time::sleep_until(started + next).await;
        }
    };
    cancel.run_until_cancelled(beats).await;
}

/// One heartbeat; false if it did not arrive.
async fn beat(client: &Client, node: &str, uid: Option<&str>) -> bool {
    let now = Timestamp::now();
    let words = || format!("lease {NAMESPACE}/{node}");
    let renew = Write::merge("renew", words(), path(NAMESPACE, node), renewal(node, uid, now));
    let result = match send(client, renew).await {
        Ok(Outcome::Gone) => {
            let path = path(NAMESPACE, "").trim_end_matches('/').to_owned();
            send(client, Write::new(Method::POST, "create", words(), path, lease(node, uid, now))).await
        }
        other => other,
    };
    match result {
        Ok(Outcome::Done) => true,
        Ok(outcome) => {
            tracing::warn!(node, ?outcome, "the node's heartbeat did not arrive");
            false
        }
        Err(error) => {
            tracing::warn!(node, %error, "the node's heartbeat was refused");
            false
        }
    }
}

/// A merge patch: it needs no resource version, so it never conflicts.
fn renewal(node: &str, uid: Option<&str>, now: Timestamp) -> Value {
    let spec = json!({
        "holderIdentity": node, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": micro_time(now),
    });
    match uid {
        None => json!({"spec": spec}),
        Some(uid) => {
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid});
            json!({"metadata": {"ownerReferences": [owner]}, "spec": spec})
        }
    }
}

fn lease(node: &str, uid: Option<&str>, now: Timestamp) -> Value {
    let mut lease = renewal(node, uid, now);
    let identity = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node, "namespace": NAMESPACE},
    });
    json_patch::merge(&mut lease, &identity);
    lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeApi, Fault};

    const LEASES: &str = "coordination.k8s.io/v1";

    fn writes(api: &FakeApi) -> usize {
        api.requests().iter().filter(|r| r.status < 300 && r.status >= 200).count()
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_every_ten_seconds_through_failures_and_deletion() {
        let api = FakeApi::new();
        let (uid, watched) = watch::channel(None);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(heartbeat(api.client(), "virt".to_owned(), watched, cancel.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lease = api.get(LEASES, "leases", NAMESPACE, "virt").expect("created");
        assert_eq!(lease["spec"]["leaseDurationSeconds"], json!(40));
        assert_eq!(lease["spec"]["holderIdentity"], json!("virt"));
        assert_eq!(lease["metadata"]["ownerReferences"], Value::Null);
        uid.send_replace(Some("u1".to_owned()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(writes(&api), 7, "{:?}", api.requests());
        let lease = api.get(LEASES, "leases", NAMESPACE, "virt").expect("stays");
        assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], json!("u1"));

        api.remove(LEASES, "leases", NAMESPACE, "virt");
        api.fault(Fault::status(503).on("PATCH", "/leases/").times(3));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(api.get(LEASES, "leases", NAMESPACE, "virt").is_some(), "made again");
        cancel.cancel();
        task.await.expect("ends");
    }
}
