//! Which plugins score in a profile, and with what weight.

use super::{Profile, plugins::is_silent};

/// Score plugins with their weights, in the order in which the framework runs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreWeights(Vec<(String, i64)>);

impl ScoreWeights {
    /// The weights that `profile` leads to. A plugin out of tree under `multiPoint` counts as one that scores.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let plugins = &profile.plugins;
        let scoring = plugins.expanded(&plugins.score, |name| !is_silent(name));
        Self(scoring.iter().map(|p| (p.name.clone(), p.weight())).collect())
    }

    /// Weight of one plugin, 0 when it does not score.
    #[must_use]
    pub fn get(&self, plugin: &str) -> i64 {
        self.0.iter().find(|(name, _)| name == plugin).map_or(0, |(_, weight)| *weight)
    }

    /// Every plugin with its weight, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, weight)| (name.as_str(), *weight))
    }

    /// Sum of the weights' sizes: by how many hundreds of points all plugins together can tell two nodes apart.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.iter().map(|(_, weight)| weight.abs()).sum()
    }
}
