//! The Node object of a virtual node, as a pure function of the configuration and the cloud's health.
//!
//! Ours are restored when edited; labels, annotations, taints and conditions of others are kept. No
//! `kubernetes.io/hostname` and no zone unless asked for: an empty tainted node with a topology value of its own would
//! stall hard spread constraints of ordinary pods (`nodeTaintsPolicy` defaults to Ignore). Facts: the API's Node type,
//! the node conditions of the kubelet, KEP-5328 for `declaredFeatures`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policies::keys;
use serde_json::{Map, Value, json};

use crate::config::NodeConfig;

/// Keeps the node out of Service load balancers of the cloud controller.
const EXCLUDE_LB: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// The same for clusters before 1.16.
const EXCLUDE_LB_ALPHA: &str = "alpha.service-controller.kubernetes.io/exclude-balancer";
/// Taint during an outage of the cloud: no new pods, running ones stay.
const TAINT_OUTAGE: &str = "burst.io/cloud-unreachable";
/// Taint of a cordoned node in the configuration.
const TAINT_CORDON: &str = "burst.io/cordoned";
/// Own condition.
const CLOUD_REACHABLE: &str = "CloudReachable";

/// Everything that decides what the Node says.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    /// The declared node.
    pub config: &'a NodeConfig,
    /// The vendor's own name: value of the provider taint.
    pub vendor: &'a str,
    /// `InternalIP`.
    pub address: IpAddr,
    /// [`crate::cloud::Provider::account`].
    pub account: Option<&'a str>,
    /// [`crate::cloud::Provider::network_interop`].
    pub interop: bool,
    /// Why the cloud cannot be reached, if so (after hysteresis).
    pub outage: Option<&'a str>,
    /// Now, RFC 3339 with seconds.
    pub now: &'a str,
}

/// The desired Node in parts, because they are written by different requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Labels that must be there.
    pub labels: BTreeMap<String, String>,
    /// Annotations that must be there.
    pub annotations: BTreeMap<String, String>,
    /// Taints that must be there, and whose keys are ours alone.
    pub taints: Vec<Value>,
    /// Status without conditions.
    pub status: Map<String, Value>,
    /// Conditions that are ours, without times.
    pub conditions: Vec<Value>,
}

impl Desired {
    /// Builds it.
    pub fn of(view: NodeView<'_>) -> Self {
        Self {
            labels: labels(view),
            annotations: view
                .account
                .map(|text| (keys::ACCOUNT.to_owned(), text.to_owned()))
                .into_iter()
                .collect(),
            taints: taints(view),
            status: status(view),
            conditions: conditions(view.outage),
        }
    }

    /// The object to create when there is none.
    pub fn object(&self, name: &str, now: &str) -> Value {
        let mut status = self.status.clone();
        let conditions = self.conditions.iter().map(|c| stamped(c.clone(), now, now)).collect();
        status.insert("conditions".to_owned(), Value::Array(conditions));
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": self.labels, "annotations": self.annotations },
            "spec": { "taints": self.taints },
            "status": status,
        })
    }
}

/// Region label: declared, else the provider's.
fn region(config: &NodeConfig) -> Option<&str> {
    config.cloud_region()
}

fn labels(view: NodeView<'_>) -> BTreeMap<String, String> {
    let c = view.config;
    let mut rows = vec![
        ("kubernetes.io/role", "agent"),
        ("kubernetes.io/os", &c.os),
        ("kubernetes.io/arch", &c.arch),
        (EXCLUDE_LB, "true"),
        (EXCLUDE_LB_ALPHA, "true"),
    ];
    rows.extend(region(c).map(|region| ("topology.kubernetes.io/region", region)));
    rows.extend(c.zone.as_deref().map(|zone| ("topology.kubernetes.io/zone", zone)));
    // A label of our own: selectable, and no topology that constraints of other pods could stall on.
    if c.zone.is_none() && !c.cloud_zone().is_empty() {
        rows.push((keys::ZONE, c.cloud_zone()));
    }
    if c.hostname_label {
        rows.push(("kubernetes.io/hostname", &c.name));
    }
    let mut labels: BTreeMap<String, String> =
        rows.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    labels.extend(c.labels.clone());
    if view.interop {
        labels.insert(keys::NETWORK_INTEROP.to_owned(), "true".to_owned());
    }
    labels.insert(keys::NODE_TYPE.to_owned(), keys::NODE_TYPE_VIRTUAL.to_owned());
    labels
}

