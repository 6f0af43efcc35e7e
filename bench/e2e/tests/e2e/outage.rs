//! Parts die; promises hold.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use e2e::{Placement, World, names, on_virtual};
use lab::{Workload, eventually};
use serde_json::{Value, json};

/// `kill -9` of the bridge in the middle of 50 creates: after its restart every pod runs, each in exactly one instance.
pub(crate) async fn bridge_killed_in_the_middle_of_creates(world: Arc<World>) -> Result<()> {
    let ns = "bridge-killed";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::deployment(ns, "web", 50).pod_label("burst-to-cci", "enforce").text()).await?;
    eventually("some creates have reached the cloud", || async {
        let count = world.instances_of(ns).await?.len();
        ensure!(count >= 5, "{count} instances");
        Ok(())
    })
    .await?;
    {
        let mut stack = world.stack.lock().await;
        stack.bridge.kill().await?;
        stack.restart_bridge(&world.lab).await?;
    }
    world.running(ns, 50).await?;
    let instances = world.instances_of(ns).await?;
    let mut per_pod = BTreeMap::<String, usize>::new();
    for instance in &instances {
        *per_pod.entry(pod_uid(instance)?).or_default() += 1;
    }
    ensure!(
        instances.len() == 50 && per_pod.len() == 50,
        "{} instances for {} pods",
        instances.len(),
        per_pod.len()
    );
    world.clean(ns).await
}

fn pod_uid(instance: &Value) -> Result<String> {
    fn find(value: &Value) -> Option<&str> {
        match value {
            Value::Object(map) => map.iter().find_map(|(key, value)| {
                (key == "burst.io/pod-uid").then(|| value.as_str()).flatten().or_else(|| find(value))
            }),
            Value::Array(items) => items.iter().find_map(find),
            _ => None,
        }
    }
    find(instance).map(ToOwned::to_owned).with_context(|| format!("an instance without tag: {instance}"))
}

/// With burst-scheduler (extender and webhook) dead, ordinary pods schedule, and label-driven promises hold because they
/// are in-process admission policies and taints.
pub(crate) async fn scheduler_down_promises_hold(world: Arc<World>) -> Result<()> {
    let ns = "scheduler-down";
    world.namespace(ns).await?;
    world.stack.lock().await.scheduler.kill().await?;
    let outcome = promises(&world, ns).await;
    world.stack.lock().await.restart_scheduler(&world.lab).await?;
    outcome?;
    world.clean(ns).await
}

async fn promises(world: &World, ns: &str) -> Result<()> {
    let small = |spec: &mut Value| {
        spec["containers"][0]["resources"]["requests"] = json!({"cpu": "100m", "memory": "64Mi"});
    };
    world.lab.apply(&Workload::pod(ns, "ordinary").spec(small).text()).await?;
    world.lab.apply(&Workload::pod(ns, "off").label("burst-to-cci", "off").spec(small).text()).await?;
    world
        .lab
        .apply(&Workload::pod(ns, "enforce").label("burst-to-cci", "enforce").spec(small).text())
        .await?;
    world
        .lab
        .apply(&Workload::pod(ns, "prefer").label("burst-to-cci", "localPrefer").spec(small).text())
        .await?;
    let placement = world.running(ns, 4).await?;
    let pods = world.pods(ns).await?;
    ensure!(placement == Placement { local: 3, burst: 1 }, "{}", names(&pods));
    let burst = pods.iter().find(|pod| on_virtual(pod)).context("one pod in the cloud")?;
    ensure!(burst["metadata"]["name"] == "enforce", "{}", names(&pods));
    Ok(())
}

/// A wrong secret key: the cloud refuses the signature, the virtual node says so, nothing is created.
pub(crate) async fn wrong_signature_is_refused(world: Arc<World>) -> Result<()> {
    let ns = "wrong-signature";
    world.namespace(ns).await?;
    let key = world.lab.dir().join("cloud-credentials/secret-key");
    let outcome = with_wrong_key(&world, ns, &key).await;
    let mut stack = world.stack.lock().await;
    stack.bridge.kill().await?;
    stack.restart_bridge(&world.lab).await?;
    drop(stack);
    outcome?;
    world.running(ns, 1).await?;
    world.clean(ns).await
}

async fn with_wrong_key(world: &World, ns: &str, key: &std::path::Path) -> Result<()> {
    let right = std::fs::read(key)?;
    let outcome = async {
        let mut stack = world.stack.lock().await;
        stack.bridge.kill().await?;
        std::fs::write(key, "not the secret key")?;
        stack.restart_bridge(&world.lab).await?;
        drop(stack);
        let pod = Workload::pod(ns, "p").spec(|spec| spec["nodeName"] = json!("burst-cci-0"));
        world.lab.apply(&pod.text()).await?;
        eventually("the pod's events name the credentials", || async {
            let events =
                world.lab.kubectl(&["get", "events", "-n", ns, "-o", "jsonpath={.items[*].message}"]).await?;
            ensure!(events.contains("credentials"), "events: {events}");
            Ok(())
        })
        .await?;
        ensure!(world.instances_of(ns).await?.is_empty(), "an instance was created with a wrong signature");
        Ok(())
    }
    .await;
    std::fs::write(key, right)?;
    outcome
}
