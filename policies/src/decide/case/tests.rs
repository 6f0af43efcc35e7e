use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    burst_policy::{Budget, PolicyObject, Tier, Wait},
    decide::filter::no_objection,
    ledger::{Grant, Hold, StockOut, VirtualNode},
    node::{Taint, TaintEffect},
    price::{Billing, Price, PriceBook},
};

const NOW: Seconds = 1_800_000_000;

fn node(name: &str, class: NodeClass, cpu_milli: u64) -> NodeRow {
    let cloud = class == NodeClass::Virtual;
    let taint =
        Taint { key: keys::TAINT_PROVIDER.into(), value: "huawei".into(), effect: TaintEffect::NoSchedule };
    NodeRow {
        name: name.into(),
        class,
        provider: cloud.then(|| "huawei".into()),
        allocatable: Resources { cpu_milli, memory_bytes: 1 << 40, pods: 1000, ..Resources::default() },
        requested: Resources::default(),
        taints: if cloud { vec![taint] } else { vec![] },
        labels: Default::default(),
        ready: true,
        unschedulable: false,
    }
}

fn pod() -> PodFacts {
    let pod = json!({
        "metadata": {"name": "web-0", "namespace": "shop", "uid": "u-0"},
        "spec": {"containers": [{"resources": {"requests": {"cpu": "2", "memory": "4Gi"}}}]},
    });
    PodFacts::from_value(&pod).unwrap()
}

fn claim(n: u32, ago: Seconds) -> Claim {
    Claim {
        uid: format!("u-{n}"),
        namespace: "shop".into(),
        name: format!("web-{n}"),
        policy: Policy::LocalPrefer,
        requests: pod().requests,
        created: NOW - ago,
        unschedulable_since: Some(NOW - ago),
        ..Claim::default()
    }
}

/// Things to decide from, owned.
#[derive(Debug)]
struct Bench {
    pod: PodFacts,
    policy: Policy,
    nodes: Vec<NodeRow>,
    spec: BurstPolicySpec,
    ledger: Ledger,
    claims: Vec<Claim>,
    reports: BTreeMap<String, NodeReport>,
    virtual_nodes: Vec<VirtualNode>,
    prices: PriceBook,
}

impl Bench {
    fn new() -> Self {
        let price = Price {
            provider: "huawei".into(),
            zone: None,
            billing: Billing::OnDemand,
            currency: "CNY".into(),
            vcpu_second: Money::nano(50_000),
            gib_second: Money::nano(6_000),
            gpu_second: BTreeMap::new(),
            minimum_seconds: 0,
            source: "test".into(),
            date: "2026".into(),
        };
        Self {
            pod: pod(),
            policy: Policy::LocalPrefer,
            nodes: vec![
                node("node-1", NodeClass::Real, 500),
                node("burst-cci", NodeClass::Virtual, 1_000_000),
            ],
            spec: BurstPolicySpec::default(),
            ledger: Ledger::default(),
            claims: vec![claim(0, 100)],
            reports: BTreeMap::new(),
            virtual_nodes: vec![VirtualNode {
                name: "burst-cci".into(),
                provider: "huawei".into(),
                ready: true,
                ..VirtualNode::default()
            }],
            prices: PriceBook { prices: vec![price] },
        }
    }

    fn with<T>(&self, ask: impl FnOnce(&Case<'_>, Governed<'_>) -> T) -> T {
        let nodes: Vec<&NodeRow> = self.nodes.iter().collect();
        let world = World {
            now: NOW,
            virtual_nodes: &self.virtual_nodes,
            real_nodes: &self.nodes,
            reports: &self.reports,
            prices: &self.prices,
        };
        let governed = Governed { spec: &self.spec, ledger: &self.ledger, claims: &self.claims, world };
        let case = Case {
            pod: &self.pod,
            policy: self.policy,
            nodes: &nodes,
            judge: &no_objection,
            governed: Some(governed),
        };
        ask(&case, governed)
    }

