//! The objects, their versions, and the history that watches are served from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::meta::{metadata, text};
use super::route::{KnownKind, Resource, built_in};
use super::watchers::{Change, WatchSpec, Watchers, initial_lines};

/// Changes kept for watches that start from an older version.
const HISTORY: usize = 100_000;

type Objects = BTreeMap<(String, String), Value>;

pub(super) struct Store {
    objects: BTreeMap<Resource, Objects>,
    kinds: Vec<KnownKind>,
    version: u64,
    /// Watches from a version below this get 410.
    oldest: u64,
    history: VecDeque<Change>,
    watchers: Watchers,
    uids: u64,
    started: (Timestamp, Instant),
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            kinds: built_in(),
            version: 1,
            oldest: 0,
            history: VecDeque::new(),
            watchers: Watchers::default(),
            uids: 0,
            started: (Timestamp::now(), Instant::now()),
        }
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Now, by tokio's clock, plus some seconds, as Kubernetes writes it.
    pub(super) fn time(&self, plus_seconds: u64) -> String {
        let elapsed = SignedDuration::try_from(self.started.1.elapsed()).unwrap_or_default();
        let plus = SignedDuration::from_secs(i64::try_from(plus_seconds).unwrap_or_default());
        let at = self.started.0.saturating_add(elapsed.saturating_add(plus)).unwrap_or(self.started.0);
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    pub(super) fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.uids, self.uids)
    }

    pub(super) fn kind(&self, resource: &Resource) -> Option<&KnownKind> {
        self.kinds.iter().find(|k| Resource::named(&k.api_version, &k.plural) == *resource)
    }

    pub(super) fn kinds_of<'a>(&'a self, api_version: &'a str) -> impl Iterator<Item = &'a KnownKind> {
        self.kinds.iter().filter(move |k| k.api_version == api_version)
    }

    pub(super) fn register(&mut self, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
        self.kinds.push(KnownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
        });
    }

    pub(super) fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(resource)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn list(&self, resource: &Resource) -> impl Iterator<Item = &Value> {
        self.objects.get(resource).into_iter().flat_map(BTreeMap::values)
    }

    /// Stores an object as it is; see [`super::FakeApi::put`].
    pub(super) fn put(&mut self, mut object: Value) -> Value {
        let (api_version, kind) =
            (text(&object, "/apiVersion").to_owned(), text(&object, "/kind").to_owned());
        let known = self.kinds.iter().find(|k| k.api_version == api_version && k.kind == kind).cloned();
        let plural = known.as_ref().map_or_else(|| format!("{}s", kind.to_lowercase()), |k| k.plural.clone());
        let namespaced = known.is_none_or(|k| k.namespaced);
        let resource = Resource::named(&api_version, &plural);
        let namespace = match text(&object, "/metadata/namespace") {
            _ if !namespaced => String::new(),
            "" => "default".to_owned(),
            given => given.to_owned(),
        };
        let name = text(&object, "/metadata/name").to_owned();
        self.identify(&mut object, &resource, &namespace, &name);
        self.commit(&resource, &namespace, &name, object)
    }

    /// Fills in namespace, UID (of the object that is replaced, else a new one) and creation time where missing.
    fn identify(&mut self, object: &mut Value, resource: &Resource, namespace: &str, name: &str) {
        let uid = self.get(resource, namespace, name).map(|old| text(old, "/metadata/uid").to_owned());
        let uid = uid.unwrap_or_else(|| self.new_uid());
        let now = self.time(0);
        let meta = metadata(object);
        if !namespace.is_empty() {
            meta.insert("namespace".to_owned(), json!(namespace));
        }
        meta.entry("uid").or_insert(json!(uid));
        meta.entry("creationTimestamp").or_insert(json!(now));
    }

    /// Stores an object under a new version and tells the watchers.
    pub(super) fn commit(
        &mut self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        mut object: Value,
    ) -> Value {
        self.version += 1;
        metadata(&mut object).insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        let key = (namespace.to_owned(), name.to_owned());
        let old = self.objects.entry(resource.clone()).or_default().insert(key, object.clone());
        self.publish(resource, namespace, old, object.clone(), false);
        object
    }

    /// Removes an object under a new version and tells the watchers; returns its last state.
    pub(super) fn remove(&mut self, resource: &Resource, namespace: &str, name: &str) -> Option<Value> {
        let old = self.objects.get_mut(resource)?.remove(&(namespace.to_owned(), name.to_owned()))?;
        self.version += 1;
        let mut last = old.clone();
        metadata(&mut last).insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        self.publish(resource, namespace, Some(old), last.clone(), true);
        Some(last)
    }

    fn publish(
        &mut self,
        resource: &Resource,
        namespace: &str,
        old: Option<Value>,
        object: Value,
        deleted: bool,
    ) {
        let change = Change {
            version: self.version,
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            old: old.map(Arc::new),
            object: Arc::new(object),
            deleted,
        };
        self.watchers.tell(&change);
        self.history.push_back(change);
        if self.history.len() > HISTORY {
            self.oldest = self.history.pop_front().map_or(self.oldest, |change| change.version);
        }
    }

    /// Opens a watch; `from` is the version that the client knows, none for the present state as ADDED events.
    pub(super) fn watch(&mut self, spec: WatchSpec, from: Option<u64>) -> UnboundedReceiver<String> {
        let lines = match from {
            Some(from) if from < self.oldest => {
                return Watchers::expired();
            }
            Some(from) => {
                self.history.iter().filter(|c| c.version > from).filter_map(|c| spec.line(c)).collect()
            }
            None => initial_lines(&spec, self.list(&spec.resource), self.version),
        };
        self.watchers.open(spec, lines)
    }

    pub(super) fn close_watches(&mut self) {
        self.watchers.close();
    }

    pub(super) fn expire(&mut self) {
        self.history.clear();
        // What is watched or listed from now on is newer than everything that any client can know.
        self.version += 1;
        self.oldest = self.version;
        self.watchers.expire();
    }

    pub(super) fn send_raw(&mut self, resource: &Resource, line: &str) {
        self.watchers.send_raw(resource, line);
    }

    pub(super) fn open_watches(&mut self) -> usize {
        self.watchers.count()
    }
}
