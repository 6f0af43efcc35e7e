//! What became of a pod, in the words of the design, and why.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::{World, on_virtual};
use lab::{eventually, eventually_within};
use serde_json::Value;

/// What became of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Local,
    Cloud,
    Wait,
    Reject,
}

/// The class and its reason.
pub(super) type Outcome = (Class, String);

/// Where the pod runs and why, as the engine explains it; or why it waits: `told` is what admission said about it.
pub(super) async fn outcome(world: &World, ns: &str, name: &str, told: &str) -> Result<Outcome> {
    let limit = Duration::from_secs(60);
    let settled = eventually_within(limit, &format!("{ns}/{name} is decided about"), || async {
        let pod = world.pod(ns, name).await?;
        if pod["spec"]["nodeName"].is_null() {
            return waits(world, ns, name, &pod, told).await.map(Err);
        }
        ensure!(pod["status"]["phase"] == "Running", "bound, and not running: {}", pod["status"]);
        Ok(Ok(pod))
    })
    .await?;
    let pod = match settled {
        Ok(pod) => pod,
        Err(reason) => return Ok((Class::Wait, reason)),
    };
    let class = if on_virtual(&pod) { Class::Cloud } else { Class::Local };
    Ok((class, explained(world, ns, name, class, &pod).await?))
}

/// Why a pod waits for good. The scheduler found no place for it, and if the leader could still open one: it will not.
async fn waits(world: &World, ns: &str, name: &str, pod: &Value, told: &str) -> Result<String> {
    let conditions = pod["status"]["conditions"].as_array().context("undecided: no conditions")?;
    let scheduled = conditions.iter().find(|c| c["type"] == "PodScheduled").context("undecided")?;
    ensure!(scheduled["status"] == "False", "undecided: {scheduled}");
    if pod["metadata"]["labels"]["burst.io/governed"] != "true" {
        let reason = scheduled["reason"].as_str().unwrap_or_default();
        return Ok(if told.is_empty() { reason.to_owned() } else { told.to_owned() });
    }
    let decision = newest(world, ns, name).await?;
    ensure!(decision["outcome"] == "wait" && decision["reason"] != "LocalFirst", "undecided: {decision}");
    Ok(decision["reason"].as_str().unwrap_or_default().to_owned())
}

/// The newest decision about a pod.
pub(super) async fn newest(world: &World, ns: &str, name: &str) -> Result<Value> {
    decisions(world, ns, name)
        .await?
        .into_iter()
        .next()
        .with_context(|| format!("no decision on {ns}/{name}"))
}

async fn decisions(world: &World, ns: &str, name: &str) -> Result<Vec<Value>> {
    let path = format!("/api/decisions?pod={ns}/{name}");
    let decisions = world.stack.lock().await.page_get(&world.lab, &path).await?;
    Ok(decisions.as_array().cloned().unwrap_or_default())
}

/// The engine's own answer for a pod with a policy, which must be where the pod is.
async fn explained(world: &World, ns: &str, name: &str, class: Class, pod: &Value) -> Result<String> {
    let policy = pod["metadata"]["annotations"]["burst.io/resolved-policy"].as_str();
    if policy.is_none_or(|policy| policy == "off") {
        return Ok(String::new());
    }
    let decision = eventually("the placement is explained", || async {
        let list = decisions(world, ns, name).await?;
        list.into_iter()
            .find(|d| !d["node"].is_null())
            .with_context(|| format!("no decision about {ns}/{name}"))
    })
    .await?;
    let wanted = if class == Class::Cloud { "cloud" } else { "local" };
    if decision["outcome"] != wanted {
        bail!("the engine says {decision}, the pod is {wanted}");
    }
    Ok(decision["reason"].as_str().unwrap_or_default().to_owned())
}
