use serde_json::{Value, json};

use super::*;
use crate::testing::{FakeApi, Fault};

fn node(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"type": class}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, node: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]},
        "status": {"phase": "Running"},
    })
}

struct Watched {
    api: FakeApi,
    handle: ClusterHandle,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Watched {
    fn start(api: &FakeApi) -> Self {
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let handle = ClusterWatch::start(api.client(), cancel.clone(), &tracker);
        Self { api: api.clone(), handle, cancel, tracker }
    }

    async fn synced(api: &FakeApi) -> Self {
        let watched = Self::start(api);
        watched.handle.wait_synced().await;
        watched
    }

    /// Waits (in paused time) until the snapshot is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) {
        for _ in 0..1000 {
            if wanted(&self.handle.snapshot()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: not within 100 s; snapshot is {:?}", self.handle.snapshot());
    }

    fn cpu(&self, node: &str) -> Option<u64> {
        self.handle.snapshot().by_name(node).map(|row| row.requested.cpu_milli)
    }
}

#[tokio::test(start_paused = true)]
async fn lists_then_follows_and_stops_when_cancelled() {
    let api = FakeApi::new();
    api.put(node("r1", "worker"));
    api.put(node("v1", "virtual-kubelet"));
    api.put(pod("a", Some("r1")));
    let watched = Watched::start(&api);
    assert_eq!(watched.handle.ready(Duration::MAX), Err(NotReady::Unsynced("nodes")));
    assert!(!watched.handle.snapshot().synced());
    watched.handle.wait_synced().await;
    assert_eq!(watched.handle.ready(Duration::from_secs(1)), Ok(()));
    assert_eq!((watched.cpu("r1"), watched.cpu("v1"), watched.cpu("none")), (Some(500), Some(0), None));

    api.put(pod("b", Some("v1")));
    watched.until("b on v1", |s| s.burst_pods().len() == 1).await;
    assert_eq!(watched.cpu("v1"), Some(500));
    api.remove("v1", "pods", "shop", "a");
    api.remove("v1", "nodes", "", "v1");
    watched.until("v1 gone", |s| s.node_count() == 1 && s.totals().real.requested.pods == 0).await;

    watched.cancel.cancel();
    watched.tracker.close();
    watched.tracker.wait().await;
}

#[tokio::test(start_paused = true)]
async fn what_vanished_during_an_expired_watch_is_swept() {
    let api = FakeApi::new();
    api.put(node("r1", "worker"));
    api.put(node("r2", "worker"));
    api.put(pod("a", Some("r1")));
    api.put(pod("b", Some("r1")));
    let watched = Watched::synced(&api).await;
    let hang = || Fault::status(503);
    api.fault(hang().on("GET", "/nodes").times(3));
    api.fault(hang().on("GET", "/pods").times(3));
    api.expire();
    api.remove("v1", "pods", "shop", "a");
    api.remove("v1", "nodes", "", "r2");
    api.put(node("r3", "worker"));
    let names = |s: &Snapshot| s.nodes().map(|(_, row)| row.name.clone()).collect::<Vec<_>>();
    watched.until("relisted", |s| names(s) == ["r1", "r3"]).await;
    watched.until("swept", |s| s.totals().real.requested.pods == 1).await;
    assert_eq!(watched.cpu("r1"), Some(500));
    assert!(watched.handle.freshness().errors() >= 2);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_is_counted_and_stops_nothing() {
    let api = FakeApi::new();
    let mut odd = pod("odd", Some("r1"));
    odd["spec"]["containers"] = json!("not a list");
    let mut odd_node = node("odd", "virtual-kubelet");
    odd_node["spec"] = json!({"taints": 7});
    api.put(node("r1", "worker"));
    api.put(odd_node);
    api.put(odd.clone());
    let watched = Watched::synced(&api).await;
    let snapshot = watched.handle.snapshot();
    assert_eq!(snapshot.totals().undecodable, 2);
    assert_eq!(snapshot.totals().virtual_nodes.nodes, 1);
    assert_eq!(snapshot.by_name("r1").map(|row| (row.requested.pods, row.requested.cpu_milli)), Some((1, 0)));
    odd["metadata"]["labels"] = json!([1, 2]);
    api.put(odd);
    api.send_raw("v1", "pods", "this is not JSON");
    api.put(pod("good", Some("r1")));
    watched.until("good is seen", |s| s.by_name("r1").is_some_and(|row| row.requested.pods == 2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_stays_fresh_and_a_dead_server_is_noticed() {
    let api = FakeApi::new();
    api.put(node("r1", "worker"));
    let watched = Watched::synced(&api).await;
    let allowed = Duration::from_secs(90);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(watched.handle.ready(allowed), Ok(()));
    }
    assert!(watched.handle.freshness().last_event_age(Instant::now()) > Some(Duration::from_secs(1000)));

    watched.api.fault(Fault::hang());
    tokio::time::sleep(Duration::from_secs(200)).await;
    let stale = watched.handle.ready(allowed).expect_err("stale");
    assert!(matches!(stale, NotReady::Stale { .. }), "{stale}");
    assert!(watched.handle.snapshot().synced(), "what was known stays");

    watched.api.clear_faults();
    api.put(node("r2", "worker"));
    watched.until("back", |s| s.node_count() == 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(watched.handle.ready(allowed), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_events_is_published_in_few_pictures() {
    let api = FakeApi::new();
    api.put(node("r1", "worker"));
    let watched = Watched::synced(&api).await;
    let before = watched.handle.snapshot().generation();
    for i in 0..1000 {
        api.put(pod(&format!("p{i}"), Some("r1")));
    }
    watched.until("all", |s| s.totals().real.requested.pods == 1000).await;
    let pictures = watched.handle.snapshot().generation() - before;
    assert!((1..=8).contains(&pictures), "{pictures}");
}

#[tokio::test(start_paused = true)]
async fn a_binding_is_told_once_and_old_pods_are_not_new() {
    let api = FakeApi::new();
    let with = |name: &str, node: Option<&str>, policy: &str, phase: &str| {
        let mut pod = pod(name, node);
        pod["metadata"]["uid"] = json!(name);
        pod["metadata"]["annotations"] = json!({"burst.io/resolved-policy": policy});
        pod["status"]["phase"] = json!(phase);
        pod
    };
    api.put(with("old", Some("r1"), "auto", "Running"));
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let (handle, mut bindings) = ClusterWatch::with_bindings(api.client(), cancel.clone(), &tracker);
    handle.wait_synced().await;
    for (node, phase) in
        [(None, "Pending"), (Some("r1"), "Pending"), (Some("r1"), "Running"), (Some("r1"), "Succeeded")]
    {
        for (name, policy) in [("old", "auto"), ("ordinary", "off"), ("new", "auto")] {
            let node = if name == "old" { Some("r1") } else { node };
            api.put(with(name, node, policy, phase));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Finished, and changed once more.
    let mut finished = with("new", Some("r1"), "auto", "Succeeded");
    finished["metadata"]["labels"] = json!({"seen": "yes"});
    api.put(finished);
    let mut broken = with("broken", Some("r1"), "auto", "Running");
    broken["spec"]["containers"] = json!(7);
    api.put(broken);
    tokio::time::sleep(Duration::from_secs(1)).await;
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    let mut told = Vec::new();
    while let Some(binding) = bindings.recv().await {
        told.push((binding.pod.uid, binding.pod.node_name));
    }
    assert_eq!(told, [("new".to_owned(), Some("r1".to_owned()))]);
}
