//! Bridge churn on the real control plane: 1000 pods bound to a virtual node, from create to Running to gone; the same
//! pods on a kwok node are the ceiling of this control plane.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use lab::{CloudRuntime, Lab, LabOptions, SchedulerChoice, Stack, StackOptions};
use serde_json::json;

use crate::{
    process,
    report::{Report, quantile},
    seen::{Seen, times},
};

const PODS: usize = 1000;
const CLIENTS: usize = 50;
const NAMESPACE: &str = "churn";
const LIMIT: Duration = Duration::from_secs(180);

/// What one run of the thousand saw.
struct Churn {
    running_per_second: f64,
    gone_per_second: f64,
    create_to_running_s: Vec<f64>,
}

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let options = LabOptions {
        name: "bench-churn".to_owned(),
        scheduler: SchedulerChoice::None,
        ..LabOptions::default()
    };
    let lab = Lab::start(options).await?;
    lab.add_real_nodes(1, "4000", "16Ti", 5000).await?;
    let stack =
        Stack::start(&lab, StackOptions { runtime: CloudRuntime::Script, ..StackOptions::default() }).await?;
    lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
    lab::eventually("the namespace's ServiceAccount", || async {
        lab.kubectl(&["get", "serviceaccount", "default", "-n", NAMESPACE]).await.map(drop)
    })
    .await?;
    println!("\nChurn of {PODS} pods, created by {CLIENTS} clients already bound to the node:");
    let pid = stack.bridge.pid().context("burst-bridge ended")?;
    let cpu = process::cpu_seconds(pid)?;
    let writes = api_writes(&lab).await?;
    let burst = churn(&lab, "burst-cci-0").await?;
    let writes = (api_writes(&lab).await? - writes) / count(PODS);
    show(report, "burst", &burst);
    let (rss, highest) = process::memory_mib(pid)?;
    let cpu = process::cpu_seconds(pid)? - cpu;
    println!(
        "  burst-bridge: {cpu:.1} s CPU, {rss:.0} MiB resident ({highest:.0} at its highest), {writes:.2} API writes per pod"
    );
    report.set("churn_burst_cpu_seconds", cpu);
    report.set("churn_burst_rss_mib", rss);
    report.set("churn_burst_rss_peak_mib", highest);
    report.set("churn_burst_api_writes_per_pod", writes);
    let kwok = churn(&lab, "node-0").await?;
    show(report, "kwok", &kwok);
    report.set("churn_running_ratio_to_kwok", burst.running_per_second / kwok.running_per_second);
    report.set("churn_gone_ratio_to_kwok", burst.gone_per_second / kwok.gone_per_second);
    Ok(())
}

fn show(report: &mut Report, name: &str, churn: &Churn) {
    let mut latencies = churn.create_to_running_s.clone();
    let (p50, p99) = (quantile(&mut latencies, 0.5), quantile(&mut latencies, 0.99));
    println!(
        "  {name:<6} {:>6.0} pods/s to Running (p50 {p50:.2} s, p99 {p99:.2} s), {:>6.0} pods/s gone",
        churn.running_per_second, churn.gone_per_second
    );
    report.set(format!("churn_{name}_running_pods_per_second"), churn.running_per_second);
    report.set(format!("churn_{name}_gone_pods_per_second"), churn.gone_per_second);
    report.set(format!("churn_{name}_create_to_running_p50_s"), p50);
    report.set(format!("churn_{name}_create_to_running_p99_s"), p99);
}

async fn churn(lab: &Lab, node: &str) -> Result<Churn> {
    let client = lab.client().await?;
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let watcher = tokio::spawn(times(pods.clone(), Seen::Running, PODS, LIMIT));
    let begin = Instant::now();
    let created = create(&pods, node).await?;
    let running = watcher.await??.at;
    let running_time = running.values().max().context("no pod")?.duration_since(begin);
    let gone_watch = tokio::spawn(times(pods.clone(), Seen::Gone, PODS, LIMIT));
    let begin = Instant::now();
    delete(&pods).await?;
    let gone = gone_watch.await??.at;
    let gone_time = gone.values().max().context("no pod")?.duration_since(begin);
    let create_to_running_s = running
        .iter()
        .filter_map(|(name, at)| created.get(name).map(|start| at.duration_since(*start).as_secs_f64()))
        .collect();
    Ok(Churn {
        running_per_second: count(PODS) / running_time.as_secs_f64(),
        gone_per_second: count(PODS) / gone_time.as_secs_f64(),
        create_to_running_s,
    })
}

async fn create(pods: &Api<Pod>, node: &str) -> Result<HashMap<String, Instant>> {
    futures::stream::iter(0..PODS)
        .map(|i| async move {
            let name = format!("pod-{i}");
            let pod = json!({
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {
                    "nodeName": node, "automountServiceAccountToken": false, "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": "busybox", "command": ["sleep", "1000"],
                        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}}],
                    "tolerations": [{"operator": "Exists"}],
                },
            });
            let start = Instant::now();
            pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
            anyhow::Ok((name, start))
        })
        .buffer_unordered(CLIENTS)
        .try_collect()
        .await
}

async fn delete(pods: &Api<Pod>) -> Result<()> {
    futures::stream::iter(0..PODS)
        .map(|i| async move { pods.delete(&format!("pod-{i}"), &DeleteParams::default()).await.map(drop) })
        .buffer_unordered(CLIENTS)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

/// Writes to pods and their subresources that the API server served, without the creates and deletes of this program.
async fn api_writes(lab: &Lab) -> Result<f64> {
    let metrics = lab.kubectl(&["get", "--raw", "/metrics"]).await?;
    let all: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{") && line.contains("resource=\"pods\""))
        .filter(|line| {
            ["PATCH", "PUT", "DELETE", "POST"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    let ours = metrics
        .lines()
        .filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("resource=\"pods\"")
                && line.contains("verb=\"POST\"")
                && line.contains("subresource=\"\"")
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>();
    // Each created pod is also deleted once by this program before the second reading.
    Ok(all - 2.0 * ours)
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn count(n: usize) -> f64 {
    n as f64
}
