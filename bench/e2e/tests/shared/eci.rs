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
    with_eci_nodes(world, ns, 1, case).await
}

/// The same with several virtual nodes.
pub(crate) async fn with_eci_nodes<F: Future<Output = Result<()>>>(
    world: &World,
    ns: &str,
    nodes: usize,
    case: impl FnOnce() -> F,
) -> Result<()> {
    world.namespace(ns).await?;
    world.stack.lock().await.set_eci_nodes(&world.lab, nodes).await?;
    let result = case().await;
    // The models of the vendor's SDK know every parameter that was sent.
    let unknown = world.stack.lock().await.eci_get(&world.lab, "unknown-parameters").await?;
    let cleaned = world.clean(ns).await;
    let empty = eventually_within(PATIENCE, "ECI holds no instance", || async {
        let left = instances(world).await?;
        ensure!(left.is_empty(), "left: {}", Value::from(left));
        Ok(())
    })
    .await;
    world.stack.lock().await.set_eci_nodes(&world.lab, 0).await?;
    result.and(cleaned).and(empty)?;
    ensure!(unknown == json!([]), "the vendor's SDK does not know {unknown}");
    Ok(())
}

/// What exists at ECI.
pub(crate) async fn instances(world: &World) -> Result<Vec<Value>> {
    let all = world.stack.lock().await.eci_get(&world.lab, "instances").await?;
    let items = all.as_array().or_else(|| all["items"].as_array()).context("no list of instances")?;
    Ok(items.clone())
}

