//! The stream of what happens to our instances: a complete list, then changes, then a list again when the position in
//! the history is lost.
//!
//! One task per watch, ended by dropping the stream. Errors are items; after one the task waits (longer each time, or as
//! long as the cloud asks) and goes on from the last position it knows.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::cloud::task_stream::TaskStream;
use crate::cloud::{CloudError, InstanceEvent};

use super::api::Api;
use super::claims;
use super::client::transport;
use super::companions;
use super::lines::Lines;
use super::operation::{Operation, Verb};
use super::refusal::Refusal;
use super::wire::{CloudPod, WatchError, WatchLine};

/// Events that may wait for the reader before the cloud is slowed down.
const DEPTH: usize = 256;
/// How long one watch lasts before it is renewed.
pub(super) const WATCH_SECONDS: u64 = 300;
/// Silence after which a watch counts as dead: its end should have come.
pub(super) const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS + 30);
/// Clean-ups of copied objects in flight.
const CLEANUPS: usize = 16;

type Item = Result<InstanceEvent, CloudError>;

/// Starts watching. Must be called inside a Tokio runtime.
pub(in crate::cloud) fn start(api: Arc<Api>) -> TaskStream<Item> {
    TaskStream::start(DEPTH, |sender| {
        let watcher = Watcher {
            api,
            sender,
            position: None,
            cleanups: JoinSet::new(),
            swept: None,
            claims: claims::Seen::default(),
        };
        watcher.run()
    })
}

/// The reader of the stream is gone.
struct Closed;

struct Watcher {
    api: Arc<Api>,
    sender: mpsc::Sender<Item>,
    /// Where to go on; `None` begins with a list.
    position: Option<String>,
    cleanups: JoinSet<()>,
    swept: Option<Instant>,
    claims: claims::Seen,
}

