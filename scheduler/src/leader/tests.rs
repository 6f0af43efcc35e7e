//! The leader against an API server in memory, with the real plan.

mod home;
mod late;

use cluster::testing::{FakeApi, Fault};
use cluster::{ClusterWatch, governed, reports};
use serde_json::{Value, json};

use super::*;

const NS: &str = "burst-system";
const WEB: &str = "BurstPolicy/shop/web";

fn node(name: &str, provider: Option<&str>) -> Value {
    let taints = provider.map_or_else(
        || json!([]),
        |value| json!([{"key": "virtual-kubelet.io/provider", "value": value, "effect": "NoSchedule"}]),
    );
    let labels = if provider.is_some() { json!({"type": "virtual-kubelet"}) } else { json!({}) };
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "allocatable": {"cpu": "100", "memory": "400Gi", "pods": "1000"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"burst.io/governed": "true"},
            "annotations": {"burst.io/burst-policy": WEB, "burst.io/resolved-policy": "auto"},
        },
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]},
        "status": {"phase": "Pending"},
    })
}

fn policy(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"name": "web", "namespace": "shop", "uid": "web", "generation": 1},
    });
    object["spec"] = spec;
    object
}

fn max(pods: u64) -> Value {
    policy(json!({"max": {"cloud": {"pods": pods}}}))
}

/// A cluster with one real and one virtual node, and `pods` governed pods.
fn api(policy: Option<Value>, pods: usize) -> FakeApi {
    let api = FakeApi::new();
    api.put(node("real", None));
    api.put(node("virtual", Some("huawei")));
    policy.map(|policy| api.put(policy));
    for i in 0..pods {
        api.put(pod(&format!("p{i}")));
    }
    api
}

/// One replica.
struct Replica {
    stop: CancellationToken,
    decisions: Arc<Ring>,
    view: Arc<ArcSwap<View>>,
}

impl Replica {
    fn start(api: &FakeApi, identity: &str, lease: &str) -> Self {
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let client = api.client();
        let decisions = Arc::new(Ring::default());
        let view = Arc::new(ArcSwap::default());
        let leader = Leader {
            namespace: NS.to_owned(),
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            cluster: ClusterWatch::start(client.clone(), stop.clone(), &tracker),
            objects: PolicyObjects::start(&client, &stop, &tracker),
            pods: governed::watch(&client, stop.clone(), &tracker),
            reports: reports::watch(&client, stop.clone(), &tracker),
            ledgers: cluster::ledgers::watch(&client, NS, stop.clone(), &tracker),
            prices: Arc::new(PriceBook::shipped()),
            planner: policies::ledger::plan,
            stale_after: Duration::from_secs(120),
            room_seconds: 0,
            events: Recorder::start(client.clone(), "burst.io/scheduler", identity, stop.clone(), &tracker),
            decisions: Arc::clone(&decisions),
            metrics: Arc::new(Metrics::new()),
            view: Arc::clone(&view),
            client,
        };
        leader.start(&stop, &tracker);
        Self { stop, decisions, view }
    }

    fn lead(api: &FakeApi) -> Self {
        Self::start(api, "a", "leader")
    }
}

