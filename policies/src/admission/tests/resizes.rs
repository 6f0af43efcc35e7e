//! In-place resizes against ceilings and budgets.

use super::*;
use crate::{
    burst_policy::{BurstPolicySpec, Side},
    ledger::{Grant, Ledger, VirtualNode, World as Around},
    money::Rate,
    price::PriceBook,
    resources::Resources,
};

fn size(cpu_milli: u64, gib: u64) -> Resources {
    Resources { cpu_milli, memory_bytes: gib << 30, pods: 1, ..Resources::default() }
}

fn grant(side: Side, tier: &str, requests: Resources) -> Grant {
    Grant { namespace: "shop".into(), side, tier: tier.into(), requests, ..Grant::default() }
}

/// Resizes the pod `me`, granted 1 core and 2 GiB in tier `burst`, beside another of 4 cores and 8 GiB there and one of 2
/// cores on real nodes.
fn resized(spec: Value, to: Resources) -> Result<(), String> {
    let spec: BurstPolicySpec = serde_json::from_value(spec).unwrap();
    let grants = [
        ("me", grant(Side::Cloud, "burst", size(1000, 2))),
        ("other", grant(Side::Cloud, "burst", size(4000, 8))),
        ("home", grant(Side::Local, "own", size(2000, 4))),
    ];
    let grants = grants.into_iter().map(|(uid, grant)| (uid.to_owned(), grant)).collect();
    let ledger = Ledger { grants, ..Ledger::default() };
    let pod = PodFacts {
        uid: "me".into(),
        namespace: "shop".into(),
        name: "web-1".into(),
        requests: to,
        ..PodFacts::default()
    };
    let (reports, prices) = (BTreeMap::new(), PriceBook::default());
    let world = Around { now: 0, virtual_nodes: &[], real_nodes: &[], reports: &reports, prices: &prices };
    let resize = Resize { pod: &pod, policy: "BurstPolicy/shop/web", spec: &spec, ledger: &ledger, world };
    admit_resize(&resize).map_err(|e| e.to_string())
}

#[test]
fn ceilings_hold_for_resizes_too() {
    let tier =
        |max: Value| json!({"tiers": [{"name": "own"}, {"name": "burst", "side": "Cloud", "max": max}]});
    let fits = |spec: Value, to: Resources| assert_eq!(resized(spec, to), Ok(()));
    let refuses = |spec: Value, to: Resources, words: &[&str]| {
        let text = resized(spec, to).expect_err("admitted");
        for word in ["pod shop/web-1", "BurstPolicy/shop/web"].iter().chain(words) {
            assert!(text.contains(word), "{text} does not say {word}");
        }
    };
    fits(json!({}), size(64_000, 256));
    fits(json!({"max": {"cloud": {"cpu": "8"}}}), size(4000, 2));
    refuses(
        json!({"max": {"cloud": {"cpu": "8"}}}),
        size(4001, 2),
        &["from cpu 1 to 4001m", "max.cloud.cpu 8", "5 in use, 8001m afterwards"],
    );
    fits(json!({"max": {"cloud": {"cpu": "4"}}}), size(500, 2));
    fits(json!({"max": {"cloud": {"cpu": "4"}}}), size(1000, 9));
    fits(json!({"max": {"local": {"cpu": "1"}, "cloud": {"pods": 1}}}), size(9000, 9));
    refuses(
        json!({"max": {"cloud": {"memory": "10Gi"}}}),
        size(1000, 3),
        &["from memory 2Gi to 3Gi", "max.cloud.memory 10Gi", "10Gi in use, 11Gi afterwards"],
    );
    fits(tier(json!({"memory": "11Gi"})), size(1000, 3));
    refuses(tier(json!({"memory": "11Gi"})), size(1000, 4), &["tiers[1].max (tier burst).memory 11Gi"]);
    refuses(json!({"max": {"cloud": {"cpu": "lots"}}}), size(2000, 2), &["max.cloud.cpu lots"]);
}

