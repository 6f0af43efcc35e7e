//! Watches nodes and pods, feeds the index, publishes snapshots in batches.
//!
//! One supervised task owns the index. Errors never end it and never empty the snapshot: they are counted, the age grows,
//! and readers decide. Pods are listed after the nodes, so that they meet their nodes in the index. Facts: kube's watcher
//! (Init, InitApply, InitDone); bookmarks about once a minute.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use policies::pod::PodFacts;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::freshness::{Freshness, NotReady, Source};
use crate::guarded::{WATCH_SECONDS, guarded};
use crate::index::Index;
use crate::protobuf::spoken;
use crate::slim::{SlimNode, SlimPod};
use crate::snapshot::Snapshot;

/// How long an event waits for others to be published with it.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// Shortest time between two publications, unless a batch is full: each looks at every node.
const SPACING: Duration = Duration::from_millis(50);

/// Most events in one batch.
const BATCH_EVENTS: usize = 256;

/// Bindings that wait for their reader; beyond it one is not told.
const BINDINGS: usize = 4096;

/// A pod with a policy other than off got its node while we watched. Told once.
#[derive(Debug)]
pub struct Binding {
    /// The pod.
    pub pod: Box<PodFacts>,
    /// When that was seen; the picture takes it in some 50 ms later.
    pub seen: Instant,
}

/// What readers hold; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct ClusterHandle {
    snapshot: Arc<ArcSwap<Snapshot>>,
    freshness: Arc<Freshness>,
    synced: watch::Receiver<bool>,
}

impl ClusterHandle {
    /// The picture as of now, for one request.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// A handle over a fixed picture, for tests of readers: synced, heard just now, never changing.
    pub fn fixed(snapshot: Arc<Snapshot>) -> Self {
        let freshness = Freshness::default();
        for source in [Source::Nodes, Source::Pods] {
            freshness.contact(source, Instant::now());
            freshness.listed(source);
        }
        let (_, synced) = watch::channel(true);
        Self { snapshot: Arc::new(ArcSwap::new(snapshot)), freshness: Arc::new(freshness), synced }
    }

    /// How fresh the picture is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Whether a decision may be made: synced, and the API server heard within `allowed`. A healthy watch is heard at
    /// least every 60 s, so `allowed` should be longer than that.
    ///
    /// # Errors
    /// [`NotReady`] says what is missing.
    pub fn ready(&self, allowed: Duration) -> Result<(), NotReady> {
        self.freshness.check(Instant::now(), allowed)
    }

    /// Waits until the first complete picture is published, or the watch ends.
    pub async fn wait_synced(&self) {
        drop(self.synced.clone().wait_for(|synced| *synced).await);
    }
}

/// The watch of nodes and pods.
#[derive(Debug)]
pub struct ClusterWatch;

impl ClusterWatch {
    /// Starts the watch as a tracked task that ends with `cancel`. Must be called within a tokio runtime.
    pub fn start(client: Client, cancel: CancellationToken, tracker: &TaskTracker) -> ClusterHandle {
        Self::begin(client, cancel, tracker, None)
    }

    /// As [`Self::start`], and tells of bindings.
    pub fn with_bindings(
        client: Client,
        cancel: CancellationToken,
        tracker: &TaskTracker,
    ) -> (ClusterHandle, mpsc::Receiver<Binding>) {
        let (sender, bindings) = mpsc::channel(BINDINGS);
        (Self::begin(client, cancel, tracker, Some(sender)), bindings)
    }

    fn begin(
        client: Client,
        cancel: CancellationToken,
        tracker: &TaskTracker,
        bindings: Option<mpsc::Sender<Binding>>,
    ) -> ClusterHandle {
        let (sender, synced) = watch::channel(false);
        let handle = ClusterHandle {
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::default())),
            freshness: Arc::new(Freshness::default()),
            synced,
        };
        let writer = Writer {
            index: Index::default(),
            snapshot: Arc::clone(&handle.snapshot),
            freshness: Arc::clone(&handle.freshness),
            synced: sender,
            waiting: 0,
            publish_at: None,
            published: None,
            bindings,
        };
        tracker.spawn(async move { cancel.run_until_cancelled(writer.run(&client)).await });
        handle
    }
}

type Events<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

/// Owns the index.
struct Writer {
    index: Index,
    snapshot: Arc<ArcSwap<Snapshot>>,
    freshness: Arc<Freshness>,
    synced: watch::Sender<bool>,
    waiting: usize,
    publish_at: Option<Instant>,
    published: Option<Instant>,
    bindings: Option<mpsc::Sender<Binding>>,
}

