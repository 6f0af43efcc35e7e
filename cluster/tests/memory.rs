//! The memory budget of the scheduler's cache, and the cost of publishing: 5000 nodes and 100 000 pods.
//!
//! A process of its own, because it looks at the resident memory of the whole process.

#![expect(clippy::expect_used, reason = "a test")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cluster::{Index, SlimNode, SlimPod};

const NODES: usize = 5000;
const PODS: usize = 100_000;
const BUDGET_MB: u64 = 64;

/// Resident memory now and at most, in MB; none where the system does not tell.
fn resident_mb() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb / 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

fn node(i: usize) -> SlimNode {
    let mut labels = String::new();
    for label in 0..15 {
        write!(labels, r#""example.com/label-number-{label}":"value-{}","#, i % 7).expect("writes");
    }
    let text = format!(
        r#"{{"metadata":{{"name":"ip-10-0-{}-{}.eu-central-1.compute.internal","uid":"{i:08x}-0000-4000-8000-000000000000","resourceVersion":"1","labels":{{{labels}"type":"worker"}}}},"spec":{{}},"status":{{"allocatable":{{"cpu":"64","memory":"256Gi","pods":"110"}},"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#,
        i / 256,
        i % 256,
    );
    serde_json::from_str(&text).expect("decodes")
}

fn pod(i: usize) -> SlimPod {
    let (cpu, node) = (100 + i % 50, i % NODES);
    let text = format!(
        r#"{{"metadata":{{"name":"web-7f9c6d5b8-{i:05x}","namespace":"shop-{}","uid":"{i:08x}-0000-4000-8000-000000000000","resourceVersion":"{i}","labels":{{"app":"web","pod-template-hash":"7f9c6d5b8"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7f9c6d5b8","uid":"{:08x}-0000-4000-8000-000000000000","controller":true}}]}},"spec":{{"nodeName":"ip-10-0-{}-{}.eu-central-1.compute.internal","containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}m","memory":"128Mi"}}}}}}]}},"status":{{"phase":"Running"}}}}"#,
        i % 200,
        i / 100,
        node / 256,
        node % 256,
    );
    serde_json::from_str(&text).expect("decodes")
}

#[test]
fn the_cache_of_a_large_cluster_is_within_its_budget() {
    let mut index = Index::default();
    (0..NODES).for_each(|i| index.apply_node(node(i)));
    (0..PODS).for_each(|i| index.apply_pod(&pod(i)));
    // A relist, and readers that still hold the picture before.
    let before = index.snapshot(true);
    index.relist_pods();
    (0..PODS).for_each(|i| index.apply_pod(&pod(i)));
    assert_eq!(index.sweep_pods(), 0);
    let snapshot = index.snapshot(true);
    assert_eq!((snapshot.node_count(), snapshot.totals().real.requested.pods), (NODES, PODS as u64));
    assert_eq!(before.totals(), snapshot.totals());

    let mut spent = Duration::ZERO;
    for round in 0..100 {
        (0..20).for_each(|i| index.apply_pod(&pod(PODS + round * 20 + i)));
        let started = Instant::now();
        drop(index.snapshot(true));
        spent += started.elapsed();
    }
    eprintln!("one picture after a batch of 20 pods: {:?}", spent / 100);

    if let Some((now, most)) = resident_mb() {
        eprintln!("resident: {now} MB, at most {most} MB");
        assert!(most <= BUDGET_MB, "{most} MB resident; the budget is {BUDGET_MB} MB");
    }
}
