//! burst-scheduler against the Go extender: requests per second and latencies, interleaved round by round.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, LabOptions, Process, built_binary, eventually};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    body::{Names, extender_args},
    client::Call,
    large::{VIRTUAL, make_nodes},
    process,
    report::{Report, median, quantile},
};

const OURS: &str = "127.0.0.1:10261";
const GO: &str = "127.0.0.1:10271";
const SIZES: [usize; 4] = [100, 1000, 5000, 15_000];
const CONNECTIONS: usize = 8;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1000);
/// Nodes that exist in the cluster, so that burst-scheduler answers from a snapshot of real size.
const NODES: usize = 5000;

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let lab =
        Lab::start(LabOptions { name: "bench-extender".to_owned(), api_only: true, ..LabOptions::default() })
            .await?;
    println!("Filling the cluster with {NODES} nodes.");
    make_nodes(&lab, NODES).await?;
    let mut ours = start_scheduler(&lab).await?;
    let mut go_command = Command::new(lab.tools().go_extender());
    go_command.args(["--listen", GO, "--virtual-node", VIRTUAL]);
    let mut go = lab.spawn("go-extender", go_command)?;
    wait_ready(&lab, &mut ours, &mut go).await?;
    compare(report).await?;
    keep_alive(report).await?;
    let pid = ours.pid().context("burst-scheduler ended")?;
    report.set("extender_rss_mib", process::memory_mib(pid)?.0);
    Ok(())
}

async fn compare(report: &mut Report) -> Result<()> {
    println!("\nExtender, {CONNECTIONS} connections, medians of {ROUNDS} interleaved rounds:");
    println!(
        "{:<12}{:<7}{:>7} {:>11} {:>11} {:>7} {:>11} {:>11}",
        "verb", "names", "nodes", "burst/s", "go/s", "ratio", "burst p99", "go p99"
    );
    for verb in ["filter", "prioritize"] {
        for names in [Names::Short, Names::Long] {
            for size in SIZES {
                one(report, verb, names, size).await?;
            }
        }
    }
    Ok(())
}

async fn one(report: &mut Report, verb: &str, names: Names, size: usize) -> Result<()> {
    let body = extender_args(names, size, VIRTUAL);
    let calls = [Call::post(OURS, &format!("/v1/{verb}"), &body), Call::post(GO, &format!("/{verb}"), &body)];
    same_meaning(verb, &calls).await?;
    let mut rates = [Vec::new(), Vec::new()];
    let mut latencies = [Vec::new(), Vec::new()];
    let before = server_histogram(verb).await?;
    for _ in 0..ROUNDS {
        for (index, call) in calls.iter().enumerate() {
            let round = call.repeat(CONNECTIONS, ROUND).await?;
            rates[index].push(round.per_second);
            latencies[index].extend(round.latencies_us);
        }
    }
    let server_p99 = before.p99_until(&server_histogram(verb).await?);
    let [ours, go] = rates.each_mut().map(|rates| median(rates));
    let [ours_p99, go_p99] = latencies.each_mut().map(|l| quantile(l, 0.99));
    println!(
        "{verb:<12}{:<7}{size:>7} {ours:>11.0} {go:>11.0} {:>7.1} {:>9.0}us {:>9.0}us   server-side p99 <= {server_p99:.0}us",
        names.label(),
        ours / go,
        ours_p99,
        go_p99
    );
    let prefix = format!("extender_{verb}_{}_{size}", names.label());
    report.set(format!("{prefix}_burst_requests_per_second"), ours);
    report.set(format!("{prefix}_go_requests_per_second"), go);
    report.set(format!("{prefix}_ratio"), ours / go);
    for (name, samples) in [("burst", &mut latencies[0])] {
        for (label, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            report.set(format!("{prefix}_{name}_client_{label}_us"), quantile(samples, q));
        }
    }
    report.set(format!("{prefix}_go_client_p99_us"), go_p99);
    report.set(format!("{prefix}_burst_server_p99_us"), server_p99);
    Ok(())
}

