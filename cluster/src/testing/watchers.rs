//! Open watches: which changes each one sees, as lines of JSON.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::meta::{failure, partial, text};
use super::route::Resource;
use super::select::Selectors;

/// One change of one object.
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) old: Option<Arc<Value>>,
    pub(super) object: Arc<Value>,
    pub(super) deleted: bool,
}

/// What a watch wants to see.
#[derive(Clone, Debug)]
pub(super) struct WatchSpec {
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) selectors: Selectors,
    pub(super) metadata_only: bool,
    /// Send a bookmark that marks the end of the initial events.
    pub(super) mark_initial_end: bool,
}

impl WatchSpec {
    pub(super) fn selects(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || self.namespace == text(object, "/metadata/namespace"))
            && self.selectors.matches(object)
    }

    /// The event of a change as this watch sees it: an object that enters the selection is ADDED, one that leaves it
    /// is DELETED.
    pub(super) fn line(&self, change: &Change) -> Option<String> {
        if change.resource != self.resource
            || !self.namespace.is_empty() && change.namespace != self.namespace
        {
            return None;
        }
        let before = change.old.as_deref().is_some_and(|old| self.selectors.matches(old));
        let after = !change.deleted && self.selectors.matches(&change.object);
        let kind = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(self.event(kind, &change.object))
    }

    fn event(&self, kind: &str, object: &Value) -> String {
        if self.metadata_only { event(kind, &partial(object)) } else { event(kind, object) }
    }
}

/// An event as the API server writes it: `type` first, then a newline.
pub(super) fn event(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// The present state as ADDED events, and the mark of their end if wanted.
pub(super) fn initial_lines<'a>(
    spec: &WatchSpec,
    objects: impl Iterator<Item = &'a Value>,
    version: u64,
) -> Vec<String> {
    let mut lines: Vec<String> =
        objects.filter(|o| spec.selects(o)).map(|o| spec.event("ADDED", o)).collect();
    if spec.mark_initial_end {
        lines.push(bookmark(version, true));
    }
    lines
}

/// A bookmark at a version.
pub(super) fn bookmark(version: u64, initial_end: bool) -> String {
    let mut object = json!({
        "kind": "Bookmark", "apiVersion": "v1",
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
    });
    if initial_end {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        super::meta::metadata(&mut object).insert("annotations".to_owned(), annotations);
    }
    event("BOOKMARK", &object)
}

/// The open watches.
#[derive(Default)]
pub(super) struct Watchers {
    open: Vec<(WatchSpec, UnboundedSender<String>)>,
}

impl Watchers {
    pub(super) fn open(&mut self, spec: WatchSpec, lines: Vec<String>) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        for line in lines {
            drop(sender.send(line));
        }
        self.open.push((spec, sender));
        receiver
    }

    /// A watch that only says 410.
    pub(super) fn expired() -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        drop(sender.send(gone()));
        receiver
    }

    pub(super) fn tell(&mut self, change: &Change) {
        self.open.retain(|(spec, sender)| match spec.line(change) {
            Some(line) => sender.send(line).is_ok(),
            None => !sender.is_closed(),
        });
    }

    pub(super) fn send_raw(&mut self, resource: &Resource, line: &str) {
        for (spec, sender) in &self.open {
            if spec.resource == *resource {
                drop(sender.send(format!("{line}\n")));
            }
        }
    }

    pub(super) fn expire(&mut self) {
        for (_, sender) in self.open.drain(..) {
            drop(sender.send(gone()));
        }
    }

    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    pub(super) fn count(&mut self) -> usize {
        self.open.retain(|(_, sender)| !sender.is_closed());
        self.open.len()
    }
}

fn gone() -> String {
    event("ERROR", &failure(410, "Expired", "too old resource version"))
}
