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

/// The backstop of limits: without an open grant in a ledger nothing is created, with one it is, at once.
pub(crate) async fn without_a_grant_nothing_is_created(world: Arc<World>) -> Result<()> {
    let ns = "grant-backstop";
    world.namespace(ns).await?;
    let mut pod = Workload::pod(ns, "held").spec(|spec| spec["nodeName"] = json!(OTHER));
    pod.manifest["metadata"]["labels"]["burst.io/governed"] = json!("true");
    pod.manifest["metadata"]["annotations"]["burst.io/burst-policy"] = json!("BurstPolicy/elsewhere/by-hand");
    world.lab.apply(&pod.text()).await?;
    eventually_within(PATIENCE, "the condition says what is missing", || async {
        let pod = world.pod(ns, "held").await?;
        ensure!(pod["status"].to_string().contains("AwaitingGrant"), "{}", pod["status"]);
        Ok(())
    })
    .await?;
    ensure!(world.instances_of(ns).await?.is_empty(), "an instance without a grant");
    let uid = world.pod(ns, "held").await?["metadata"]["uid"].as_str().context("a uid")?.to_owned();
    let grant = |state: &str| {
        json!({
            "apiVersion": "burst.io/v1alpha1", "kind": "BurstLedger",
            "metadata": {"namespace": "burst-system", "name": "by-hand"},
            "spec": {
                "policy": "BurstPolicy/elsewhere/by-hand", "serial": 1,
                "grants": {&uid: {"namespace": ns, "name": "held", "serial": 1, "side": "Cloud",
                                  "tier": "cloud", "state": state}},
            },
        })
    };
    world.lab.apply(&grant("Open").to_string()).await?;
    world.running(ns, 1).await?;
    world.lab.kubectl(&["delete", "pod", "held", "-n", ns, "--wait=true", "--timeout=60s"]).await?;
    world.lab.apply(&grant("Closing").to_string()).await?;
    eventually_within(PATIENCE, "the closing grant is answered", || async {
        let text = world.lab.kubectl(&["get", "virtualnodereports", OTHER, "-o", "json"]).await?;
        let released = serde_json::from_str::<Value>(&text)?["spec"]["released"].clone();
        ensure!(released == json!([{"uid": uid, "serial": 1}]), "{released}");
        Ok(())
    })
    .await?;
    world.lab.kubectl(&["delete", "burstledger", "by-hand", "-n", "burst-system"]).await?;
    world.clean(ns).await
}
