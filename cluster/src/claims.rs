//! What a plan looks at, from what is watched: claims and the world. Pure.
//!
//! Whatever is not known is taken for what counts: a pod of unknown size is larger than any ceiling, a node that is not
//! known is virtual, a report that cannot be read proves nothing.

use std::collections::BTreeMap;

use policies::burst_policy::BurstPolicySpec;
use policies::ledger::{Bound, Claim, GangMember, NodeReport, VirtualNode};
use policies::node::{NodeClass, NodeRow};
use policies::price::Billing;
use policies::resources::Resources;

use crate::governed::GovernedPod;
use crate::kept::Objects;
use crate::reports::StoredReport;
use crate::snapshot::Snapshot;

/// More than any cluster has, and far from where sums saturate.
const HUGE: u64 = 1 << 50;

/// A pod as its policy's plan sees it. `preempted`: a node was nominated for it once.
pub fn claim(pod: &GovernedPod, spec: &BurstPolicySpec, snapshot: &Snapshot, preempted: bool) -> Claim {
    Claim {
        uid: pod.uid().to_owned(),
        namespace: pod.namespace().to_owned(),
        name: pod.name().to_owned(),
        policy: pod.policy().or(spec.policy).unwrap_or_default(),
        requests: if pod.undecodable { unknown() } else { pod.requests },
        beside: pod.beside().unwrap_or(Resources { pods: 0, ..unknown() }),
        billed: pod.billed.clone(),
        created: pod.created.map_or(0, jiff::Timestamp::as_second),
        unschedulable_since: pod.unschedulable_since.map(jiff::Timestamp::as_second),
        preemption_tried: preempted || pod.preemption_told || pod.nominated_node.is_some(),
        priority: pod.priority,
        gang: gang(pod, spec),
        gated: pod.gated(),
        granted: pod.grant().map(str::to_owned),
        tolerated: tolerated(pod),
        node: pod.node.as_deref().map(|name| bound(pod, name, snapshot)),
        deleting: pod.deleting,
        finished: pod.phase.finished(),
        labels: pod.labels.clone(),
        unsupported_by: pod.unsupported_by().map(str::to_owned).collect(),
    }
}

const fn unknown() -> Resources {
    Resources { cpu_milli: HUGE, memory_bytes: HUGE, ephemeral_storage_bytes: HUGE, gpu: HUGE, pods: 1 }
}

fn gang(pod: &GovernedPod, spec: &BurstPolicySpec) -> Option<GangMember> {
    let gang = spec.gang.as_ref()?;
    let group = pod.labels.get(&gang.label_key)?.clone();
    Some(GangMember { group, size: pod.gang_size().unwrap_or(gang.size) })
}

/// None while it tolerates no provider: then it has not been opened.
fn tolerated(pod: &GovernedPod) -> Option<Vec<String>> {
    let any = pod.opened.iter().any(|value| value.is_empty());
    let values = || pod.opened.iter().map(ToString::to_string).collect();
    (!pod.opened.is_empty()).then(|| if any { Vec::new() } else { values() })
}

fn bound(pod: &GovernedPod, name: &str, snapshot: &Snapshot) -> Bound {
    let row = snapshot.by_name(name);
    Bound {
        name: name.to_owned(),
        // A grant on a real node is given back at once; one in the cloud must not be.
        class: row.map_or(NodeClass::Virtual, |row| row.class),
        provider: row.and_then(|row| row.provider.clone()).unwrap_or_default(),
        zone: row.map(|row| row.zone().to_owned()).unwrap_or_default(),
        since: pod.bound_since.map(jiff::Timestamp::as_second),
    }
}

/// Every virtual node.
pub fn virtual_nodes(snapshot: &Snapshot) -> Vec<VirtualNode> {
    let node = |row: &NodeRow| VirtualNode {
        name: row.name.clone(),
        provider: row.provider.clone().unwrap_or_default(),
        zone: row.zone().to_owned(),
        labels: row.labels.to_map(),
        ready: row.ready && !row.unschedulable,
        billing: Billing::default(),
    };
    snapshot.virtual_nodes().map(node).collect()
}

/// Every real node.
pub fn real_nodes(snapshot: &Snapshot) -> Vec<NodeRow> {
    snapshot.nodes().filter(|(_, row)| row.class == NodeClass::Real).map(|(_, row)| row.clone()).collect()
}

