//! What burst-scheduler holds in memory for 5000 nodes and 100 000 pods, as the kernel counts it.
//!
//! The real program, with every watch and the leader, against [`FakeApi`] behind a socket: the genuine API server would
//! need many minutes for so many pods. Lists come in pages and watches stay open as from the real one; the bodies are
//! plain JSON over HTTP/1.1. Nine pods of ten have no policy; of the rest one half runs on the virtual node, a fifth of
//! that under a policy object. Then one pod in ten changes, for a cache that is right and grows is no cache.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cluster::testing::FakeApi;
use lab::{Process, built_binary, eventually_within, repository_root};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    body::Names,
    large::{VIRTUAL, nodes},
    process::memory_mib,
    report::Report,
    served,
};

/// How large the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { nodes: 5000, pods: 100_000 }
    }
}

/// Every tenth pod changes once.
const CHANGED: usize = 10;
const OURS: &str = "127.0.0.1:10261";
const LIMIT: Duration = Duration::from_secs(180);
/// Watches that burst-scheduler keeps open on pods: all of them, and governed ones.
const POD_WATCHES: usize = 2;
/// Time for the last batch to be published, and for the allocator to give back what it does not need.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) async fn run(report: &mut Report, cluster: Cluster) -> Result<()> {
    let Cluster { nodes, pods } = cluster;
    println!("\nMemory of burst-scheduler with {nodes} nodes and {pods} pods:");
    let api = fill(cluster);
    let address = served::serve(&api, Arc::new(|_, _, _| {})).await?;
    let mut scheduler = start(address)?;
    let synced = eventually_within(LIMIT, "burst-scheduler has its lists", || ready(&api)).await;
    scheduler.check_running()?;
    synced.with_context(|| scheduler.log_tail(20))?;
    tokio::time::sleep(SETTLE).await;
    let pid = scheduler.pid().context("burst-scheduler ended")?;
    let (synced, _) = memory_mib(pid)?;
    change(&api, cluster).await;
    tokio::time::sleep(SETTLE).await;
    scheduler.check_running()?;
    let (changed, highest) = memory_mib(pid)?;
    println!(
        "  {synced:.1} MiB resident after its lists, {changed:.1} after {} changes, {highest:.1} at its highest",
        pods / CHANGED
    );
    report.set("memory_scheduler_rss_mib", synced);
    report.set("memory_scheduler_rss_after_changes_mib", changed);
    report.set("memory_scheduler_rss_peak_mib", highest);
    Ok(())
}

fn fill(cluster: Cluster) -> FakeApi {
    let api = FakeApi::new();
    for mut node in nodes(cluster.nodes) {
        node["apiVersion"] = json!("v1");
        node["kind"] = json!("Node");
        node["metadata"]["managedFields"] = managed_fields();
        for index in 0..12 {
            node["metadata"]["labels"][format!("cloud.example/label-{index}")] =
                json!(format!("value-{index}"));
        }
        api.put(node);
    }
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "ClusterBurstPolicy", "metadata": {"name": "all"},
        "spec": {"max": {"cloud": {"pods": cluster.pods}}},
    }));
    for index in 0..cluster.pods {
        api.put(pod(cluster, index, "2026-01-02T03:04:05Z"));
        // The history is what watches are resumed from, and nobody watches yet.
        if index.is_multiple_of(10_000) {
            api.expire();
        }
    }
    api.expire();
    api
}

