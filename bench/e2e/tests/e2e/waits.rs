//! What a pod may wait for before it bursts: an autoscaler that adds a node, and preemption on the nodes that there are.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{CORES, REAL_NODES, World, names, on_virtual};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

fn policy(ns: &str, spec: &Value) -> String {
    json!({"apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"namespace": ns, "name": "patient"}, "spec": spec})
    .to_string()
}

/// As the cluster autoscaler looks for pods: found unschedulable, and held by no gate. It adds nodes that they tolerate.
fn asks_for_a_node(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let unschedulable =
        |c: &Value| c["type"] == "PodScheduled" && c["status"] == "False" && c["reason"] == "Unschedulable";
    pod["spec"]["schedulingGates"].is_null() && conditions.is_some_and(|all| all.iter().any(unschedulable))
}

async fn seen_by_an_autoscaler(world: &World, ns: &str, name: &str) -> Result<()> {
    eventually_within(Duration::from_secs(20), "an autoscaler sees the pod", || async {
        let pod = world.pod(ns, name).await?;
        ensure!(asks_for_a_node(&pod), "{}", pod["status"]);
        Ok(())
    })
    .await
}

fn larger_than_the_nodes(spec: &mut Value) {
    spec["containers"][0]["resources"]["requests"] = json!({"cpu": "8", "memory": "16Gi"});
}

fn new_node(name: &str) -> String {
    let size = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
        "status": {"allocatable": size, "capacity": size}})
    .to_string()
}

/// A pod that an autoscaler can see gets the node that was added for it, and never costs money in the cloud; one whose
/// time passes without a node bursts.
pub(crate) async fn an_autoscaler_gets_its_time(world: Arc<World>) -> Result<()> {
    let ns = "wait-autoscaler";
    world.namespace(ns).await?;
    world
        .lab
        .apply(&policy(ns, &json!({"policy": "localPrefer", "wait": {"autoscalerSeconds": 60}})))
        .await?;
    world.governs(ns, &[]).await?;
    world.lab.apply(&Workload::pod(ns, "served").spec(larger_than_the_nodes).text()).await?;
    seen_by_an_autoscaler(&world, ns, "served").await?;
    world.lab.apply(&new_node("scaled-up")).await?;
    let placed = world.running(ns, 1).await;
    let pod = world.pod(ns, "served").await;
    let instances = world.instances_of(ns).await;
    world.lab.kubectl(&["delete", "pod", "served", "-n", ns, "--wait=false"]).await?;
    world.lab.kubectl(&["delete", "node", "scaled-up"]).await?;
    ensure!(placed?.local == 1 && instances?.is_empty(), "{}", names(&[pod?]));
    world.lab.apply(&policy(ns, &json!({"policy": "localPrefer", "wait": {"autoscalerSeconds": 3}}))).await?;
    world.lab.apply(&Workload::pod(ns, "left").spec(larger_than_the_nodes).text()).await?;
    seen_by_an_autoscaler(&world, ns, "left").await?;
    let pod = in_the_cloud(&world, ns, "left").await?;
    let waited = seconds_between(&pod["metadata"]["creationTimestamp"], &bound_at(&pod)?)?;
    ensure!(waited >= 3, "it burst {waited} s after its creation and should have waited 3");
    world.clean(ns).await
}

/// Pods of lower priority make room at home; where nobody is lower, the pod bursts at once.
pub(crate) async fn preemption_is_tried_before_the_cloud(world: Arc<World>) -> Result<()> {
    let ns = "wait-preemption";
    world.namespace(ns).await?;
    for (name, value) in [("waits-low", 10), ("waits-high", 1000)] {
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value});
        world.lab.apply(&class.to_string()).await?;
    }
    let outcome = preempting(&world, ns).await;
    world.clean(ns).await?;
    world.lab.kubectl(&["delete", "priorityclasses", "waits-low", "waits-high"]).await?;
    outcome
}

async fn preempting(world: &World, ns: &str) -> Result<()> {
    let class = |class: &'static str| move |spec: &mut Value| spec["priorityClassName"] = json!(class);
    let cores = REAL_NODES * CORES;
    let filler = Workload::deployment(ns, "filler", u32::try_from(cores)?).pod_label("burst-to-cci", "off");
    world.lab.apply(&filler.spec(class("waits-low")).text()).await?;
    world.running(ns, cores).await?;
    let spec = json!({"policy": "localPrefer", "preemptBeforeBurst": true, "selector": {"matchLabels": {"app": "urgent"}}});
    world.lab.apply(&policy(ns, &spec)).await?;
    world.governs(ns, &[("app", "urgent")]).await?;
    let urgent =
        |name: &str, of: &'static str| Workload::pod(ns, name).label("app", "urgent").spec(class(of)).text();
    world.lab.apply(&urgent("above", "waits-high")).await?;
    eventually_within(Duration::from_secs(40), "it took a place at home", || async {
        let pod = world.pod(ns, "above").await?;
        ensure!(pod["status"]["phase"] == "Running" && !on_virtual(&pod), "{}", names(&[pod]));
        Ok(())
    })
    .await?;
    let instances = world.instances_of(ns).await?;
    ensure!(instances.is_empty(), "it cost money although there was room to be made: {instances:?}");
    world.lab.apply(&urgent("equal", "waits-low")).await?;
    in_the_cloud(world, ns, "equal").await.map(drop)
}

async fn in_the_cloud(world: &World, ns: &str, name: &str) -> Result<Value> {
    eventually_within(Duration::from_secs(40), &format!("{name} runs in the cloud"), || async {
        let pod = world.pod(ns, name).await?;
        ensure!(pod["status"]["phase"] == "Running" && on_virtual(&pod), "{}", names(&[pod]));
        Ok(pod)
    })
    .await
}

fn bound_at(pod: &Value) -> Result<Value> {
    let conditions = pod["status"]["conditions"].as_array().context("conditions")?;
    let bound = conditions.iter().find(|c| c["type"] == "PodScheduled").context("PodScheduled")?;
    Ok(bound["lastTransitionTime"].clone())
}

fn seconds_between(from: &Value, to: &Value) -> Result<i64> {
    let time = |value: &Value| anyhow::Ok(value.as_str().context("a time")?.parse::<jiff::Timestamp>()?);
    Ok(time(to)?.duration_since(time(from)?).as_secs())
}
