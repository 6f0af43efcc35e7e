//! `kubectl logs` and `kubectl exec`, unmodified, through the API server and the virtual node's kubelet port.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::World;
use lab::{Workload, eventually};
use serde_json::json;

/// A burst pod that runs `script`, once it is Running.
async fn running(world: &World, ns: &str, script: &str) -> Result<()> {
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["containers"][0]["command"] = json!(["sh", "-c", script]);
    });
    world.lab.apply(&pod.text()).await?;
    world.running(ns, 1).await.map(drop)
}

/// tail, since, since-time, limit-bytes and timestamps; `--tail=0` means none.
pub(crate) async fn logs_with_every_option(world: Arc<World>) -> Result<()> {
    let ns = "logs";
    running(&world, ns, "for i in 1 2 3 4 5; do echo line $i; done; sleep 1000").await?;
    eventually("five lines are in the log", || async {
        let text = world.lab.kubectl(&["logs", "p", "-n", ns]).await?;
        ensure!(text == "line 1\nline 2\nline 3\nline 4\nline 5\n", "{text:?}");
        Ok(())
    })
    .await?;
    for (option, wanted) in [
        ("--tail=2", "line 4\nline 5\n"),
        ("--tail=0", ""),
        ("--limit-bytes=6", "line 1"),
        ("--since=1h", "line 1\nline 2\nline 3\nline 4\nline 5\n"),
        ("--since-time=2100-01-01T00:00:00Z", ""),
    ] {
        let text = world.lab.kubectl(&["logs", "p", "-n", ns, option]).await?;
        ensure!(text == wanted, "{option}: {text:?}, expected {wanted:?}");
    }
    let text = world.lab.kubectl(&["logs", "p", "-n", ns, "--tail=1", "--timestamps"]).await?;
    let (time, line) = text.split_once(' ').unwrap_or_default();
    ensure!(time.ends_with('Z') && time.contains('T') && line == "line 5\n", "--timestamps: {text:?}");
    world.clean(ns).await
}

/// `-f` shows lines as they come and ends with the container.
pub(crate) async fn logs_follow_until_the_end(world: Arc<World>) -> Result<()> {
    let ns = "follow";
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["restartPolicy"] = json!("Never");
        spec["containers"][0]["command"] = json!(["sh", "-c", "for i in 1 2 3; do echo $i; sleep 1; done"]);
    });
    world.lab.apply(&pod.text()).await?;
    eventually("the log can be followed", || async {
        let text = world.lab.kubectl(&["logs", "-f", "p", "-n", ns]).await?;
        ensure!(text == "1\n2\n3\n", "{text:?}");
        Ok(())
    })
    .await?;
    world.clean(ns).await
}

/// The exit code comes back, and standard error is not mixed into standard output.
pub(crate) async fn exec_exit_code_and_separate_outputs(world: Arc<World>) -> Result<()> {
    let ns = "exec";
    running(&world, ns, "sleep 1000").await?;
    let script = "echo out; echo 'two  words' >&2; exit 3";
    let output = world.lab.kubectl_output(&["exec", "p", "-n", ns, "--", "sh", "-c", script]).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(3), "exit code {:?}: {err}", output.status.code());
    ensure!(out == "out\n", "standard output {out:?}");
    ensure!(err.starts_with("two  words\n"), "standard error {err:?}");
    world.clean(ns).await
}

/// Standard input reaches the command, and its end ends it.
pub(crate) async fn exec_passes_standard_input(world: Arc<World>) -> Result<()> {
    let ns = "stdin";
    running(&world, ns, "sleep 1000").await?;
    let text = "a line\n".repeat(20_000);
    let counted = world.lab.kubectl_stdin(&["exec", "-i", "p", "-n", ns, "--", "wc", "-c"], &text).await?;
    ensure!(counted.trim() == text.len().to_string(), "wc -c said {counted:?} of {} bytes", text.len());
    world.clean(ns).await
}

/// Both transports that kubectl has.
pub(crate) async fn exec_over_spdy_and_websocket(world: Arc<World>) -> Result<()> {
    let ns = "transports";
    running(&world, ns, "sleep 1000").await?;
    for websocket in ["true", "false"] {
        let mut command = world.lab.kubectl_command(&["exec", "p", "-n", ns, "--", "echo", "through"]);
        let output = command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websocket).output().await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(out == "through\n", "WebSocket {websocket}: {out:?} {err}");
    }
    world.clean(ns).await
}

/// A wrong container name is refused in words, not with an empty answer.
pub(crate) async fn unknown_container_is_named(world: Arc<World>) -> Result<()> {
    let ns = "wrong-name";
    running(&world, ns, "sleep 1000").await?;
    let output = world.lab.kubectl_output(&["logs", "p", "-c", "nothing", "-n", ns]).await?;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && err.contains("nothing"), "{err}");
    world.clean(ns).await
}

/// Every virtual node has a port of its own, and none answers who does not say who they are.
pub(crate) async fn kubelet_port_is_closed_to_strangers(world: Arc<World>) -> Result<()> {
    for port in [10250, 10251] {
        for path in ["pods", "runningpods/", "exec/a/b/c?command=id&output=1", "metrics"] {
            let url = format!("https://{}:{port}/{path}", lab::ADDRESS);
            let output = tokio::process::Command::new("curl")
                .args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", &url])
                .output()
                .await?;
            let code = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(code == "401", "{url} answered {code} to a stranger");
        }
    }
    for node in world.stack.lock().await.virtual_nodes() {
        let pods = world.lab.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/pods")]).await?;
        ensure!(pods.contains("\"items\""), "the API server itself is let in: {pods}");
    }
    Ok(())
}