/// Both must say the same of the nodes, or the comparison means nothing.
async fn same_meaning(verb: &str, calls: &[Call; 2]) -> Result<()> {
    let ours: Value = serde_json::from_slice(&calls[0].once().await?)?;
    let go: Value = serde_json::from_slice(&calls[1].once().await?)?;
    if verb == "filter" {
        ensure!(ours["NodeNames"] == go["NodeNames"], "filter: the servers pass different nodes");
    } else {
        let hosts = |answer: &Value| {
            answer.as_array().into_iter().flatten().map(|entry| entry["Host"].clone()).collect::<Vec<_>>()
        };
        ensure!(hosts(&ours) == hosts(&go) && hosts(&ours).len() == 1, "prioritize: {ours} against {go}");
    }
    Ok(())
}

async fn keep_alive(report: &mut Report) -> Result<()> {
    let call = Call::post(OURS, "/v1/prioritize", &extender_args(Names::Long, 1000, VIRTUAL));
    let round = call.sequence(10_000).await?;
    println!("\n10000 calls one after the other used {} connection(s)", round.connections);
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    report.set("extender_connections_for_10000_calls", round.connections as f64);
    Ok(())
}

/// burst's own histogram of time from request complete to answer ready.
struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// Upper bound in microseconds of the bucket that holds the 99th percentile of what came since `self`.
    fn p99_until(&self, later: &Self) -> f64 {
        let counts: Vec<(f64, f64)> = later
            .0
            .iter()
            .map(|(le, count)| (*le, count - self.0.iter().find(|(l, _)| l == le).map_or(0.0, |(_, c)| *c)))
            .collect();
        let total = counts.last().map_or(0.0, |(_, count)| *count);
        counts.iter().find(|(_, count)| *count >= total * 0.99).map_or(f64::NAN, |(le, _)| le * 1e6)
    }
}

async fn server_histogram(verb: &str) -> Result<Histogram> {
    let output = Command::new("curl").args(["-sS", &format!("http://{OURS}/metrics")]).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = format!("verb=\"{verb}\"");
    let buckets = text
        .lines()
        .filter(|line| {
            line.starts_with("burst_extender_request_duration_seconds_bucket") && line.contains(&wanted)
        })
        .filter_map(|line| {
            let le = line.split("le=\"").nth(1)?.split('"').next()?;
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse().ok()? };
            Some((le, line.rsplit(' ').next()?.parse().ok()?))
        })
        .collect();
    Ok(Histogram(buckets))
}

async fn start_scheduler(lab: &Lab) -> Result<Process> {
    let config = lab.dir().join("burst-scheduler.yaml");
    let serving = lab.authority().issue("burst-scheduler", &[], &["127.0.0.1"])?;
    let settings = json!({
        "kubeconfig": lab.kubeconfig(), "marker": true, "http": {"bind": OURS},
        "https": {"bind": "127.0.0.1:10260", "certFile": serving.cert, "keyFile": serving.key},
    });
    std::fs::write(&config, settings.to_string())?;
    let mut command = Command::new(built_binary("burst-scheduler")?);
    command.arg("--config").arg(&config);
    lab.spawn("burst-scheduler", command)
}

async fn wait_ready(lab: &Lab, ours: &mut Process, go: &mut Process) -> Result<()> {
    let ready = eventually("both servers answer", || async {
        let output = Command::new("curl").args(["-sf", &format!("http://{OURS}/readyz")]).output().await?;
        ensure!(output.status.success(), "burst-scheduler: {}", String::from_utf8_lossy(&output.stdout));
        Call::post(GO, "/prioritize", b"{}").once().await.map(drop)
    })
    .await;
    ours.check_running()?;
    go.check_running()?;
    ready.with_context(|| format!("logs: {}", lab.logs().display()))
}
