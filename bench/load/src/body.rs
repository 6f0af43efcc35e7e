//! Extender requests as kube-scheduler sends them: Go's key order and spelling, a pod of ordinary size.

use serde_json::{Value, json};

/// How node names look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// 16 bytes, like `node-00000000042`.
    Short,
    /// 47 bytes, like a cloud's fully qualified names.
    Long,
}

impl Names {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
        }
    }

    /// The name of node `index`.
    pub(crate) fn name(self, index: usize) -> String {
        match self {
            Self::Short => format!("node-{index:011}"),
            Self::Long => format!("node-{index:011}.cn-north-4.compute.internal.lan"),
        }
    }
}

/// The body of a filter or prioritize call with `count` real nodes and the virtual one in their middle.
pub(crate) fn extender_args(names: Names, count: usize, virtual_node: &str) -> Vec<u8> {
    let mut all: Vec<String> = (0..count - 1).map(|i| names.name(i)).collect();
    all.insert(count / 2, virtual_node.to_owned());
    json!({"Pod": pod(), "Nodes": null, "NodeNames": all}).to_string().into_bytes()
}

/// A pod as kube-scheduler sends it: admitted with policy auto and marked.
fn pod() -> Value {
    let mut pod = bare_pod();
    pod["metadata"]["annotations"] =
        json!({"burst.io/resolved-policy": "auto", "burst.io/policy-source": "pod label burst-to-cci"});
    pod["spec"]["tolerations"] = json!([
        {"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "burst.io/virtual-node", "operator": "Exists", "effect": "PreferNoSchedule"},
    ]);
    for side in ["requests", "limits"] {
        pod["spec"]["containers"][0]["resources"][side]["burst.io/managed"] = json!("1");
    }
    pod
}

/// The same pod on its way into the API server.
pub(crate) fn bare_pod() -> Value {
    let container = |i: usize| {
        json!({
            "name": format!("c{i}"), "image": "registry.example/shop/web:1.42.0",
            "env": (0..12).map(|v| json!({"name": format!("SETTING_{v}"), "value": "some ordinary value"})).collect::<Vec<_>>(),
            "resources": {
                "requests": {"cpu": "250m", "memory": "512Mi"},
                "limits": {"cpu": "500m", "memory": "512Mi"},
            },
            "volumeMounts": [{"name": "kube-api-access", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
        })
    };
    json!({
        "metadata": {
            "name": "web-6d4cf56db6-x7k2p", "generateName": "web-6d4cf56db6-", "namespace": "shop",
            "uid": "0b7c1f0e-64a5-4b7e-9df3-5c3a7a7e8f10", "resourceVersion": "123456",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "web", "pod-template-hash": "6d4cf56db6", "burst-to-cci": "auto"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4cf56db6",
                "uid": "1c7c1f0e-64a5-4b7e-9df3-5c3a7a7e8f11", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [container(0), container(1)],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    })
}
