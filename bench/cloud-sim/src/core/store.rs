//! The objects of the simulated account, their versions and the history that watches read.
//!
//! Objects are kept as the bytes they are sent as (without `kind` and `apiVersion`, as list items are), so a list is a
//! concatenation and one write is serialised once for all watchers. History is bounded: a reader that fell out of it
//! has expired.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::clock::Clock;
use super::kind::{Generation, Kind};
use super::selector::Index;

/// Namespace (empty for a namespace itself) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// A key from its parts.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: Key,
    pub(crate) version: u64,
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
    /// When this version was written.
    pub(crate) modified: Timestamp,
    generation: Generation,
    pub(crate) index: Index,
    body: Bytes,
}

impl Stored {
    /// The object as a list item.
    pub(crate) fn item(&self) -> &Bytes {
        &self.body
    }

    /// The object alone, with `kind` and `apiVersion`.
    pub(crate) fn standalone(&self, kind: Kind) -> Bytes {
        let mut out = BytesMut::with_capacity(self.body.len() + 64);
        self.write_standalone(kind, &mut out);
        out.freeze()
    }

    fn write_standalone(&self, kind: Kind, out: &mut BytesMut) {
        out.put_slice(b"{\"kind\":\"");
        out.put_slice(kind.name().as_bytes());
        out.put_slice(b"\",\"apiVersion\":\"");
        out.put_slice(kind.api_version(self.generation).as_bytes());
        out.put_slice(b"\",");
        out.put_slice(self.body.get(1..).unwrap_or_default());
    }

    /// The object parsed, without `kind` and `apiVersion`.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// How an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// The watch event's `type`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One entry of the history.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) change: Change,
    pub(crate) object: Arc<Stored>,
    /// What selectors saw before the change, to tell who must be told that it left their selection.
    pub(crate) before: Option<Index>,
    line: OnceLock<Bytes>,
}

impl Event {
    /// The watch line of this event, serialised once.
    pub(crate) fn line(&self, kind: Kind) -> Bytes {
        self.line.get_or_init(|| watch_line(self.change, &self.object, kind)).clone()
    }
}

/// A line of a watch response.
pub(crate) fn watch_line(change: Change, object: &Stored, kind: Kind) -> Bytes {
    let mut out = BytesMut::with_capacity(object.body.len() + 96);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(change.word().as_bytes());
    out.put_slice(b"\",\"object\":");
    object.write_standalone(kind, &mut out);
    out.put_slice(b"}\n");
    out.freeze()
}

/// What an update decided.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing changed; nothing is written.
    Keep,
    /// Write the changed object.
    Write,
    /// Remove it; the last event carries the changed object.
    Remove,
}

/// Why a watch or list cannot continue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    /// The version asked for.
    pub(crate) asked: u64,
    /// The oldest version that still has a history.
    pub(crate) oldest: u64,
}

#[derive(Debug)]
struct Shelf {
    kind: Kind,
    limit: usize,
    inner: Mutex<Inner>,
    latest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Arc<Event>>,
    /// Versions up to this one are no longer in the history.
    compacted: u64,
}

/// All objects of all kinds.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Arc<Clock>,
    /// Which API the objects are written for.
    pub(crate) generation: Generation,
    version: AtomicU64,
    shelves: [Shelf; Kind::ALL.len()],
    /// File systems that were deleted, by id.
    deleted_files: Mutex<BTreeSet<String>>,
}

/// Objects of a list with the version it was read at.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Stored>>,
    pub(crate) version: u64,
}

impl Store {
    /// An empty store whose watches can look back `history` events per kind.
    #[cfg(test)]
    pub(crate) fn new(history: usize) -> Self {
        Self::of(Generation::default(), history)
    }

    /// An empty store for a generation of the API, whose watches can look back `history` events per kind.
    pub(crate) fn of(generation: Generation, history: usize) -> Self {
        let shelves = Kind::ALL.map(|kind| Shelf {
            kind,
            limit: history.max(1),
            inner: Mutex::default(),
            latest: watch::Sender::new(1),
        });
        Self {
            clock: Arc::default(),
            generation,
            version: AtomicU64::new(1),
            shelves,
            deleted_files: Mutex::default(),
        }
    }

    #[allow(clippy::expect_used, reason = "ALL names every variant; a test walks it")]
    fn shelf(&self, kind: Kind) -> &Shelf {
        self.shelves.iter().find(|shelf| shelf.kind == kind).expect("a shelf per kind")
    }

    fn lock(shelf: &Shelf) -> MutexGuard<'_, Inner> {
        shelf.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One object.
    pub(crate) fn get(&self, kind: Kind, key: &Key) -> Option<Arc<Stored>> {
        Self::lock(self.shelf(kind)).objects.get(key).cloned()
    }