    fn sentences(&self) -> Vec<String> {
        self.with(|case, _| case.alternatives(&[]).into_iter().map(|a| a.sentence).collect())
    }

    fn hold(&self) -> Option<Hold> {
        match self.with(|case, _| case.explain().permission) {
            Permission::Held(held) => Some(held.hold),
            _ => None,
        }
    }
}

fn pods(pods: u64) -> Limit {
    Limit { pods: Some(pods), ..Limit::default() }
}

const LOCALLY: &str = "would run on a real node if 1500m more cpu were free on node-1";

#[test]
fn a_granted_pod_bursts_and_a_held_one_waits() {
    let free = Bench::new();
    let explained = free.with(|case, _| (case.explain().decision.outcome.class(), case.explain().permission));
    assert_eq!(explained.0, Class::Cloud);
    assert!(matches!(explained.1, Permission::Granted { side: Side::Cloud, .. }), "{:?}", explained.1);
    let mut full = Bench::new();
    full.spec.max.cloud = pods(0);
    let (class, reasons, limits) = full.with(|case, _| {
        let explained = case.explain();
        (explained.decision.outcome.class(), explained.decision.reasons, explained.limits)
    });
    assert_eq!((class, full.hold()), (Class::Wait, Some(Hold::CloudLimit)));
    assert_eq!(reasons, [Reason::ShortOfCpu, Reason::NotGranted]);
    assert_eq!(
        limits.iter().map(|l| (l.name.as_str(), l.max.pods)).collect::<Vec<_>>(),
        [("cloud", Some(0))]
    );
}

#[test]
fn limits() {
    let mut bench = Bench::new();
    bench.spec.max.cloud = pods(0);
    let one = "would burst if the ceiling max.cloud were 1 pod higher";
    assert_eq!(bench.sentences(), [LOCALLY, one]);
    // Two that were there before want to go first.
    bench.claims.extend([claim(1, 200), claim(2, 300)]);
    assert_eq!(bench.sentences()[1], "would burst if the ceiling max.cloud were 3 pods higher");
    // Both ceilings bind: of the tier, in cores, and of the side.
    bench.claims.truncate(1);
    let max = Limit { cpu: Some("500m".into()), ..Limit::default() };
    bench.spec.tiers = vec![Tier { name: "burst".into(), side: Side::Cloud, max, ..Tier::default() }];
    let both = "would burst if tier burst's ceiling were 1500m cpu higher and the ceiling max.cloud were 1 pod higher";
    assert_eq!(bench.sentences()[1], both);
}

#[test]
fn money() {
    let mut bench = Bench::new();
    let budget = |amount: &str| Budget {
        currency: "CNY".into(),
        per_hour: Some(Money::parse(amount).unwrap()),
        ..Budget::default()
    };
    bench.spec.budget = Some(budget("0.10"));
    assert_eq!(bench.hold(), Some(Hold::BudgetReached));
    let sentences = bench.sentences();
    let raised = sentences.iter().find(|s| s.contains("hourly budget")).expect("a budget");
    let by = raised.strip_prefix("would burst if the hourly budget were ").and_then(|s| s.split_once(' '));
    let by = Money::parse(by.expect("an amount").0).unwrap();
    let enough = Money::parse("0.10").unwrap().plus(by);
    bench.spec.budget = Some(budget(&enough.to_string()));
    assert_eq!(bench.hold(), None, "{raised}");
    bench.spec.budget = Some(budget(&enough.minus(cents(1)).to_string()));
    assert_eq!(bench.hold(), Some(Hold::BudgetReached), "{raised}");
}

#[test]
fn time_and_what_the_scheduler_finds() {
    let mut bench = Bench::new();
    bench.claims[0].created = NOW - 15;
    bench.spec.wait = Wait { before_burst_seconds: Some(60), ..Wait::default() };
    assert_eq!(bench.hold(), Some(Hold::WaitBeforeBurst));
    assert_eq!(bench.sentences()[0], "would burst if 45 s more had passed");
    let mut bench = Bench::new();
    bench.claims[0].unschedulable_since = None;
    assert_eq!(bench.hold(), Some(Hold::LocalFirst));
    assert_eq!(bench.sentences()[0], "would burst if the scheduler had found no real node for it");
}

