//! What the cloud warns of: the Warning events of its instances, from one watch over the namespace.
//!
//! Ordinary events (scheduled, pulled, started) say only what the status says, and are not asked for. The watch begins at
//! the present, so a restart tells nothing twice; what was said while nobody listened is not told. When the position in the
//! history is lost, what came after the last warning that was seen is. A cloud that has no events, or does not let us read
//! them, is asked again after a long time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cloud::task_stream::TaskStream;
use crate::cloud::{CloudError, Warning};

use super::api::{Api, PAGE};
use super::call::{Call, Limit};
use super::client::transport;
use super::lines::Lines;
use super::names;
use super::operation::{Operation, Verb};
use super::refusal::Refusal;
use super::watch::{SILENCE, WATCH_SECONDS, backoff};
use super::wire::{Meta, Page, WatchError, WatchLine};

/// What is asked for.
const SELECTOR: &str = "involvedObject.kind=Pod,type=Warning";
/// Warnings that may wait for the reader before more are dropped.
const DEPTH: usize = 256;
/// After how long a cloud that has no events to read is asked again.
const LONG: Duration = Duration::from_mins(10);

/// Starts listening. Must be called inside a Tokio runtime.
pub(in crate::cloud) fn start(api: Arc<Api>) -> TaskStream<Warning> {
    TaskStream::start(DEPTH, |sender| Listener { api, sender, position: None, last: None }.run())
}

/// An event of the cloud, reduced.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloudEvent {
    metadata: Meta,
    #[serde(default)]
    involved_object: Involved,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    last_timestamp: Option<Timestamp>,
    #[serde(default)]
    event_time: Option<Timestamp>,
    #[serde(default)]
    series: Option<Series>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Involved {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    #[serde(default)]
    last_observed_time: Option<Timestamp>,
}

impl CloudEvent {
    /// When it happened last.
    fn at(&self) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time);
        self.last_timestamp.max(self.event_time).max(series)
    }

    /// As the bridge takes it; `None` for what is not about an instance or warns of nothing.
    fn warning(self, api: &Api) -> Option<Warning> {
        let Involved { kind, namespace, name, uid } = self.involved_object;
        if kind != "Pod" || self.kind != "Warning" || name.is_empty() || uid.is_empty() {
            return None;
        }
        let id = names::id(&name, &uid);
        let id = if api.scope.namespace.is_some() { id } else { format!("{namespace}/{id}") };
        let (reason, message) = (self.reason, self.message);
        Some(Warning { id, reason, message, from: api.scope.dialect.cloud, namespace, name })
    }
}

struct Listener {
    api: Arc<Api>,
    sender: mpsc::Sender<Warning>,
    /// Where to go on; `None` begins with a list.
    position: Option<String>,
    /// The time of the newest warning, by the cloud's clock.
    last: Option<Timestamp>,
}

impl Listener {
    async fn run(mut self) {
        let mut waits = backoff();
        while !self.sender.is_closed() {
            match self.round().await {
                Ok(ControlFlow::Continue(())) => waits = backoff(),
                Ok(ControlFlow::Break(())) => return,
                Err(refusal) => {
                    if matches!(refusal, Refusal::Expired(_)) {
                        self.position = None;
                    }
                    let error = CloudError::from(refusal);
                    tracing::debug!(%error, "listening to the cloud's events");
                    let wait = match &error {
                        CloudError::Throttled { after, .. } => *after,
                        CloudError::Gone(_) | CloudError::Auth(_) | CloudError::Invalid(_) => LONG,
                        _ => waits.next().unwrap_or(LONG),
                    };
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// One list if the position is not known, then one watch until it ends.
    async fn round(&mut self) -> Result<ControlFlow<()>, Refusal> {
        let position = match &self.position {
            Some(position) => position.clone(),
            None => self.list().await?,
        };
        let call = self
            .call(Verb::WatchEvents)
            .query([
                ("watch", "1".to_owned()),
                ("resourceVersion", position),
                ("allowWatchBookmarks", "true".to_owned()),
                ("timeoutSeconds", WATCH_SECONDS.to_string()),
            ])
            .limit(Limit::Beginning);
        let mut response = self.api.client.send(&call).await?;
        let mut lines = Lines::default();
        loop {
            let chunk = match timeout(SILENCE, response.chunk()).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Err(transport(&self.operation(Verb::WatchEvents), error)),
                Err(_) => return Ok(ControlFlow::Continue(())),
            };
            let Some(chunk) = chunk else { return Ok(ControlFlow::Continue(())) };
            lines.push(&chunk);
            while let Some(line) = lines.next() {
                if self.line(&line)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }

    /// The present position; what was missed since the last warning is told, and at the beginning nothing.
    async fn list(&mut self) -> Result<String, Refusal> {
        let (mut token, mut position) = (None::<String>, None::<String>);
        loop {
            let limit = if self.last.is_some() { PAGE } else { "1" };
            let call = self.call(Verb::ListEvents).query([("limit", limit.to_owned())]);
            let call = call.query(token.take().map(|token| ("continue", token)));
            let page: Page<CloudEvent> = self.api.client.json(&call).await?;
            let position = position.get_or_insert(page.metadata.resource_version).clone();
            let missed = page.items.into_iter().filter(|event| self.last.is_some() && event.at() > self.last);
            let missed: Vec<CloudEvent> = missed.collect();
            let next = page.metadata.continue_token.filter(|token| !token.is_empty() && self.last.is_some());
            for event in missed {
                let _ = self.tell(event);
            }
            match next {
                Some(next) => token = Some(next),
                None => {
                    self.position = Some(position.clone());
                    return Ok(position);
                }
            }
        }
    }

    /// What a line means; moves the position.
    fn line(&mut self, line: &[u8]) -> Result<ControlFlow<()>, Refusal> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(ControlFlow::Continue(()));
        }
        let operation = self.operation(Verb::WatchEvents);
        let unreadable = |error: serde_json::Error| {
            Refusal::Expired(format!("{operation}: a line cannot be read: {error}"))
        };
        let line: WatchLine<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        if line.kind == "ERROR" {
            let error: WatchError = serde_json::from_str(line.object.get()).unwrap_or_default();
            return Err(Refusal::Expired(format!("{operation}: {} (code {})", error.message, error.code)));
        }
        let event: CloudEvent = serde_json::from_str(line.object.get()).map_err(unreadable)?;
        if !event.metadata.resource_version.is_empty() {
            self.position = Some(event.metadata.resource_version.clone());
        }
        if matches!(&*line.kind, "ADDED" | "MODIFIED") {
            Ok(self.tell(event))
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }

    /// Nobody waits for a slow reader: warnings are many when everything is slow, and the next one says the same.
    fn tell(&mut self, event: CloudEvent) -> ControlFlow<()> {
        self.last = self.last.max(event.at());
        let Some(warning) = event.warning(&self.api) else { return ControlFlow::Continue(()) };
        match self.sender.try_send(warning) {
            Err(mpsc::error::TrySendError::Closed(_)) => ControlFlow::Break(()),
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => ControlFlow::Continue(()),
        }
    }

    fn call(&self, verb: Verb) -> Call {
        let path = self.api.everywhere("events");
        Call::new(self.operation(verb), Method::GET, path).query([("fieldSelector", SELECTOR.to_owned())])
    }

    fn operation(&self, verb: Verb) -> Operation {
        self.api.on_all(verb)
    }
}
