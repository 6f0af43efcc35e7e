//! In-place resizes of pods that a policy limits: what was let in small does not grow past the ceiling or the budget.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use e2e::{World, on_virtual};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

const NS: &str = "resizes";

fn policy(spec: &Value) -> String {
    json!({"apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy", "metadata": {"namespace": NS, "name": "web"}, "spec": spec})
        .to_string()
}

/// A pod of eight cores in the cloud; sixteen would pass the ceiling of twelve, and then the money for one of eight.
pub(crate) async fn past_the_ceiling_or_the_budget_is_refused(world: Arc<World>) -> Result<()> {
    world.namespace(NS).await?;
    world.lab.apply(&policy(&json!({"policy": "auto", "max": {"cloud": {"cpu": "12"}}}))).await?;
    world.governs(NS, &[]).await?;
    let large = |spec: &mut Value| {
        spec["containers"][0]["resources"]["requests"] = json!({"cpu": "8", "memory": "16Gi"});
    };
    world.lab.apply(&Workload::pod(NS, "p").spec(large).text()).await?;
    ensure!(world.running(NS, 1).await?.burst == 1, "the pod is not in the cloud");
    refused(&world, &["max.cloud.cpu 12", "16 afterwards", "BurstPolicy/resizes/web"]).await?;
    // Eight cores cost 28.80 an hour.
    let budget = json!({"policy": "auto", "budget": {"currency": "CNY", "perHour": "40"}});
    world.lab.apply(&policy(&budget)).await?;
    refused(&world, &["not covered by the budget", "CNY", "of 40.00 spent this hour"]).await?;
    let pod = world.pod(NS, "p").await?;
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"];
    ensure!(on_virtual(&pod) && requests["cpu"] == "8", "{requests}");
    world.clean(NS).await
}

/// Waits until the resize is refused with these words; it is never taken.
async fn refused(world: &World, words: &[&str]) -> Result<()> {
    let size = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "16", "memory": "32Gi"}}}]}});
    let size = size.to_string();
    let patch = ["patch", "pod", "p", "-n", NS, "--subresource=resize", "--type=strategic", "--patch", &size];
    eventually_within(Duration::from_secs(20), "the resize is refused for its reason", || async {
        let Err(error) = world.lab.kubectl(&patch).await else { bail!("the API server took the resize") };
        let error = format!("{error:#}");
        ensure!(words.iter().all(|word| error.contains(word)), "{error}");
        Ok(())
    })
    .await
}
