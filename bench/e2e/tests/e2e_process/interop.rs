//! Huawei's network interop: ClusterIP Services between the cluster and its pods in the cloud, by the real kube-proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::{BRIDGE, CloudApi, Process, ServiceProxy, Workload, ensure_service_proxy, eventually_within};
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(60);
/// The lab's Services.
const SERVICES: &str = "10.96.0.0/16";
const ON: &str = "burst.io/network-interop";
/// What a pod of the cluster and one in the cloud answer.
const ANSWERS: [&str; 2] = ["from the cluster", "from the cloud"];

/// CCI 1.0: one of two virtual nodes has it.
pub(crate) async fn services_reach_both_sides(world: Arc<World>) -> Result<()> {
    let ns = "interop";
    world.namespace(ns).await?;
    let result = switched_on(&world, case(&world, ns, "huawei")).await;
    let cleaned = world.clean(ns).await;
    result.and(cleaned)
}

/// CCI 2.0 alike.
pub(crate) async fn services_reach_both_sides_at_the_second(world: Arc<World>) -> Result<()> {
    let ns = "interop-second";
    world.namespace(ns).await?;
    world.stack.lock().await.set_cci2_nodes(&world.lab, 1).await?;
    let result = switched_on(&world, case(&world, ns, "huawei-cci2")).await;
    let cleaned = world.clean(ns).await;
    world.stack.lock().await.set_cci2_nodes(&world.lab, 0).await?;
    result.and(cleaned)
}

/// Runs a case with network interop, and without it afterwards.
async fn switched_on(world: &World, case: impl Future<Output = Result<()>>) -> Result<()> {
    let kubeconfig = kubeconfig(world).await?;
    world.stack.lock().await.set_interop(&world.lab, Some(kubeconfig)).await?;
    let result = case.await;
    world.stack.lock().await.set_interop(&world.lab, None).await?;
    let taken_back = eventually_within(PATIENCE, "no virtual node says that it is on", || async {
        let nodes = world.lab.kubectl(&["get", "nodes", "-l", ON, "-o", "name"]).await?;
        ensure!(nodes.is_empty(), "{nodes}");
        Ok(())
    })
    .await;
    result.and(taken_back)
}

/// What kube-proxy may do, and no more.
async fn kubeconfig(world: &World) -> Result<PathBuf> {
    let meta = json!({"name": "burst-interop", "namespace": "kube-system"});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta});
    let group = "rbac.authorization.k8s.io";
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "burst-interop"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:node-proxier"},
        "subjects": [{"kind": "ServiceAccount", "name": "burst-interop", "namespace": "kube-system"}]});
    world.lab.apply(&account.to_string()).await?;
    world.lab.apply(&binding.to_string()).await?;
    world.lab.service_account_kubeconfig("kube-system", "burst-interop").await
}

async fn case(world: &World, ns: &str, provider: &str) -> Result<()> {
    let _server = cluster_side(world, ns).await?;
    world.lab.apply(&pod(ns, "cloud", provider, true).text()).await?;
    // At CCI 2.0 every virtual node of the lab has it.
    let without = provider == "huawei";
    if without {
        world.lab.apply(&pod(ns, "without", provider, false).text()).await?;
    }
    let mut services = Vec::new();
    for (name, app) in [("inside", "local"), ("outside", "cloud")] {
        services.push(service(world, ns, name, app).await?);
    }
    let [inside, outside] = [0, 1].map(|i| services.get(i).cloned().unwrap_or_default());
    world.running(ns, if without { 3 } else { 2 }).await?;
    eventually_within(PATIENCE, "a pod in the cloud reaches a ClusterIP of the cluster", || async {
        let said = from_pod(world, ns, "cloud", &inside).await?;
        ensure!(said == ANSWERS[0], "{said:?}");
        Ok(())
    })
    .await?;
    if without {
        let said = from_pod(world, ns, "without", &inside).await;
        ensure!(said.is_err(), "no proxy is beside this one, and it was answered: {said:?}");
    }
    hidden(world, ns, provider).await?;
    from_the_cluster(world, &outside).await?;
    job_ends(world, ns, provider, &inside).await?;
    five_are_too_many(world, ns, provider).await
}

/// A busybox in the cloud that serves a page, on a node with or without network interop.
fn pod(ns: &str, name: &str, provider: &str, on: bool) -> Workload {
    let workload = Workload::pod(ns, name).label("burst-to-cci", "enforce").label("app", name);
    workload.spec(|spec| {
        let page =
            format!("mkdir -p /www; echo {} > /www/index.html; exec httpd -f -p 8080 -h /www", ANSWERS[1]);
        spec["containers"][0]["command"] = json!(["sh", "-c", page]);
        place(spec, provider, on);
    })
}

fn place(spec: &mut Value, provider: &str, on: bool) {
    let operator = if on { "Exists" } else { "DoesNotExist" };
    spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": ON, "operator": operator}]}]}}});
    spec["tolerations"] = json!([{"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": provider,
        "effect": "NoSchedule"}]);
}

/// A pod on a real node, whose address this side of the lab answers for; the server ends when it is dropped.
async fn cluster_side(world: &World, ns: &str) -> Result<Process> {
    world.lab.apply(&Workload::pod(ns, "local").label("app", "local").text()).await?;
    world.running(ns, 1).await?;
    let address = world.pod(ns, "local").await?["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    run("ip", &["addr", "replace", &format!("{address}/32"), "dev", "lo"]).await?;
    let folder = world.lab.dir().join(format!("{ns}-page"));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("index.html"), format!("{}\n", ANSWERS[0]))?;
    let mut command = Command::new(world.lab.tools().busybox());
    command.args(["httpd", "-f", "-p", &format!("{address}:8080"), "-h"]).arg(folder);
    world.lab.spawn(&format!("{ns}-server"), command)
}

