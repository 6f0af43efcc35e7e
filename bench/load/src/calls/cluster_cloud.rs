//! Another cluster as the cloud: the API server in memory, and a kubelet that is played.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use cluster::testing::FakeApi;
use serde_json::{Value, json};

use super::cloud::{Count, Counts};
use super::home::micros;
use crate::served::serve;

/// From created to running, and from deleted to gone, as the simulated clouds have it.
const KUBELET: Duration = Duration::from_millis(70);

/// It, where it listens, and when each pod came.
pub(super) struct ClusterCloud {
    api: FakeApi,
    pub(super) address: SocketAddr,
    came: Arc<Mutex<HashMap<String, f64>>>,
}

impl ClusterCloud {
    pub(super) async fn start() -> Result<Self> {
        let api = FakeApi::new();
        let uid = "another-cluster";
        api.put(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid}}),
        );
        let came: Arc<Mutex<HashMap<String, f64>>> = Arc::default();
        let (played, times) = (api.clone(), Arc::clone(&came));
        let address = serve(
            &api,
            Arc::new(move |method, path, body| {
                let mut parts = path.split('/').rev();
                let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let namespace = if before == "pods" { parts.next().unwrap_or_default() } else { before };
                match (method, last, before) {
                    ("POST", "pods", _) => {
                        let pod: Value = serde_json::from_slice(body).unwrap_or_default();
                        let uid = pod["metadata"]["labels"][policies::keys::tag::POD_UID].as_str();
                        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                        times.insert(uid.unwrap_or_default().to_owned(), micros());
                        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                        tokio::spawn(run(played.clone(), namespace.to_owned(), name.to_owned()));
                    }
                    ("DELETE", name, "pods") => {
                        tokio::spawn(end(played.clone(), namespace.to_owned(), name.to_owned()));
                    }
                    _ => {}
                }
            }),
        )
        .await?;
        Ok(Self { api, address, came })
    }

    pub(super) fn reset(&self) {
        self.api.clear_requests();
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for request in self.api.requests() {
            let count: &mut Count =
                counts.entry(format!("{} {}", request.method, shape(&request.path))).or_default();
            if (1..400).contains(&request.status) { count.answered += 1 } else { count.refused += 1 }
        }
        counts
    }

    pub(super) fn accepted(&self) -> HashMap<String, f64> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        let pods = self.api.list("v1", "pods").into_iter();
        let uid =
            |pod: Value| Some(pod["metadata"]["labels"][policies::keys::tag::POD_UID].as_str()?.to_owned());
        pods.filter_map(uid).filter_map(|uid| came.get(&uid).map(|at| (uid.clone(), *at))).collect()
    }
}

/// A path without names.
fn shape(path: &str) -> String {
    let parts: Vec<&str> = path.trim_start_matches("/api/v1").split('/').collect();
    let named = |(index, part): (usize, &&str)| match parts.get(index.wrapping_sub(1)) {
        Some(&"namespaces") => "{namespace}".to_owned(),
        Some(&("pods" | "configmaps" | "secrets")) => "{name}".to_owned(),
        _ => (*part).to_owned(),
    };
    parts.iter().enumerate().map(named).collect::<Vec<_>>().join("/")
}

async fn run(api: FakeApi, namespace: String, name: String) {
    tokio::time::sleep(KUBELET).await;
    let Some(mut pod) = api.pod(&namespace, &name) else { return };
    pod["spec"]["nodeName"] = json!("node-0");
    pod["status"] = json!({
        "phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.1", "startTime": "2026-01-02T03:04:05Z",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "main", "ready": true, "restartCount": 0, "image": "busybox", "imageID": "",
            "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}}],
    });
    api.put(pod);
}

async fn end(api: FakeApi, namespace: String, name: String) {
    tokio::time::sleep(KUBELET).await;
    api.remove("v1", "pods", &namespace, &name);
}
