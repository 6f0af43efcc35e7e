//! Proof by extender: our extender's score alone outweighs every plugin.

use super::{EXTENDER_POINT, Line, Method, Proof, conclude, foreign_range, opposition, ours};
use crate::scheduler_config::{Extender, SchedulerConfig, ScoreWeights};

/// The largest weight that leaves a score of -10 within 64 bits (score × weight × 10).
const MOST: i64 = i64::MAX / 1000;

pub(super) fn prove(config: &SchedulerConfig, weights: &ScoreWeights, gap: i64) -> Option<Proof> {
    let extender = config.extenders.get(ours::position(&config.extenders)?)?;
    let applies = extender.scores() && extender.for_every_pod();
    let span = if applies { gap.max(0).saturating_mul(EXTENDER_POINT) } else { 0 };
    let line =
        Line { term: format!("extender {}", extender.url_prefix), weight: extender.weight, span, points: 0 };
    let against = opposition(config, weights, None);
    Some(conclude(Method::Extender, line, against, premises(config, extender, applies, gap), MOST))
}

fn premises(config: &SchedulerConfig, extender: &Extender, applies: bool, gap: i64) -> Vec<String> {
    if !extender.scores() {
        return vec!["the extender has no prioritizeVerb, so it does not score".to_owned()];
    }
    if !applies {
        let names: Vec<&str> = extender.managed_resources.iter().map(|m| m.name.as_str()).collect();
        return vec![format!(
            "the extender is asked only about pods that request {}, which localPrefer pods do not: this proof does not \
             apply to them",
            names.join(" or "),
        )];
    }
    let own = vec![
        format!("the extender leaves at least {gap} points between real and virtual nodes"),
        format!(
            "every prioritize call is answered within {} ms: the scheduler ignores one that fails, and says nothing",
            extender.timeout().as_millis()
        ),
    ];
    own.into_iter().chain(foreign_range(config)).collect()
}
