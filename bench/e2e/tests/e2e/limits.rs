//! Ceilings and waits on the real control plane: the leader grants, the toleration wakes the pod, the cloud never holds
//! more than was allowed.
//!
//! Pods are labelled and annotated here by hand as admission does it for governed pods, and are larger than any real node
//! of the lab.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Placement, World, names, on_virtual};
use jiff::Timestamp;
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

fn policy(ns: &str, spec: &Value) -> String {
    let spec = {
        let mut whole = json!({"policy": "auto"});
        whole
            .as_object_mut()
            .into_iter()
            .for_each(|all| all.extend(spec.as_object().cloned().unwrap_or_default()));
        whole
    };
    json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"namespace": ns, "name": "web"}, "spec": spec,
    })
    .to_string()
}

fn governed(ns: &str, name: &str) -> String {
    let mut pod = Workload::pod(ns, name).label("burst.io/governed", "true").spec(large);
    pod.manifest["metadata"]["annotations"] =
        json!({"burst.io/burst-policy": format!("BurstPolicy/{ns}/web")});
    pod.text()
}

/// Waits until `count` pods run in the cloud and the others have neither node nor toleration.
async fn burst(world: &World, ns: &str, count: usize) -> Result<Vec<Value>> {
    eventually_within(Duration::from_secs(60), &format!("{count} pods in the cloud"), || async {
        let pods = world.pods(ns).await?;
        let cloud = pods.iter().filter(|pod| on_virtual(pod) && pod["status"]["phase"] == "Running").count();
        let opened = pods.iter().filter(|pod| opened(pod)).count();
        ensure!(
            cloud == count && opened == count,
            "{cloud} in the cloud, {opened} opened:\n{}",
            names(&pods)
        );
        Ok(pods)
    })
    .await
}

fn opened(pod: &Value) -> bool {
    let tolerations = pod["spec"]["tolerations"].as_array();
    tolerations.is_some_and(|all| all.iter().any(|t| t["key"] == "virtual-kubelet.io/provider"))
}

/// Waits until the policy's status says that `held` pods wait for this reason and `cloud` may be in the cloud.
async fn status(world: &World, ns: &str, reason: &str, held: u64, cloud: u64) -> Result<Value> {
    eventually_within(Duration::from_secs(20), "the policy's status", || async {
        let text = world.lab.kubectl(&["get", "bp", "web", "-n", ns, "-o", "json"]).await?;
        let status = serde_json::from_str::<Value>(&text)?["status"].clone();
        ensure!(status["heldBack"] == json!({reason: held}) && status["pods"]["cloud"] == cloud, "{status}");
        Ok(status)
    })
    .await
}

/// Asks for more than any real node of the lab has.
fn large(spec: &mut Value) {
    spec["containers"][0]["resources"]["requests"] = json!({"cpu": "8", "memory": "16Gi"});
}

