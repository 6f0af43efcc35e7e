//! A typed reading of KubeSchedulerConfiguration v1, as far as scores go.
//!
//! Unknown fields are refused, as kube-scheduler's strict decoding does. The default score plugins, their weights and
//! the way `score` and `multiPoint` combine are those of kube-scheduler 1.34 to 1.36 (`default_plugins.go`,
//! `expandMultiPointPlugins` and `getScoreWeights`).

mod weights;

use serde::Deserialize;
use serde_json::Value;

pub use weights::ScoreWeights;

/// The `apiVersion` that is read.
pub const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
/// The `kind` that is read.
pub const KIND: &str = "KubeSchedulerConfiguration";

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
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Extenders, shared by all profiles.
    #[serde(default)]
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
    #[serde(default)]
    pub plugins: Option<Plugins>,
    /// Arguments of plugins; they change scores only within 0 to 100, so a proof need not look at them.
    #[serde(default)]
    pub plugin_config: Value,
}

impl Profile {
    /// The name, `default-scheduler` when none is given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.scheduler_name.as_deref().unwrap_or("default-scheduler")
    }
}

/// Plugins of a profile. Only those that can score matter here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plugins {
    /// Plugins that score.
    #[serde(default)]
    pub score: PluginSet,
    /// Plugins enabled at every extension point they implement.
    #[serde(default)]
    pub multi_point: PluginSet,
    /// Not looked at.
    #[serde(default)]
    pub pre_enqueue: Value,
    /// Not looked at.
    #[serde(default)]
    pub queue_sort: Value,
    /// Not looked at.
    #[serde(default)]
    pub pre_filter: Value,
    /// Not looked at.
    #[serde(default)]
    pub filter: Value,
    /// Not looked at.
    #[serde(default)]
    pub post_filter: Value,
    /// Not looked at.
    #[serde(default)]
    pub pre_score: Value,
    /// Not looked at.
    #[serde(default)]
    pub reserve: Value,
    /// Not looked at.
    #[serde(default)]
    pub permit: Value,
    /// Not looked at.
    #[serde(default)]
    pub pre_bind: Value,
    /// Not looked at.
    #[serde(default)]
    pub bind: Value,
    /// Not looked at.
    #[serde(default)]
    pub post_bind: Value,
    /// Not looked at.
    #[serde(default)]
    pub placement_generate: Value,
    /// Not looked at.
    #[serde(default)]
    pub placement_score: Value,
    /// Not looked at.
    #[serde(default)]
    pub pod_group_post_filter: Value,
}

/// What is switched on and off at one extension point.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSet {
    /// Plugins to add, or to give another weight.
    #[serde(default)]
    pub enabled: Vec<Plugin>,
    /// Default plugins to leave out; `*` means all.
    #[serde(default)]
    pub disabled: Vec<Plugin>,
}

/// A plugin by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Plugin name.
    pub name: String,
    /// Score weight; 0 or absent means 1.
    #[serde(default)]
    pub weight: Option<i32>,
}

/// An extender.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extender {
    /// Where it is.
    pub url_prefix: String,
    /// Verb of the filter call.
    #[serde(default)]
    pub filter_verb: String,
    /// Verb of the preempt call.
    #[serde(default)]
    pub preempt_verb: String,
    /// Verb of the prioritize call; empty means that the extender does not score.
    #[serde(default)]
    pub prioritize_verb: String,
    /// Verb of the bind call.
    #[serde(default)]
    pub bind_verb: String,
    /// Weight of its scores.
    #[serde(default)]
    pub weight: i64,
    /// Pods that request none of these are not sent to it. Empty: every pod is.
    #[serde(default)]
    pub managed_resources: Vec<ManagedResource>,
    /// Whether a failing Filter call is ignored. A failing Prioritize call always is.
    #[serde(default)]
    pub ignorable: bool,
    /// Whether node names are sent instead of nodes.
    #[serde(default)]
    pub node_cache_capable: bool,
    /// Not looked at.
    #[serde(default, rename = "enableHTTPS")]
    pub enable_https: Value,
    /// Not looked at.
    #[serde(default)]
    pub tls_config: Value,
    /// Not looked at.
    #[serde(default)]
    pub http_timeout: Value,
}

