//! Events on pods and nodes (events.k8s.io/v1), aggregated per object and reason, with a rate cap.
//!
//! Recording never blocks and never fails: what does not fit is dropped and counted. Notes must never hold secrets.
//! Facts: the API server's strict validation of events.k8s.io/v1, by which only `series` may change later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lease::micro_time;
use crate::patch::{Outcome, Write, send};

mod aggregate;

use aggregate::{Aggregator, Repeat, Verdict};

/// Events that may wait to be written.
const QUEUE: usize = 1024;

/// How often repeats are written down.
const FLUSH: Duration = Duration::from_secs(30);

/// Longest time that the last events may take when stopping.
const LAST: Duration = Duration::from_secs(2);

/// Most bytes of a note, as validated.
const NOTE: usize = 1024;

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// For information.
    Normal,
    /// Something is wrong.
    Warning,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Regarding {
    /// `Pod` or `Node`, of core/v1.
    pub kind: &'static str,
    /// Namespace; empty for a node (its events go to `default`).
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID; for a node its name, as kubelet does.
    pub uid: String,
}

impl Regarding {
    /// A pod.
    pub fn pod(namespace: &str, name: &str, uid: &str) -> Self {
        Self { kind: "Pod", namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() }
    }

    /// A node.
    pub fn node(name: &str) -> Self {
        Self { kind: "Node", namespace: String::new(), name: name.to_owned(), uid: name.to_owned() }
    }

    fn event_namespace(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }
}

/// An event to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// About what.
    pub regarding: Regarding,
    /// Kind.
    pub kind: EventKind,
    /// Reason in CamelCase, at most 128 bytes.
    pub reason: String,
    /// What was done, in CamelCase, at most 128 bytes.
    pub action: String,
    /// For people; cut at 1 kB.
    pub note: String,
    /// Who says it, where that is somebody else than this program: the reporting controller, a qualified name.
    pub from: Option<&'static str>,
}

/// Takes events; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct Recorder {
    events: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// Starts the task that writes. `controller` is the reporting controller (`burst.io/bridge`), `instance` this process
    /// (at most 128 bytes). Must be called within a tokio runtime.
    pub fn start(
        client: Client,
        controller: &str,
        instance: &str,
        cancel: CancellationToken,
        tracker: &TaskTracker,
    ) -> Self {
        let (events, receiver) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            client,
            controller: controller.to_owned(),
            instance: instance.to_owned(),
            dropped: Arc::clone(&dropped),
            aggregator: Aggregator::default(),
            numbers: 0,
        };
        tracker.spawn(writer.run(receiver, cancel));
        Self { events, dropped }
    }

    /// Records an event, without waiting.
    pub fn record(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events were dropped since the start, by the rate cap, a full queue or a failed write.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Writer {
    client: Client,
    controller: String,
    instance: String,
    dropped: Arc<AtomicU64>,
    aggregator: Aggregator,
    numbers: u64,
}

impl Writer {
    async fn run(mut self, mut events: mpsc::Receiver<Event>, cancel: CancellationToken) {
        let mut flush = tokio::time::interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                event = events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                _ = flush.tick() => self.flush().await,
            }
        }
        let last = async {
            while let Ok(event) = events.try_recv() {
                self.event(event).await;
            }
        };
        drop(tokio::time::timeout(LAST, last).await);
    }

    async fn event(&mut self, mut event: Event) {
        cut(&mut event.note);
        let name = self.name(&event);
        match self.aggregator.offer(&event, name, Instant::now()) {
            Verdict::Create(name) => self.create(&event, &name).await,
            Verdict::Counted => {}
            Verdict::Drop => self.drop_one(),
        }
    }

    async fn flush(&mut self) {
        for repeat in self.aggregator.due(Instant::now()) {
            self.repeat(&repeat).await;
        }
    }

    /// A name that is unique while the API server keeps the event.
    fn name(&mut self, event: &Event) -> String {
        self.numbers += 1;
        let base: String = event.regarding.name.chars().take(200).collect();
        let nanos = Timestamp::now().as_nanosecond();
        format!("{base}.{nanos:x}{:03x}", self.numbers % 4096)
    }

    async fn create(&self, event: &Event, name: &str) {
        let namespace = event.regarding.event_namespace();
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let body = object(event, name, &self.controller, &self.instance, Timestamp::now());
        let words = format!("event {} of {}/{}", event.reason, namespace, event.regarding.name);
        self.write(Write::new(Method::POST, "create", words, path, body)).await;
    }

    async fn repeat(&self, repeat: &Repeat) {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events/{}", repeat.namespace, repeat.name);
        let series =
            json!({"series": {"count": repeat.count, "lastObservedTime": micro_time(Timestamp::now())}});
        self.write(Write::merge(
            "count",
            format!("event {}/{}", repeat.namespace, repeat.name),
            path,
            series,
        ))
        .await;
    }

    async fn write(&self, write: Write) {
        match send(&self.client, write).await {
            Ok(Outcome::Done) => {}
            Ok(outcome) => {
                tracing::debug!(?outcome, "an event was not written");
                self.drop_one();
            }
            Err(error) => {
                tracing::debug!(%error, "an event was refused");
                self.drop_one();
            }
        }
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Cuts a note at the limit, at a character.
fn cut(note: &mut String) {
    if note.len() > NOTE {
        let mark = " …";
        let end = (0..=NOTE - mark.len()).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
        note.truncate(end);
        note.push_str(mark);
    }
}

fn object(event: &Event, name: &str, controller: &str, instance: &str, now: Timestamp) -> Value {
    let regarding = &event.regarding;
    let mut reference =
        json!({"apiVersion": "v1", "kind": regarding.kind, "name": regarding.name, "uid": regarding.uid});
    if !regarding.namespace.is_empty() {
        json_patch::merge(&mut reference, &json!({"namespace": regarding.namespace}));
    }
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": name, "namespace": regarding.event_namespace()},
        "eventTime": micro_time(now),
        "reportingController": event.from.unwrap_or(controller), "reportingInstance": instance,
        "action": event.action, "reason": event.reason, "note": event.note,
        "type": match event.kind { EventKind::Normal => "Normal", EventKind::Warning => "Warning" },
        "regarding": reference,
    })
}

#[cfg(test)]
mod tests;
