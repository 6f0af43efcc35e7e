//! Another Kubernetes cluster as the cloud: a second real control plane beside the first, with a scheduler and nodes (kwok)
//! of its own, reached with the rights of `deploy/other-cluster`.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::{Lab, LabOptions, Workload, eventually_within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::OnceCell;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where connections to port 80 of the other cluster's pods end.
const SERVER: &str = "127.0.0.1:10480";

/// The other cluster, for all cases.
async fn cluster() -> Result<&'static Lab> {
    static CLUSTER: OnceCell<Lab> = OnceCell::const_new();
    let start = || async {
        let name = "e2e-other-cluster".to_owned();
        let other = Lab::start(LabOptions { name, beside: true, ..LabOptions::default() }).await?;
        other.add_real_nodes(2, "4", "16Gi", 110).await?;
        let rights = lab::repository_root()?.join("deploy/other-cluster/rbac.yaml");
        other.kubectl(&["apply", "-f", rights.to_str().context("path of the manifests")?]).await?;
        Ok(other)
    };
    CLUSTER.get_or_try_init(start).await
}

/// Runs a case with another cluster and its virtual node, and leaves the world as it was.
pub(crate) async fn beside_another<F: Future<Output = Result<()>>>(
    world: &World,
    ns: &str,
    case: impl FnOnce(&'static Lab) -> F,
) -> Result<()> {
    let other = cluster().await?;
    let kubeconfig = other.service_account_kubeconfig("burst-guests", "burst-bridge").await?;
    world.namespace(ns).await?;
    world.stack.lock().await.set_other_cluster(&world.lab, Some(kubeconfig)).await?;
    let result = case(other).await;
    let cleaned = world.clean(ns).await;
    let empty = nothing_left(other, ns).await;
    world.stack.lock().await.set_other_cluster(&world.lab, None).await?;
    result.and(cleaned).and(empty)
}

/// A Deployment whose pods may go to the other cluster only, with a ConfigMap and a Secret.
pub(crate) async fn deploy(world: &World, ns: &str, replicas: u32) -> Result<()> {
    world.lab.kubectl(&["create", "configmap", "settings", "-n", ns, "--from-literal=colour=blue"]).await?;
    let secret = ["create", "secret", "generic", "keys", "-n", ns, "--from-literal=password=opensesame"];
    world.lab.kubectl(&secret).await?;
    let deployment =
        Workload::deployment(ns, "web", replicas).label("burst-to-cci", "enforce").spec(|spec| {
            spec["nodeSelector"] = json!({"example.com/cluster": "other"});
            let main = &mut spec["containers"][0];
            main["resources"] = json!({"requests": {"cpu": "333m", "memory": "123Mi"}});
            main["env"] = json!([
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
            ]);
            main["volumeMounts"] = json!([{"name": "settings", "mountPath": "/settings"}]);
            spec["volumes"] = json!([{"name": "settings", "configMap": {"name": "settings"}}]);
        });
    world.lab.apply(&deployment.text()).await?;
    let placement = world.running(ns, replicas as usize).await?;
    ensure!(placement.burst == replicas as usize, "{placement:?}");
    Ok(())
}

async fn items(other: &Lab, kind: &str, namespace: &str) -> Result<Vec<Value>> {
    let text = other.kubectl(&["get", kind, "-n", namespace, "-o", "json"]).await?;
    Ok(serde_json::from_str::<Value>(&text)?["items"].as_array().cloned().unwrap_or_default())
}

/// Pods, copies of ConfigMaps and of Secrets.
async fn nothing_left(other: &Lab, ns: &str) -> Result<()> {
    let namespace = format!("burst-{ns}");
    eventually_within(PATIENCE, "nothing is left in the other cluster", || async {
        for kind in ["pods", "configmaps", "secrets"] {
            let left = items(other, kind, &namespace).await?;
            let ours = left.iter().filter(|object| object["metadata"]["name"] != "kube-root-ca.crt");
            let ours: Vec<_> = ours.map(|object| object["metadata"]["name"].clone()).collect();
            ensure!(ours.is_empty(), "{kind}: {}", Value::from(ours));
        }
        Ok(())
    })
    .await
}

fn uids(pods: &[Value]) -> Vec<&str> {
    let mut uids: Vec<_> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect();
    uids.sort_unstable();
    uids
}

/// Every replica is a pod there, of the size asked for, and stays the same one when the bridge is killed; what is deleted
/// there is gone here, and what is deleted here leaves nothing there.
pub(crate) async fn a_deployment_bursts_into_another_cluster(world: Arc<World>) -> Result<()> {
    let ns = "elsewhere";
    beside_another(&world, ns, |other| bursts_case(&world, ns, other)).await
}

async fn bursts_case(world: &World, ns: &str, other: &Lab) -> Result<()> {
    deploy(world, ns, 3).await?;
    let (here, there) = (world.pods(ns).await?, items(other, "pods", "burst-elsewhere").await?);
    ensure!(here.iter().all(|pod| pod["spec"]["nodeName"] == "burst-other-0"), "{}", names(&here));
    ensure!(there.len() == 3 && world.instances_of(ns).await?.is_empty(), "{} pods there", there.len());
    for pod in &there {
        let container = &pod["spec"]["containers"][0];
        ensure!(pod["spec"]["nodeName"].as_str().is_some_and(|node| node.starts_with("node-")), "{pod}");
        ensure!(
            container["resources"] == json!({"requests": {"cpu": "333m", "memory": "123Mi"}}),
            "{container}"
        );
        ensure!(container["env"].to_string().contains("burst-other-0"), "{container}");
        ensure!(!pod.to_string().contains("opensesame"), "the password is in the pod");
        let uid = &pod["metadata"]["labels"]["burst.io/pod-uid"];
        let own = here.iter().find(|own| own["metadata"]["uid"] == *uid).context("a pod of nobody")?;
        ensure!(
            own["status"]["podIP"] == pod["status"]["podIP"],
            "{} is not {}",
            own["status"],
            pod["status"]
        );
    }
    let victim = there[0]["metadata"]["name"].as_str().context("a name")?;
    other.kubectl(&["delete", "pod", victim, "-n", "burst-elsewhere"]).await?;
    eventually_within(PATIENCE, "the lost pod is replaced", || async {
        let now = items(other, "pods", "burst-elsewhere").await?;
        let same = uids(&there).into_iter().filter(|uid| uids(&now).contains(uid)).count();
        ensure!(now.len() == 3 && same == 2, "{} pods there, {same} of them as before", now.len());
        let here = world.pods(ns).await?;
        let phases = |phase: &str| here.iter().filter(|pod| pod["status"]["phase"] == phase).count();
        ensure!((phases("Running"), phases("Failed")) == (3, 1), "{}", names(&here));
        let copies = items(other, "configmaps", "burst-elsewhere").await?.len();
        ensure!(copies == 4, "{copies} ConfigMaps there, the cluster's own among them");
        Ok(())
    })
    .await?;
    let before = items(other, "pods", "burst-elsewhere").await?;
    {
        let mut stack = world.stack.lock().await;
        stack.bridge.kill().await?;
        stack.restart_bridge(&world.lab).await?;
    }
    world.lab.kubectl(&["scale", "deployment/web", "-n", ns, "--replicas=4"]).await?;
    eventually_within(PATIENCE, "the next bridge takes over what there is and goes on", || async {
        let now = items(other, "pods", "burst-elsewhere").await?;
        let same = uids(&before).into_iter().filter(|uid| uids(&now).contains(uid)).count();
        ensure!(now.len() == 4 && same == 3, "{} pods there, {same} of them as before", now.len());
        let here = world.pods(ns).await?;
        let running = here.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        ensure!(running == 4, "{}", names(&here));
        Ok(())
    })
    .await
}

/// `kubectl logs`, `exec`, `attach` and `port-forward` of the first cluster, unmodified, through the second's API server.
pub(crate) async fn streams_come_from_the_other_cluster(world: Arc<World>) -> Result<()> {
    let ns = "far";
    beside_another(&world, ns, |other| streams_case(&world, ns, other)).await
}

async fn streams_case(world: &World, ns: &str, other: &Lab) -> Result<()> {
    deploy(world, ns, 1).await?;
    let log = other.dir().join("kwok.log");
    let say = |text: &str| -> Result<()> {
        // The form of a CRI log.
        let line = format!("2026-01-02T03:04:05.000000000Z stdout F {text}\n");
        let mut file = std::fs::File::options().append(true).open(&log)?;
        Ok(std::io::Write::write_all(&mut file, line.as_bytes())?)
    };
    say("first")?;
    say("second")?;
    let text = world.lab.kubectl(&["logs", "deployment/web", "-n", ns, "--tail=1"]).await?;
    ensure!(text == "second\n", "{text:?}");

    // kwok does not tell exit codes.
    let command = ["exec", "deployment/web", "-n", ns, "--", "sh", "-c", "echo out; echo err >&2"];
    for websocket in ["true", "false"] {
        let mut command = world.lab.kubectl_command(&command);
        let output = command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websocket).output().await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success() && out == "out\n" && err.ends_with("err\n"),
            "WebSocket {websocket}: {:?} {out:?} {err:?}",
            output.status.code()
        );
    }
    // kwok does not tell commands that their input has ended either.
    let ask = ["exec", "-i", "deployment/web", "-n", ns, "--", "sh", "-c", "read line; echo heard $line"];
    let heard = tokio::time::timeout(PATIENCE, world.lab.kubectl_stdin(&ask, "typed\n")).await??;
    ensure!(heard == "heard typed\n", "{heard:?}");

    let mut attached = world
        .lab
        .kubectl_command(&["attach", "deployment/web", "-n", ns])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(attached.stdout.take().context("kubectl's standard output")?).lines();
    // Only what is said from now on has to be heard.
    let heard = async {
        loop {
            say("third")?;
            match tokio::time::timeout(Duration::from_secs(1), lines.next_line()).await {
                Ok(Ok(Some(line))) if line.contains("third") => return Ok(()),
                Ok(Ok(None)) => anyhow::bail!("kubectl attach ended"),
                Ok(Err(error)) => return Err(error.into()),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.context("nothing was heard")??;
    attached.kill().await?;
    forwarded(world, ns).await
}

/// A page of a server that the other cluster forwards port 80 of its pods to.
async fn forwarded(world: &World, ns: &str) -> Result<()> {
    let listener = TcpListener::bind(SERVER).await?;
    let serving = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = [0; 1024];
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthere";
            // Whoever leaves early hears nothing.
            if socket.read(&mut asked).await.is_ok() {
                let _ = socket.write_all(answer).await;
            }
        }
    });
    let result = fetched(world, ns).await;
    serving.abort();
    result
}

async fn fetched(world: &World, ns: &str) -> Result<()> {
    for websocket in ["true", "false"] {
        let mut command = world.lab.kubectl_command(&["port-forward", "deployment/web", "-n", ns, ":80"]);
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websocket).stdout(Stdio::piped());
        let mut kubectl = command.stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(kubectl.stdout.take().context("kubectl's standard output")?).lines();
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await??.context("kubectl said nothing")?;
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
        let url = format!("http://127.0.0.1:{}/", port.with_context(|| line.clone())?);
        let output = Command::new("curl").args(["-sf", "--max-time", "20", &url]).output().await?;
        let page = String::from_utf8_lossy(&output.stdout);
        ensure!(page == "there", "WebSocket {websocket}: {page:?} {}", output.status);
        kubectl.kill().await?;
    }
    Ok(())
}