impl Writer {
    async fn run(mut self, client: &Client) {
        let mut nodes: Events<SlimNode> = self.open(client, Source::Nodes);
        let mut pods: Events<SlimPod> = stream::pending().boxed();
        let mut pods_open = false;
        loop {
            let publish = self.publish_at;
            let timer = async {
                match publish {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(event) = nodes.next() => self.node(event),
                Some(event) = pods.next() => self.pod(event),
                () = timer => self.publish(),
            }
            if !pods_open && self.freshness.has_listed(Source::Nodes) {
                pods = self.open(client, Source::Pods);
                pods_open = true;
            }
            if self.waiting >= BATCH_EVENTS {
                self.publish();
            }
        }
    }

    fn open<K>(&self, client: &Client, source: Source) -> Events<K>
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let (heard, freshness) = (Arc::clone(&self.freshness), Arc::clone(&self.freshness));
        let contact = Arc::new(move || heard.contact(source, Instant::now()));
        let told = Arc::new(move |protobuf| freshness.answered(source, protobuf));
        // Outside of the guard, which is to hear every byte.
        let client = spoken(&guarded(client, contact), told);
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        watcher(Api::<K>::all(client), config).default_backoff().boxed()
    }

    fn node(&mut self, event: watcher::Result<watcher::Event<SlimNode>>) {
        match event {
            Ok(watcher::Event::Init) => self.index.relist_nodes(),
            Ok(watcher::Event::InitApply(node) | watcher::Event::Apply(node)) => {
                self.index.apply_node(node);
                self.changed();
            }
            Ok(watcher::Event::Delete(node)) => {
                self.index.delete_node(node.name());
                self.changed();
            }
            Ok(watcher::Event::InitDone) => {
                let gone = self.index.sweep_nodes();
                self.listed(Source::Nodes, gone);
            }
            Err(error) => self.failed("nodes", &error),
        }
    }

    fn pod(&mut self, event: watcher::Result<watcher::Event<SlimPod>>) {
        match event {
            Ok(watcher::Event::Init) => self.index.relist_pods(),
            Ok(watcher::Event::InitApply(pod)) => {
                self.index.apply_pod(&pod);
                self.changed();
            }
            Ok(watcher::Event::Apply(mut pod)) => {
                self.tell(&mut pod);
                self.index.apply_pod(&pod);
                self.changed();
            }
            Ok(watcher::Event::Delete(pod)) => {
                self.index.delete_pod(pod.uid());
                self.changed();
            }
            Ok(watcher::Event::InitDone) => {
                let gone = self.index.sweep_pods();
                self.listed(Source::Pods, gone);
            }
            Err(error) => self.failed("pods", &error),
        }
    }

    /// Tells of a binding, if this is one: the index does not know the node yet. What a list brings was bound before.
    fn tell(&self, pod: &mut SlimPod) {
        let Some(bindings) = &self.bindings else { return };
        if pod.phase.finished() || self.index.is_bound(pod.uid()) {
            return;
        }
        let Some(Ok(facts)) = pod.text.take().map(|text| PodFacts::from_json(&text)) else { return };
        let pod = Box::new(facts);
        if bindings.try_send(Binding { pod, seen: Instant::now() }).is_err() {
            tracing::warn!("too many bindings wait to be explained: one is not");
        }
    }

    /// Counts an event and lets a batch begin; before the first complete lists nothing is published.
    fn changed(&mut self) {
        let now = Instant::now();
        self.freshness.event(now);
        if *self.synced.borrow() {
            self.waiting += 1;
            let spaced = self.published.map_or(now, |at| at + SPACING);
            self.publish_at.get_or_insert_with(|| spaced.max(now + BATCH_TIME));
        }
    }

    fn listed(&mut self, source: Source, gone: usize) {
        tracing::info!(?source, gone, "listed completely");
        self.freshness.listed(source);
        if self.freshness.synced() {
            self.publish();
        }
    }

    fn failed(&self, what: &str, error: &watcher::Error) {
        tracing::warn!(what, %error, "the watch failed; it is opened again with back-off");
        self.freshness.failed(error.to_string());
    }

    fn publish(&mut self) {
        self.snapshot.store(self.index.snapshot(true));
        self.synced.send_replace(true);
        self.waiting = 0;
        self.publish_at = None;
        self.published = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests;
