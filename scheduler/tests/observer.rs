//! Bindings seen through a watch: recorded, counted, and told on the pod when it went to the cloud.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use cluster::testing::FakeApi;
use cluster::{ClusterWatch, Recorder};
use scheduler::decisions::Ring;
use scheduler::metrics::Metrics;
use scheduler::observer::{EVENT_REASON, Observer};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

fn node(name: &str, cpu: &str, virtual_node: bool) -> Value {
    let (labels, taints) = if virtual_node {
        let taint =
            json!([{"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"}]);
        (json!({"type": "virtual-kubelet"}), taint)
    } else {
        (json!({}), json!([]))
    };
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"taints": taints},
        "status": {"allocatable": {"cpu": cpu, "memory": "32Gi", "pods": "110"},
                   "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, policy: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "annotations": {"burst.io/resolved-policy": policy, "burst.io/policy-source": "Deployment/web"}},
        "spec": {
            "nodeName": node,
            "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "3"}}}],
        },
        "status": {"phase": "Pending"},
    })
}

fn events(api: &FakeApi) -> Vec<Value> {
    [api.list("events.k8s.io/v1", "events"), api.list("v1", "events")].concat()
}

#[tokio::test(start_paused = true)]
async fn a_binding_is_recorded_counted_and_told() {
    let api = FakeApi::new();
    api.put(node("node-0", "4", false));
    api.put(node("burst-cci-0", "100", true));
    api.put(pod("old", "auto", "burst-cci-0"));
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let (cluster, bindings) = ClusterWatch::with_bindings(api.client(), stop.clone(), &tracker);
    let (decisions, metrics) = (Arc::new(Ring::default()), Arc::new(Metrics::new()));
    let observer = Observer {
        cluster: cluster.clone(),
        decisions: decisions.clone(),
        metrics: metrics.clone(),
        events: Recorder::start(api.client(), "burst.io/scheduler", "test", stop.clone(), &tracker),
    };
    observer.start(bindings, &stop, &tracker);
    cluster.wait_synced().await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    api.put(pod("web-1", "auto", "node-0"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    api.put(pod("web-2", "auto", "burst-cci-0"));
    api.put(pod("ordinary", "off", "node-0"));
    tokio::time::sleep(Duration::from_secs(2)).await;

    let seen: Vec<_> =
        decisions.newest(|_| true, 10).into_iter().map(|d| (d.name, d.outcome, d.reason, d.source)).collect();
    let source = || "Deployment/web".to_owned();
    assert_eq!(
        seen,
        [
            ("web-2".to_owned(), "cloud", "ShortOfCpu", source()),
            ("web-1".to_owned(), "local", "RealNodeHadRoom", source()),
        ]
    );
    let text = metrics.render();
    for (outcome, reason) in [("cloud", "ShortOfCpu"), ("local", "RealNodeHadRoom")] {
        let series =
            format!(r#"burst_decisions_total{{policy="auto",outcome="{outcome}",reason="{reason}"}} 1"#);
        assert!(text.contains(&series), "{text}");
    }
    let told = events(&api);
    assert_eq!(told.len(), 1, "one event, for the cloud pod: {told:?}");
    assert_eq!(told[0]["reason"], EVENT_REASON);
    let regarding =
        if told[0]["regarding"].is_null() { &told[0]["involvedObject"] } else { &told[0]["regarding"] };
    assert_eq!((&regarding["name"], &regarding["uid"]), (&json!("web-2"), &json!("uid-web-2")));
    let note = told[0]["note"].as_str().or_else(|| told[0]["message"].as_str()).unwrap_or_default();
    assert!(note.contains("burst-cci-0") && note.contains("would have stayed local"), "{note}");

    // Status updates and the end of a pod are no bindings.
    let mut running = pod("web-2", "auto", "burst-cci-0");
    running["status"]["phase"] = json!("Running");
    api.put(running);
    api.remove("v1", "pods", "shop", "web-1");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(decisions.newest(|_| true, 10).len(), 2);
    stop.cancel();
    tracker.close();
    tracker.wait().await;
}
