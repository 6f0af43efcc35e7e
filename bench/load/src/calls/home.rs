//! The cluster that pods are in: the API server in memory, and pods that are bound to the virtual node already.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use cluster::testing::FakeApi;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use lab::{Process, eventually_within};
use serde_json::{Value, json};

use super::{LIMIT, bridge::NODE};
use crate::served::serve;

const NAMESPACE: &str = "shop";
/// Deletes in flight.
const CLIENTS: usize = 50;

/// It, and where it listens.
pub(super) struct Home {
    api: FakeApi,
    pub(super) address: SocketAddr,
}

impl Home {
    pub(super) async fn start() -> Result<Self> {
        let api = FakeApi::new();
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
        let address = serve(&api, Arc::new(|_, _, _| {})).await?;
        Ok(Self { api, address })
    }

    /// Waits until the virtual node is Ready.
    pub(super) async fn ready(&self, bridge: &mut Process, node: &str) -> Result<()> {
        let found = eventually_within(LIMIT, "the virtual node is Ready", || async {
            let node = self.api.get("v1", "nodes", "", node).context("no node")?;
            let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            ensure!(ready, "{}", Value::from(conditions));
            Ok(())
        })
        .await;
        bridge.check_running()?;
        found.with_context(|| bridge.log_tail(20))
    }

    /// A pod, bound; its UID, and when it was there (microseconds since 1970).
    pub(super) fn create(&self, kind: &str, index: usize) -> (String, f64) {
        let uid = format!("{index:08x}-64a5-4b7e-9df3-{:0>12x}", kind.len());
        let now = micros();
        self.api.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{kind}-{index}"), "namespace": NAMESPACE, "uid": uid, "labels": {"app": kind}},
            "spec": {
                "nodeName": NODE, "automountServiceAccountToken": false, "enableServiceLinks": false,
                "serviceAccountName": "default", "schedulerName": "default-scheduler", "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "main", "image": "uhub.service.ucloud.cn/library/busybox:1", "command": ["sleep", "1000"],
                    "env": [{"name": "SETTING", "value": "some ordinary value"}], "imagePullPolicy": "IfNotPresent",
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "250m", "memory": "512Mi"},
                    },
                }],
                "tolerations": [{"operator": "Exists"}],
            },
        }));
        (uid, now)
    }

    /// Waits until so many pods are there and all run.
    pub(super) async fn running(&self, wanted: usize) -> Result<()> {
        eventually_within(LIMIT, &format!("{wanted} pods run"), || async {
            // Each look copies every pod.
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            let pods = self.api.list("v1", "pods");
            let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
            let other = pods.iter().find(|pod| pod["status"]["phase"] != "Running");
            let other = other.map(|pod| pod["status"].to_string()).unwrap_or_default();
            ensure!((pods.len(), running) == (wanted, wanted), "{running} of {}: {other}", pods.len());
            Ok(())
        })
        .await
    }

    /// Deletes every pod as a user would.
    pub(super) async fn delete_all(&self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.api.client(), NAMESPACE);
        let names = self.api.list("v1", "pods").into_iter();
        let names = names.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned));
        futures::stream::iter(names)
            .map(|name| {
                let pods = pods.clone();
                async move { pods.delete(&name, &DeleteParams::default()).await.map(drop) }
            })
            .buffer_unordered(CLIENTS)
            .try_collect::<Vec<_>>()
            .await?;
        self.api.clear_requests();
        Ok(())
    }
}

/// Now, in microseconds since 1970, as the simulated cloud has it.
pub(super) fn micros() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
