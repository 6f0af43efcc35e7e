//! The CEL of the in-process policies speaks of the same keys and values as the code.

use policies::keys;
use policies::policy::Policy;
use serde_json::{Value, json};

const FILES: [&str; 2] = ["manifests/admission-policies.yaml", "manifests/admission-marker.yaml"];

fn documents() -> Vec<Value> {
    FILES.iter().flat_map(|file| crate::documents(file).unwrap()).collect()
}

/// Every CEL expression of the file with the name of its policy.
fn expressions(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "expression" || key == "messageExpression" => {
                        out.push(text.clone());
                    }
                    other => expressions(other, out),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| expressions(v, out)),
        _ => {}
    }
}

fn all_expressions() -> Vec<String> {
    let mut out = Vec::new();
    documents().iter().for_each(|d| expressions(d, &mut out));
    out
}

/// Without the webhook, nobody but the leader opens auto and localPrefer pods where no scheduler prefers real nodes.
#[test]
fn the_toleration_driver_binds_the_in_process_policy_to_enforce_and_off() {
    let bindings = crate::documents("scheduler/toleration-driver.yaml").unwrap();
    let pointer = "/spec/matchResources/objectSelector/matchExpressions";
    let keys = bindings.iter().map(|binding| {
        assert_eq!(binding["spec"]["policyName"], "burst-pods");
        let [one] = binding.pointer(pointer).and_then(Value::as_array).unwrap().as_slice() else {
            panic!("{binding}")
        };
        assert_eq!((&one["operator"], &one["values"]), (&json!("In"), &json!(["enforce", "off"])));
        one["key"].as_str().unwrap()
    });
    assert_eq!(keys.collect::<Vec<_>>(), keys::POLICY);
    assert_eq!(
        bindings[0]["metadata"]["name"], "burst-pods",
        "it replaces the one that is bound to every pod"
    );
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
    format!("[{}]", words.join(", "))
}

#[test]
fn key_lists_and_values_are_those_of_the_code() {
    let (keys, values) = (quoted(&keys::POLICY), quoted(&Policy::ALL.map(Policy::as_str)));
    let (mut with_keys, mut with_values) = (0, 0);
    for expression in all_expressions() {
        if expression.contains("'burst-to-cci'") {
            assert!(expression.contains(&keys), "{expression}");
            with_keys += 1;
        }
        if expression.contains("'enforce', 'off'") {
            assert!(expression.contains(&values), "{expression}");
            with_values += 1;
        }
    }
    assert!(with_keys >= 6 && with_values == 1, "{with_keys} {with_values}");
    let legal = Policy::ALL.map(Policy::as_str).join(", ");
    assert!(all_expressions().iter().any(|e| e.contains(&format!("legal values are {legal}"))));
}

#[test]
fn every_other_name_is_one_that_the_code_uses() {
    let known: Vec<&str> = keys::POLICY
        .into_iter()
        .chain([
            keys::TAINT_PROVIDER,
            keys::TAINT_PREFER,
            keys::MARKER_RESOURCE,
            keys::CHECKED_RESOURCE,
            keys::RESOLVED_POLICY,
            keys::POLICY_SOURCE,
            keys::OPENED_IN_PROCESS,
            keys::GOVERNED,
            keys::NAMESPACE_ACTIVE,
            keys::BURST_POLICY,
        ])
        .collect();
    let mut used = std::collections::BTreeSet::new();
    for expression in all_expressions() {
        let words = expression.split('\'').skip(1).step_by(2);
        for word in words.filter(|w| w.contains("burst") || w.contains("virtual-kubelet.io")) {
            if !word.contains(' ') {
                assert!(known.contains(&word), "{word} in {expression}");
                used.insert(word.to_owned());
            }
        }
    }
    assert_eq!(used.len(), known.len(), "not used: {:?}", known.iter().filter(|k| !used.contains(**k)));
    let node_type = format!("key: '{}', operator", keys::NODE_TYPE);
    assert!(all_expressions().iter().any(|e| e.contains(&node_type)));
    assert!(all_expressions().iter().any(|e| e.contains(&format!("'{}'", keys::NODE_TYPE_VIRTUAL))));
}

#[test]
fn mutations_may_be_applied_twice_and_every_policy_is_bound() {
    let documents = documents();
    let of = |kind: &str| documents.iter().filter(|d| d["kind"] == kind).collect::<Vec<_>>();
    for (policy, binding) in [
        ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"),
        ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    ] {
        for object in of(policy) {
            assert_eq!(object["apiVersion"], "admissionregistration.k8s.io/v1");
            assert!(object["spec"]["failurePolicy"].is_string());
            let name = &object["metadata"]["name"];
            assert!(
                of(binding).iter().any(|b| &b["spec"]["policyName"] == name),
                "{policy} {name} is not bound"
            );
            for mutation in object["spec"]["mutations"].as_array().into_iter().flatten() {
                assert_eq!(object["spec"]["reinvocationPolicy"], "IfNeeded");
                let patch = mutation["jsonPatch"]["expression"].as_str().unwrap();
                // kube-apiserver 1.36.3 panics when the value of a JSONPatch is a list of objects.
                let flat = patch.split_whitespace().collect::<Vec<_>>().join(" ");
                let listed = flat.split("value: [").skip(1).any(|rest| !rest.trim_start().starts_with(']'));
                assert!(!listed && !flat.contains("value: variables.missing"), "{patch}");
            }
        }
    }
}

/// What only tells of a vendor's limits is a warning, and that never refuses an object.
#[test]
fn limits_of_the_clouds_are_warned_of_and_nothing_is_refused_for_them() {
    const WARNING: [&str; 2] = ["burst-balancers", "burst-network-policies"];
    for document in documents().iter().filter(|d| d["kind"] == "ValidatingAdmissionPolicyBinding") {
        let warns = WARNING.iter().any(|name| document["spec"]["policyName"] == *name);
        let wanted = if warns { json!(["Warn"]) } else { json!(["Deny"]) };
        assert_eq!(document["spec"]["validationActions"], wanted, "{document}");
    }
    let policies = documents();
    for name in WARNING {
        let of = policies.iter().find(|d| d["metadata"]["name"] == name).unwrap();
        assert_eq!(of["spec"]["failurePolicy"], "Ignore");
        let active = json!({(keys::NAMESPACE_ACTIVE): "true"});
        assert_eq!(of["spec"]["matchConstraints"]["namespaceSelector"]["matchLabels"], active);
    }
}

/// `variables.x.?y.hasValue()` on an optional variable answers false for a value that is there, and the patch would
/// then replace a container's own requests.
#[test]
fn patches_ask_for_presence_with_has() {
    for document in documents() {
        for mutation in document["spec"]["mutations"].as_array().into_iter().flatten() {
            let patch = mutation["jsonPatch"]["expression"].as_str().unwrap();
            assert!(!patch.contains("hasValue"), "{patch}");
        }
    }
}
