//! Proof that a `localPrefer` pod goes to a virtual node only when no sampled real node is feasible.
//!
//! total(n) = Σ plugin weight × (0..100) + 10 × Σ extender weight × score (0..10). Two proofs, both plain
//! arithmetic over a KubeSchedulerConfiguration: by taint (needs no extender call and survives its outage) and by
//! extender. A proof must never count anything in its own favour that could be missing at run time. Beside the sums
//! stand the sample of nodes that is compared at all ([`Sampling`]) and what else the configuration leads to.

mod consequences;
mod extender;
mod ours;
mod sampling;
mod taint;

use serde::Serialize;

use crate::scheduler_config::{Extender, Profile, SchedulerConfig, ScoreWeights};

pub use sampling::{NodeCounts, Sampling};

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

/// What a proof takes from outside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Taints of the nodes.
    pub taints: TaintCounts,
    /// How many nodes there are; `None` if nobody looked.
    pub nodes: Option<NodeCounts>,
    /// The gap on the 0 to 10 scale that our extender leaves between real and virtual nodes for `localPrefer` pods.
    pub gap: i64,
}

impl Facts {
    /// As shipped: one taint on each virtual node, none on real nodes, the whole scale between them.
    pub const SHIPPED: Self = Self { taints: TaintCounts::SHIPPED, nodes: None, gap: EXTENDER_SCORE_MAX };
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
    /// What it adds to its side: weight × span, and for what speaks against us the size of that, because a negative
    /// weight turns a plugin's opinion round.
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
    /// Score plugins with their weights, in the order in which the scheduler runs them.
    pub weights: Vec<(String, i64)>,
    /// Sum of the sizes of all score weights.
    pub weight_sum: i64,
    /// By taint.
    pub taint: Proof,
    /// By extender; `None` when the configuration has no extender of ours.
    pub extender: Option<Proof>,
    /// Whether a feasible real node is compared at all.
    pub sampling: Sampling,
    /// What both proofs take for granted.
    pub premises: Vec<String>,
    /// What else the configuration leads to and somebody may not want, in sentences.
    pub consequences: Vec<String>,
}

impl Verdict {
    /// Whether `localPrefer` is proved by either way.
    #[must_use]
    pub fn proved(&self) -> bool {
        let by_score = self.taint.proved || self.extender.as_ref().is_some_and(|p| p.proved);
        by_score && self.sampling.holds
    }
}

/// Judges every profile of a configuration that kube-scheduler would start with ([`SchedulerConfig::validate`]).
#[must_use]
pub fn verify(config: &SchedulerConfig, facts: Facts) -> Vec<Verdict> {
    let each = config.effective_profiles();
    each.iter().map(|profile| verify_profile(config, profile, facts)).collect()
}

fn verify_profile(config: &SchedulerConfig, profile: &Profile, facts: Facts) -> Verdict {
    let weights = ScoreWeights::of(profile);
    Verdict {
        profile: profile.name().to_owned(),
        weight_sum: weights.sum(),
        taint: taint::prove(config, profile, &weights, facts.taints),
        extender: extender::prove(config, &weights, facts.gap),
        weights: weights.iter().map(|(name, weight)| (name.to_owned(), weight)).collect(),
        sampling: sampling::judge(config, profile, facts.nodes),
        premises: premises(config),
        consequences: consequences::of(config, profile),
    }
}

/// What holds outside the sums, whichever way they go.
fn premises(config: &SchedulerConfig) -> Vec<String> {
    let checked = ours::checker(&config.extenders).is_some_and(|extender| !extender.filter_verb.is_empty());
    let nominated = if checked {
        "preemption may nominate a virtual node, and a nominated node is bound without comparing scores: admission marks \
         localPrefer pods that can preempt, and burst's Filter refuses them a virtual node while a real one is feasible"
    } else {
        "no localPrefer pod preempts: preemption may nominate a virtual node, a nominated node is bound without comparing \
         scores, and this configuration has no Filter of burst to refuse it"
    };
    vec![
        "a node that alone is feasible is bound without scores; it is a virtual one only if no real node of the sample is \
         feasible"
            .to_owned(),
        nominated.to_owned(),
    ]
}

/// Whether an extender could be asked about a `localPrefer` pod and answer in a virtual node's favour. Ours could not:
/// it gives virtual nodes -10 to 0 and lists no other.
fn may_oppose(extenders: &[Extender]) -> impl Iterator<Item = &Extender> {
    let ours = ours::position(extenders);
    extenders.iter().enumerate().filter(move |(i, e)| Some(*i) != ours && e.scores()).map(|(_, e)| e)
}

/// Everything that could speak against us: plugins but one, and foreign extenders.
fn opposition(config: &SchedulerConfig, weights: &ScoreWeights, except: Option<&str>) -> Vec<Line> {
    let plugins = weights.iter().filter(|(name, _)| Some(*name) != except);
    let plugins = plugins.map(|(name, weight)| against(name, weight, PLUGIN_SCORE_MAX));
    let span = EXTENDER_SCORE_MAX * EXTENDER_POINT;
    let extenders = may_oppose(&config.extenders);
    plugins.chain(extenders.map(|e| against(format!("extender {}", e.url_prefix), e.weight, span))).collect()
}

fn against(term: impl Into<String>, weight: i64, span: i64) -> Line {
    Line { term: term.into(), weight, span, points: weight.saturating_abs().saturating_mul(span) }
}

/// The sentence about foreign extenders, if there are any that score.
fn foreign_range(config: &SchedulerConfig) -> Option<String> {
    may_oppose(&config.extenders).next().is_some().then(|| {
        "other extenders keep their scores within 0 to 10, which the scheduler does not check; each counts in full, as if \
         asked about every pod"
            .to_owned()
    })
}

/// Puts the two sides together. `most` is the largest weight that the file can hold.
fn conclude(
    method: Method,
    mut ours: Line,
    against: Vec<Line>,
    mut premises: Vec<String>,
    most: i64,
) -> Proof {
    ours.points = ours.weight.saturating_mul(ours.span);
    let against_points = against.iter().fold(0i64, |sum, l| sum.saturating_add(l.points));
    // The scheduler adds in 64 bits and wraps: a sum near the end proves nothing.
    let overflows = ours.points.checked_add(against_points).is_none_or(|all| all == i64::MAX);
    if overflows {
        premises.insert(
            0,
            "the scheduler's 64-bit sum could overflow with such weights: choose smaller ones".to_owned(),
        );
    }
    let margin = ours.points.saturating_sub(against_points);
    let needed = || against_points.checked_div(ours.span)?.checked_add(1).filter(|w| *w <= most);
    let needed_weight = if ours.span > 0 { needed() } else { None };
    Proof {
        method,
        proved: margin > 0 && !overflows,
        ours,
        against,
        against_points,
        margin,
        needed_weight,
        premises,
    }
}

#[cfg(test)]
mod tests;
