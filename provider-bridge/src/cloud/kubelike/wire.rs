//! The parts of a Kubernetes-style cloud's objects that burst reads, decoded without building the rest.
//!
//! A busy account sends hundreds of watch events per second, each with a whole pod in it: only tags and status are
//! kept, everything else is skipped by the parser.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use policies::quantity::Quantity;
use policies::resources::Resources;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cloud::{Instance, PodIdentity, hidden};

use super::status;

/// A pod of the cloud, reduced.
#[derive(Debug, Deserialize)]
pub(in crate::cloud) struct CloudPod {
    pub(in crate::cloud) metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    restart_policy: String,
}

/// Metadata of any object that burst made.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cloud) struct Meta {
    #[serde(default)]
    pub(in crate::cloud) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(in crate::cloud) uid: String,
    #[serde(default)]
    pub(in crate::cloud) resource_version: String,
    #[serde(default)]
    pub(in crate::cloud) creation_timestamp: Option<String>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
    #[serde(default)]
    pub(in crate::cloud) labels: Labels,
    #[serde(default)]
    annotations: Annotations,
}

/// The tags of the identity, spelled as in `policies::keys::tag`.
#[derive(Debug, Default, Deserialize)]
pub(in crate::cloud) struct Labels {
    #[serde(default, rename = "burst.io/cluster-id")]
    pub(in crate::cloud) cluster: String,
    #[serde(default, rename = "burst.io/virtual-node")]
    pub(in crate::cloud) node: String,
    #[serde(default, rename = "burst.io/pod-uid")]
    pub(in crate::cloud) pod_uid: String,
}

#[derive(Debug, Default, Deserialize)]
struct Annotations {
    #[serde(default, rename = "burst.io/pod-namespace")]
    pod_namespace: String,
    #[serde(default, rename = "burst.io/pod-name")]
    pod_name: String,
    #[serde(default, rename = "burst.io/copies")]
    copies: String,
    #[serde(default, rename = "burst.io/claims")]
    claims: String,
    #[serde(default, rename = "burst.io/hidden-containers")]
    hidden: String,
    #[serde(default, rename = "virtual-kubelet.cci.io/burst-pod-cpu")]
    cpu: String,
    #[serde(default, rename = "virtual-kubelet.cci.io/burst-pod-memory")]
    memory: String,
}

/// One page of a list of `T`.
#[derive(Debug, Deserialize)]
pub(in crate::cloud) struct Page<T> {
    #[serde(default)]
    pub(in crate::cloud) metadata: PageMeta,
    #[serde(default = "Vec::new")]
    pub(in crate::cloud) items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cloud) struct PageMeta {
    #[serde(default)]
    pub(in crate::cloud) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(in crate::cloud) continue_token: Option<String>,
}

/// An object of which only the metadata is read.
#[derive(Debug, Deserialize)]
pub(in crate::cloud) struct Named {
    pub(in crate::cloud) metadata: Meta,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub(in crate::cloud) struct WatchLine<'a> {
    #[serde(rename = "type", borrow)]
    pub(in crate::cloud) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::cloud) object: &'a RawValue,
}

/// The `Status` object of an ERROR line.
#[derive(Debug, Default, Deserialize)]
pub(in crate::cloud) struct WatchError {
    #[serde(default)]
    pub(in crate::cloud) code: u16,
    #[serde(default)]
    pub(in crate::cloud) message: String,
    #[serde(default)]
    pub(in crate::cloud) reason: String,
}

impl Annotations {
    /// The size that the forge wrote down.
    fn billed(&self) -> Resources {
        let read = |text: &str, unit: fn(&Quantity) -> i64| {
            Quantity::parse(text).ok().and_then(|quantity| u64::try_from(unit(&quantity)).ok()).unwrap_or(0)
        };
        Resources {
            cpu_milli: read(&self.cpu, Quantity::to_milli_ceil),
            memory_bytes: read(&self.memory, Quantity::to_value_ceil),
            pods: 1,
            ..Resources::default()
        }
    }
}

impl Meta {
    /// Deletion was asked for.
    pub(in crate::cloud) const fn deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// How long it exists, if that can be read.
    pub(super) fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        let created: Timestamp = self.creation_timestamp.as_deref()?.parse().ok()?;
        Some(now.duration_since(created))
    }
}

impl CloudPod {
    /// Whether burst made it for this cluster, on one of these nodes.
    pub(in crate::cloud) fn is_ours(&self, cluster_id: &str, nodes: &[String]) -> bool {
        let labels = &self.metadata.labels;
        labels.cluster == cluster_id && !labels.pod_uid.is_empty() && nodes.contains(&labels.node)
    }

