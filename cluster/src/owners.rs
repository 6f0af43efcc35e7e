//! The owners of a pod, up the chain of controllers, by UID: ReplicaSet to Deployment, Job to CronJob, any other kind.
//!
//! Answers come from a bounded cache with a time to live, and from live metadata-only reads on a miss. A kube client
//! must never be called from an actix runtime, so callers hold a handle that asks a task on the main runtime.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::slim::OwnerRef;

/// One owner, with the labels that may carry a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `kind`, for example `Deployment`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
}

/// The owners could not be read; the caller decides whether to refuse or to go on without.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OwnerError {
    /// No answer within the deadline.
    #[error("owners of {object}: no answer from the API server within {deadline:?}")]
    Deadline {
        /// Whose owners.
        object: String,
        /// What was allowed.
        deadline: Duration,
    },
    /// The API server refused or failed.
    #[error("owner {owner}: {message}")]
    Read {
        /// `kind namespace/name`.
        owner: String,
        /// What the server said.
        message: String,
    },
    /// The process is stopping, or the queue is full.
    #[error("owners of {object}: {why}")]
    Unavailable {
        /// Whose owners.
        object: String,
        /// Why.
        why: &'static str,
    },
}

/// A handle for asking; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct OwnerResolver {}

impl OwnerResolver {
    /// Starts the task that reads; it ends with `cancel`.
    pub fn start(client: Client, cancel: CancellationToken, tracker: &TaskTracker) -> Self {
        todo!()
    }

    /// The chain of owners from the direct controller upwards; an owner that is gone, or whose UID differs, ends it.
    ///
    /// # Errors
    /// [`OwnerError`] when the chain could not be read in time.
    pub async fn resolve(
        &self,
        namespace: &str,
        controller: &OwnerRef,
        deadline: Duration,
    ) -> Result<Vec<Owner>, OwnerError> {
        todo!()
    }
}
