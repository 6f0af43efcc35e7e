//! Pods that a BurstPolicy governs: nothing opens the cloud to them but a grant, whichever part of admission is up.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::{World, names, on_virtual};
use lab::{Workload, eventually};
use serde_json::{Value, json};

/// A policy that lets nobody in, so that whatever gets in came past it.
fn closed(ns: &str, more: &Value) -> String {
    let mut spec = json!({"max": {"cloud": {"pods": 0}}});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"namespace": ns, "name": "closed"}, "spec": spec,
    })
    .to_string()
}

fn opens(pod: &Value) -> bool {
    pod["spec"]["tolerations"].to_string().contains("virtual-kubelet.io/provider")
}

fn mark<'p>(pod: &'p Value, key: &str) -> &'p str {
    let of = |part: &str| pod["metadata"][part][key].as_str();
    of("labels").or_else(|| of("annotations")).unwrap_or_default()
}

async fn marked(world: &World, ns: &str) -> Result<()> {
    eventually("the namespace is marked", || async {
        let text = world.lab.kubectl(&["get", "namespace", ns, "-o", "json"]).await?;
        let namespace: Value = serde_json::from_str(&text)?;
        ensure!(mark(&namespace, "burst.io/active") == "true", "{namespace}");
        Ok(())
    })
    .await
}

/// A label on the pod itself is what the in-process policy acts on, and it cannot look objects up: the pod must come out
/// closed all the same, also in the moment before the namespace is marked.
pub(crate) async fn label_on_the_pod_opens_nothing(world: Arc<World>) -> Result<()> {
    let ns = "governed";
    world.namespace(ns).await?;
    // Before there is an object, to see that the in-process policy is at work here.
    let free = Workload::pod(ns, "free").label("burst-to-cci", "enforce");
    world.lab.apply(&free.text()).await?;
    let pod = world.pod(ns, "free").await?;
    ensure!(opens(&pod), "an ungoverned pod is opened at once: {pod}");

    world.lab.apply(&closed(ns, &json!({}))).await?;
    let sees = |name: &'static str| {
        let world = &world;
        async move {
            let pod = Workload::pod(ns, name).label("burst-to-cci", "enforce");
            world.lab.apply(&pod.text()).await?;
            world.pod(ns, name).await
        }
    };
    // The scheduler's watch of the object takes a moment.
    eventually("the object governs new pods", || async {
        let probe = sees("probe").await?;
        world.lab.kubectl(&["delete", "pod", "probe", "-n", ns, "--now"]).await?;
        ensure!(mark(&probe, "burst.io/governed") == "true", "{probe}");
        Ok(())
    })
    .await?;
    marked(&world, ns).await?;
    let pod = sees("held").await?;
    ensure!(!opens(&pod), "opened without a grant: {pod}");
    ensure!(mark(&pod, "burst.io/burst-policy") == "BurstPolicy/governed/closed", "{pod}");
    ensure!(mark(&pod, "burst.io/resolved-policy") == "enforce", "{pod}");

    // The namespace without its mark is the moment before it is marked: in-process opens, the webhook takes back.
    let own = Workload::pod(ns, "chooses").spec(|spec| {
        spec["tolerations"] = json!([{"key": "virtual-kubelet.io/provider", "operator": "Exists"}]);
    });
    world.lab.apply(&own.text()).await?;
    let own = world.pod(ns, "chooses").await?;
    let affinity = own["spec"]["affinity"].to_string();
    ensure!(
        own["spec"]["schedulingGates"] == json!([{"name": "burst.io/grant"}]) || affinity.contains("NotIn"),
        "kept, and gated until its affinity keeps it on real nodes: {own}"
    );
    eventually("the pod that tolerates by itself stays at home", || async {
        let pod = world.pod(ns, "chooses").await?;
        ensure!(pod["spec"]["nodeName"].is_string() && !on_virtual(&pod), "{pod}");
        Ok(())
    })
    .await?;

    let error = world.lab.kubectl(&["label", "pod", "held", "-n", ns, "burst.io/governed-"]).await.err();
    let error = error.context("the mark of a governed pod was taken off")?.to_string();
    ensure!(error.contains("burst.io/governed"), "{error}");
    ensure!(!world.pods(ns).await?.iter().any(|p| on_virtual(p) && p["metadata"]["name"] != "free"));
    world.lab.kubectl(&["delete", "pod", "free", "-n", ns, "--wait=false"]).await?;
    world.clean(ns).await
}

