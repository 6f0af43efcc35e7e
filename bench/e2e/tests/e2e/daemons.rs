//! DaemonSets replaced in the cloud: an agent runs beside burst pods, counts and costs, and nobody sees it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names, on_virtual};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// What a pod of one core and 1 GiB is sold as alone, and with the agent.
const ALONE: (u64, u64) = (1000, 2 << 30);
const BOTH: (u64, u64) = (1250, 3 << 30);

/// A DaemonSet that asks to be replaced, with 150m and 96Mi.
fn agent(ns: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut spec = json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "ship", "image": "agent", "resources": {"requests": {"cpu": "150m", "memory": "96Mi"}},
            "envFrom": [{"configMapRef": {"name": "agent"}}],
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        }],
    });
    change(&mut spec);
    let labels = json!({"app": "agent"});
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"namespace": ns, "name": "agent", "annotations": {"burst.io/replace-in-cloud": "true"}},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    })
    .to_string()
}

async fn scripts(world: &World, rules: &Value) -> Result<()> {
    world.stack.lock().await.cloud_post(&world.lab, "scripts", rules).await.map(drop)
}

/// The sizes of the instances of a namespace.
async fn sizes(world: &World, ns: &str) -> Result<Vec<(u64, u64)>> {
    let size = |i: &Value| Some((i["cpuMilli"].as_u64()?, i["memoryBytes"].as_u64()?));
    world
        .instances_of(ns)
        .await?
        .iter()
        .map(|i| size(i).with_context(|| format!("the size of {i}")))
        .collect()
}

/// The pods of a namespace that burst, without the agent's own on real nodes.
async fn burst(world: &World, ns: &str) -> Result<Vec<Value>> {
    Ok(world.pods(ns).await?.into_iter().filter(|pod| pod["metadata"]["labels"]["app"] != "agent").collect())
}

/// As docs/daemonsets.md says: the bridge may read the agent's ConfigMap.
async fn may_read(world: &World, ns: &str) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let api = format!("{group}/v1");
    let metadata = json!({"namespace": ns, "name": "burst-agent"});
    let role = json!({"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["agent"], "verbs": ["get"]}]});
    let binding = json!({"apiVersion": api, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "burst-agent"},
        "subjects": [{"kind": "ServiceAccount", "name": "burst-bridge", "namespace": "burst-system"}]});
    world.lab.apply(&role.to_string()).await?;
    world.lab.apply(&binding.to_string()).await.map(drop)
}

/// Waits until admission writes what it should about the agent.
async fn known(world: &World, ns: &str, names: &Value) -> Result<()> {
    let probe = Workload::pod(ns, "probe").label("burst-to-cci", "enforce").text();
    eventually_within(PATIENCE, &format!("admission writes {names}"), || async {
        let text =
            world.lab.kubectl_stdin(&["apply", "--dry-run=server", "-o", "json", "-f", "-"], &probe).await?;
        let pod: Value = serde_json::from_str(&text)?;
        let written = &pod["metadata"]["annotations"]["burst.io/daemonsets"];
        ensure!(written == names, "{written}");
        Ok(())
    })
    .await
}

/// The agent crashes all the time beside a Deployment of which a ceiling lets one pod go, because both count; then it runs
/// on beside a Job, which ends all the same.
pub(crate) async fn an_agent_runs_beside_burst_pods(world: Arc<World>) -> Result<()> {
    let ns = "agent";
    world.namespace(ns).await?;
    let result = an_agent_runs_beside_burst_pods_case(&world, ns).await;
    scripts(&world, &json!([])).await?;
    let cleaned = world.clean(ns).await;
    result.and(cleaned)?;
    let meter = world.stack.lock().await.cloud_get(&world.lab, "meter").await?;
    ensure!(meter["open"] == 0, "{meter}");
    Ok(())
}

async fn an_agent_runs_beside_burst_pods_case(world: &World, ns: &str) -> Result<()> {
    let rules = json!([
        {"image": "agent", "log": ["the agent's line"], "runMs": 300, "exitCode": 1},
        {"image": "busybox", "log": ["the pod's line"]},
    ]);
    scripts(world, &rules).await?;
    world.lab.kubectl(&["create", "configmap", "agent", "-n", ns, "--from-literal=colour=blue"]).await?;
    may_read(world, ns).await?;
    world.lab.apply(&agent(ns, |_| ())).await?;
    // Two pods of one core would fit; with 150m beside each of them they do not.
    let policy = json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy", "metadata": {"namespace": ns, "name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "policy": "enforce", "max": {"cloud": {"cpu": "2"}}},
    });
    world.lab.apply(&policy.to_string()).await?;
    world.governs(ns, &[("app", "web")]).await?;
    known(world, ns, &json!(format!("{ns}/agent"))).await?;
    world.lab.apply(&Workload::deployment(ns, "web", 2).text()).await?;
    eventually_within(PATIENCE, "one pod in the cloud and one held back", || async {
        let text = world.lab.kubectl(&["get", "bp", "web", "-n", ns, "-o", "json"]).await?;
        let status = serde_json::from_str::<Value>(&text)?["status"].clone();
        let pods = burst(world, ns).await?;
        let running =
            pods.iter().filter(|pod| on_virtual(pod) && pod["status"]["phase"] == "Running").count();
        ensure!(running == 1 && status["heldBack"] == json!({"CloudLimit": 1}), "{status}\n{}", names(&pods));
        Ok(())
    })
    .await?;
    ensure!(sizes(world, ns).await? == [BOTH], "{:?}", sizes(world, ns).await?);
    bill(world).await?;
    let pods = burst(world, ns).await?;
    let pod = pods.iter().find(|pod| on_virtual(pod)).context("a pod in the cloud")?;
    unseen(world, ns, pod["metadata"]["name"].as_str().context("its name")?).await?;
    world.lab.kubectl(&["delete", "deployment", "web", "-n", ns]).await?;
    job(world, ns).await
}

