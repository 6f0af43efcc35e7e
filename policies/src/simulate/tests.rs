//! A small trace by hand, and what must hold for any trace and any rule.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    trace::{ENDLESS, Interner, Node, Pod, Size, Trace, Traits},
    *,
};
use crate::{
    decide::{Outcome, decide},
    money::Money,
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
};

fn size(cpu_milli: u32, memory_mib: u32) -> Size {
    Size { cpu_milli, memory_mib, gpu: 0, pods: 1 }
}

fn real(name: &str, cpu_milli: u32, memory_mib: u32) -> Node {
    Node { name: name.into(), size: Size { pods: 110, ..size(cpu_milli, memory_mib) }, ..Node::default() }
}

fn cloud(name: &str, provider: &str) -> Node {
    let size = Size { cpu_milli: ENDLESS, memory_mib: ENDLESS, gpu: ENDLESS, pods: ENDLESS };
    Node { name: name.into(), size, provider: Some(provider.into()), ..Node::default() }
}

/// Pods `name cpu-milli mib created deleted [label=value]` in namespace shop, one per line.
fn trace(nodes: Vec<Node>, pods: &str) -> Trace {
    let mut interner = Interner::default();
    let pod = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<i64>().expect("a number");
        let labels = words.get(5).and_then(|l| l.split_once('='));
        let labels: BTreeMap<String, String> =
            labels.map(|(k, v)| (k.into(), v.into())).into_iter().collect();
        let traits = Traits { namespace: "shop".into(), labels, ..Traits::default() };
        Pod {
            name: words[0].into(),
            size: size(u32::try_from(number(1)).expect("cpu"), u32::try_from(number(2)).expect("mib")),
            created: number(3),
            deleted: number(4),
            priority: 0,
            traits: interner.index(traits),
        }
    };
    let pods = pods.lines().map(str::trim).filter(|l| !l.is_empty()).map(pod).collect();
    Trace { pods, traits: interner.into_list(), nodes }
}

fn object(spec: Value) -> PolicyObject {
    PolicyObject::new(None, "all", serde_json::from_value(spec).expect("a spec"))
}

/// One CNY a second for each core, nothing for memory; the same in another provider's zones.
fn prices() -> PriceBook {
    PriceBook::read(
        "prices: [{provider: p, currency: CNY, vcpuSecond: '1', gibSecond: '0', source: test, date: today},\
                  {provider: q, currency: CNY, vcpuSecond: '2', gibSecond: '0', minimumSeconds: 60, source: test, date: today}]",
    )
    .expect("a price book")
}

fn play(trace: &Trace, rule: Rule<'_>) -> Report {
    play_at(&prices(), trace, rule)
}

fn play_at(prices: &PriceBook, trace: &Trace, rule: Rule<'_>) -> Report {
    let settings = Settings {
        start: 0,
        prices,
        currency: Some("CNY".into()),
        slices: 10,
        ask_again_seconds: 1,
        keep_events: true,
    };
    run(trace, &Scenario { name: "test".into(), rule }, &settings)
}

/// `second pod what`, without ends.
fn story(trace: &Trace, report: &Report) -> Vec<String> {
    let line = |event: &Event| {
        let node = |n: NodeIndex| trace.nodes[n as usize].name.clone();
        let what = match event.what {
            Happening::Placed { node: at } => node(at),
            Happening::Moved { node: at } => format!("moved to {}", node(at)),
            Happening::Held(hold) => hold.code().to_owned(),
            Happening::Failed => "failed".to_owned(),
            Happening::Ended => return None,
        };
        Some(format!("{} {} {what}", event.at, trace.pods[event.pod as usize].name))
    };
    report.events.iter().filter_map(line).collect()
}

