//! A storm against one policy: 500 pods at once, a ceiling of 100, a budget below it, three rollouts, and both programs
//! killed in the middle. What the cloud bills says how many instances there ever were.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

const NS: &str = "waves";
/// Instances that the policy allows.
const CEILING: usize = 100;
/// Instances that the first budget pays for: eight cores cost 28.80 an hour.
const PAID: usize = 94;
/// Pods that run once, for two seconds.
const BATCH: usize = 440;
/// Deployments, and the replicas of each.
const SERVICES: [&str; 3] = ["web", "api", "search"];
const REPLICAS: u32 = 20;
/// For everything that the storm consists of.
const PATIENCE: Duration = Duration::from_secs(240);

/// At no moment more instances than the budget pays for, then the ceiling's worth of them once it pays for more; every
/// pod of the batch runs, every rollout ends.
pub(crate) async fn five_hundred_pods_through_a_hundred_places(world: Arc<World>) -> Result<()> {
    world.namespace(NS).await?;
    let script = json!([{"podPrefix": "batch-", "runMs": 2000}]);
    world.stack.lock().await.cloud_post(&world.lab, "scripts", &script).await?;
    let storm = storm(&world).await;
    world.stack.lock().await.cloud_post(&world.lab, "scripts", &json!([])).await?;
    world.clean(NS).await?;
    storm
}

async fn storm(world: &World) -> Result<()> {
    world.lab.apply(&policy("2720")).await?;
    world.governs(NS, &[]).await?;
    let bill = Bill::from_now(world)?;
    for service in SERVICES {
        world.lab.apply(&service_of(service)).await?;
    }
    world.lab.apply(&batch()).await?;
    done(world, 40).await?;
    for service in SERVICES {
        let deployment = format!("deployment/{service}");
        world.lab.kubectl(&["set", "env", &deployment, "-n", NS, "REVISION=2"]).await?;
    }
    let mut stack = world.stack.lock().await;
    stack.bridge.kill().await?;
    stack.restart_bridge(&world.lab).await?;
    drop(stack);
    done(world, 120).await?;
    let mut stack = world.stack.lock().await;
    stack.scheduler.kill().await?;
    stack.restart_scheduler(&world.lab).await?;
    drop(stack);
    done(world, 200).await?;
    let most = bill.most(world)?;
    ensure!(most <= PAID, "{most} instances were billed at once with money for {PAID}");
    world.lab.apply(&policy("5000")).await?;
    done(world, BATCH).await?;
    for service in SERVICES {
        let deployment = format!("deployment/{service}");
        world.lab.kubectl(&["rollout", "status", &deployment, "-n", NS, "--timeout=60s"]).await?;
    }
    ensure!(bill.opened(world)? >= BATCH + 2 * 60, "fewer instances than pods that ran");
    // More than there are places for, so that the ceiling itself is reached.
    world.lab.kubectl(&["scale", "deployment", "--all", "-n", NS, "--replicas=40"]).await?;
    every_place_is_taken(world).await?;
    let most = bill.most(world)?;
    ensure!(most == CEILING, "{most} instances were billed at once with a ceiling of {CEILING}");
    Ok(())
}

fn policy(per_hour: &str) -> String {
    json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy", "metadata": {"namespace": NS, "name": "storm"},
        "spec": {"policy": "auto", "max": {"cloud": {"pods": CEILING}},
            "budget": {"currency": "CNY", "perHour": per_hour}},
    })
    .to_string()
}

/// Larger than any real node of the lab.
fn large(spec: &mut Value) {
    spec["containers"][0]["resources"]["requests"] = json!({"cpu": "8", "memory": "16Gi"});
}

fn service_of(name: &str) -> String {
    let mut service = Workload::deployment(NS, name, REPLICAS).spec(large);
    service.manifest["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 5, "maxUnavailable": 0}});
    service.text()
}

fn batch() -> String {
    let mut spec = Workload::pod_spec("8", "16Gi");
    spec["restartPolicy"] = json!("Never");
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": NS, "name": "batch"},
        "spec": {"parallelism": BATCH, "completions": BATCH, "backoffLimit": 0, "template": {"spec": spec}},
    })
    .to_string()
}

/// Waits until so many pods of the batch have run. Those that have are deleted, as whoever pays for them would do.
async fn done(world: &World, count: usize) -> Result<()> {
    eventually_within(PATIENCE, &format!("{count} pods of the batch have run"), || async {
        let finished = "--field-selector=status.phase=Succeeded";
        world.lab.kubectl(&["delete", "pods", "-n", NS, finished, "--wait=false"]).await?;
        let job = world.lab.kubectl(&["get", "job", "batch", "-n", NS, "-o", "json"]).await?;
        let status = serde_json::from_str::<Value>(&job)?["status"].clone();
        ensure!(status["failed"].as_u64().unwrap_or(0) == 0, "pods failed: {status}");
        let ran = status["succeeded"].as_u64().unwrap_or(0);
        ensure!(ran >= u64::try_from(count)?, "{ran} have: {status}");
        Ok(())
    })
    .await
}

/// Waits until as many pods run as the ceiling allows, and the others are told so.
async fn every_place_is_taken(world: &World) -> Result<()> {
    eventually_within(PATIENCE, "every place is taken", || async {
        let running = world.pods(NS).await?.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        let text = world.lab.kubectl(&["get", "bp", "storm", "-n", NS, "-o", "json"]).await?;
        let held = &serde_json::from_str::<Value>(&text)?["status"]["heldBack"];
        ensure!(running == CEILING && *held == json!({"CloudLimit": 20}), "{running} run; held back: {held}");
        Ok(())
    })
    .await
}

/// The part of the cloud's bill that a case made.
struct Bill {
    lines_before: usize,
}

impl Bill {
    fn from_now(world: &World) -> Result<Self> {
        Ok(Self { lines_before: lines(world)?.len() })
    }

    /// The most instances that were billed at the same time.
    fn most(&self, world: &World) -> Result<usize> {
        let (mut open, mut most) = (BTreeSet::new(), 0);
        for line in lines(world)?.iter().skip(self.lines_before) {
            let id = line["id"].as_str().context("a line without an id")?.to_owned();
            if line["event"] == "open" {
                open.insert(id)
            } else {
                open.remove(&id)
            };
            most = most.max(open.len());
        }
        Ok(most)
    }

    /// How many instances were ever billed.
    fn opened(&self, world: &World) -> Result<usize> {
        let lines = lines(world)?;
        Ok(lines.iter().skip(self.lines_before).filter(|line| line["event"] == "open").count())
    }
}

/// The bill, without a line that is just being written.
fn lines(world: &World) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(world.lab.logs().join("billing-meter.jsonl"))?;
    let whole = text.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
    whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