/// What runs beside the pod stays beside it: in the cloud it counts, on real nodes it does not.
#[test]
fn what_runs_beside_the_pod_counts_in_the_cloud() {
    let resized = |side: Side, to: Resources| {
        let spec = json!({"max": {"cloud": {"cpu": "2"}, "local": {"cpu": "2"}}});
        let spec: BurstPolicySpec = serde_json::from_value(spec).unwrap();
        let grants = [("me".to_owned(), grant(side, "", size(1000, 2)))].into();
        let ledger = Ledger { grants, ..Ledger::default() };
        let beside = [("burst.io/daemonsets-requests".to_owned(), r#"{"cpu":"150m"}"#.to_owned())].into();
        let pod = PodFacts { uid: "me".into(), requests: to, annotations: beside, ..PodFacts::default() };
        let (reports, prices) = (BTreeMap::new(), PriceBook::default());
        let world =
            Around { now: 0, virtual_nodes: &[], real_nodes: &[], reports: &reports, prices: &prices };
        admit_resize(&Resize { pod: &pod, policy: "", spec: &spec, ledger: &ledger, world }).is_ok()
    };
    assert!(resized(Side::Cloud, size(1850, 2)) && !resized(Side::Cloud, size(1851, 2)));
    assert!(resized(Side::Local, size(2000, 2)) && !resized(Side::Local, size(2001, 2)));
}

#[test]
fn without_a_grant_any_size_goes() {
    let spec = BurstPolicySpec::default();
    let pod = PodFacts { uid: "new".into(), requests: size(64_000, 1), ..PodFacts::default() };
    let (reports, prices) = (BTreeMap::new(), PriceBook::default());
    let world = Around { now: 0, virtual_nodes: &[], real_nodes: &[], reports: &reports, prices: &prices };
    let ledger = Ledger::default();
    assert!(admit_resize(&Resize { pod: &pod, policy: "", spec: &spec, ledger: &ledger, world }).is_ok());
}

/// 1 core costs 0.001 a second. The other pod of 4 cores costs 14.40 an hour, so that 20 an hour leave 5.60: one core and
/// a half for an hour, but not two.
#[test]
fn budgets_hold_for_resizes_too() {
    let spec = json!({"budget": {"currency": "CNY", "perHour": "20"}});
    let spec: BurstPolicySpec = serde_json::from_value(spec).unwrap();
    let prices = json!({"prices": [{
        "provider": "huawei", "currency": "CNY", "vcpuSecond": "0.001", "gibSecond": "0", "source": "test", "date": "2026-11-21"
    }]});
    let prices = PriceBook::read(&prices.to_string()).unwrap();
    let nodes = [VirtualNode {
        name: "burst-cci-0".into(),
        provider: "huawei".into(),
        ready: true,
        ..VirtualNode::default()
    }];
    let running = |rate, requests| Grant {
        rate: Rate(rate),
        started: Some(0),
        node: Some("burst-cci-0".into()),
        ..grant(Side::Cloud, "cloud", requests)
    };
    let grants = [("me", running(1_000_000, size(1000, 2))), ("other", running(4_000_000, size(4000, 8)))];
    let grants = grants.into_iter().map(|(uid, grant)| (uid.to_owned(), grant)).collect();
    let ledger = Ledger { grants, ..Ledger::default() };
    let reports = BTreeMap::new();
    let resized = |now, to| {
        let pod = PodFacts {
            uid: "me".into(),
            namespace: "shop".into(),
            name: "web-1".into(),
            requests: to,
            ..PodFacts::default()
        };
        let world =
            Around { now, virtual_nodes: &nodes, real_nodes: &[], reports: &reports, prices: &prices };
        let resize =
            Resize { pod: &pod, policy: "BurstPolicy/shop/web", spec: &spec, ledger: &ledger, world };
        admit_resize(&resize).map_err(|e| e.to_string())
    };
    assert_eq!(resized(0, size(1500, 3)), Ok(()));
    assert_eq!(resized(0, size(500, 2)), Ok(()), "smaller always goes");
    let text = resized(0, size(2000, 4)).expect_err("admitted");
    let words =
        ["pod shop/web-1", "cpu 2", "budget", "CNY", "of 20.00 spent this hour", "BurstPolicy/shop/web"];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}
