//! Is told of pods that got bound and explains, for those with a policy, why they are where they are.
//!
//! Explaining is done here and never inside Filter: the scheduler may discard what Filter said, and asks it twice. A
//! pod is explained once, from the picture shortly after its binding with the pod itself taken out again.

mod explain;
#[cfg(test)]
mod tests;

pub use explain::Explainer;

use std::sync::Arc;
use std::time::Duration;

use cluster::events::Regarding;
use cluster::{Binding, ClusterHandle, Event, EventKind, Recorder};
use jiff::Timestamp;
use policies::pod::PodFacts;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decisions::{CLOUD, Decision, Ring};
use crate::metrics::{Metric, Metrics};

/// Time for the picture to have taken the binding in: it is published at most every 50 ms.
const SETTLE: Duration = Duration::from_millis(200);
/// The reason of our events.
pub const EVENT_REASON: &str = "BurstDecision";

/// What the observer writes to.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The picture to explain from.
    pub cluster: ClusterHandle,
    /// Where decisions are kept.
    pub decisions: Arc<Ring>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Where events go.
    pub events: Recorder,
}

impl Observer {
    /// Starts to explain the bindings; ends with `stop`.
    pub fn start(self, bindings: mpsc::Receiver<Binding>, stop: &CancellationToken, tracker: &TaskTracker) {
        tracker.spawn(self.work(bindings, stop.clone()));
    }

    async fn work(self, mut queue: mpsc::Receiver<Binding>, stop: CancellationToken) {
        let mut explainer = Explainer::default();
        while let Some(Some(binding)) = stop.run_until_cancelled(queue.recv()).await {
            if stop.run_until_cancelled(tokio::time::sleep_until(binding.seen + SETTLE)).await.is_none() {
                return;
            }
            self.record(&mut explainer, &binding.pod);
        }
    }

    fn record(&self, explainer: &mut Explainer, pod: &PodFacts) {
        let snapshot = self.cluster.snapshot();
        let Some(decision) = explainer.explain(pod, &snapshot, Timestamp::now()) else { return };
        let labels = [
            ("policy", decision.policy.as_str()),
            ("outcome", decision.outcome),
            ("reason", decision.reason),
        ];
        self.metrics.count(Metric::Decisions, labels);
        if decision.outcome == CLOUD {
            self.announce(&decision);
        }
        self.decisions.push(decision);
    }

    fn announce(&self, decision: &Decision) {
        tracing::info!(
            pod_uid = decision.uid,
            pod = format_args!("{}/{}", decision.namespace, decision.name),
            node = decision.node.as_deref(),
            reason = decision.reason,
            "{}",
            decision.sentence
        );
        self.metrics.count(Metric::Events, []);
        self.events.record(Event {
            regarding: Regarding {
                kind: "Pod",
                namespace: decision.namespace.clone(),
                name: decision.name.clone(),
                uid: decision.uid.clone(),
            },
            kind: EventKind::Normal,
            reason: EVENT_REASON.to_owned(),
            action: "Binding".to_owned(),
            note: decision.sentence.clone(),
        });
    }
}
