//! Bad input is refused at admission, in words that say what to change.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::Workload;
use serde_json::json;

async fn refused(world: &World, workload: &Workload, words: &[&str]) -> Result<()> {
    let error = world.lab.apply(&workload.text()).await.err().context("it was admitted")?.to_string();
    for word in words {
        ensure!(error.contains(word), "the message does not name {word}: {error}");
    }
    Ok(())
}

/// An unknown label value, on pods and on workloads, lists the legal ones.
pub(crate) async fn unknown_value(world: Arc<World>) -> Result<()> {
    let ns = "unknown-value";
    world.namespace(ns).await?;
    let words = ["burst-to-cci", "always", "auto", "localPrefer", "enforce", "off"];
    refused(&world, &Workload::pod(ns, "p").label("burst-to-cci", "always"), &words).await?;
    refused(&world, &Workload::deployment(ns, "d", 1).label("burst-to-cci", "always"), &words).await?;
    refused(&world, &Workload::deployment(ns, "d", 1).pod_label("burst-to-cci", "always"), &words).await?;
    world.clean(ns).await
}

/// Two keys that say different things name both.
pub(crate) async fn contradicting_keys(world: Arc<World>) -> Result<()> {
    let ns = "contradiction";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "off").label("burst.io/policy", "enforce");
    refused(&world, &pod, &["burst-to-cci", "burst.io/policy"]).await?;
    world.clean(ns).await
}

/// A hostPath volume cannot exist in the cloud: the field is named.
pub(crate) async fn host_path_with_enforce(world: Arc<World>) -> Result<()> {
    let ns = "host-path";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["volumes"] = json!([{"name": "host", "hostPath": {"path": "/var/log"}}]);
    });
    refused(&world, &pod, &["spec.volumes[0].hostPath"]).await?;
    world.clean(ns).await
}
