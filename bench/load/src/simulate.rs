//! `kubectl burst simulate` over a million pods: seconds from files to table, on one core.

use std::{path::Path, process::Stdio, time::Instant};

use anyhow::{Context, Result, ensure};
use lab::{built_binary, repository_root};
use tokio::process::Command;

use crate::report::Report;

const PODS: u64 = 1_000_000;
const NODES: u64 = 5_000;
/// Ceiling, budget, wait and tiers, so that the ledger is asked.
const POLICY: &str = "\
apiVersion: burst.io/v1alpha1
kind: ClusterBurstPolicy
metadata: {name: bench}
spec:
  policy: localPrefer
  max: {cloud: {cpu: \"60000\"}}
  budget: {currency: CNY, perDay: \"200000\"}
  wait: {autoscalerSeconds: 30}
";

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let dir = repository_root()?.join("target/bench/simulate");
    let (pods, nodes) = (PODS.to_string(), NODES.to_string());
    let out = dir.to_str().context("a path that is not UTF-8")?;
    let generator = ["--pods", &pods, "--nodes", &nodes, "--seed", "1", "--out", out];
    finish(&built_binary("trace-generator")?, &generator, &dir).await?;
    tokio::fs::write(dir.join("policy.yaml"), POLICY).await?;
    let kubectl_burst = built_binary("kubectl-burst")?;
    let files = ["simulate", "--trace", "pods.csv", "--nodes", "nodes.csv", "--no-baselines"];
    println!("\nSimulator, {PODS} pods on {NODES} real nodes, one scenario from files to table:");
    let args: Vec<&str> = files.into_iter().chain(["--policy", "policy.yaml"]).collect();
    let begun = Instant::now();
    finish(&kubectl_burst, &args, &dir).await?;
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let events = 2.0 * PODS as f64 / seconds;
    println!(
        "  {seconds:>6.1} s, {events:>9.0} events/s  localPrefer with ceiling, budget and wait   bar 30 s"
    );
    report.set("simulate_million_rows_seconds", seconds);
    report.set("simulate_events_per_second", events);
    Ok(())
}

async fn finish(program: &Path, args: &[&str], dir: &Path) -> Result<()> {
    tokio::fs::create_dir_all(dir).await?;
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("starting {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {said}", program.display(), args.join(" "));
    Ok(())
}
