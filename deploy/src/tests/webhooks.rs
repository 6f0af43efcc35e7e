//! Admission that cannot stop the cluster.

use policies::keys;
use serde_json::{Value, json};

fn webhooks() -> Vec<(String, Value)> {
    let documents = crate::documents("manifests/webhooks.yaml").unwrap();
    let kinds: Vec<_> = documents.iter().map(|d| d["kind"].clone()).collect();
    assert_eq!(kinds, ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);
    documents
        .into_iter()
        .flat_map(|d| {
            let kind = d["kind"].as_str().unwrap().to_owned();
            d["webhooks"].as_array().unwrap().clone().into_iter().map(move |w| (kind.clone(), w))
        })
        .collect()
}

#[test]
fn a_webhook_may_fail_requests_only_where_burst_is_used() {
    for (_, hook) in webhooks() {
        let name = &hook["name"];
        let selector = &hook["namespaceSelector"]["matchExpressions"];
        let exempt = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                            "values": ["kube-system", "burst-system"]});
        assert!(selector.as_array().unwrap().contains(&exempt), "{name}");
        let active = json!({"key": keys::NAMESPACE_ACTIVE, "operator": "In", "values": ["true"]});
        match hook["failurePolicy"].as_str().unwrap() {
            "Fail" => assert!(selector.as_array().unwrap().contains(&active), "{name}"),
            "Ignore" => assert!(!selector.as_array().unwrap().contains(&active), "{name}"),
            other => panic!("{name}: {other}"),
        }
        assert_eq!(hook["timeoutSeconds"], 2, "{name}");
        assert_eq!(hook["sideEffects"], "NoneOnDryRun", "{name}");
        assert!(!hook["matchConditions"].as_array().unwrap().is_empty(), "{name}");
        assert_eq!(hook["admissionReviewVersions"], json!(["v1"]), "{name}");
    }
}

#[test]
fn paths_and_services_are_ours() {
    for (kind, hook) in webhooks() {
        let service = &hook["clientConfig"]["service"];
        let of =
            |name: &str| hook["rules"].as_array().unwrap().iter().any(|r| r["resources"] == json!([name]));
        let path = match (of("pods"), of("pods/resize")) {
            (true, _) => "/admission/pods",
            (_, true) => "/admission/resize",
            _ => "/admission/workloads",
        };
        assert_eq!(service["path"], path, "{}", hook["name"]);
        assert_eq!(
            (&service["name"], &service["namespace"]),
            (&json!("burst-scheduler"), &json!("burst-system"))
        );
        if kind.starts_with("Mutating") {
            assert_eq!(hook["reinvocationPolicy"], "IfNeeded", "{}", hook["name"]);
        }
        for rule in hook["rules"].as_array().unwrap() {
            assert!(!rule.to_string().contains('*'), "{rule}");
        }
    }
    let service = crate::documents("manifests/scheduler.yaml").unwrap();
    let service = service.iter().find(|o| o["kind"] == "Service").unwrap();
    assert_eq!(service["metadata"]["name"], "burst-scheduler");
    assert_eq!(service["spec"]["ports"][0]["port"], 443);
}

/// Both halves together see every namespace but the exempt ones, and none sees a pod twice.
#[test]
fn strict_and_lenient_halves_complement_each_other() {
    let hooks = webhooks();
    let strict = hooks.iter().filter(|(_, h)| h["failurePolicy"] == "Fail");
    for (kind, hook) in strict {
        let twin = hooks
            .iter()
            .find(|(k, h)| k == kind && h["failurePolicy"] == "Ignore" && h["rules"] == hook["rules"]);
        let twin = &twin.unwrap_or_else(|| panic!("{} has no lenient twin", hook["name"])).1;
        assert_eq!(twin["matchConditions"], hook["matchConditions"]);
        let elsewhere = json!({"key": keys::NAMESPACE_ACTIVE, "operator": "NotIn", "values": ["true"]});
        let selector = twin["namespaceSelector"]["matchExpressions"].as_array().unwrap();
        assert!(selector.contains(&elsewhere), "{}", twin["name"]);
    }
}
