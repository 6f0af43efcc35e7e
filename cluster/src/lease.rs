//! Leases: the heartbeat of a virtual node, and the claim of one leader among our replicas.
//!
//! Heartbeats use a client of their own, so that pod traffic never starves them. Facts: coordination.k8s.io/v1; kubelet
//! (40 s, renewed every 10 s); client-go's leader election (15 s / 10 s / 2 s).

mod election;
mod heartbeat;

pub use election::{Claim, Election};
pub use heartbeat::heartbeat;

/// A time as a Lease writes it, with microseconds.
pub(crate) fn micro_time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Path of a Lease.
fn path(namespace: &str, name: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
}
