//! Whether a feasible real node is among those compared at all.
//!
//! The search ends at the first so many feasible nodes (`numFeasibleNodesToFind`). With fewer virtual nodes than that, a
//! search that ended early found a real one, and a search that did not has seen every node.

use serde::Serialize;

use crate::scheduler_config::{LEAST_SAMPLE, Profile, SchedulerConfig};

/// The cluster's nodes by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NodeCounts {
    /// Real nodes.
    pub real: u64,
    /// Virtual nodes.
    pub virtual_nodes: u64,
}

/// What the sample of a profile means for the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sampling {
    /// Feasible nodes that end the search; `None` if nobody counted the nodes.
    pub sample: Option<u64>,
    /// Whether a sample with a feasible real node in the cluster has one; taken for granted if nobody counted.
    pub holds: bool,
    /// Why, or under which premise.
    pub sentence: String,
}

pub(super) fn judge(config: &SchedulerConfig, profile: &Profile, nodes: Option<NodeCounts>) -> Sampling {
    let reuses = config.reuses_scores(profile);
    match nodes {
        Some(nodes) => counted(config, profile, nodes, reuses),
        None => assumed(config.percentage(profile), reuses),
    }
}

fn counted(config: &SchedulerConfig, profile: &Profile, nodes: NodeCounts, reuses: bool) -> Sampling {
    let NodeCounts { real, virtual_nodes } = nodes;
    let all = real + virtual_nodes;
    let sample = config.nodes_to_find(profile, all);
    let whole = sample >= all;
    let (holds, sentence) = if whole {
        (true, format!("every feasible one of the {all} nodes is compared"))
    } else if virtual_nodes >= sample {
        let text = format!(
            "the search ends at {sample} feasible nodes, and {virtual_nodes} are virtual: a sample could hold no real node; \
             raise percentageOfNodesToScore"
        );
        (false, text)
    } else if reuses {
        (false, reused(sample))
    } else {
        let text = format!(
            "the search ends at {sample} feasible nodes, and {virtual_nodes} are virtual: every sample holds a real node, if \
             one is feasible"
        );
        (true, text)
    };
    Sampling { sample: Some(sample), holds, sentence }
}

fn reused(sample: u64) -> String {
    format!(
        "without extenders and without default topology constraints the scheduler places equal pods by one sample of \
         {sample} nodes for up to 500 ms (OpportunisticBatching): once its real nodes are full a virtual one is next, while \
         real nodes outside of the sample are free; set percentageOfNodesToScore: 100, or leave PodTopologySpread its \
         default constraints"
    )
}

fn assumed(percentage: u64, reuses: bool) -> Sampling {
    let sentence = if percentage >= 100 {
        "every feasible node is compared (percentageOfNodesToScore: 100)".to_owned()
    } else if reuses {
        format!("the cluster has fewer than {LEAST_SAMPLE} nodes; with more: {}", reused(LEAST_SAMPLE))
    } else {
        format!(
            "fewer than {LEAST_SAMPLE} nodes are virtual: no sample is smaller, so it holds a real node, if one is feasible"
        )
    };
    Sampling { sample: None, holds: true, sentence }
}
