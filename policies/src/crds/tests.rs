use serde_json::json;

use super::*;

fn spec_of(kind: &str) -> Value {
    let all = all();
    let found =
        all.iter().find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap_or_else(|| panic!("{kind}"));
    found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Every schema in a definition, with its path.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&format!("{path}[]"), &schema[inner], visit);
        }
    }
}

#[test]
fn schemas_are_structural() {
    for crd in all() {
        let name = crd["metadata"]["name"].as_str().expect("a name").to_owned();
        walk(&name, &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut |path, schema| {
            assert!(schema["type"].is_string(), "{path} has no single type: {schema}");
            for word in ["$ref", "oneOf", "anyOf", "allOf", "not", "const", "title", "nullable"] {
                assert!(schema.get(word).is_none(), "{path} has {word}: {schema}");
            }
            let both = schema.get("properties").is_some() && schema.get("additionalProperties").is_some();
            assert!(!both, "{path} has properties and additionalProperties");
            let format = schema["format"].as_str().unwrap_or("int64");
            assert!(["int32", "int64"].contains(&format), "{path}: {format}");
        });
    }
}

#[test]
fn every_field_is_explained() {
    for crd in all() {
        let name = crd["metadata"]["name"].as_str().expect("a name").to_owned();
        walk(&name, &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut |path, schema| {
            let exempt = path.ends_with("[]") || path.ends_with(".spec") || path.ends_with(".status");
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(exempt || !description.is_empty(), "{path} has no description");
            assert!(!description.contains("[`") && !description.contains("::"), "{path}: {description}");
        });
    }
}

#[test]
fn enums_optional_fields_and_defaults() {
    let spec = spec_of("BurstPolicy");
    let policy = &spec["properties"]["policy"];
    assert_eq!(policy["enum"], json!(["off", "auto", "localPrefer", "enforce"]));
    let text = policy["description"].as_str().expect("text");
    assert!(text.starts_with("The policy of pods that say nothing themselves.\n- off: Never"), "{text}");
    assert_eq!(spec["properties"]["tiers"]["items"]["properties"]["side"]["default"], json!("Local"));
    assert_eq!(spec["properties"]["priority"]["default"], json!(0));
    assert_eq!(spec["properties"]["max"].get("default"), None);
    assert_eq!(
        spec["properties"]["tiers"]["items"]["properties"]["max"]["properties"]["pods"]["minimum"],
        json!(0)
    );
    assert_eq!(spec.get("required"), None, "an empty spec is a policy");
    assert_eq!(spec["properties"]["budget"]["required"], json!(["currency"]));
}

#[test]
fn what_programs_write_keeps_unknown_fields_and_has_no_defaults() {
    for kind in ["BurstLedger", "VirtualNodeReport"] {
        walk(kind, &spec_of(kind), &mut |path, schema| {
            assert!(schema.get("default").is_none(), "{path}");
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
            assert_eq!(open, schema.get("properties").is_some(), "{path}");
        });
    }
    let money = &spec_of("BurstLedger")["properties"]["spend"]["additionalProperties"]["properties"]["hour"]
        ["properties"]["spent"];
    assert!(
        money["pattern"].as_str().expect("a pattern").starts_with("^-?"),
        "spending may be corrected below zero"
    );
}

/// What the end-to-end case `policies::contradictions_are_refused` shows of the API server, the check of files says too.
#[test]
fn what_the_api_server_refuses_is_found_in_files() {
    use crate::burst_policy::{BurstPolicySpec, PolicyObject, Surroundings, check_object};
    let cases: Vec<Value> = serde_json::from_str(include_str!("refused.json")).expect("cases");
    for case in cases {
        let found = match serde_json::from_value::<BurstPolicySpec>(case["spec"].clone()) {
            Ok(spec) => {
                let object = PolicyObject::new(Some("shop"), "web", spec);
                let around = Surroundings { objects: &[], usage: &[], priced: &|_| true };
                check_object(&object, &around).into_iter().map(|p| p.text).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        };
        assert!(!found.is_empty(), "{case}");
    }
}

/// A rule that no case shows would be a rule that nobody has seen work.
#[test]
fn every_rule_has_a_case() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("refused.json")).expect("cases");
    let says: Vec<&str> = cases.iter().map(|case| case["says"].as_str().expect("a sentence")).collect();
    walk("spec", &spec_of("BurstPolicy"), &mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().expect("a message");
            assert!(says.iter().any(|says| message.contains(says)), "{path}: no case for {message:?}");
        }
    });
}
