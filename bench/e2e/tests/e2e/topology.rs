//! Spread constraints and virtual nodes, judged by the genuine kube-scheduler.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::{Placement, REAL_NODES, World, names};
use lab::{Workload, eventually};
use serde_json::{Value, json};

fn spread(key: &str, app: &str) -> Value {
    json!([{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": app}}}])
}

/// A policy object that only rewrites topology.
fn rewriting(ns: &str) -> String {
    json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"namespace": ns, "name": "spread"}, "spec": {"rewriteTopology": true},
    })
    .to_string()
}

/// One virtual node is enough for all of them: the others are left out by name.
fn on_one_virtual_node(spec: &mut Value) {
    let name = json!({"key": "metadata.name", "operator": "In", "values": ["burst-cci-0"]});
    let required = json!({"nodeSelectorTerms": [{"matchFields": [name]}]});
    spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
}

fn per_node(pods: &[Value]) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for pod in pods {
        *count.entry(pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    count
}

async fn governs(world: &World, ns: &str) -> Result<()> {
    eventually("the object speaks for new pods", || async {
        let probe = Workload::pod(ns, "probe").label("burst-to-cci", "auto");
        world.lab.apply(&probe.text()).await?;
        let pod = world.pod(ns, "probe").await?;
        world.lab.kubectl(&["delete", "pod", "probe", "-n", ns, "--now"]).await?;
        let object = &pod["metadata"]["annotations"]["burst.io/burst-policy"];
        ensure!(object.as_str().is_some_and(|o| o.ends_with("/spread")), "{pod}");
        Ok(())
    })
    .await
}

/// Ten replicas with a hard hostname spread run on one virtual node once their policy says `rewriteTopology`; while they
/// are there, an ordinary Deployment with hard spread constraints schedules as without burst.
pub(crate) async fn ten_spread_replicas_on_one_virtual_node(world: Arc<World>) -> Result<()> {
    let (ns, other) = ("spread-burst", "spread-ordinary");
    world.namespace(ns).await?;
    world.lab.apply(&rewriting(ns)).await?;
    governs(&world, ns).await?;
    let constraint = spread("kubernetes.io/hostname", "web");
    let web = Workload::deployment(ns, "web", 10).label("burst-to-cci", "enforce").spec(|spec| {
        spec["topologySpreadConstraints"] = constraint.clone();
        on_one_virtual_node(spec);
    });
    world.lab.apply(&web.text()).await?;
    let placement = world.running(ns, 10).await?;
    ensure!(placement == Placement { local: 0, burst: 10 }, "{placement:?}");
    let pods = world.pods(ns).await?;
    ensure!(per_node(&pods) == [("burst-cci-0".to_owned(), 10)].into(), "{}", names(&pods));
    let original = &pods[0]["metadata"]["annotations"]["burst.io/original-topology"];
    let original: Value = serde_json::from_str(original.as_str().unwrap_or_default())?;
    ensure!(original["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule", "{original}");

    world.namespace(other).await?;
    let even = Workload::deployment(other, "even", 9)
        .spec(|spec| spec["topologySpreadConstraints"] = spread("kubernetes.io/hostname", "even"));
    world.lab.apply(&even.text()).await?;
    world.running(other, 9).await?;
    let pods = world.pods(other).await?;
    let counts = per_node(&pods);
    ensure!(counts.len() == REAL_NODES && counts.values().all(|c| *c == 3), "{}", names(&pods));
    world.clean(other).await?;
    world.clean(ns).await
}

/// Not asked for: nothing is rewritten, and whoever may run on virtual nodes only is told which constraint forbids it.
pub(crate) async fn the_constraint_is_named(world: Arc<World>) -> Result<()> {
    let ns = "spread-named";
    world.namespace(ns).await?;
    let constraint = spread("kubernetes.io/hostname", "web");
    let web = Workload::deployment(ns, "web", 2)
        .label("burst-to-cci", "enforce")
        .spec(|spec| spec["topologySpreadConstraints"] = constraint.clone());
    world.lab.apply(&web.text()).await?;
    let words =
        ["spec.topologySpreadConstraints[0]", "DoNotSchedule over kubernetes.io/hostname", "rewriteTopology"];
    eventually("the ReplicaSet says why", || async {
        let events =
            world.lab.kubectl(&["get", "events", "-n", ns, "-o", "jsonpath={.items[*].message}"]).await?;
        for word in words {
            ensure!(events.contains(word), "no event names {word}: {events}");
        }
        Ok(())
    })
    .await?;
    world.lab.kubectl(&["delete", "deployment", "web", "-n", ns]).await?;
    // The measurement that the rewrite rests on: the scheduler refuses a node without the topology key. The pod comes in
    // as one that has real nodes too, and its selector leaves it only a virtual one.
    let pod = Workload::pod(ns, "auto").label("burst-to-cci", "auto").label("app", "web").spec(|spec| {
        spec["topologySpreadConstraints"] = constraint.clone();
        on_one_virtual_node(spec);
    });
    world.lab.apply(&pod.text()).await?;
    eventually("the scheduler refuses the virtual node", || async {
        let pods = world.pods(ns).await?;
        ensure!(names(&pods).contains("missing required label"), "{}", names(&pods));
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// Virtual nodes with zones of their own are what a hard zone spread counts, and replicas are spread over them.
pub(crate) async fn zones_of_virtual_nodes_are_spread_over(world: Arc<World>) -> Result<()> {
    let ns = "spread-zones";
    world.namespace(ns).await?;
    let zone = "topology.kubernetes.io/zone";
    for node in 0..2 {
        let (name, label) = (format!("burst-cci-{node}"), format!("{zone}=cloud-{node}"));
        world.lab.kubectl(&["label", "node", &name, &label]).await?;
    }
    let outcome = async {
        let web = Workload::deployment(ns, "web", 6)
            .label("burst-to-cci", "enforce")
            .spec(|spec| spec["topologySpreadConstraints"] = spread(zone, "web"));
        eventually("admission has seen the zones", || async {
            let dry = world
                .lab
                .apply(
                    &Workload::pod(ns, "probe")
                        .label("burst-to-cci", "enforce")
                        .spec(|spec| spec["topologySpreadConstraints"] = spread(zone, "probe"))
                        .text(),
                )
                .await;
            dry.map(drop)
        })
        .await?;
        world.lab.kubectl(&["delete", "pod", "probe", "-n", ns, "--now"]).await?;
        world.lab.apply(&web.text()).await?;
        world.running(ns, 6).await?;
        let pods = world.pods(ns).await?;
        let counts: Vec<usize> = per_node(&pods).into_values().collect();
        ensure!(counts == [3, 3], "{}", names(&pods));
        Ok(())
    }
    .await;
    for node in 0..2 {
        let name = format!("burst-cci-{node}");
        world.lab.kubectl(&["label", "node", &name, &format!("{zone}-")]).await?;
    }
    outcome?;
    world.clean(ns).await
}
