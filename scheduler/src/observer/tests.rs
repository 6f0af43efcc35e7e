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
    explain(&facts, &index.snapshot(true), Timestamp::UNIX_EPOCH)
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

fn observed(uid: &str, policy: &str) -> ObservedPod {
    let mut pod = pod(policy, "1", "node-1");
    pod["metadata"]["uid"] = json!(uid);
    serde_json::from_str(&pod.to_string()).expect("a pod")
}

#[test]
fn a_binding_is_seen_once_and_old_pods_are_not_new() {
    let mut known = Known::default();
    let mut seen = |event| known.take_in(event).map(|facts| facts.uid);
    assert_eq!(seen(watcher::Event::Init), None);
    assert_eq!(seen(watcher::Event::InitApply(observed("old", "auto"))), None);
    assert_eq!(seen(watcher::Event::InitDone), None);
    assert_eq!(seen(watcher::Event::Apply(observed("old", "auto"))), None);
    assert_eq!(seen(watcher::Event::Apply(observed("ordinary", "off"))), None);
    assert_eq!(seen(watcher::Event::Apply(observed("new", "auto"))), Some("new".to_owned()));
    assert_eq!(seen(watcher::Event::Apply(observed("new", "auto"))), None);
    assert_eq!(seen(watcher::Event::Delete(observed("new", "auto"))), None);
    assert!(known.uids.contains("old") && known.uids.len() == 1, "{:?}", known.uids);
}

#[test]
fn an_unreadable_pod_does_not_stop_the_watch() {
    let text =
        r#"{"metadata":{"name":"a","uid":"u","labels":{"burst-to-cci":"auto"}},"spec":{"containers":7}}"#;
    let pod: ObservedPod = serde_json::from_str(text).expect("an identity");
    assert!(pod.burst.is_none());
    assert_eq!(pod.uid(), "u");
}
