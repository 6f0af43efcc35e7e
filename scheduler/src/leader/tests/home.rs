//! Moves home: dry run, ledger, eviction, in this order.

use super::*;

fn wish(per_hour: u32) -> Value {
    policy(json!({"repatriation": {"minStaySeconds": 0, "maxPerHour": per_hour}}))
}

fn replica_set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "rs"},
        "spec": {"replicas": 9, "template": {"spec": {"containers": [{"name": "c"}]}}},
        "status": {"replicas": 2},
    })
}

/// A running pod of the ReplicaSet, made this long ago.
fn member(name: &str, node: &str, ago: i64) -> Value {
    let created = Timestamp::from_second(Timestamp::now().as_second() - ago).expect("a time");
    let mut pod = pod(name);
    json_patch::merge(
        &mut pod,
        &json!({
            "metadata": {
                "creationTimestamp": created.to_string(),
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}],
            },
            "spec": {"nodeName": node},
            "status": {"phase": "Running"},
        }),
    );
    pod
}

/// `pods` in the cloud, and a real node with room for all.
fn away(per_hour: u32, pods: usize) -> FakeApi {
    let api = api(Some(wish(per_hour)), 0);
    api.put(replica_set());
    for i in 0..pods {
        api.put(member(&format!("p{i}"), "virtual", 900));
    }
    api
}

/// Names of the pods that are being deleted.
fn leaving(api: &FakeApi) -> Vec<String> {
    let all = api.list("v1", "pods");
    let leaving = all.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
    leaving.map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

fn moves(api: &FakeApi) -> usize {
    ledger(api)["moves"].as_array().map_or(0, Vec::len)
}

fn dry(request: &cluster::testing::Recorded) -> bool {
    request.body["deleteOptions"]["dryRun"] == json!(["All"])
}

#[tokio::test(start_paused = true)]
async fn one_moves_and_the_next_when_its_successor_is_at_home() {
    let api = away(60, 2);
    let replica = Replica::lead(&api);
    until("one leaves", || leaving(&api).len() == 1).await;
    settle().await;
    assert_eq!(leaving(&api), ["p0"], "one at a time");
    assert_eq!(moves(&api), 1);
    let evictions = api.requests_of("POST", "/eviction");
    assert_eq!(evictions.iter().map(dry).collect::<Vec<_>>(), [true, false]);
    assert!(evictions.iter().all(|e| e.body["deleteOptions"]["preconditions"]["uid"] == "p0"));
    let events = api.list("events.k8s.io/v1", "events");
    let told = events.iter().filter(|e| e["reason"] == "BurstMovingHome" && e["regarding"]["name"] == "p0");
    assert_eq!(told.count(), 1, "{events:?}");
    let decided = replica.decisions.newest(|d| d.outcome == "moved", 9);
    assert_eq!(
        decided.iter().map(|d| (d.uid.as_str(), d.node.as_deref())).collect::<Vec<_>>(),
        [("p0", Some("real"))]
    );
    api.remove("v1", "pods", "shop", "p0");
    api.put(member("p2", "real", 0));
    until("the next one leaves", || leaving(&api) == ["p1"]).await;
    assert_eq!(moves(&api), 2);
}

#[tokio::test(start_paused = true)]
async fn a_disruption_budget_that_forbids_it_keeps_the_pod() {
    let api = away(60, 1);
    api.fault(Fault::status(429).on("POST", "/eviction"));
    let _replica = Replica::lead(&api);
    until("asked", || api.requests_of("POST", "/eviction").len() > 2).await;
    assert!(api.requests_of("POST", "/eviction").iter().all(dry), "never more than asked");
    assert_eq!((leaving(&api).len(), moves(&api)), (0, 0));
    assert!(api.requests_of("DELETE", "/pods/").is_empty());
    api.clear_faults();
    until("it leaves", || leaving(&api) == ["p0"]).await;
}

/// The pace is in the ledger: neither a new leader nor a second one exceeds it.
#[tokio::test(start_paused = true)]
async fn the_next_leader_goes_on_counting() {
    let api = away(1, 2);
    let first = Replica::start(&api, "a", "one");
    let _second = Replica::start(&api, "b", "other");
    until("one leaves", || leaving(&api).len() == 1).await;
    first.stop.cancel();
    settle().await;
    let _third = Replica::start(&api, "c", "third");
    api.remove("v1", "pods", "shop", &leaving(&api)[0]);
    api.put(member("p2", "real", 0));
    settle().await;
    assert_eq!((leaving(&api).len(), moves(&api)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_moves_where_nobody_wished_or_could_come_back() {
    let unwished = away(60, 1);
    unwished.put(max(5));
    let bare = away(60, 1);
    let mut pod = bare.pod("shop", "p0").expect("there");
    pod["metadata"]["ownerReferences"] = json!([]);
    bare.put(pod);
    let full = away(60, 1);
    full.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "shop", "uid": "other"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "99500m"}}}]},
        "status": {"phase": "Pending"},
    }));
    let ungranted = away(60, 1);
    ungranted.put(policy(json!({"max": {"cloud": {"pods": 0}}, "repatriation": {"minStaySeconds": 0}})));
    for api in [unwished, bare, full, ungranted] {
        let _replica = Replica::lead(&api);
        settle().await;
        assert!(api.requests_of("POST", "/eviction").is_empty());
    }
}
