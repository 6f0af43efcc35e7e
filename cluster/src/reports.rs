//! `VirtualNodeReport` objects, one per virtual node, written by its bridge and read by burst-scheduler.
//!
//! What a report says of an instance is proof; what it does not say proves nothing.

use k8s_openapi::ClusterResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client};
use policies::ledger::NodeReport;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::guarded;
use crate::kept::{self, Kept};
use crate::patch::WriteError;
use crate::versioned::{self, Put, Stored, stored};

stored!(NodeReport, "VirtualNodeReport", "virtualnodereports", ClusterResourceScope);

/// A report as it was read.
pub type StoredReport = Stored<NodeReport>;

/// Reads a node's report live; none if there is none. The error is for people.
///
/// # Errors
/// When the API server does not give it.
pub async fn read(client: &Client, node: &str) -> Result<Option<StoredReport>, String> {
    versioned::read(client, None, node).await
}

/// Writes a node's report: created if `version` is none, else replaced only if nobody wrote it since.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn put(
    client: &Client,
    node: &str,
    version: Option<&str>,
    report: &NodeReport,
) -> Result<Put, WriteError> {
    versioned::put(client, None, node, version, report).await
}

/// Watches every report; keys are names of nodes. Must be called within a tokio runtime.
pub fn watch(client: &Client, cancel: CancellationToken, tracker: &TaskTracker) -> Kept<StoredReport> {
    let api = Api::all(guarded(client, std::sync::Arc::new(|| {})));
    kept::start(api, watcher::Config::default(), cancel, tracker)
}

#[cfg(test)]
mod tests;
