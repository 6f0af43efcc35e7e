//! Watches pods get bound and explains, for those with a policy, why they are where they are.
//!
//! Explaining is done here and never inside Filter: the scheduler may discard what Filter said, and asks it twice. A
//! pod is explained once, from the picture shortly after its binding with the pod itself taken out again.

mod explain;
mod pod;
#[cfg(test)]
mod tests;

pub use explain::explain;
pub use pod::ObservedPod;

use std::sync::Arc;
use std::time::Duration;

use cluster::events::Regarding;
use cluster::{ClusterHandle, Event, EventKind, Recorder};
use foldhash::fast::RandomState;
use futures::StreamExt;
use hashbrown::HashSet;
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use policies::pod::PodFacts;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decisions::{CLOUD, Decision, Ring};
use crate::metrics::{Metric, Metrics};

/// Time for the picture to have taken the binding in: it is published at most every 50 ms.
const SETTLE: Duration = Duration::from_millis(200);
/// Bindings that wait to be explained; beyond it they are not.
const QUEUE: usize = 4096;
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
    /// Starts watching; ends with `stop`.
    pub fn start(self, client: Client, stop: &CancellationToken, tracker: &TaskTracker) {
        let (bindings, queue) = mpsc::channel(QUEUE);
        tracker.spawn(follow(client, bindings, stop.clone()));
        tracker.spawn(self.work(queue, stop.clone()));
    }

    async fn work(self, mut queue: mpsc::Receiver<Binding>, stop: CancellationToken) {
        while let Some(Some(binding)) = stop.run_until_cancelled(queue.recv()).await {
            if stop.run_until_cancelled(tokio::time::sleep_until(binding.seen + SETTLE)).await.is_none() {
                return;
            }
            self.record(&binding.pod);
        }
    }

    fn record(&self, pod: &PodFacts) {
        let snapshot = self.cluster.snapshot();
        let Some(decision) = explain(pod, &snapshot, Timestamp::now()) else { return };
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

#[derive(Debug)]
struct Binding {
    pod: Box<PodFacts>,
    seen: Instant,
}

/// Watches bound pods; one that is bound while we watch goes into the queue, once.
async fn follow(client: Client, bindings: mpsc::Sender<Binding>, stop: CancellationToken) {
    let bound = watcher::Config::default().fields("spec.nodeName!=");
    let events = watcher(Api::<ObservedPod>::all(client), bound).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut known = Known::default();
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        match event {
            Ok(event) => {
                let Some(pod) = known.take_in(event) else { continue };
                if bindings.try_send(Binding { pod, seen: Instant::now() }).is_err() {
                    tracing::warn!("too many bindings wait to be explained: one is not");
                }
            }
            Err(error) => tracing::warn!(%error, "the watch of bound pods failed and is opened again"),
        }
    }
}

/// UIDs of the bound pods with a policy, so that a later change of a pod is not taken for its binding.
#[derive(Debug, Default)]
struct Known {
    uids: HashSet<String, RandomState>,
    listing: HashSet<String, RandomState>,
}

impl Known {
    /// The pod, if this is its binding. What a list brings was bound before we looked.
    fn take_in(&mut self, event: watcher::Event<ObservedPod>) -> Option<Box<PodFacts>> {
        match event {
            watcher::Event::Init => self.listing.clear(),
            watcher::Event::InitApply(pod) => {
                self.listing.extend(pod.burst.map(|facts| facts.uid));
            }
            watcher::Event::InitDone => self.uids = std::mem::take(&mut self.listing),
            watcher::Event::Delete(pod) => {
                self.uids.remove(pod.uid());
            }
            watcher::Event::Apply(pod) => {
                return pod.burst.filter(|facts| self.uids.insert(facts.uid.clone()));
            }
        }
        None
    }
}
