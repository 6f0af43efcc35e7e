//! What the providers of the virtual nodes cannot run.
//!
//! There is a support matrix for CCI. A virtual node of another provider may be able to run anything, so as soon as
//! there is one, nothing is refused for CCI's sake; Filter and the bridge still check node by node.

use cluster::Snapshot;
use policies::support::{self, Unsupported};
use serde_json::Value;

const HUAWEI: &str = "huawei";

/// Whether CCI's rules bind every burst pod.
pub(super) fn only_cci(snapshot: &Snapshot) -> bool {
    snapshot.virtual_nodes().all(|node| node.provider.as_deref() == Some(HUAWEI))
}

/// What of a pod, or of a pod template, none of the providers can run.
pub(super) fn unsupported(snapshot: &Snapshot, provider: Option<&str>, pod: &Value) -> Vec<Unsupported> {
    let other = provider.is_some_and(|provider| provider != HUAWEI);
    if other || !only_cci(snapshot) { Vec::new() } else { support::check(pod) }
}
