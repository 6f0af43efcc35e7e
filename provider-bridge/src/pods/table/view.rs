//! Read-only questions about the table: for the kubelet port and the metrics.

use cluster::bound_pods::BoundPod;

use super::Table;
use crate::cloud::{Instance, PodIdentity};
use crate::pods::entry::{self, Entry};
use crate::pods::machine::{Api, Cloud, Record};

impl Table {
    /// A pod's latest object and instance, by name, for the kubelet port.
    pub fn find(&self, namespace: &str, name: &str) -> Option<(&BoundPod, Option<&Instance>)> {
        let uids = self.names.get(&entry::name_key(namespace, name))?;
        let alive = |e: &&Entry| e.pod.is_some() && e.record.api != Api::Absent;
        let entry = uids.iter().filter_map(|uid| self.entries.get(uid)).rfind(alive)?;
        entry.pod.as_ref().map(|pod| (pod, entry.instance.as_ref()))
    }

    /// The instance of a pod.
    pub fn instance(&self, uid: &str) -> Option<&Instance> {
        self.entries.get(uid)?.instance.as_ref()
    }

    /// The pod whose instance this is, by the instance's id.
    pub fn pod_of(&self, instance_id: &str) -> Option<&PodIdentity> {
        let mut instances = self.entries.values().filter_map(|entry| entry.instance.as_ref());
        instances.find(|instance| instance.id == instance_id).map(|instance| &instance.pod)
    }

    /// Pods that the API server has; with `running` only those that have an instance that has not been told to stop.
    pub fn pods(&self, running: bool) -> Vec<BoundPod> {
        self.entries
            .values()
            .filter(|e| !matches!(e.record.api, Api::Absent | Api::Unseen))
            .filter(|e| !running || matches!((e.record.cloud, e.record.api), (Cloud::Present, Api::Wanted)))
            .filter_map(|e| e.pod.clone())
            .collect()
    }

    /// Pods that have an instance that has not been told to stop, and that instance.
    pub fn live(&self) -> Vec<(BoundPod, Instance)> {
        let live = |e: &&Entry| matches!((e.record.cloud, e.record.api), (Cloud::Present, Api::Wanted));
        let pair = |e: &Entry| Some((e.pod.clone()?, e.instance.clone()?));
        self.entries.values().filter(live).filter_map(pair).collect()
    }

    /// Number of pods by state, for the metric.
    pub fn counts(&self) -> [(&'static str, usize); 6] {
        let count = |test: fn(&Record) -> bool| self.entries.values().filter(|e| test(&e.record)).count();
        [
            ("waiting", count(|r| r.api == Api::Wanted && r.cloud == Cloud::Absent)),
            ("unknown", count(|r| matches!(r.cloud, Cloud::Unknown { .. }))),
            ("active", count(|r| r.api == Api::Wanted && r.cloud == Cloud::Present)),
            ("finished", count(|r| r.api == Api::Finished)),
            ("deleting", count(|r| matches!(r.api, Api::Deleting { .. } | Api::Absent))),
            (
                "orphan",
                count(|r| r.api == Api::Unseen && !matches!(r.cloud, Cloud::Absent | Cloud::Unknown { .. })),
            ),
        ]
    }
}
