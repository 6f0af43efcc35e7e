//! Which plugins of a profile run at which extension point.
//!
//! Three sources, the later wins: the default set (all under `multiPoint`), the profile's own `multiPoint`, the
//! extension point's own list. `disabled` at a point takes out what `multiPoint` would add there, not what is enabled
//! there; `*` at a point stops the expansion altogether.

use serde::Deserialize;

use super::nullable;

/// The default plugins in order, with their `multiPoint` weights (0: none given, which counts as 1 where they score).
///
/// DynamicResources and NodeDeclaredFeatures are on in 1.36. DynamicResources scores only where a pod has claims, and
/// VolumeBinding only with StorageCapacityScoring; both count, so that a proof holds with and without.
const DEFAULTS: &[(&str, i32)] = &[
    ("SchedulingGates", 0),
    ("PrioritySort", 0),
    ("NodeUnschedulable", 0),
    ("NodeName", 0),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 0),
    ("NodeResourcesFit", 1),
    ("VolumeRestrictions", 0),
    ("NodeVolumeLimits", 0),
    ("VolumeBinding", 0),
    ("VolumeZone", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DynamicResources", 2),
    ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
    ("NodeDeclaredFeatures", 0),
];

/// In-tree plugins that never score; under `multiPoint` they add nothing, and under `score` they are an error.
const SILENT: &[&str] = &[
    "SchedulingGates",
    "PrioritySort",
    "NodeUnschedulable",
    "NodeName",
    "NodePorts",
    "NodeVolumeLimits",
    "VolumeRestrictions",
    "VolumeZone",
    "DefaultPreemption",
    "DefaultBinder",
    "NodeDeclaredFeatures",
    "GangScheduling",
    "TopologyPlacementGenerator",
    "PodGroupPodsCount",
];

/// Plugins of a profile.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "one list per extension point, each named as the framework names it")]
pub struct Plugins {
    /// Plugins enabled at every extension point they implement.
    #[serde(deserialize_with = "nullable")]
    pub multi_point: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub pre_enqueue: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub queue_sort: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub pre_filter: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub filter: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub post_filter: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub pre_score: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub score: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub reserve: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub permit: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub pre_bind: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub bind: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub post_bind: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub placement_generate: PluginSet,
    #[serde(deserialize_with = "nullable")]
    pub placement_score: PluginSet,
}

/// What is switched on and off at one extension point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginSet {
    /// Plugins to add, or to give another weight.
    #[serde(deserialize_with = "nullable")]
    pub enabled: Vec<Plugin>,
    /// Default plugins to leave out; `*` means all.
    #[serde(deserialize_with = "nullable")]
    pub disabled: Vec<Plugin>,
}

/// A plugin by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Plugin name.
    pub name: String,
    /// Score weight; 0 or absent means 1. The scheduler accepts negative ones while their sum so far is not negative.
    #[serde(default)]
    pub weight: Option<i32>,
}

impl Plugin {
    /// The weight that counts.
    #[must_use]
    pub fn weight(&self) -> i64 {
        self.weight.filter(|w| *w != 0).map_or(1, i64::from)
    }
}

impl PluginSet {
    /// Whether the point is closed to what `multiPoint` brings (`*`), or to this plugin of it.
    #[must_use]
    pub fn disables(&self, plugin: &str) -> bool {
        self.disabled.iter().any(|p| p.name == "*" || p.name == plugin)
    }

    /// Whether the set itself names the plugin as enabled.
    #[must_use]
    pub fn enables(&self, plugin: &str) -> bool {
        self.enabled.iter().any(|p| p.name == plugin)
    }
}

/// Whether this is a plugin of kube-scheduler's own that never scores.
pub(super) fn is_silent(plugin: &str) -> bool {
    SILENT.contains(&plugin)
}

/// Whether this is a plugin of kube-scheduler's own.
pub(super) fn is_in_tree(plugin: &str) -> bool {
    is_silent(plugin) || DEFAULTS.iter().any(|(name, _)| *name == plugin)
}

impl Plugins {
    /// The merged `multiPoint` set in order (`mergePluginSet`): a default that is given again changes in place, every
    /// other plugin of the profile comes after the defaults.
    #[must_use]
    pub fn merged_multi_point(&self) -> Vec<Plugin> {
        let own = &self.multi_point;
        let kept = DEFAULTS.iter().filter(|(name, _)| !own.disables(name));
        let mut merged: Vec<Plugin> = kept
            .map(|(name, weight)| {
                let again = own.enabled.iter().rev().find(|p| p.name == *name);
                again.cloned().unwrap_or_else(|| Plugin { name: (*name).to_owned(), weight: Some(*weight) })
            })
            .collect();
        let replaced = merged.len();
        for plugin in &own.enabled {
            if !merged.iter().take(replaced).any(|p| p.name == plugin.name) {
                merged.push(plugin.clone());
            }
        }
        merged
    }

    /// What runs at a point, in order (`expandMultiPointPlugins`): first what the point gives again, then what
    /// `multiPoint` brings, then the rest of the point's own. `implements` says which plugins belong to the point.
    pub(super) fn expanded(&self, point: &PluginSet, implements: impl Fn(&str) -> bool) -> Vec<Plugin> {
        if point.disabled.iter().any(|p| p.name == "*") {
            return point.enabled.clone();
        }
        let mut brought = self.merged_multi_point();
        brought.retain(|p| implements(&p.name) && !point.disables(&p.name));
        let (again, rest): (Vec<_>, Vec<_>) =
            point.enabled.iter().cloned().partition(|p| brought.iter().any(|b| b.name == p.name));
        brought.retain(|p| !point.enables(&p.name));
        [again, brought, rest].concat()
    }

    /// Whether a plugin runs at a point that it implements.
    #[must_use]
    pub fn runs_at(&self, point: &PluginSet, plugin: &str) -> bool {
        self.expanded(point, |name| name == plugin).iter().any(|p| p.name == plugin)
    }

    /// Whether a plugin that filters and scores runs at any of the points where it could see a pod.
    #[must_use]
    pub fn runs_anywhere(&self, plugin: &str) -> bool {
        [&self.pre_filter, &self.filter, &self.pre_score, &self.score]
            .iter()
            .any(|point| self.runs_at(point, plugin))
    }

    /// Every extension point by its name in the file.
    pub(super) fn points(&self) -> [(&'static str, &PluginSet); 15] {
        [
            ("multiPoint", &self.multi_point),
            ("preEnqueue", &self.pre_enqueue),
            ("queueSort", &self.queue_sort),
            ("preFilter", &self.pre_filter),
            ("filter", &self.filter),
            ("postFilter", &self.post_filter),
            ("preScore", &self.pre_score),
            ("score", &self.score),
            ("reserve", &self.reserve),
            ("permit", &self.permit),
            ("preBind", &self.pre_bind),
            ("bind", &self.bind),
            ("postBind", &self.post_bind),
            ("placementGenerate", &self.placement_generate),
            ("placementScore", &self.placement_score),
        ]
    }
}
