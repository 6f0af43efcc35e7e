//! What kube-scheduler refuses although it can be read (`validation.go`, and the framework when it starts).

use super::plugins::{PluginSet, Plugins, is_in_tree, is_silent};
use super::{API_VERSION, Extender, KIND, Profile, SchedulerConfig};

/// Plugins that were taken out of kube-scheduler.
const REMOVED: &[&str] = &["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];

/// Why kube-scheduler would not start with a configuration although it can be read.
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
    /// A scoring extender without a weight.
    #[error("extender {url}: prioritizeVerb needs a weight greater than 0, it has {weight}")]
    ExtenderWeight {
        /// `urlPrefix` of the extender.
        url: String,
        /// Its weight.
        weight: i64,
    },
    /// Two extenders with a bind verb.
    #[error("{0} extenders have a bindVerb: only one can bind")]
    Binders(usize),
    /// Two extenders, or one twice, manage the same resource.
    #[error("extender {url}: {resource} is managed already: a resource can have one extender")]
    ManagedTwice {
        /// `urlPrefix` of the second.
        url: String,
        /// The resource.
        resource: String,
    },
    /// A managed resource that is none of the extended ones.
    #[error(
        "extender {url}: {resource:?} is not an extended resource: it needs a domain of its own, such as burst.io/managed"
    )]
    NotExtended {
        /// `urlPrefix` of the extender.
        url: String,
        /// The resource.
        resource: String,
    },
    /// Two profiles with one name.
    #[error("two profiles are named {0:?}: give each its own schedulerName")]
    DuplicateProfile(String),
    /// A profile without a name beside others, or with an empty one.
    #[error("profile {0} has no schedulerName: only a single profile can go without")]
    Unnamed(usize),
    /// Out of range.
    #[error("{field} is {value}: it must be 0 to 100")]
    Percentage {
        /// Which field.
        field: String,
        /// Its value.
        value: i32,
    },
    /// A plugin twice in one list.
    #[error("profile {profile}: {plugin} is enabled twice under {point}")]
    PluginTwice {
        /// Profile name.
        profile: String,
        /// Extension point.
        point: &'static str,
        /// Plugin name.
        plugin: String,
    },
    /// A plugin that kube-scheduler no longer has.
    #[error("profile {profile}: {plugin} under {point} was removed from kube-scheduler")]
    Removed {
        /// Profile name.
        profile: String,
        /// Extension point.
        point: &'static str,
        /// Plugin name.
        plugin: String,
    },
    /// A plugin of kube-scheduler's own under `score` that has no score.
    #[error("profile {profile}: {plugin} is enabled under score and does not score")]
    NoScorePlugin {
        /// Profile name.
        profile: String,
        /// Plugin name.
        plugin: String,
    },
    /// Negative weights are accepted as long as the sum so far is not negative.
    #[error(
        "profile {profile}: the score weights up to {plugin} add up to less than 0, which kube-scheduler calls an overflow"
    )]
    NegativeSum {
        /// Profile name.
        profile: String,
        /// The plugin after which the sum is below 0, and which is not the last.
        plugin: String,
    },
    /// No plugin, or more than one, sorts the queue; or none binds.
    #[error("profile {profile}: {count} plugins run at {point}, it needs {need}")]
    Count {
        /// Profile name.
        profile: String,
        /// Extension point.
        point: &'static str,
        /// How many do.
        count: usize,
        /// How many must.
        need: &'static str,
    },
    /// Profiles share one queue.
    #[error("profile {0}: queueSort must be the same in all profiles")]
    QueueSort(String),
    /// Arguments of one plugin given twice.
    #[error("profile {profile}: pluginConfig names {plugin} twice")]
    ArgsTwice {
        /// Profile name.
        profile: String,
        /// Plugin name.
        plugin: String,
    },
}

impl SchedulerConfig {
    /// Checks what serde cannot: that it is such a configuration, and that kube-scheduler starts with it.
    ///
    /// # Errors
    /// The first [`ConfigError`], with the field and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.api_version != API_VERSION || self.kind != KIND {
            let (api_version, kind) = (self.api_version.clone(), self.kind.clone());
            return Err(ConfigError::NotASchedulerConfiguration { api_version, kind });
        }
        percentage("percentageOfNodesToScore".to_owned(), self.percentage_of_nodes_to_score)?;
        names(&self.profiles)?;
        self.profiles.iter().try_for_each(profile)?;
        queue_sort(&self.profiles)?;
        extenders(&self.extenders)
    }
}

fn percentage(field: String, value: Option<i32>) -> Result<(), ConfigError> {
    match value {
        Some(value) if !(0..=100).contains(&value) => Err(ConfigError::Percentage { field, value }),
        _ => Ok(()),
    }
}

fn names(profiles: &[Profile]) -> Result<(), ConfigError> {
    let nameless = |p: &Profile| match &p.scheduler_name {
        Some(name) => name.is_empty(),
        None => profiles.len() > 1,
    };
    if let Some(at) = profiles.iter().position(nameless) {
        return Err(ConfigError::Unnamed(at));
    }
    match twice(profiles.iter().map(Profile::name)) {
        Some(name) => Err(ConfigError::DuplicateProfile(name.to_owned())),
        None => Ok(()),
    }
}

fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn profile(profile: &Profile) -> Result<(), ConfigError> {
    let name = || profile.name().to_owned();
    percentage(
        format!("percentageOfNodesToScore of profile {}", profile.name()),
        profile.percentage_of_nodes_to_score,
    )?;
    for (point, set) in profile.plugins.points() {
        if let Some(plugin) = twice(set.enabled.iter().map(|p| p.name.as_str())) {
            return Err(ConfigError::PluginTwice { profile: name(), point, plugin: plugin.to_owned() });
        }
        if let Some(gone) = set.enabled.iter().find(|p| REMOVED.contains(&p.name.as_str())) {
            return Err(ConfigError::Removed { profile: name(), point, plugin: gone.name.clone() });
        }
    }
    if let Some(silent) = profile.plugins.score.enabled.iter().find(|p| is_silent(&p.name)) {
        return Err(ConfigError::NoScorePlugin { profile: name(), plugin: silent.name.clone() });
    }
    if let Some(plugin) = negative_sum(&profile.plugins) {
        return Err(ConfigError::NegativeSum { profile: name(), plugin });
    }
    let plugins = &profile.plugins;
    counted(profile, "queueSort", count(plugins, &plugins.queue_sort, "PrioritySort"), 1..=1, "exactly one")?;
    counted(profile, "bind", count(plugins, &plugins.bind, "DefaultBinder"), 1..=usize::MAX, "at least one")?;
    match twice(profile.plugin_config.iter().map(|c| c.name.as_str())) {
        Some(plugin) => Err(ConfigError::ArgsTwice { profile: name(), plugin: plugin.to_owned() }),
        None => Ok(()),
    }
}

/// The plugin after which the running sum of weights is below 0, unless it is the last (`getValidScoreWeights`: the
/// room up to the largest total then wraps). Plugins that are disabled at `score` are summed up too.
fn negative_sum(plugins: &Plugins) -> Option<String> {
    let mut all = plugins.score.enabled.clone();
    let brought = plugins.merged_multi_point().into_iter().filter(|p| !is_silent(&p.name));
    all.extend(brought.filter(|p| !plugins.score.enables(&p.name)));
    all.pop();
    let mut sum = 0;
    let below = all.into_iter().find(|p| {
        sum += p.weight();
        sum < 0
    });
    below.map(|p| p.name)
}

/// How many plugins run at a point where kube-scheduler itself has one: (at least, at most). A plugin out of tree under
/// `multiPoint` may be one of them.
fn count(plugins: &Plugins, point: &PluginSet, in_tree: &str) -> (usize, usize) {
    let known = plugins.expanded(point, |name| name == in_tree).len();
    let perhaps = plugins.expanded(point, |name| name == in_tree || !is_in_tree(name)).len();
    (known, perhaps)
}

fn counted(
    profile: &Profile,
    point: &'static str,
    (least, most): (usize, usize),
    wanted: std::ops::RangeInclusive<usize>,
    need: &'static str,
) -> Result<(), ConfigError> {
    if least > *wanted.end() || most < *wanted.start() {
        return Err(ConfigError::Count { profile: profile.name().to_owned(), point, count: least, need });
    }
    Ok(())
}

fn queue_sort(profiles: &[Profile]) -> Result<(), ConfigError> {
    let Some(first) = profiles.first() else { return Ok(()) };
    let names = |p: &Profile| p.plugins.queue_sort.clone();
    match profiles.iter().find(|p| names(p) != names(first)) {
        Some(other) => Err(ConfigError::QueueSort(other.name().to_owned())),
        None => Ok(()),
    }
}

fn extenders(extenders: &[Extender]) -> Result<(), ConfigError> {
    let mut managed = std::collections::BTreeSet::new();
    for extender in extenders {
        let url = || extender.url_prefix.clone();
        if !extender.prioritize_verb.is_empty() && extender.weight <= 0 {
            return Err(ConfigError::ExtenderWeight { url: url(), weight: extender.weight });
        }
        for resource in extender.managed_resources.iter().map(|m| m.name.as_str()) {
            if !is_extended(resource) {
                return Err(ConfigError::NotExtended { url: url(), resource: resource.to_owned() });
            }
            if !managed.insert(resource) {
                return Err(ConfigError::ManagedTwice { url: url(), resource: resource.to_owned() });
            }
        }
    }
    match extenders.iter().filter(|e| !e.bind_verb.is_empty()).count() {
        0 | 1 => Ok(()),
        more => Err(ConfigError::Binders(more)),
    }
}

/// An extended resource has a domain that is not Kubernetes' own (`IsExtendedResourceName`).
fn is_extended(name: &str) -> bool {
    let Some((domain, last)) = name.split_once('/') else { return false };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let native = name.contains("kubernetes.io/") || name.starts_with("requests.");
    !native && !domain.is_empty() && !last.is_empty() && domain.chars().chain(last.chars()).all(word)
}
