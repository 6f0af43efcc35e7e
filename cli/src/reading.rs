//! What burst knows, read from the API server alone: nodes and pods as one picture, policy objects, ledgers, reports.
//!
//! The same records that burst-scheduler decides from, so that the same engine gives the same answer here.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use cluster::{Index, SlimNode, SlimPod, Snapshot};
use policies::burst_policy::{BurstPolicyStatus, GROUP, PolicyKind, PolicyObject, VERSION, key};
use policies::keys;
use policies::ledger::{Bound, Claim, GangMember, Ledger, NodeReport, VirtualNode};
use policies::node::{NodeClass, NodeRow, TaintEffect};
use policies::pod::PodFacts;
use policies::selector::Toleration;
use serde_json::Value;

use crate::api::{Api, seconds, text};

/// A policy object as it is in the cluster.
pub(crate) struct Object {
    /// Identity and spec; an error if the spec cannot be read.
    pub(crate) object: Result<PolicyObject, String>,
    pub(crate) key: String,
    pub(crate) status: BurstPolicyStatus,
}

/// Everything read.
pub(crate) struct Reading {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) objects: Vec<Object>,
    /// By policy key.
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    /// By virtual node.
    pub(crate) reports: BTreeMap<String, NodeReport>,
    /// Labels of namespaces.
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Governed pods, as they are.
    pub(crate) governed: Vec<Value>,
    /// Things that could not be read, in words.
    pub(crate) problems: Vec<String>,
}

