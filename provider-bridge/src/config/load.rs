//! Reads the file and the environment into a [`BridgeConfig`], or says what is wrong and where.
//!
//! Only scalars named in [`OVERRIDES`] can come from the environment: Kubernetes itself injects `BURST_…` variables for
//! a Service named `burst-…`, so an unknown variable is not an error and must have no effect. What a vendor's own chart
//! calls its settings fills in what the file does not say ([`super::EciConfig`], [`super::CubeConfig`]).

use std::path::Path;

use ::config::{Config, ConfigError, File, FileFormat};

use super::{BridgeConfig, check, count};

/// Environment variable → key path.
const OVERRIDES: [(&str, &str); 17] = [
    ("BURST_KUBECONFIG", "kubeconfig"),
    ("BURST_ADDRESS", "address"),
    ("BURST_HTTP_BIND", "http.bind"),
    ("BURST_KUBELET_CERT_FILE", "kubelet.certFile"),
    ("BURST_KUBELET_KEY_FILE", "kubelet.keyFile"),
    ("BURST_KUBELET_CLIENT_CA_FILE", "kubelet.clientCaFile"),
    ("BURST_KUBELET_SELF_SIGNED", "kubelet.selfSigned"),
    ("BURST_IMPERSONATE_NODES", "impersonateNodes"),
    ("BURST_PODS_CLOUD_CALLS", "pods.cloudCalls"),
    ("BURST_PODS_API_CALLS", "pods.apiCalls"),
    ("BURST_PODS_FINISHED_TTL_SECONDS", "pods.finishedTtlSeconds"),
    ("BURST_PODS_MAX_BACKOFF_SECONDS", "pods.maxBackoffSeconds"),
    ("BURST_PODS_SETTLE_SECONDS", "pods.settleSeconds"),
    ("BURST_PODS_CALL_TIMEOUT_SECONDS", "pods.callTimeoutSeconds"),
    ("BURST_GC_INTERVAL_SECONDS", "gc.intervalSeconds"),
    ("BURST_GC_MIN_AGE_SECONDS", "gc.minAgeSeconds"),
    ("BURST_GC_MAX_PERCENT", "gc.maxPercent"),
];

/// Why a configuration is refused; every text names the file and says what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigProblem {
    /// The file is not there or cannot be read.
    #[error("configuration file {file}: {reason}; give an existing file with {flag}")]
    Unreadable {
        /// What names it on the command line.
        flag: &'static str,
        /// Path as given.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// The file is not YAML, has a key that does not exist, lacks one, or a value has the wrong type.
    #[error("configuration file {file}: {reason}; correct the key and start again")]
    Malformed {
        /// Path as given.
        file: String,
        /// Which key and why.
        reason: String,
    },
    /// Well-formed but impossible.
    #[error("configuration file {file}: {key}: {reason}")]
    Refused {
        /// Path as given.
        file: String,
        /// Key path (`nodes[1].port`).
        key: String,
        /// Why, and what to write instead.
        reason: String,
    },
}

/// Reads and checks `file`, with overrides looked up by `env` (the process environment in production).
pub fn load(file: &Path, env: impl Fn(&str) -> Option<String>) -> Result<BridgeConfig, ConfigProblem> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| ConfigProblem::Unreadable {
        flag: "--config",
        file: name.clone(),
        reason: e.to_string(),
    })?;
    finish(&name, &text, env)
}

/// The configuration that `text` and the environment mean together; messages call it `name`.
pub(super) fn finish(
    name: &str,
    text: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<BridgeConfig, ConfigProblem> {
    let name = name.to_owned();
    let mut config = parse(text, &env)
        .map_err(|e| ConfigProblem::Malformed { file: name.clone(), reason: one_line(&e.to_string()) })?;
    let refused = |entry: usize, key: String, reason: String| ConfigProblem::Refused {
        file: name.clone(),
        key: format!("nodes[{entry}].{key}"),
        reason,
    };
    config.nodes = count::expand(std::mem::take(&mut config.nodes))
        .map_err(|(entry, key, reason)| refused(entry, key.to_owned(), reason))?;
    for node in config.nodes.iter_mut().filter(|node| node.provider == "eci") {
        let eci = node.eci.get_or_insert_default();
        eci.fill(&env).map_err(|(key, reason)| refused(node.entry, format!("eci.{key}"), reason))?;
    }
    for node in config.nodes.iter_mut().filter(|node| node.provider == "cube") {
        node.cube.get_or_insert_default().fill(&env);
        if node.capacity.pods == 0 {
            node.capacity.pods = super::cube::PODS;
        }
    }
    check::check(&config).map_err(|(key, reason)| ConfigProblem::Refused { file: name, key, reason })?;
    Ok(config)
}

fn parse(text: &str, env: &impl Fn(&str) -> Option<String>) -> Result<BridgeConfig, ConfigError> {
    let mut builder = Config::builder().add_source(File::from_str(text, FileFormat::Yaml));
    for (variable, key) in OVERRIDES {
        builder = builder.set_override_option(key, env(variable))?;
    }
    builder.build()?.try_deserialize()
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