/// Two nodes of 2 cores. By hand: a and b share out by LeastAllocated (n0, then n1), c and d fill them up; e finds 0 and
/// bursts at 30 for 30 s; at 40 a ends, so f (created at 45) is local again; g never fits a node and bursts for 10 s.
const SMALL: &str = "a 1000 100  0 40
                     b 1000 100  0 90
                     c 1000 100 10 90
                     d 1000 100 20 90
                     e 1000 100 30 60
                     f 1000 100 45 90
                     g 3000 100 50 60";

fn small() -> Trace {
    trace(vec![real("n0", 2_000, 1_000), real("n1", 2_000, 1_000), cloud("burst", "p")], SMALL)
}

#[test]
fn by_hand_local_prefer() {
    let trace = small();
    let objects = [object(json!({"policy": "localPrefer"}))];
    let report = play(&trace, Rule::Objects(&objects));
    assert_eq!(
        story(&trace, &report),
        ["0 a n0", "0 b n1", "10 c n0", "20 d n1", "30 e burst", "45 f n0", "50 g burst"]
    );
    assert_eq!((report.pods, report.local, report.cloud, report.failed, report.late), (7, 5, 2, 0, 0));
    // e: 1 core x 30 s; g: 3 cores x 10 s; one CNY per core and second.
    assert_eq!((report.used.cloud_cpu, report.used.cloud_mib), (60_000, 4_000));
    assert_eq!(report.used.money, Money::parse("60").expect("60"));
    // a 40 + b 90 + c 80 + d 70 + f 45 core seconds of 4 cores x 90 s.
    assert_eq!((report.used.local_cpu, report.local_capacity), (325_000, 360_000));
    assert_eq!((report.over_burst, report.moves, report.unpriced), (0, 0, 0));
    // Alive that fit a node: 5 cores in 30..40, 4 in 40..45, 5 in 45..60: 1 x 10 + 1 x 15 over; g: 3 x 10.
    assert_eq!(cloud_cpu_floor(&trace), 25_000 + 30_000);
}

#[test]
fn by_hand_the_built_in_rules() {
    let trace = small();
    let local = play(&trace, Rule::AlwaysLocal);
    assert_eq!(
        story(&trace, &local),
        ["0 a n0", "0 b n1", "10 c n0", "20 d n1", "40 e n0", "60 g failed", "60 f n0"],
        "room goes to who waits longest; what never fits fails"
    );
    assert_eq!((local.failed, local.late, local.waits.max), (1, 2, 15));
    assert_eq!(local.used.waiting_cpu, 10_000 + 15_000 + 30_000);
    let cloud = play(&trace, Rule::AlwaysCloud);
    assert_eq!((cloud.local, cloud.cloud, cloud.over_burst), (0, 7, 0));
    assert_eq!(cloud.used.cloud_cpu, 325_000 + 60_000);
}

#[test]
fn a_pod_of_no_seconds_is_placed_and_its_room_is_there_again() {
    let trace = trace(vec![real("n", 1_000, 100)], "a 1000 100 5 5\nb 1000 100 5 9");
    let report = play(&trace, Rule::AlwaysLocal);
    assert_eq!(story(&trace, &report), ["5 a n", "5 b n"]);
    assert_eq!((report.local, report.failed, report.used.local_cpu), (2, 0, 4_000));
}

#[test]
fn a_label_of_the_pod_speaks_before_the_object() {
    let pods = "a 1000 100 0 9 burst.io/policy=enforce\nb 1000 100 0 9 burst.io/policy=off\nc 1000 100 0 9 burst.io/policy=x";
    let trace = trace(vec![real("n", 3_000, 300), cloud("burst", "p")], pods);
    let objects = [object(json!({"policy": "localPrefer"}))];
    let report = play(&trace, Rule::Objects(&objects));
    assert_eq!(story(&trace, &report), ["0 a burst", "0 b n", "0 c n"]);
    assert!(
        report.notes[0].contains("legal values are auto, localPrefer, enforce, off"),
        "{:?}",
        report.notes
    );
}

#[test]
fn a_cloud_bills_its_minimum() {
    let trace = trace(vec![cloud("burst", "q")], "a 1000 100 0 10");
    let report = play(&trace, Rule::AlwaysCloud);
    assert_eq!(report.used.money, Money::parse("120").expect("2 a second for 60 seconds"));
}

