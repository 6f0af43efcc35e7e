use policies::burst_policy::Condition;
use tokio::time::Instant;

use super::*;
use crate::patch::Outcome;
use crate::testing::{FakeApi, Fault};

fn object(namespace: &str, name: &str, spec: &Value) -> Value {
    let (kind, metadata) = match namespace {
        "" => ("ClusterBurstPolicy", json!({"name": name, "generation": 1})),
        namespace => ("BurstPolicy", json!({"name": name, "namespace": namespace, "generation": 1})),
    };
    json!({"apiVersion": "burst.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

struct Watched {
    api: FakeApi,
    objects: PolicyObjects,
    _cancel: tokio_util::sync::DropGuard,
}

impl Watched {
    async fn synced(api: &FakeApi) -> Self {
        let cancel = CancellationToken::new();
        let objects = PolicyObjects::start(&api.client(), &cancel, &TaskTracker::new());
        objects.wait_synced().await;
        Self { api: api.clone(), objects, _cancel: cancel.drop_guard() }
    }

    fn keys(&self) -> Vec<String> {
        self.objects.snapshot().iter().map(|o| o.key.clone()).collect()
    }

    async fn until(&self, wanted: &[&str]) {
        let mut changes = self.objects.changes();
        let waited = async {
            while self.keys() != wanted {
                changes.changed().await.expect("the watch runs");
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(100), waited).await;
        assert!(waited.is_ok(), "wanted {wanted:?}, have {:?}", self.keys());
    }
}

#[tokio::test(start_paused = true)]
async fn objects_of_both_kinds_are_followed() {
    let api = FakeApi::new();
    api.put(object("shop", "web", &json!({"priority": 7})));
    api.put(object("", "all", &json!({})));
    let watched = Watched::synced(&api).await;
    assert_eq!(watched.keys(), ["BurstPolicy/shop/web", "ClusterBurstPolicy/all"]);
    let web = watched.objects.snapshot()[0].clone();
    assert_eq!((web.namespace.as_str(), web.name.as_str(), web.spec.priority), ("shop", "web", 7));
    assert!(!web.uid.is_empty());

    api.put(object("bank", "pay", &json!({})));
    watched.until(&["BurstPolicy/bank/pay", "BurstPolicy/shop/web", "ClusterBurstPolicy/all"]).await;
    api.remove("burst.io/v1alpha1", "burstpolicies", "shop", "web");
    watched.until(&["BurstPolicy/bank/pay", "ClusterBurstPolicy/all"]).await;
    // What goes while the history is lost is missed by no one.
    api.remove("burst.io/v1alpha1", "burstpolicies", "bank", "pay");
    api.expire();
    watched.until(&["ClusterBurstPolicy/all"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_kept_apart_with_its_reason() {
    let api = FakeApi::new();
    api.put(object("shop", "odd", &json!({"tiers": "many"})));
    api.put(object("shop", "typo", &json!({"budjet": {}})));
    api.put(object("shop", "web", &json!({})));
    let watched = Watched::synced(&api).await;
    assert_eq!(watched.keys(), ["BurstPolicy/shop/web"]);
    let errors: Vec<_> = watched.objects.broken().iter().map(|b| format!("{}: {}", b.key, b.error)).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("BurstPolicy/shop/odd: spec: invalid type"), "{errors:?}");
    assert!(errors[1].starts_with("BurstPolicy/shop/typo: spec: unknown field `budjet`"), "{errors:?}");

    api.put(object("shop", "odd", &json!({"tiers": []})));
    watched.until(&["BurstPolicy/shop/odd", "BurstPolicy/shop/web"]).await;
    assert_eq!(watched.objects.broken().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_has_no_objects_and_is_looked_for_quietly() {
    let api = FakeApi::new();
    api.put(object("", "all", &json!({})));
    api.fault(Fault::status(404).on("GET", "/burstpolicies"));
    let watched = Watched::synced(&api).await;
    assert_eq!(watched.keys(), ["ClusterBurstPolicy/all"]);
    tokio::time::sleep(ABSENT * 10).await;
    let asked = api.requests_of("GET", "/burstpolicies").len();
    assert!((9..=12).contains(&asked), "asked {asked} times in {:?}", ABSENT * 10);

    api.clear_faults();
    api.put(object("shop", "web", &json!({})));
    let since = Instant::now();
    watched.until(&["BurstPolicy/shop/web", "ClusterBurstPolicy/all"]).await;
    assert!(since.elapsed() <= ABSENT + Duration::from_secs(1), "{:?}", since.elapsed());
    // The definition is removed, and its objects with it.
    api.fault(Fault::status(404).on("GET", "/burstpolicies"));
    api.fault(Fault::status(404).on("WATCH", "/burstpolicies"));
    watched.api.close_watches();
    watched.until(&["ClusterBurstPolicy/all"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_neither_empty_nor_asked_all_the_time() {
    let api = FakeApi::new();
    api.put(object("shop", "web", &json!({})));
    api.fault(Fault::status(503).on("GET", "/burstpolicies"));
    let cancel = CancellationToken::new();
    let objects = PolicyObjects::start(&api.client(), &cancel, &TaskTracker::new());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!objects.synced(), "nothing is known yet, which is not the same as nothing");
    let asked = api.requests_of("GET", "/burstpolicies").len();
    assert!((8..=20).contains(&asked), "asked {asked} times in 300 s");
    api.clear_faults();
    objects.wait_synced().await;
    assert_eq!(objects.snapshot().len(), 1);

    api.fault(Fault::status(503).on("WATCH", "/burstpolicies"));
    api.fault(Fault::status(503).on("GET", "/burstpolicies"));
    api.close_watches();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(objects.snapshot().len(), 1, "what was known stays");
    cancel.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_status_replaces_the_old_one_whole_and_wakes_nobody() {
    let api = FakeApi::new();
    api.put(object("shop", "web", &json!({})));
    api.put(object("", "all", &json!({})));
    let watched = Watched::synced(&api).await;
    let client = api.client();
    let mut changes = watched.objects.changes();
    changes.mark_unchanged();
    let status = |reason: &str| BurstPolicyStatus {
        observed_generation: 1,
        held_back: BTreeMap::from([(reason.to_owned(), 3)]),
        conditions: vec![Condition { kind: "Ready".into(), status: "True".into(), ..Condition::default() }],
        ..BurstPolicyStatus::default()
    };
    let snapshot = watched.objects.snapshot();
    for object in snapshot.iter() {
        for reason in ["BudgetReached", "LimitReached"] {
            assert_eq!(
                put_status(&client, object, &status(reason)).await,
                Ok(Outcome::Done),
                "{}",
                object.key
            );
        }
    }
    let web = api.get("burst.io/v1alpha1", "burstpolicies", "shop", "web").expect("web");
    assert_eq!(web["status"]["heldBack"], json!({"LimitReached": 3}));
    assert_eq!(web["status"]["observedGeneration"], json!(1));
    assert_eq!(web["metadata"]["generation"], json!(1));

    let other = PolicyObject { uid: "another".into(), ..snapshot[0].clone() };
    assert_eq!(put_status(&client, &other, &status("x")).await, Ok(Outcome::Conflict));
    let gone = PolicyObject { name: "gone".into(), ..snapshot[0].clone() };
    assert_eq!(put_status(&client, &gone, &status("x")).await, Ok(Outcome::Gone));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!changes.has_changed().expect("runs"), "a status is no change of the objects");
}
