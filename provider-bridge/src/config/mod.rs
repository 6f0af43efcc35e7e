//! The bridge's configuration: what the operator declares, as typed values.
//!
//! The file is the truth about which virtual nodes exist. Unknown keys, wrong units and contradictions are refused with
//! the file, the key path and what to do ([`load`]); nothing is guessed. Secrets are never in the file, only paths.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

mod cci;
mod check;
mod count;
mod cube;
mod eci;
mod flags;
mod kubernetes;
mod load;
#[cfg(test)]
mod tests;

pub use cci::{CciConfig, CciInteropConfig, CciNetworkConfig};
pub use cube::{CubeConfig, CubeSizeConfig};
pub use eci::{EciConfig, Listed, SignatureConfig};
pub use flags::{Flags, from_flags};
pub use kubernetes::KubernetesConfig;
pub use load::{ConfigProblem, load};

/// Everything `burst-bridge --config FILE` reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BridgeConfig {
    /// Path of a kubeconfig; without it the in-cluster configuration is used.
    pub kubeconfig: Option<PathBuf>,
    /// `InternalIP` of every virtual node: the address at which the API server reaches the kubelet ports.
    pub address: IpAddr,
    /// Metrics and health listener.
    #[serde(default)]
    pub http: HttpConfig,
    /// Kubelet ports.
    #[serde(default)]
    pub kubelet: KubeletConfig,
    /// Act as `system:node:<name>` for pods, their status, Secrets and ConfigMaps (the Node authorizer then limits each
    /// virtual node to what its own pods use).
    #[serde(default = "yes")]
    pub impersonate_nodes: bool,
    /// Namespace of burst itself, where the ledgers of grants are.
    #[serde(default = "burst_system")]
    pub namespace: String,
    /// Concurrency and times of pod life.
    #[serde(default)]
    pub pods: PodsConfig,
    /// Orphan collection.
    #[serde(default)]
    pub gc: GcConfig,
    /// The virtual nodes; at least one.
    pub nodes: Vec<NodeConfig>,
}

/// Metrics and health listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port.
    pub bind: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 10262)) }
    }
}

/// Certificates of the kubelet ports.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubeletConfig {
    /// Serving certificate chain, PEM.
    pub cert_file: Option<PathBuf>,
    /// Serving key, PEM.
    pub key_file: Option<PathBuf>,
    /// CA of client certificates, PEM; without it only bearer tokens are accepted.
    pub client_ca_file: Option<PathBuf>,
    /// Make a self-signed serving certificate at start instead of reading files.
    pub self_signed: bool,
}

/// Concurrency and times of pod life.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodsConfig {
    /// Calls to the cloud in flight, per node.
    pub cloud_calls: usize,
    /// Calls to the API server in flight, per node.
    pub api_calls: usize,
    /// How long the instance of a finished pod is kept (seconds); its result is saved before.
    pub finished_ttl_seconds: u64,
    /// Longest back-off between two tries of one call (seconds).
    pub max_backoff_seconds: u64,
    /// How long a cloud's listing may lag behind its writes (seconds): an absence counts only if the list began later.
    pub settle_seconds: u64,
    /// A call to the cloud without an answer for so long counts as "outcome unknown" (seconds).
    pub call_timeout_seconds: u64,
    /// How long an instance that the cloud took may wait for a place before its pod is handed back (seconds), where
    /// somebody makes a new one.
    pub place_patience_seconds: u64,
    /// Give ReplicaSet pods their own deletion cost back and write none: before the bridge is removed.
    pub restore_deletion_cost: bool,
}

impl Default for PodsConfig {
    fn default() -> Self {
        Self {
            cloud_calls: 32,
            api_calls: 16,
            finished_ttl_seconds: 30,
            max_backoff_seconds: 120,
            settle_seconds: 3,
            call_timeout_seconds: 60,
            place_patience_seconds: 20,
            restore_deletion_cost: false,
        }
    }
}

impl NodeConfig {
    /// The cloud's zone, as far as it is declared.
    pub fn cloud_zone(&self) -> &str {
        let of_cci = || self.cci.as_ref().and_then(|cci| cci.available_zone.as_deref());
        let of_mock = || self.mock.as_ref().and_then(|mock| mock.available_zone.as_deref());
        let of_eci = || self.eci.as_ref().and_then(|eci| eci.available_zone.as_deref());
        let of_cube = || self.cube.as_ref().and_then(|cube| cube.available_zone.as_deref());
        let all = self.zone.as_deref().or_else(of_cci).or_else(of_eci).or_else(of_cube).or_else(of_mock);
        all.unwrap_or_default()
    }

    /// The cloud's region, as far as it is declared.
    pub fn cloud_region(&self) -> Option<&str> {
        let of_cci = || self.cci.as_ref().map(|cci| cci.region.as_str());
        let of_eci = || self.eci.as_ref().and_then(|eci| eci.region.as_deref());
        let of_cube = || self.cube.as_ref().and_then(|cube| cube.region.as_deref());
        self.region.as_deref().or_else(of_cci).or_else(of_eci).or_else(of_cube)
    }

