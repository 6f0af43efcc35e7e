use policies::ledger::Grant;
use serde_json::json;

use super::*;
use crate::testing::{FakeApi, Fault};

const NS: &str = "burst-system";
const WEB: &str = "BurstPolicy/shop/web";

fn granted(held: &Held, uid: &str) -> Ledger {
    let mut ledger = held.ledger.clone();
    ledger.grants.insert(uid.to_owned(), Grant { name: uid.to_owned(), ..Grant::default() });
    ledger
}

/// The bridge finds ledgers by these names too: they never change. Worked out with sha256sum.
#[test]
fn names() {
    assert_eq!(object_name(WEB), "ledger-b5ba66cad6f8a3d790e4");
    assert_eq!(object_name("ClusterBurstPolicy/all"), "ledger-ea0c1fc5ad8dcdfc7c62");
    assert_eq!(object_name("Driver/toleration"), "ledger-15749dae97bbc324f7d2");
}

#[tokio::test]
async fn of_two_writers_one_wins() {
    let api = FakeApi::new();
    let client = api.client();
    let (a, b) = (read(&client, NS, WEB).await.expect("none"), read(&client, NS, WEB).await.expect("none"));
    assert_eq!((a.version.as_deref(), a.ledger.policy.as_str()), (None, WEB));
    assert!(matches!(put(&client, NS, None, &granted(&a, "1")).await, Ok(Put::Written(_))));
    assert_eq!(put(&client, NS, None, &granted(&b, "2")).await, Ok(Put::Conflict), "created meanwhile");
    let (a, b) = (read(&client, NS, WEB).await.expect("one"), read(&client, NS, WEB).await.expect("one"));
    let Ok(Put::Written(version)) = put(&client, NS, a.version.as_deref(), &granted(&a, "3")).await else {
        panic!("the first wins")
    };
    assert_eq!(put(&client, NS, b.version.as_deref(), &granted(&b, "4")).await, Ok(Put::Conflict));
    let now = read(&client, NS, WEB).await.expect("one");
    assert_eq!(now.version, Some(version));
    assert_eq!(now.ledger.grants.keys().collect::<Vec<_>>(), ["1", "3"]);
    api.remove("burst.io/v1alpha1", "burstledgers", NS, &object_name(WEB));
    assert_eq!(put(&client, NS, now.version.as_deref(), &now.ledger).await, Ok(Put::Conflict), "deleted");
}

/// The write may have been done: the version says so, and nothing is written twice.
#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_same_write_conflicts() {
    let api = FakeApi::new();
    let client = api.client();
    let held = read(&client, NS, WEB).await.expect("none");
    assert!(matches!(put(&client, NS, None, &held.ledger).await, Ok(Put::Written(_))));
    let held = read(&client, NS, WEB).await.expect("one");
    api.fault(Fault::lost_answer().on("PUT", "/burstledgers/").times(1));
    let next = granted(&held, "1");
    assert!(matches!(put(&client, NS, held.version.as_deref(), &next).await, Ok(Put::Retry(_))));
    assert_eq!(put(&client, NS, held.version.as_deref(), &next).await, Ok(Put::Conflict));
    assert_eq!(read(&client, NS, WEB).await.expect("one").ledger, next);
}

/// An empty ledger in place of one that cannot be read would let the limit's worth of pods in again.
#[tokio::test]
async fn what_cannot_be_read_is_never_empty() {
    let api = FakeApi::new();
    let client = api.client();
    let stored = |spec: serde_json::Value| {
        json!({
            "apiVersion": "burst.io/v1alpha1", "kind": "BurstLedger",
            "metadata": {"name": object_name(WEB), "namespace": NS}, "spec": spec,
        })
    };
    api.put(stored(json!({"policy": WEB, "grants": {"1": {"state": "Dancing"}}})));
    assert!(matches!(read(&client, NS, WEB).await, Err(Unusable::Undecodable { .. })));
    api.put(stored(json!(null)));
    assert!(matches!(read(&client, NS, WEB).await, Err(Unusable::Undecodable { .. })));
    api.put(stored(json!({"policy": "BurstPolicy/shop/other"})));
    assert!(matches!(read(&client, NS, WEB).await, Err(Unusable::OtherPolicy { .. })));
    api.fault(Fault::status(500).on("GET", "/burstledgers/").times(1));
    assert!(matches!(read(&client, NS, WEB).await, Err(Unusable::Unreachable { .. })));
}
