//! Events on pods and nodes (events.k8s.io/v1), aggregated per object and reason, with a rate cap.
//!
//! Recording never blocks and never fails: what does not fit is dropped and counted. Notes must never hold secrets.

use kube::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// For people, at most 1 kB; longer is cut.
    pub note: String,
}

/// Takes events; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct Recorder {}

impl Recorder {
    /// Starts the task that writes. `controller` is the reporting controller (`burst.io/bridge`), `instance` this process.
    pub fn start(
        client: Client,
        controller: &str,
        instance: &str,
        cancel: CancellationToken,
        tracker: &TaskTracker,
    ) -> Self {
        todo!()
    }

    /// Records an event, without waiting.
    pub fn record(&self, event: Event) {
        todo!()
    }

    /// How many events were dropped since the start.
    pub fn dropped(&self) -> u64 {
        todo!()
    }
}
