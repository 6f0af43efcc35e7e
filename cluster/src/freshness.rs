//! How fresh the snapshot is: when the API server last said anything on the watches, and whether they fail now.
//!
//! A quiet cluster sends no object events, so bytes on the wire (bookmarks, reopened watches) count as contact. It must
//! never call a picture fresh because nothing was heard.

use std::sync::Mutex;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

/// Why the cluster picture must not be used to decide.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotReady {
    /// The first complete list is not finished.
    #[error(
        "the cluster cache is not filled yet: waiting for the first complete list of {0} from the API server"
    )]
    Unsynced(&'static str),
    /// Nothing was heard for too long.
    #[error(
        "the cluster cache is stale: nothing heard from the API server for {age:?} (allowed {allowed:?}); last error: {last_error}"
    )]
    Stale {
        /// Time since the last contact.
        age: Duration,
        /// What is allowed.
        allowed: Duration,
        /// The last error of a watch, `none` if there was none.
        last_error: String,
    },
}

#[derive(Debug, Default)]
struct State {
    nodes_contact: Option<Instant>,
    pods_contact: Option<Instant>,
    nodes_synced: bool,
    pods_synced: bool,
    nodes_protobuf: bool,
    pods_protobuf: bool,
    last_event: Option<Instant>,
    errors: u64,
    last_error: Option<String>,
}

/// Which watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Nodes,
    Pods,
}

/// Contact with the API server, written by the watch, read by `/readyz` and the extender.
#[derive(Debug, Default)]
pub struct Freshness {
    state: Mutex<State>,
}

impl Freshness {
    /// Whether both kinds were listed completely at least once.
    pub fn synced(&self) -> bool {
        self.read(|s| s.nodes_synced && s.pods_synced)
    }

    /// Time since the older of the two watches was last heard; `None` before both were heard.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.read(|s| Some(now.saturating_duration_since(s.nodes_contact?.min(s.pods_contact?))))
    }

    /// Time since the last object event, for metrics; a quiet cluster has none for long.
    pub fn last_event_age(&self, now: Instant) -> Option<Duration> {
        self.read(|s| s.last_event.map(|at| now.saturating_duration_since(at)))
    }

    /// Errors of the watches since the start.
    pub fn errors(&self) -> u64 {
        self.read(|s| s.errors)
    }

    /// Whether the API server's last answers on both watches were in protobuf.
    pub fn protobuf(&self) -> bool {
        self.read(|s| s.nodes_protobuf && s.pods_protobuf)
    }

    /// Whether a decision may be made from the snapshot: synced, and heard within `allowed`.
    ///
    /// # Errors
    /// [`NotReady`] says what is missing.
    pub fn check(&self, now: Instant, allowed: Duration) -> Result<(), NotReady> {
        let (nodes, pods, error) = self.read(|s| (s.nodes_synced, s.pods_synced, s.last_error.clone()));
        if !nodes {
            return Err(NotReady::Unsynced("nodes"));
        }
        if !pods {
            return Err(NotReady::Unsynced("pods"));
        }
        let age = self.age(now).unwrap_or(Duration::MAX);
        if age <= allowed {
            return Ok(());
        }
        Err(NotReady::Stale { age, allowed, last_error: error.unwrap_or_else(|| "none".to_owned()) })
    }

    pub(crate) fn contact(&self, source: Source, now: Instant) {
        self.write(|s| match source {
            Source::Nodes => s.nodes_contact = Some(now),
            Source::Pods => s.pods_contact = Some(now),
        });
    }

    pub(crate) fn answered(&self, source: Source, protobuf: bool) {
        self.write(|s| match source {
            Source::Nodes => s.nodes_protobuf = protobuf,
            Source::Pods => s.pods_protobuf = protobuf,
        });
    }

    pub(crate) fn event(&self, now: Instant) {
        self.write(|s| s.last_event = Some(now));
    }

    pub(crate) fn has_listed(&self, source: Source) -> bool {
        self.read(|s| match source {
            Source::Nodes => s.nodes_synced,
            Source::Pods => s.pods_synced,
        })
    }

    pub(crate) fn listed(&self, source: Source) {
        self.write(|s| match source {
            Source::Nodes => s.nodes_synced = true,
            Source::Pods => s.pods_synced = true,
        });
    }

    pub(crate) fn failed(&self, error: String) {
        self.write(|s| {
            s.errors += 1;
            s.last_error = Some(error);
        });
    }

    fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn write(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}
