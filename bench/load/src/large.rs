//! A large cluster as objects: thousands of nodes that nobody heartbeats, on an API server without controllers.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use lab::Lab;
use serde_json::{Value, json};

use crate::body::Names;

/// Requests in flight.
const CLIENTS: usize = 50;

/// The one virtual node.
pub(crate) const VIRTUAL: &str = "burst-cci-0";

/// `count` real nodes of 16 cores with 47-byte names, and the virtual node as burst-bridge publishes it.
pub(crate) fn nodes(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(real).chain([virtual_node()])
}

/// Makes them.
pub(crate) async fn make_nodes(lab: &Lab, count: usize) -> Result<()> {
    let api: Api<Node> = Api::all(lab.client().await?);
    futures::stream::iter(nodes(count))
        .map(|node| {
            let api = api.clone();
            async move { make(&api, node).await }
        })
        .buffer_unordered(CLIENTS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Creates a node, and takes away the not-ready taint that the API server puts on every new one: no controller does.
async fn make(nodes: &Api<Node>, node: Value) -> Result<()> {
    let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let taints = json!({"spec": {"taints": node["spec"]["taints"]}});
    nodes
        .create(&PostParams::default(), &serde_json::from_value(node)?)
        .await
        .with_context(|| name.clone())?;
    nodes
        .patch(&name, &PatchParams::default(), &Patch::Merge(&taints))
        .await
        .with_context(|| name.clone())?;
    Ok(())
}

fn real(index: usize) -> Value {
    let name = Names::Long.name(index);
    let labels = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": format!("zone-{}", index % 3), "topology.kubernetes.io/region": "region-1",
    });
    node(&name, &labels, &json!([]), &json!({"cpu": "16", "memory": "64Gi", "pods": "110"}))
}

fn virtual_node() -> Value {
    let labels =
        json!({"type": "virtual-kubelet", "kubernetes.io/role": "agent", "kubernetes.io/os": "linux"});
    let taints = json!([
        {"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"},
        {"key": "burst.io/virtual-node", "value": "huawei", "effect": "PreferNoSchedule"},
    ]);
    node(VIRTUAL, &labels, &taints, &json!({"cpu": "100k", "memory": "400Ti", "pods": "100k"}))
}

fn node(name: &str, labels: &Value, taints: &Value, size: &Value) -> Value {
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "allocatable": size, "capacity": size,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    })
}
