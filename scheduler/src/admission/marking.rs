//! Marks the namespaces that policy objects speak for, so that the strict webhook guards their pods: a limit must hold
//! also for the pods that come while the webhook is down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::policy_objects::PolicyObjects;
use policies::burst_policy::PolicyKind;
use tokio::sync::Notify;

use super::Lookups;

/// How often marks that were not written are tried again.
const RETRY: Duration = Duration::from_secs(10);
/// Never marked: the webhook is not asked about them.
const OURS: [&str; 2] = ["kube-system", "burst-system"];

/// Keeps namespaces marked, at every change of objects and namespaces.
pub(super) async fn keep(lookups: Lookups, namespaces: Arc<Notify>, exempt: Vec<String>) {
    let mut objects = lookups.policies().changes();
    loop {
        for namespace in lookups.namespaces() {
            let name = namespace.metadata.name.as_deref().unwrap_or_default();
            let labels = namespace.metadata.labels.as_ref();
            let excluded = OURS.contains(&name) || exempt.iter().any(|e| e == name);
            if !excluded && spoken_for(lookups.policies(), name, labels.unwrap_or(&BTreeMap::new())) {
                lookups.mark(name);
            }
        }
        tokio::select! {
            () = namespaces.notified() => {}
            changed = objects.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Whether an object speaks for pods of the namespace. One that cannot be read counts where its kind tells the place.
pub(super) fn spoken_for(
    policies: &PolicyObjects,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let read = policies.snapshot().iter().any(|object| match object.kind {
        PolicyKind::BurstPolicy => object.namespace == namespace,
        PolicyKind::ClusterBurstPolicy => object.spec.namespace_selector.matches(labels),
    });
    let broken =
        || policies.broken().iter().any(|b| b.kind == PolicyKind::BurstPolicy && b.namespace == namespace);
    read || broken()
}