/// A running pod of a Deployment, as the API server has it: some 3 KB of JSON.
fn pod(cluster: Cluster, index: usize, since: &str) -> Value {
    let burst = index.is_multiple_of(10);
    let cloud = index.is_multiple_of(20);
    let node = if cloud { VIRTUAL.to_owned() } else { Names::Long.name(index % cluster.nodes) };
    let (namespace, app) = (format!("team-{}", index % 200), format!("app-{}", index % 2000));
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{app}-6d4cf56db6-{index:05}"), "generateName": format!("{app}-6d4cf56db6-"), "namespace": namespace,
            "uid": format!("{index:08x}-64a5-4b7e-9df3-{index:012x}"), "creationTimestamp": since,
            "labels": {"app": app, "pod-template-hash": "6d4cf56db6"}, "annotations": {"example.com/checksum": "a".repeat(64)},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-6d4cf56db6"),
                "uid": format!("{:08x}-0000-4b7e-9df3-000000000000", index % 2000), "controller": true}],
            "managedFields": managed_fields(),
        },
        "spec": {
            "nodeName": node, "serviceAccountName": "default", "schedulerName": "default-scheduler", "priority": 0,
            "containers": [{
                "name": "main", "image": "registry.example/shop/web:1.42.0",
                "env": (0..6).map(|v| json!({"name": format!("SETTING_{v}"), "value": "some ordinary value"})).collect::<Vec<_>>(),
                "resources": {"requests": {"cpu": format!("{}m", 100 + 50 * (index % 8)), "memory": "512Mi"}},
                "volumeMounts": [{"name": "kube-api-access", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            }],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
        "status": {
            "phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.1", "startTime": since,
            "conditions": conditions(since),
            "containerStatuses": [{"name": "main", "ready": true, "restartCount": 0, "image": "registry.example/shop/web:1.42.0",
                "containerID": format!("containerd://{}", "b".repeat(64)), "state": {"running": {"startedAt": since}}}],
        },
    });
    if burst {
        pod["metadata"]["labels"]["burst-to-cci"] = json!("auto");
        pod["metadata"]["annotations"]["burst.io/resolved-policy"] = json!("auto");
        pod["metadata"]["annotations"]["burst.io/policy-source"] = json!("pod label burst-to-cci");
    }
    if index.is_multiple_of(100) {
        pod["metadata"]["labels"]["burst.io/governed"] = json!("true");
        pod["metadata"]["annotations"]["burst.io/burst-policy"] = json!("ClusterBurstPolicy/all");
        pod["metadata"]["annotations"]["burst.io/grant"] = json!("cloud");
    }
    pod
}

fn conditions(since: &str) -> Vec<Value> {
    let kinds = ["Initialized", "Ready", "ContainersReady", "PodScheduled"];
    kinds.iter().map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": since})).collect()
}

fn managed_fields() -> Value {
    json!([{
        "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {}}},
    }])
}

/// One pod in ten gets ready at another time.
async fn change(api: &FakeApi, cluster: Cluster) {
    for index in (0..cluster.pods).step_by(CHANGED) {
        api.put(pod(cluster, index, "2026-01-02T04:05:06Z"));
        if index.is_multiple_of(50 * CHANGED) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn start(api: SocketAddr) -> Result<Process> {
    let dir = repository_root()?.join("target/bench/memory");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let kubeconfig = write(&dir, "kubeconfig", &served::kubeconfig(api))?;
    let config =
        write(&dir, "burst-scheduler.yaml", &json!({"kubeconfig": kubeconfig, "http": {"bind": OURS}}))?;
    let mut command = Command::new(built_binary("burst-scheduler")?);
    command.arg("--config").arg(config);
    // As deploy/manifests/scheduler.yaml has it.
    command.env("MIMALLOC_PURGE_DELAY", "1");
    Process::start("burst-scheduler", command, &dir)
}

fn write(dir: &Path, name: &str, content: &Value) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, content.to_string())?;
    Ok(path)
}

/// Ready, every list of pods read, and the pods under the policy object taken into its ledger.
async fn ready(api: &FakeApi) -> Result<()> {
    let output = Command::new("curl").args(["-sf", &format!("http://{OURS}/readyz")]).output().await?;
    ensure!(output.status.success(), "not ready");
    let watches = api.requests_of("WATCH", "/pods").len();
    ensure!(watches >= POD_WATCHES, "{watches} watches of pods are open");
    ensure!(!api.list("burst.io/v1alpha1", "burstledgers").is_empty(), "no ledger yet");
    Ok(())
}
