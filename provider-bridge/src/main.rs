//! `burst-bridge --config FILE`: reads the configuration, starts the bridge, ends it on SIGTERM or Ctrl-C. With `--provider`
//! and `--nodename` in its place one virtual node is served, as virtual-kubelet is started.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Parser};
use provider_bridge::config::{BridgeConfig, Flags, KubeletConfig};
use tokio::signal::unix::{SignalKind, signal};

/// Serves virtual nodes whose pods run on serverless clouds.
#[derive(Debug, Parser)]
#[command(name = "burst-bridge", version)]
struct Arguments {
    /// Configuration file (YAML).
    #[arg(long, env = "BURST_CONFIG", required_unless_present = "provider", conflicts_with = "provider")]
    config: Option<PathBuf>,
    /// What to log: a level or tracing directives.
    #[arg(long, env = "BURST_LOG", default_value = "info")]
    log: String,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
    /// Delete every instance of the virtual nodes and what was made ready in the clouds' accounts, and exit. Stop the bridge
    /// first.
    #[arg(long)]
    uninstall: bool,
    #[command(flatten)]
    one: OneNode,
}

/// In place of a configuration file: one virtual node, with the flags and variables of virtual-kubelet.
#[derive(Debug, Args)]
#[command(next_help_heading = "One virtual node without a configuration file")]
struct OneNode {
    /// Its provider.
    #[arg(long)]
    provider: Option<String>,
    /// Its name.
    #[arg(long, default_value = "virtual-kubelet")]
    nodename: String,
    /// For the mock the JSON file of virtual-kubelet's mock, for the others an entry of `nodes` of a configuration file.
    #[arg(long)]
    provider_config: Option<PathBuf>,
    /// The cluster; that of the pod if absent.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where the API server reaches this process; the address of its default route if absent.
    #[arg(long, env = "VKUBELET_POD_IP")]
    address: Option<IpAddr>,
    /// Port for the API server.
    #[arg(long, env = "KUBELET_PORT", default_value_t = 10250)]
    kubelet_port: u16,
    /// Serving certificate of that port, PEM; a self-signed one if absent.
    #[arg(long, env = "APISERVER_CERT_LOCATION")]
    kubelet_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, env = "APISERVER_KEY_LOCATION")]
    kubelet_key: Option<PathBuf>,
    /// CA of the client certificates that the API server shows there, PEM; without it only tokens are accepted.
    #[arg(long, env = "APISERVER_CA_CERT_LOCATION")]
    client_verify_ca: Option<PathBuf>,
}

/// How long an uninstallation waits for the deletions of one virtual node.
const UNINSTALL_PATIENCE: Duration = Duration::from_secs(600);

impl Arguments {
    fn configuration(&self) -> anyhow::Result<BridgeConfig> {
        let env = |key: &str| std::env::var(key).ok();
        let one = &self.one;
        let (provider, file) = match (&one.provider, &self.config) {
            (None, Some(file)) => return Ok(provider_bridge::config::load(file, env)?),
            (Some(provider), _) => (provider.clone(), one.provider_config.clone()),
            (None, None) => return Err(anyhow!("give --config, or --provider and --nodename")),
        };
        let flags = Flags {
            provider,
            node_name: one.nodename.clone(),
            provider_config: file,
            kubeconfig: one.kubeconfig.clone(),
            address: one.address.map_or_else(own_address, Ok)?,
            port: one.kubelet_port,
            kubelet: KubeletConfig {
                cert_file: one.kubelet_cert.clone(),
                key_file: one.kubelet_key.clone(),
                client_ca_file: one.client_verify_ca.clone(),
                self_signed: false,
            },
        };
        Ok(provider_bridge::config::from_flags(&flags, env)?)
    }
}

/// The address that this machine has towards others. Nothing is sent: the address is one of those for documentation.
fn own_address() -> anyhow::Result<IpAddr> {
    let found = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    });
    Ok(found
        .context("this machine has no default route; say with --address where the API server reaches it")?
        .ip())
}

fn main() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("another TLS provider is installed already"))?;
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log).context("--log")?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let config = arguments.configuration()?;
    if arguments.check {
        return Ok(());
    }
    provider_bridge::metrics::install().context("metrics")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    if arguments.uninstall {
        let uninstalled = provider_bridge::uninstall::run(&config, UNINSTALL_PATIENCE);
        return runtime.block_on(uninstalled).map_err(Into::into);
    }
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let stop = async move {
            tokio::select! { _ = terminate.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
        };
        provider_bridge::bridge::run(config, stop).await.map_err(Into::into)
    })
}
