//! `kubectl port-forward` and `kubectl attach`, unmodified.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::{Workload, eventually};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A burst pod that runs `script`, once it is Running.
async fn running(world: &World, ns: &str, script: &str) -> Result<()> {
    world.namespace(ns).await?;
    let pod = Workload::pod(ns, "p").label("burst-to-cci", "enforce").spec(|spec| {
        spec["containers"][0]["command"] = json!(["sh", "-c", script]);
    });
    world.lab.apply(&pod.text()).await?;
    world.running(ns, 1).await.map(drop)
}

/// A running `kubectl port-forward`, which ends when nobody reads what it says.
struct Forwarded {
    kubectl: Child,
    /// The local port that it chose.
    port: u16,
    _said: Lines<BufReader<ChildStdout>>,
}

async fn forwarded(world: &World, ns: &str, port: u16, websocket: &str) -> Result<Forwarded> {
    let mut command = world.lab.kubectl_command(&["port-forward", "pod/p", "-n", ns, &format!(":{port}")]);
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websocket).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut kubectl = command.spawn()?;
    let mut lines = BufReader::new(kubectl.stdout.take().context("kubectl's standard output")?).lines();
    let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await??;
    let line = line.context("kubectl port-forward ended without a word")?;
    let local = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
    let port = local.and_then(|port| port.parse().ok()).with_context(|| line.clone())?;
    Ok(Forwarded { kubectl, port, _said: lines })
}

async fn fetch(port: u16, file: &str) -> Result<Vec<u8>> {
    let url = format!("http://127.0.0.1:{port}/{file}");
    let output = Command::new("curl").args(["-sf", "--max-time", "20", &url]).output().await?;
    ensure!(output.status.success(), "curl {url}: {}", output.status);
    Ok(output.stdout)
}

/// Both transports that kubectl has: many connections at once, a megabyte, and a port where nobody listens.
pub(crate) async fn port_forward_over_spdy_and_websocket(world: Arc<World>) -> Result<()> {
    let ns = "forward";
    let script = "mkdir /www; echo served > /www/index.html; head -c 1000000 /dev/zero > /www/large; \
                  httpd -f -p 8080 -h /www";
    running(&world, ns, script).await?;
    // kubectl ends a session in which a connection is refused.
    eventually("the server listens", || async {
        let ask = ["exec", "p", "-n", ns, "--", "wget", "-qO-", "http://127.0.0.1:8080/index.html"];
        world.lab.kubectl(&ask).await.map(drop)
    })
    .await?;
    for websocket in ["true", "false"] {
        let mut session = forwarded(&world, ns, 8080, websocket).await?;
        let port = session.port;
        let page = fetch(port, "index.html").await?;
        ensure!(page == b"served\n", "WebSocket {websocket}: {page:?}");
        let pages = futures::future::try_join_all((0..20).map(|_| fetch(port, "large"))).await?;
        ensure!(pages.iter().all(|page| page.len() == 1_000_000), "WebSocket {websocket}: pages came short");
        session.kubectl.kill().await?;

        let mut closed = forwarded(&world, ns, 9, websocket).await?;
        ensure!(fetch(closed.port, "").await.is_err(), "WebSocket {websocket}: nobody listens on port 9");
        closed.kubectl.kill().await?;
    }
    world.clean(ns).await
}

/// Output of a running container; CCI has no way to its input, which is said.
pub(crate) async fn attach_shows_output(world: Arc<World>) -> Result<()> {
    let ns = "attach";
    running(&world, ns, "i=0; while true; do i=$((i+1)); echo tick $i; sleep 1; done").await?;
    for websocket in ["true", "false"] {
        let mut command = world.lab.kubectl_command(&["attach", "p", "-n", ns]);
        command
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websocket)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut attached = command.spawn()?;
        let mut lines = BufReader::new(attached.stdout.take().context("kubectl's standard output")?).lines();
        for _ in 0..2 {
            let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await??;
            ensure!(line.as_ref().is_some_and(|line| line.starts_with("tick ")), "{line:?}");
        }
        attached.kill().await?;
    }
    let output = world.lab.kubectl_output(&["attach", "-i", "p", "-n", ns]).await?;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && err.contains("cannot attach standard input"), "{err}");
    world.clean(ns).await
}