/// What the bridges say.
pub fn reports(stored: &Objects<StoredReport>) -> BTreeMap<String, NodeReport> {
    stored.values().filter_map(|one| Some((one.name().to_owned(), one.spec.clone().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use policies::burst_policy::Gang;
    use policies::policy::Policy;
    use serde_json::{Value, json};

    use super::*;

    fn pod(extra: &Value) -> GovernedPod {
        let mut object = json!({
            "metadata": {
                "name": "a", "namespace": "shop", "uid": "u", "creationTimestamp": "1970-01-01T00:00:07Z",
                "labels": {"job": "j"}, "annotations": {"burst.io/resolved-policy": "localPrefer"},
            },
            "spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}]},
        });
        json_patch::merge(&mut object, extra);
        serde_json::from_value(object).expect("decodes")
    }

    fn of(extra: &Value) -> Claim {
        let gang = Gang { label_key: "job".to_owned(), size: 4 };
        let spec = BurstPolicySpec { gang: Some(gang), ..BurstPolicySpec::default() };
        claim(&pod(extra), &spec, &Snapshot::default(), false)
    }

    #[test]
    fn what_the_pod_says() {
        let claim = of(&json!({}));
        assert_eq!((claim.policy, claim.created, claim.requests.cpu_milli), (Policy::LocalPrefer, 7, 1000));
        assert_eq!(claim.gang, Some(GangMember { group: "j".to_owned(), size: 4 }));
        let sized = of(&json!({"metadata": {"annotations": {"burst.io/gang-size": "2"}}}));
        assert_eq!(sized.gang.map(|gang| gang.size), Some(2));
        let narrow = of(&json!({"metadata": {"annotations": {"burst.io/unsupported-by": "huawei,ucloud"}}}));
        assert_eq!(narrow.unsupported_by, ["huawei", "ucloud"]);
        assert_eq!(of(&json!({"metadata": {"labels": {"job": null}}})).gang, None);
        assert!(of(&json!({"status": {"nominatedNodeName": "n"}})).preemption_tried);
        let unschedulable = |message: &str| {
            of(&json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": message}]}}))
        };
        let none = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption \
                    victims found for incoming pod.";
        assert!(unschedulable(none).preemption_tried);
        assert!(!unschedulable("0/3 nodes are available: 3 Insufficient cpu.").preemption_tried);
    }

    /// Guards the limits: taken for a real node, a grant whose instance still runs would be given to another pod.
    #[test]
    fn a_pod_on_a_node_that_is_not_known_counts_as_in_the_cloud() {
        let claim = of(&json!({"spec": {"nodeName": "deleted"}}));
        assert_eq!(claim.node.map(|node| node.class), Some(NodeClass::Virtual));
    }

    #[test]
    fn a_pod_of_unknown_size_fits_nowhere() {
        let claim = of(&json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "much"}}}]}}));
        assert!(claim.requests.cpu_milli >= HUGE && claim.requests.memory_bytes >= HUGE);
        assert_eq!(claim.requests.pods, 1);
    }

    /// Guards the money: what runs beside a pod is paid for.
    #[test]
    fn what_runs_beside_a_pod_counts_and_what_cannot_be_read_fits_nowhere() {
        let beside = |text: &str| {
            of(&json!({"metadata": {"annotations": {"burst.io/daemonsets-requests": text}}})).beside
        };
        let some = beside(r#"{"cpu":"150m","memory":"96Mi"}"#);
        assert_eq!((some.cpu_milli, some.memory_bytes, some.pods), (150, 96 << 20, 0));
        for broken in ["", "much", r#"{"cpu":"much"}"#] {
            assert!(beside(broken).cpu_milli >= HUGE, "{broken}");
        }
        assert_eq!(of(&json!({})).beside, Resources::default());
    }

    /// Guards budgets: CCI rounds container by container, and bills half a core for two tenths.
    #[test]
    fn several_containers_are_billed_as_they_are_rounded() {
        let billed = |containers: &Value, annotations: &Value| {
            let claim =
                of(&json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}));
            let size = claim.billed.get("huawei");
            size.map(|size| (size.cpu_milli, size.memory_bytes >> 30, size.pods))
        };
        let small = json!({"resources": {"requests": {"cpu": "100m", "memory": "1Gi"}}});
        let none = json!({});
        assert_eq!(billed(&json!([small]), &none), None, "the sum tells");
        assert_eq!(billed(&json!([small, small]), &none), Some((500, 2, 1)));
        let agents = json!({"burst.io/daemonsets-requests": r#"{"cpu":"200m"}"#,
            "burst.io/daemonsets-sizes": r#"[{"cpu":"100m"},{"cpu":"100m"}]"#});
        assert_eq!(billed(&json!([small]), &agents), Some((750, 2, 1)));
        let sum = json!({"burst.io/daemonsets-requests": r#"{"cpu":"200m"}"#});
        assert_eq!(billed(&json!([small]), &sum), Some((500, 2, 1)), "taken for one");
    }

    #[test]
    fn a_report_that_cannot_be_read_proves_nothing() {
        let stored = |name: &str, spec: Value| -> StoredReport {
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("decodes")
        };
        let all = [stored("a", json!({"instances": 1})), stored("b", json!({"instances": "x"}))];
        let all = all.into_iter().map(|one| (one.name().into(), std::sync::Arc::new(one))).collect();
        assert_eq!(reports(&all).into_keys().collect::<Vec<_>>(), ["a"]);
    }
}
