#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{feasible::real_node_has_room, filter::*, *};
use crate::{
    keys,
    node::{Taint, TaintEffect},
    selector::Toleration,
};

const GI: u64 = 1 << 30;

fn room(cpu_milli: u64, memory_gi: u64) -> Resources {
    Resources { cpu_milli, memory_bytes: memory_gi * GI, pods: 10, ..Resources::default() }
}

fn real(name: &str, cpu_milli: u64) -> NodeRow {
    NodeRow {
        name: name.into(),
        class: NodeClass::Real,
        provider: None,
        allocatable: room(4000, 8),
        requested: Resources { cpu_milli: 4000 - cpu_milli, pods: 1, ..Resources::default() },
        taints: vec![],
        labels: BTreeMap::from([("zone".into(), "a".into())]),
        ready: true,
        unschedulable: false,
    }
}

fn virtual_node(name: &str) -> NodeRow {
    let taint = |key: &str, effect| Taint { key: key.into(), value: "huawei".into(), effect };
    NodeRow {
        class: NodeClass::Virtual,
        provider: Some("huawei".into()),
        allocatable: room(1_000_000, 4096),
        requested: Resources::default(),
        taints: vec![
            taint(keys::TAINT_PROVIDER, TaintEffect::NoSchedule),
            taint(keys::TAINT_PREFER, TaintEffect::PreferNoSchedule),
        ],
        labels: BTreeMap::from([(keys::NODE_TYPE.into(), keys::NODE_TYPE_VIRTUAL.into())]),
        ..real(name, 0)
    }
}

fn pod(cpu: &str, spec: Value) -> PodFacts {
    let mut pod = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}
    });
    json_patch::merge(&mut pod["spec"], &spec);
    PodFacts::from_value(&pod).unwrap()
}

fn plain(cpu: &str) -> PodFacts {
    pod(cpu, json!({}))
}

#[test]
fn each_policy_with_and_without_local_room() {
    let free = [real("node-1", 1000), real("node-2", 120), virtual_node("burst-cci")];
    let full = [real("node-1", 100), real("node-2", 120), virtual_node("burst-cci")];
    let cloud = || Outcome::Cloud { node: "burst-cci".into(), provider: Some("huawei".into()) };
    let check = |policy, nodes: &[NodeRow], outcome: Outcome, reasons: &[Reason], sentence: &str| {
        let decision = decide(&plain("500m"), policy, nodes);
        assert_eq!(decision.outcome, outcome, "{policy:?}");
        assert_eq!(decision.reasons, reasons, "{policy:?}");
        assert_eq!(decision.sentence, sentence);
    };
    let some = "stays local, policy auto; 2 real nodes: 1 with room, 1 short of cpu (pod needs 500m, most free 120m on node-2)";
    check(Policy::Auto, &free, Outcome::Local, &[], some);
    check(Policy::LocalPrefer, &free, Outcome::Local, &[], &some.replace("auto", "localPrefer"));
    check(Policy::Off, &free, Outcome::Local, &[Reason::PolicyOff], &some.replace("auto", "off"));
    let none = "bursts to burst-cci (huawei), policy auto; 2 real nodes: 2 short of cpu (pod needs 500m, most free 120m on node-2)";
    check(Policy::Auto, &full, cloud(), &[Reason::ShortOfCpu], none);
    check(Policy::LocalPrefer, &full, cloud(), &[Reason::ShortOfCpu], &none.replace("auto", "localPrefer"));
    let waits = "waits, policy off; 2 real nodes: 2 short of cpu (pod needs 500m, most free 120m on node-2); 1 virtual node: 1 closed by policy off";
    check(Policy::Off, &full, Outcome::Wait, &[Reason::ShortOfCpu, Reason::PolicyOff], waits);
    let enforced = "bursts to burst-cci (huawei), policy enforce; 2 real nodes: 2 closed by policy enforce";
    check(Policy::Enforce, &free, cloud(), &[Reason::PolicyEnforce], enforced);
    let alone = "waits, policy enforce; 2 real nodes: 2 closed by policy enforce; no virtual node";
    check(Policy::Enforce, &free[..2], Outcome::Wait, &[Reason::PolicyEnforce, Reason::NoVirtualNode], alone);
    let empty = "waits, policy auto; no real node; no virtual node";
    check(Policy::Auto, &[], Outcome::Wait, &[Reason::NoRealNode, Reason::NoVirtualNode], empty);
}

