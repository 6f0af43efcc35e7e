//! The examples of the manual are policies, and together they show every field.

use std::collections::BTreeSet;

use policies::burst_policy::{BurstPolicySpec, PolicyObject, Surroundings, check_object};
use policies::providers;
use policies::support::page::{MARK, page};
use serde_json::Value;

/// The YAML blocks of a page of `docs/`, read.
fn examples(page: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(crate::root().join("docs").join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(|block| serde_saphyr::from_multiple::<Value>(block).unwrap()).collect()
}

#[test]
fn examples_of_policies_are_sound() {
    let examples = examples("policies.md");
    assert!(examples.len() > 5);
    for example in examples {
        let spec: BurstPolicySpec =
            serde_json::from_value(example["spec"].clone()).unwrap_or_else(|e| panic!("{example}: {e}"));
        let word = |pointer: &str| example.pointer(pointer).and_then(Value::as_str);
        assert_eq!(word("/apiVersion"), Some("burst.io/v1alpha1"), "{example}");
        let object = PolicyObject::new(word("/metadata/namespace"), word("/metadata/name").unwrap(), spec);
        assert_eq!(word("/kind"), Some(object.kind.as_str()), "{example}");
        let around = Surroundings { objects: &[], usage: &[], priced: &|_| true };
        assert_eq!(check_object(&object, &around), [], "{example}");
    }
}

#[test]
fn every_field_of_a_policy_has_an_example() {
    let mut shown = BTreeSet::new();
    for example in examples("policies.md") {
        shown_fields("spec", &example["spec"], &mut shown);
    }
    for definition in policies::crds::all().iter().take(2) {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut fields = BTreeSet::new();
        known_fields("spec", schema, &mut fields);
        let missing: Vec<_> = fields.difference(&shown).collect();
        assert!(missing.is_empty(), "docs/policies.md has no example of {missing:?}");
    }
}

/// Refresh with `BURST_REFRESH_GOLDEN=1 cargo test --workspace provider_pages` and read the diff before committing it.
#[test]
fn provider_pages_are_those_of_the_tables() {
    for known in &providers::ALL {
        let path = crate::root().join(format!("docs/providers/{}.md", known.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (head, tables) =
            text.split_at(text.find(MARK).unwrap_or_else(|| panic!("{} has no tables", known.name)));
        if std::env::var_os("BURST_REFRESH_GOLDEN").is_some() {
            std::fs::write(&path, format!("{head}{}", page(known))).unwrap();
        } else {
            assert!(tables == page(known), "{} is not what the tables say", path.display());
        }
    }
}

fn shown_fields(path: &str, value: &Value, shown: &mut BTreeSet<String>) {
    shown.insert(path.to_owned());
    for (name, value) in value.as_object().into_iter().flatten() {
        shown_fields(&format!("{path}.{name}"), value, shown);
    }
    for value in value.as_array().into_iter().flatten() {
        shown_fields(path, value, shown);
    }
}

fn known_fields(path: &str, schema: &Value, fields: &mut BTreeSet<String>) {
    fields.insert(path.to_owned());
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        known_fields(&format!("{path}.{name}"), property, fields);
    }
    if schema["items"].is_object() {
        known_fields(path, &schema["items"], fields);
    }
}
