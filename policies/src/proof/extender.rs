//! Proof by extender: our extender's score alone outweighs every plugin.

use super::{
    EXTENDER_POINT, EXTENDER_SCORE_MAX, Line, Method, PLUGIN_SCORE_MAX, Proof, conclude, line,
    meets_local_prefer,
};
use crate::keys;
use crate::scheduler_config::{Extender, SchedulerConfig, ScoreWeights};

/// Path under which burst-scheduler serves the extender verbs.
const OUR_PORTS: [&str; 2] = [":10260/", ":10261/"];

pub(super) fn prove(config: &SchedulerConfig, weights: &ScoreWeights, delta: i64) -> Option<Proof> {
    let at = ours(&config.extenders)?;
    let extender = config.extenders.get(at)?;
    let asked = meets_local_prefer(extender);
    let gap = if asked { delta.max(0).saturating_mul(EXTENDER_POINT) } else { 0 };
    let ours = line(format!("extender {}", extender.url_prefix), extender.weight, gap);
    let mut against: Vec<Line> =
        weights.iter().map(|(name, w)| line(name, w.max(0), PLUGIN_SCORE_MAX)).collect();
    let rest = config.extenders.iter().enumerate().filter(|(i, e)| *i != at && meets_local_prefer(e));
    let span = EXTENDER_SCORE_MAX * EXTENDER_POINT;
    against.extend(rest.map(|(_, e)| line(format!("extender {}", e.url_prefix), e.weight, span)));
    Some(conclude(Method::Extender, ours, against, premises(extender, asked, delta)))
}

/// Ours is the extender that manages our marker, else the one on our ports.
fn ours(extenders: &[Extender]) -> Option<usize> {
    let marked = extenders.iter().position(|e| e.manages(keys::MARKER_RESOURCE));
    marked.or_else(|| extenders.iter().position(|e| OUR_PORTS.iter().any(|p| e.url_prefix.contains(p))))
}

fn premises(extender: &Extender, asked: bool, delta: i64) -> Vec<String> {
    if extender.prioritize_verb.is_empty() {
        return vec!["the extender has no prioritizeVerb, so it does not score".to_owned()];
    }
    if !asked {
        let marker = keys::MARKER_RESOURCE;
        return vec![format!(
            "the extender is asked only about pods that request {marker}, and localPrefer pods do not: this proof does not \
             apply to them"
        )];
    }
    vec![
        format!("the extender leaves at least {delta} points between real and virtual nodes"),
        "every prioritize call is answered: the scheduler ignores one that fails".to_owned(),
        "other extenders keep their scores within 0 to 10".to_owned(),
    ]
}
