//! Moving home: once real nodes have room again, pods come back from the cloud one by one, within their disruption budgets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Placement, REAL_NODES, World, names};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

/// Longest time for looks, evictions and starts of a case.
const PATIENCE: Duration = Duration::from_secs(50);

/// Fills a real node.
fn whole_node(spec: &mut Value) {
    spec["containers"][0]["resources"]["requests"]["cpu"] = json!("4");
}

/// Makes a workload: namespace, name, replicas.
type Make = fn(&str, &str, u32) -> Workload;

/// A workload of three pods, all in the cloud because real nodes were full, under a disruption budget; then real nodes have
/// room for exactly three.
async fn overflow(world: &World, ns: &str, make: Make, min_available: usize) -> Result<()> {
    world.namespace(ns).await?;
    let policy = json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy", "metadata": {"namespace": ns, "name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "policy": "localPrefer",
            "repatriation": {"minStaySeconds": 5, "maxPerHour": 60},
        },
    });
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"namespace": ns, "name": "web"},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": "web"}}},
    });
    world.lab.apply(&policy.to_string()).await?;
    world.lab.apply(&budget.to_string()).await?;
    world.lab.apply(&Workload::deployment(ns, "others", 3).spec(whole_node).text()).await?;
    let placed = world.running(ns, REAL_NODES).await?;
    ensure!(placed == Placement { local: REAL_NODES, burst: 0 }, "{placed:?}");
    world.governs(ns, &[("app", "web")]).await?;
    world.lab.apply(&make(ns, "web", 3).spec(whole_node).text()).await?;
    let placed = world.running(ns, REAL_NODES + 3).await?;
    ensure!(placed == Placement { local: REAL_NODES, burst: 3 }, "{placed:?}");
    world.lab.kubectl(&["delete", "deployment", "others", "-n", ns]).await?;
    Ok(())
}

/// Pods of `web` that are ready and stay.
async fn ready(world: &World, ns: &str) -> Result<usize> {
    let ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array();
        pod["metadata"]["labels"]["app"] == "web"
            && pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
    };
    Ok(world.pods(ns).await?.iter().filter(ready).count())
}

/// The fewest ready pods that were ever seen, until it is told to stop.
async fn fewest(world: Arc<World>, ns: &'static str, stop: Arc<AtomicBool>) -> Result<usize> {
    let mut fewest = usize::MAX;
    while !stop.load(Ordering::Relaxed) {
        fewest = fewest.min(ready(&world, ns).await?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(fewest)
}

/// The moves of the last hour, as the policy's ledger counts them.
async fn moves(world: &World, ns: &str) -> Result<Vec<Value>> {
    let text = world.lab.kubectl(&["get", "burstledgers", "-n", "burst-system", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&text)?;
    let ledgers = list["items"].as_array().context("a list")?;
    let ours = ledgers.iter().find(|ledger| ledger["spec"]["policy"] == format!("BurstPolicy/{ns}/web"));
    Ok(ours.context("the policy's ledger")?["spec"]["moves"].as_array().cloned().unwrap_or_default())
}

/// Three in the cloud, three at home, and never more than one on its way.
pub(crate) async fn pods_come_home_one_by_one(world: Arc<World>) -> Result<()> {
    let ns = "home";
    overflow(&world, ns, Workload::deployment, 2).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let watchman = tokio::spawn(fewest(world.clone(), ns, stop.clone()));
    let home = eventually_within(PATIENCE, "three pods at home", || async {
        let pods = world.pods(ns).await?;
        let placed = Placement::of(&pods);
        ensure!(placed == Placement { local: 3, burst: 0 } && pods.len() == 3, "{}", names(&pods));
        Ok(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let fewest = watchman.await??;
    home?;
    ensure!(fewest >= 2, "{fewest} of 3 pods were ready in between, with a budget of 2");
    let moves = moves(&world, ns).await?;
    let times: BTreeSet<String> = moves.iter().map(|one| one["at"].to_string()).collect();
    ensure!(moves.len() == 3 && times.len() == 3, "not one by one: {}", Value::from(moves));
    world.running(ns, 3).await?;
    eventually_within(PATIENCE, "no instance is left and no bill open", || async {
        let instances = world.instances_of(ns).await?;
        ensure!(instances.is_empty(), "{}", Value::from(instances));
        let meter = world.stack.lock().await.cloud_get(&world.lab, "meter").await?;
        ensure!(meter["open"] == 0, "{meter}");
        let events = world.lab.kubectl(&["get", "events", "-n", ns, "-o", "json"]).await?;
        let events: Value = serde_json::from_str(&events)?;
        let events = events["items"].as_array().context("a list")?;
        let told = events.iter().filter(|event| event["reason"] == "BurstMovingHome").count();
        ensure!(told == 3, "{told} events BurstMovingHome");
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// No pod may be missing: all are asked for, none is moved. Without the budget they come.
pub(crate) async fn a_disruption_budget_keeps_them(world: Arc<World>) -> Result<()> {
    let ns = "home-kept";
    overflow(&world, ns, Workload::deployment, 3).await?;
    let before = asked(&world, "later").await?;
    eventually_within(PATIENCE, "moves that were put off", || async {
        let later = asked(&world, "later").await?;
        ensure!(later >= before + 3.0, "{later} were put off, {before} before");
        Ok(())
    })
    .await?;
    let pods = world.pods(ns).await?;
    let placed = Placement::of(&pods);
    ensure!(placed == Placement { local: 0, burst: 3 } && pods.len() == 3, "{}", names(&pods));
    ensure!(ready(&world, ns).await? == 3, "{}", names(&pods));
    world.lab.kubectl(&["delete", "pdb", "web", "-n", ns]).await?;
    eventually_within(PATIENCE, "a pod at home", || async {
        let pods = world.pods(ns).await?;
        ensure!(Placement::of(&pods).local > 0, "{}", names(&pods));
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// A StatefulSet's pods come home under their names: each is another pod, and its predecessor is gone before it starts.
pub(crate) async fn a_stateful_set_comes_home_under_its_names(world: Arc<World>) -> Result<()> {
    let ns = "home-stateful";
    overflow(&world, ns, Workload::stateful_set, 2).await?;
    let (wanted, before) = (BTreeSet::from(["web-0", "web-1", "web-2"]), uids(&world, ns).await?);
    eventually_within(PATIENCE, "web-0, web-1 and web-2 at home", || async {
        let pods = world.pods(ns).await?;
        let called: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        let placed = Placement::of(&pods);
        ensure!(placed == Placement { local: 3, burst: 0 } && called == wanted, "{}", names(&pods));
        Ok(())
    })
    .await?;
    ensure!(uids(&world, ns).await?.is_disjoint(&before), "a pod that was in the cloud is at home");
    eventually_within(PATIENCE, "no instance is left", || async {
        let instances = world.instances_of(ns).await?;
        ensure!(instances.is_empty(), "{}", Value::from(instances));
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

async fn uids(world: &World, ns: &str) -> Result<BTreeSet<String>> {
    Ok(world.pods(ns).await?.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect())
}

/// How many moves ended so.
async fn asked(world: &World, result: &str) -> Result<f64> {
    let text = world.metrics().await?;
    let series = format!("burst_repatriations_total{{result=\"{result}\"}} ");
    Ok(text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0.0))
}