/// The most instances that were ever seen, looked at all the time.
struct Watchman {
    most: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Watchman {
    fn start(world: &Arc<World>, ns: &str) -> Self {
        let (most, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, ended, world, ns) = (most.clone(), stop.clone(), world.clone(), ns.to_owned());
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                if let Ok(instances) = world.instances_of(&ns).await {
                    seen.fetch_max(instances.len(), Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { most, stop, task }
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?;
        Ok(self.most.load(Ordering::Relaxed))
    }
}

/// Three of ten, the others told why; five when raised; six after kill -9 in the middle of the next wave.
pub(crate) async fn ceiling_holds_through_a_crash_and_flows_on_when_raised(world: Arc<World>) -> Result<()> {
    let ns = "limits";
    world.namespace(ns).await?;
    let max = |pods: u64| policy(ns, &json!({"max": {"cloud": {"pods": pods}}}));
    world.lab.apply(&max(3)).await?;
    let watchman = Watchman::start(&world, ns);
    for i in 0..10 {
        world.lab.apply(&governed(ns, &format!("p{i}"))).await?;
    }
    burst(&world, ns, 3).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pods = burst(&world, ns, 3).await?;
    ensure!(watchman.most() == 3, "{} instances were seen with a ceiling of 3", watchman.most());
    let held = pods.iter().find(|pod| !opened(pod)).context("a pod that waits")?;
    let name = held["metadata"]["name"].as_str().context("its name")?;
    eventually_within(Duration::from_secs(20), "the event on a pod that waits", || async {
        let of = format!("involvedObject.name={name}");
        let events = world.lab.kubectl(&["get", "events", "-n", ns, "--field-selector", &of]).await?;
        ensure!(events.contains("BurstHeld") && events.contains("max.cloud"), "{events}");
        Ok(())
    })
    .await?;
    status(&world, ns, "CloudLimit", 7, 3).await?;
    world.lab.apply(&max(5)).await?;
    burst(&world, ns, 5).await?;
    ensure!(watchman.most() == 5, "{} instances were seen with a ceiling of 5", watchman.most());
    world.lab.apply(&max(6)).await?;
    let mut stack = world.stack.lock().await;
    stack.scheduler.kill().await?;
    let restarted = stack.restart_scheduler(&world.lab).await;
    drop(stack);
    restarted?;
    burst(&world, ns, 6).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let most = watchman.end().await?;
    ensure!(most == 6, "{most} instances were seen with a ceiling of 6");
    world.clean(ns).await
}

/// Five seconds without a toleration; then bound within a second, not by the scheduler's own flush.
pub(crate) async fn waiting_pods_are_bound_within_a_second_of_the_deadline(world: Arc<World>) -> Result<()> {
    let ns = "limits-wait";
    world.namespace(ns).await?;
    world.lab.apply(&policy(ns, &json!({"wait": {"beforeBurstSeconds": 5}}))).await?;
    world.lab.apply(&governed(ns, "p")).await?;
    let created = time(&world.pod(ns, "p").await?["metadata"]["creationTimestamp"])?;
    let deadline = created + jiff::SignedDuration::from_secs(5);
    loop {
        let pod = world.pod(ns, "p").await?;
        // Judged by when the look ended, so that a slow look is never an early toleration.
        if Timestamp::now() >= deadline {
            break;
        }
        ensure!(!opened(&pod), "a toleration before the wait is over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let bound = eventually_within(Duration::from_secs(30), "bound", || async {
        let pod = world.pod(ns, "p").await?;
        let conditions = pod["status"]["conditions"].as_array().context("conditions")?;
        let bound = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "True");
        time(&bound.context("not bound yet")?["lastTransitionTime"])
    })
    .await?;
    let late = bound.duration_since(deadline);
    // Both times are cut to whole seconds, so this says less than two seconds.
    ensure!(late <= jiff::SignedDuration::from_secs(1), "bound {late:?} after the deadline");
    world.running(ns, 1).await?;
    world.clean(ns).await
}

/// Eight cores cost 28.80 an hour: 100 pays for three pods in full hours, in this one and in the next.
pub(crate) async fn a_budget_pays_for_three_and_not_one_more(world: Arc<World>) -> Result<()> {
    let ns = "limits-budget";
    world.namespace(ns).await?;
    let budget = |amount: &str| policy(ns, &json!({"budget": {"currency": "CNY", "perHour": amount}}));
    world.lab.apply(&budget("100")).await?;
    let watchman = Watchman::start(&world, ns);
    for i in 0..7 {
        world.lab.apply(&governed(ns, &format!("p{i}"))).await?;
    }
    burst(&world, ns, 3).await?;
    let told = status(&world, ns, "BudgetReached", 4, 3).await?;
    let conditions = told["conditions"].as_array().context("conditions")?;
    let reached = conditions.iter().find(|c| c["type"] == "BudgetReached").context("BudgetReached")?;
    ensure!(reached["status"] == "True", "{reached}");
    let row = &told["spend"][0];
    ensure!(row["window"] == "hour" && row["currency"] == "CNY" && row["max"] == "100.00", "{row}");
    // More money is more pods, by as many as it pays for.
    world.lab.apply(&budget("150")).await?;
    burst(&world, ns, 5).await?;
    status(&world, ns, "BudgetReached", 2, 5).await?;
    let most = watchman.end().await?;
    ensure!(most == 5, "{most} instances were seen with money for 5");
    world.clean(ns).await
}

/// Four replicas, two more allowed by the rollout, five by the policy: old and new pods count together, also those that end.
pub(crate) async fn rollout_with_surge_stays_below_the_ceiling(world: Arc<World>) -> Result<()> {
    let ns = "limits-rollout";
    world.namespace(ns).await?;
    world.lab.apply(&policy(ns, &json!({"max": {"cloud": {"pods": 5}}}))).await?;
    world.governs(ns, &[]).await?;
    let watchman = Watchman::start(&world, ns);
    let mut web = Workload::deployment(ns, "web", 4).spec(large);
    web.manifest["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}});
    world.lab.apply(&web.text()).await?;
    burst(&world, ns, 4).await?;
    let old = world.pods(ns).await?;
    world.lab.kubectl(&["set", "env", "deployment/web", "-n", ns, "REVISION=2"]).await?;
    world.lab.kubectl(&["rollout", "status", "deployment/web", "-n", ns, "--timeout=100s"]).await?;
    let new = burst(&world, ns, 4).await?;
    let stayed = new.iter().filter(|pod| old.iter().any(|o| o["metadata"]["uid"] == pod["metadata"]["uid"]));
    ensure!(stayed.count() == 0, "pods of the old revision are left: {}", names(&new));
    let most = watchman.end().await?;
    ensure!(most == 5, "{most} instances were seen with a ceiling of 5 and a surge that wants 6");
    world.clean(ns).await
}

/// Four that go together and room for three: none goes. With room for four, all do.
pub(crate) async fn gang_waits_whole_and_goes_whole(world: Arc<World>) -> Result<()> {
    let ns = "limits-gang";
    world.namespace(ns).await?;
    let max = |pods: u64| {
        policy(ns, &json!({"max": {"cloud": {"pods": pods}}, "gang": {"labelKey": "job", "size": 4}}))
    };
    world.lab.apply(&max(3)).await?;
    world.governs(ns, &[]).await?;
    let watchman = Watchman::start(&world, ns);
    for i in 0..3 {
        let member = Workload::pod(ns, &format!("m{i}")).label("job", "j").spec(large);
        world.lab.apply(&member.text()).await?;
    }
    // Three would have room, and are not four.
    status(&world, ns, "GangIncomplete", 3, 0).await?;
    world.lab.apply(&Workload::pod(ns, "m3").label("job", "j").spec(large).text()).await?;
    status(&world, ns, "GangTooLarge", 4, 0).await?;
    burst(&world, ns, 0).await?;
    ensure!(watchman.most() == 0, "{} instances of a gang that waits", watchman.most());
    world.lab.apply(&max(4)).await?;
    burst(&world, ns, 4).await?;
    let most = watchman.end().await?;
    ensure!(most == 4, "{most} instances were seen of a gang of 4");
    world.clean(ns).await
}

/// Real nodes have room for all five, and two may use it.
pub(crate) async fn ceiling_on_real_nodes_sends_the_rest_to_the_cloud(world: Arc<World>) -> Result<()> {
    let ns = "limits-local";
    world.namespace(ns).await?;
    world.lab.apply(&policy(ns, &json!({"max": {"local": {"pods": 2}}}))).await?;
    world.governs(ns, &[]).await?;
    let small = |spec: &mut Value| {
        spec["containers"][0]["resources"]["requests"] = json!({"cpu": "250m", "memory": "512Mi"});
    };
    world.lab.apply(&Workload::deployment(ns, "web", 5).spec(small).text()).await?;
    let placed = world.running(ns, 5).await?;
    ensure!(placed == Placement { local: 2, burst: 3 }, "{placed:?}\n{}", names(&world.pods(ns).await?));
    // What takes the place of one that goes never makes three.
    let pods = world.pods(ns).await?;
    let home = pods.iter().find(|pod| !on_virtual(pod)).context("a pod on a real node")?;
    let name = home["metadata"]["name"].as_str().context("its name")?;
    world.lab.kubectl(&["delete", "pod", name, "-n", ns]).await?;
    let placed = world.running(ns, 5).await?;
    ensure!(placed.local <= 2 && placed.burst >= 3, "{placed:?}\n{}", names(&world.pods(ns).await?));
    world.clean(ns).await
}

/// A place in the cloud is free again once its instance is gone, and not a moment before.
pub(crate) async fn what_a_deleted_pod_leaves_the_next_one_gets(world: Arc<World>) -> Result<()> {
    let ns = "limits-next";
    world.namespace(ns).await?;
    world.lab.apply(&policy(ns, &json!({"max": {"cloud": {"pods": 1}}}))).await?;
    let watchman = Watchman::start(&world, ns);
    for i in 0..3 {
        world.lab.apply(&governed(ns, &format!("p{i}"))).await?;
    }
    for left in [2, 1, 0] {
        let pods = burst(&world, ns, 1).await?;
        ensure!(pods.len() == left + 1, "{}", names(&pods));
        let running = pods.iter().find(|pod| on_virtual(pod)).context("a pod in the cloud")?;
        let name = running["metadata"]["name"].as_str().context("its name")?;
        world.lab.kubectl(&["delete", "pod", name, "-n", ns]).await?;
    }
    let most = watchman.end().await?;
    ensure!(most == 1, "{most} instances were seen with a ceiling of 1");
    world.clean(ns).await
}

fn time(value: &Value) -> Result<Timestamp> {
    Ok(value.as_str().context("a time")?.parse()?)
}
