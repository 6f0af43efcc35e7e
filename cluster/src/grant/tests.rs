use std::time::Duration;

use super::*;
use crate::testing::{FakeApi, Fault};

fn pod(spec: Value) -> Value {
    let annotations = json!({"burst.io/burst-policy": "BurstPolicy/shop/web"});
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "namespace": "shop", "uid": "u", "annotations": annotations},
    });
    object["spec"] = spec;
    object
}

fn seen(api: &FakeApi) -> GovernedPod {
    serde_json::from_value(api.pod("shop", "a").expect("exists")).expect("decodes")
}

fn cloud(values: &[&str]) -> Permission {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Permission { tier: "cloud".to_owned(), opened: Some(Providers::Only(values)), terms: Vec::new() }
}

fn any() -> Permission {
    Permission { opened: Some(Providers::Any), ..cloud(&[]) }
}

fn huawei() -> Value {
    json!({"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "huawei", "effect": "NoSchedule"})
}

fn exists() -> Value {
    json!({"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"})
}

async fn check(spec: Value, what: &Permission, want: Value) {
    let api = FakeApi::new();
    api.put(pod(spec));
    assert_eq!(grant(&api.client(), &seen(&api), what).await, Ok(Granted::Done));
    let after = api.pod("shop", "a").expect("exists");
    assert_eq!(after["spec"], want);
    assert_eq!(after["metadata"]["annotations"]["burst.io/grant"], json!("cloud"));
}

#[tokio::test]
async fn what_is_written() {
    let other = json!({"key": "mine", "operator": "Exists"});
    check(json!({}), &any(), json!({"tolerations": [exists()]})).await;
    check(json!({"tolerations": [other]}), &any(), json!({"tolerations": [other, exists()]})).await;
    check(json!({"tolerations": [other]}), &cloud(&["huawei"]), json!({"tolerations": [other, huawei()]}))
        .await;
    check(json!({"tolerations": [huawei()]}), &cloud(&["huawei"]), json!({"tolerations": [huawei()]})).await;
    let local = Permission { opened: None, ..any() };
    check(json!({"tolerations": [other]}), &local, json!({"tolerations": [other]})).await;
}

#[tokio::test]
async fn a_gated_pod_gets_its_affinity_and_loses_only_our_gate() {
    let zone = json!({"key": "zone", "operator": "In", "values": ["a"]});
    let ours = json!({"key": "pool", "operator": "In", "values": ["x"]});
    let terms = |terms: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    let term = Term {
        match_expressions: vec![Requirement {
            key: "pool".to_owned(),
            operator: "In".to_owned(),
            values: vec!["x".to_owned()],
        }],
        ..Term::default()
    };
    let what = Permission { terms: vec![term], ..any() };
    check(
        json!({
            "schedulingGates": [{"name": "mine"}, {"name": "burst.io/grant"}],
            "affinity": terms(json!([{"matchExpressions": [zone]}, {}])),
        }),
        &what,
        json!({
            "schedulingGates": [{"name": "mine"}], "tolerations": [exists()],
            "affinity": terms(json!([{"matchExpressions": [zone, ours]}])),
        }),
    )
    .await;
    check(
        json!({"schedulingGates": [{"name": "burst.io/grant"}]}),
        &what,
        json!({
            "schedulingGates": [], "tolerations": [exists()], "affinity": terms(json!([{"matchExpressions": [ours]}])),
        }),
    )
    .await;
}

/// The watch may be behind, and an answer may be lost: the toleration is there once.
#[tokio::test(start_paused = true)]
async fn sent_again_it_changes_nothing() {
    let api = FakeApi::new();
    api.put(pod(json!({"tolerations": [{"key": "mine"}]})));
    let (client, old) = (api.client(), seen(&api));
    api.fault(Fault::lost_answer().on("PATCH", "/pods/a").times(1));
    assert!(matches!(grant(&client, &old, &any()).await, Ok(Granted::Retry(_))));
    let once = api.pod("shop", "a");
    assert_eq!(grant(&client, &old, &any()).await, Ok(Granted::Done));
    assert_eq!(api.pod("shop", "a"), once);
}

/// A fallback: the next tier with another provider, or one provider more in the same tier; lost answers included.
#[tokio::test(start_paused = true)]
async fn a_grant_can_move_on() {
    let api = FakeApi::new();
    let client = api.client();
    api.put(pod(json!({})));
    assert_eq!(grant(&client, &seen(&api), &cloud(&["huawei"])).await, Ok(Granted::Done));
    let both = ["huawei", "ucloud"];
    let more = Permission { tier: "next".to_owned(), ..cloud(&both) };
    assert_eq!(grant(&client, &seen(&api), &more).await, Ok(Granted::Done));
    let values = |api: &FakeApi| -> Vec<Value> {
        let tolerations = api.pod("shop", "a").expect("exists")["spec"]["tolerations"].clone();
        tolerations.as_array().into_iter().flatten().map(|t| t["value"].clone()).collect()
    };
    assert_eq!(values(&api), both);
    let old = seen(&api);
    assert_eq!(old.grant(), Some("next"));
    let third = Permission { tier: "next".to_owned(), ..cloud(&["huawei", "ucloud", "alibabacloud"]) };
    api.fault(Fault::lost_answer().on("PATCH", "/pods/a").times(1));
    assert!(matches!(grant(&client, &old, &third).await, Ok(Granted::Retry(_))));
    assert_eq!(grant(&client, &old, &third).await, Ok(Granted::Done));
    assert_eq!(values(&api), ["huawei", "ucloud", "alibabacloud"], "once");
}

/// What another controller adds between our look and our write stays.
#[tokio::test]
async fn a_toleration_added_meanwhile_is_kept() {
    let api = FakeApi::new();
    api.put(pod(json!({"tolerations": [{"key": "mine"}]})));
    let old = seen(&api);
    api.put(pod(json!({"tolerations": [{"key": "mine"}, {"key": "theirs"}]})));
    assert_eq!(grant(&api.client(), &old, &any()).await, Ok(Granted::Done));
    let after = api.pod("shop", "a").expect("exists");
    assert_eq!(after["spec"]["tolerations"], json!([{"key": "mine"}, {"key": "theirs"}, exists()]));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_hold_any_more_is_told() {
    let api = FakeApi::new();
    let client = api.client();
    api.put(pod(json!({})));
    let old = seen(&api);
    // The list came to be: ours must not replace it.
    api.put(pod(json!({"tolerations": [{"key": "theirs"}]})));
    assert_eq!(grant(&client, &old, &any()).await, Ok(Granted::Changed));
    assert_eq!(api.pod("shop", "a").expect("exists")["spec"]["tolerations"], json!([{"key": "theirs"}]));
    assert_eq!(grant(&client, &seen(&api), &any()).await, Ok(Granted::Done));
    let other = Permission { tier: "b".to_owned(), ..any() };
    assert_eq!(grant(&client, &old, &other).await, Ok(Granted::Changed), "granted meanwhile, otherwise");
    assert_eq!(api.pod("shop", "a").expect("exists")["metadata"]["annotations"]["burst.io/grant"], "cloud");
    // Another pod of that name.
    let mut new = pod(json!({}));
    new["metadata"]["uid"] = json!("u2");
    api.put(new);
    assert_eq!(grant(&client, &old, &any()).await, Ok(Granted::Gone));
    api.remove("v1", "pods", "shop", "a");
    assert_eq!(grant(&client, &old, &any()).await, Ok(Granted::Gone));
    api.put(pod(json!({})));
    api.fault(Fault::status(503).on("PATCH", "/pods/").times(1));
    assert_eq!(grant(&client, &old, &any()).await, Ok(Granted::Retry(Duration::from_secs(1))));
    api.fault(Fault::status(403).on("PATCH", "/pods/").times(1));
    assert_eq!(grant(&client, &old, &any()).await.map_err(|error| error.code), Err(403));
}
