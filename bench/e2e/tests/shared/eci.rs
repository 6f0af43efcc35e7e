//! ECI: what runs on a virtual node of it, with scripted instances and with real ones.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::{Workload, eci_node, eventually_within};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a case with a virtual node of ECI beside CCI's, and leaves the world as it was: nothing is left at ECI.
async fn with_eci<F: Future<Output = Result<()>>>(
    world: &World,
    ns: &str,
    case: impl FnOnce() -> F,
) -> Result<()> {
    world.namespace(ns).await?;
    world.stack.lock().await.set_eci_nodes(&world.lab, 1).await?;
    let result = case().await;
    let cleaned = world.clean(ns).await;
    let empty = eventually_within(PATIENCE, "ECI holds no instance", || async {
        let left = instances(world).await?;
        ensure!(left.is_empty(), "left: {}", Value::from(left));
        Ok(())
    })
    .await;
    world.stack.lock().await.set_eci_nodes(&world.lab, 0).await?;
    result.and(cleaned).and(empty)
}

/// What exists at ECI.
async fn instances(world: &World) -> Result<Vec<Value>> {
    let all = world.stack.lock().await.eci_get(&world.lab, "instances").await?;
    let items = all.as_array().or_else(|| all["items"].as_array()).context("no list of instances")?;
    Ok(items.clone())
}

/// Waits until so many pods of the namespace exist and all run on the virtual node of ECI.
async fn running_at_eci(world: &World, ns: &str, count: usize) -> Result<Vec<Value>> {
    eventually_within(PATIENCE, &format!("{count} pods run at ECI"), || async {
        let pods = world.pods(ns).await?;
        let good = |pod: &&Value| {
            pod["spec"]["nodeName"] == eci_node(0).as_str()
                && pod["status"]["phase"] == "Running"
                && pod["status"]["podIP"].is_string()
        };
        ensure!(pods.len() == count && pods.iter().filter(good).count() == count, "{}", names(&pods));
        Ok(pods)
    })
    .await
}

/// As the vendor's manual has it: a label on the template, and the pods are at ECI; deleted, nothing is left there.
pub(crate) async fn deployment_with_the_vendors_label(world: Arc<World>) -> Result<()> {
    let ns = "eci-deployment";
    with_eci(&world, ns, || deployment(&world, ns)).await
}

async fn deployment(world: &World, ns: &str) -> Result<()> {
    world.lab.apply(&Workload::deployment(ns, "web", 3).pod_label("eci", "true").text()).await?;
    let pods = running_at_eci(world, ns, 3).await?;
    let mut addresses: Vec<&str> = pods.iter().filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    ensure!(addresses.len() == 3, "{addresses:?}");
    let open = instances(world).await?;
    ensure!(open.len() == 3, "{} instances for 3 pods", open.len());
    world.lab.kubectl(&["scale", "deployment", "web", "-n", ns, "--replicas=1"]).await?;
    running_at_eci(world, ns, 1).await?;
    eventually_within(PATIENCE, "one instance is left", || async {
        let open = instances(world).await?;
        ensure!(open.len() == 1, "{} instances", open.len());
        Ok(())
    })
    .await
}

/// A wrong value of one of the vendor's annotations is told at once, with the legal ones.
#[allow(dead_code, reason = "the list of the other program has not all of them")]
pub(crate) async fn wrong_annotation_is_refused(world: Arc<World>) -> Result<()> {
    let ns = "eci-annotation";
    with_eci(&world, ns, || async {
        let mut pod = Workload::pod(ns, "p").label("eci", "true").manifest;
        pod["metadata"]["annotations"] = json!({"k8s.aliyun.com/eci-spot-strategy": "Cheap"});
        // The virtual node has to be known to admission first.
        eventually_within(PATIENCE, "the annotation is refused", || async {
            let said = world.lab.apply(&pod.to_string()).await;
            if said.is_ok() {
                world.lab.kubectl(&["delete", "pod", "p", "-n", ns, "--wait=false"]).await?;
            }
            let text = said.err().map(|error| format!("{error:#}")).unwrap_or_default();
            ensure!(text.contains("NoSpot, SpotWithPriceLimit, SpotAsPriceGo"), "{text}");
            Ok(())
        })
        .await
    })
    .await
}

/// Logs, followed ones too, and commands with their exit codes, through kubectl.
#[allow(dead_code, reason = "only real instances print and run anything")]
pub(crate) async fn logs_and_commands(world: Arc<World>) -> Result<()> {
    let ns = "eci-streams";
    with_eci(&world, ns, || streams(&world, ns)).await
}

async fn streams(world: &World, ns: &str) -> Result<()> {
    let speaking = |spec: &mut Value| {
        spec["containers"][0]["command"] =
            json!(["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 1; done; exec sleep 600"]);
        spec["containers"][0]["env"] = json!([{"name": "GREETING", "value": "hello"}]);
    };
    world.lab.apply(&Workload::pod(ns, "p").label("eci", "true").spec(speaking).text()).await?;
    running_at_eci(world, ns, 1).await?;
    let wanted = "line 1\nline 2\nline 3\n";
    eventually_within(PATIENCE, "the whole log", || async {
        let log = world.lab.kubectl(&["logs", "p", "-n", ns]).await?;
        ensure!(log == wanted, "{log}");
        Ok(())
    })
    .await?;
    let tail = world.lab.kubectl(&["logs", "p", "-n", ns, "--tail=1"]).await?;
    ensure!(tail == "line 3\n", "{tail}");
    let followed = ["logs", "p", "-n", ns, "-f", "--limit-bytes=21"];
    let followed =
        tokio::time::timeout(PATIENCE, world.lab.kubectl(&followed)).await.context("it ends")??;
    ensure!(followed == wanted, "{followed}");
    let hello = world.lab.kubectl(&["exec", "p", "-n", ns, "--", "sh", "-c", "echo $GREETING"]).await?;
    ensure!(hello == "hello\n", "{hello}");
    let failing = ["exec", "p", "-n", ns, "--", "sh", "-c", "echo out; echo err >&2; exit 42"];
    let failed = world.lab.kubectl_output(&failing).await?;
    let (out, err) = (String::from_utf8_lossy(&failed.stdout), String::from_utf8_lossy(&failed.stderr));
    ensure!(failed.status.code() == Some(42), "{:?}: {out} {err}", failed.status);
    ensure!(out == "out\n" && err.contains("err\n") && err.contains("exit code 42"), "{out}|{err}");
    Ok(())
}
