//! A cloud that is sold out, and deletion costs.

use std::sync::Arc;

use cluster::kept::Objects;
use cluster::reports::StoredReport;
use policies::keys;

use super::*;

fn owned(name: &str, uid: &str, kind: &str) -> Value {
    let mut pod = pod(name, uid);
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": kind, "name": "owner", "uid": "o1", "controller": true}]);
    pod
}

fn out(n: usize) -> Vec<CreateFault> {
    vec![CreateFault::Refused(CloudError::Capacity("no cpu left in this zone".into())); n]
}

impl Rig {
    /// Two places: this one and another zone's virtual node.
    fn with_another_place(&self) {
        let report = |zone: &str| {
            let spec = NodeReport { provider: "fake".into(), zone: zone.into(), ..NodeReport::default() };
            Arc::new(StoredReport { metadata: Default::default(), spec: Ok(spec) })
        };
        let reports: Objects<StoredReport> =
            [(NODE.into(), report("zone-a")), ("burst-b".into(), report("zone-b"))].into();
        self.ground
            .send_modify(|g| *g = Arc::new(Ground { reports: Arc::new(reports.clone()), ..(**g).clone() }));
    }

    fn classes_out(&self) -> Vec<String> {
        let report = self.report.borrow();
        report.iter().flat_map(|r| r.stock_outs.iter().map(|s| s.class.clone())).collect()
    }

