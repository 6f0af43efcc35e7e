//! Watches BurstPolicy and ClusterBurstPolicy objects and publishes them as one immutable list.
//!
//! A kind that the API server does not serve means that there are no such objects; it is looked for again every
//! [`ABSENT`], and is no error. An object whose spec does not decode is kept apart with its reason: whoever decides must
//! know that it exists, since it may hold limits. Any other failure leaves the last picture in place. Must never write
//! anything but status.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use policies::burst_policy::{BurstPolicyStatus, GROUP, PolicyKind, PolicyObject, VERSION, key};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::{WATCH_SECONDS, guarded};
use crate::patch::{Write, Written, send};

/// How often a kind that is not served is looked for.
pub const ABSENT: Duration = Duration::from_secs(30);

/// Pause after the first failure of a watch; it doubles up to [`ABSENT`].
const PAUSE: Duration = Duration::from_millis(800);

/// Changes that may wait to be published.
const QUEUE: usize = 64;

/// An object whose spec could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenObject {
    /// As of a [`PolicyObject`].
    pub key: String,
    /// Which kind.
    pub kind: PolicyKind,
    /// `metadata.namespace`; empty for a ClusterBurstPolicy.
    pub namespace: String,
    /// What cannot be read, for people.
    pub error: String,
}

/// Everything that is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Picture {
    objects: Arc<Vec<PolicyObject>>,
    broken: Arc<Vec<BrokenObject>>,
}

/// What readers hold; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct PolicyObjects {
    picture: Arc<ArcSwap<Picture>>,
    /// Counts publications; 0 until both kinds are known.
    published: watch::Receiver<u64>,
}

impl PolicyObjects {
    /// Starts the watch of both kinds as tracked tasks that end with `cancel`. Must be called within a tokio runtime.
    pub fn start(client: &Client, cancel: &CancellationToken, tracker: &TaskTracker) -> Self {
        let (sender, published) = watch::channel(0);
        let handle = Self { picture: Arc::default(), published };
        let (changes, inbox) = mpsc::channel(QUEUE);
        for kind in PolicyKind::ALL {
            let lookout = Lookout { kind, client: client.clone(), changes: changes.clone() };
            let cancel = cancel.clone();
            tracker.spawn(async move { cancel.run_until_cancelled(lookout.run()).await });
        }
        let publisher = Publisher { kinds: BTreeMap::new(), picture: Arc::clone(&handle.picture), sender };
        let cancel = cancel.clone();
        tracker.spawn(async move { cancel.run_until_cancelled(publisher.run(inbox)).await });
        handle
    }

    /// A handle over fixed objects, for tests of readers: known, never changing.
    pub fn fixed(objects: Vec<PolicyObject>) -> Self {
        let picture = Picture { objects: Arc::new(objects), broken: Arc::default() };
        let (_, published) = watch::channel(1);
        Self { picture: Arc::new(ArcSwap::from_pointee(picture)), published }
    }

    /// The objects as of now, ordered by key.
    pub fn snapshot(&self) -> Arc<Vec<PolicyObject>> {
        Arc::clone(&self.picture.load().objects)
    }

    /// The objects that cannot be read, ordered by key.
    pub fn broken(&self) -> Arc<Vec<BrokenObject>> {
        Arc::clone(&self.picture.load().broken)
    }

    /// Whether both kinds were listed completely, or found not to be served.
    pub fn synced(&self) -> bool {
        *self.published.borrow() > 0
    }

    /// Waits until both kinds are known, or the watch ends.
    pub async fn wait_synced(&self) {
        drop(self.published.clone().wait_for(|count| *count > 0).await);
    }

    /// Tells of every publication; the value counts them.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.published.clone()
    }
}

/// Replaces the status of exactly this object; the old one is replaced as a whole, so that no reason or row outlives its
/// cause. One writer: the leader.
///
/// # Errors
/// [`crate::WriteError`] when refused for good.
pub async fn put_status(client: &Client, object: &PolicyObject, status: &BurstPolicyStatus) -> Written {
    let path = match object.kind {
        PolicyKind::BurstPolicy => format!("namespaces/{}/{}", object.namespace, object.kind.plural()),
        PolicyKind::ClusterBurstPolicy => object.kind.plural().to_owned(),
    };
    let path = format!("/apis/{GROUP}/{VERSION}/{path}/{}/status", object.name);
    // The UID is immutable, so writing it fails where another object has taken the name.
    let body = json!([
        {"op": "add", "path": "/metadata/uid", "value": object.uid},
        {"op": "add", "path": "/status", "value": status},
    ]);
    send(client, Write::json("write status of", object.key.clone(), path, body)).await
}

/// What became of a kind's objects.
enum Change {
    /// A complete list; what is not in it does not exist.
    All(Vec<DynamicObject>),
    /// New or changed.
    Applied(Box<DynamicObject>),
    /// Gone.
    Deleted(Box<DynamicObject>),
    /// The kind is not served.
    Absent,
}

/// Watches one kind.
struct Lookout {
    kind: PolicyKind,
    client: Client,
    changes: mpsc::Sender<(PolicyKind, Change)>,
}