/// The mark that the webhook's strictness rests on is only a label, and somebody may be faster than it: with the mark gone,
/// the in-process policy opens the pod and the webhook takes that back in the same admission.
pub(crate) async fn what_the_in_process_policy_opened_is_taken_back(world: Arc<World>) -> Result<()> {
    let ns = "taken-back";
    world.namespace(ns).await?;
    // Every namespace of the race at once: the object and the first pods, with nothing in between.
    let mut manifests = closed(ns, &json!({}));
    for i in 0..10 {
        let pod = Workload::pod(ns, &format!("p-{i}")).label("burst-to-cci", "auto");
        manifests = format!("{manifests}\n---\n{}", pod.text());
    }
    world.lab.apply(&manifests).await?;
    let pods = world.pods(ns).await?;
    for pod in &pods {
        let governed = mark(pod, "burst.io/governed") == "true";
        ensure!(!governed || !opens(pod), "governed and open: {pod}");
        ensure!(!governed || mark(pod, "burst.io/opened-in-process").is_empty(), "{pod}");
    }
    marked(&world, ns).await?;
    world.clean(ns).await
}

/// With the webhook down, no pod of the governed namespace comes in unseen, and every other namespace goes on as ever.
pub(crate) async fn webhook_down_lets_nobody_past_the_limit(world: Arc<World>) -> Result<()> {
    let (ns, other) = ("governed-down", "governed-other");
    world.namespace(ns).await?;
    world.namespace(other).await?;
    world.lab.apply(&closed(ns, &json!({"policy": "enforce"}))).await?;
    marked(&world, ns).await?;
    world.stack.lock().await.scheduler.kill().await?;
    let outcome = async {
        for pod in
            [Workload::pod(ns, "labelled").label("burst-to-cci", "enforce"), Workload::pod(ns, "silent")]
        {
            let error = world.lab.apply(&pod.text()).await.err().context("it was admitted")?.to_string();
            ensure!(error.contains("pods.active.burst.io"), "{error}");
        }
        let small = |spec: &mut Value| {
            spec["containers"][0]["resources"]["requests"] = json!({"cpu": "100m", "memory": "64Mi"});
        };
        world.lab.apply(&Workload::pod(other, "ordinary").spec(small).text()).await?;
        world.running(other, 1).await.map(drop)
    }
    .await;
    world.stack.lock().await.restart_scheduler(&world.lab).await?;
    outcome?;
    // Back up: who says nothing is governed by the object, and waits.
    world.lab.apply(&Workload::pod(ns, "silent").text()).await?;
    let pod = world.pod(ns, "silent").await?;
    ensure!(mark(&pod, "burst.io/governed") == "true" && !opens(&pod), "{pod}");
    ensure!(mark(&pod, "burst.io/policy-source").contains("BurstPolicy/governed-down/closed"), "{pod}");
    ensure!(!world.pods(ns).await?.iter().any(on_virtual), "{}", names(&world.pods(ns).await?));
    world.clean(other).await?;
    world.clean(ns).await
}

/// Preemption may nominate a localPrefer pod to a virtual node, where scoring is skipped: such a pod asks the extender,
/// and its Filter keeps the preference. Who cannot preempt costs no call.
pub(crate) async fn local_prefer_that_preempts_asks_the_extender(world: Arc<World>) -> Result<()> {
    let ns = "preempting";
    world.namespace(ns).await?;
    let mut asks = Vec::new();
    for (name, preemption) in [("urgent", "PreemptLowerPriority"), ("patient", "Never")] {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": 1000, "preemptionPolicy": preemption,
        });
        world.lab.apply(&class.to_string()).await?;
        // On the pod the in-process policy marks, on the Deployment the webhook.
        let class = |spec: &mut Value| spec["priorityClassName"] = json!(name);
        let pod = Workload::pod(ns, name).label("burst-to-cci", "localPrefer").spec(class);
        world.lab.apply(&pod.text()).await?;
        let of = Workload::deployment(ns, name, 1).label("burst-to-cci", "localPrefer").spec(class);
        world.lab.apply(&of.text()).await?;
    }
    world.running(ns, 4).await?;
    for pod in world.pods(ns).await? {
        if pod["spec"]["containers"][0]["resources"]["limits"]["burst.io/checked"] == "1" {
            asks.push(pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned());
        }
        ensure!(!on_virtual(&pod), "{}", names(&[pod]));
    }
    ensure!(asks == ["urgent", "urgent"], "{asks:?}");
    world.lab.kubectl(&["delete", "priorityclass", "urgent", "patient"]).await?;
    world.clean(ns).await
}
