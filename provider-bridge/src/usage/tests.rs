use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::cloud::usage::ContainerUsage;

const START: &str = "2026-01-02T03:04:05Z";

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = START.parse().unwrap();
    start + jiff::SignedDuration::from_secs(seconds)
}

fn identity(name: &str) -> PodIdentity {
    PodIdentity { uid: format!("uid-{name}"), namespace: "shop".into(), name: name.into() }
}

/// A sample: cores in use or core-seconds so far, and memory.
fn sample(name: &str, seconds: i64, milli: Option<u64>, core_seconds: Option<u64>) -> ContainerUsage {
    ContainerUsage {
        name: name.into(),
        at: at(seconds),
        nano_cores: milli.map(|milli| milli * 1_000_000),
        core_nano_seconds: core_seconds.map(|seconds| seconds * 1_000_000_000),
        memory: Memory { working_set: Some(1 << 20), usage: Some(2 << 20), ..Memory::default() },
    }
}

/// A pod of these containers, all of them its own and started at `started`.
fn observed(pod: &str, started: i64, containers: Vec<ContainerUsage>) -> Observed {
    Observed {
        pod: identity(pod),
        started: Some(at(started)),
        containers: containers.iter().map(|c| (c.name.clone(), Some(at(started)))).collect(),
        usage: Some(Usage { pod_uid: format!("uid-{pod}"), containers, interfaces: Vec::new() }),
    }
}

/// Core-seconds of the node and of its pods.
fn totals(usage: &NodeUsage) -> (u64, Vec<u64>) {
    let seconds = |nanos: u64| nanos / 1_000_000_000;
    (seconds(usage.core_nano_seconds), usage.pods.iter().map(|pod| seconds(pod.core_nano_seconds)).collect())
}

#[test]
fn what_a_cloud_counts_is_repeated() {
    let mut meter = Meter::new("vn-1", at(0));
    let mut batch = |seconds, started, core_seconds| {
        meter.add(
            vec![observed("web", started, vec![sample("a", seconds, None, Some(core_seconds))])],
            at(seconds),
        )
    };
    let first = batch(10, -600, 500);
    assert_eq!(totals(&first), (0, vec![500]), "what was used before the node counted is not the node's");
    assert_eq!(first.pods[0].nano_cores, None, "one sample is no rate");
    let second = batch(20, -600, 505);
    assert_eq!(totals(&second), (5, vec![505]));
    assert_eq!(second.pods[0].nano_cores, Some(500_000_000));
    // The container restarts: its counter falls, those above it do not.
    let third = batch(40, 30, 4);
    assert_eq!(totals(&third), (9, vec![509]));
    assert_eq!(third.pods[0].containers[0].core_nano_seconds, 4_000_000_000);
}

/// Rates are taken to have held; the same sample twice counts once.
#[test]
fn rates_are_added_up() {
    let mut meter = Meter::new("vn-1", at(0));
    let mut batch = |seconds, milli| {
        meter.add(vec![observed("web", 5, vec![sample("a", seconds, Some(milli), None)])], at(seconds))
    };
    assert_eq!(totals(&batch(10, 2000)), (10, vec![10]), "five seconds old");
    assert_eq!(totals(&batch(20, 1000)), (20, vec![20]));
    assert_eq!(totals(&batch(20, 1000)), (20, vec![20]));
    let last = batch(80, 500);
    assert_eq!(totals(&last), (50, vec![50]));
    assert_eq!(last.nano_cores, 500_000_000);
}

/// A counter that falls is taken for a restart, and all of it for new.
#[test]
fn the_nodes_counter_never_falls() {
    let mut meter = Meter::new("vn-1", at(0));
    let pod = |name: &str, core_seconds| observed(name, 1, vec![sample("a", 10, None, Some(core_seconds))]);
    assert_eq!(totals(&meter.add(vec![pod("a", 3), pod("b", 7)], at(10))), (10, vec![3, 7]));
    assert_eq!(totals(&meter.add(vec![pod("b", 7)], at(20))), (10, vec![7]));
    assert_eq!(totals(&meter.add(Vec::new(), at(30))), (10, vec![]));
    // Another pod with the UID of one that went is counted anew.
    assert_eq!(totals(&meter.add(vec![pod("a", 2)], at(40))), (12, vec![2]));
}

#[test]
fn pods_without_a_sample_are_skipped_and_counted_and_containers_beside_them_are_not_shown() {
    let object = json!({
        "metadata": {"creationTimestamp": "2026-01-02T03:00:00Z"},
        "spec": {"initContainers": [{"name": "proxy"}], "containers": [{"name": "app"}, {"name": "late"}]},
        "status": {"startTime": START, "containerStatuses": [
            {"name": "app", "state": {"running": {"startedAt": "2026-01-02T03:04:07Z"}}},
            {"name": "late", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
    });
    let samples = ["app", "agent-ship", "proxy"].map(|name| sample(name, 60, Some(100), None)).to_vec();
    let usage = Usage { pod_uid: "uid-web".into(), containers: samples, interfaces: Vec::new() };
    let web = Observed::of(identity("web"), &object, Some(usage.clone()));
    assert_eq!(web.started, Some(at(0)));
    let batch = vec![
        web,
        Observed::of(identity("new"), &object, None),
        Observed::of(identity("odd"), &object, Some(Usage { containers: Vec::new(), ..usage })),
    ];
    let usage = Meter::new("vn-1", at(0)).add(batch, at(60));
    assert_eq!((usage.pods.len(), usage.skipped), (1, 2));
    let names: Vec<&str> = usage.pods[0].containers.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["app", "proxy"]);
    assert_eq!(usage.pods[0].containers[0].started, Some(at(2)));
    assert_eq!((usage.nano_cores, usage.memory.working_set), (200_000_000, Some(2 << 20)));
}

/// Two pods, one of which tells everything.
fn example() -> NodeUsage {
    let mut web = observed(
        "web-7f",
        0,
        vec![sample("app", 60, Some(250), Some(20)), sample("side", 59, Some(1), Some(1))],
    );
    if let Some(usage) = &mut web.usage {
        usage.containers[0].memory.available = Some(3 << 20);
        usage.containers[0].memory.rss = Some(1 << 19);
        let interface =
            |name: &str| Interface { name: name.into(), rx_bytes: 10, tx_bytes: 20, ..Interface::default() };
        usage.interfaces = vec![interface("eth0"), interface("eth1")];
    }
    let mut till = observed("till", 30, vec![sample("main", 61, Some(10), None)]);
    till.started = None;
    till.containers[0].1 = None;
    Meter::new("burst-cci-a", at(0))
        .add(vec![web, till, Observed { usage: None, ..observed("new", 50, Vec::new()) }], at(62))
}

fn golden(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/usage/testdata").join(name);
    if std::env::var_os("BURST_REFRESH_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

#[test]
fn goldens_of_the_summary() {
    let text = summary(&example()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    golden("summary.json", &format!("{}\n", serde_json::to_string_pretty(&value).unwrap()));
}

#[test]
fn goldens_of_the_resource_metrics() {
    let answer = |failed| Answer { usage: Arc::new(example()), failed };
    let text = resource_text(&answer(false));
    golden("resource.txt", &text);
    let failed = resource_text(&answer(true));
    assert_eq!(failed, text.replace("scrape_error 0", "scrape_error 1"));
    assert!(
        resource_unknown()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .all(|line| line.ends_with("scrape_error 1"))
    );
}