    /// Names of the copied objects that go with the instance, as `kind/name`.
    pub(in crate::cloud) fn copies(&self) -> impl Iterator<Item = &str> {
        self.metadata.annotations.copies.split(',').filter(|copy| !copy.is_empty())
    }

    /// Names of the shared claims that it mounts.
    pub(in crate::cloud) fn claims(&self) -> impl Iterator<Item = &str> {
        self.metadata.annotations.claims.split(',').filter(|claim| !claim.is_empty())
    }

    /// Deletion was asked for.
    pub(in crate::cloud) const fn deleting(&self) -> bool {
        self.metadata.deleting()
    }

    /// The instance in domain words, under this id.
    pub(super) fn into_instance(self, id: String) -> Instance {
        let deleting = self.deleting();
        let meta = self.metadata;
        let created = meta.creation_timestamp.as_deref();
        Instance {
            id,
            created: created.and_then(|at| at.parse().ok()),
            status: Arc::new(hidden::hide(
                status::localise(self.status, created),
                &meta.annotations.hidden,
                &self.spec.restart_policy,
            )),
            deleting,
            billed: meta.annotations.billed(),
            pod: PodIdentity {
                uid: meta.labels.pod_uid,
                namespace: meta.annotations.pod_namespace,
                name: meta.annotations.pod_name,
            },
            node: meta.labels.node,
        }
    }
}

#[cfg(test)]
mod tests {
    use policies::keys::tag;
    use serde_json::json;

    use super::*;

    fn pod(labels: &Value) -> CloudPod {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-1", "uid": "cloud-uid", "resourceVersion": "7", "labels": labels,
                "creationTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["billing.kubernetes.io/podbilling-finalizer"],
                "annotations": {tag::POD_NAMESPACE: "shop", tag::POD_NAME: "web", "burst.io/copies": "configmaps/a,secrets/b",
                    policies::keys::burst_size::CPU: "1.25", policies::keys::burst_size::MEMORY: "3Gi",
                    "resource.cci.io/size": "2.00_4.0"}},
            "spec": {"nodeName": "compute-cell-1"},
            "status": {"phase": "Running", "hostIP": "10.1.1.1", "podIP": "192.168.0.9"}
        }))
        .unwrap()
    }

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let pod = pod(&json!({tag::CLUSTER: "c1", tag::NODE: "n1", tag::POD_UID: "u1"}));
        assert!(pod.is_ours("c1", &["n1".into()]));
        assert!(!pod.is_ours("c2", &["n1".into()]));
        assert!(!pod.is_ours("c1", &["n2".into()]));
        assert_eq!(pod.copies().collect::<Vec<_>>(), ["configmaps/a", "secrets/b"]);
        let instance = pod.into_instance("web-1/cloud-uid".into());
        assert_eq!(instance.id, "web-1/cloud-uid");
        assert_eq!(
            instance.pod,
            PodIdentity { uid: "u1".into(), namespace: "shop".into(), name: "web".into() }
        );
        assert_eq!(instance.node, "n1");
        assert_eq!((instance.billed.cpu_milli, instance.billed.memory_bytes), (1250, 3 << 30));
        assert!(!instance.deleting);
        assert_eq!(instance.created, Some("2026-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!(instance.status.get("hostIP"), None);
        assert_eq!(instance.status["podIP"], "192.168.0.9");
    }

    #[test]
    fn objects_without_our_tags_are_not_ours() {
        assert!(!pod(&json!({})).is_ours("c1", &["n1".into()]));
        assert!(!pod(&json!({tag::CLUSTER: "c1", tag::NODE: "n1"})).is_ours("c1", &["n1".into()]));
    }

    #[test]
    fn hidden_containers_are_not_in_the_status() {
        let row = |name: &str, state: Value| json!({"name": name, "ready": false, "state": state});
        let pod: CloudPod = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "annotations": {tag::HIDDEN: "agent-ship"}},
            "spec": {"restartPolicy": "Never", "containers": []},
            "status": {"phase": "Running", "containerStatuses": [
                row("main", json!({"terminated": {"exitCode": 0}})), row("agent-ship", json!({"running": {}}))]}
        }))
        .unwrap();
        let status = pod.into_instance(String::new()).status;
        assert_eq!(
            (status["phase"].as_str(), status["containerStatuses"].as_array().map(Vec::len)),
            (Some("Succeeded"), Some(1))
        );
    }
}
