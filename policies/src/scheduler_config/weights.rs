//! Which plugins score in a profile, and with what weight.

use std::collections::BTreeMap;

use super::{Plugin, Plugins, Profile};

/// Default score plugins and weights. DynamicResources scores where dynamic resource allocation is on, and
/// VolumeBinding where StorageCapacityScoring is; both are counted, so that a proof holds with and without.
const DEFAULTS: &[(&str, i64)] = &[
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodeResourcesFit", 1),
    ("VolumeBinding", 1),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DynamicResources", 2),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
];

/// In-tree plugins that never score; under `multiPoint` they add nothing.
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
];

/// Weight by score plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreWeights(BTreeMap<String, i64>);

impl ScoreWeights {
    /// The weights that `profile` leads to.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let plugins = profile.plugins.clone().unwrap_or_default();
        let mut weights: BTreeMap<String, i64> =
            plugins.score.enabled.iter().map(|p| (p.name.clone(), weight(p))).collect();
        if disabled(&plugins.score.disabled, "*") {
            return Self(weights);
        }
        for (name, weight) in multi_point(&plugins) {
            // `disabled` at the extension point takes out what multiPoint would add, not what is enabled there.
            if !disabled_by_name(&plugins.score.disabled, &name) {
                weights.entry(name).or_insert(weight);
            }
        }
        Self(weights)
    }

    /// Weight of one plugin, 0 when it does not score.
    #[must_use]
    pub fn get(&self, plugin: &str) -> i64 {
        self.0.get(plugin).copied().unwrap_or_default()
    }

    /// Every plugin with its weight, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, weight)| (name.as_str(), *weight))
    }

    /// Sum of all weights.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.0.values().fold(0, |sum, w| sum.saturating_add(*w))
    }
}

/// The merged multiPoint set: defaults unless disabled, then what the profile enables, which wins by name.
fn multi_point(plugins: &Plugins) -> Vec<(String, i64)> {
    let set = &plugins.multi_point;
    let own = |name: &str| set.enabled.iter().any(|p| p.name == name);
    let kept = DEFAULTS.iter().filter(|(name, _)| !disabled(&set.disabled, name) && !own(name));
    let mut out: Vec<(String, i64)> = kept.map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    let added = set.enabled.iter().filter(|p| !SILENT.contains(&p.name.as_str()));
    out.extend(added.map(|p| (p.name.clone(), weight(p))));
    out
}

fn weight(plugin: &Plugin) -> i64 {
    plugin.weight.filter(|w| *w != 0).map_or(1, i64::from)
}

fn disabled(list: &[Plugin], name: &str) -> bool {
    list.iter().any(|p| p.name == "*") || disabled_by_name(list, name)
}

fn disabled_by_name(list: &[Plugin], name: &str) -> bool {
    list.iter().any(|p| p.name == name)
}