    /// All objects of a kind, or of one namespace of it, in key order.
    pub(crate) fn list(&self, kind: Kind, namespace: Option<&str>) -> Page {
        let inner = Self::lock(self.shelf(kind));
        let version = self.version.load(Ordering::SeqCst);
        let items = match namespace {
            None => inner.objects.values().cloned().collect(),
            Some(namespace) => {
                let from = Key::new(namespace, "");
                let range = inner.objects.range((Bound::Included(from), Bound::Unbounded));
                range.map(|(_, o)| o).take_while(|o| o.key.namespace == namespace).cloned().collect()
            }
        };
        Page { items, version }
    }

    /// How many objects a kind has.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        Self::lock(self.shelf(kind)).objects.len()
    }

    /// Adds an object; `None` when the key is taken. `now` becomes its creation time if it has none.
    pub(crate) fn create(&self, kind: Kind, key: &Key, value: Value, now: Timestamp) -> Option<Arc<Stored>> {
        let shelf = self.shelf(kind);
        let mut inner = Self::lock(shelf);
        if inner.objects.contains_key(key) {
            return None;
        }
        let object = self.seal(kind, key, value, now);
        inner.objects.insert(key.clone(), object.clone());
        Self::record(shelf, &mut inner, Change::Added, object.clone(), None);
        Some(object)
    }

    /// Changes an object under its lock. `Ok(None)`: there is none.
    pub(crate) fn update<E>(
        &self,
        kind: Kind,
        key: &Key,
        change: impl FnOnce(&mut Value, &Stored) -> Result<Verdict, E>,
    ) -> Result<Option<Arc<Stored>>, E> {
        let shelf = self.shelf(kind);
        let mut inner = Self::lock(shelf);
        let Some(old) = inner.objects.get(key).cloned() else { return Ok(None) };
        let mut value = old.value();
        let verdict = change(&mut value, &old)?;
        if matches!(verdict, Verdict::Keep) {
            return Ok(Some(old));
        }
        let object = self.seal(kind, key, value, old.created);
        let before = Some(old.index.clone());
        if matches!(verdict, Verdict::Remove) {
            inner.objects.remove(key);
            Self::record(shelf, &mut inner, Change::Deleted, object.clone(), before);
            return Ok(Some(object));
        }
        inner.objects.insert(key.clone(), object.clone());
        Self::record(shelf, &mut inner, Change::Modified, object.clone(), before);
        Ok(Some(object))
    }

    /// Drops the oldest objects of a kind until `keep` are left (Events, which expire in the real thing).
    pub(crate) fn trim(&self, kind: Kind, keep: usize) {
        let shelf = self.shelf(kind);
        let mut inner = Self::lock(shelf);
        // A batch at a time: finding the oldest walks all of them.
        if inner.objects.len() <= keep + keep / 8 {
            return;
        }
        let mut ages: Vec<(u64, Key)> = inner.objects.values().map(|o| (o.version, o.key.clone())).collect();
        ages.sort_unstable();
        for (_, key) in ages.into_iter().take(inner.objects.len() - keep) {
            inner.objects.remove(&key);
        }
    }

    /// Gives an object its next version and serialises it.
    fn seal(&self, kind: Kind, key: &Key, mut value: Value, created: Timestamp) -> Arc<Stored> {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(object) = value.as_object_mut() {
            object.remove("kind");
            object.remove("apiVersion");
            let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("resourceVersion".into(), json!(version.to_string()));
            }
        }
        let uid = value.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let index = index_of(kind, key, &value);
        let body = Bytes::from(value.to_string());
        let modified = self.clock.now();
        let generation = self.generation;
        Arc::new(Stored { key: key.clone(), version, uid, created, modified, generation, index, body })
    }

    fn record(shelf: &Shelf, inner: &mut Inner, change: Change, object: Arc<Stored>, before: Option<Index>) {
        let version = object.version;
        inner.history.push_back(Arc::new(Event { change, object, before, line: OnceLock::new() }));
        while inner.history.len() > shelf.limit {
            if let Some(gone) = inner.history.pop_front() {
                inner.compacted = gone.object.version;
            }
        }
        shelf.latest.send_replace(version);
    }

    /// A file system and everything in it is lost.
    pub(crate) fn delete_files(&self, id: &str) {
        self.deleted_files.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    /// Whether a file system was deleted.
    pub(crate) fn files_deleted(&self, id: &str) -> bool {
        self.deleted_files.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Signals each write of a kind.
    pub(crate) fn subscribe(&self, kind: Kind) -> watch::Receiver<u64> {
        self.shelf(kind).latest.subscribe()
    }

    /// The newest version given out.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Up to `max` events after version `after`, oldest first.
    pub(crate) fn events_after(
        &self,
        kind: Kind,
        after: u64,
        max: usize,
    ) -> Result<Vec<Arc<Event>>, Expired> {
        let inner = Self::lock(self.shelf(kind));
        if after < inner.compacted {
            return Err(Expired { asked: after, oldest: inner.compacted });
        }
        let start = inner.history.partition_point(|event| event.object.version <= after);
        Ok(inner.history.range(start..).take(max).cloned().collect())
    }

    /// Forgets all history of a kind and counts on, so that every version given out has expired, open watches included.
    pub(crate) fn compact(&self, kind: Kind) {
        let shelf = self.shelf(kind);
        let mut inner = Self::lock(shelf);
        inner.compacted = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        inner.history.clear();
        shelf.latest.send_replace(inner.compacted);
    }
}

/// Selectable fields of a kind (Kubernetes' own lists).
pub(crate) fn selectable(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "status.phase",
            "status.podIP",
        ],
        Kind::Event => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "reason",
            "type",
        ],
        Kind::Namespace => &["metadata.name", "status.phase"],
        Kind::Secret => &["metadata.name", "metadata.namespace", "type"],
        _ => &["metadata.name", "metadata.namespace"],
    }
}

