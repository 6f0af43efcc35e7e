//! `/api/capacity`: one JSON object, computed from one snapshot.
//!
//! Lists are cut (virtual nodes and burst pods first, counts of what is left out beside them), for the page is polled by
//! every open browser and shares its threads with the extender.

use std::sync::Arc;

use cluster::snapshot::{BurstPod, ClassTotals, Snapshot};
use jiff::Timestamp;
use policies::node::{NodeClass, NodeRow};
use policies::policy::Policy;
use policies::resources::Resources;
use serde::Serialize;

use crate::app::App;
use crate::decisions::Decision;
use crate::page::Picture;

const NODES: usize = 200;
const PODS: usize = 300;
const DECISIONS: usize = 50;

/// What `GET /api/capacity` answers.
///
/// CPU is in thousandths of a core, memory in bytes, times are RFC 3339. While `cache.ready` is false the numbers are
/// the last that were known.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// When this was computed.
    pub generated_at: Timestamp,
    /// Version of burst-scheduler.
    pub version: &'static str,
    /// How fresh the numbers are.
    pub cache: Cache,
    /// Sums by class of node.
    pub classes: Classes,
    /// Unfinished pods without a node, with or without a policy.
    pub pending_pods: u32,
    /// Unfinished pods by policy and place.
    pub policies: Vec<PolicyRow>,
    /// Nodes, virtual ones first, at most 200.
    pub nodes: Vec<Node>,
    /// Nodes left out.
    pub nodes_omitted: usize,
    /// Pods on virtual nodes and pods with a policy that have no node yet, at most 300.
    pub burst_pods: Vec<BurstPodRow>,
    /// Burst pods left out.
    pub burst_pods_omitted: usize,
    /// The newest 50 decisions, newest first.
    pub decisions: Vec<Decision>,
    /// Tiers, budgets, held pods and stock-outs.
    pub overview: Picture,
}

/// How fresh the numbers are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Whether decisions are made from them.
    pub ready: bool,
    /// Why not, as a sentence.
    pub reason: Option<String>,
    /// Seconds since the API server was last heard; none before that.
    pub age_seconds: Option<f64>,
    /// Number of the snapshot.
    pub generation: u64,
}

/// Sums by class.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Classes {
    /// Nodes that the cluster owns.
    pub real: Class,
    /// Nodes that a bridge serves.
    #[serde(rename = "virtual")]
    pub virtual_nodes: Class,
}

/// Sums over the nodes of one class.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Class {
    /// Nodes.
    pub nodes: u32,
    /// Of which ready and schedulable.
    pub usable: u32,
    /// CPU.
    pub cpu_milli: Use,
    /// Memory.
    pub memory_bytes: Use,
    /// Pods.
    pub pods: Use,
}

/// How much there is, and how much of it is asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Use {
    /// Allocatable.
    pub allocatable: u64,
    /// Requested by unfinished pods bound there.
    pub requested: u64,
}

/// Unfinished pods of one policy.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PolicyRow {
    /// The policy.
    pub policy: Policy,
    /// Without a node.
    pub pending: u32,
    /// On real nodes.
    pub local: u32,
    /// On virtual nodes.
    pub burst: u32,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Name.
    pub name: String,
    /// Real or virtual.
    pub class: NodeClass,
    /// Provider of a virtual node.
    pub provider: Option<String>,
    /// Condition Ready is True.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// CPU.
    pub cpu_milli: Use,
    /// Memory.
    pub memory_bytes: Use,
    /// Pods.
    pub pods: Use,
}

/// One burst pod, with the newest decision about it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BurstPodRow {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Node; none while pending.
    pub node: Option<String>,
    /// Phase.
    pub phase: cluster::PodPhase,
    /// Has a deletion timestamp.
    pub deleting: bool,
    /// The policy in force.
    pub policy: Option<Policy>,
    /// Where the policy came from.
    pub source: Option<String>,
    /// What it asks for.
    pub requests: Requests,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Reason code of the decision; none for a pod that was bound before this process started, or is pending.
    pub reason: Option<&'static str>,
    /// The reason as a sentence.
    pub sentence: Option<String>,
}

/// What a pod asks for.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// CPU.
    pub cpu_milli: u64,
    /// Memory.
    pub memory_bytes: u64,
}

