//! Scaling in takes the pods in the cloud first, in the order that the user asked for among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::{Placement, REAL_NODES, World, names, on_virtual};
use lab::{Workload, eventually};
use serde_json::{Value, json};

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const ORIGINAL: &str = "burst.io/original-pod-deletion-cost";

/// Three pods on real nodes and three in the cloud, scaled from 6 to 3 one by one.
pub(crate) async fn cloud_pods_go_first_in_the_users_order(world: Arc<World>) -> Result<()> {
    let ns = "scale-in";
    world.namespace(ns).await?;
    // A pod fills a real node.
    let size = |spec: &mut Value| spec["containers"][0]["resources"]["requests"]["cpu"] = json!("4");
    let deployment = Workload::deployment(ns, "web", 6).label("burst-to-cci", "localPrefer").spec(size);
    world.lab.apply(&deployment.text()).await?;
    let placement = world.running(ns, 6).await?;
    ensure!(placement == Placement { local: REAL_NODES, burst: 3 }, "{placement:?}");

    let cloud: Vec<String> = names_of(&world, ns, true).await?;
    costs(
        &world,
        ns,
        &[(&cloud[0], "-1000000", ""), (&cloud[1], "-1000000", ""), (&cloud[2], "-1000000", "")],
    )
    .await?;
    for (pod, cost) in [(&cloud[0], "20"), (&cloud[1], "10")] {
        let annotation = format!("{COST}={cost}");
        world.lab.kubectl(&["annotate", "pod", pod, "-n", ns, "--overwrite", &annotation]).await?;
    }
    costs(
        &world,
        ns,
        &[(&cloud[0], "-999980", "20"), (&cloud[1], "-999990", "10"), (&cloud[2], "-1000000", "")],
    )
    .await?;

    for (replicas, gone) in [(5, &cloud[2]), (4, &cloud[1]), (3, &cloud[0])] {
        let flag = format!("--replicas={replicas}");
        world.lab.kubectl(&["scale", "deployment/web", "-n", ns, &flag]).await?;
        world.running(ns, replicas).await?;
        let left = world.pods(ns).await?;
        let there = left.iter().any(|pod| pod["metadata"]["name"] == gone.as_str());
        ensure!(!there, "{gone} should be gone at {replicas}:\n{}", names(&left));
    }
    let placement = world.running(ns, 3).await?;
    ensure!(placement == Placement { local: 3, burst: 0 }, "{placement:?}");
    world.clean(ns).await
}

async fn names_of(world: &World, ns: &str, virtual_nodes: bool) -> Result<Vec<String>> {
    let pods = world.pods(ns).await?;
    let there = pods.iter().filter(|pod| on_virtual(pod) == virtual_nodes);
    there.map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned).context("a name")).collect()
}

/// Pods with their cost and the recorded original.
async fn costs(world: &World, ns: &str, wanted: &[(&String, &str, &str)]) -> Result<()> {
    eventually("the deletion costs are written", || async {
        let pods = world.pods(ns).await?;
        let annotations: BTreeMap<&str, &Value> = pods
            .iter()
            .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?, &pod["metadata"]["annotations"])))
            .collect();
        for (pod, cost, original) in wanted {
            let have = annotations.get(pod.as_str()).copied().unwrap_or(&Value::Null);
            ensure!(have[COST] == *cost && have[ORIGINAL] == *original, "{pod}: {have}");
        }
        let local = pods.iter().filter(|pod| !on_virtual(pod));
        for pod in local {
            ensure!(pod["metadata"]["annotations"][COST].is_null(), "{}", pod["metadata"]);
        }
        Ok(())
    })
    .await
}