fn taints(view: NodeView<'_>) -> Vec<Value> {
    let taint =
        |key: &str, value: &str, effect: &str| json!({ "key": key, "value": value, "effect": effect });
    let mut rows = vec![
        taint(keys::TAINT_PROVIDER, view.vendor, "NoSchedule"),
        taint(keys::TAINT_PREFER, view.vendor, "PreferNoSchedule"),
    ];
    rows.extend(
        view.config.taints.iter().map(|t| json!({ "key": t.key, "value": t.value, "effect": t.effect })),
    );
    if view.outage.is_some() {
        rows.push(taint(TAINT_OUTAGE, view.vendor, "NoSchedule"));
    }
    if view.config.cordon {
        rows.push(taint(TAINT_CORDON, view.vendor, "NoSchedule"));
    }
    rows
}

fn status(view: NodeView<'_>) -> Map<String, Value> {
    let c = &view.config.capacity;
    let mut capacity = Map::new();
    capacity.insert("cpu".to_owned(), json!(c.cpu));
    capacity.insert("memory".to_owned(), json!(c.memory));
    capacity.insert("pods".to_owned(), json!(c.pods.to_string()));
    if let Some(storage) = &c.ephemeral_storage {
        capacity.insert("ephemeral-storage".to_owned(), json!(storage));
    }
    capacity.extend(c.others.iter().map(|(name, count)| (name.clone(), json!(count))));
    let mut status = Map::new();
    status.insert("capacity".to_owned(), Value::Object(capacity.clone()));
    status.insert("allocatable".to_owned(), Value::Object(capacity));
    status.insert("addresses".to_owned(), json!([{ "type": "InternalIP", "address": view.address }]));
    status.insert("daemonEndpoints".to_owned(), json!({ "kubeletEndpoint": { "Port": view.config.port } }));
    status.insert("nodeInfo".to_owned(), node_info(view.config));
    status.insert("declaredFeatures".to_owned(), json!(DECLARED_FEATURES));
    status
}

/// Sorted, as the API demands. The kubelet port answers WebSocket itself, so the API server need not translate.
const DECLARED_FEATURES: [&str; 1] = ["ExtendWebSocketsToKubelet"];

/// What `kubectl get nodes` shows as the version: Kubernetes' own first, so that version skew checks can parse it.
const KUBELET_VERSION: &str = concat!("v1.36.3-burst-", env!("CARGO_PKG_VERSION"));

fn node_info(config: &NodeConfig) -> Value {
    json!({
        "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
        "containerRuntimeVersion": format!("{}://", config.provider),
        "kubeletVersion": KUBELET_VERSION, "kubeProxyVersion": "",
        "operatingSystem": config.os, "architecture": config.arch,
    })
}

fn conditions(outage: Option<&str>) -> Vec<Value> {
    let row = |kind: &str, status: &str, reason: &str, message: &str| json!({ "type": kind, "status": status, "reason": reason, "message": message });
    vec![
        row("Ready", "True", "BridgeReady", "burst-bridge serves this node"),
        row("MemoryPressure", "False", "CloudHasSufficientMemory", "the cloud provides memory per instance"),
        row("DiskPressure", "False", "CloudHasNoDiskPressure", "the cloud provides disks per instance"),
        row("PIDPressure", "False", "CloudHasSufficientPID", "every instance has its own process table"),
        row("NetworkUnavailable", "False", "CloudNetwork", "instances are on the cloud's network"),
        outage.map_or_else(
            || row(CLOUD_REACHABLE, "True", "CloudAnswers", "the cloud's API answers"),
            |why| row(CLOUD_REACHABLE, "False", "CloudDoesNotAnswer", why),
        ),
    ]
}

fn stamped(mut condition: Value, heartbeat: &str, transition: &str) -> Value {
    if let Some(fields) = condition.as_object_mut() {
        fields.insert("lastHeartbeatTime".to_owned(), json!(heartbeat));
        fields.insert("lastTransitionTime".to_owned(), json!(transition));
    }
    condition
}

/// What must be written to make `stored` say what is desired.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repairs {
    /// Strategic merge patch of metadata and spec, if they differ. Carries the resourceVersion, because a list of taints is
    /// replaced as a whole.
    pub object: Option<Value>,
    /// Strategic merge patch of `status`, if it differs.
    pub status: Option<Value>,
}

/// Compares a stored Node with the desired one. `heartbeat` forces fresh heartbeat times even if nothing differs.
pub fn reconcile(stored: &Value, desired: &Desired, now: &str, heartbeat: bool) -> Repairs {
    Repairs { object: object_repair(stored, desired), status: status_repair(stored, desired, now, heartbeat) }
}

