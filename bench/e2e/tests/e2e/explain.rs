//! `kubectl burst explain` and `kubectl burst status`, called by kubectl as its plugin; and what they say is done, to see
//! that it is true.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{CORES, REAL_NODES, World, on_virtual};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

/// While burst-scheduler is down: the pods of a Deployment that burst, why, and what would have kept them local.
pub(crate) async fn works_while_the_scheduler_is_down(world: Arc<World>) -> Result<()> {
    let ns = "explain-down";
    world.namespace(ns).await?;
    let count = u32::try_from(REAL_NODES * CORES + 1)?;
    world
        .lab
        .apply(&Workload::deployment(ns, "web", count).label("burst-to-cci", "localPrefer").text())
        .await?;
    world.running(ns, REAL_NODES * CORES + 1).await?;
    world.stack.lock().await.scheduler.kill().await?;
    let outcome = said_of_a_full_cluster(&world, ns).await;
    world.stack.lock().await.restart_scheduler(&world.lab).await?;
    outcome?;
    world.clean(ns).await
}

async fn said_of_a_full_cluster(world: &World, ns: &str) -> Result<()> {
    let pods = world.pods(ns).await?;
    let burst = pods.iter().find(|pod| on_virtual(pod)).context("one pod in the cloud")?;
    let name = burst["metadata"]["name"].as_str().context("name")?;
    let text = burst_plugin(world, &["explain", name, "-n", ns]).await?;
    for wanted in [
        format!("pod {ns}/{name} is in the cloud, on burst-"),
        "localPrefer, from Deployment/web label burst-to-cci".to_owned(),
        format!("real nodes    {REAL_NODES}: {REAL_NODES} short of cpu"),
        "would have stayed local if ".to_owned(),
    ] {
        ensure!(text.contains(&wanted), "{wanted:?} is not in\n{text}");
    }
    let text = burst_plugin(world, &["explain", "deploy/web", "-n", ns]).await?;
    let local = format!("{} on real nodes", REAL_NODES * CORES);
    ensure!(text.contains(&local) && text.contains("1 in the cloud"), "{text}");
    let json: Value = serde_json::from_str(
        &burst_plugin(world, &["explain", "deploy/web", "-n", ns, "-o", "json"]).await?,
    )?;
    let reports = json.as_array().context("a list")?;
    ensure!(reports.len() == REAL_NODES * CORES + 1, "{} reports", reports.len());
    let status: Value = serde_json::from_str(&burst_plugin(world, &["status", "-o", "json"]).await?)?;
    ensure!(status["real"]["nodes"] == json!(REAL_NODES), "{status}");
    let text = burst_plugin(world, &["status"]).await?;
    ensure!(text.contains("virtual nodes") && text.contains("burst-"), "{text}");
    Ok(())
}

/// A pod that waits is told what it lacks; when that is given to it, it runs.
pub(crate) async fn what_it_says_is_true(world: Arc<World>) -> Result<()> {
    let ns = "explain-true";
    world.namespace(ns).await?;
    let elsewhere = |spec: &mut Value| spec["nodeSelector"] = json!({"explain-true": "yes"});
    world.lab.apply(&Workload::pod(ns, "picky").label("burst-to-cci", "off").spec(elsewhere).text()).await?;
    let text = eventually_within(Duration::from_secs(20), "the pod is explained", || async {
        let text = burst_plugin(&world, &["explain", "picky", "-n", ns]).await?;
        ensure!(text.contains("had the label explain-true=yes"), "{text}");
        Ok(text)
    })
    .await?;
    let node = text
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("- would run on a real node if ")?
                .strip_suffix(" had the label explain-true=yes")
        })
        .with_context(|| format!("no node is named in\n{text}"))?;
    world.lab.kubectl(&["label", "node", node, "explain-true=yes"]).await?;
    let outcome = world.running(ns, 1).await;
    world.lab.kubectl(&["label", "node", node, "explain-true-"]).await?;
    ensure!(outcome?.local == 1, "it does not run on a real node");
    world.clean(ns).await
}

/// A governed pod whose policy has no room in the cloud: the plugin plans the policy's round by itself and says which
/// ceiling it is, on the real definitions.
pub(crate) async fn a_held_pod_names_its_ceiling(world: Arc<World>) -> Result<()> {
    let ns = "explain-held";
    world.namespace(ns).await?;
    let object = json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy", "metadata": {"name": "web", "namespace": ns},
        "spec": {"policy": "auto", "max": {"cloud": {"pods": 0}}},
    });
    world.lab.apply(&object.to_string()).await?;
    let key = format!("BurstPolicy/{ns}/web");
    // As admission writes it; and no scheduler binds it, so that what is explained does not move.
    let mut pod: Value = serde_json::from_str(&Workload::pod(ns, "big").text())?;
    let metadata = &mut pod["metadata"];
    metadata["labels"] = json!({"burst.io/governed": "true", "burst-to-cci": "auto"});
    metadata["annotations"] = json!({
        "burst.io/resolved-policy": "auto", "burst.io/policy-source": key, "burst.io/burst-policy": key});
    pod["spec"]["schedulerName"] = json!("nobody");
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "20", "memory": "40Gi"}});
    world.lab.apply(&pod.to_string()).await?;
    let outcome = eventually_within(Duration::from_secs(30), "the pod is explained", || async {
        let text = burst_plugin(&world, &["explain", "big", "-n", ns]).await?;
        for wanted in [
            "is held back",
            "held back     CloudLimit",
            "limits        cloud: 0 of 0 pods",
            "would burst if the ceiling max.cloud were 1 pod higher",
        ] {
            ensure!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        Ok(())
    })
    .await;
    outcome?;
    world.clean(ns).await
}

/// What the plugin prints; an error if it fails.
async fn burst_plugin(world: &World, args: &[&str]) -> Result<String> {
    let plugin = lab::built_binary("kubectl-burst")?;
    let folder = plugin.parent().context("folder of the plugin")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let all: Vec<&str> = ["burst"].iter().chain(args).copied().collect();
    let output = world.lab.kubectl_command(&all).env("PATH", path).output().await.context("kubectl burst")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
