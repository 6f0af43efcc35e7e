//! Sees to pods that may run on virtual nodes only, and that wait although a virtual node would take them which came after
//! their admission: admission names the nodes that there are ([`policies::admission::overlooked`]), and affinity cannot be
//! changed afterwards.
//!
//! Such a pod is given back to its controller, by an eviction guarded by its UID; its successor is admitted with the new
//! node. Where nobody would make an equal one the owner is told, once. What is remembered here can be lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::patch::evict_pod;
use cluster::successor::{Successor, facts, successor};
use cluster::{BurstPod, Outcome, PodPhase, PodRef, Snapshot};
use policies::admission::overlooked;
use policies::keys;
use policies::pod::PodFacts;
use policies::policy::Policy;
use tokio::time::Instant;

use super::{IDLE, Picture, Term};

/// Time between two looks.
const LOOKS: Duration = Duration::from_secs(5);
/// A pod that is younger may be on its way to a node (seconds).
const PATIENCE: i64 = 10;
/// Pods that are read in one look; the others in the next ones.
const READS: usize = 16;
/// Event reason.
const MADE_ANEW: &str = "BurstMadeAnew";

/// What is remembered between looks.
#[derive(Default)]
pub(super) struct Memory {
    looked: Option<Instant>,
    /// The virtual nodes at the last look.
    nodes: BTreeSet<String>,
    /// UIDs of pods that need no look until there is another node.
    seen: BTreeSet<String>,
}

impl Term<'_> {
    /// Gives waiting pods back for which a virtual node came late; returns when to look again.
    pub(super) async fn late(&mut self, picture: &Picture) -> Duration {
        let memory = &mut self.memory.late;
        if let Some(looked) = memory.looked.map(|at| at.elapsed()).filter(|looked| *looked < LOOKS) {
            return LOOKS - looked;
        }
        memory.looked = Some(Instant::now());
        let snapshot = &picture.snapshot;
        let nodes = snapshot.virtual_nodes().map(|node| node.name.clone()).collect();
        let waiting: Vec<_> = waiting(snapshot).cloned().collect();
        if memory.nodes != nodes {
            memory.nodes = nodes;
            memory.seen.clear();
        }
        memory.seen.retain(|uid| waiting.iter().any(|pod| pod.uid == *uid));
        let new: Vec<_> = waiting.into_iter().filter(|pod| !memory.seen.contains(pod.uid.as_str())).collect();
        let after = if new.is_empty() { IDLE } else { LOOKS };
        for pod in new.iter().filter(|pod| age(pod, picture) >= PATIENCE).take(READS) {
            match self.look_at(pod, snapshot).await {
                Ok(true) => drop(self.memory.late.seen.insert(pod.uid.to_string())),
                Ok(false) => {}
                Err(why) => tracing::debug!(pod = %pod.name, why, "whether a pod waits in vain is not known"),
            }
        }
        after
    }

    /// Looks at one pod; whether there is nothing more to do for it until there is another node.
    async fn look_at(&self, pod: &BurstPod, snapshot: &Snapshot) -> Result<bool, String> {
        let client = &self.leader.client;
        let reference = PodRef { namespace: &pod.namespace, name: &pod.name, uid: &pod.uid };
        let Some(facts) = facts(client, reference).await?.filter(|facts| facts.node_name.is_none()) else {
            return Ok(true);
        };
        let Some(node) = overlooked(&facts, snapshot.virtual_nodes()) else {
            return Ok(names_all(&facts, snapshot));
        };
        let node = &node.name;
        match successor(client, facts, false).await? {
            Successor::Nobody(why) => {
                let remedy =
                    format!("virtual node {node} came after this pod, which cannot use it: make it anew");
                self.event(
                    &pod.namespace,
                    &pod.name,
                    &pod.uid,
                    MADE_ANEW,
                    format!("burst: {remedy} ({why})"),
                );
            }
            Successor::Like(_) => match evict_pod(client, reference).await {
                Ok(Outcome::Done) => {
                    let note = format!("burst: made anew, because virtual node {node} came after this pod");
                    tracing::info!(pod_uid = %pod.uid, node, "a waiting pod is given back: the node came after it");
                    self.event(&pod.namespace, &pod.name, &pod.uid, MADE_ANEW, note);
                }
                Ok(Outcome::Gone | Outcome::Conflict) => {}
                Ok(Outcome::Retry(_)) => return Ok(false),
                Err(error) => return Err(error.to_string()),
            },
        }
        Ok(true)
    }
}

/// Whether there is no virtual node that the pod's affinity does not name; so too where nothing was named.
fn names_all(pod: &PodFacts, snapshot: &Snapshot) -> bool {
    let named = pod.annotations.get(keys::VIRTUAL_NODES);
    named.is_none_or(|named| {
        snapshot.virtual_nodes().all(|node| named.split(',').any(|name| name == node.name))
    })
}

fn waiting(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<BurstPod>> {
    snapshot.burst_pods().iter().filter(|pod| {
        pod.policy == Some(Policy::Enforce)
            && pod.node.is_none()
            && !pod.deleting
            && pod.phase == PodPhase::Pending
    })
}

/// Seconds since it was made.
fn age(pod: &BurstPod, picture: &Picture) -> i64 {
    pod.created.map_or(0, |created| picture.now.as_second() - created.as_second())
}