#[test]
fn obstacles_of_a_node() {
    let check = |name: &str, pod: &PodFacts, change: fn(&mut NodeRow), wanted: Option<Reason>| {
        let mut node = real("node-1", 1000);
        change(&mut node);
        assert_eq!(feasible::obstacle(pod, Policy::Auto, &node), wanted, "{name}");
    };
    let small = plain("500m");
    let tolerant = pod("500m", json!({"tolerations": [{"operator": "Exists"}]}));
    check("room", &small, |_| {}, None);
    check("not ready", &small, |n| n.ready = false, Some(Reason::NotReady));
    check("not ready, tolerated", &tolerant, |n| n.ready = false, None);
    check("cordoned", &small, |n| n.unschedulable = true, Some(Reason::Cordoned));
    check("cordoned, tolerated", &tolerant, |n| n.unschedulable = true, None);
    fn tainted(node: &mut NodeRow) {
        node.taints = vec![Taint { key: "gpu".into(), value: String::new(), effect: TaintEffect::NoExecute }];
    }
    check("tainted", &small, tainted, Some(Reason::UntoleratedTaint));
    check("tainted, tolerated", &tolerant, tainted, None);
    fn avoided(node: &mut NodeRow) {
        node.taints =
            vec![Taint { key: "x".into(), value: String::new(), effect: TaintEffect::PreferNoSchedule }];
    }
    check("merely avoided", &small, avoided, None);
    check("pods", &small, |n| n.requested.pods = 10, Some(Reason::ShortOfPods));
    check("cpu", &small, |n| n.requested.cpu_milli = 3501, Some(Reason::ShortOfCpu));
    check("memory", &small, |n| n.requested.memory_bytes = 8 * GI - 1, Some(Reason::ShortOfMemory));
    check("overcommitted", &small, |n| n.requested.cpu_milli = 9000, Some(Reason::ShortOfCpu));
    let gpu = pod("1", json!({"containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}));
    check("gpu", &gpu, |_| {}, Some(Reason::ShortOfGpu));
    let disk = pod("1", json!({"containers": [{"resources": {"requests": {"ephemeral-storage": "1"}}}]}));
    check("disk", &disk, |_| {}, Some(Reason::ShortOfEphemeralStorage));
    let zone_b = pod("1m", json!({"nodeSelector": {"zone": "b"}}));
    check("selector", &zone_b, |_| {}, Some(Reason::SelectorMismatch));
    let required = |values: Value| {
        let term = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": values}]});
        let required = json!({"nodeSelectorTerms": [term]});
        pod(
            "1m",
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}),
        )
    };
    check("affinity", &required(json!(["b"])), |_| {}, Some(Reason::SelectorMismatch));
    check("affinity matches", &required(json!(["b", "a"])), |_| {}, None);
}

#[test]
fn the_policy_opens_the_provider_taint_unless_the_pod_names_it() {
    let node = virtual_node("burst-cci");
    let other =
        json!({"tolerations": [{"key": keys::TAINT_PROVIDER, "operator": "Equal", "value": "ucloud"}]});
    assert_eq!(feasible::obstacle(&plain("1"), Policy::Auto, &node), None);
    assert_eq!(feasible::obstacle(&pod("1", other), Policy::Auto, &node), Some(Reason::UntoleratedTaint));
    assert_eq!(feasible::obstacle(&plain("1"), Policy::Off, &node), Some(Reason::PolicyOff));
}

#[test]
fn what_the_provider_knows_can_reject() {
    let nodes = [real("node-1", 100), virtual_node("a"), virtual_node("b")];
    let outcome = |policy, judge: Judge<'_>| decide_with(&plain("1"), policy, &nodes, judge).outcome;
    let never = |_: &NodeRow| Some(Reason::UnsupportedField);
    let only_b = |n: &NodeRow| (n.name != "b").then_some(Reason::ShapeTooLarge);
    let stale = |_: &NodeRow| Some(Reason::StaleCache);
    assert_eq!(outcome(Policy::Enforce, &never), Outcome::Reject);
    assert_eq!(outcome(Policy::Auto, &never), Outcome::Wait, "a real node may get room");
    assert_eq!(outcome(Policy::Enforce, &stale), Outcome::Wait);
    let b = Outcome::Cloud { node: "b".into(), provider: Some("huawei".into()) };
    assert_eq!(outcome(Policy::Enforce, &only_b), b);
    assert_eq!(
        decide_with(&plain("1"), Policy::Off, &nodes, &never).verdicts[1].obstacle,
        Some(Reason::PolicyOff)
    );
}

#[test]
fn the_emptiest_virtual_node_is_named() {
    let mut busy = virtual_node("a");
    busy.requested.pods = 5;
    let nodes = [busy, virtual_node("c"), virtual_node("b")];
    let Outcome::Cloud { node, .. } = decide(&plain("1"), Policy::Enforce, &nodes).outcome else {
        panic!("not cloud")
    };
    assert_eq!(node, "b");
}

#[test]
fn the_nearest_alternative_is_true() {
    let mut nodes = vec![real("node-1", 100), real("node-2", 120), virtual_node("burst-cci")];
    nodes[0].unschedulable = true;
    let decision = decide(&plain("500m"), Policy::LocalPrefer, &nodes);
    let [alternative] = decision.alternatives.as_slice() else { panic!("{:?}", decision.alternatives) };
    assert_eq!(alternative.sentence, "would have stayed local if 380m more cpu were free on node-2");
    let lacks = alternative.lacks;
    nodes[1].allocatable = nodes[1].allocatable.plus(lacks);
    assert_eq!(decide(&plain("500m"), Policy::LocalPrefer, &nodes).outcome, Outcome::Local);
    let elsewhere = pod("500m", json!({"nodeSelector": {"zone": "b"}}));
    assert_eq!(decide(&elsewhere, Policy::LocalPrefer, &nodes[..2]).alternatives, []);
    let both = pod("9", json!({"overhead": {"memory": "15.25Gi"}}));
    let sentence = &decide(&both, Policy::Off, &nodes[1..2]).alternatives[0].sentence;
    assert_eq!(
        sentence,
        "would run on a real node if 8500m more cpu and 8.3Gi more memory were free on node-2"
    );
}

#[test]
fn amounts_for_people() {
    let check = |bytes, needed: &str, free: &str| {
        assert_eq!(
            (sentence::needed_bytes(bytes), sentence::free_bytes(bytes)),
            (needed.into(), free.into())
        );
    };
    check(0, "0", "0");
    check(1023, "1023", "1023");
    check(1024, "1Ki", "1Ki");
    check(GI + 1, "1.1Gi", "1Gi");
    check(3 * GI / 2, "1.5Gi", "1.5Gi");
    check(u64::MAX, "16777216Ti", "16777215.9Ti");
    assert_eq!(sentence::cpu(1500), "1500m");
    assert_eq!(sentence::cpu(2000), "2");
}

#[test]
fn filter_by_policy() {
    let nodes = [real("node-1", 1000), virtual_node("burst-cci")];
    let find = |name: &str| nodes.iter().find(|n| n.name == name);
    let names = ["node-1", "burst-cci", "new"];
    let check = |policy, passed: &[&str], refused: &[(&str, Reason)]| {
        let room = || panic!("asked without need");
        let got = filter(policy, &plain("1"), &names, find, room, &no_objection);
        assert_eq!((got.passed.as_slice(), got.refused.as_slice()), (passed, refused), "{policy:?}");
    };
    check(Policy::Off, &["node-1", "new"], &[("burst-cci", Reason::PolicyOff)]);
    check(Policy::Auto, &names, &[]);
    check(Policy::LocalPrefer, &names, &[]);
    check(
        Policy::Enforce,
        &["burst-cci"],
        &[("node-1", Reason::PolicyEnforce), ("new", Reason::UnknownNode)],
    );
    let judge = |_: &NodeRow| Some(Reason::ShapeTooLarge);
    let got = filter(Policy::Auto, &plain("1"), &names, find, || false, &judge);
    assert_eq!(got.refused, [("burst-cci", Reason::ShapeTooLarge)]);
}

#[test]
fn a_nomination_to_a_virtual_node_does_not_break_local_preference() {
    let nodes = [real("node-1", 1000), virtual_node("burst-cci")];
    let check = |policy, nominated: Option<&str>, pod: PodFacts, names: &[&str], wanted: Option<Reason>| {
        let pod = PodFacts { nominated_node_name: nominated.map(str::to_owned), ..pod };
        let find = |name: &str| nodes.iter().find(|n| n.name == name);
        let room = || real_node_has_room(&pod, &nodes);
        let got = filter(policy, &pod, names, find, room, &no_objection);
        assert_eq!(got.refused.first().map(|(_, r)| *r), wanted, "{policy:?} {nominated:?} {names:?}");
    };
    let (only, both): (&[_], &[_]) = (&["burst-cci"], &["node-1", "burst-cci"]);
    let nominated = Some("burst-cci");
    check(Policy::LocalPrefer, nominated, plain("500m"), only, Some(Reason::LocalRoomFree));
    check(Policy::LocalPrefer, nominated, plain("2"), only, None);
    check(Policy::LocalPrefer, nominated, plain("500m"), both, None);
    check(Policy::LocalPrefer, None, plain("500m"), only, None);
    check(Policy::LocalPrefer, Some("node-1"), plain("500m"), &["node-1"], None);
    check(Policy::Auto, nominated, plain("500m"), only, None);
    let spread = json!({"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]});
    check(Policy::LocalPrefer, nominated, pod("500m", spread), only, None);
}

#[test]
fn preemption_candidates() {
    let class_of = |name: &str| match name.as_bytes().first() {
        Some(b'v') => Some(NodeClass::Virtual),
        Some(b'r') => Some(NodeClass::Real),
        _ => None,
    };
    let check = |policy, names: &[&str], wanted: &[&str]| {
        assert_eq!(preempt(policy, names, class_of), wanted, "{policy:?}");
    };
    let all = ["r1", "v1", "new"];
    check(Policy::Off, &all, &["r1", "new"]);
    check(Policy::LocalPrefer, &all, &["r1", "new"]);
    check(Policy::LocalPrefer, &["v1"], &["v1"]);
    check(Policy::Auto, &all, &all);
    check(Policy::Enforce, &all, &["v1"]);
}

fn any_node() -> impl Strategy<Value = NodeRow> {
    let flags =
        (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    (0..100_u32, flags, 0_u64..4000, 0_u64..12).prop_map(
        |(id, (cloud, ready, cordoned, tainted), used, pods)| {
            let name = format!("n{id}");
            let mut node = if cloud { virtual_node(&name) } else { real(&name, 4000) };
            node.ready = ready;
            node.unschedulable = cordoned;
            node.requested = Resources { cpu_milli: used, pods, ..Resources::default() };
            if tainted {
                node.taints.push(Taint {
                    key: "t".into(),
                    value: String::new(),
                    effect: TaintEffect::NoSchedule,
                });
            }
            node
        },
    )
}

fn any_pod() -> impl Strategy<Value = PodFacts> {
    (0_u64..5000, any::<bool>(), any::<bool>(), 0..100_u32).prop_map(|(cpu, blanket, zone, nominated)| {
        let mut pod = plain(&format!("{cpu}m"));
        if blanket {
            pod.tolerations.push(Toleration { operator: "Exists".into(), ..Toleration::default() });
        }
        if zone {
            pod.node_selector.insert("zone".into(), "a".into());
        }
        pod.nominated_node_name = Some(format!("n{nominated}"));
        pod
    })
}

fn ask<'s>(policy: Policy, pod: &PodFacts, nodes: &[NodeRow], names: &[&'s str]) -> Filtered<'s> {
    let find = |name: &str| nodes.iter().find(|n| n.name == name);
    filter(policy, pod, names, find, || real_node_has_room(pod, nodes), &no_objection)
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(Policy::ALL.to_vec())
}

proptest! {
    #[test]
    fn decisions_keep_the_promises(
        pod in any_pod(),
        policy in any_policy(),
        nodes in prop::collection::vec(any_node(), 0..8),
    ) {
        let decision = decide(&pod, policy, &nodes);
        let room = real_node_has_room(&pod, &nodes);
        match (&decision.outcome, policy) {
            (Outcome::Cloud { .. }, Policy::Off) => prop_assert!(false, "off never bursts"),
            (Outcome::Cloud { .. }, Policy::LocalPrefer | Policy::Auto) => prop_assert!(!room),
            (Outcome::Local, Policy::Enforce) => prop_assert!(false, "enforce never stays"),
            (Outcome::Local, _) => prop_assert!(room),
            _ => {}
        }
        if let Outcome::Cloud { node, .. } = &decision.outcome {
            let fits = |v: &&NodeVerdict<'_>| v.node.name == *node && v.node.class == NodeClass::Virtual;
            prop_assert!(decision.verdicts.iter().filter(fits).any(|v| v.obstacle.is_none()));
        }
        if decision.outcome != Outcome::Local {
            prop_assert!(!decision.reasons.is_empty(), "everything but local has a reason");
        }
        prop_assert_eq!(decision.verdicts.len(), nodes.len());
        prop_assert_eq!(&decision, &decide(&pod, policy, &nodes), "asked twice, the same");
        prop_assert!(serde_json::to_string(&decision).is_ok());
    }

    #[test]
    fn more_room_never_sends_a_pod_away(
        pod in any_pod(),
        policy in any_policy(),
        nodes in prop::collection::vec(any_node(), 1..6),
        grown in any::<prop::sample::Index>(),
    ) {
        let before = decide(&pod, policy, &nodes).outcome;
        let mut roomier = nodes.clone();
        let node = grown.index(nodes.len());
        roomier[node].requested = Resources::default();
        let after = decide(&pod, policy, &roomier).outcome;
        if before == Outcome::Local {
            prop_assert_eq!(after, Outcome::Local);
        } else if matches!(before, Outcome::Cloud { .. }) {
            let not_worse = matches!(after, Outcome::Local | Outcome::Cloud { .. });
            prop_assert!(not_worse);
        }
    }

    #[test]
    fn filter_is_idempotent_and_loses_no_name(
        pod in any_pod(),
        policy in any_policy(),
        nodes in prop::collection::vec(any_node(), 0..8),
    ) {
        let mut names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let first = ask(policy, &pod, &nodes, &names);
        prop_assert_eq!(&first, &ask(policy, &pod, &nodes, &names), "asked twice, the same");
        let mut all: Vec<&str> = first.refused.iter().map(|(n, _)| *n).chain(first.passed.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, names.clone());
        // What passed passes again; only a nomination may turn a call for one virtual node into a refusal.
        let again = ask(policy, &pod, &nodes, &first.passed);
        let held_back = again.refused.iter().all(|(_, r)| *r == Reason::LocalRoomFree);
        prop_assert!(again.refused.is_empty() || (policy == Policy::LocalPrefer && held_back));
    }
}