/// Computes the answer.
pub fn capacity(app: &App, now: Timestamp) -> Capacity {
    let snapshot = app.cluster.snapshot();
    let nodes = nodes(&snapshot);
    let burst_pods = burst_pods(app, &snapshot);
    Capacity {
        generated_at: now,
        version: env!("CARGO_PKG_VERSION"),
        cache: cache(app, &snapshot),
        classes: Classes {
            real: class(&snapshot.totals().real),
            virtual_nodes: class(&snapshot.totals().virtual_nodes),
        },
        pending_pods: snapshot.totals().pending_pods,
        policies: policies(&snapshot),
        nodes_omitted: snapshot.nodes().count().saturating_sub(nodes.len()),
        nodes,
        burst_pods_omitted: snapshot.burst_pods().len().saturating_sub(burst_pods.len()),
        burst_pods,
        decisions: app.decisions.newest(|_| true, DECISIONS),
        overview: Picture::clone(&app.overview.look()),
    }
}

fn cache(app: &App, snapshot: &Snapshot) -> Cache {
    let fresh = app.fresh();
    let age = app.cluster.freshness().age(tokio::time::Instant::now());
    Cache {
        ready: fresh.is_ok(),
        reason: fresh.err(),
        age_seconds: age.map(|age| age.as_secs_f64()),
        generation: snapshot.generation(),
    }
}

const fn class(totals: &ClassTotals) -> Class {
    let (all, asked) = (totals.allocatable, totals.requested);
    Class {
        nodes: totals.nodes,
        usable: totals.usable,
        cpu_milli: Use { allocatable: all.cpu_milli, requested: asked.cpu_milli },
        memory_bytes: Use { allocatable: all.memory_bytes, requested: asked.memory_bytes },
        pods: Use { allocatable: all.pods, requested: asked.pods },
    }
}

fn policies(snapshot: &Snapshot) -> Vec<PolicyRow> {
    let row = |policy: Policy| {
        let counts = snapshot.totals().policy(policy);
        PolicyRow { policy, pending: counts.pending, local: counts.local, burst: counts.burst }
    };
    Policy::ALL.into_iter().map(row).filter(|row| row.pending + row.local + row.burst > 0).collect()
}

fn nodes(snapshot: &Snapshot) -> Vec<Node> {
    let real = snapshot.nodes().map(|(_, row)| row).filter(|row| row.class == NodeClass::Real);
    let mut shown: Vec<&NodeRow> = snapshot.virtual_nodes().chain(real).take(NODES).collect();
    shown.sort_by(|a, b| (a.class == NodeClass::Real, &a.name).cmp(&(b.class == NodeClass::Real, &b.name)));
    shown.into_iter().map(node).collect()
}

fn node(row: &NodeRow) -> Node {
    let of = |pick: fn(&Resources) -> u64| Use {
        allocatable: pick(&row.allocatable),
        requested: pick(&row.requested),
    };
    Node {
        name: row.name.clone(),
        class: row.class,
        provider: row.provider.clone(),
        ready: row.ready,
        unschedulable: row.unschedulable,
        cpu_milli: of(|r| r.cpu_milli),
        memory_bytes: of(|r| r.memory_bytes),
        pods: of(|r| r.pods),
    }
}

fn burst_pods(app: &App, snapshot: &Snapshot) -> Vec<BurstPodRow> {
    let shown: Vec<&Arc<BurstPod>> = snapshot.burst_pods().iter().take(PODS).collect();
    let wanted: hashbrown::HashSet<&str> = shown.iter().map(|pod| pod.uid.as_str()).collect();
    let mut decisions = app.decisions.latest_by_uid(|uid| wanted.contains(uid));
    shown.into_iter().map(|pod| burst_pod(pod, decisions.remove(pod.uid.as_str()))).collect()
}

fn burst_pod(pod: &BurstPod, decision: Option<Decision>) -> BurstPodRow {
    let (reason, sentence) = decision.map_or((None, None), |d| (Some(d.reason), Some(d.sentence)));
    BurstPodRow {
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        uid: pod.uid.to_string(),
        node: pod.node.as_ref().map(ToString::to_string),
        phase: pod.phase,
        deleting: pod.deleting,
        policy: pod.policy,
        source: pod.policy_source.as_ref().map(ToString::to_string),
        requests: Requests { cpu_milli: pod.requests.cpu_milli, memory_bytes: pod.requests.memory_bytes },
        created: pod.created,
        reason,
        sentence,
    }
}
