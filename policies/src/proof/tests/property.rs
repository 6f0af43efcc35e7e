//! The proof against the scheduler's own arithmetic: random clusters, pods, scores and weights, totals made as
//! `prioritizeNodes` makes them, TaintToleration normalised as `DefaultNormalizeScore` does.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A node of a sample.
#[derive(Clone, Debug)]
struct Node {
    is_virtual: bool,
    /// PreferNoSchedule taints that the pod does not tolerate.
    taints: u32,
    /// Final score of each plugin that scores, by the order of the profile; TaintToleration's place is not used.
    scores: Vec<i64>,
    /// What the foreign extender says, and what ours says.
    extenders: (i64, i64),
}

const TAINT: &str = "TaintToleration";

/// What the scheduler adds up for each node.
fn totals(config: &SchedulerConfig, nodes: &[Node]) -> Vec<i64> {
    let weights = ScoreWeights::of(&config.profiles[0]);
    let largest = nodes.iter().map(|n| n.taints).max().unwrap_or(0);
    let taint_score = |node: &Node| match largest {
        0 => 100,
        _ => 100 - 100 * i64::from(node.taints) / i64::from(largest),
    };
    let total = |node: &Node| {
        let plugins = weights.iter().zip(&node.scores);
        let plugins: i64 = plugins
            .map(|((name, w), score)| w * if name == TAINT { taint_score(node) } else { *score })
            .sum();
        let extenders: i64 = config
            .extenders
            .iter()
            .map(|e| {
                e.weight
                    * 10
                    * if e.url_prefix.contains(":10260") { node.extenders.1 } else { node.extenders.0 }
            })
            .sum();
        plugins + extenders
    };
    nodes.iter().map(total).collect()
}

/// Whether a virtual node is among the best: ties are broken by chance.
fn cloud_wins(config: &SchedulerConfig, nodes: &[Node]) -> bool {
    let totals = totals(config, nodes);
    let best = totals.iter().max();
    nodes.iter().zip(&totals).any(|(node, total)| node.is_virtual && Some(total) == best)
}

#[derive(Clone, Debug)]
struct World {
    config: Value,
    nodes: Vec<Node>,
}

fn node(is_virtual: bool, foreign: u32) -> impl Strategy<Value = Node> {
    // Real plugins answer at the ends of the scale as a rule, and there lie the counterexamples.
    let score = prop_oneof![Just(0i64), Just(100), 0i64..=100];
    let ours = if is_virtual { -10 } else { 0 };
    (0..=foreign, prop::collection::vec(score, 16), 0i64..=10).prop_map(move |(foreign, scores, other)| {
        Node { is_virtual, taints: foreign + u32::from(is_virtual), scores, extenders: (other, ours) }
    })
}

/// Weights of in-tree plugins and of one out of tree, either sign, at either place; perhaps extenders.
fn plugins() -> impl Strategy<Value = Value> {
    let weight = prop_oneof![3 => 1i64..12, 1 => -6i64..0];
    let extra = prop::collection::btree_map(
        prop::sample::select(vec!["NodeAffinity", "ImageLocality", "PodTopologySpread", "Mine"]),
        (weight, any::<bool>()),
        0..4,
    );
    let off = prop::sample::subsequence(vec!["VolumeBinding", "DynamicResources", "InterPodAffinity"], 0..3);
    (1i64..40, any::<bool>(), extra, off).prop_map(|(taint, at_score, extra, off)| {
        let mut lists = json!({"score": {"enabled": [], "disabled": []}, "multiPoint": {"enabled": []}});
        let mut add = |at_score: bool, name: &str, weight: i64| {
            let point = if at_score { "score" } else { "multiPoint" };
            lists[point]["enabled"].as_array_mut().unwrap().push(json!({"name": name, "weight": weight}));
        };
        add(at_score, TAINT, taint);
        extra.iter().for_each(|(name, (weight, at_score))| add(*at_score, name, *weight));
        lists["score"]["disabled"] = off.iter().map(|name| json!({"name": name})).collect();
        lists
    })
}

fn world() -> impl Strategy<Value = World> {
    let extenders = (prop::option::of(1i64..40), prop::option::of(1i64..4), any::<bool>());
    let extenders = extenders.prop_map(|(own, foreign, managed)| {
        let own = own.map(|weight| ours(weight, managed));
        json!(own.into_iter().chain(foreign.map(other)).collect::<Vec<_>>())
    });
    let nodes = (0u32..3, 0u32..3).prop_flat_map(|(on_real, on_virtual)| {
        let real = prop::collection::vec(node(false, on_real), 1..4);
        let virtual_nodes = prop::collection::vec(node(true, on_virtual), 1..3);
        (real, virtual_nodes).prop_map(|(real, more)| [real, more].concat())
    });
    let worlds = (plugins(), extenders, nodes).prop_map(|(plugins, extenders, nodes)| World {
        config: json!({"profiles": [{"plugins": plugins}], "extenders": extenders}),
        nodes,
    });
    worlds.prop_filter("kube-scheduler starts with it", |w| parsed(w.config.clone()).validate().is_ok())
}

