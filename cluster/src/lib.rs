//! The only crate that touches Kubernetes types for the binaries: slim pod and node records, watch to index to
//! immutable snapshot, guarded writes, events, Leases, and an in-memory API server for tests.
//!
//! It must never contain cloud code or HTTP-server code. Facts: the Kubernetes API conventions and kube's watcher.

mod borrowed;
pub mod bound_pods;
pub mod claims;
pub mod client;
pub mod daemons;
pub mod events;
pub mod freshness;
pub mod governed;
pub mod grant;
mod guarded;
pub mod index;
pub mod kept;
pub mod lease;
pub mod ledgers;
pub mod owners;
pub mod patch;
pub mod policy_objects;
pub mod protobuf;
mod read;
pub mod reports;
pub mod slim;
pub mod snapshot;
pub mod successor;
pub mod testing;
pub mod versioned;
pub mod volumes;
pub mod watch;

pub use bound_pods::{BoundPod, PodEvent};
pub use client::Access;
pub use events::{Event, EventKind, Recorder};
pub use freshness::{Freshness, NotReady};
pub use governed::GovernedPod;
pub use index::Index;
pub use kept::Kept;
pub use owners::{Owner, OwnerResolver};
pub use patch::{Outcome, PodRef, WriteError};
pub use policy_objects::PolicyObjects;
pub use slim::{PodPhase, SlimNode, SlimPod};
pub use snapshot::{BurstPod, NodeId, Snapshot};
pub use watch::{Binding, ClusterHandle, ClusterWatch};
