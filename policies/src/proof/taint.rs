//! Proof by taint: TaintToleration alone outweighs everything else.

use super::{Line, Method, PLUGIN_SCORE_MAX, Proof, TaintCounts, conclude, foreign_range, opposition};
use crate::keys;
use crate::scheduler_config::{Profile, SchedulerConfig, ScoreWeights};

pub(super) const PLUGIN: &str = "TaintToleration";
/// Plugin weights are 32-bit numbers.
const MOST: i64 = i32::MAX as i64;
/// Counts above this are not told apart: no node carries so many taints.
const MOST_TAINTS: u32 = 64;

pub(super) fn prove(
    config: &SchedulerConfig,
    profile: &Profile,
    weights: &ScoreWeights,
    taints: TaintCounts,
) -> Proof {
    let against = opposition(config, weights, Some(PLUGIN));
    let plugins = &profile.plugins;
    let (span, premises) = if weights.get(PLUGIN) != 0 && !plugins.runs_at(&plugins.pre_score, PLUGIN) {
        let text = format!(
            "{PLUGIN} scores without its preScore, which fails every scheduling cycle: enable it there"
        );
        (0, vec![text])
    } else {
        (span(taints), premises(config, taints))
    };
    let ours = Line { term: PLUGIN.to_owned(), weight: weights.get(PLUGIN), span, points: 0 };
    conclude(Method::Taint, ours, against, premises, MOST)
}

/// The least difference between a real and a virtual node in TaintToleration's score, which is
/// 100 - 100 × count / largest count among the nodes scored, in whole numbers: tried over every count that the nodes of
/// a sample, and a pod that tolerates some of the taints, can lead to.
fn span(taints: TaintCounts) -> i64 {
    let capped = |n: u32| n.min(MOST_TAINTS);
    let (v, r) = (capped(taints.virtual_min), capped(taints.real_max));
    if v <= r {
        return 0;
    }
    let share = |count: u32, largest: u32| PLUGIN_SCORE_MAX * i64::from(count) / i64::from(largest);
    let largest = v..=capped(taints.virtual_max).max(v);
    // A virtual node with more taints only scores lower, a real one with fewer only higher.
    largest.map(|largest| share(v, largest) - share(r, largest)).min().unwrap_or(0)
}

fn premises(config: &SchedulerConfig, taints: TaintCounts) -> Vec<String> {
    let TaintCounts { virtual_min: v, virtual_max, real_max: r } = taints;
    let key = keys::TAINT_PREFER;
    let counted = if v == 0 {
        format!("a virtual node carries no PreferNoSchedule taint {key}: start its bridge, which sets it")
    } else if v <= r {
        format!(
            "real nodes carry up to {r} PreferNoSchedule taints, virtual nodes {v}: no weight is enough; remove the taints \
             from the real nodes or prove by extender"
        )
    } else if virtual_max > v {
        format!(
            "virtual nodes carry {v} PreferNoSchedule taint(s) {key}, real nodes at most {r}; some virtual node carries \
             {virtual_max} of all keys, against which the others count less"
        )
    } else {
        format!("virtual nodes carry {v} PreferNoSchedule taint(s) {key}, real nodes at most {r}")
    };
    let own = vec![
        counted,
        format!(
            "localPrefer pods do not tolerate {key} with effect PreferNoSchedule (admission refuses them otherwise)"
        ),
    ];
    let objects = config.extenders.iter().filter(|e| !e.filter_verb.is_empty() && !e.node_cache_capable);
    let objects = objects.map(|e| {
        format!(
            "extender {} is not nodeCacheCapable and returns nodes as it likes: it leaves their taints alone",
            e.url_prefix
        )
    });
    own.into_iter().chain(objects).chain(foreign_range(config)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_span() {
        let check = |virtual_min, virtual_max, real_max, wanted| {
            assert_eq!(span(TaintCounts { virtual_min, virtual_max, real_max }), wanted);
        };
        check(1, 1, 0, 100);
        check(1, 2, 0, 50);
        check(1, 3, 0, 33);
        check(3, 3, 1, 67);
        check(3, 7, 2, 14);
        check(1, 1, 1, 0);
        check(0, 0, 0, 0);
        check(2, 1, 0, 100);
    }
}
