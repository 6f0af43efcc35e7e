//! The dashboard and the Prometheus rules query only what the programs export.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// Prefix of the bridge's own metrics.
const BRIDGE: &str = "burst_bridge_";

fn dashboard() -> Value {
    serde_json::from_str(&crate::text("dashboards/burst.json").unwrap()).unwrap()
}

/// Names of metrics, as the sources of the two programs spell them.
fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for program in ["scheduler", "provider-bridge"] {
        read(&crate::root().join(program).join("src"), &mut names);
    }
    names
}

fn read(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            names.extend(text.split('"').filter(|w| is_metric(w)).map(str::to_owned));
        }
    }
}

fn is_metric(word: &str) -> bool {
    word.starts_with("burst_") && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn queried(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let query = |key: &str| matches!(key, "expr" | "query");
            for (key, value) in map {
                match value {
                    Value::String(text) if query(key) => {
                        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
                        out.extend(words.filter(|w| is_metric(w)).map(str::to_owned));
                    }
                    other => queried(other, out),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| queried(v, out)),
        _ => {}
    }
}

#[test]
fn every_query_is_of_a_metric_that_exists() {
    let mut names = BTreeSet::new();
    queried(&dashboard(), &mut names);
    assert!(names.len() > 20, "{names:?}");
    all_exist(names);
}

#[test]
fn every_rule_is_about_a_metric_that_exists() {
    let mut names = BTreeSet::new();
    crate::documents("prometheus/rules.yaml").unwrap().iter().for_each(|d| queried(d, &mut names));
    assert!(names.contains("burst_virtual_node_info"), "{names:?}");
    all_exist(names);
}

fn all_exist(names: BTreeSet<String>) {
    let exported = exported();
    let bridge = exported.iter().any(|name| name.starts_with(BRIDGE));
    for name in names {
        let base = name.trim_end_matches("_bucket").trim_end_matches("_count").trim_end_matches("_sum");
        // Names of a program without any metric of its own cannot be compared.
        assert!(
            exported.contains(base) || (name.starts_with(BRIDGE) && !bridge),
            "{name} is queried, but no program exports {base}"
        );
    }
}

#[test]
fn panels_have_titles_descriptions_and_places_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        assert!(panel["title"].as_str().is_some_and(|t| !t.is_empty()));
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|t| t.len() > 15), "{}", panel["title"]);
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
        }
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
    }
}