    fn cost(&self, name: &str) -> (Option<String>, Option<String>) {
        let pod = self.api.pod("shop", name).unwrap_or_default();
        let of = |key: &str| Some(pod["metadata"]["annotations"].get(key)?.as_str()?.to_owned());
        (of(keys::DELETION_COST), of(keys::ORIGINAL_DELETION_COST))
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_sets_pod_is_handed_back_and_the_place_remembered() {
    let rig = Rig::new();
    rig.with_another_place();
    rig.cloud.lock().create_faults.extend(out(50));
    rig.api.put(owned("web", "u1", "ReplicaSet"));
    rig.gone("web").await;
    let evictions = rig.api.requests_of("POST", "/pods/web/eviction");
    assert_eq!(evictions.len(), 1);
    assert_eq!(evictions[0].body["deleteOptions"]["preconditions"]["uid"], "u1");
    let said = rig.api.requests_of("PATCH", "/pods/web/status");
    assert!(
        said.iter().any(|r| condition(&r.body, "DisruptionTarget").is_some_and(|c| c["status"] == "True"))
    );
    assert_eq!(rig.instances(), 0);
    eventually("published", || rig.classes_out() == ["cpu-1"]).await;
    assert!(rig.events_of("web").contains(&"HandedBack".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn others_keep_trying_say_why_and_succeed_when_stock_returns() {
    let rig = Rig::new();
    rig.with_another_place();
    rig.cloud.lock().create_faults.extend(out(8));
    rig.api.put(pod("bare", "u1"));
    eventually("told", || rig.events_of("bare").contains(&"StockOut".to_owned())).await;
    eventually("published", || rig.classes_out() == ["cpu-1"]).await;
    rig.running("bare").await;
    assert_eq!(rig.events_of("bare").iter().filter(|reason| *reason == "StockOut").count(), 1, "once");
    assert!(rig.api.requests_of("POST", "/pods/bare/eviction").is_empty());
    eventually("cleared", || rig.classes_out().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn without_another_place_nobody_is_evicted() {
    let rig = Rig::new();
    rig.cloud.lock().create_faults.extend(out(6));
    rig.api.put(owned("web", "u1", "ReplicaSet"));
    rig.running("web").await;
    assert!(rig.api.requests_of("POST", "eviction").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_forbids_the_eviction_leaves_the_pod_trying() {
    let rig = Rig::new();
    rig.with_another_place();
    rig.cloud.lock().create_faults.extend(out(6));
    rig.api.fault(Fault::status(429).on("POST", "/eviction"));
    rig.api.put(owned("web", "u1", "StatefulSet"));
    rig.running("web").await;
    assert!(!rig.api.requests_of("POST", "/pods/web/eviction").is_empty());
    assert_eq!(rig.instances(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_jobs_pod_is_failed_only_where_its_policy_ignores_that() {
    for (action, failed) in [("Ignore", true), ("Count", false)] {
        let rig = Rig::new();
        rig.with_another_place();
        rig.cloud.lock().create_faults.extend(out(6));
        rig.api.put(json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "owner", "namespace": "shop"},
            "spec": {"template": {"spec": {"containers": []}}, "podFailurePolicy": {"rules": [
                {"action": action, "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}},
        }));
        rig.api.put(owned("job", "u1", "Job"));
        if failed {
            eventually("failed", || rig.phase("job") == "Failed").await;
            let pod = rig.api.pod("shop", "job").unwrap();
            assert_eq!(condition(&pod, "DisruptionTarget").unwrap()["status"], "True");
            after(600).await;
            assert_eq!(rig.instances(), 0);
        } else {
            rig.running("job").await;
        }
    }
}

/// CCI takes the pod and then finds no place for it.
#[tokio::test(start_paused = true)]
async fn an_instance_without_a_place_is_given_up_and_its_pod_handed_back() {
    let rig = Rig::new();
    rig.with_another_place();
    rig.cloud.lock().unplaced = true;
    rig.api.put(owned("web", "u1", "ReplicaSet"));
    rig.api.put(pod("bare", "u2"));
    eventually("told", || rig.events_of("bare").contains(&"StockOut".to_owned())).await;
    after(10).await;
    assert_eq!(rig.instances(), 2, "the cloud may yet find a place");
    rig.gone("web").await;
    assert_eq!(rig.cloud.lock().instances.keys().cloned().collect::<Vec<_>>(), ["u2"]);
    after(600).await;
    assert!(rig.api.pod("shop", "bare").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_deletion_cost_rides_on_the_status_and_costs_no_write() {
    let rig = Rig::new();
    let mut with_own = owned("own", "u2", "ReplicaSet");
    with_own["metadata"]["annotations"] = json!({ keys::DELETION_COST: "7" });
    rig.api.put(owned("web", "u1", "ReplicaSet"));
    rig.api.put(with_own);
    rig.api.put(owned("job", "u3", "Job"));
    for name in ["web", "own", "job"] {
        rig.running(name).await;
    }
    after(5).await;
    let text = |s: &str| Some(s.to_owned());
    assert_eq!(rig.cost("web"), (text("-1000000"), text("")));
    assert_eq!(rig.cost("own"), (text("-999993"), text("7")));
    assert_eq!(rig.cost("job"), (None, None));
    for name in ["web", "own", "job"] {
        assert_eq!(rig.api.requests_of("PATCH", &format!("/pods/{name}/status")).len(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_writer_of_the_deletion_cost_is_respected_and_not_fought() {
    let rig = Rig::new();
    rig.api.put(owned("web", "u1", "ReplicaSet"));
    rig.running("web").await;
    let write = |cost: i32| {
        let mut pod = rig.api.pod("shop", "web").unwrap();
        pod["metadata"]["annotations"][keys::DELETION_COST] = json!(cost.to_string());
        rig.api.put(pod);
    };
    write(5);
    let text = |s: &str| Some(s.to_owned());
    eventually("its wish is the new original", || rig.cost("web") == (text("-999995"), text("5"))).await;
    write(5);
    after(600).await;
    assert_eq!(rig.cost("web"), (text("5"), text("5")), "it insists");
    rig.api.clear_requests();
    for n in 0..120 {
        write(100 + n);
        after(1).await;
    }
    let writes = rig.api.requests_of("PATCH", "/pods/web/status").len();
    assert!((1..=3).contains(&writes), "{writes} writes in two minutes of changes");
}

#[tokio::test(start_paused = true)]
async fn the_deletion_cost_is_restored_on_demand() {
    let rig = Rig::new();
    let mut with_own = owned("own", "u2", "ReplicaSet");
    with_own["metadata"]["annotations"] = json!({ keys::DELETION_COST: "7" });
    rig.api.put(owned("web", "u1", "ReplicaSet"));
    rig.api.put(with_own);
    rig.running("web").await;
    rig.running("own").await;
    after(5).await;
    let (api, cloud) = rig.kill();
    let restoring = Settings { deletion_cost: crate::pods::Wish::Original, ..settings() };
    let rig = Rig::tuned(api, cloud, restoring);
    eventually("restored", || rig.cost("web") == (None, None) && rig.cost("own") == (Some("7".into()), None))
        .await;
    assert_eq!(rig.instances(), 2);
}
