//! Two clouds at once: CCI beside a provider of another name, with tiers over both and GPUs that only one of them has.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

use crate::usage::shown_as_used;

/// The virtual node of the other provider.
const MOCK: &str = "burst-mock-0";
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a case with a virtual node of the other provider beside CCI's, and leaves the world as it was.
async fn beside_a_mock<F: Future<Output = Result<()>>>(
    world: &World,
    ns: &str,
    case: impl FnOnce() -> F,
) -> Result<()> {
    world.namespace(ns).await?;
    world.stack.lock().await.set_mock_nodes(&world.lab, 1).await?;
    let result = case().await;
    let cleaned = world.clean(ns).await;
    let empty = left_at_mock(world).await;
    world.stack.lock().await.set_mock_nodes(&world.lab, 0).await?;
    result.and(cleaned).and(empty)
}

/// Waits until the mock holds nothing.
async fn left_at_mock(world: &World) -> Result<()> {
    eventually_within(PATIENCE, "the mock holds no instance", || async {
        let count = instances_at_mock(world).await?;
        ensure!(count == 0, "{count} are left");
        Ok(())
    })
    .await
}

async fn instances_at_mock(world: &World) -> Result<u64> {
    let text = world.lab.kubectl(&["get", "virtualnodereport", MOCK, "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&text)?;
    ensure!(report["spec"]["provider"] == "mock" && report["spec"]["zone"] == "mock-a", "{report}");
    Ok(report["spec"]["instances"].as_u64().unwrap_or_default())
}

/// A policy, in force for new pods.
async fn policy(world: &World, ns: &str, spec: &Value) -> Result<()> {
    let object = json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"namespace": ns, "name": "web"}, "spec": spec,
    });
    world.lab.apply(&object.to_string()).await?;
    world.governs(ns, &[]).await
}

/// The policy's status once `good` likes it.
async fn status(world: &World, ns: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually_within(PATIENCE, "the policy's status", || async {
        let text = world.lab.kubectl(&["get", "bp", "web", "-n", ns, "-o", "json"]).await?;
        let status = serde_json::from_str::<Value>(&text)?["status"].clone();
        ensure!(good(&status), "{status}");
        Ok(status)
    })
    .await
}

/// Use by tier: how many pods, how many GPUs.
fn used(status: &Value, tier: &str, what: &str) -> u64 {
    let rows = status["usage"].as_array().into_iter().flatten();
    rows.filter(|row| row["name"] == tier).find_map(|row| row["used"][what].as_u64()).unwrap_or_default()
}

/// Pods that run on nodes whose name begins so.
fn running_on<'p>(pods: &'p [Value], prefix: &str) -> Vec<&'p Value> {
    let on = |pod: &&Value| pod["spec"]["nodeName"].as_str().is_some_and(|name| name.starts_with(prefix));
    pods.iter().filter(on).filter(|pod| pod["status"]["phase"] == "Running").collect()
}

/// Waits until so many pods run on nodes whose names begin so, and returns all.
async fn placed(world: &World, ns: &str, wanted: &[(&str, usize)]) -> Result<Vec<Value>> {
    eventually_within(PATIENCE, &format!("{wanted:?}"), || async {
        let pods = world.pods(ns).await?;
        let good = wanted.iter().all(|(prefix, count)| running_on(&pods, prefix).len() == *count);
        ensure!(good, "{}", names(&pods));
        Ok(pods)
    })
    .await
}

/// Two at the first provider, which is its ceiling, the other three at the second; logs come from there; nothing is left.
pub(crate) async fn tiers_over_two_providers(world: Arc<World>) -> Result<()> {
    let ns = "two-providers";
    beside_a_mock(&world, ns, || tiers_over_two_providers_case(&world, ns)).await
}

async fn tiers_over_two_providers_case(world: &World, ns: &str) -> Result<()> {
    let spec = json!({"policy": "auto", "tiers": [
        {"name": "own", "side": "Local"},
        {"name": "first", "side": "Cloud", "provider": "huawei", "max": {"pods": 2}},
        {"name": "second", "side": "Cloud", "provider": "mock"},
    ]});
    policy(world, ns, &spec).await?;
    // Larger than any real node of the lab.
    let large = |spec: &mut Value| {
        spec["containers"][0]["resources"]["requests"] = json!({"cpu": "8", "memory": "16Gi"});
    };
    for i in 0..5 {
        world.lab.apply(&Workload::pod(ns, &format!("p{i}")).spec(large).text()).await?;
    }
    let pods = placed(world, ns, &[("burst-cci-", 2), (MOCK, 3)]).await?;
    let open = world.instances_of(ns).await?;
    ensure!(open.len() == 2, "{} instances at CCI", open.len());
    status(world, ns, |status| {
        used(status, "first", "pods") == 2
            && used(status, "second", "pods") == 3
            && status["pods"]["cloud"] == 5
    })
    .await?;
    eventually_within(PATIENCE, "the mock reports three", || async {
        let count = instances_at_mock(world).await?;
        ensure!(count == 3, "{count}");
        Ok(())
    })
    .await?;
    let at_mock = running_on(&pods, MOCK).first().copied().context("a pod at the mock")?.clone();
    let name = at_mock["metadata"]["name"].as_str().context("its name")?;
    let logs = world.lab.kubectl(&["logs", name, "-n", ns]).await?;
    ensure!(logs == format!("mock: nothing runs here; container main of pod {ns}/{name}\n"), "{logs}");
    let said = world.lab.kubectl(&["exec", name, "-n", ns, "--", "true"]).await?;
    ensure!(said.contains("mock: nothing runs here") && said.contains("[\"true\"]"), "{said}");
    shown_as_used(world, MOCK, &at_mock).await
}

