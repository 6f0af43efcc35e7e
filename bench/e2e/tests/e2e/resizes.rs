//! In-place resizes of pods that a policy limits: what was let in small does not grow past the ceiling or the budget.
//!
//! The API server itself resizes no pod that runs on a virtual node (its containers' status has no `resources`); until it
//! runs, burst's webhook is asked.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use e2e::{World, on_virtual};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

const NS: &str = "resizes";
const POD: &str = "slow-starter";

fn policy(spec: &Value) -> String {
    json!({"apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy", "metadata": {"namespace": NS, "name": "web"}, "spec": spec})
        .to_string()
}

/// A pod of eight cores that starts in the cloud; sixteen would pass the ceiling of twelve, and then the money for one of
/// eight.
pub(crate) async fn past_the_ceiling_or_the_budget_is_refused(world: Arc<World>) -> Result<()> {
    world.namespace(NS).await?;
    let slow = json!([{"podPrefix": "slow-starter", "startMs": 600_000}]);
    world.stack.lock().await.cloud_post(&world.lab, "scripts", &slow).await?;
    let outcome = refusals(&world).await;
    world.stack.lock().await.cloud_post(&world.lab, "scripts", &json!([])).await?;
    world.clean(NS).await?;
    outcome
}

async fn refusals(world: &World) -> Result<()> {
    world.lab.apply(&policy(&json!({"policy": "auto", "max": {"cloud": {"cpu": "12"}}}))).await?;
    world.governs(NS, &[]).await?;
    let large = |spec: &mut Value| {
        spec["containers"][0]["resources"]["requests"] = json!({"cpu": "8", "memory": "16Gi"});
    };
    world.lab.apply(&Workload::pod(NS, POD).spec(large).text()).await?;
    eventually_within(Duration::from_secs(30), "the pod's instance exists", || async {
        let instances = world.instances_of(NS).await?;
        ensure!(instances.len() == 1, "{instances:?}");
        Ok(())
    })
    .await?;
    refused(world, &["max.cloud.cpu 12", "16 afterwards", "BurstPolicy/resizes/web"]).await?;
    // Eight cores cost 28.80 an hour.
    let budget = json!({"policy": "auto", "budget": {"currency": "CNY", "perHour": "40"}});
    world.lab.apply(&policy(&budget)).await?;
    refused(world, &["not covered by the budget", "CNY", "of 40.00 spent this hour"]).await?;
    let pod = world.pod(NS, POD).await?;
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"];
    ensure!(on_virtual(&pod) && requests["cpu"] == "8", "{requests}");
    Ok(())
}

/// Waits until the resize is refused with these words; it is never taken.
async fn refused(world: &World, words: &[&str]) -> Result<()> {
    let size = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "16", "memory": "32Gi"}}}]}});
    let size = size.to_string();
    let patch = ["patch", "pod", POD, "-n", NS, "--subresource=resize", "--type=strategic", "--patch", &size];
    eventually_within(Duration::from_secs(20), "the resize is refused for its reason", || async {
        let Err(error) = world.lab.kubectl(&patch).await else { bail!("the API server took the resize") };
        let error = format!("{error:#}");
        ensure!(words.iter().all(|word| error.contains(word)), "{error}");
        Ok(())
    })
    .await
}
