//! A zone that is sold out: pods that a controller replaces go elsewhere, others keep trying and say so, and pods without
//! a grant are not created.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

/// The virtual node in the zone that sells out.
const SOLD_OUT: &str = "burst-cci-0";
/// The virtual node in the other zone.
const OTHER: &str = "burst-cci-1";
/// Back-offs and the seconds before an eviction.
const PATIENCE: Duration = Duration::from_secs(100);

/// Creates for one virtual node, of one size, get this.
async fn faults(world: &World, action: Option<Value>) -> Result<()> {
    let rule = |action| {
        json!([{"method": "POST", "route": "/api/v1/namespaces/{namespace}/pods",
                "bodyContains": format!("\"{SOLD_OUT}\""), "action": action}])
    };
    let rules = action.map_or_else(|| json!([]), rule);
    world.stack.lock().await.cloud_post(&world.lab, "faults", &rules).await.map(drop)
}

/// Applies a workload so that its first pods meet the sold-out zone: every other node is closed until `met` holds, real
/// nodes until the end of the case. The pods are of policy auto, for which the scheduler asks burst.
async fn meet_stock_out<F: Future<Output = Result<()>>>(
    world: &World,
    manifest: &str,
    met: impl FnOnce() -> F,
) -> Result<()> {
    world.lab.kubectl(&["cordon", OTHER, "node-0", "node-1", "node-2"]).await?;
    let applied = world.lab.apply(manifest).await;
    let result = match applied {
        Ok(_) => met().await,
        Err(error) => Err(error),
    };
    world.lab.kubectl(&["uncordon", OTHER]).await?;
    result
}

/// Whatever the case said: the next one finds the world as it was.
async fn tidy(world: &World, ns: &str, result: Result<()>) -> Result<()> {
    world.lab.kubectl(&["uncordon", OTHER, "node-0", "node-1", "node-2"]).await?;
    faults(world, None).await?;
    world.clean(ns).await?;
    result
}

/// Every pod of the namespace that is not going away runs, none of them in the sold-out zone.
async fn all_elsewhere(world: &World, ns: &str, count: usize) -> Result<()> {
    eventually_within(PATIENCE, &format!("{count} pods of {ns} run elsewhere"), || async {
        let alive = |pod: &Value| {
            pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] != "Failed"
        };
        let pods: Vec<Value> = world.pods(ns).await?.into_iter().filter(alive).collect();
        let good = |pod: &&Value| pod["status"]["phase"] == "Running" && pod["spec"]["nodeName"] != SOLD_OUT;
        ensure!(pods.len() == count && pods.iter().filter(good).count() == count, "{}", names(&pods));
        Ok(())
    })
    .await
}

async fn event(world: &World, ns: &str, reason: &str) -> Result<String> {
    eventually_within(PATIENCE, &format!("an event {reason} in {ns}"), || async {
        let selector = format!("reason={reason}");
        let args =
            ["get", "events", "-n", ns, "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"];
        let text = world.lab.kubectl(&args).await?;
        ensure!(!text.is_empty(), "no event {reason}");
        Ok(text)
    })
    .await
}

async fn report(world: &World) -> Result<Value> {
    let text = world.lab.kubectl(&["get", "virtualnodereports", SOLD_OUT, "-o", "json"]).await?;
    Ok(serde_json::from_str::<Value>(&text)?["spec"].clone())
}

/// The pods of a Deployment end in the other zone, the memory is published, and nothing is billed in the sold-out one.
pub(crate) async fn deployment_moves_to_the_other_zone(world: Arc<World>) -> Result<()> {
    let ns = "stock-deployment";
    let result = deployment_moves_to_the_other_zone_case(&world, ns).await;
    tidy(&world, ns, result).await
}

async fn deployment_moves_to_the_other_zone_case(world: &World, ns: &str) -> Result<()> {
    world.namespace(ns).await?;
    faults(world, Some(json!({"kind": "noAllocatedCluster"}))).await?;
    let deployment = Workload::deployment(ns, "web", 4).pod_label("burst-to-cci", "auto");
    meet_stock_out(world, &deployment.text(), || async {
        let said = event(world, ns, "HandedBack").await?;
        ensure!(said.contains("zone cn-north-4a"), "{said}");
        Ok(())
    })
    .await?;
    all_elsewhere(world, ns, 4).await?;
    let out = report(world).await?;
    ensure!(out["stockOuts"][0]["class"] == "cpu-1" && out["zone"] == "cn-north-4a", "{out}");
    let instances = world.instances_of(ns).await?;
    ensure!(
        instances.len() == 4 && !instances.iter().any(|i| i.to_string().contains(SOLD_OUT)),
        "{instances:?}"
    );
    Ok(())
}

/// The cloud takes the pods and finds no place: they are given up there and run elsewhere.
pub(crate) async fn accepted_without_a_place(world: Arc<World>) -> Result<()> {
    let ns = "stock-unplaced";
    let result = accepted_without_a_place_case(&world, ns).await;
    tidy(&world, ns, result).await
}

async fn accepted_without_a_place_case(world: &World, ns: &str) -> Result<()> {
    world.namespace(ns).await?;
    faults(world, Some(json!({"kind": "stockOut"}))).await?;
    let size = |spec: &mut Value| spec["containers"][0]["resources"]["requests"]["cpu"] = json!("5");
    let deployment = Workload::deployment(ns, "web", 2).pod_label("burst-to-cci", "auto").spec(size);
    meet_stock_out(world, &deployment.text(), || async {
        let said = event(world, ns, "HandedBack").await?;
        ensure!(said.contains("zone cn-north-4a"), "{said}");
        Ok(())
    })
    .await?;
    all_elsewhere(world, ns, 2).await?;
    let left = world.instances_of(ns).await?;
    ensure!(left.len() == 2 && !left.iter().any(|i| i.to_string().contains(SOLD_OUT)), "{left:?}");
    Ok(())
}

