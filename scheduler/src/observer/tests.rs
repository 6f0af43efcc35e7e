use cluster::{Index, SlimNode, SlimPod};
use jiff::Timestamp;
use policies::pod::PodFacts;
use serde_json::{Value, json};

use super::*;

fn node(name: &str, cpu: &str, virtual_node: bool) -> SlimNode {
    let (labels, taints) = if virtual_node {
        (
            json!({"type": "virtual-kubelet"}),
            json!([{"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"}]),
        )
    } else {
        (json!({}), json!([]))
    };
    let node = json!({
        "metadata": {"name": name, "uid": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    serde_json::from_value(node).expect("a node")
}

fn pod(policy: &str, cpu: &str, node: &str) -> Value {
    json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u-1", "resourceVersion": "5",
            "annotations": {"burst.io/resolved-policy": policy, "burst.io/policy-source": "Deployment/web"},
        },
        "spec": {
            "nodeName": node,
            "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}],
        },
    })
}

fn explained(pod: &Value) -> Option<Decision> {
    let mut index = Index::default();
    index.apply_node(node("node-1", "2", false));
    index.apply_node(node("burst-cci-0", "100", true));
    index.apply_pod(&serde_json::from_value::<SlimPod>(pod.clone()).expect("a pod"));
    let facts = PodFacts::from_value(pod).expect("facts");
    Explainer::default().explain(&facts, &index.snapshot(true), Timestamp::UNIX_EPOCH)
}

#[test]
fn placements_are_explained() {
    let check = |policy: &str, cpu: &str, node: &str, want: (&str, &str), words: &[&str]| {
        let decision = explained(&pod(policy, cpu, node)).expect("a decision");
        assert_eq!((decision.outcome, decision.reason), want, "{policy} {cpu} {node}: {}", decision.sentence);
        assert_eq!((decision.uid.as_str(), decision.source.as_str()), ("u-1", "Deployment/web"));
        for word in words {
            assert!(decision.sentence.contains(word), "{} does not say {word}", decision.sentence);
        }
    };
    check(
        "auto",
        "4",
        "burst-cci-0",
        ("cloud", "ShortOfCpu"),
        &["burst-cci-0", "huawei", "would have stayed local"],
    );
    check("auto", "1", "node-1", ("local", "RealNodeHadRoom"), &["local"]);
    check("auto", "2", "node-1", ("local", "RealNodeHadRoom"), &["local"]);
    check("auto", "1", "burst-cci-0", ("cloud", "SchedulerChose"), &["burst-cci-0"]);
    check("enforce", "1", "burst-cci-0", ("cloud", "PolicyEnforce"), &["burst-cci-0"]);
    check("localPrefer", "4", "burst-cci-0", ("cloud", "ShortOfCpu"), &["burst-cci-0"]);
}

#[test]
fn pods_without_a_policy_or_a_known_node_are_not_explained() {
    assert_eq!(explained(&pod("off", "1", "node-1")), None);
    assert_eq!(explained(&pod("auto", "1", "node-9")), None);
}

/// Whatever was judged before, the answer is that of somebody who was asked nothing else.
#[test]
fn siblings_are_judged_once_and_no_answer_is_carried_too_far() {
    let mut index = Index::default();
    index.apply_node(node("node-1", "4", false));
    index.apply_node(node("node-2", "4", false));
    index.apply_node(node("node-3", "1", false));
    index.apply_node(node("burst-cci-0", "100", true));
    index.apply_node(node("burst-cci-1", "100", true));
    let mut explainer = Explainer::default();
    let mut asked = Vec::new();
    let bindings = [
        ("auto", "1", "node-1"),
        ("auto", "1", "node-2"),
        ("auto", "1", "node-3"),
        ("auto", "1", "burst-cci-0"),
        ("auto", "1", "burst-cci-1"),
        ("localPrefer", "1", "burst-cci-1"),
        ("localPrefer", "3", "node-1"),
        ("auto", "3", "burst-cci-0"),
        ("auto", "1", "node-2"),
    ];
    for (i, (policy, cpu, node)) in bindings.into_iter().enumerate() {
        let mut pod = pod(policy, cpu, node);
        pod["metadata"]["uid"] = json!(format!("u-{i}"));
        pod["metadata"]["name"] = json!(format!("web-{i}"));
        index.apply_pod(&serde_json::from_value::<SlimPod>(pod.clone()).expect("a pod"));
        asked.push(PodFacts::from_value(&pod).expect("facts"));
        let picture = index.snapshot(true);
        for pod in asked.iter().chain(asked.iter().rev()) {
            let alone = Explainer::default().explain(pod, &picture, Timestamp::UNIX_EPOCH);
            assert!(alone.is_some());
            assert_eq!(explainer.explain(pod, &picture, Timestamp::UNIX_EPOCH), alone);
        }
    }
}
