//! `burst-bridge --config FILE`: reads the configuration, starts the bridge, ends it on SIGTERM or Ctrl-C.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Serves virtual nodes whose pods run on serverless clouds.
#[derive(Debug, Parser)]
#[command(name = "burst-bridge", version)]
struct Arguments {
    /// Configuration file (YAML).
    #[arg(long, env = "BURST_CONFIG")]
    config: PathBuf,
    /// What to log: a level or tracing directives.
    #[arg(long, env = "BURST_LOG", default_value = "info")]
    log: String,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("another TLS provider is installed already"))?;
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log).context("--log")?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let config = provider_bridge::config::load(&arguments.config, |key| std::env::var(key).ok())?;
    if arguments.check {
        return Ok(());
    }
    provider_bridge::metrics::install().context("metrics")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let stop = async move {
            tokio::select! { _ = terminate.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
        };
        provider_bridge::bridge::run(config, stop).await.map_err(Into::into)
    })
}