#[test]
fn pods_go_home_after_their_stay_at_the_policy_s_pace() {
    let pods = "long 2000 100 0 100\na 1000 100 10 9000\nb 1000 100 20 9000";
    let trace = trace(vec![real("n", 2_000, 1_000), cloud("burst", "p")], pods);
    let objects =
        [object(json!({"policy": "localPrefer", "repatriation": {"minStaySeconds": 50, "maxPerHour": 1}}))];
    let report = play(&trace, Rule::Objects(&objects));
    assert_eq!(
        story(&trace, &report),
        ["0 long n", "10 a burst", "20 b burst", "100 a moved to n", "3700 b moved to n"]
    );
    assert_eq!((report.moves, report.cloud), (2, 2));
    assert_eq!(report.used.cloud_cpu, 90_000 + 3_680_000);
}

#[test]
fn a_ceiling_in_the_cloud_holds_pods_until_there_is_room() {
    let pods = "a 1000 100 0 50\nb 1000 100 1 90\nc 1000 100 2 90\nd 500 100 3 40";
    let trace = trace(vec![cloud("burst", "p")], pods);
    let objects = [object(json!({"policy": "auto", "max": {"cloud": {"cpu": "2", "pods": 2}}}))];
    let report = play(&trace, Rule::Objects(&objects));
    assert_eq!(
        story(&trace, &report),
        ["0 a burst", "1 b burst", "2 c CloudLimit", "3 d CloudLimit", "40 d failed", "50 c burst"]
    );
    assert_eq!((report.late, report.waits.max, report.failed_by["CloudLimit"]), (1, 48, 1));
}

#[test]
fn waits_tiers_and_ceilings_on_real_nodes() {
    let pods = "a 1000 100 0 500\nb 1000 100 0 500\nc 1000 100 0 500\nd 1000 100 0 500";
    let trace = trace(vec![real("n", 4_000, 1_000), cloud("far", "q"), cloud("near", "p")], pods);
    let objects = [object(json!({
        "policy": "localPrefer", "max": {"local": {"pods": 1}}, "wait": {"beforeBurstSeconds": 30},
        "tiers": [{"name": "home"}, {"name": "first", "side": "Cloud", "provider": "p", "max": {"pods": 1}},
                  {"name": "second", "side": "Cloud", "provider": "q", "max": {"cpu": "1"}}]}))];
    let report = play(&trace, Rule::Objects(&objects));
    let story = story(&trace, &report);
    assert_eq!(
        story,
        ["0 a n", "0 b WaitBeforeBurst", "30 b near", "30 c far", "30 d TierLimit", "500 d failed"]
    );
    assert_eq!(report.over_burst, 0, "a ceiling closes real nodes");
}

#[test]
fn a_budget_is_never_passed_and_opens_again_with_its_window() {
    // One CNY per core and second: 4000 an hour pay for one core, for all of this hour and the next.
    let pods = "a 1000 100 0 9000\nb 1000 100 10 9000\nc 100 100 20 4000";
    let trace = trace(vec![cloud("burst", "p")], pods);
    let objects = [object(json!({"policy": "auto", "budget": {"currency": "CNY", "perHour": "4000"}}))];
    let report = play(&trace, Rule::Objects(&objects));
    assert_eq!(story(&trace, &report)[..3], ["0 a burst", "10 b BudgetReached", "20 c burst"]);
    assert_eq!((report.cloud, report.overshoot), (2, Money::ZERO));
}