/// An extended resource that an extender manages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedResource {
    /// Resource name.
    pub name: String,
    /// Whether NodeResourcesFit leaves it to the extender.
    #[serde(default)]
    pub ignored_by_scheduler: bool,
}

impl Extender {
    /// Whether the extender adds to scores at all.
    #[must_use]
    pub fn scores(&self) -> bool {
        !self.prioritize_verb.is_empty() && self.weight != 0
    }

    /// Whether only pods with `resource` are sent to it.
    #[must_use]
    pub fn only_for(&self, resource: &str) -> bool {
        !self.managed_resources.is_empty() && self.managed_resources.iter().all(|m| m.name == resource)
    }

    /// Whether pods with `resource` are sent to it by name of that resource.
    #[must_use]
    pub fn manages(&self, resource: &str) -> bool {
        self.managed_resources.iter().any(|m| m.name == resource)
    }
}

/// Why a configuration cannot be judged although it could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Another `apiVersion` or `kind`.
    #[error("this is {kind:?} of {api_version:?}, not {KIND} of {API_VERSION}")]
    NotASchedulerConfiguration {
        /// What `apiVersion` says.
        api_version: String,
        /// What `kind` says.
        kind: String,
    },
    /// kube-scheduler refuses such an extender.
    #[error("extender {url}: prioritizeVerb needs a weight greater than 0, it has {weight}")]
    ExtenderWeight {
        /// `urlPrefix` of the extender.
        url: String,
        /// Its weight.
        weight: i64,
    },
    /// Two profiles with one name.
    #[error("two profiles are named {0:?}: give each its own schedulerName")]
    DuplicateProfile(String),
}

impl SchedulerConfig {
    /// Checks what serde cannot: that it is such a configuration, and that scores are well defined.
    ///
    /// # Errors
    /// [`ConfigError`] with the field and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.api_version != API_VERSION || self.kind != KIND {
            return Err(ConfigError::NotASchedulerConfiguration {
                api_version: self.api_version.clone(),
                kind: self.kind.clone(),
            });
        }
        let wrong = self.extenders.iter().find(|e| !e.prioritize_verb.is_empty() && e.weight <= 0);
        if let Some(extender) = wrong {
            let url = extender.url_prefix.clone();
            return Err(ConfigError::ExtenderWeight { url, weight: extender.weight });
        }
        let names: Vec<&str> = self.profiles.iter().map(Profile::name).collect();
        let twice = names.iter().enumerate().find(|(i, n)| names.iter().take(*i).any(|m| m == *n));
        twice.map_or(Ok(()), |(_, name)| Err(ConfigError::DuplicateProfile((*name).to_owned())))
    }

    /// The profiles in force: the given ones, or the one default profile.
    #[must_use]
    pub fn effective_profiles(&self) -> Vec<Profile> {
        if self.profiles.is_empty() { vec![Profile::default()] } else { self.profiles.clone() }
    }

    /// How many feasible nodes end the search in a cluster of `nodes` nodes (`numFeasibleNodesToFind`).
    #[must_use]
    pub fn nodes_to_find(&self, profile: &Profile, nodes: u64) -> u64 {
        const LEAST: u64 = 100;
        let given = profile.percentage_of_nodes_to_score.or(self.percentage_of_nodes_to_score).unwrap_or(0);
        let by_size = 50u64.saturating_sub(nodes / 125).max(5);
        let percent = u64::try_from(given).ok().filter(|p| *p > 0).unwrap_or(by_size);
        if nodes < LEAST || percent >= 100 { nodes } else { (nodes.saturating_mul(percent) / 100).max(LEAST) }
    }
}

#[cfg(test)]
mod tests;
