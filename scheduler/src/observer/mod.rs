//! Is told of pods that got bound and explains, for those with a policy, why they are where they are.
//!
//! Explaining is done here and never inside Filter: the scheduler may discard what Filter said, and asks it twice. A
//! pod is explained once, from the picture shortly after its binding with the pod itself taken out again.

mod explain;
#[cfg(test)]
mod tests;

pub use explain::Explainer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cluster::events::Regarding;
use cluster::{Binding, ClusterHandle, Event, EventKind, Recorder, Snapshot};
use jiff::Timestamp;
use policies::pod::PodFacts;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decisions::{CLOUD, Decision, Ring};
use crate::metrics::{Metric, Metrics};

/// Time for the picture to have taken the binding in: it is published at most every 50 ms. Also the shortest time between
/// two pictures that are explained from: judging looks at every node.
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
        stop.run_until_cancelled(self.explain(&mut queue)).await;
    }

    /// Explains until nobody tells of bindings any more: all that have settled from one picture.
    async fn explain(&self, queue: &mut mpsc::Receiver<Binding>) {
        let mut explainer = Explainer::default();
        while let Some(first) = queue.recv().await {
            let mut waiting = VecDeque::from([first]);
            while let Some(next) = waiting.front() {
                tokio::time::sleep_until(next.seen + SETTLE).await;
                while let Ok(binding) = queue.try_recv() {
                    waiting.push_back(binding);
                }
                let (picture, looked) = (self.cluster.snapshot(), Instant::now());
                while let Some(binding) = waiting.pop_front_if(|binding| binding.seen + SETTLE <= looked) {
                    self.record(&mut explainer, &binding.pod, &picture);
                }
                tokio::time::sleep_until(looked + SETTLE).await;
            }
        }
    }

    fn record(&self, explainer: &mut Explainer, pod: &PodFacts, picture: &Snapshot) {
        let Some(decision) = explainer.explain(pod, picture, Timestamp::now()) else { return };
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
            from: None,
        });
    }
}