fn any_trace() -> impl Strategy<Value = Trace> {
    let word = prop::sample::select(vec!["", "off", "auto", "localPrefer", "enforce"]);
    let pod = (
        prop::sample::select(vec![250_u32, 500, 1_000, 3_000]),
        1_u32..4,
        0_i64..60,
        0_i64..40,
        0_i32..3,
        word,
    );
    let node = (prop::sample::select(vec![1_000_u32, 2_000, 4_000]), 1_u32..8, 1_u32..5);
    (prop::collection::vec(pod, 0..40), prop::collection::vec(node, 0..5), prop::option::of(1_000_u32..4_000))
        .prop_map(|(pods, nodes, limit)| {
            let mut interner = Interner::default();
            let pods = pods.into_iter().enumerate().map(|(at, (cpu, gib, created, life, priority, word))| {
                let label = (!word.is_empty()).then(|| ("burst.io/policy".to_owned(), word.to_owned()));
                let traits = Traits {
                    namespace: "shop".into(),
                    labels: label.into_iter().collect(),
                    owner: ("Deployment".into(), format!("d{}", at % 3)),
                    ..Traits::default()
                };
                let deleted = created + life;
                let name = format!("p{at}").into();
                Pod {
                    name,
                    size: size(cpu, gib * 1024),
                    created,
                    deleted,
                    priority,
                    traits: interner.index(traits),
                }
            });
            let pods = pods.collect();
            let reals = nodes.into_iter().enumerate().map(|(at, (cpu, gib, pods))| {
                let mut node = real(&format!("n{at}"), cpu, gib * 1024);
                node.size.pods = pods;
                node
            });
            let mut burst = cloud("burst", "p");
            if let Some(limit) = limit {
                burst.size.cpu_milli = limit;
            }
            let nodes = reals.chain([burst]).collect();
            Trace { pods, traits: interner.into_list(), nodes }
        })
}

fn any_rule() -> impl Strategy<Value = Option<Value>> {
    let specs = vec![
        json!({"policy": "localPrefer"}),
        json!({"policy": "auto"}),
        json!({"policy": "off"}),
        json!({"policy": "enforce"}),
        json!({"policy": "localPrefer", "repatriation": {"minStaySeconds": 5, "maxPerHour": 3}}),
        json!({"policy": "localPrefer", "max": {"local": {"pods": 2}, "cloud": {"cpu": "2"}}}),
        json!({"policy": "auto", "wait": {"autoscalerSeconds": 7}, "budget": {"currency": "CNY", "perHour": "9000"},
               "repatriation": {"minStaySeconds": 5, "maxPerHour": 3}}),
    ];
    prop::option::of(prop::sample::select(specs))
}

/// Replays the events on a plain table: each pod is placed once or fails, and no node ever holds more than it has.
fn replay(trace: &Trace, report: &Report) -> Result<(), TestCaseError> {
    let mut free: Vec<Size> = trace.nodes.iter().map(|n| n.size).collect();
    let mut at: Vec<Option<NodeIndex>> = vec![None; trace.pods.len()];
    let mut placed = vec![0_u32; trace.pods.len()];
    let mut ended = vec![0_u32; trace.pods.len()];
    let mut cpu_seconds = [0_u128; 2];
    let mut since = vec![0_i64; trace.pods.len()];
    for event in &report.events {
        let index = event.pod as usize;
        let pod = &trace.pods[index];
        let leave = |at: Option<NodeIndex>, since: i64, free: &mut Vec<Size>, sums: &mut [u128; 2]| {
            let Some(node) = at else { return };
            let node = node as usize;
            if trace.nodes[node].provider.is_none() || trace.nodes[node].size.cpu_milli != ENDLESS {
                free[node].cpu_milli += pod.size.cpu_milli;
            }
            if trace.nodes[node].provider.is_none() {
                free[node].memory_mib += pod.size.memory_mib;
                free[node].pods += 1;
            }
            let side = usize::from(trace.nodes[node].provider.is_some());
            sums[side] += u128::from(pod.size.cpu_milli) * u128::from((event.at - since).unsigned_abs());
        };
        prop_assert!(pod.created <= event.at && event.at <= pod.deleted, "{event:?} outside of {pod:?}");
        match event.what {
            Happening::Placed { node } | Happening::Moved { node } => {
                leave(at[index], since[index], &mut free, &mut cpu_seconds);
                placed[index] += u32::from(matches!(event.what, Happening::Placed { .. }));
                let room = &mut free[node as usize];
                let virtual_node = trace.nodes[node as usize].provider.is_some();
                prop_assert!(pod.size.cpu_milli <= room.cpu_milli, "{event:?} passes the cores of its node");
                if !virtual_node {
                    prop_assert!(pod.size.fits(*room), "{event:?} passes what its node has");
                    *room = room.minus(pod.size);
                } else if room.cpu_milli != ENDLESS {
                    room.cpu_milli -= pod.size.cpu_milli;
                }
                at[index] = Some(node);
                since[index] = event.at;
            }
            Happening::Ended => {
                leave(at[index].take(), since[index], &mut free, &mut cpu_seconds);
                ended[index] += 1;
            }
            Happening::Failed => {
                prop_assert_eq!(placed[index], 0);
                ended[index] += 1;
                placed[index] += 1;
            }
            Happening::Held(_) => {}
        }
    }
    prop_assert!(
        placed.iter().chain(&ended).all(|n| *n == 1),
        "each pod is placed or fails once, and ends once"
    );
    prop_assert_eq!(cpu_seconds, [report.used.local_cpu, report.used.cloud_cpu]);
    prop_assert_eq!(report.pods, report.local + report.cloud + report.failed);
    Ok(())
}

