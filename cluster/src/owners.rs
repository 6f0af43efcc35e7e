//! The owners of a pod, up the chain of controllers, by UID: ReplicaSet to Deployment, Job to CronJob, any other kind.
//!
//! Answers come from a bounded cache with a time to live, and from live metadata-only reads on a miss. A kube client
//! must never be called from an actix runtime, so callers hold a handle that asks a task on the main runtime.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use smol_str::SmolStr;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::slim::OwnerRef;

mod cache;
mod chain;
mod kinds;
mod task;

use cache::Cache;
use task::Question;

/// Questions that may wait for the task.
const QUEUE: usize = 1024;

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
    #[error("owners of the pod ({owner}): no answer from the API server within {deadline:?}")]
    Deadline {
        /// The direct owner, as `kind namespace/name`.
        owner: String,
        /// What was allowed.
        deadline: Duration,
    },
    /// The API server refused or failed.
    #[error("owner {owner}: {message}")]
    Read {
        /// `kind namespace/name`.
        owner: String,
        /// What went wrong.
        message: String,
    },
    /// The process is stopping, or too many questions wait.
    #[error("owners of the pod ({owner}): {why}")]
    Unavailable {
        /// The direct owner, as `kind namespace/name`.
        owner: String,
        /// Why.
        why: &'static str,
    },
}

/// An owner as a question names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    namespace: SmolStr,
    owner: OwnerRef,
}

impl Wanted {
    fn words(&self) -> String {
        format!("{} {}/{}", self.owner.kind, self.namespace, self.owner.name)
    }
}

/// A handle for asking; cheap to clone, callable from any runtime.
#[derive(Clone, Debug)]
pub struct OwnerResolver {
    cache: Arc<Mutex<Cache>>,
    questions: mpsc::Sender<Question>,
}

impl OwnerResolver {
    /// Starts the task that reads; it ends with `cancel`. Must be called within the main tokio runtime.
    pub fn start(client: Client, cancel: CancellationToken, tracker: &TaskTracker) -> Self {
        let (questions, receiver) = mpsc::channel(QUEUE);
        let cache = Arc::new(Mutex::new(Cache::default()));
        let task = task::Task::new(client, Arc::clone(&cache), receiver);
        tracker.spawn(async move { cancel.run_until_cancelled(task.run()).await });
        Self { cache, questions }
    }

    /// The chain of owners from the direct controller upwards; an owner that is gone, or whose UID differs, ends it.
    /// Relabelling an owner is seen after the cache's time to live (10 s) at the latest, and at once by pods of a controller
    /// that is new, as after a rollout.
    ///
    /// # Errors
    /// [`OwnerError`] when the chain could not be read in time.
    pub async fn resolve(
        &self,
        namespace: &str,
        controller: &OwnerRef,
        deadline: Duration,
    ) -> Result<Vec<Owner>, OwnerError> {
        let wanted = Wanted { namespace: namespace.into(), owner: controller.clone() };
        if let Some(chain) = lock(&self.cache).chain(&wanted.owner, Instant::now()) {
            return Ok(chain);
        }
        let owner = wanted.words();
        let (answer, reply) = oneshot::channel();
        let full = |_| OwnerError::Unavailable {
            owner: owner.clone(),
            why: "too many questions wait, or the process stops",
        };
        self.questions.try_send(Question { wanted, answer }).map_err(full)?;
        match tokio::time::timeout(deadline, reply).await {
            Err(_) => Err(OwnerError::Deadline { owner, deadline }),
            Ok(Err(_)) => Err(OwnerError::Unavailable { owner, why: "the process stops" }),
            Ok(Ok(result)) => result,
        }
    }
}

fn lock(cache: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