#[test]
fn stock() {
    let mut bench = Bench::new();
    let out = StockOut {
        class: stock::class(bench.pod.requests),
        until: NOW + 90,
        since: NOW - 10,
        failures: 1,
        ..StockOut::default()
    };
    let report = NodeReport { provider: "huawei".into(), stock_outs: vec![out], ..NodeReport::default() };
    bench.reports.insert("burst-cci".into(), report);
    assert_eq!(bench.hold(), Some(Hold::SoldOut));
    let sentences = bench.sentences();
    for wanted in [
        "would burst if 1 min 30 s more had passed",
        "would burst if the cloud of burst-cci had size cpu-2 in stock again",
    ] {
        assert!(sentences.iter().any(|s| s == wanted), "{wanted} is not in {sentences:?}");
    }
}

#[test]
fn another_policy() {
    let mut bench = Bench::new();
    (bench.policy, bench.claims[0].policy) = (Policy::Off, Policy::Off);
    assert_eq!(bench.sentences(), [LOCALLY, "would burst if the policy were auto"]);
    bench.nodes[0].allocatable.cpu_milli = 8000;
    (bench.policy, bench.claims[0].policy) = (Policy::LocalPrefer, Policy::LocalPrefer);
    assert_eq!(bench.sentences(), ["would have burst if the policy were enforce"]);
}

#[test]
fn another_object_with_a_higher_priority() {
    let object = |name: &str, priority, terms: usize| {
        let mut spec =
            BurstPolicySpec { priority, policy: Some(Policy::LocalPrefer), ..BurstPolicySpec::default() };
        if terms > 0 {
            spec.selector.match_labels.insert("app".into(), "web".into());
        }
        PolicyObject::new(Some("shop"), name, spec)
    };
    let mut pod = pod();
    pod.labels.insert("app".into(), "web".into());
    let check = |objects: &[PolicyObject], rival: usize, wanted: Option<i32>| {
        let found = priority_to_govern(objects, &objects[rival], &pod, &[], &BTreeMap::new());
        assert_eq!(found, wanted, "{}", objects[rival].key);
    };
    check(&[object("b", 5, 0), object("a", 1, 0)], 1, Some(5));
    check(&[object("b", 5, 0), object("c", 1, 0)], 1, Some(6));
    check(&[object("b", 5, 0), object("c", 1, 0)], 0, None);
    check(&[object("b", 5, 1), object("c", 1, 0)], 1, None);
    check(&[object("b", i32::MAX, 0), object("c", 1, 0)], 1, None);

    let mut bench = Bench::new();
    bench.spec.max.cloud = pods(0);
    let open = BurstPolicySpec::default();
    let sentences: Vec<_> = bench.with(|case, governed| {
        let governed = Governed { spec: &open, ..governed };
        let rival = Rival { object: "BurstPolicy/shop/open", to: 6, policy: Policy::LocalPrefer, governed };
        case.alternatives(&[rival]).into_iter().map(|a| a.sentence).collect()
    });
    assert!(
        sentences.contains(&"would burst if BurstPolicy/shop/open had priority 6".to_owned()),
        "{sentences:?}"
    );
}

#[test]
fn a_gate_that_is_held_keeps_the_pod_off_every_node() {
    let mut bench = Bench::new();
    bench.nodes[0].allocatable.cpu_milli = 8000;
    bench.pod.scheduling_gates = vec![keys::GATE.into()];
    bench.claims[0].gated = true;
    bench.spec.max = crate::burst_policy::SideLimits { local: pods(0), cloud: pods(0) };
    let (class, sentence) =
        bench.with(|case, _| (case.explain().decision.outcome.class(), case.explain().decision.sentence));
    assert_eq!((class, sentence.contains("gate")), (Class::Wait, true), "{sentence}");
    assert!(bench.sentences().iter().any(|s| s.contains("the ceiling max.")), "{:?}", bench.sentences());
}

