//! The `burst-scheduler` binary: reads its arguments, sets up logs and counters, and runs until told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use scheduler::config::Config;
use scheduler::metrics::Metrics;
use scheduler::run;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Scheduler extender and admission webhook of burst: chooses real nodes or serverless per pod under a policy.
#[derive(Debug, Parser)]
#[command(name = "burst-scheduler", version)]
struct Arguments {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Reads the configuration and the certificate files, says whether they can be used, and exits.
    #[arg(long)]
    check_config: bool,
    /// What is logged, for example `info` or `scheduler=debug,info`.
    #[arg(long, env = "BURST_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "burst-scheduler: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<()> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS crypto provider is installed already");
    }
    let config = Config::load(&arguments.config, |key| std::env::var(key).ok())?;
    if arguments.check_config {
        run::certificate(&config)?;
        run::prices(&config)?;
        writeln!(std::io::stdout(), "{}: ok", arguments.config.display())?;
        return Ok(());
    }
    let filter = EnvFilter::try_new(&arguments.log).with_context(|| format!("--log {}", arguments.log))?;
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let metrics = Arc::new(Metrics::new());
    metrics::set_global_recorder(metrics.recorder()).context("metrics recorder")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(config, metrics))
}

async fn serve(config: Config, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let signals = tokio::spawn(signals(stop.clone()));
    let ended = run::run(config, metrics, stop).await;
    signals.abort();
    Ok(ended?)
}

/// Cancels on SIGTERM and SIGINT.
async fn signals(stop: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    Ok(())
}
