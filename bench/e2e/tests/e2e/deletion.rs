//! What happens when things are deleted: the bill ends, nothing is lost, nothing is left.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::{Workload, eventually, eventually_within};

/// The API object stays until the cloud confirmed the end of the instance.
pub(crate) async fn pod(world: Arc<World>) -> Result<()> {
    let ns = "delete";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::pod(ns, "p").label("burst-to-cci", "enforce").text()).await?;
    world.running(ns, 1).await?;
    world.lab.kubectl(&["delete", "pod", "p", "-n", ns, "--wait=true", "--timeout=60s"]).await?;
    let left = world.instances_of(ns).await?;
    ensure!(left.is_empty(), "the pod is gone from the API but not from the cloud: {left:?}");
    world.clean(ns).await
}

/// A force-deleted pod's instance is stopped all the same.
pub(crate) async fn force_deleted_pod(world: Arc<World>) -> Result<()> {
    let ns = "force-delete";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::pod(ns, "p").label("burst-to-cci", "enforce").text()).await?;
    world.running(ns, 1).await?;
    world.lab.kubectl(&["delete", "pod", "p", "-n", ns, "--grace-period=0", "--force"]).await?;
    eventually("the instance is stopped", || async {
        let left = world.instances_of(ns).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// A declared virtual node that somebody deletes is back within 10 s, and its pods live on in the same instances.
pub(crate) async fn node_comes_back_with_its_pods(world: Arc<World>) -> Result<()> {
    let ns = "node-deleted";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::deployment(ns, "web", 3).pod_label("burst-to-cci", "enforce").text()).await?;
    world.running(ns, 3).await?;
    let before = uids(&world, ns).await?;
    world.lab.kubectl(&["delete", "node", "burst-cci-0", "--wait=false"]).await?;
    eventually_within(Duration::from_secs(10), "the node is back and Ready", || async {
        let text = world.lab.kubectl(&["get", "node", "burst-cci-0", "--no-headers"]).await?;
        ensure!(text.contains(" Ready "), "{text}");
        Ok(())
    })
    .await?;
    world.running(ns, 3).await?;
    let after = uids(&world, ns).await?;
    ensure!(before == after, "pods were replaced: {before:?} then {after:?}");
    ensure!(world.instances_of(ns).await?.len() == 3, "three instances");
    world.clean(ns).await
}

async fn uids(world: &World, ns: &str) -> Result<Vec<String>> {
    let mut uids = world
        .pods(ns)
        .await?
        .iter()
        .map(|pod| pod["metadata"]["uid"].as_str().map(ToOwned::to_owned).context("a pod without uid"))
        .collect::<Result<Vec<_>>>()?;
    uids.sort();
    Ok(uids)
}