/// A real node with two GPUs, then one in the cloud, and the fourth pod waits for its tier. The tier of CCI, which has no
/// GPU, comes first and is passed over.
pub(crate) async fn gpu_tiers(world: Arc<World>) -> Result<()> {
    let ns = "gpu-tiers";
    let result = beside_a_mock(&world, ns, || gpu_tiers_case(&world, ns)).await;
    world.lab.kubectl(&["delete", "node", "gpu-0", "--ignore-not-found"]).await?;
    result
}

async fn gpu_tiers_case(world: &World, ns: &str) -> Result<()> {
    gpu_node(world).await?;
    let spec = json!({"policy": "localPrefer", "tiers": [
        {"name": "own", "side": "Local"},
        {"name": "cpu-only", "side": "Cloud", "provider": "huawei"},
        {"name": "gpu", "side": "Cloud", "provider": "mock", "max": {"gpu": 1}},
    ]});
    policy(world, ns, &spec).await?;
    let one_gpu = |spec: &mut Value| {
        spec["containers"][0]["resources"] =
            json!({"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"nvidia.com/gpu": "1"}});
    };
    for i in 0..4 {
        world.lab.apply(&Workload::pod(ns, &format!("p{i}")).spec(one_gpu).text()).await?;
    }
    placed(world, ns, &[("gpu-0", 2), (MOCK, 1)]).await?;
    status(world, ns, |status| {
        status["heldBack"] == json!({"TierLimit": 1}) && used(status, "gpu", "gpu") == 1
    })
    .await?;
    let pods = placed(world, ns, &[("gpu-0", 2), (MOCK, 1), ("burst-cci-", 0)]).await?;
    let waiting: Vec<&Value> = pods.iter().filter(|pod| pod["spec"]["nodeName"].is_null()).collect();
    let [waiting] = waiting[..] else { anyhow::bail!("{}", names(&pods)) };
    let opened = waiting["spec"]["tolerations"].to_string();
    ensure!(
        !opened.contains("virtual-kubelet.io/provider"),
        "the cloud is open to the one that waits: {opened}"
    );
    ensure!(
        waiting["metadata"]["annotations"]["burst.io/unsupported-by"] == "huawei",
        "{}",
        waiting["metadata"]["annotations"]
    );
    ensure!(world.instances_of(ns).await?.is_empty(), "an instance at CCI");
    Ok(())
}

/// Pods that may run in the cloud only name the virtual nodes that there are when they are made. Those that still wait when
/// another one comes are made anew by their controller, and run there.
pub(crate) async fn a_virtual_node_that_comes_late_takes_those_that_wait(world: Arc<World>) -> Result<()> {
    let ns = "late-node";
    world.namespace(ns).await?;
    let others = ["-l", "type=virtual-kubelet"];
    world.lab.kubectl(&[&["cordon"], &others[..]].concat()).await?;
    let result = late_node_case(&world, ns).await;
    world.lab.kubectl(&[&["uncordon"], &others[..]].concat()).await?;
    let cleaned = world.clean(ns).await;
    let empty = left_at_mock(&world).await;
    world.stack.lock().await.set_mock_nodes(&world.lab, 0).await?;
    result.and(cleaned).and(empty)
}

async fn late_node_case(world: &World, ns: &str) -> Result<()> {
    world.lab.apply(&Workload::deployment(ns, "web", 2).pod_label("burst-to-cci", "enforce").text()).await?;
    let waiting = eventually_within(PATIENCE, "two pods that no node takes", || async {
        let pods = world.pods(ns).await?;
        let refused = |pod: &&Value| pod["status"]["conditions"][0]["reason"] == "Unschedulable";
        ensure!(pods.iter().filter(refused).count() == 2, "{}", names(&pods));
        Ok(pods)
    })
    .await?;
    let named = &waiting[0]["metadata"]["annotations"]["burst.io/virtual-nodes"];
    ensure!(named.as_str().is_some_and(|names| !names.contains(MOCK)), "the pod names {named}");
    let events = world.lab.kubectl(&["get", "events", "-n", ns]).await?;
    ensure!(!events.contains("BurstMadeAnew"), "made anew without need:\n{events}");
    world.stack.lock().await.set_mock_nodes(&world.lab, 1).await?;
    let pods = placed(world, ns, &[(MOCK, 2)]).await?;
    let same = |pod: &&Value| waiting.iter().any(|old| old["metadata"]["uid"] == pod["metadata"]["uid"]);
    ensure!(!pods.iter().any(|pod| same(&pod)), "{}", names(&pods));
    let events = world.lab.kubectl(&["get", "events", "-n", ns]).await?;
    ensure!(events.contains("made anew, because virtual node burst-mock-0 came after this pod"), "{events}");
    Ok(())
}

/// A real node with two GPUs.
async fn gpu_node(world: &World) -> Result<()> {
    let size = json!({"cpu": "4", "memory": "16Gi", "pods": "110", "nvidia.com/gpu": "2"});
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "gpu-0", "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": "gpu-0", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {"allocatable": size, "capacity": size},
    });
    world.lab.apply(&node.to_string()).await?;
    eventually_within(PATIENCE, "the GPU node is Ready", || async {
        let text = world.lab.kubectl(&["get", "node", "gpu-0", "--no-headers"]).await?;
        ensure!(text.contains(" Ready "), "{text}");
        Ok(())
    })
    .await
}
