//! Leases: the heartbeat of a virtual node, and the claim of one leader among our replicas.
//!
//! Heartbeats use a client of their own, so that pod traffic never starves them. Facts: coordination.k8s.io/v1; kubelet
//! (40 s, renewed every 10 s); client-go's leader election (15 s / 10 s / 2 s).

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Renews the Lease `kube-node-lease/<node>` every 10 s for 40 s until cancelled; failures are retried and logged.
/// `node_uid` makes the Node its owner when known (`None`: not set).
pub async fn heartbeat(
    client: Client,
    node: String,
    node_uid: watch::Receiver<Option<String>>,
    cancel: CancellationToken,
) {
    todo!()
}

/// Who may act as leader.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claim {
    /// We are the leader now.
    pub leading: bool,
    /// Identity of the leader, as far as known.
    pub holder: Option<String>,
}

/// One election.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Our identity, unique per process.
    pub identity: String,
}

impl Election {
    /// Takes part until cancelled, then gives the Lease up. The claim turns false before the Lease can be taken by
    /// another, even when the API server cannot be reached.
    pub async fn run(self, client: Client, claim: watch::Sender<Claim>, cancel: CancellationToken) {
        todo!()
    }
}