/// Waits until so many pods of the namespace exist and all run on the virtual node of ECI.
pub(crate) async fn running_at_eci(world: &World, ns: &str, count: usize) -> Result<Vec<Value>> {
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

/// What is not sold now, at ECI.
async fn stock(world: &World, sold_out: &Value) -> Result<()> {
    world.stack.lock().await.eci_post(&world.lab, "stock", sold_out).await.map(drop)
}

/// The first vSwitch's zone has none: the group is made in the other one, whether that shows as a refusal of the call or
/// after the group was accepted. Never are there two groups for one pod.
#[allow(dead_code, reason = "the list of the other program has not all of them")]
pub(crate) async fn another_zone_when_the_first_is_sold_out(world: Arc<World>) -> Result<()> {
    let ns = "eci-zones";
    with_eci(&world, ns, || async {
        // The second time the other zone comes first: the one that had none is tried last.
        for (face, zone) in [("failed", "cn-hangzhou-h"), ("refused", "cn-hangzhou-i")] {
            stock(&world, &json!([{"zone": zone, "face": face}])).await?;
            // A bare pod: nobody makes another one for it.
            world.lab.apply(&Workload::pod(ns, face).label("eci", "true").text()).await?;
            eventually_within(
                Duration::from_secs(120),
                &format!("{face}: it runs in the other zone"),
                || async {
                    let pod = world.pod(ns, face).await?;
                    let open = instances(&world).await?;
                    ensure!(open.len() <= 1, "{} instances for one pod", open.len());
                    ensure!(pod["status"]["phase"] == "Running", "{}", names(&[pod]));
                    Ok(())
                },
            )
            .await?;
            world.lab.kubectl(&["delete", "pod", face, "-n", ns, "--wait=true", "--timeout=60s"]).await?;
        }
        stock(&world, &json!([])).await
    })
    .await
}

/// The ways of the vendor's manual onto the virtual node, verbatim but for the image: a label on the namespace, a selector
/// with a toleration that names no value, and the node's name. Then the node is drained, and nothing is left.
#[allow(dead_code, reason = "the list of the other program has not all of them")]
pub(crate) async fn ways_of_the_vendors_manual(world: Arc<World>) -> Result<()> {
    let ns = "eci-manual";
    with_eci(&world, ns, || manual(&world, ns)).await
}

async fn manual(world: &World, ns: &str) -> Result<()> {
    let node = eci_node(0);
    let on = |text: &str| {
        let head = format!("apiVersion: v1\nkind: Pod\nmetadata: {{namespace: {ns}, ");
        format!("{head}{text}")
    };
    let container = "containers: [{image: busybox, imagePullPolicy: Always, name: nginx}]";
    // The region, because CCI's virtual nodes are of the same type.
    let selected = format!(
        "name: selected}}\nspec:\n  {container}\n  nodeSelector: {{type: virtual-kubelet, \
         topology.kubernetes.io/region: cn-hangzhou}}\n  tolerations:\n  - key: virtual-kubelet.io/provider\n    \
         operator: Exists\n"
    );
    let named = format!("name: named}}\nspec:\n  {container}\n  nodeName: {node}\n");
    world.lab.apply(&on(&selected)).await?;
    world.lab.apply(&on(&named)).await?;
    world.lab.kubectl(&["label", "namespace", ns, "virtual-node-affinity-injection=enabled"]).await?;
    eventually_within(PATIENCE, "the namespace's label counts", || async {
        let text = Workload::pod(ns, "labelled").text();
        let dry = ["apply", "--dry-run=server", "-o", "json", "-f", "-"];
        let pod: Value = serde_json::from_str(&world.lab.kubectl_stdin(&dry, &text).await?)?;
        ensure!(pod["metadata"]["annotations"]["burst.io/resolved-policy"] == "enforce", "{pod}");
        Ok(())
    })
    .await?;
    world.lab.apply(&Workload::pod(ns, "labelled").text()).await?;
    running_at_eci(world, ns, 3).await?;
    world.lab.kubectl(&["drain", &node, "--force", "--ignore-daemonsets", "--timeout=60s"]).await?;
    eventually_within(PATIENCE, "nothing is left after the drain", || async {
        let (pods, open) = (world.pods(ns).await?, instances(world).await?);
        ensure!(pods.is_empty() && open.is_empty(), "{} pods, {} instances", pods.len(), open.len());
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
        spec["containers"][0]["env"] = json!([{"name": "GREETING", "value": "hello"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "files", "mountPath": "/files"}]);
        spec["volumes"] = json!([{"name": "files", "secret": {"secretName": "keys", "defaultMode": 256}}]);
    };
    let secret =
        ["create", "secret", "generic", "keys", "-n", ns, "--from-literal=password=tell-nobody-4711"];
    world.lab.kubectl(&secret).await?;
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
    let both = ["exec", "p", "-n", ns, "--", "sh", "-c", "cat /files/password; echo; echo $PASSWORD"];
    let both = world.lab.kubectl(&both).await?;
    ensure!(both == "tell-nobody-4711\ntell-nobody-4711\n", "{both}");
    nowhere_in_the_logs(world, "tell-nobody-4711")?;
    nowhere_in_the_logs(world, "dGVsbC1ub2JvZHktNDcxMQ")?;
    nowhere_in_the_logs(world, "lab-secret-key")?;
    let failing = ["exec", "p", "-n", ns, "--", "sh", "-c", "echo out; echo err >&2; exit 42"];
    let failed = world.lab.kubectl_output(&failing).await?;
    let (out, err) = (String::from_utf8_lossy(&failed.stdout), String::from_utf8_lossy(&failed.stderr));
    ensure!(failed.status.code() == Some(42), "{:?}: {out} {err}", failed.status);
    ensure!(out == "out\n" && err.contains("err\n") && err.contains("exit code 42"), "{out}|{err}");
    Ok(())
}

/// Guards secrets: no program of burst wrote it down.
fn nowhere_in_the_logs(world: &World, secret: &str) -> Result<()> {
    let mut read = 0;
    for entry in std::fs::read_dir(world.lab.logs())? {
        let path = entry?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("burst-"));
        if ours && path.is_file() {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            ensure!(!text.contains(secret), "{} holds a secret", path.display());
            read += usize::from(!text.is_empty());
        }
    }
    ensure!(read >= 2, "{read} logs of burst were read");
    Ok(())
}
