//! Watches. A watcher is a version number and a selector: it reads what the history has after its version, many events
//! per frame, so a slow or late reader costs nothing and a lost one is told `410 Expired`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch::Receiver;

use super::super::faults::Injected;
use super::super::{Body, Call, Front};
use super::list;
use super::route::Route;
use crate::core::kind::Kind;
use crate::core::selector::Selector;
use crate::core::store::{Change, Event, watch_line};
use crate::error::ApiError;

/// Events per frame.
const BATCH: usize = 256;
/// A watch without `timeoutSeconds` ends after this.
const DEFAULT_TIMEOUT: u64 = 1800;

/// One open watch.
struct Watcher {
    front: Arc<Front>,
    kind: Kind,
    namespace: Option<String>,
    selector: Selector,
    version: u64,
    latest: Receiver<u64>,
    /// Lines that are sent before the history: the present objects.
    first: Option<Bytes>,
    ends: Timestamp,
    /// Cut by a fault at this time.
    cut: Option<Timestamp>,
    bookmarks: Option<Duration>,
    next_bookmark: Timestamp,
    over: bool,
}

/// Answers a watch.
pub(super) fn start(
    front: &Arc<Front>,
    call: &Call,
    route: &Route,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    let selector = list::selector(call, route.kind)?;
    let now = front.cloud.clock.now();
    let later = |span: Duration| now.checked_add(span).unwrap_or(Timestamp::MAX);
    let asked = call.number("resourceVersion")?.filter(|version| *version > 0);
    let timeout = call.number("timeoutSeconds")?.unwrap_or(DEFAULT_TIMEOUT);
    let bookmarks =
        call.flag("allowWatchBookmarks").then(|| Duration::from_secs(front.variants().bookmark_seconds));
    let mut watcher = Watcher {
        front: front.clone(),
        kind: route.kind,
        namespace: list::scope(route).map(str::to_owned),
        selector,
        version: asked.unwrap_or_default(),
        latest: front.cloud.store.subscribe(route.kind),
        first: None,
        ends: later(Duration::from_secs(timeout)),
        cut: injected.watch_drop.map(later),
        bookmarks,
        next_bookmark: later(bookmarks.unwrap_or_default()),
        over: false,
    };
    if asked.is_none() {
        watcher.begin_with_present();
    }
    let frames = stream::unfold(watcher, |mut watcher| async move { Some((watcher.next().await?, watcher)) });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

impl Watcher {
    /// Without a version a watch starts with everything that is there.
    fn begin_with_present(&mut self) {
        let page = self.front.cloud.store.list(self.kind, self.namespace.as_deref());
        let mut lines = BytesMut::new();
        for object in page.items.iter().filter(|object| self.selector.matches(&object.index)) {
            lines.extend_from_slice(&watch_line(Change::Added, object, self.kind));
        }
        self.version = page.version;
        self.first = (!lines.is_empty()).then(|| lines.freeze());
    }

    /// The next frame; `None` ends the response cleanly.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, std::io::Error>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(Frame::data(first)));
        }
        if self.over {
            return None;
        }
        loop {
            let seen = *self.latest.borrow_and_update();
            let now = self.front.cloud.clock.now();
            if self.cut.is_some_and(|cut| now >= cut) {
                self.over = true;
                return Some(Err(std::io::Error::other("the watch was cut by a fault rule")));
            }
            if let Some(lines) = self.pending(seen) {
                return Some(Ok(Frame::data(lines)));
            }
            let end = now >= self.ends;
            if self.bookmarks.is_some() && (end || now >= self.next_bookmark) {
                self.over = end;
                return Some(Ok(Frame::data(self.bookmark(now))));
            }
            if end {
                return None;
            }
            self.wait().await?;
        }
    }

    /// Lines of the history after this watcher's version, up to a batch.
    fn pending(&mut self, seen: u64) -> Option<Bytes> {
        let store = &self.front.cloud.store;
        if seen <= self.version {
            // Nothing new; but a version from before the kept history must be told so even then.
            return self.expired(store.events_after(self.kind, self.version, 0).err()?.oldest);
        }
        let events = match store.events_after(self.kind, self.version, BATCH) {
            Ok(events) => events,
            Err(expired) => return self.expired(expired.oldest),
        };
        let mut lines = BytesMut::new();
        for event in &events {
            if let Some(line) = self.line(event) {
                lines.extend_from_slice(&line);
            }
            self.version = event.object.version;
        }
        if lines.is_empty() && events.len() == BATCH {
            return self.pending(seen);
        }
        (!lines.is_empty()).then(|| lines.freeze())
    }

    fn expired(&mut self, oldest: u64) -> Option<Bytes> {
        self.over = true;
        let message = format!("too old resource version: {} ({oldest})", self.version);
        let line = json!({"type": "ERROR", "object": ApiError::expired(message).body()});
        Some(Bytes::from(format!("{line}\n")))
    }

    /// What this watcher is told of an event: an object that enters or leaves the selection is added or deleted.
    fn line(&self, event: &Event) -> Option<Bytes> {
        if self.namespace.as_ref().is_some_and(|namespace| event.object.key.namespace != *namespace) {
            return None;
        }
        if self.selector.is_empty() {
            return Some(event.line(self.kind));
        }
        let after = event.change != Change::Deleted && self.selector.matches(&event.object.index);
        let before = event.before.as_ref().is_some_and(|index| self.selector.matches(index));
        let told = match (before, after) {
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
            (false, false) => return None,
        };
        if told == event.change {
            return Some(event.line(self.kind));
        }
        Some(watch_line(told, &event.object, self.kind))
    }

    /// `BOOKMARK`: everything up to this version was sent.
    fn bookmark(&mut self, now: Timestamp) -> Bytes {
        self.next_bookmark = now.checked_add(self.bookmarks.unwrap_or_default()).unwrap_or(Timestamp::MAX);
        let object = json!({
            "kind": self.kind.name(), "apiVersion": self.kind.api_version(self.front.cloud.store.generation),
            "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null},
        });
        Bytes::from(format!("{}\n", json!({"type": "BOOKMARK", "object": object})))
    }

    /// Until something may have to be sent; `None` when the simulator stops.
    async fn wait(&mut self) -> Option<()> {
        let cloud = &self.front.cloud;
        let mut until = self.cut.map_or(self.ends, |cut| cut.min(self.ends));
        if self.bookmarks.is_some() {
            until = until.min(self.next_bookmark);
        }
        tokio::select! {
            () = cloud.cancel.cancelled() => None,
            changed = self.latest.changed() => changed.ok(),
            () = cloud.clock.sleep_until(until) => Some(()),
        }
    }
}