    /// Whether its instances are tagged with another identity than the cluster's own, or not at all.
    pub fn names_its_cluster(&self) -> bool {
        let cci = self.cci.as_ref().is_none_or(|cci| cci.cluster_id.is_some());
        let other = self.kubernetes.as_ref().is_none_or(|other| other.cluster_id.is_some());
        let cube = self.cube.as_ref().is_none_or(|cube| cube.cluster_id.is_some());
        cci && other && cube && self.eci.as_ref().is_none_or(|eci| eci.cluster_id.is_some())
    }
}

impl PodsConfig {
    /// [`Self::finished_ttl_seconds`] as a duration.
    pub const fn finished_ttl(&self) -> Duration {
        Duration::from_secs(self.finished_ttl_seconds)
    }
}

/// Orphan collection.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GcConfig {
    /// Time between two sweeps (seconds).
    pub interval_seconds: u64,
    /// An instance younger than this is never an orphan (seconds).
    pub min_age_seconds: u64,
    /// A sweep that would delete more than this share of the instances stops and complains (percent).
    pub max_percent: u8,
    /// Up to this many deletions a sweep never stops for [`Self::max_percent`].
    pub always_allowed: usize,
}

impl Default for GcConfig {
    fn default() -> Self {
        Self { interval_seconds: 30, min_age_seconds: 60, max_percent: 30, always_allowed: 5 }
    }
}

/// One virtual node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// Node name.
    pub name: String,
    /// So many nodes, called `{name}-0`, `{name}-1`, …, whose ports count up; one called `name` if absent.
    pub count: Option<u16>,
    /// Which entry of `nodes` it is from, for messages.
    #[serde(skip)]
    pub entry: usize,
    /// Registered name of the provider (`cci`, `eci`, `kubernetes`, `mock`).
    pub provider: String,
    /// Kubelet port of this node; requests do not name the node, so each has its own.
    pub port: u16,
    /// What the node offers.
    pub capacity: CapacityConfig,
    /// More labels; they win over the built-in ones except the identity label.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// More taints.
    #[serde(default)]
    pub taints: Vec<TaintConfig>,
    /// Region label; the provider's region if absent.
    pub region: Option<String>,
    /// Zone label; absent means no zone label (an empty zone of its own stalls hard spread constraints of others).
    pub zone: Option<String>,
    /// Publish `kubernetes.io/hostname` (off: same reason as `zone`).
    #[serde(default)]
    pub hostname_label: bool,
    /// `kubernetes.io/os`.
    #[serde(default = "linux")]
    pub os: String,
    /// `kubernetes.io/arch`.
    #[serde(default = "amd64")]
    pub arch: String,
    /// No new instances, also for pods bound by `nodeName`; running ones stay.
    #[serde(default)]
    pub cordon: bool,
    /// Settings of provider `cci`.
    pub cci: Option<CciConfig>,
    /// Settings of provider `eci`; the environment may say all of them.
    pub eci: Option<EciConfig>,
    /// Settings of provider `kubernetes`.
    pub kubernetes: Option<KubernetesConfig>,
    /// Settings of provider `cube`; the environment may say the keys, the region and the project.
    pub cube: Option<CubeConfig>,
    /// Settings of provider `mock`; all of them have defaults.
    pub mock: Option<MockConfig>,
}

/// Node capacity, as Kubernetes quantities.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CapacityConfig {
    /// Cores (`200`, `500m`).
    pub cpu: String,
    /// Memory (`512Gi`).
    pub memory: String,
    /// Pods; without it the provider's own number, where its vendor has one.
    #[serde(default)]
    pub pods: u32,
    /// Ephemeral storage (`20Ti`).
    pub ephemeral_storage: Option<String>,
    /// Devices by resource name (`nvidia.com/gpu: 8`), where the provider has any.
    #[serde(default)]
    pub others: BTreeMap<String, String>,
}

/// One extra taint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaintConfig {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: policies::node::TaintEffect,
}

/// A provider without a cloud.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MockConfig {
    /// From creation to Running (`500ms`, `2s`); at once if absent.
    pub start_delay: Option<String>,
    /// From the request to stop to the end; at once if absent.
    pub stop_delay: Option<String>,
    /// Zone that it says it is in.
    pub available_zone: Option<String>,
}

impl MockConfig {
    /// [`Self::start_delay`] and [`Self::stop_delay`].
    ///
    /// # Errors
    /// The key that is no time, and why.
    pub fn delays(&self) -> Result<[Duration; 2], (&'static str, String)> {
        let [start, stop] =
            [("startDelay", &self.start_delay), ("stopDelay", &self.stop_delay)].map(|(key, text)| {
                let Some(text) = text else { return Ok(Duration::ZERO) };
                let read =
                    text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
                read.ok_or_else(|| (key, format!("{text:?} is not a time; write for example 500ms or 2s")))
            });
        Ok([start?, stop?])
    }
}

fn burst_system() -> String {
    "burst-system".to_owned()
}

const fn yes() -> bool {
    true
}

fn linux() -> String {
    "linux".to_owned()
}

fn amd64() -> String {
    "amd64".to_owned()
}
