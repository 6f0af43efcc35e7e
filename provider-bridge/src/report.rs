//! Writes the report of a virtual node (`VirtualNodeReport`): when it changed, at most every second, with
//! compare-and-swap. Without the kind in the API server there is nobody to report to, and that is no error.

use std::time::Duration;

use cluster::reports;
use cluster::versioned::Put;
use kube::Client;
use policies::ledger::NodeReport;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// Time after which a write that cannot succeed now is tried again.
const REFUSED: Duration = Duration::from_secs(10);

/// Runs until cancelled.
pub async fn keep(
    client: Client,
    node: String,
    mut report: watch::Receiver<Option<NodeReport>>,
    cancel: CancellationToken,
) {
    report.mark_changed();
    let mut version = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = report.changed() => if changed.is_err() { return },
        }
        let Some(now) = report.borrow_and_update().clone() else { continue };
        let pause = write(&client, &node, &now, &mut version).await;
        if pause > PAUSE || version.is_none() {
            report.mark_changed();
        }
        tokio::select! { () = cancel.cancelled() => return, () = tokio::time::sleep(pause) => {} }
    }
}

/// One write; the pause until the next. Without a version after it, it was not written.
async fn write(client: &Client, node: &str, now: &NodeReport, version: &mut Option<String>) -> Duration {
    if version.is_none() {
        match reports::read(client, node).await {
            Ok(stored) => {
                if stored.as_ref().is_some_and(|stored| stored.spec.as_ref() == Ok(now)) {
                    *version = stored.map(|stored| stored.version().to_string());
                    return PAUSE;
                }
                *version = stored.map(|stored| stored.version().to_string());
            }
            Err(error) => {
                tracing::warn!(node, error, "reading the node's report");
                return REFUSED;
            }
        }
    }
    let first = version.is_none();
    match reports::put(client, node, version.as_deref(), now).await {
        Ok(Put::Written(new)) => {
            *version = Some(new.to_string());
            PAUSE
        }
        // Nothing was there and nothing can be made: the kind is not installed, or somebody else was faster.
        Ok(Put::Conflict) => {
            *version = None;
            if first { REFUSED } else { PAUSE }
        }
        Ok(Put::Retry(after)) => {
            *version = None;
            after.max(PAUSE)
        }
        Err(error) => {
            tracing::warn!(node, %error, "the API server refuses the node's report");
            *version = None;
            REFUSED
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster::testing::{FakeApi, Fault};
    use serde_json::Value;

    use super::*;

    const KIND: (&str, &str) = ("burst.io/v1alpha1", "virtualnodereports");

    async fn eventually(api: &FakeApi, instances: u64) {
        for _ in 0..10_000 {
            let stored = api.get(KIND.0, KIND.1, "", "n1").unwrap_or_default();
            if stored.pointer("/spec/instances").and_then(Value::as_u64) == Some(instances) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {instances}");
    }

    #[tokio::test(start_paused = true)]
    async fn written_when_changed_at_most_every_second_whatever_others_do() {
        let api = FakeApi::new();
        let (sender, receiver) = watch::channel(None);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(keep(api.client(), "n1".to_owned(), receiver, cancel.clone()));
        let report = |instances| Some(NodeReport { instances, ..NodeReport::default() });
        sender.send_replace(report(1));
        eventually(&api, 1).await;
        for n in 2..=200 {
            sender.send_replace(report(n));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        eventually(&api, 200).await;
        let writes = api.requests_of("PUT", KIND.1).len() + api.requests_of("POST", KIND.1).len();
        assert!(writes <= 5, "{writes} writes in two seconds");
        let mut touched = api.get(KIND.0, KIND.1, "", "n1").unwrap();
        touched["metadata"]["labels"] = serde_json::json!({"by": "hand"});
        api.put(touched);
        api.fault(Fault::status(503).on("PUT", KIND.1).times(1));
        sender.send_replace(report(300));
        eventually(&api, 300).await;
        api.remove(KIND.0, KIND.1, "", "n1");
        sender.send_replace(report(301));
        eventually(&api, 301).await;
        cancel.cancel();
        task.await.unwrap();
    }
}