/// What `kubectl burst verify --live` would count. Counts are of the whole cluster, so a sample has at most these.
fn counted(nodes: &[Node]) -> TaintCounts {
    let most =
        |class: bool| nodes.iter().filter(|n| n.is_virtual == class).map(|n| n.taints).max().unwrap_or(0);
    TaintCounts { virtual_min: 1, virtual_max: most(true), real_max: most(false) }
}

/// The cluster that a proof fails on: everything else at its worst, one real and one virtual node, and for the taint
/// one more virtual node that makes the others count less.
fn worst(config: &SchedulerConfig, largest: u32, real: u32) -> Vec<Node> {
    let weights = ScoreWeights::of(&config.profiles[0]);
    let speak = |for_virtual: bool| {
        weights.iter().map(|(_, w)| if (w > 0) == for_virtual { 100 } else { 0 }).collect()
    };
    let of = |is_virtual: bool, taints: u32| Node {
        is_virtual,
        taints,
        scores: speak(is_virtual),
        extenders: if is_virtual { (10, 0) } else { (0, 0) },
    };
    vec![of(false, real), of(true, 1), of(true, largest)]
}

fn with_weight(config: &SchedulerConfig, set: impl Fn(&mut SchedulerConfig)) -> SchedulerConfig {
    let mut changed = config.clone();
    set(&mut changed);
    changed
}

fn set_taint_weight(config: &mut SchedulerConfig, weight: i64) {
    let weight = Some(i32::try_from(weight).unwrap());
    let plugins = &mut config.profiles[0].plugins;
    let lists = [&mut plugins.score.enabled, &mut plugins.multi_point.enabled];
    lists.into_iter().flatten().filter(|p| p.name == TAINT).for_each(|p| p.weight = weight);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What is proved holds: no virtual node is even among the best, whatever else is said.
    #[test]
    fn proved_never_lets_the_cloud_win(w in world()) {
        let config = whole(w.config.clone());
        let verdict = verify(&config, facts(counted(&w.nodes), 10)).remove(0);
        if verdict.taint.proved {
            // With our extender answering, silent, and dead.
            prop_assert!(!cloud_wins(&config, &w.nodes), "{:?}\n{:?}", verdict.taint, totals(&config, &w.nodes));
            let mut silent = w.nodes.clone();
            silent.iter_mut().for_each(|n| n.extenders.1 = 0);
            prop_assert!(!cloud_wins(&config, &silent), "{:?}\n{:?}", verdict.taint, totals(&config, &silent));
        }
        if verdict.extender.as_ref().is_some_and(|p| p.proved) {
            prop_assert!(!cloud_wins(&config, &w.nodes), "{:?}\n{:?}", verdict.extender, totals(&config, &w.nodes));
        }
    }

    /// The weight that is asked for is the least: with it the proof stands, with one less a cluster exists in which a
    /// virtual node is among the best.
    #[test]
    fn one_less_than_needed_has_a_counterexample(w in world()) {
        let config = whole(w.config.clone());
        let taints = counted(&w.nodes);
        let verdict = verify(&config, facts(taints, 10)).remove(0);
        if let Some(needed) = verdict.taint.needed_weight {
            let enough = with_weight(&config, |c| set_taint_weight(c, needed));
            prop_assert!(verify(&enough, facts(taints, 10))[0].taint.proved);
            if needed > 1 {
                let less = with_weight(&config, |c| set_taint_weight(c, needed - 1));
                prop_assert!(!verify(&less, facts(taints, 10))[0].taint.proved);
                let clusters = (1..=taints.virtual_max).map(|largest| worst(&less, largest, taints.real_max));
                prop_assert!(clusters.into_iter().any(|nodes| cloud_wins(&less, &nodes)), "{:?}", verdict.taint);
            }
        } else {
            prop_assert!(taints.real_max >= 1, "{:?}", verdict.taint);
            let any = with_weight(&config, |c| set_taint_weight(c, 100_000));
            prop_assert!(cloud_wins(&any, &worst(&any, taints.virtual_max, taints.real_max)));
        }
        if let Some(needed) = verdict.extender.as_ref().and_then(|p| p.needed_weight) {
            let ours = |c: &mut SchedulerConfig, weight| {
                c.extenders.iter_mut().filter(|e| e.url_prefix.contains(":10260")).for_each(|e| e.weight = weight);
            };
            let enough = with_weight(&config, |c| ours(c, needed));
            prop_assert!(verify(&enough, Facts::SHIPPED)[0].extender.as_ref().unwrap().proved);
            if needed > 1 {
                let less = with_weight(&config, |c| ours(c, needed - 1));
                prop_assert!(!verify(&less, Facts::SHIPPED)[0].extender.as_ref().unwrap().proved);
                // By extender nothing is known of taints: here a real node carries one, and the virtual one none.
                let mut nodes = worst(&less, 1, 1);
                nodes.truncate(2);
                nodes[1].taints = 0;
                nodes[1].extenders.1 = -10;
                prop_assert!(cloud_wins(&less, &nodes), "{:?}", verdict.extender);
            }
        }
    }
}
