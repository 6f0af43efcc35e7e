//! Writes down what a genuine kube-scheduler sends to an extender, in both cache modes, as golden files for the tests
//! of burst-scheduler: `cargo build --workspace && target/debug/capture-extender`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result, ensure};
use lab::{Entry, Lab, LabOptions, SchedulerChoice, Workload, enter, eventually};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match enter(&[]).await {
        Ok(Entry::Done(code)) => return code,
        Ok(Entry::Inside(_)) => run().await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let lab = Lab::start(LabOptions {
        name: "capture".to_owned(),
        scheduler: SchedulerChoice::None,
        ..LabOptions::default()
    })
    .await?;
    lab.add_real_nodes(2, "4", "16Gi", 110).await?;
    for (mode, cache_capable) in [("names", true), ("nodes", false)] {
        capture(&lab, mode, cache_capable).await?;
    }
    Ok(())
}

async fn capture(lab: &Lab, mode: &'static str, cache_capable: bool) -> Result<()> {
    let target = lab::repository_root()?.join("scheduler/tests/golden");
    std::fs::create_dir_all(&target)?;
    for verb in ["filter", "prioritize", "preempt"] {
        std::fs::remove_file(target.join(format!("{verb}-{mode}.json"))).ok();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = tokio::spawn(serve(listener, Arc::new((target.clone(), mode))));
    let config = lab.dir().join(format!("scheduler-{mode}.yaml"));
    std::fs::write(&config, scheduler_config(&address, cache_capable))?;
    let mut scheduler =
        lab.spawn_scheduler(&format!("kube-scheduler-{mode}"), &SchedulerChoice::Configured(config))?;
    let pod = format!("captured-{mode}");
    lab.apply(&Workload::pod("default", &pod).label("burst-to-cci", "auto").text()).await?;
    let bound = eventually("the pod is bound", || async {
        let node = lab.kubectl(&["get", "pod", &pod, "-o", "jsonpath={.spec.nodeName}"]).await?;
        ensure!(!node.is_empty(), "not yet");
        Ok(node)
    })
    .await;
    scheduler.check_running()?;
    bound.with_context(|| scheduler.log_tail(20))?;
    preempt(lab, mode).await?;
    scheduler.kill().await?;
    server.abort();
    println!("captured mode {mode} into {}", target.display());
    Ok(())
}

/// Fills a node with a pod of low priority and asks for its room with one of high priority.
async fn preempt(lab: &Lab, mode: &str) -> Result<()> {
    let class = |name: &str, value: i64| json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value});
    lab.apply(&class("low", 1).to_string()).await?;
    lab.apply(&class("high", 1000).to_string()).await?;
    for (name, priority) in [("victim-0", "low"), ("victim-1", "low"), ("preemptor", "high")] {
        let pod = Workload::pod("default", &format!("{name}-{mode}")).spec(|spec| {
            spec["priorityClassName"] = json!(priority);
            spec["containers"][0]["resources"]["requests"]["cpu"] = json!("2500m");
        });
        lab.apply(&pod.text()).await?;
        if priority == "low" {
            let name = format!("{name}-{mode}");
            eventually("the victim is bound", || async {
                let node = lab.kubectl(&["get", "pod", &name, "-o", "jsonpath={.spec.nodeName}"]).await?;
                ensure!(!node.is_empty(), "not yet");
                Ok(())
            })
            .await?;
        }
    }
    let file = lab::repository_root()?.join(format!("scheduler/tests/golden/preempt-{mode}.json"));
    eventually("the preempt call was captured", || async {
        ensure!(file.is_file(), "not yet");
        Ok(())
    })
    .await?;
    lab.kubectl(&["delete", "pods", "--all", "--force", "--grace-period=0"]).await.map(drop)
}

fn scheduler_config(address: &str, cache_capable: bool) -> String {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": "/etc/kubernetes/scheduler.conf"},
        "leaderElection": {"leaderElect": false},
        "extenders": [{
            "urlPrefix": format!("http://{address}/v1"), "filterVerb": "filter", "prioritizeVerb": "prioritize",
            "preemptVerb": "preempt", "weight": 1, "nodeCacheCapable": cache_capable,
        }],
    })
    .to_string()
}

async fn serve(listener: TcpListener, into: Arc<(PathBuf, &'static str)>) {
    while let Ok((stream, _)) = listener.accept().await {
        let into = Arc::clone(&into);
        tokio::spawn(async move {
            if let Err(error) = connection(stream, &into.0, into.1).await {
                eprintln!("capture: {error:#}");
            }
        });
    }
}

/// Answers "everything passes, nothing scores" and keeps the first body of each verb.
async fn connection(mut stream: TcpStream, dir: &std::path::Path, mode: &str) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let Some(head_end) = head_end(&mut stream, &mut buffer).await? else { return Ok(()) };
        let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
        let verb = head
            .split_whitespace()
            .nth(1)
            .and_then(|path| path.rsplit('/').next())
            .unwrap_or("unknown")
            .to_owned();
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().to_owned())
            })
            .context("no Content-Length")?
            .parse()?;
        while buffer.len() < head_end + length {
            ensure!(stream.read_buf(&mut buffer).await? > 0, "truncated");
        }
        let body: Vec<u8> = buffer.drain(..head_end + length).skip(head_end).collect();
        let file = dir.join(format!("{verb}-{mode}.json"));
        if !file.is_file() {
            std::fs::write(&file, &body)?;
        }
        let reply = answer(&verb, &body)?;
        stream
            .write_all(
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    reply.len()
                )
                .as_bytes(),
            )
            .await?;
        stream.write_all(reply.as_bytes()).await?;
    }
}

async fn head_end(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<usize>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            return Ok(Some(end + 4));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn answer(verb: &str, body: &[u8]) -> Result<String> {
    let args: serde_json::Value = serde_json::from_slice(body)?;
    Ok(match verb {
        "filter" => json!({"NodeNames": args["NodeNames"], "Nodes": args["Nodes"]}).to_string(),
        "preempt" => {
            let victims =
                args["NodeNameToVictims"].as_object().into_iter().flatten().map(|(node, victims)| {
                    let pods: Vec<_> = victims["Pods"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|p| json!({"UID": p["metadata"]["uid"]}))
                        .collect();
                    (node.clone(), json!({"Pods": pods, "NumPDBViolations": 0}))
                });
            let full: serde_json::Map<_, _> = victims.collect();
            let meta = if full.is_empty() { args["NodeNameToMetaVictims"].clone() } else { full.into() };
            json!({"NodeNameToMetaVictims": meta}).to_string()
        }
        _ => "[]".to_owned(),
    })
}