fn any_bench() -> impl Strategy<Value = Bench> {
    let limits = (prop::option::of(0_u64..4), prop::option::of(0_u64..9), prop::option::of(0_u64..3));
    let waits = (prop::option::of(0_u64..300), prop::option::of(0_u64..300), any::<bool>());
    let rest = (0_u32..5, 0_u32..4, prop::option::of(0_u64..200), any::<bool>(), any::<bool>());
    (limits, waits, rest).prop_map(
        |((cloud, cpu, tier), (before, autoscaler, preempt), (others, granted, budget, found, out))| {
            let mut bench = Bench::new();
            bench.spec.max.cloud = Limit { pods: cloud, cpu: cpu.map(|c| c.to_string()), ..Limit::default() };
            if let Some(pods) = tier {
                let max = Limit { pods: Some(pods), ..Limit::default() };
                bench.spec.tiers = vec![Tier { name: "t".into(), side: Side::Cloud, max, ..Tier::default() }];
            }
            bench.spec.wait =
                Wait { before_burst_seconds: before, autoscaler_seconds: autoscaler, ..Wait::default() };
            bench.spec.preempt_before_burst = preempt;
            bench.spec.budget = budget.map(|cents| Budget {
                currency: "CNY".into(),
                per_hour: Some(Money::nano(i128::from(cents) * CENT)),
                ..Budget::default()
            });
            if !found {
                bench.claims[0].unschedulable_since = None;
            }
            bench.claims.extend((1..=others).map(|n| claim(n, Seconds::from(n) * 60)));
            for n in 10..10 + granted {
                let tier = if tier.is_some() { "t" } else { "cloud" };
                let grant = Grant {
                    namespace: "shop".into(),
                    name: format!("web-{n}"),
                    side: Side::Cloud,
                    tier: tier.into(),
                    requests: pod().requests,
                    granted: NOW - 10,
                    ..Grant::default()
                };
                bench.ledger.grants.insert(format!("u-{n}"), grant);
                bench.claims.push(claim(n, 500));
            }
            if out {
                let out = StockOut {
                    class: stock::class(bench.pod.requests),
                    until: NOW + 90,
                    ..StockOut::default()
                };
                let report =
                    NodeReport { provider: "huawei".into(), stock_outs: vec![out], ..NodeReport::default() };
                bench.reports.insert("burst-cci".into(), report);
            }
            bench
        },
    )
}

/// The knob and setting of a change, if a knob makes it.
fn setting(turns: &[Turn], changes: &[Change]) -> Option<Vec<u64>> {
    let by = |change: &Change| match change {
        Change::Limit { by, .. } => Some(*by),
        Change::Budget { by, .. } => u64::try_from(by.as_nano() / CENT).ok(),
        Change::Wait { seconds } => Some(*seconds),
        Change::InStock { .. } | Change::FoundUnschedulable | Change::PreemptionTried => Some(1),
        _ => None,
    };
    let mut all = vec![0; turns.len()];
    for change in changes {
        let by = by(change)?;
        let at = turns.iter().position(|turn| turn.change(by) == *change)?;
        all[at] = by;
    }
    Some(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_alternative_decides_otherwise_and_one_less_does_not(bench in any_bench()) {
        bench.with(|case, governed| {
            let from = case.explain().decision.outcome.class();
            let turns = turns(case.pod, &governed);
            for Alternative { becomes, changes, sentence } in case.alternatives(&[]) {
                prop_assert_ne!(becomes, from);
                let Some(found) = setting(&turns, &changes) else { continue };
                prop_assert_eq!(case.class_at(governed, &turns, &found), becomes, "{}", sentence);
                for at in 0..found.len() {
                    let mut less = found.clone();
                    if less[at] > 0 {
                        less[at] -= 1;
                        prop_assert_eq!(case.class_at(governed, &turns, &less), from, "{} less", sentence);
                    }
                }
            }
            Ok(())
        })?;
    }
}