fn object_repair(stored: &Value, desired: &Desired) -> Option<Value> {
    let missing = |kind: &str, wanted: &BTreeMap<String, String>| -> Map<String, Value> {
        let there = stored.get("metadata").and_then(|metadata| metadata.get(kind));
        let is = |k: &str| there.and_then(|all| all.get(k)).and_then(Value::as_str);
        let differing = wanted.iter().filter(|(k, v)| is(k) != Some(v));
        differing.map(|(k, v)| (k.clone(), json!(v))).collect()
    };
    let (mut labels, annotations) =
        (missing("labels", &desired.labels), missing("annotations", &desired.annotations));
    let there = |key: &str| stored.get("metadata").and_then(|metadata| metadata.get("labels")?.get(key));
    let withdrawn = |key: &&&str| there(key).is_some() && !desired.labels.contains_key(**key);
    labels.extend(WITHDRAWN.iter().filter(withdrawn).map(|key| ((*key).to_owned(), Value::Null)));
    let old = stored.pointer("/spec/taints").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let new = merged_taints(old, &desired.taints);
    let taints_differ = old.len() != new.len() || !old.iter().zip(&new).all(|(a, b)| same_taint(a, b));
    if labels.is_empty() && annotations.is_empty() && !taints_differ {
        return None;
    }
    let mut metadata = json!({ "labels": labels });
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations);
    }
    if !taints_differ {
        return Some(json!({ "metadata": metadata }));
    }
    metadata["resourceVersion"] = stored.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    Some(json!({ "metadata": metadata, "spec": { "taints": new } }))
}

/// Labels that only burst writes, and takes away when they hold no longer.
const WITHDRAWN: [&str; 1] = [keys::NETWORK_INTEROP];

/// Foreign taints stay where they are; ours are replaced, added, or (outage, cordon) removed.
fn merged_taints(old: &[Value], ours: &[Value]) -> Vec<Value> {
    const OWNED: [&str; 4] = [keys::TAINT_PROVIDER, keys::TAINT_PREFER, TAINT_OUTAGE, TAINT_CORDON];
    let identity = |t: &Value| (text(t, "key").to_owned(), text(t, "effect").to_owned());
    let mut rows: Vec<Value> = old
        .iter()
        .filter_map(|t| match ours.iter().find(|o| identity(o) == identity(t)) {
            Some(o) if same_taint(o, t) => Some(t.clone()),
            Some(o) => Some(o.clone()),
            None if OWNED.contains(&text(t, "key")) => None,
            None => Some(t.clone()),
        })
        .collect();
    for o in ours {
        if !rows.iter().any(|t| identity(t) == identity(o)) {
            rows.push(o.clone());
        }
    }
    rows
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn same_taint(a: &Value, b: &Value) -> bool {
    ["key", "value", "effect"].iter().all(|key| text(a, key) == text(b, key))
}

fn status_repair(stored: &Value, desired: &Desired, now: &str, heartbeat: bool) -> Option<Value> {
    let old = stored.get("status").unwrap_or(&Value::Null);
    let mut patch: Map<String, Value> = desired
        .status
        .iter()
        .filter(|(key, value)| !contains(old.get(*key).unwrap_or(&Value::Null), value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let conditions: Vec<Value> =
        desired.conditions.iter().filter_map(|c| condition_repair(old, c, now, heartbeat)).collect();
    if !conditions.is_empty() {
        patch.insert("conditions".to_owned(), Value::Array(conditions));
    }
    if patch.is_empty() { None } else { Some(Value::Object(patch)) }
}

fn condition_repair(old: &Value, wanted: &Value, now: &str, heartbeat: bool) -> Option<Value> {
    let stored = old.get("conditions").and_then(Value::as_array).into_iter().flatten();
    match stored.into_iter().find(|c| text(c, "type") == text(wanted, "type")) {
        None => Some(stamped(wanted.clone(), now, now)),
        Some(c) if text(c, "status") != text(wanted, "status") => Some(stamped(wanted.clone(), now, now)),
        Some(c) if heartbeat || ["reason", "message"].iter().any(|k| text(c, k) != text(wanted, k)) => {
            Some(stamped(wanted.clone(), now, text(c, "lastTransitionTime")))
        }
        Some(_) => None,
    }
}

fn contains(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(s), Value::Object(w)) => {
            w.iter().all(|(k, v)| contains(s.get(k).unwrap_or(&Value::Null), v))
        }
        (Value::Array(s), Value::Array(w)) => {
            s.len() == w.len() && s.iter().zip(w).all(|(s, w)| contains(s, w))
        }
        (Value::Null, Value::String(w)) => w.is_empty(),
        (s, w) => s == w,
    }
}

#[cfg(test)]
#[path = "desired_tests.rs"]
mod tests;
