//! What the pods of one virtual node use: one batch from the cloud, kept for some seconds, for `/stats/summary` and
//! `/metrics/resource`.
//!
//! [`cache`] asks the cloud, and only while somebody asks here; [`meter`] (pure) turns samples into counters that never
//! fall; [`summary`] and [`resource`] (pure) write them. Facts: `k8s.io/kubelet/pkg/apis/stats/v1alpha1` and the kubelet's
//! `pkg/kubelet/metrics/collectors/resource_metrics.go`.

use jiff::Timestamp;
use serde_json::Value;

use crate::cloud::PodIdentity;
use crate::cloud::usage::{Interface, Memory, Usage};

mod cache;
mod meter;
mod resource;
mod summary;

pub use cache::{Answer, Source, UsageCache};
pub use meter::Meter;
pub use resource::{text as resource_text, unknown as resource_unknown};
pub use summary::summary;

/// What a virtual node and its pods use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    /// Name of the virtual node.
    pub node: String,
    /// Since when its counter counts.
    pub since: Timestamp,
    /// When the batch was complete.
    pub at: Timestamp,
    /// CPU in use, all pods: thousand-millionths of a core.
    pub nano_cores: u64,
    /// CPU used by all pods since `since`: core-nanoseconds. It never falls, whatever pods go.
    pub core_nano_seconds: u64,
    /// Memory of all pods.
    pub memory: Memory,
    /// Its pods that run and of which the cloud told something, by namespace and name.
    pub pods: Vec<PodUsage>,
    /// Running pods of which the cloud told nothing.
    pub skipped: usize,
}

/// What a pod uses: the sum of the containers it has itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// Whose.
    pub pod: PodIdentity,
    /// Start of the pod.
    pub started: Option<Timestamp>,
    /// The latest of its containers' samples.
    pub at: Timestamp,
    /// CPU in use; none before it is known of every container.
    pub nano_cores: Option<u64>,
    /// CPU used: core-nanoseconds; restarts of containers do not make it fall.
    pub core_nano_seconds: u64,
    /// Memory.
    pub memory: Memory,
    /// Containers in the order of the pod's spec.
    pub containers: Vec<ContainerUsed>,
    /// Network, where the cloud tells.
    pub interfaces: Vec<Interface>,
}

/// What a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerUsed {
    /// Its name.
    pub name: String,
    /// Start of its present incarnation.
    pub started: Option<Timestamp>,
    /// When it was measured.
    pub at: Timestamp,
    /// CPU in use: thousand-millionths of a core.
    pub nano_cores: Option<u64>,
    /// CPU used since its start: core-nanoseconds.
    pub core_nano_seconds: u64,
    /// Memory.
    pub memory: Memory,
}

/// A pod that runs, and what the cloud says that its instance uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whose.
    pub pod: PodIdentity,
    /// Start of the pod.
    pub started: Option<Timestamp>,
    /// The pod's own containers and the starts of their present incarnations.
    pub containers: Vec<(String, Option<Timestamp>)>,
    /// None: the cloud told nothing.
    pub usage: Option<Usage>,
}

impl Observed {
    /// From the Pod object, which says what the pod's own containers are.
    pub fn of(pod: PodIdentity, object: &Value, usage: Option<Usage>) -> Self {
        let status = |list: &str, name: &str| {
            let rows = object.pointer(&format!("/status/{list}")).and_then(Value::as_array)?;
            rows.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(name))
        };
        let mut containers = Vec::new();
        for (list, statuses) in [
            ("containers", "containerStatuses"),
            ("initContainers", "initContainerStatuses"),
            ("ephemeralContainers", "ephemeralContainerStatuses"),
        ] {
            let all =
                object.pointer(&format!("/spec/{list}")).and_then(Value::as_array).into_iter().flatten();
            for name in all.filter_map(|container| container.get("name").and_then(Value::as_str)) {
                let row = status(statuses, name);
                let started = row.and_then(|row| time(row.pointer("/state/running/startedAt")));
                containers.push((name.to_owned(), started));
            }
        }
        let started = time(object.pointer("/status/startTime"));
        let started = started.or_else(|| time(object.pointer("/metadata/creationTimestamp")));
        Self { pod, started, containers, usage }
    }
}

fn time(value: Option<&Value>) -> Option<Timestamp> {
    value.and_then(Value::as_str)?.parse().ok()
}

#[cfg(test)]
mod tests;
