//! What runs inside: environment, volumes, network, exit codes, restarts, images.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use e2e::World;
use lab::{Workload, eventually, eventually_within};
use serde_json::{Value, json};

/// env, fieldRef, envFrom, `$(VAR)`, a ConfigMap volume, a Secret variable, and two containers that share localhost.
pub(crate) async fn environment_volumes_and_one_network(world: Arc<World>) -> Result<()> {
    let ns = "inside";
    world.namespace(ns).await?;
    world.lab.kubectl(&["create", "configmap", "settings", "-n", ns, "--from-literal=colour=blue"]).await?;
    world
        .lab
        .kubectl(&["create", "secret", "generic", "keys", "-n", ns, "--from-literal=password=opensesame"])
        .await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["containers"][0]["command"] = json!(["sh", "-c", "sleep 1000"]);
        spec["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
        spec["containers"][0]["env"] = json!([
            {"name": "FIRST", "value": "one"},
            {"name": "SECOND", "value": "$(FIRST)-two"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
        ]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "settings", "mountPath": "/settings"}]);
        spec["volumes"] = json!([{"name": "settings", "configMap": {"name": "settings"}}]);
        let server = json!({
            "name": "server", "image": "busybox", "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}},
            "command": ["sh", "-c", "while true; do echo answer | nc -l -p 8080; done"],
        });
        if let Some(containers) = spec["containers"].as_array_mut() {
            containers.push(server);
        }
    });
    world.lab.apply(&pod.text()).await?;
    world.running(ns, 1).await?;
    let script = "echo $FIRST $SECOND $NAME $PASSWORD $colour $(cat /settings/colour); test -n \"$IP\" && ip addr | grep -q \"$IP\" && echo address";
    let said = world.lab.kubectl(&["exec", "p", "-c", "main", "-n", ns, "--", "sh", "-c", script]).await?;
    ensure!(said == "one one-two p opensesame blue blue\naddress\n", "{said:?}");
    eventually("the other container answers on localhost", || async {
        let args =
            ["exec", "p", "-c", "main", "-n", ns, "--", "sh", "-c", "nc -w 1 127.0.0.1 8080 < /dev/null"];
        let said = world.lab.kubectl(&args).await?;
        ensure!(said.trim() == "answer", "{said:?}");
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// A Job completes; its instance is released though the pod object stays, and what is known of it stays too.
pub(crate) async fn job_succeeds_and_its_instance_is_released(world: Arc<World>) -> Result<()> {
    let ns = "job";
    world.namespace(ns).await?;
    let mut spec = Workload::pod_spec("1", "2Gi");
    spec["restartPolicy"] = json!("Never");
    spec["containers"][0]["command"] = json!(["sh", "-c", "echo done"]);
    let labels = json!({"burst-to-cci": "enforce"});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": ns, "name": "once", "labels": labels},
        "spec": {"template": {"spec": spec}},
    });
    world.lab.apply(&job.to_string()).await?;
    world.lab.kubectl(&["wait", "job/once", "-n", ns, "--for=condition=Complete", "--timeout=60s"]).await?;
    eventually_within(Duration::from_secs(90), "the finished pod's instance is released", || async {
        let left = world.instances_of(ns).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let pods = world.pods(ns).await?;
    let pod = &pods[0];
    ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
    ensure!(terminated(pod)["exitCode"] == 0, "{}", pod["status"]);
    world.clean(ns).await
}

fn terminated(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]
}

/// The exit code that the process really had.
pub(crate) async fn exit_code_of_a_failed_pod(world: Arc<World>) -> Result<()> {
    let ns = "exit-code";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["restartPolicy"] = json!("Never");
        spec["containers"][0]["command"] = json!(["sh", "-c", "exit 7"]);
    });
    world.lab.apply(&pod.text()).await?;
    eventually("the pod is Failed", || async {
        let pod = world.pod(ns, "p").await?;
        ensure!(pod["status"]["phase"] == "Failed" && terminated(&pod)["exitCode"] == 7, "{}", pod["status"]);
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// restartPolicy Always: the restart is counted and the previous log can be read.
pub(crate) async fn crashing_container_is_restarted(world: Arc<World>) -> Result<()> {
    let ns = "crash";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        let script = "echo run $(date +%N); sleep 1; exit 1";
        spec["containers"][0]["command"] = json!(["sh", "-c", script]);
    });
    world.lab.apply(&pod.text()).await?;
    eventually("the restart is counted", || async {
        let pod = world.pod(ns, "p").await?;
        let count = pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
        ensure!(count.is_some_and(|n| n >= 1), "{}", pod["status"]);
        Ok(())
    })
    .await?;
    let before = world.lab.kubectl(&["logs", "p", "-n", ns, "--previous"]).await?;
    ensure!(before.starts_with("run "), "{before:?}");
    world.clean(ns).await
}

/// The container waits with the reason and a message that names the image; the pod is not failed.
pub(crate) async fn image_that_does_not_exist(world: Arc<World>) -> Result<()> {
    let ns = "image";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["containers"][0]["image"] = json!("no-such-image:1");
    });
    world.lab.apply(&pod.text()).await?;
    eventually("the container says why it waits", || async {
        let pod = world.pod(ns, "p").await?;
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
        let reason = waiting["reason"].as_str().unwrap_or("");
        ensure!(["ErrImagePull", "ImagePullBackOff"].contains(&reason), "{}", pod["status"]);
        ensure!(waiting["message"].as_str().is_some_and(|m| m.contains("no-such-image:1")), "{waiting}");
        ensure!(pod["status"]["phase"] == "Pending", "{}", pod["status"]);
        Ok(())
    })
    .await?;
    world.clean(ns).await
}
