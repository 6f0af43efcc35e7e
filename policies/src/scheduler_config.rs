//! A typed reading of KubeSchedulerConfiguration v1, as far as placement goes.
//!
//! Unknown fields are refused, as kube-scheduler's strict decoding does, and so is what its validation or its framework
//! refuses: a proof about a file that no scheduler starts with would be worth nothing. Defaults, their weights and the
//! way `score` and `multiPoint` combine are those of kube-scheduler 1.36 (`default_plugins.go`,
//! `expandMultiPointPlugins`, `getValidScoreWeights`, `validation.go`).

mod duration;
mod extender;
mod plugins;
mod validate;
mod weights;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use duration::GoDuration;
pub use extender::{Extender, ManagedResource, TlsConfig};
pub use plugins::{Plugin, PluginSet, Plugins};
pub use validate::ConfigError;
pub use weights::ScoreWeights;

/// The `apiVersion` that is read.
pub const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
/// The `kind` that is read.
pub const KIND: &str = "KubeSchedulerConfiguration";
/// The profile of a pod that names no scheduler.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";
/// A search for feasible nodes never ends with fewer (`minFeasibleNodesToFind`), unless there are no more.
pub const LEAST_SAMPLE: u64 = 100;

/// A KubeSchedulerConfiguration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchedulerConfig {
    /// [`API_VERSION`].
    #[serde(default)]
    pub api_version: String,
    /// [`KIND`].
    #[serde(default)]
    pub kind: String,
    /// Share of nodes that is looked at, in percent; 0 means "by cluster size".
    #[serde(default)]
    pub percentage_of_nodes_to_score: Option<i32>,
    /// Scheduler profiles. None means one profile with everything at its default.
    #[serde(default, deserialize_with = "nullable")]
    pub profiles: Vec<Profile>,
    /// Extenders, shared by all profiles.
    #[serde(default, deserialize_with = "nullable")]
    pub extenders: Vec<Extender>,
    /// Not looked at.
    #[serde(default)]
    pub parallelism: Value,
    /// Not looked at.
    #[serde(default)]
    pub leader_election: Value,
    /// Not looked at.
    #[serde(default)]
    pub client_connection: Value,
    /// Not looked at.
    #[serde(default)]
    pub enable_profiling: Value,
    /// Not looked at.
    #[serde(default)]
    pub enable_contention_profiling: Value,
    /// Not looked at.
    #[serde(default)]
    pub pod_initial_backoff_seconds: Value,
    /// Not looked at.
    #[serde(default)]
    pub pod_max_backoff_seconds: Value,
    /// Not looked at.
    #[serde(default)]
    pub delay_cache_until_active: Value,
}

/// One scheduler profile.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The name that pods give in `spec.schedulerName`.
    #[serde(default)]
    pub scheduler_name: Option<String>,
    /// Overrides the global value.
    #[serde(default)]
    pub percentage_of_nodes_to_score: Option<i32>,
    /// Plugins by extension point.
    #[serde(default, deserialize_with = "nullable")]
    pub plugins: Plugins,
    /// Arguments of plugins; they change scores only within 0 to 100, so the sums need not look at them.
    #[serde(default, deserialize_with = "nullable")]
    pub plugin_config: Vec<PluginConfig>,
}

/// Arguments of one plugin.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    /// Plugin name.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Value,
}

/// YAML's empty value reads as the default, as Go's decoder has it.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Profile {
    /// The name, `default-scheduler` when none is given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER)
    }

    /// The arguments given to a plugin.
    #[must_use]
    pub fn args(&self, plugin: &str) -> Option<&Value> {
        self.plugin_config.iter().find(|c| c.name == plugin).map(|c| &c.args)
    }
}

impl SchedulerConfig {
    /// The profiles in force: the given ones, or the one default profile.
    #[must_use]
    pub fn effective_profiles(&self) -> Vec<Profile> {
        if self.profiles.is_empty() { vec![Profile::default()] } else { self.profiles.clone() }
    }

    /// The percentage in force for a profile; 0 means "by cluster size".
    #[must_use]
    pub fn percentage(&self, profile: &Profile) -> u64 {
        let given = profile.percentage_of_nodes_to_score.or(self.percentage_of_nodes_to_score).unwrap_or(0);
        u64::try_from(given).unwrap_or(0)
    }

    /// How many feasible nodes end the search in a cluster of `nodes` nodes (`numFeasibleNodesToFind`).
    #[must_use]
    pub fn nodes_to_find(&self, profile: &Profile, nodes: u64) -> u64 {
        let by_size = || 50u64.saturating_sub(nodes / 125).max(5);
        let percent = Some(self.percentage(profile)).filter(|p| *p > 0).unwrap_or_else(by_size);
        if nodes < LEAST_SAMPLE { nodes } else { (nodes.saturating_mul(percent) / 100).max(LEAST_SAMPLE) }
    }

    /// Whether the profile may place a pod by the scores of the pod before it (`OpportunisticBatching`, on since 1.35).
    ///
    /// Extenders switch that off, and so do default topology constraints, which every profile has unless it lists none.
    #[must_use]
    pub fn reuses_scores(&self, profile: &Profile) -> bool {
        const SPREAD: &str = "PodTopologySpread";
        let listed = profile.args(SPREAD).filter(|args| args["defaultingType"] == "List");
        let no_default =
            listed.is_some_and(|args| args["defaultConstraints"].as_array().is_none_or(Vec::is_empty));
        self.extenders.is_empty() && (no_default || !profile.plugins.runs_anywhere(SPREAD))
    }
}

#[cfg(test)]
mod tests;
