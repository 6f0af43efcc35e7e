//! Proof by taint: TaintToleration alone outweighs everything else.

use super::{
    EXTENDER_POINT, EXTENDER_SCORE_MAX, Line, Method, PLUGIN_SCORE_MAX, Proof, TaintCounts, conclude, line,
    meets_local_prefer,
};
use crate::keys;
use crate::scheduler_config::{SchedulerConfig, ScoreWeights};

const PLUGIN: &str = "TaintToleration";

pub(super) fn prove(config: &SchedulerConfig, weights: &ScoreWeights, taints: TaintCounts) -> Proof {
    let ours = line(PLUGIN, weights.get(PLUGIN), span(taints));
    let others = weights.iter().filter(|(name, _)| *name != PLUGIN);
    let mut against: Vec<Line> = others.map(|(name, w)| line(name, w.max(0), PLUGIN_SCORE_MAX)).collect();
    let asked = config.extenders.iter().filter(|e| meets_local_prefer(e));
    let span = EXTENDER_SCORE_MAX * EXTENDER_POINT;
    against.extend(asked.map(|e| line(format!("extender {}", e.url_prefix), e.weight, span)));
    conclude(Method::Taint, ours, against, premises(taints))
}

/// The least difference between a real and a virtual node in TaintToleration's score, which is
/// 100 - 100 * count / largest count among the nodes scored.
fn span(taints: TaintCounts) -> i64 {
    let TaintCounts { virtual_min: v, virtual_max, real_max: r } = taints;
    let largest = virtual_max.max(v).max(r);
    if v <= r || largest == 0 {
        return 0;
    }
    PLUGIN_SCORE_MAX * i64::from(v - r) / i64::from(largest)
}

fn premises(taints: TaintCounts) -> Vec<String> {
    let TaintCounts { virtual_min: v, real_max: r, .. } = taints;
    let key = keys::TAINT_PREFER;
    let mut out = Vec::new();
    if v == 0 {
        out.push(format!(
            "a virtual node carries no PreferNoSchedule taint {key}: start its bridge, which sets it"
        ));
    } else if v <= r {
        out.push(format!(
            "real nodes carry up to {r} PreferNoSchedule taints, virtual nodes {v}: no weight is enough; remove the taints \
             from the real nodes or prove by extender"
        ));
    } else {
        out.push(format!("virtual nodes carry {v} PreferNoSchedule taint(s) {key}, real nodes at most {r}"));
    }
    out.push(format!("localPrefer pods do not tolerate {key} (admission refuses them otherwise)"));
    out.push("other extenders keep their scores within 0 to 10".to_owned());
    out
}