proptest! {
    /// Fails if a pod is lost or placed twice, if room is given away twice or not given back, or if the meter differs
    /// from the events.
    #[test]
    fn nothing_is_lost_and_no_node_is_overfull(trace in any_trace(), spec in any_rule(), built_in in 0..3) {
        let objects: Vec<_> = spec.into_iter().map(object).collect();
        let rule = match (objects.is_empty(), built_in) {
            (false, _) => Rule::Objects(&objects),
            (true, 0) => Rule::AlwaysLocal,
            (true, 1) => Rule::AlwaysCloud,
            (true, _) => Rule::Stock,
        };
        let report = play(&trace, rule);
        replay(&trace, &report)?;
        let unserved = report.used.cloud_cpu + report.used.waiting_cpu;
        prop_assert!(unserved >= cloud_cpu_floor(&trace), "the floor is a floor");
        prop_assert_eq!(report.overshoot, Money::ZERO);
    }

    /// The ledger asked pod by pod grants what whole rounds of `plan` grant, with the same reasons for the rest. Fails if
    /// the sums that stand for grants drift from the grants.
    #[test]
    fn it_grants_as_the_plan_does(trace in any_trace(), spec in prop::sample::select(limits()), minimum in 0_u64..40) {
        let trace = only_governed(trace);
        let objects = [object(spec)];
        let mut prices = prices();
        prices.prices[0].minimum_seconds = minimum.saturating_sub(20);
        let report = play_at(&prices, &trace, Rule::Objects(&objects));
        let mut played: Vec<_> = report.events.iter().filter_map(|e| match e.what {
            Happening::Placed { node } => Some((e.at, e.pod, trace.nodes[node as usize].provider.is_some())),
            _ => None,
        }).collect();
        let mut planned = plans::play(&trace, &objects[0].spec, &prices);
        played.sort_unstable();
        planned.sort_unstable();
        prop_assert_eq!(played, planned);
        prop_assert_eq!(report.overshoot, Money::ZERO);
    }

    /// The class that every pod gets is the one that `decide` names for the nodes as they are at that moment. Fails if
    /// the engine's rules drift from the decision engine's.
    #[test]
    fn it_decides_as_decide_does(trace in any_trace()) {
        let objects = [object(json!({"policy": "localPrefer"}))];
        let report = play(&trace, Rule::Objects(&objects));
        prop_assert_eq!(report.over_burst, 0);
        let mut rows: Vec<NodeRow> = trace.nodes.iter().map(row).collect();
        let mut at: Vec<Option<usize>> = vec![None; trace.pods.len()];
        for event in &report.events {
            let pod = &trace.pods[event.pod as usize];
            let requests = pod.size.resources();
            match event.what {
                Happening::Placed { node } => {
                    let labels = &trace.traits[pod.traits as usize].labels;
                    let word = labels.get("burst.io/policy").and_then(|w| Policy::parse(w)).unwrap_or(Policy::LocalPrefer);
                    let facts = PodFacts { requests, ..PodFacts::default() };
                    let wanted = decide(&facts, word, &rows).outcome;
                    match trace.nodes[node as usize].provider.is_some() {
                        false => prop_assert_eq!(&wanted, &Outcome::Local),
                        true => prop_assert!(matches!(&wanted, Outcome::Cloud { .. }), "{:?} for {:?}", wanted, event),
                    }
                    let row = &mut rows[node as usize];
                    row.requested = row.requested.plus(requests);
                    at[event.pod as usize] = Some(node as usize);
                }
                Happening::Ended => {
                    if let Some(node) = at[event.pod as usize].take() {
                        let row = &mut rows[node];
                        row.requested = row.requested.minus(requests);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Policies without ceilings on real nodes: there the leader plans on an estimate of their room.
fn limits() -> Vec<Value> {
    let cloud = json!({"cpu": "3", "memory": "6Gi"});
    vec![
        json!({"policy": "localPrefer", "max": {"cloud": {"pods": 2}}}),
        json!({"policy": "auto", "max": {"cloud": cloud}, "wait": {"beforeBurstSeconds": 9, "deadlineSeconds": 12}}),
        json!({"policy": "localPrefer", "wait": {"autoscalerSeconds": 5}, "tiers": [
            {"name": "home"}, {"name": "a", "side": "Cloud", "max": {"cpu": "1"}}, {"name": "b", "side": "Cloud", "max": {"pods": 1}}]}),
        json!({"policy": "auto", "budget": {"currency": "CNY", "perHour": "9000"}}),
        json!({"policy": "localPrefer", "budget": {"currency": "CNY", "perDay": "20000", "reserveSeconds": 3600}}),
        json!({"policy": "enforce", "max": {"cloud": {"cpu": "2"}}, "budget": {"currency": "CNY", "perHour": "99999", "scope": "Namespace"}}),
    ]
}

/// The same trace where no pod's own label speaks, virtual nodes have no limit, and every pod lives for a second.
fn only_governed(mut trace: Trace) -> Trace {
    for traits in &mut trace.traits {
        traits.labels.clear();
    }
    for node in trace.nodes.iter_mut().filter(|n| n.provider.is_some()) {
        node.size.cpu_milli = ENDLESS;
    }
    for pod in &mut trace.pods {
        pod.deleted = pod.deleted.max(pod.created + 1);
        pod.priority = 0;
    }
    // The ledger's order among equals is by UID; here it is the row.
    trace.pods.sort_by_key(|p| p.created);
    trace
}

/// The slow way: whole rounds of the real plan over all pods, until nothing changes, at every instant.
mod plans {
    use super::*;
    use crate::{
        burst_policy::BurstPolicySpec,
        ledger::{Bound, Claim, Ledger, NodeReport, VirtualNode, World, plan},
    };

    pub(super) fn play(trace: &Trace, spec: &BurstPolicySpec, prices: &PriceBook) -> Vec<(i64, u32, bool)> {
        let mut rows: Vec<NodeRow> = trace.nodes.iter().map(row).collect();
        let virtual_node = trace.nodes.iter().find(|n| n.provider.is_some()).expect("one");
        let nodes = [VirtualNode {
            name: virtual_node.name.clone(),
            provider: "p".into(),
            ready: true,
            ..VirtualNode::default()
        }];
        let word = spec.policy.unwrap_or_default();
        let (mut ledger, mut claims, mut out) = (Ledger::default(), Vec::<Claim>::new(), Vec::new());
        let mut at = BTreeMap::<String, usize>::new();
        for now in 0..=trace.pods.iter().map(|p| p.deleted).max().unwrap_or(0) {
            for (index, pod) in trace.pods.iter().enumerate() {
                let uid = format!("{index:04}");
                if pod.deleted == now {
                    if let Some(node) = at.remove(&uid) {
                        rows[node].requested = rows[node].requested.minus(pod.size.resources());
                    }
                    claims.retain(|c| c.uid != uid);
                }
                if pod.created == now {
                    claims.push(Claim {
                        uid,
                        namespace: "shop".into(),
                        policy: word,
                        requests: pod.size.resources(),
                        created: now,
                        unschedulable_since: Some(now),
                        preemption_tried: true,
                        ..Claim::default()
                    });
                }
            }
            // The scheduler: whoever fits a real node gets one, the roomiest first.
            for claim in claims.iter_mut().filter(|c| c.node.is_none() && word != Policy::Enforce) {
                let facts = PodFacts { requests: claim.requests, ..PodFacts::default() };
                let fits = |row: &&NodeRow| decide(&facts, Policy::Off, [*row]).outcome == Outcome::Local;
                let roomiest = rows
                    .iter()
                    .filter(fits)
                    .max_by(|a, b| left(a, claim).total_cmp(&left(b, claim)).then(b.name.cmp(&a.name)));
                let Some(name) = roomiest.map(|r| r.name.clone()) else { continue };
                let node = rows.iter().position(|r| r.name == name).expect("found");
                rows[node].requested = rows[node].requested.plus(claim.requests);
                at.insert(claim.uid.clone(), node);
                claim.node = Some(bound(&name, NodeClass::Real, now));
                out.push((now, claim.uid.parse().expect("a number"), false));
            }
            // The bridge has answered for the pods that ended before the round begins: an instance is gone with its pod.
            let mut reports = BTreeMap::from([(
                nodes[0].name.clone(),
                NodeReport { provider: "p".into(), ..NodeReport::default() },
            )]);
            for _ in 0..2 {
                let gone = |uid: &str| !claims.iter().any(|c| c.uid == uid);
                let ended = ledger.grants.iter().filter(|(uid, _)| gone(uid));
                let answers = ended.map(|(uid, g)| g.released(uid)).collect();
                reports.get_mut(&nodes[0].name).expect("it").released = answers;
                let world =
                    World { now, virtual_nodes: &nodes, real_nodes: &rows, reports: &reports, prices };
                let round = plan(spec, &ledger, &claims, &world);
                ledger = round.ledger;
                for wake in round.wake.iter().filter(|w| w.cloud) {
                    let claim = claims.iter_mut().find(|c| c.uid == wake.uid).expect("it");
                    claim.granted = Some(wake.tier.clone());
                    claim.node = Some(bound(&nodes[0].name, NodeClass::Virtual, now));
                    out.push((now, claim.uid.parse().expect("a number"), true));
                }
            }
        }
        out
    }

    fn bound(name: &str, class: NodeClass, now: i64) -> Bound {
        let provider = if class == NodeClass::Virtual { "p".to_owned() } else { String::new() };
        Bound { name: name.to_owned(), class, provider, zone: String::new(), since: Some(now) }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn left(row: &NodeRow, claim: &Claim) -> f64 {
        let free = row.free().minus(claim.requests);
        let share = |free: u64, all: u64| free as f64 / all as f64;
        share(free.cpu_milli, row.allocatable.cpu_milli)
            + share(free.memory_bytes, row.allocatable.memory_bytes)
    }
}

fn row(node: &Node) -> NodeRow {
    NodeRow {
        name: node.name.clone(),
        class: if node.provider.is_some() { NodeClass::Virtual } else { NodeClass::Real },
        provider: node.provider.clone(),
        allocatable: node.size.resources(),
        requested: crate::resources::Resources::default(),
        taints: vec![],
        labels: Default::default(),
        ready: true,
        unschedulable: false,
    }
}
