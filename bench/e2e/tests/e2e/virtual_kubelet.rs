//! The manual of virtual-kubelet itself: its mock with its JSON file, started by its flags outside the cluster, and its pod.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::eventually_within;
use serde_json::Value;

use crate::alibaba::{by_flags, ready};

const NODE: &str = "vkubelet-mock-0";

/// The file of the project's own end-to-end tests.
const CONFIG: &str = r#"{"vkubelet-mock-0": {"cpu": "2", "memory": "32Gi", "pods": "128"}}"#;

/// The pod of the manual: of every node of the type, every taint tolerated.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: nginx
spec:
  containers:
  - name: nginx
    image: nginx
    imagePullPolicy: IfNotPresent
    ports:
    - containerPort: 80
  nodeSelector:
    type: virtual-kubelet
  tolerations:
  - operator: \"Exists\"
";

/// `--provider mock --nodename … --provider-config …`, and the manual's pod runs there.
pub(crate) async fn the_mock_outside_the_cluster(world: Arc<World>) -> Result<()> {
    let ns = "virtual-kubelet";
    world.namespace(ns).await?;
    let file = world.lab.dir().join("vkubelet-mock-0-cfg.json");
    std::fs::write(&file, CONFIG)?;
    let file = file.to_str().context("the lab's folder")?;
    let flags = ["--provider", "mock", "--nodename", NODE, "--provider-config", file];
    let mut bridge = by_flags(&world, "burst-bridge-mock", &flags, &[("KUBELET_PORT", "10761")])?;
    // The manual's cluster has one virtual node only.
    let others = world.stack.lock().await.virtual_nodes();
    let shown = async {
        ready(&world, NODE).await.with_context(|| bridge.log_tail(20))?;
        for node in &others {
            world.lab.kubectl(&["cordon", node]).await?;
        }
        let node: Value =
            serde_json::from_str(&world.lab.kubectl(&["get", "node", NODE, "-o", "json"]).await?)?;
        let capacity = &node["status"]["capacity"];
        ensure!(
            capacity["cpu"] == "2" && capacity["memory"] == "32Gi" && capacity["pods"] == "128",
            "{capacity}"
        );
        let dry = ["apply", "-n", ns, "--dry-run=server", "-o", "json", "-f", "-"];
        eventually_within(Duration::from_secs(30), "admission knows the node", || async {
            let pod: Value = serde_json::from_str(&world.lab.kubectl_stdin(&dry, POD).await?)?;
            ensure!(pod["metadata"]["annotations"].to_string().contains(NODE), "{pod}");
            Ok(())
        })
        .await?;
        world.lab.kubectl_stdin(&["apply", "-n", ns, "-f", "-"], POD).await?;
        world.running(ns, 1).await?;
        let pods = world.pods(ns).await?;
        ensure!(pods[0]["spec"]["nodeName"] == NODE, "{}", names(&pods));
        world.lab.kubectl(&["delete", "pod", "nginx", "-n", ns, "--timeout=60s"]).await.map(drop)
    }
    .await;
    for node in &others {
        world.lab.kubectl(&["uncordon", node]).await?;
    }
    bridge.stop(Duration::from_secs(20)).await?;
    let gone = [format!("node/{NODE}"), format!("virtualnodereport/{NODE}")];
    world.lab.kubectl(&["delete", &gone[0], &gone[1], "--ignore-not-found"]).await?;
    shown?;
    world.clean(ns).await
}
