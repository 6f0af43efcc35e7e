//! The manual of Huawei's add-on: its example as it stands there, its label on every kind of workload, what it warns of, and
//! what is left when it is removed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Placement, World, names, on_virtual};
use lab::{Workload, built_binary, eventually, eventually_within};
use serde_json::{Value, json};
use tokio::process::Command;

/// The example of the manual, to the letter.
const EXAMPLE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: test
  namespace: default
  labels:
    virtual-kubelet.io/burst-to-cci: 'auto'    # 弹性到CCI
spec:
  replicas: 2
  selector:
    matchLabels:
      app: test
  template:
    metadata:
      labels:
        app: test
    spec:
      containers:
        - image: 'nginx:perl'
          name: container-0
          resources:
            requests:
              cpu: 250m
              memory: 512Mi
            limits:
              cpu: 250m
              memory: 512Mi
          volumeMounts: []
      imagePullSecrets:
        - name: default-secret
";

/// Every namespace of a CCE cluster has the pull secret that the example names.
async fn default_secret(world: &World, ns: &str) -> Result<()> {
    let kind = ["create", "secret", "docker-registry", "default-secret", "-n", ns];
    let entry = ["--docker-server=swr.example.com", "--docker-username=u", "--docker-password=p"];
    world.lab.kubectl(&[&kind[..], &entry].concat()).await.map(drop)
}

/// `auto` prefers the real nodes while they have room, so the example itself runs there; forced, it runs at CCI.
pub(crate) async fn the_example_of_the_manual(world: Arc<World>) -> Result<()> {
    default_secret(&world, "default").await?;
    world.lab.apply(EXAMPLE).await?;
    let auto = world.running("default", 2).await?;
    ensure!(auto == Placement { local: 2, burst: 0 }, "{auto:?}");
    world.lab.kubectl(&["delete", "deployment/test", "--cascade=foreground", "--timeout=60s"]).await?;
    world.lab.apply(&EXAMPLE.replace("'auto'", "enforce")).await?;
    let forced = world.running("default", 2).await?;
    ensure!(forced == Placement { local: 0, burst: 2 }, "{forced:?}");
    let sold = world.instances_of("default").await?;
    let rounded = |instance: &Value| instance["cpuMilli"] == 250 && instance["memoryBytes"] == 1_u64 << 30;
    ensure!(
        sold.len() == 2 && sold.iter().all(rounded),
        "250m and 512Mi are sold as 250m and 1Gi: {}",
        Value::from(sold)
    );
    world.lab.kubectl(&["delete", "deployment/test", "secret/default-secret"]).await?;
    eventually_within(Duration::from_secs(60), "nothing is left of the example", || async {
        let (pods, open) = (world.pods("default").await?, world.instances_of("default").await?);
        ensure!(pods.is_empty() && open.is_empty(), "{} and {} instances", names(&pods), open.len());
        Ok(())
    })
    .await
}

/// A workload of the kind with the label on itself, whose two pods are made from the example's template.
fn labelled(kind: &str, ns: &str, value: &str) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "test"}},
        "spec": {
            "containers": [{"image": "nginx:perl", "name": "container-0", "volumeMounts": [], "resources": {
                "requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "250m", "memory": "512Mi"}}}],
            "imagePullSecrets": [{"name": "default-secret"}],
        },
    });
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": kind.to_lowercase(), "namespace": ns, "labels": {"virtual-kubelet.io/burst-to-cci": value}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "test"}}, "template": template},
    });
    match kind {
        "StatefulSet" => object["spec"]["serviceName"] = json!("test"),
        "Job" => {
            let mut template = object["spec"]["template"].take();
            template["spec"]["restartPolicy"] = json!("Never");
            object["apiVersion"] = json!("batch/v1");
            object["spec"] = json!({"parallelism": 2, "completions": 2, "template": template});
        }
        _ => {}
    }
    object
}

/// The three values on the three kinds of workloads that the manual names.
pub(crate) async fn label_on_deployment_stateful_set_and_job(world: Arc<World>) -> Result<()> {
    for kind in ["Deployment", "StatefulSet", "Job"] {
        for (value, wanted) in [("auto", 0), ("enforce", 2), ("off", 0)] {
            let ns = format!("huawei-{}-{value}", kind.to_lowercase());
            world.namespace(&ns).await?;
            default_secret(&world, &ns).await?;
            world.lab.apply(&labelled(kind, &ns, value).to_string()).await?;
            eventually_within(
                Duration::from_secs(60),
                &format!("{ns}: {wanted} of 2 pods at CCI"),
                || async {
                    let pods = world.pods(&ns).await?;
                    // Nothing runs on the lab's real nodes, so a Job's pods are through at once.
                    let good = |pod: &&Value| {
                        ["Running", "Succeeded"].iter().any(|phase| pod["status"]["phase"] == *phase)
                    };
                    ensure!(pods.len() == 2 && pods.iter().filter(good).count() == 2, "{}", names(&pods));
                    ensure!(pods.iter().filter(|pod| on_virtual(pod)).count() == wanted, "{}", names(&pods));
                    Ok(())
                },
            )
            .await?;
            if value == "enforce" {
                ensure!(world.instances_of(&ns).await?.len() == 2, "{ns}: two instances");
            }
            world.clean(&ns).await?;
        }
    }
    Ok(())
}

