//! Watches nodes and pods, feeds the index, publishes snapshots in batches.
//!
//! One supervised task owns the index. Errors never end it and never empty the snapshot: they are counted, the age grows,
//! and readers decide. Facts: kube's watcher (Init, InitApply, InitDone), API server bookmarks about once a minute.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::freshness::{Freshness, NotReady};
use crate::snapshot::Snapshot;

/// What readers hold; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct ClusterHandle {
    snapshot: Arc<ArcSwap<Snapshot>>,
    freshness: Arc<Freshness>,
}

impl ClusterHandle {
    /// The picture as of now, for one request.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// A handle over a fixed picture, for tests of readers: synced and fresh as of now.
    pub fn fixed(snapshot: Arc<Snapshot>) -> Self {
        todo!()
    }

    /// How fresh the picture is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Whether a decision may be made: synced, and the API server heard within `allowed`.
    ///
    /// # Errors
    /// [`NotReady`] says what is missing.
    pub fn ready(&self, allowed: Duration) -> Result<(), NotReady> {
        self.freshness.check(tokio::time::Instant::now(), allowed)
    }

    /// Waits for the first complete lists.
    pub async fn wait_synced(&self) {
        todo!()
    }
}

/// The watch of nodes and pods.
#[derive(Debug)]
pub struct ClusterWatch;

impl ClusterWatch {
    /// Starts the watch as a tracked task that ends with `cancel`.
    pub fn start(client: Client, cancel: CancellationToken, tracker: &TaskTracker) -> ClusterHandle {
        todo!()
    }
}
