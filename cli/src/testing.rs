//! A small cluster for the tests: one real node, one virtual node, and a policy whose ceiling is reached.

use cluster::testing::FakeApi;
use serde_json::{Value, json};

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000;

fn node(name: &str, cpu: &str, virtual_node: bool) -> Value {
    let (labels, taints) = if virtual_node {
        let taint =
            json!([{"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"}]);
        (json!({"type": "virtual-kubelet"}), taint)
    } else {
        (json!({}), json!([]))
    };
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {"allocatable": {"cpu": cpu, "memory": "32Gi", "pods": "110"},
                   "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, cpu: &str, node: Option<&str>, governed: bool) -> Value {
    let (annotations, labels) = if governed {
        (
            json!({"burst.io/resolved-policy": "localPrefer", "burst.io/policy-source": "BurstPolicy/shop/web",
                   "burst.io/burst-policy": "BurstPolicy/shop/web"}),
            json!({"burst.io/governed": "true", "pod-template-hash": "7f9c"}),
        )
    } else {
        (json!({}), json!({}))
    };
    let reason = if node.is_some() { ("True", "Scheduled") } else { ("False", "Unschedulable") };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": labels,
            "annotations": annotations, "creationTimestamp": "2027-01-15T07:50:00Z",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7f9c", "uid": "rs",
                "controller": true}]},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i",
            "resources": {"requests": {"cpu": cpu, "memory": "2Gi"}}}]},
        "status": {"phase": if node.is_some() { "Running" } else { "Pending" }, "conditions": [
            {"type": "PodScheduled", "status": reason.0, "reason": reason.1, "lastTransitionTime": "2027-01-15T07:51:00Z"}]},
    })
}

/// The cluster.
pub(crate) fn busy() -> FakeApi {
    let api = FakeApi::new();
    api.put(node("node-1", "2", false));
    api.put(node("burst-cci", "1000", true));
    api.put(pod("batch", "1500m", Some("node-1"), false));
    api.put(pod("web-7f9c-1", "1", Some("burst-cci"), true));
    api.put(pod("web-7f9c-2", "2", None, true));
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"name": "web", "namespace": "shop", "uid": "bp", "generation": 1},
        "spec": {"policy": "localPrefer", "max": {"cloud": {"pods": 1}}},
        "status": {
            "observedGeneration": 1, "pods": {"local": 0, "cloud": 1, "waiting": 1},
            "usage": [{"name": "cloud", "used": {"pods": 1}, "max": {"pods": 1}}],
            "spend": [{"window": "hour", "currency": "CNY", "spent": "0.80", "projected": "1.10", "max": "1.20"}],
            "heldBack": {"CloudLimit": 1},
        },
    }));
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"name": "broken", "namespace": "shop", "uid": "bp-2"}, "spec": {"max": 7},
    }));
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstLedger",
        "metadata": {"name": "bp.shop.web", "namespace": "burst-system", "uid": "l"},
        "spec": {"policy": "BurstPolicy/shop/web", "serial": 1, "grants": {"uid-web-7f9c-1": {
            "namespace": "shop", "name": "web-7f9c-1", "serial": 1, "side": "Cloud", "tier": "cloud",
            "requests": {"cpu_milli": 1000, "memory_bytes": 2_147_483_648_u64, "ephemeral_storage_bytes": 0, "gpu": 0, "pods": 1},
            "granted": 1_799_999_400, "started": 1_799_999_460, "node": "burst-cci"}}},
    }));
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "VirtualNodeReport", "metadata": {"name": "burst-cci", "uid": "r"},
        "spec": {"provider": "huawei", "zone": "a", "version": "0.1.0", "instances": 1, "stockOuts": [
            {"zone": "a", "class": "cpu-4", "since": 1_799_999_000, "until": 1_800_000_090, "failures": 2, "message": "no room"}]},
    }));
    api.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop", "uid": "e"},
        "involvedObject": {"kind": "Pod", "name": "web-7f9c-2", "uid": "uid-web-7f9c-2"},
        "reportingComponent": "burst.io/scheduler", "reason": "BurstHeld", "type": "Normal",
        "eventTime": "2027-01-15T07:52:00.000000Z", "message": "the ceiling in the cloud is reached",
    }));
    api
}
