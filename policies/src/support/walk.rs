//! Finds the values of a pod that a field pattern names, with their concrete paths.

use serde_json::Value;

use super::Row;

/// Spelling of "containers and init containers" in a pattern.
const ANY: &str = "anyContainers";

/// Every present value at `pattern`. `named` are the keys that a trailing `*` leaves to other rows.
pub(super) fn find<'a>(pod: &'a Value, pattern: &str, named: &[&str]) -> Vec<(String, &'a Value)> {
    if pattern.contains(ANY) {
        let kinds = ["initContainers", "containers"].into_iter();
        return kinds.flat_map(|kind| find(pod, &pattern.replace(ANY, kind), named)).collect();
    }
    let mut at = vec![(String::new(), pod)];
    for segment in pattern.split('.') {
        let (key, each) = segment.strip_suffix("[]").map_or((segment, false), |key| (key, true));
        at = at.into_iter().flat_map(|(path, value)| step(&path, value, key, named)).collect();
        if each {
            at = at.into_iter().flat_map(|(path, value)| elements(&path, value)).collect();
        }
    }
    at.retain(|(_, value)| !is_empty(value));
    at
}

/// The last keys of the table's other rows with the same parent as `pattern`, when `pattern` ends in `*`.
pub(super) fn named_beside<'t>(pattern: &str, table: &'t [Row]) -> Vec<&'t str> {
    let Some(parent) = pattern.strip_suffix(".*") else { return Vec::new() };
    let rest = table.iter().filter_map(|row| row.field.strip_prefix(parent)?.strip_prefix('.'));
    rest.filter_map(|rest| rest.split(['.', '[']).next()).filter(|key| *key != "*").collect()
}

/// A scalar as JSON writes it, without quotes.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn step<'a>(path: &str, value: &'a Value, key: &str, named: &[&str]) -> Vec<(String, &'a Value)> {
    let join = |k: &str| match (path.is_empty(), k.contains(['.', '/'])) {
        (true, _) => k.to_owned(),
        (_, true) => format!("{path}['{k}']"),
        _ => format!("{path}.{k}"),
    };
    let Value::Object(map) = value else { return Vec::new() };
    // Label and resource names hold dots, so a pattern spells them with `~` for `.`.
    let key = key.replace('~', ".");
    if key == "*" {
        let others = map.iter().filter(|(k, _)| !named.iter().any(|n| n.replace('~', ".") == **k));
        return others.map(|(k, v)| (join(k), v)).collect();
    }
    map.get(&key).map(|v| (join(&key), v)).into_iter().collect()
}

fn elements<'a>(path: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().enumerate().map(|(i, v)| (format!("{path}[{i}]"), v)).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