/// What the manual warns of at load balancers is said when the Service is made, where pods may burst.
pub(crate) async fn load_balancers_are_warned_of(world: Arc<World>) -> Result<()> {
    let ns = "huawei-balancer";
    world.namespace(ns).await?;
    let said = async |annotations: Value| {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": ns, "name": "web", "annotations": annotations},
            "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        world.told_of(&service).await
    };
    let checked = json!({"kubernetes.io/elb.class": "performance",
        "kubernetes.io/elb.health-check-option": r#"{"protocol": "TCP", "monitor_port": "8081"}"#});
    ensure!(!said(checked.clone()).await?.contains("Warning"), "nothing bursts in this namespace");
    world.lab.kubectl(&["label", "namespace", ns, "burst.io/active=true"]).await?;
    eventually("the health check port is warned of", || async {
        let text = said(checked.clone()).await?;
        ensure!(text.contains("Warning") && text.contains("health check port"), "{text}");
        Ok(())
    })
    .await?;
    let shared = said(json!({"kubernetes.io/elb.class": "union"})).await?;
    ensure!(shared.contains("Warning") && shared.contains("100.125.0.0/16"), "{shared}");
    let quiet = said(json!({"kubernetes.io/elb.class": "performance"})).await?;
    ensure!(!quiet.contains("Warning"), "{quiet}");
    world.clean(ns).await
}

/// What CCI warns of is told on the pod, as said by CCI and without the names of its objects there; a pod that simply runs
/// has no event of CCI's.
pub(crate) async fn warnings_of_cci_are_told_on_the_pod(world: Arc<World>) -> Result<()> {
    let ns = "huawei-events";
    world.namespace(ns).await?;
    let script = json!([{"podPrefix": "broken", "startError": "ErrImagePull"}]);
    world.stack.lock().await.cloud_post(&world.lab, "scripts", &script).await?;
    for name in ["broken", "fine"] {
        world.lab.apply(&Workload::pod(ns, name).label("burst-to-cci", "enforce").text()).await?;
    }
    let told = async |name: &str| {
        let text = world.lab.kubectl(&["get", "events", "-n", ns, "-o", "json"]).await?;
        let events: Value = serde_json::from_str(&text)?;
        let of_cci =
            |event: &&Value| event["reportingComponent"] == "CCI" && event["involvedObject"]["name"] == name;
        anyhow::Ok(
            events["items"].as_array().into_iter().flatten().filter(of_cci).cloned().collect::<Vec<_>>(),
        )
    };
    let result = eventually_within(Duration::from_secs(60), "CCI's warning is on the pod", || async {
        let (events, fine) = (told("broken").await?, world.pod(ns, "fine").await?);
        let pulled = events.iter().find(|event| event["reason"] == "Failed").context("no event yet")?;
        let message = pulled["message"].as_str().unwrap_or_default();
        ensure!(pulled["type"] == "Warning" && message.contains("ErrImagePull"), "{pulled}");
        ensure!(!message.contains("cce-burst-"), "{pulled}");
        ensure!(fine["status"]["phase"] == "Running", "{}", fine["status"]);
        Ok(())
    })
    .await;
    world.stack.lock().await.cloud_post(&world.lab, "scripts", &json!([])).await?;
    result?;
    let quiet = told("fine").await?;
    ensure!(quiet.is_empty(), "an ordinary pod costs no event: {}", Value::from(quiet));
    world.clean(ns).await
}

/// Uninstalling takes the cluster's whole namespace at CCI, instances included; the next start makes it anew.
pub(crate) async fn uninstalling_removes_the_namespace(world: Arc<World>) -> Result<()> {
    let ns = "huawei-uninstall";
    world.namespace(ns).await?;
    default_secret(&world, ns).await?;
    world.lab.apply(&labelled("Deployment", ns, "enforce").to_string()).await?;
    world.running(ns, 2).await?;
    let mut stack = world.stack.lock().await;
    stack.bridge.stop(Duration::from_secs(20)).await?;
    let mut command = Command::new(built_binary("burst-bridge")?);
    command.arg("--config").arg(world.lab.dir().join("burst-bridge.yaml")).arg("--uninstall");
    let output =
        tokio::time::timeout(Duration::from_secs(90), command.output()).await.context("it ends")??;
    let uninstalled = async {
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let left = stack.cloud_get(&world.lab, "instances").await?;
        let left = left["items"].as_array().or_else(|| left.as_array()).map_or(0, Vec::len);
        ensure!(left == 0, "{left} instances are left");
        let calls = stack.cloud_get(&world.lab, "requests").await?;
        let deleted = calls["counts"].as_array().into_iter().flatten().any(|row| {
            let route = row["route"].as_str().unwrap_or_default();
            row["method"] == "DELETE" && route.contains("namespaces") && !route.contains("pods")
        });
        ensure!(deleted, "the namespace was not deleted: {calls}");
        Ok(())
    }
    .await;
    world.lab.kubectl(&["delete", "deployment/deployment", "-n", ns, "--wait=false"]).await?;
    stack.restart_bridge(&world.lab).await?;
    drop(stack);
    uninstalled?;
    // A deleted namespace of CCI keeps its name for about 30 s.
    let back = "huawei-again";
    world.namespace(back).await?;
    default_secret(&world, back).await?;
    world.lab.apply(&labelled("Deployment", back, "enforce").to_string()).await?;
    eventually_within(Duration::from_secs(120), "the next start makes the namespace anew", || async {
        let pods = world.pods(back).await?;
        let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        ensure!(running == 2, "{}", names(&pods));
        Ok(())
    })
    .await?;
    world.clean(ns).await?;
    world.clean(back).await
}
