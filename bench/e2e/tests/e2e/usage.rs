//! What burst pods use, through the API server and the virtual node's kubelet port, as metrics-server reads it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::World;
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

use crate::eci::{running_at_eci, with_eci_nodes};
use crate::other_cluster::{beside_another, deploy};
use crate::ucloud::{apply, pod, running_at_cube, with_cube};

const PATIENCE: Duration = Duration::from_secs(60);

/// `/stats/summary` and `/metrics/resource` of a node name a pod's own containers, and only them, with CPU and memory.
pub(crate) async fn shown_as_used(world: &World, node: &str, pod: &Value) -> Result<()> {
    let text = |at: &str| pod.pointer(at).and_then(Value::as_str).with_context(|| format!("{at} of {pod}"));
    let (namespace, name, uid) =
        (text("/metadata/namespace")?, text("/metadata/name")?, text("/metadata/uid")?);
    let containers = pod["spec"]["containers"].as_array().context("containers")?;
    let containers: Vec<&str> =
        containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let path = |what: &str| format!("/api/v1/nodes/{node}/proxy/{what}");
    eventually_within(PATIENCE, &format!("{node} says what {namespace}/{name} uses"), || async {
        let summary = world.lab.kubectl(&["get", "--raw", &path("stats/summary")]).await?;
        let summary: Value = serde_json::from_str(&summary)?;
        ensure!(summary["node"]["nodeName"] == node, "{summary}");
        let pods = summary["pods"].as_array().context("no pods")?;
        let found = pods.iter().find(|pod| pod["podRef"]["uid"] == uid).context("the pod is not there")?;
        ensure!(found["podRef"]["name"] == name && found["podRef"]["namespace"] == namespace, "{found}");
        let rows = found["containers"].as_array().context("no containers")?;
        let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
        ensure!(names == containers, "{names:?}");
        for row in rows {
            let cpu = row["cpu"]["usageCoreNanoSeconds"].as_u64().unwrap_or_default();
            let memory = row["memory"]["workingSetBytes"].as_u64().unwrap_or_default();
            ensure!(cpu > 0 && memory > 0 && row["startTime"].is_string(), "{row}");
        }
        let page = world.lab.kubectl(&["get", "--raw", &path("metrics/resource")]).await?;
        ensure!(page.contains("\nresource_scrape_error 0\n"), "{page}");
        for container in &containers {
            let labels = format!("{{namespace=\"{namespace}\",pod=\"{name}\",container=\"{container}\"}}");
            let families = ["cpu_usage_seconds_total", "memory_working_set_bytes", "start_time_seconds"];
            for family in families.map(|family| format!("container_{family}{labels} ")) {
                let line = page.lines().find_map(|line| line.strip_prefix(&family)).context(family)?;
                let value: f64 = line.split(' ').next().unwrap_or_default().parse()?;
                ensure!(value > 0.0, "{line}");
            }
        }
        Ok(())
    })
    .await
}

fn node_of(pod: &Value) -> Result<&str> {
    pod["spec"]["nodeName"].as_str().context("the pod has no node")
}

/// Two containers at CCI, and real nodes' own numbers are nobody's business here.
pub(crate) async fn of_pods_at_cci(world: Arc<World>) -> Result<()> {
    let ns = "usage-cci";
    world.namespace(ns).await?;
    let two = |spec: &mut Value| {
        let mut side = spec["containers"][0].clone();
        side["name"] = json!("side");
        if let Some(all) = spec["containers"].as_array_mut() {
            all.push(side);
        }
    };
    let workload = Workload::pod(ns, "web").label("burst-to-cci", "enforce").spec(two);
    world.lab.apply(&workload.text()).await?;
    world.running(ns, 1).await?;
    let pod = world.pod(ns, "web").await?;
    shown_as_used(&world, node_of(&pod)?, &pod).await?;
    world.clean(ns).await
}

pub(crate) async fn of_pods_at_eci(world: Arc<World>) -> Result<()> {
    let ns = "usage-eci";
    with_eci_nodes(&world, ns, 1, || async {
        world.lab.apply(&Workload::pod(ns, "web").label("eci", "true").text()).await?;
        let pods = running_at_eci(&world, ns, 1).await?;
        shown_as_used(&world, node_of(&pods[0])?, &pods[0]).await
    })
    .await
}

/// By the names of metrics that the configuration gives.
pub(crate) async fn of_pods_at_cube(world: Arc<World>) -> Result<()> {
    let ns = "usage-cube";
    with_cube(&world, ns, || async {
        apply(&world, ns, &pod("web", |_| {}).to_string()).await?;
        let pods = running_at_cube(&world, ns, 1).await?;
        shown_as_used(&world, node_of(&pods[0])?, &pods[0]).await
    })
    .await
}

/// The other cluster's metrics-server is not there, and that is what is said.
pub(crate) async fn another_cluster_without_metrics_server_is_said(world: Arc<World>) -> Result<()> {
    let ns = "usage-elsewhere";
    beside_another(&world, ns, |_| async {
        deploy(&world, ns, 1).await?;
        let pods = world.pods(ns).await?;
        let path =
            |what: &str| Ok::<_, anyhow::Error>(format!("/api/v1/nodes/{}/proxy/{what}", node_of(&pods[0])?));
        let summary = world.lab.kubectl(&["get", "--raw", &path("stats/summary")?]).await;
        let Err(error) = summary else { bail!("a summary without numbers") };
        let error = format!("{error:#}");
        ensure!(error.contains("install metrics-server in that cluster"), "{error}");
        let page = world.lab.kubectl(&["get", "--raw", &path("metrics/resource")?]).await?;
        ensure!(page.contains("\nresource_scrape_error 1\n"), "{page}");
        Ok(())
    })
    .await
}