impl Reading {
    pub(crate) async fn take(api: &Api, burst_namespace: &str) -> Result<Self> {
        let mut index = Index::default();
        let mut problems = Vec::new();
        api.each("/api/v1/nodes", |node| match serde_json::from_value::<SlimNode>(node) {
            Ok(node) => index.apply_node(node),
            Err(error) => problems.push(format!("a node cannot be read: {error}")),
        })
        .await?;
        let mut governed = Vec::new();
        api.each("/api/v1/pods", |pod| {
            if pod.pointer("/metadata/labels").and_then(|l| l.get(keys::GOVERNED)).is_some() {
                if let Err(error) = PodFacts::from_value(&pod) {
                    let (namespace, name) = (text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
                    let what = "it is left out here, and counts as larger than any ceiling for the leader";
                    problems.push(format!("pod {namespace}/{name}: {error}; {what}"));
                }
                governed.push(pod.clone());
            }
            match serde_json::from_value::<SlimPod>(pod) {
                Ok(pod) => index.apply_pod(&pod),
                Err(error) => problems.push(format!("a pod cannot be read: {error}")),
            }
        })
        .await?;
        let mut namespaces = BTreeMap::new();
        api.each("/api/v1/namespaces", |namespace| {
            let labels =
                namespace.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
            let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            namespaces.insert(text(&namespace, "/metadata/name").to_owned(), labels.collect());
        })
        .await?;
        let mut objects = Vec::new();
        for kind in PolicyKind::ALL {
            let path = format!("/apis/{GROUP}/{VERSION}/{}", kind.plural());
            objects.extend(api.list(&path).await?.iter().map(|value| object(kind, value)));
        }
        let ledgers = format!("/apis/{GROUP}/{VERSION}/namespaces/{burst_namespace}/burstledgers");
        let ledgers = specs::<Ledger>(&api.list(&ledgers).await?, "BurstLedger", &mut problems);
        let reports = api.list(&format!("/apis/{GROUP}/{VERSION}/virtualnodereports")).await?;
        Ok(Self {
            snapshot: index.snapshot(true),
            objects,
            ledgers: ledgers.into_iter().map(|(_, ledger)| (ledger.policy.clone(), ledger)).collect(),
            reports: specs(&reports, "VirtualNodeReport", &mut problems).into_iter().collect(),
            namespaces,
            governed,
            problems,
        })
    }

    /// Every node, in the order of names.
    pub(crate) fn rows(&self) -> Vec<&NodeRow> {
        let mut rows: Vec<&NodeRow> = self.snapshot.nodes().map(|(_, row)| row).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    pub(crate) fn object(&self, key: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.key == key)
    }

    /// The pods that an object governs, as claims.
    pub(crate) fn claims(&self, object: &PolicyObject) -> Vec<Claim> {
        let ours = |pod: &&Value| {
            pod.pointer("/metadata/annotations")
                .and_then(|a| a.get(keys::BURST_POLICY))
                .and_then(Value::as_str)
                == Some(&object.key)
        };
        self.governed.iter().filter(ours).filter_map(|pod| self.claim(pod, object)).collect()
    }

    /// A pod as a claim of an object.
    pub(crate) fn claim(&self, pod: &Value, object: &PolicyObject) -> Option<Claim> {
        let facts = PodFacts::from_value(pod).ok()?;
        let gang = object.spec.gang.as_ref().and_then(|gang| {
            let size = facts.annotations.get(keys::GANG_SIZE).and_then(|size| size.parse().ok());
            let group = facts.labels.get(&gang.label_key)?.clone();
            Some(GangMember { group, size: size.filter(|size| *size > 0).unwrap_or(gang.size) })
        });
        let unschedulable = |c: &&Value| {
            text(c, "/type") == "PodScheduled"
                && text(c, "/status") == "False"
                && text(c, "/reason") == "Unschedulable"
        };
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let unschedulable = conditions.into_iter().flatten().find(unschedulable);
        Some(Claim {
            uid: facts.uid.clone(),
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            policy: facts.recorded_policy().or(object.spec.policy).unwrap_or_default(),
            requests: facts.requests,
            created: seconds(pod, "/metadata/creationTimestamp").unwrap_or_default(),
            unschedulable_since: unschedulable.and_then(|c| seconds(c, "/lastTransitionTime")),
            preemption_tried: facts.nominated_node_name.is_some(),
            priority: facts.priority.unwrap_or_default(),
            gang,
            gated: facts.scheduling_gates.iter().any(|gate| gate == keys::GATE),
            granted: facts.annotations.get(keys::GRANT).cloned(),
            tolerated: tolerated(&facts),
            node: facts.node_name.as_deref().map(|name| self.bound(name, pod)),
            deleting: pod.pointer("/metadata/deletionTimestamp").is_some(),
            finished: matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"),
            labels: facts.labels,
            ..Claim::default()
        })
    }

    fn bound(&self, name: &str, pod: &Value) -> Bound {
        let row = self.snapshot.by_name(name);
        let scheduled = |c: &&Value| text(c, "/type") == "PodScheduled" && text(c, "/status") == "True";
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let condition = conditions.into_iter().flatten().find(scheduled);
        Bound {
            name: name.to_owned(),
            // As the leader counts it: a node that is not known may be a virtual one whose instance still runs.
            class: row.map_or(NodeClass::Virtual, |row| row.class),
            provider: row.and_then(|row| row.provider.clone()).unwrap_or_default(),
            zone: row.map(zone).unwrap_or_default(),
            since: condition.and_then(|c| seconds(c, "/lastTransitionTime")),
        }
    }

    pub(crate) fn virtual_nodes(&self) -> Vec<VirtualNode> {
        let node = |row: &NodeRow| VirtualNode {
            name: row.name.clone(),
            provider: row.provider.clone().unwrap_or_default(),
            zone: zone(row),
            labels: row.labels.clone(),
            ready: row.ready && !row.unschedulable,
            ..VirtualNode::default()
        };
        self.snapshot.virtual_nodes().map(node).collect()
    }
}

/// Values of the provider taint that the pod tolerates; empty means any. None while it tolerates none: then it has not
/// been opened.
fn tolerated(facts: &PodFacts) -> Option<Vec<String>> {
    let opens = |t: &&Toleration| t.key == keys::TAINT_PROVIDER && t.has_effect(TaintEffect::NoSchedule);
    let opened: Vec<&Toleration> = facts.tolerations.iter().filter(opens).collect();
    let any = opened.iter().any(|t| t.operator == "Exists" || t.value.is_empty());
    let values = || opened.iter().map(|t| t.value.clone()).collect();
    (!opened.is_empty()).then(|| if any { Vec::new() } else { values() })
}

/// The zone of a node, by either label; empty if it has none.
fn zone(row: &NodeRow) -> String {
    let label = |key| row.labels.get(key).cloned();
    label("topology.kubernetes.io/zone").or_else(|| label(keys::ZONE)).unwrap_or_default()
}

fn object(kind: PolicyKind, value: &Value) -> Object {
    let (namespace, name) = (text(value, "/metadata/namespace"), text(value, "/metadata/name"));
    let key = key(kind, namespace, name);
    let spec = value.get("spec").filter(|spec| !spec.is_null()).cloned();
    let spec = serde_json::from_value(spec.unwrap_or_else(|| Value::Object(serde_json::Map::new())));
    let object = spec.map_err(|error| error.to_string()).map(|spec| PolicyObject {
        key: key.clone(),
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: text(value, "/metadata/uid").to_owned(),
        generation: value.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
        spec,
    });
    let status = value.get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
    Object { object, key, status: status.unwrap_or_default() }
}

/// `spec` of each object by its name.
fn specs<T: serde::de::DeserializeOwned>(
    objects: &[Value],
    kind: &str,
    problems: &mut Vec<String>,
) -> Vec<(String, T)> {
    let mut read = Vec::new();
    for object in objects {
        let name = text(object, "/metadata/name").to_owned();
        match serde_json::from_value(object.get("spec").cloned().unwrap_or_default()) {
            Ok(spec) => read.push((name, spec)),
            Err(error) => problems.push(format!("{kind} {name} cannot be read: {error}")),
        }
    }
    read
}