impl Lookout {
    async fn run(self) {
        let mut pause = PAUSE;
        loop {
            let (error, heard) = self.follow().await;
            if heard {
                pause = PAUSE;
            }
            if is_absent(&error) {
                tracing::debug!(kind = %self.kind, "the API server does not serve the kind");
                self.tell(Change::Absent).await;
                tokio::time::sleep(ABSENT).await;
            } else {
                tracing::warn!(kind = %self.kind, %error, "the watch failed; it is opened again after a pause");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ABSENT);
            }
        }
    }

    /// Follows the kind from a complete list until something fails, other than a watch whose history is gone. Tells
    /// also whether anything was heard.
    async fn follow(&self) -> (watcher::Error, bool) {
        let version = GroupVersionKind::gvk(GROUP, VERSION, self.kind.as_str());
        let resource = ApiResource::from_gvk_with_plural(&version, self.kind.plural());
        let api: Api<DynamicObject> = Api::all_with(guarded(&self.client, Arc::new(|| {})), &resource);
        let mut events = pin!(watcher(api, watcher::Config::default().timeout(WATCH_SECONDS)));
        let (mut list, mut heard) = (Vec::new(), false);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => list.clear(),
                Ok(watcher::Event::InitApply(object)) => list.push(object),
                Ok(watcher::Event::InitDone) => {
                    heard = true;
                    self.tell(Change::All(std::mem::take(&mut list))).await;
                }
                Ok(watcher::Event::Apply(object)) => self.tell(Change::Applied(Box::new(object))).await,
                Ok(watcher::Event::Delete(object)) => self.tell(Change::Deleted(Box::new(object))).await,
                Err(error) if is_expired(&error) => {}
                Err(error) => return (error, heard),
            }
        }
        (watcher::Error::NoResourceVersion, heard)
    }

    /// The publisher ends with us; a change that it cannot take any more is no loss.
    async fn tell(&self, change: Change) {
        drop(self.changes.send((self.kind, change)).await);
    }
}

fn status_of(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

fn is_absent(error: &watcher::Error) -> bool {
    status_of(error) == Some(404)
}

/// The watcher lists anew by itself.
fn is_expired(error: &watcher::Error) -> bool {
    status_of(error) == Some(410)
}

/// An object read, or why not.
type Entry = Result<PolicyObject, Box<BrokenObject>>;

/// Owns what is known of both kinds.
struct Publisher {
    kinds: BTreeMap<PolicyKind, BTreeMap<(String, String), Entry>>,
    picture: Arc<ArcSwap<Picture>>,
    sender: watch::Sender<u64>,
}

impl Publisher {
    async fn run(mut self, mut inbox: mpsc::Receiver<(PolicyKind, Change)>) {
        while let Some((kind, change)) = inbox.recv().await {
            self.take(kind, change);
            while let Ok((kind, change)) = inbox.try_recv() {
                self.take(kind, change);
            }
            self.publish();
        }
    }

    fn take(&mut self, kind: PolicyKind, change: Change) {
        let entries = self.kinds.get_mut(&kind);
        match (change, entries) {
            (Change::All(objects), _) => {
                let entries = objects.iter().map(|object| (place(object), read(kind, object))).collect();
                self.kinds.insert(kind, entries);
            }
            (Change::Absent, _) => drop(self.kinds.insert(kind, BTreeMap::new())),
            (Change::Applied(object), Some(entries)) => {
                entries.insert(place(&object), read(kind, &object));
            }
            (Change::Deleted(object), Some(entries)) => drop(entries.remove(&place(&object))),
            (Change::Applied(_) | Change::Deleted(_), None) => {}
        }
    }

    /// Publishes once both kinds are known, and then whatever differs: a changed status is no change.
    fn publish(&self) {
        if self.kinds.len() < PolicyKind::ALL.len() {
            return;
        }
        let entries = || self.kinds.values().flat_map(BTreeMap::values);
        let picture = Picture {
            objects: Arc::new(entries().filter_map(|entry| entry.clone().ok()).collect()),
            broken: Arc::new(
                entries().filter_map(|entry| entry.as_ref().err().map(|broken| (**broken).clone())).collect(),
            ),
        };
        if *self.sender.borrow() > 0 && **self.picture.load() == picture {
            return;
        }
        let known = self.picture.load().broken.clone();
        for broken in picture.broken.iter().filter(|broken| !known.contains(broken)) {
            tracing::error!(object = broken.key, error = broken.error, "a policy object cannot be read");
        }
        self.picture.store(Arc::new(picture));
        self.sender.send_modify(|count| *count += 1);
    }
}

fn place(object: &DynamicObject) -> (String, String) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&object.metadata.namespace), text(&object.metadata.name))
}

/// Reads an object; one whose spec cannot be read is still known to exist.
///
/// # Errors
/// The object's identity, and what does not fit.
pub fn read(kind: PolicyKind, object: &DynamicObject) -> Result<PolicyObject, Box<BrokenObject>> {
    let (namespace, name) = place(object);
    let key = key(kind, &namespace, &name);
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let spec = object.data.get("spec").filter(|spec| !spec.is_null()).cloned();
    match serde_json::from_value(spec.unwrap_or_else(|| Value::Object(serde_json::Map::new()))) {
        Ok(spec) => Ok(PolicyObject { key, kind, namespace, name, uid, generation, spec }),
        Err(error) => {
            let error = format!("spec: {error}");
            Err(Box::new(BrokenObject { key, kind, namespace, error }))
        }
    }
}

#[cfg(test)]
mod tests;