fn index_of(kind: Kind, key: &Key, value: &Value) -> Index {
    let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let labels = labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    let field = |name: &'static str| match name {
        "metadata.name" => (name, key.name.clone()),
        "metadata.namespace" => (name, key.namespace.clone()),
        _ => {
            let pointer = format!("/{}", name.replace('.', "/"));
            (name, value.pointer(&pointer).and_then(Value::as_str).unwrap_or_default().to_owned())
        }
    };
    Index { labels, fields: selectable(kind).iter().copied().map(field).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().expect("a time")
    }

    #[test]
    fn versions_grow_history_is_bounded_and_old_readers_expire() {
        let store = Store::new(3);
        let key = Key::new("ns", "a");
        let first = store.create(Kind::Pod, &key, json!({"metadata": {}}), now()).expect("created");
        assert!(store.create(Kind::Pod, &key, json!({}), now()).is_none(), "the key is taken");
        for n in 0..3 {
            let done = store.update::<()>(Kind::Pod, &key, |value, _| {
                value["n"] = json!(n);
                Ok(Verdict::Write)
            });
            assert!(done.is_ok_and(|u| u.is_some()));
        }
        assert_eq!(
            store.events_after(Kind::Pod, 1, 9).map(|e| e.len()),
            Err(Expired { asked: 1, oldest: 2 })
        );
        let events = store.events_after(Kind::Pod, first.version, 9).expect("not expired");
        assert_eq!(events.len(), 3);
        assert!(events.windows(2).all(|w| w[0].object.version < w[1].object.version));
        store.compact(Kind::Pod);
        assert!(store.events_after(Kind::Pod, first.version, 9).is_err());
        assert_eq!(store.events_after(Kind::Pod, store.version(), 9).map(|e| e.len()), Ok(0));
    }

    #[test]
    fn keep_writes_nothing_and_remove_tells_the_watchers() {
        let store = Store::new(10);
        let key = Key::new("ns", "a");
        let made = store
            .create(Kind::Pod, &key, json!({"metadata": {"labels": {"a": "b"}}}), now())
            .expect("created");
        let kept = store.update::<()>(Kind::Pod, &key, |_, _| Ok(Verdict::Keep)).expect("ok").expect("there");
        assert_eq!(kept.version, made.version);
        let gone =
            store.update::<()>(Kind::Pod, &key, |_, _| Ok(Verdict::Remove)).expect("ok").expect("there");
        assert!(gone.version > made.version && store.get(Kind::Pod, &key).is_none());
        let last =
            store.events_after(Kind::Pod, made.version, 9).expect("not expired").pop().expect("an event");
        assert_eq!(last.change, Change::Deleted);
        assert!(
            String::from_utf8_lossy(&last.line(Kind::Pod))
                .starts_with(r#"{"type":"DELETED","object":{"kind":"Pod""#)
        );
    }

    #[test]
    fn lists_keep_to_their_namespace() {
        let store = Store::new(10);
        for (namespace, name) in [("a", "x"), ("b", "x"), ("b", "y"), ("c", "x")] {
            store.create(Kind::Secret, &Key::new(namespace, name), json!({}), now());
        }
        assert_eq!(store.list(Kind::Secret, Some("b")).items.len(), 2);
        assert_eq!(store.list(Kind::Secret, None).items.len(), 4);
        assert_eq!(Kind::ALL.map(|kind| store.count(kind)).iter().sum::<usize>(), 4);
    }
}
