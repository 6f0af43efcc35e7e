//! The manuals of Alibaba's virtual node, old and new page, as they stand there: what [`crate::eci`] does not show.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::{CloudApi, Process, built_binary, eci_node, eventually_within};
use serde_json::json;
use tokio::process::Command;

use crate::eci::{instances, running_at_eci, with_eci_nodes};

const PATIENCE: Duration = Duration::from_secs(60);

/// The new page: `kubectl run` with the label of the pod, to the letter but for the namespace.
pub(crate) async fn kubectl_run_with_the_label(world: Arc<World>) -> Result<()> {
    let ns = "alibaba-run";
    with_eci_nodes(&world, ns, 1, || async {
        world.lab.kubectl(&["run", "nginx", "--image", "nginx", "-l", "eci=true", "-n", ns]).await?;
        running_at_eci(&world, ns, 1).await.map(drop)
    })
    .await
}

/// Several virtual nodes by a number, named as the vendor's StatefulSet names them; each has its own pods.
pub(crate) async fn virtual_nodes_by_number(world: Arc<World>) -> Result<()> {
    let ns = "alibaba-nodes";
    with_eci_nodes(&world, ns, 2, || async {
        for i in 0..2 {
            let node = eci_node(i);
            let roles = world.lab.kubectl(&["get", "node", &node, "--no-headers"]).await?;
            ensure!(roles.contains("Ready") && roles.contains("agent"), "{roles}");
            let pod = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: {ns}, name: on-{i}}}\nspec:\n  nodeName: {node}\n  \
                 containers: [{{image: nginx, imagePullPolicy: Always, name: nginx}}]\n"
            );
            world.lab.apply(&pod).await?;
        }
        world.running(ns, 2).await?;
        ensure!(instances(&world).await?.len() == 2, "an instance for each");
        // What one virtual node gives up does not touch the other's.
        world.lab.kubectl(&["drain", &eci_node(1), "--force", "--ignore-daemonsets", "--timeout=60s"]).await?;
        eventually_within(PATIENCE, "the other node keeps its pod", || async {
            let (pods, open) = (world.pods(ns).await?, instances(&world).await?);
            ensure!(pods.len() == 1 && open.len() == 1, "{}, {} instances", names(&pods), open.len());
            ensure!(pods[0]["spec"]["nodeName"] == eci_node(0).as_str(), "{}", names(&pods));
            Ok(())
        })
        .await
    })
    .await
}

/// A further bridge from flags and variables, outside the cluster, as the administrator.
pub(crate) fn by_flags(
    world: &World,
    name: &str,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Result<Process> {
    let mut command = Command::new(built_binary("burst-bridge")?);
    command
        .args(flags)
        .arg("--kubeconfig")
        .arg(world.lab.kubeconfig())
        .args(["--address", lab::ADDRESS])
        .envs(variables.iter().copied())
        .env("BURST_HTTP_BIND", "127.0.0.1:10272")
        .env("BURST_IMPERSONATE_NODES", "false");
    world.lab.spawn(name, command)
}

/// Waits until a virtual node is Ready.
pub(crate) async fn ready(world: &World, node: &str) -> Result<()> {
    eventually_within(PATIENCE, &format!("{node} is Ready"), || async {
        let line = world.lab.kubectl(&["get", "node", node, "--no-headers"]).await?;
        ensure!(line.split_whitespace().nth(1) == Some("Ready"), "{line}");
        Ok(())
    })
    .await
}

/// The old page: a node called `virtual-kubelet`, its settings as the chart's variables, and the page's pod with `nodeName`.
pub(crate) async fn the_old_pages_node_and_variables(world: Arc<World>) -> Result<()> {
    let ns = "alibaba-old";
    with_eci_nodes(&world, ns, 1, || old_page(&world, ns)).await
}

async fn old_page(world: &World, ns: &str) -> Result<()> {
    let settings = world.lab.dir().join("old-page.yaml");
    let far = json!({"eci": {"endpoint": format!("https://{}", CloudApi::Eci.address()), "caFile": world.lab.authority().ca_cert(), "poll": "1s"}});
    std::fs::write(&settings, far.to_string())?;
    let settings = settings.to_str().context("the lab's folder")?;
    let variables = [
        ("ECI_VSWITCH", "vsw-lab-a, vsw-lab-b"),
        ("ECI_SECURITY_GROUP", "sg-lab"),
        ("ECI_ACCESS_KEY", "LABACCESSKEY"),
        ("ECI_SECRET_KEY", "lab-secret-key"),
        ("ECI_REGION", "cn-hangzhou"),
        ("KUBELET_PORT", "10760"),
    ];
    let flags = ["--provider", "eci", "--provider-config", settings];
    let mut bridge = by_flags(world, "burst-bridge-old-page", &flags, &variables)?;
    let shown = async {
        ready(world, "virtual-kubelet").await.with_context(|| bridge.log_tail(20))?;
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: nginx\n  namespace: {ns}\nspec:\n  containers:\n  - image: nginx\n    \
             imagePullPolicy: Always\n    name: nginx\n  nodeName: virtual-kubelet\n"
        );
        world.lab.apply(&pod).await?;
        world.running(ns, 1).await.with_context(|| bridge.log_tail(20))?;
        ensure!(instances(world).await?.len() == 1, "one instance");
        world.lab.kubectl(&["delete", "pod", "nginx", "-n", ns, "--timeout=60s"]).await.map(drop)
    }
    .await;
    bridge.stop(Duration::from_secs(20)).await?;
    world
        .lab
        .kubectl(&[
            "delete",
            "node/virtual-kubelet",
            "virtualnodereport/virtual-kubelet",
            "--ignore-not-found",
        ])
        .await?;
    shown
}