/// Names of the pods that were granted.
fn granted(api: &FakeApi) -> Vec<String> {
    let all = api.list("v1", "pods");
    let granted = all.iter().filter(|pod| pod["metadata"]["annotations"].get("burst.io/grant").is_some());
    granted.map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// Every pod has the toleration exactly once if it was granted, else not at all.
fn check_tolerations(api: &FakeApi) {
    for pod in api.list("v1", "pods") {
        let opened = pod["metadata"]["annotations"].get("burst.io/grant").is_some();
        let tolerations = pod["spec"]["tolerations"].as_array().map_or(0, Vec::len);
        assert_eq!(tolerations, usize::from(opened), "{pod}");
    }
}

fn ledger(api: &FakeApi) -> Value {
    api.get("burst.io/v1alpha1", "burstledgers", NS, &cluster::ledgers::object_name(WEB)).unwrap_or_default()
        ["spec"]
        .clone()
}

fn states(api: &FakeApi) -> BTreeMap<String, String> {
    let grants = ledger(api)["grants"].as_object().cloned().unwrap_or_default();
    grants
        .into_iter()
        .map(|(uid, grant)| (uid, grant["state"].as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn status(api: &FakeApi) -> Value {
    api.get("burst.io/v1alpha1", "burstpolicies", "shop", "web").unwrap_or_default()["status"].clone()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within a minute");
}

/// Time for whatever should not happen.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(10)).await;
}

fn bind(api: &FakeApi, name: &str, node: &str) {
    let mut pod = api.pod("shop", name).expect("exists");
    pod["spec"]["nodeName"] = json!(node);
    pod["status"]["conditions"] =
        json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z"}]);
    api.put(pod);
}

#[tokio::test(start_paused = true)]
async fn three_of_ten_go_and_the_others_are_told_why() {
    let api = api(Some(max(3)), 10);
    let replica = Replica::lead(&api);
    until("three are granted", || granted(&api).len() == 3).await;
    settle().await;
    assert_eq!(granted(&api).len(), 3);
    check_tolerations(&api);
    assert_eq!(states(&api).into_values().collect::<Vec<_>>(), ["Open"; 3]);
    let status = status(&api);
    assert_eq!(status["pods"], json!({"local": 0, "cloud": 3, "waiting": 7}));
    assert_eq!(status["heldBack"], json!({"CloudLimit": 7}));
    let reached = status["conditions"].as_array().into_iter().flatten();
    let reached: Vec<_> = reached.filter(|c| c["type"] == "LimitReached" && c["status"] == "True").collect();
    assert_eq!(reached.len(), 1, "{status}");
    let held = replica.decisions.newest(|decision| decision.reason == "CloudLimit", 100);
    assert_eq!(held.len(), 7, "once each");
    let with = |reason: &str| {
        api.list("events.k8s.io/v1", "events").iter().filter(|event| event["reason"] == reason).count()
    };
    assert_eq!((with("BurstHeld"), with("BurstGranted")), (7, 0), "who never waited needs no event");
    let view = replica.view.load();
    assert_eq!(view.policies.first().map(|row| row.grants), Some([3, 0]));
    // Raised, it flows on.
    api.put(max(5));
    until("five are granted", || granted(&api).len() == 5).await;
    settle().await;
    assert_eq!(granted(&api).len(), 5);
    assert_eq!(with("BurstGranted"), 2, "they were told to wait");
}

#[tokio::test(start_paused = true)]
async fn that_real_nodes_come_first_is_no_event() {
    let api = api(Some(max(3)), 0);
    let mut prefers = pod("p0");
    prefers["metadata"]["annotations"]["burst.io/resolved-policy"] = json!("localPrefer");
    api.put(prefers);
    let replica = Replica::lead(&api);
    let first = || replica.decisions.newest(|decision| decision.reason == "LocalFirst", 9).len();
    until("it waits for real nodes", || first() == 1).await;
    let mut full = api.pod("shop", "p0").expect("exists");
    full["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "lastTransitionTime": "2026-01-01T00:00:09Z"}]);
    api.put(full);
    until("it is granted", || granted(&api).len() == 1).await;
    settle().await;
    assert_eq!(api.list("events.k8s.io/v1", "events"), Vec::<Value>::new());
}

/// Two replicas that both lead (different Leases): compare-and-swap alone keeps the ceiling.
#[tokio::test(start_paused = true)]
async fn two_leaders_at_once_grant_no_more_than_one() {
    let api = api(Some(max(3)), 10);
    let _a = Replica::start(&api, "a", "one");
    let _b = Replica::start(&api, "b", "other");
    until("three are granted", || granted(&api).len() == 3).await;
    settle().await;
    assert_eq!(granted(&api).len(), 3);
    assert_eq!(states(&api).len(), 3);
    check_tolerations(&api);
}

/// Killed between the ledger and the pods: the next leader finishes, and grants nobody else.
#[tokio::test(start_paused = true)]
async fn the_next_leader_finishes_what_the_last_one_wrote_down() {
    let api = api(Some(max(3)), 10);
    api.fault(Fault::status(503).on("PATCH", "/pods/"));
    let a = Replica::start(&api, "a", "leader");
    until("the ledger is written", || states(&api).len() == 3).await;
    let first: Vec<String> = states(&api).into_keys().collect();
    a.stop.cancel();
    settle().await;
    assert!(granted(&api).is_empty());
    api.clear_faults();
    let _b = Replica::start(&api, "b", "leader");
    until("the pods are written", || granted(&api).len() == 3).await;
    settle().await;
    assert_eq!(granted(&api), first);
    assert_eq!(states(&api).into_keys().collect::<Vec<_>>(), first);
    check_tolerations(&api);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_grant_nobody_twice() {
    let api = api(Some(max(3)), 10);
    api.fault(Fault::lost_answer().on("POST", "/burstledgers").times(1));
    api.fault(Fault::lost_answer().on("PATCH", "/pods/").times(2));
    let _replica = Replica::lead(&api);
    until("three are granted", || granted(&api).len() == 3).await;
    settle().await;
    assert_eq!((granted(&api).len(), states(&api).len()), (3, 3));
    check_tolerations(&api);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_a_real_node_made_needless_goes_to_the_next() {
    let api = api(Some(max(1)), 2);
    let _replica = Replica::lead(&api);
    until("one is granted", || granted(&api).len() == 1).await;
    let first = granted(&api).remove(0);
    bind(&api, &first, "real");
    until("the other is granted", || granted(&api).len() == 2).await;
    assert!(!states(&api).contains_key(&first), "{:?}", states(&api));
}

/// The pod is gone, its instance may not be: the place is free only on the word of the bridge.
#[tokio::test(start_paused = true)]
async fn a_deleted_pod_counts_until_the_bridge_says_that_nothing_is_left() {
    let api = api(Some(max(1)), 2);
    let _replica = Replica::lead(&api);
    until("one is granted", || granted(&api).len() == 1).await;
    let first = granted(&api).remove(0);
    bind(&api, &first, "virtual");
    settle().await;
    api.remove("v1", "pods", "shop", &first);
    until("its grant closes", || states(&api).get(&first).is_some_and(|state| state == "Closing")).await;
    settle().await;
    assert!(granted(&api).is_empty(), "nobody else before the bridge has answered");
    let serial = ledger(&api)["grants"][&first]["serial"].clone();
    let report = |serial: Value| {
        json!({
            "apiVersion": "burst.io/v1alpha1", "kind": "VirtualNodeReport", "metadata": {"name": "virtual"},
            "spec": {"provider": "huawei", "released": [{"uid": first, "serial": serial}]},
        })
    };
    api.put(report(json!(99)));
    settle().await;
    assert!(granted(&api).is_empty(), "an answer to another grant");
    api.put(report(serial));
    until("the other is granted", || granted(&api).len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_grants_nothing() {
    // The object does not exist.
    let missing = api(None, 2);
    let replica = Replica::lead(&missing);
    until("told", || replica.decisions.newest(|d| d.sentence.contains("does not exist"), 9).len() == 2).await;
    assert!(granted(&missing).is_empty());
    // The ledger cannot be read.
    let broken = api(Some(max(3)), 2);
    broken.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstLedger",
        "metadata": {"name": cluster::ledgers::object_name(WEB), "namespace": NS}, "spec": {"policy": WEB, "grants": "many"},
    }));
    let _replica = Replica::lead(&broken);
    settle().await;
    assert!(granted(&broken).is_empty());
    assert_eq!(ledger(&broken)["grants"], "many", "and it is left as it is");
}

/// A ledger knows pods that our watch does not show: they are looked up, not taken for deleted.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_behind_closes_no_grant() {
    let api = api(Some(max(3)), 1);
    let first = Replica::start(&api, "a", "leader");
    until("granted", || granted(&api).len() == 1).await;
    first.stop.cancel();
    settle().await;
    let client = api.client();
    let metrics = Arc::new(Metrics::new());
    let desk = || Desk::new(client.clone(), NS.to_owned(), policies::ledger::plan, Arc::clone(&metrics));
    let (_, claim) = watch::channel(lease::Claim { leading: true, holder: None });
    let (reports, prices) = (BTreeMap::new(), PriceBook::shipped());
    let world = World { now: 0, virtual_nodes: &[], real_nodes: &[], reports: &reports, prices: &prices };
    let spec = BurstPolicySpec::default();
    let behind = desk().round(WEB, &spec, &[], &world, &claim).await;
    assert!(matches!(behind, Err(Later::Behind { .. })), "{behind:?}");
    assert_eq!(states(&api)["p0"], "Open");
    // Looked up and not found, it is deleted.
    api.remove("v1", "pods", "shop", "p0");
    assert!(desk().round(WEB, &spec, &[], &world, &claim).await.is_ok());
    assert_ne!(states(&api).get("p0").map(String::as_str), Some("Open"));
    // Who does not lead writes nothing.
    let (_, claim) = watch::channel(lease::Claim::default());
    let before = ledger(&api);
    let claims =
        [Claim { uid: "new".to_owned(), policy: policies::policy::Policy::Auto, ..Claim::default() }];
    let node = Snapshot::default();
    let world = World { virtual_nodes: &claims::virtual_nodes(&node), ..world };
    drop(desk().round(WEB, &spec, &claims, &world, &claim).await);
    assert_eq!(ledger(&api), before);
}

#[tokio::test(start_paused = true)]
async fn where_the_driver_is_a_toleration_pods_need_no_object() {
    let api = api(None, 0);
    let mut auto = pod("auto");
    auto["metadata"]["annotations"]["burst.io/burst-policy"] = json!(keys::DRIVER);
    let mut prefer = auto.clone();
    prefer["metadata"]["name"] = json!("prefer");
    prefer["metadata"]["uid"] = json!("prefer");
    prefer["metadata"]["annotations"]["burst.io/resolved-policy"] = json!("localPrefer");
    api.put(auto);
    api.put(prefer.clone());
    let _replica = Replica::lead(&api);
    until("auto is granted at once", || granted(&api) == ["auto"]).await;
    settle().await;
    assert_eq!(granted(&api), ["auto"], "localPrefer not before the scheduler found no room");
    prefer["status"]["conditions"] = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "lastTransitionTime": "2026-01-01T00:00:05Z",
    }]);
    api.put(prefer);
    until("then localPrefer", || granted(&api).len() == 2).await;
}