/// A Job that ignores disruptions gets a new pod and does not count the failure.
pub(crate) async fn job_that_ignores_disruptions(world: Arc<World>) -> Result<()> {
    let ns = "stock-job";
    let result = job_that_ignores_disruptions_case(&world, ns).await;
    tidy(&world, ns, result).await
}

async fn job_that_ignores_disruptions_case(world: &World, ns: &str) -> Result<()> {
    world.namespace(ns).await?;
    faults(world, Some(json!({"kind": "noAllocatedCluster"}))).await?;
    let mut spec = Workload::pod_spec("2", "4Gi");
    spec["restartPolicy"] = json!("Never");
    let ignore =
        json!([{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": ns, "name": "sum"},
        "spec": {
            "parallelism": 3, "completions": 3, "backoffLimit": 0, "podFailurePolicy": {"rules": ignore},
            "template": {"metadata": {"labels": {"burst-to-cci": "auto"}}, "spec": spec},
        },
    });
    meet_stock_out(world, &job.to_string(), || async { event(world, ns, "HandedBack").await.map(drop) })
        .await?;
    all_elsewhere(world, ns, 3).await?;
    let text = world.lab.kubectl(&["get", "job", "sum", "-n", ns, "-o", "json"]).await?;
    let job: Value = serde_json::from_str(&text)?;
    let failed = job["status"]["failed"].as_u64().unwrap_or(0);
    ensure!(failed == 0, "disruptions were counted as failures: {}", job["status"]);
    Ok(())
}

/// A bare pod stays, says why, and runs when stock returns.
pub(crate) async fn bare_pod_keeps_trying(world: Arc<World>) -> Result<()> {
    let ns = "stock-bare";
    world.namespace(ns).await?;
    faults(&world, Some(json!({"kind": "noAllocatedCluster"}))).await?;
    let pod = Workload::pod(ns, "bare").spec(|spec| {
        spec["nodeName"] = json!(SOLD_OUT);
        spec["containers"][0]["resources"]["requests"]["cpu"] = json!("3");
    });
    world.lab.apply(&pod.text()).await?;
    let said = event(&world, ns, "StockOut").await?;
    ensure!(said.contains("keeps trying here") && said.contains("no controller"), "{said}");
    let uid = world.pod(ns, "bare").await?["metadata"]["uid"].clone();
    faults(&world, None).await?;
    world.running(ns, 1).await?;
    ensure!(world.pod(ns, "bare").await?["metadata"]["uid"] == uid, "it is the same pod");
    eventually_within(PATIENCE, "the memory is cleared", || async {
        let out = report(&world).await?;
        let left = out["stockOuts"].as_array().into_iter().flatten().any(|o| o["class"] == "cpu-4");
        ensure!(!left, "{out}");
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// The backstop of limits: a pod that names its node passes every scheduler, and still nothing is created for it before
/// the ledger has an open grant; with one it is created at once, and the grant ends when the instance is gone.
pub(crate) async fn without_a_grant_nothing_is_created(world: Arc<World>) -> Result<()> {
    let ns = "grant-backstop";
    world.namespace(ns).await?;
    world.lab.apply(&ceiling(ns, 0)).await?;
    let pod = Workload::pod(ns, "held").spec(|spec| spec["nodeName"] = json!(OTHER));
    eventually_within(PATIENCE, "a governed pod", || async {
        // The webhook learns of the policy object through its watch.
        world.lab.apply(&pod.text()).await?;
        if world.pod(ns, "held").await?["metadata"]["labels"]["burst.io/governed"] == "true" {
            return Ok(());
        }
        world.lab.kubectl(&["delete", "pod", "held", "-n", ns, "--wait=true", "--timeout=60s"]).await?;
        anyhow::bail!("not governed yet")
    })
    .await?;
    eventually_within(PATIENCE, "the condition says what is missing", || async {
        let pod = world.pod(ns, "held").await?;
        ensure!(pod["status"].to_string().contains("AwaitingGrant"), "{}", pod["status"]);
        Ok(())
    })
    .await?;
    ensure!(world.instances_of(ns).await?.is_empty(), "an instance without a grant");
    world.lab.apply(&ceiling(ns, 1)).await?;
    world.running(ns, 1).await?;
    world.lab.kubectl(&["delete", "pod", "held", "-n", ns, "--wait=true", "--timeout=60s"]).await?;
    eventually_within(PATIENCE, "the grant ends", || async {
        let text = world.lab.kubectl(&["get", "burstledgers", "-n", "burst-system", "-o", "json"]).await?;
        let ledgers: Value = serde_json::from_str(&text)?;
        let ours = |l: &&Value| l["spec"]["policy"] == format!("BurstPolicy/{ns}/by-hand");
        let ledger = ledgers["items"].as_array().into_iter().flatten().find(ours).context("a ledger")?;
        let open = ledger["spec"]["grants"].as_object().map_or(0, serde_json::Map::len);
        ensure!(open == 0, "{ledger}");
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

fn ceiling(ns: &str, pods: u32) -> String {
    json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"namespace": ns, "name": "by-hand"},
        "spec": {"max": {"cloud": {"pods": pods}}},
    })
    .to_string()
}
