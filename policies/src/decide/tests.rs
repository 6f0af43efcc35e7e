#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{feasible::real_node_has_room, filter::*, *};
use crate::{
    keys,
    node::{Taint, TaintEffect},
    resources::Resources,
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
        labels: [("zone".to_owned(), "a".to_owned())].into_iter().collect(),
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
        labels: [(keys::NODE_TYPE.to_owned(), keys::NODE_TYPE_VIRTUAL.to_owned())].into_iter().collect(),
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

/// The nodes with these changes made.
fn changed(nodes: &[NodeRow], changes: &[Change]) -> Vec<NodeRow> {
    let of = |change: &Change| match change {
        Change::Room { node, .. }
        | Change::Untaint { node, .. }
        | Change::Uncordon { node }
        | Change::Ready { node }
        | Change::Label { node, .. } => node.clone(),
        other => panic!("{other:?} is no change of a node"),
    };
    let mut nodes = nodes.to_vec();
    for change in changes {
        nodes
            .iter_mut()
            .filter(|n| n.name == of(change))
            .for_each(|n| counterfactual::nodes::apply(change, n));
    }
    nodes
}

/// The change with one unit less of each amount in it, one at a time.
fn smaller(change: &Change) -> Vec<Change> {
    let Change::Room { node, lacks, asked } = change else { return vec![] };
    let picks: [fn(&mut Resources) -> &mut u64; 5] = [
        |r| &mut r.cpu_milli,
        |r| &mut r.memory_bytes,
        |r| &mut r.ephemeral_storage_bytes,
        |r| &mut r.gpu,
        |r| &mut r.pods,
    ];
    let less = picks.into_iter().filter_map(|pick| {
        let mut lacks = *lacks;
        *pick(&mut lacks) = pick(&mut lacks).checked_sub(1)?;
        Some(Change::Room { node: node.clone(), lacks, asked: *asked })
    });
    less.collect()
}

#[test]
fn the_nearest_alternatives_are_told() {
    let nodes = || vec![real("node-1", 100), real("node-2", 120), virtual_node("burst-cci")];
    let check = |pod: &PodFacts, policy, change: fn(&mut Vec<NodeRow>), wanted: &[&str]| {
        let mut nodes = nodes();
        change(&mut nodes);
        let found = decide(pod, policy, &nodes).alternatives;
        let sentences: Vec<_> = found.iter().map(|a| a.sentence.as_str()).collect();
        assert_eq!(sentences, wanted);
    };
    let half = plain("500m");
    let prefer = Policy::LocalPrefer;
    let more = "would have stayed local if 380m more cpu were free on node-2";
    check(&half, prefer, |_| {}, &[more]);
    check(&half, prefer, |n| n[0].unschedulable = true, &[more]);
    let cordon = |n: &mut Vec<NodeRow>| (n[1].unschedulable, n[1].requested.cpu_milli) = (true, 0);
    let farther = "would have stayed local if 400m more cpu were free on node-1";
    check(&half, prefer, cordon, &[farther, "would have stayed local if node-2 were uncordoned"]);
    fn taint(n: &mut [NodeRow]) {
        let taint =
            |value: &str| Taint { key: "gpu".into(), value: value.into(), effect: TaintEffect::NoSchedule };
        n[1].taints = vec![taint("yes")];
        n[1].requested.cpu_milli = 0;
        n[0].ready = false;
        n[0].requested.cpu_milli = 0;
    }
    let (ready, untainted) = (
        "would have stayed local if node-1 were ready",
        "would have stayed local if node-2 had no taint gpu=yes:NoSchedule",
    );
    check(&half, prefer, |n| taint(n), &[ready, untainted]);
    let zone_b = pod("50m", json!({"nodeSelector": {"zone": "b"}}));
    let label = "would run on a real node if node-1 had the label zone=b";
    let on_cloud = "would burst if burst-cci had the label zone=b";
    check(&zone_b, prefer, |_| {}, &[on_cloud, label]);
    let both = pod("9", json!({"overhead": {"memory": "15.25Gi"}}));
    let amounts = "would run on a real node if 8880m more cpu and 8.3Gi more memory were free on node-2";
    check(&both, Policy::Off, |_| {}, &[amounts]);
    // Where one node needs two kinds of repair and another needs one of them only, the second is told.
    let far = |n: &mut Vec<NodeRow>| (n[0].unschedulable, n[1].requested.cpu_milli) = (true, 4000);
    check(&half, prefer, far, &["would have stayed local if 500m more cpu were free on node-2"]);
    let mixed = |n: &mut Vec<NodeRow>| {
        (n[0].unschedulable, n[1].ready) = (true, false);
    };
    let together = [
        "would have stayed local if node-2 were ready and 380m more cpu were free on node-2",
        "would have stayed local if node-1 were uncordoned and 400m more cpu were free on node-1",
    ];
    check(&half, prefer, mixed, &together);
    check(
        &half,
        Policy::Enforce,
        |n| n[2].unschedulable = true,
        &["would burst if burst-cci were uncordoned"],
    );
}

#[test]
fn durations_for_people() {
    let check = |seconds, wanted: &str| assert_eq!(sentence::duration(seconds), wanted);
    check(0, "0 s");
    check(59, "59 s");
    check(60, "1 min");
    check(725, "12 min 5 s");
    check(3600, "1 h 0 min");
    check(3601, "1 h 1 min");
    check(86_400, "1 d 0 h");
    check(187_000, "2 d 4 h");
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
    fn every_alternative_decides_otherwise_and_nothing_less_does(
        pod in any_pod(),
        policy in any_policy(),
        nodes in prop::collection::vec(any_node(), 1..8),
    ) {
        // Names tell nodes apart.
        let mut nodes = nodes;
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes.dedup_by(|a, b| a.name == b.name);
        let decision = decide(&pod, policy, &nodes);
        let before = decision.outcome.class();
        let class = |changes: &[Change]| decide(&pod, policy, &changed(&nodes, changes)).outcome.class();
        for Alternative { becomes, changes, sentence } in &decision.alternatives {
            prop_assert_ne!(*becomes, before);
            prop_assert_eq!(class(changes), *becomes, "{}", sentence);
            for at in 0..changes.len() {
                let mut less = changes.clone();
                let left_out = less.remove(at);
                prop_assert_eq!(class(&less), before, "{} without {:?}", sentence, left_out);
                for smaller in smaller(&changes[at]) {
                    let mut less = changes.clone();
                    less[at] = smaller;
                    prop_assert_eq!(class(&less), before, "{} with {:?}", sentence, less[at]);
                }
            }
        }
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
