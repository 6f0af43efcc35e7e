//! Where pods go under each policy, with the genuine kube-scheduler deciding.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::{CORES, Placement, REAL_NODES, World, names, on_virtual};
use lab::{Workload, eventually};
use serde_json::json;

/// The vendor's own example labels the Deployment and not its pods.
pub(crate) async fn label_on_the_deployment_only(world: Arc<World>) -> Result<()> {
    let ns = "owner-label";
    world.namespace(ns).await?;
    world
        .lab
        .apply(&Workload::deployment(ns, "web", 2).label("virtual-kubelet.io/burst-to-cci", "enforce").text())
        .await?;
    let placement = world.running(ns, 2).await?;
    ensure!(placement == Placement { local: 0, burst: 2 }, "{placement:?}");
    let pod = &world.pods(ns).await?[0];
    let policy = &pod["metadata"]["annotations"]["burst.io/resolved-policy"];
    ensure!(policy == "enforce", "annotation burst.io/resolved-policy is {policy}");
    world.clean(ns).await
}

/// `enforce` on the pod template, also while every real node is empty.
pub(crate) async fn enforce_goes_to_the_cloud(world: Arc<World>) -> Result<()> {
    let ns = "enforce";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::deployment(ns, "web", 3).pod_label("burst-to-cci", "enforce").text()).await?;
    let placement = world.running(ns, 3).await?;
    ensure!(placement == Placement { local: 0, burst: 3 }, "{placement:?}");
    let instances = world.instances_of(ns).await?;
    ensure!(instances.len() == 3, "{} instances", instances.len());
    world.clean(ns).await
}

/// `off` and no label at all: the cloud is never used, even when that leaves pods pending.
pub(crate) async fn off_and_unlabelled_stay_local(world: Arc<World>) -> Result<()> {
    let ns = "off";
    world.namespace(ns).await?;
    let all = json!([{"operator": "Exists"}]);
    let blanket = |spec: &mut serde_json::Value| spec["tolerations"] = all.clone();
    world.lab.apply(&Workload::deployment(ns, "plain", 8).text()).await?;
    world
        .lab
        .apply(&Workload::deployment(ns, "off", 8).label("burst-to-cci", "off").spec(blanket).text())
        .await?;
    eventually("12 pods fill the real nodes and 4 wait", || async {
        let pods = world.pods(ns).await?;
        let running = pods.iter().filter(|p| p["status"]["phase"] == "Running").count();
        ensure!(pods.len() == 16 && running == REAL_NODES * CORES, "{running} Running of {}", pods.len());
        ensure!(!pods.iter().any(on_virtual), "on a virtual node: {}", names(&pods));
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// `localPrefer`: the first twelve one-core pods fill the twelve real cores, the rest bursts.
pub(crate) async fn local_prefer_fills_real_nodes_first(world: Arc<World>) -> Result<()> {
    let ns = "local-prefer";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::deployment(ns, "web", 18).label("burst-to-cci", "localPrefer").text()).await?;
    let placement = world.running(ns, 18).await?;
    ensure!(
        placement == Placement { local: REAL_NODES * CORES, burst: 18 - REAL_NODES * CORES },
        "{placement:?}"
    );
    world.clean(ns).await
}

/// `auto`: scaled past local capacity, the surplus runs in the cloud and nothing stays pending.
pub(crate) async fn auto_bursts_when_local_is_full(world: Arc<World>) -> Result<()> {
    let ns = "auto";
    world.namespace(ns).await?;
    world.lab.apply(&Workload::deployment(ns, "web", 4).label("burst-to-cci", "auto").text()).await?;
    let few = world.running(ns, 4).await?;
    ensure!(few.burst == 0, "with room on every real node: {few:?}");
    world.lab.kubectl(&["scale", "deployment/web", "-n", ns, "--replicas=20"]).await?;
    let many = world.running(ns, 20).await?;
    ensure!(many.burst >= 20 - REAL_NODES * CORES, "{many:?}");
    world.clean(ns).await
}

/// The pattern of every vendor's manual, no label anywhere.
pub(crate) async fn selector_and_toleration_without_label(world: Arc<World>) -> Result<()> {
    let ns = "selector";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "chooses").spec(|spec| {
        spec["nodeSelector"] = json!({"type": "virtual-kubelet"});
        spec["tolerations"] = json!([{"key": "virtual-kubelet.io/provider", "operator": "Exists"}]);
    });
    world.lab.apply(&pod.text()).await?;
    let placement = world.running(ns, 1).await?;
    ensure!(placement.burst == 1, "{placement:?}");
    world.clean(ns).await
}

/// `nodeName` bypasses the scheduler; the bridge still runs the pod.
pub(crate) async fn node_name_without_label(world: Arc<World>) -> Result<()> {
    let ns = "node-name";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "bound").spec(|spec| spec["nodeName"] = json!("burst-cci-0"));
    world.lab.apply(&pod.text()).await?;
    world.running(ns, 1).await?;
    ensure!(world.instances_of(ns).await?.len() == 1, "one instance");
    world.clean(ns).await
}

/// A DaemonSet that tolerates everything has its pods on real nodes only, and its rollout completes.
pub(crate) async fn tolerating_daemon_set_is_kept_away(world: Arc<World>) -> Result<()> {
    let ns = "daemons";
    world.namespace(ns).await?;
    let mut spec = Workload::pod_spec("10m", "16Mi");
    spec["tolerations"] = json!([{"operator": "Exists"}]);
    let labels = json!({"app": "agent"});
    let manifest = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": ns, "name": "agent"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    });
    world.lab.apply(&manifest.to_string()).await?;
    let placement = world.running(ns, REAL_NODES).await?;
    ensure!(placement.burst == 0, "{placement:?}");
    world.lab.kubectl(&["rollout", "status", "daemonset/agent", "-n", ns, "--timeout=30s"]).await?;
    world.clean(ns).await
}

/// Installing burst must not change how an ordinary Deployment with hard spread constraints schedules: the empty,
/// tainted virtual node must not become a topology domain that skew is counted against.
pub(crate) async fn hard_spread_is_as_without_burst(world: Arc<World>) -> Result<()> {
    let ns = "spread";
    world.namespace(ns).await?;
    let constraint = |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "even"}}});
    let spread = json!([constraint("kubernetes.io/hostname"), constraint("topology.kubernetes.io/zone")]);
    let deployment =
        Workload::deployment(ns, "even", 9).spec(|spec| spec["topologySpreadConstraints"] = spread);
    world.lab.apply(&deployment.text()).await?;
    world.running(ns, 9).await?;
    let pods = world.pods(ns).await?;
    for node in 0..REAL_NODES {
        let name = format!("node-{node}");
        let count = pods.iter().filter(|pod| pod["spec"]["nodeName"] == name.as_str()).count();
        ensure!(count == 3, "{count} of 9 pods on {name}: {}", names(&pods));
    }
    world.clean(ns).await
}