/// A ClusterIP Service; returns its address.
async fn service(world: &World, ns: &str, name: &str, app: &str) -> Result<String> {
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": ns, "name": name},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}});
    world.lab.apply(&object.to_string()).await?;
    world.lab.kubectl(&["get", "service", name, "-n", ns, "-o", "jsonpath={.spec.clusterIP}"]).await
}

async fn from_pod(world: &World, ns: &str, pod: &str, address: &str) -> Result<String> {
    let url = format!("http://{address}/");
    let command = ["exec", pod, "-n", ns, "--", "timeout", "4", "wget", "-q", "-O", "-", &url];
    Ok(world.lab.kubectl(&command).await?.trim().to_owned())
}

/// One container more than defined runs, at the cloud; nobody who looks at the pod sees it.
async fn hidden(world: &World, ns: &str, provider: &str) -> Result<()> {
    let pod = world.pod(ns, "cloud").await?;
    for list in [&pod["spec"]["containers"], &pod["status"]["containerStatuses"]] {
        ensure!(list.as_array().map(Vec::len) == Some(1), "{list}");
    }
    ensure!(!pod["status"].to_string().contains("burst-network-interop"), "{}", pod["status"]);
    let refused = world.lab.kubectl(&["logs", "cloud", "-n", ns, "-c", "burst-network-interop"]).await;
    ensure!(refused.is_err(), "its log is shown: {refused:?}");
    let instances = instances(world, ns, provider).await?;
    let with: Vec<_> = instances.iter().filter(|i| i.to_string().contains("burst-network-interop")).collect();
    let named = |instance: &Value| instance.to_string().contains("\"cloud-");
    ensure!(matches!(with[..], [one] if named(one)), "{}", Value::from(instances.clone()));
    Ok(())
}

/// The cloud's instances of a namespace's pods.
async fn instances(world: &World, ns: &str, provider: &str) -> Result<Vec<Value>> {
    if provider == "huawei" {
        return world.instances_of(ns).await;
    }
    let all = world.stack.lock().await.beside(CloudApi::Cci2)?.get(&world.lab, "instances").await?;
    Ok(all.as_array().context("no list of instances")?.clone())
}

/// A client on the cluster's side, whose node has kube-proxy as every node has, reaches the pod in the cloud.
async fn from_the_cluster(world: &World, address: &str) -> Result<()> {
    run("ip", &["route", "replace", SERVICES, "dev", BRIDGE]).await?;
    let url = format!("http://{address}/");
    let ask = || async {
        let busybox = world.lab.tools().busybox();
        let busybox = busybox.to_str().context("the path of busybox")?;
        run(busybox, &["timeout", "4", busybox, "wget", "-q", "-O", "-", &url]).await
    };
    let before = ask().await;
    let proxy = ensure_service_proxy().await?;
    let mut process = proxy.start(&world.lab, "node-0", &kubeconfig(world).await?)?;
    let reached =
        eventually_within(PATIENCE, "the cluster reaches a pod in the cloud by its ClusterIP", || async {
            let said = ask().await?;
            ensure!(said.trim() == ANSWERS[1], "{said:?}");
            Ok(())
        })
        .await;
    let running = process.check_running();
    let ended = process.stop(Duration::from_secs(10)).await;
    forget(&proxy).await?;
    ensure!(before.is_err(), "nothing proxies here yet, and it was answered: {before:?}");
    running?;
    ended?;
    reached
}

async fn forget(proxy: &ServiceProxy) -> Result<()> {
    proxy.forget_rules().await?;
    run("ip", &["route", "del", SERVICES, "dev", BRIDGE]).await.map(drop)
}

/// A Job that needs a Service succeeds, and its instance is released though kube-proxy runs on.
async fn job_ends(world: &World, ns: &str, provider: &str, address: &str) -> Result<()> {
    let mut spec = Workload::pod_spec("1", "2Gi");
    spec["restartPolicy"] = json!("OnFailure");
    let script =
        format!("until timeout 4 wget -q -O - http://{address}/ | grep -q cluster; do sleep 1; done");
    spec["containers"][0]["command"] = json!(["sh", "-c", script]);
    place(&mut spec, provider, true);
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": ns, "name": "once",
        "labels": {"burst-to-cci": "enforce"}}, "spec": {"template": {"spec": spec}}});
    world.lab.apply(&job.to_string()).await?;
    world.lab.kubectl(&["wait", "job/once", "-n", ns, "--for=condition=Complete", "--timeout=90s"]).await?;
    eventually_within(Duration::from_secs(90), "the finished pod's instance is released", || async {
        let left = instances(world, ns, provider).await?;
        let once: Vec<_> = left.iter().filter(|i| i.to_string().contains("\"once-")).collect();
        ensure!(once.is_empty(), "{once:?}");
        Ok(())
    })
    .await
}

/// Five containers of its own leave no place for the sixth: said at once.
async fn five_are_too_many(world: &World, ns: &str, provider: &str) -> Result<()> {
    let five = pod(ns, "five", provider, true).spec(|spec| {
        let one = spec["containers"][0].clone();
        let named = |i: usize| {
            let mut container = one.clone();
            container["name"] = json!(format!("c{i}"));
            container
        };
        spec["containers"] = (0..5).map(named).collect();
    });
    let said = world.lab.kubectl_stdin(&["apply", "-f", "-"], &five.text()).await;
    let said = said.err().context("five containers and one more were admitted")?.to_string();
    ensure!(said.contains("network interop") && said.contains("at most 4"), "{said}");
    Ok(())
}

async fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().await?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
