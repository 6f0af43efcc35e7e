use serde_json::{Value, json};

use super::*;
use crate::testing::{FakeApi, Fault};
use crate::{GovernedPod, governed, ledgers};

fn pod(name: &str, governed: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"burst.io/governed": governed}},
    })
}

async fn until<T>(kept: &Kept<T>, what: &str, wanted: impl Fn(&Objects<T>) -> bool) {
    for _ in 0..1000 {
        if kept.synced() && wanted(&kept.objects()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within 100 s");
}

fn uids(objects: &Objects<GovernedPod>) -> Vec<&str> {
    objects.keys().map(SmolStr::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn follows_the_governed_pods_and_keeps_them_while_the_watch_fails() {
    let api = FakeApi::new();
    api.put(pod("a", "true"));
    api.put(pod("b", "false"));
    let tracker = TaskTracker::new();
    let kept = governed::watch(&api.client(), CancellationToken::new(), &tracker);
    until(&kept, "the list", |objects| uids(objects) == ["a"]).await;
    let mut changes = kept.changes();
    changes.mark_unchanged();
    api.put(pod("c", "true"));
    changes.changed().await.expect("runs");
    until(&kept, "an addition", |objects| uids(objects) == ["a", "c"]).await;
    api.remove("v1", "pods", "shop", "a");
    until(&kept, "a removal", |objects| uids(objects) == ["c"]).await;
    // The pods' own 404 is an outage, never "there are none".
    api.fault(Fault::status(404).on("GET", "/api/v1/pods"));
    api.fault(Fault::status(404).on("WATCH", "/api/v1/pods"));
    api.expire();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(uids(&kept.objects()), ["c"]);
    api.clear_faults();
    api.put(pod("d", "true"));
    until(&kept, "after the outage", |objects| uids(objects) == ["c", "d"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_installed_is_none_until_it_is() {
    let api = FakeApi::new();
    api.fault(Fault::status(404).on("GET", "/burstledgers"));
    api.fault(Fault::status(404).on("WATCH", "/burstledgers"));
    let tracker = TaskTracker::new();
    let kept = ledgers::watch(&api.client(), "burst-system", CancellationToken::new(), &tracker);
    until(&kept, "none", Objects::is_empty).await;
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstLedger",
        "metadata": {"name": "cbp.all", "namespace": "burst-system"}, "spec": {"policy": "ClusterBurstPolicy/all"},
    }));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let asked =
        api.requests_of("GET", "/burstledgers").len() + api.requests_of("WATCH", "/burstledgers").len();
    assert!(asked < 20, "no storm: {asked} requests in two minutes");
    api.clear_faults();
    until(&kept, "installed", |objects| objects.len() == 1).await;
}