impl Watcher {
    async fn run(mut self) {
        let mut waits = backoff();
        loop {
            match self.round().await {
                Ok(ControlFlow::Continue(())) => waits = backoff(),
                Ok(ControlFlow::Break(Closed)) => return,
                Err(refusal) => {
                    if matches!(refusal, Refusal::Expired(_)) {
                        self.position = None;
                    }
                    let error = CloudError::from(refusal);
                    let wait = match &error {
                        CloudError::Throttled { after, .. } => *after,
                        _ => waits.next().unwrap_or(Duration::from_secs(30)),
                    };
                    if self.sender.send(Err(error)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// One list if the position is lost, then one watch until it ends.
    async fn round(&mut self) -> Result<ControlFlow<Closed>, Refusal> {
        let position = match &self.position {
            Some(position) => position.clone(),
            None => {
                let (pods, position) = self.api.list_pods().await?;
                self.position = Some(position.clone());
                if self.send_list(pods).await.is_break() {
                    return Ok(ControlFlow::Break(Closed));
                }
                position
            }
        };
        let mut response = self.api.watch_pods(&position, WATCH_SECONDS).await?;
        let mut lines = Lines::default();
        loop {
            let chunk = match timeout(SILENCE, response.chunk()).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Err(transport(&self.operation(), error)),
                Err(_) => return Err(Refusal::Unknown(format!("{}: no sign of life", self.operation()))),
            };
            let Some(chunk) = chunk else { return Ok(ControlFlow::Continue(())) };
            if self.chunk(&mut lines, chunk).await?.is_break() {
                return Ok(ControlFlow::Break(Closed));
            }
        }
    }

    async fn chunk(&mut self, lines: &mut Lines, chunk: Bytes) -> Result<ControlFlow<Closed>, Refusal> {
        lines.push(&chunk);
        while let Some(line) = lines.next() {
            let event = self.decode(&line)?;
            let Some(event) = event else { continue };
            if self.sender.send(Ok(event)).await.is_err() {
                return Ok(ControlFlow::Break(Closed));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What a line means; moves the position.
    fn decode(&mut self, line: &[u8]) -> Result<Option<InstanceEvent>, Refusal> {
        let unreadable = |error: serde_json::Error| {
            Refusal::Expired(format!("{}: a line of the watch cannot be read: {error}", self.operation()))
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let line: WatchLine<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        if line.kind == "ERROR" {
            return Err(self.watch_error(line.object.get()));
        }
        let pod: CloudPod = serde_json::from_str(line.object.get()).map_err(unreadable)?;
        if !pod.metadata.resource_version.is_empty() {
            self.position = Some(pod.metadata.resource_version.clone());
        }
        if line.kind == "BOOKMARK" || !self.api.is_ours(&pod) {
            return Ok(None);
        }
        if line.kind == "DELETED" {
            self.clean_up(&pod);
            self.free_claims(&pod);
            return Ok(Some(InstanceEvent::Gone(self.api.instance(pod))));
        }
        self.claims.changed(&pod);
        Ok(Some(InstanceEvent::Changed(self.api.instance(pod))))
    }

    fn watch_error(&self, object: &str) -> Refusal {
        let error: WatchError = serde_json::from_str(object).unwrap_or_default();
        let text = format!("{}: {} (code {})", self.operation(), error.message, error.code);
        if error.code == 410 || matches!(error.reason.as_str(), "Expired" | "Gone") {
            Refusal::Expired(text)
        } else {
            Refusal::Unknown(text)
        }
    }

    async fn send_list(&mut self, pods: Vec<CloudPod>) -> ControlFlow<Closed> {
        self.claims.restart();
        pods.iter().for_each(|pod| self.claims.changed(pod));
        self.sweep(&pods);
        let api = Arc::clone(&self.api);
        let changed = pods.into_iter().map(|pod| InstanceEvent::Changed(api.instance(pod)));
        let events = std::iter::once(InstanceEvent::Restarted).chain(changed);
        for event in events.chain([InstanceEvent::Synced]) {
            if self.sender.send(Ok(event)).await.is_err() {
                return ControlFlow::Break(Closed);
            }
        }
        ControlFlow::Continue(())
    }

    /// Deletes what went with an instance, in the background; more than a few at once are left to the sweep.
    fn clean_up(&mut self, pod: &CloudPod) {
        while self.cleanups.try_join_next().is_some() {}
        let copies: Vec<String> = pod.copies().map(str::to_owned).collect();
        if copies.is_empty() {
            return;
        }
        if self.cleanups.len() >= CLEANUPS {
            self.swept = None;
            return;
        }
        let api = Arc::clone(&self.api);
        let namespace = api.scope.namespace.clone().unwrap_or_else(|| pod.metadata.namespace.clone());
        self.cleanups.spawn(async move { companions::delete(&api, &namespace, &copies).await });
    }

    /// Removes the claims that went out of use with an instance, in the background.
    fn free_claims(&mut self, pod: &CloudPod) {
        let names = self.claims.gone(pod);
        let Some(namespace) = self.api.scope.namespace.clone().filter(|_| !names.is_empty()) else { return };
        let api = Arc::clone(&self.api);
        self.cleanups.spawn(async move {
            if let Err(error) = claims::remove_unused(&api, &namespace, &names).await {
                tracing::debug!(%error, "left to the sweep");
            }
        });
    }

    fn sweep(&mut self, pods: &[CloudPod]) {
        if self.swept.is_some_and(|at| at.elapsed() < companions::SWEEP_EVERY) {
            return;
        }
        self.swept = Some(Instant::now());
        let alive: HashSet<String> = pods.iter().map(|pod| pod.metadata.labels.pod_uid.clone()).collect();
        let api = Arc::clone(&self.api);
        self.cleanups.spawn(async move {
            if let Err(error) = companions::sweep(&api, &alive, Timestamp::now()).await {
                tracing::warn!(%error, "copied objects without an instance could not be swept");
            }
            if let Err(error) = claims::sweep(&api, Timestamp::now()).await {
                tracing::warn!(%error, "claims that no instance uses could not be swept");
            }
        });
    }

    fn operation(&self) -> Operation {
        self.api.on_all(Verb::WatchPods)
    }
}

pub(super) fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(30))
        .with_jitter()
        .without_max_times()
        .build()
}
