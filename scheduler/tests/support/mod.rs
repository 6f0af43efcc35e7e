//! Pictures of a cluster, pods and requests for tests.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;

use cluster::{Index, SlimNode, Snapshot};
use policies::decide::score::LocalLoad;
use policies::policy::Policy;
use scheduler::metrics::Verb;
use scheduler::verbs::{Answer, View, answer};
use serde_json::{Value, json};

/// A node object; virtual if it has a provider.
pub(crate) fn node(name: &str, cpu: &str, provider: Option<&str>) -> Value {
    let (labels, taints) = match provider {
        Some(provider) => (
            json!({"type": "virtual-kubelet"}),
            json!([
                {"key": "virtual-kubelet.io/provider", "value": provider, "effect": "NoSchedule"},
                {"key": "burst.io/virtual-node", "value": provider, "effect": "PreferNoSchedule"},
            ]),
        ),
        None => (json!({}), json!([])),
    };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// A picture of these nodes.
pub(crate) fn snapshot<'n>(nodes: impl IntoIterator<Item = &'n Value>) -> Arc<Snapshot> {
    let mut index = Index::default();
    for node in nodes {
        index.apply_node(serde_json::from_value::<SlimNode>(node.clone()).expect("a node"));
    }
    index.snapshot(true)
}

/// Three real nodes and one virtual node of CCI.
pub(crate) fn small() -> Arc<Snapshot> {
    let real = ["node-0", "node-1", "node-2"].map(|name| node(name, "4", None));
    snapshot(real.iter().chain([&node("burst-cci-0", "1000", Some("huawei"))]))
}

/// A pod with this recorded policy.
pub(crate) fn pod(policy: &str) -> Value {
    json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "uid-web-1",
            "annotations": {"burst.io/resolved-policy": policy, "burst.io/policy-source": "Deployment/web"},
        },
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}]},
    })
}

/// A request in the form of `nodeCacheCapable: true`.
pub(crate) fn by_names(pod: &Value, names: &[&str]) -> Vec<u8> {
    json!({"Pod": pod, "Nodes": null, "NodeNames": names}).to_string().into_bytes()
}

/// A request in the form of `nodeCacheCapable: false`.
pub(crate) fn by_nodes(pod: &Value, names: &[&str]) -> Vec<u8> {
    let items: Vec<Value> = names.iter().map(|name| node(name, "4", None)).collect();
    json!({"Pod": pod, "Nodes": {"metadata": {}, "items": items}, "NodeNames": null}).to_string().into_bytes()
}

/// Asks a verb over a picture.
pub(crate) fn ask(verb: Verb, body: &[u8], snapshot: &Snapshot) -> Answer {
    let load = LocalLoad::of(snapshot.nodes().map(|(_, row)| row));
    answer(verb, body, View { snapshot, load, default_policy: Policy::Off, stock: None })
}

/// Asks a verb and reads the reply.
pub(crate) fn reply(verb: Verb, body: &[u8], snapshot: &Snapshot) -> Value {
    serde_json::from_slice(&ask(verb, body, snapshot).body).expect("a reply is JSON")
}

/// The names in a filter reply, whichever form it has.
pub(crate) fn passed(reply: &Value) -> Vec<&str> {
    match (&reply["NodeNames"], &reply["Nodes"]) {
        (Value::Array(names), _) => names.iter().filter_map(Value::as_str).collect(),
        (_, nodes) => {
            let items = nodes["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().filter_map(|node| node["metadata"]["name"].as_str()).collect()
        }
    }
}