/// The meter counts what both need.
async fn bill(world: &World) -> Result<()> {
    let read = || async {
        let meter = world.stack.lock().await.cloud_get(&world.lab, "meter").await?;
        ensure!(meter["open"] == 1, "{meter}");
        let of = |key: &str| meter[key].as_f64().with_context(|| format!("{key} of {meter}"));
        Ok((of("seconds")?, of("coreSeconds")?))
    };
    let before = read().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = read().await?;
    let cores = (after.1 - before.1) / (after.0 - before.0);
    ensure!((cores - 1.25).abs() < 0.01, "{cores} cores are billed");
    Ok(())
}

/// Nothing that is asked of the pod shows the agent, which crashes meanwhile.
async fn unseen(world: &World, ns: &str, name: &str) -> Result<()> {
    let instances = world.instances_of(ns).await?;
    let hidden = &instances[0]["annotations"]["burst.io/hidden-containers"];
    ensure!(hidden == "agent-ship", "the instance has no agent: {}", instances[0]);
    let line = world.lab.kubectl(&["get", "pod", name, "-n", ns, "--no-headers"]).await?;
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure!(words[1..4] == ["1/1", "Running", "0"], "{line}");
    let log = world.lab.kubectl(&["logs", name, "-n", ns]).await?;
    ensure!(log.contains("the pod's line") && !log.contains("agent"), "{log}");
    let pod = world.pod(ns, name).await?;
    let rows = pod["status"]["containerStatuses"].as_array().map_or(0, Vec::len);
    ensure!(rows == 1 && !pod["status"].to_string().contains("agent-ship"), "{}", pod["status"]);
    let told = events(world, ns).await?;
    ensure!(told.is_empty(), "{told:?}");
    Ok(())
}

/// The Job's own container ends, the agent does not: the Job completes, and the instance goes.
async fn job(world: &World, ns: &str) -> Result<()> {
    scripts(world, &json!([{"image": "busybox", "runMs": 500}])).await?;
    let mut spec = Workload::pod_spec("1", "1Gi");
    spec["restartPolicy"] = json!("Never");
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": ns, "name": "once"},
        "spec": {"template": {"metadata": {"labels": {"burst-to-cci": "enforce"}}, "spec": spec}},
    });
    world.lab.apply(&job.to_string()).await?;
    eventually_within(PATIENCE, "the Job's instance has the agent", || async {
        let all = world.instances_of(ns).await?;
        let of_job = |i: &&Value| {
            i["annotations"]["burst.io/pod-name"].as_str().is_some_and(|n| n.starts_with("once-"))
        };
        let one = all.iter().find(of_job).context("no instance")?;
        ensure!(one["annotations"]["burst.io/hidden-containers"] == "agent-ship", "{one}");
        Ok(())
    })
    .await?;
    world.lab.kubectl(&["wait", "job/once", "-n", ns, "--for=condition=Complete", "--timeout=60s"]).await?;
    eventually_within(Duration::from_secs(90), "the instance is gone and no bill is open", || async {
        let left = world.instances_of(ns).await?;
        let meter = world.stack.lock().await.cloud_get(&world.lab, "meter").await?;
        ensure!(left.is_empty() && meter["open"] == 0, "{meter} {}", Value::from(left));
        Ok(())
    })
    .await
}

/// Notes of the events about DaemonSets that are not replaced.
async fn events(world: &World, ns: &str) -> Result<Vec<String>> {
    let text = world.lab.kubectl(&["get", "events", "-n", ns, "-o", "json"]).await?;
    let all: Value = serde_json::from_str(&text)?;
    let told = all["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["reason"] == "DaemonSetNotReplaced");
    Ok(told.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect())
}

/// The pod runs without it and is told which field is at fault.
pub(crate) async fn a_host_path_is_named(world: Arc<World>) -> Result<()> {
    let ns = "agent-host";
    world.namespace(ns).await?;
    let logs =
        |spec: &mut Value| spec["volumes"] = json!([{"name": "logs", "hostPath": {"path": "/var/log"}}]);
    world.lab.apply(&agent(ns, logs)).await?;
    world.lab.kubectl(&["rollout", "status", "daemonset/agent", "-n", ns, "--timeout=60s"]).await?;
    // Whoever writes it is told as well.
    for (wish, said) in [("maybe", "neither \"true\" nor \"false\""), ("true", "volumes[0].hostPath")] {
        let wish = format!("burst.io/replace-in-cloud={wish}");
        let output = world
            .lab
            .kubectl_output(&["annotate", "daemonset", "agent", "-n", ns, "--overwrite", &wish])
            .await?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && text.contains(said), "{wish}: {text}");
    }
    world.lab.apply(&Workload::pod(ns, "web").label("burst-to-cci", "enforce").text()).await?;
    eventually_within(PATIENCE, "the pod runs and its owner is told", || async {
        let pod = world.pod(ns, "web").await?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        ensure!(pod["metadata"]["annotations"]["burst.io/daemonsets"].is_null(), "{}", pod["metadata"]);
        let told = events(&world, ns).await?;
        let [text] = &told[..] else { anyhow::bail!("{told:?}") };
        let whole = format!(
            "DaemonSet {ns}/agent is not replaced in the cloud: spec.template.spec.volumes[0].hostPath: "
        );
        ensure!(text.starts_with(&whole), "{text}");
        Ok(())
    })
    .await?;
    ensure!(sizes(&world, ns).await? == [ALONE], "{:?}", sizes(&world, ns).await?);
    world.clean(ns).await
}
