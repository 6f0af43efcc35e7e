//! Proof that a `localPrefer` pod goes to a virtual node only when no sampled real node is feasible.
//!
//! total(n) = Σ plugin weight × (0..100) + 10 × Σ extender weight × score (0..10). Two proofs, both plain
//! arithmetic over a KubeSchedulerConfiguration: by taint (needs no extender call and survives its outage) and by
//! extender. A proof must never count anything in its own favour that could be missing at run time.

mod extender;
mod taint;

use serde::Serialize;

use crate::keys;
use crate::scheduler_config::{Profile, SchedulerConfig};

/// A plugin's score is 0 to this.
pub const PLUGIN_SCORE_MAX: i64 = 100;
/// An extender's score is 0 to this (declared; the scheduler does not check it).
pub const EXTENDER_SCORE_MAX: i64 = 10;
/// What one point of an extender's score is worth beside a plugin's: 100 / 10.
pub const EXTENDER_POINT: i64 = PLUGIN_SCORE_MAX / EXTENDER_SCORE_MAX;

/// How many PreferNoSchedule taints nodes carry, as far as a `localPrefer` pod does not tolerate them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TaintCounts {
    /// v: the least number on any virtual node, our key only.
    pub virtual_min: u32,
    /// The largest number on any virtual node, every key.
    pub virtual_max: u32,
    /// r: the largest number on any real node, every key.
    pub real_max: u32,
}

impl TaintCounts {
    /// What a bridge and untainted real nodes give: v = 1, r = 0.
    pub const SHIPPED: Self = Self { virtual_min: 1, virtual_max: 1, real_max: 0 };
}

/// How a proof argues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By the weight of TaintToleration.
    Taint,
    /// By the weight of our extender.
    Extender,
}

/// One product of the sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What scores: a plugin's name or an extender's URL.
    pub term: String,
    /// Its weight.
    pub weight: i64,
    /// By how many points, before the weight, it can tell two nodes apart.
    pub span: i64,
    /// weight × span, in points of the total.
    pub points: i64,
}

/// The arithmetic of one proof and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// How it argues.
    pub method: Method,
    /// Whether the better class always wins.
    pub proved: bool,
    /// What speaks for real nodes.
    pub ours: Line,
    /// Everything that could speak for a virtual node, at its worst.
    pub against: Vec<Line>,
    /// Sum of `against`, in points.
    pub against_points: i64,
    /// `ours` minus `against_points`: proved when above 0.
    pub margin: i64,
    /// The least weight of TaintToleration (by taint) or of our extender (by extender) that is enough; `None` when no
    /// weight is, as `premises` then say.
    pub needed_weight: Option<i64>,
    /// What the proof takes for granted, or why it does not apply, in sentences.
    pub premises: Vec<String>,
}

/// What is known about one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `schedulerName` of the profile.
    pub profile: String,
    /// Sum of all score weights.
    pub weight_sum: i64,
    /// By taint.
    pub taint: Proof,
    /// By extender; `None` when the configuration has no extender of ours.
    pub extender: Option<Proof>,
}

impl Verdict {
    /// Whether `localPrefer` is proved by either way.
    #[must_use]
    pub fn proved(&self) -> bool {
        self.taint.proved || self.extender.as_ref().is_some_and(|p| p.proved)
    }
}

/// Judges every profile of a configuration. `delta` is the gap on the 0 to 10 scale that our extender leaves between
/// real and virtual nodes for `localPrefer` pods (10 as shipped).
#[must_use]
pub fn verify(config: &SchedulerConfig, taints: TaintCounts, delta: i64) -> Vec<Verdict> {
    let each = config.effective_profiles();
    each.iter().map(|profile| verify_profile(config, profile, taints, delta)).collect()
}

fn verify_profile(config: &SchedulerConfig, profile: &Profile, taints: TaintCounts, delta: i64) -> Verdict {
    let weights = crate::scheduler_config::ScoreWeights::of(profile);
    Verdict {
        profile: profile.name().to_owned(),
        weight_sum: weights.sum(),
        taint: taint::prove(config, &weights, taints),
        extender: extender::prove(config, &weights, delta),
    }
}

/// Whether an extender is asked about `localPrefer` pods, which never carry our marker.
fn meets_local_prefer(extender: &crate::scheduler_config::Extender) -> bool {
    extender.scores() && !extender.only_for(keys::MARKER_RESOURCE)
}

/// Puts the two sides together.
fn conclude(method: Method, ours: Line, against: Vec<Line>, premises: Vec<String>) -> Proof {
    let against_points = against.iter().fold(0i64, |sum, l| sum.saturating_add(l.points));
    let margin = ours.points.saturating_sub(against_points);
    let needed_weight = (ours.span > 0).then(|| against_points / ours.span + 1);
    Proof { method, proved: margin > 0, ours, against, against_points, margin, needed_weight, premises }
}

fn line(term: impl Into<String>, weight: i64, span: i64) -> Line {
    Line { term: term.into(), weight, span, points: weight.saturating_mul(span) }
}

#[cfg(test)]
mod tests;
