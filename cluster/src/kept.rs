//! Every object of one kind in memory: one watch, published as an immutable map in batches.
//!
//! A failing watch never empties the map. Objects of a kind that the API server does not know (its definition is not
//! installed) are none, for kinds of ours only; the watch looks for it every [`ABSENT`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::StreamExt;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::WATCH_SECONDS;
use crate::policy_objects::ABSENT;

/// Longest time that a change waits to be published.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// Objects by key.
pub type Objects<T> = BTreeMap<SmolStr, Arc<T>>;

/// An object that is kept by a key of its own.
pub(crate) trait Keyed:
    kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Whether the API server may not know the kind.
    const OPTIONAL: bool;

    /// The key: the UID of a pod, the name of an object of ours.
    fn key(&self) -> SmolStr;
}

/// What readers hold; cheap to clone, callable from any runtime.
#[derive(Debug)]
pub struct Kept<T> {
    objects: Arc<ArcSwap<Objects<T>>>,
    published: watch::Receiver<Published>,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), published: self.published.clone() }
    }
}

/// How often the map was published, and whether it was ever complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Grows with every publication.
    pub generation: u64,
    /// A complete list was seen.
    pub synced: bool,
}

impl<T> Kept<T> {
    /// The objects as of now.
    pub fn objects(&self) -> Arc<Objects<T>> {
        self.objects.load_full()
    }

    /// Whether a complete list was seen. Before, the absence of an object says nothing.
    pub fn synced(&self) -> bool {
        self.published.borrow().synced
    }

    /// Tells of every publication.
    pub fn changes(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// Waits for the first complete list, or the end of the watch.
    pub async fn wait_synced(&self) {
        drop(self.published.clone().wait_for(|published| published.synced).await);
    }

    /// A handle over fixed objects, for tests of readers.
    pub fn fixed(objects: Objects<T>) -> Self {
        let (_, published) = watch::channel(Published { generation: 1, synced: true });
        Self { objects: Arc::new(ArcSwap::from_pointee(objects)), published }
    }
}

/// Starts the watch as a tracked task that ends with `cancel`.
pub(crate) fn start<T: Keyed>(
    api: Api<T>,
    config: watcher::Config,
    cancel: CancellationToken,
    tracker: &TaskTracker,
) -> Kept<T> {
    let (sender, published) = watch::channel(Published::default());
    let kept = Kept { objects: Arc::new(ArcSwap::from_pointee(Objects::new())), published };
    let writer = Writer {
        current: Objects::new(),
        listing: None,
        objects: Arc::clone(&kept.objects),
        sender,
        publish_at: None,
    };
    tracker.spawn(async move { cancel.run_until_cancelled(writer.run(api, config)).await });
    kept
}

struct Writer<T> {
    current: Objects<T>,
    /// The list that is being read: it replaces everything when it is complete.
    listing: Option<Objects<T>>,
    objects: Arc<ArcSwap<Objects<T>>>,
    sender: watch::Sender<Published>,
    publish_at: Option<Instant>,
}

impl<T: Keyed> Writer<T> {
    async fn run(mut self, api: Api<T>, config: watcher::Config) {
        let mut events = watcher(api, config.timeout(WATCH_SECONDS)).default_backoff().boxed();
        loop {
            let at = self.publish_at;
            let timer = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    // The watcher's own back-off starts anew with each list it begins, and would ask all the time.
                    Some(Err(error)) if T::OPTIONAL && unknown_kind(&error) => {
                        self.absent();
                        tokio::time::sleep(ABSENT).await;
                    }
                    Some(event) => self.event(event),
                    None => return,
                },
                () = timer => self.publish(),
            }
        }
    }

    fn event(&mut self, event: watcher::Result<watcher::Event<T>>) {
        match event {
            Ok(watcher::Event::Init) => self.listing = Some(Objects::new()),
            Ok(watcher::Event::InitApply(object)) => {
                self.listing.get_or_insert_default().insert(object.key(), Arc::new(object));
            }
            Ok(watcher::Event::InitDone) => self.listed(),
            Ok(watcher::Event::Apply(object)) => {
                self.current.insert(object.key(), Arc::new(object));
                self.changed();
            }
            Ok(watcher::Event::Delete(object)) => {
                self.current.remove(&object.key());
                self.changed();
            }
            Err(error) => {
                tracing::warn!(kind = %T::kind(&()), %error, "the watch failed; it is opened again with back-off");
            }
        }
    }

    fn absent(&mut self) {
        tracing::debug!(kind = %T::kind(&()), "the API server does not know this kind yet");
        self.listing = Some(Objects::new());
        self.listed();
    }

    fn listed(&mut self) {
        self.current = self.listing.take().unwrap_or_default();
        self.publish();
    }

    fn changed(&mut self) {
        self.publish_at.get_or_insert_with(|| Instant::now() + BATCH_TIME);
    }

    /// Every publication before the first complete list would show too little; none is made.
    fn publish(&mut self) {
        self.publish_at = None;
        self.objects.store(Arc::new(self.current.clone()));
        self.sender.send_modify(|published| {
            *published = Published { generation: published.generation + 1, synced: true };
        });
    }
}

/// 404 on the collection: no definition of the kind.
fn unknown_kind(error: &watcher::Error) -> bool {
    let source = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        watcher::Error::WatchError(status) => return status.code == 404,
        watcher::Error::NoResourceVersion => return false,
    };
    matches!(source, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests;
