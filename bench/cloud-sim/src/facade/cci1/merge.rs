//! JSON merge patch (RFC 7396) and Kubernetes' strategic merge patch. Pure.

use serde_json::{Map, Value};

/// RFC 7396.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let Some(map) = as_map(target) else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Strategic merge: as a merge patch, but lists of named things are merged by their key.
pub(super) fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        let rest = patch.iter().filter(|(key, _)| *key != "$patch").map(|(k, v)| (k.clone(), v.clone()));
        *target = Value::Object(rest.collect());
        return;
    }
    let Some(map) = as_map(target) else { return };
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_primitives(map.get_mut(field), value);
        } else if key.starts_with('$') {
            // Orders and retained keys change nothing that CCI lets anyone change.
        } else if value.is_null() {
            map.remove(key);
        } else {
            strategic_field(map, key, value);
        }
    }
}

fn as_map(target: &mut Value) -> Option<&mut Map<String, Value>> {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    target.as_object_mut()
}

fn strategic_field(map: &mut Map<String, Value>, key: &str, value: &Value) {
    let entry = map.entry(key.to_owned()).or_insert(Value::Null);
    match (value.as_array(), merge_key(key)) {
        (Some(patch), Some(by)) => merge_list(entry, patch, by),
        (Some(patch), None) if key == "finalizers" => add_primitives(entry, patch),
        (Some(_), None) => *entry = value.clone(),
        (None, _) => strategic(entry, value),
    }
}

/// `patchMergeKey` of the lists in a Pod.
fn merge_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "imagePullSecrets" => {
            "name"
        }
        "volumeMounts" => "mountPath",
        "ports" => "containerPort",
        "hostAliases" => "ip",
        "conditions" => "type",
        "ownerReferences" => "uid",
        _ => return None,
    })
}

fn merge_list(target: &mut Value, patch: &[Value], by: &str) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return };
    for item in patch {
        let found =
            list.iter_mut().position(|known| known.get(by).is_some() && known.get(by) == item.get(by));
        let delete = item.get("$patch").and_then(Value::as_str) == Some("delete");
        match found.and_then(|at| list.get_mut(at).map(|known| (at, known))) {
            Some((at, _)) if delete => drop(list.remove(at)),
            Some((_, known)) => strategic(known, item),
            None if delete => {}
            None => list.push(item.clone()),
        }
    }
}

fn add_primitives(target: &mut Value, patch: &[Value]) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return };
    for item in patch {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn delete_primitives(target: Option<&mut Value>, gone: &Value) {
    let (Some(list), Some(gone)) = (target.and_then(Value::as_array_mut), gone.as_array()) else { return };
    list.retain(|item| !gone.contains(item));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(apply: fn(&mut Value, &Value), before: Value, patch: Value, after: Value) {
        let mut target = before;
        apply(&mut target, &patch);
        assert_eq!(target, after, "{patch}");
    }

    #[test]
    fn merge_patches() {
        check(
            merge,
            json!({"a": 1, "b": {"c": 2}}),
            json!({"a": null, "b": {"d": 3}}),
            json!({"b": {"c": 2, "d": 3}}),
        );
        check(merge, json!({"l": [1, 2]}), json!({"l": [3]}), json!({"l": [3]}));
        check(merge, json!(1), json!({"a": {"b": null}}), json!({"a": {}}));
    }

    #[test]
    fn strategic_patches_merge_named_lists() {
        let before = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let after = json!({"containers": [{"name": "a", "image": "2"}, {"name": "b", "image": "1"}]});
        check(strategic, before, json!({"containers": [{"name": "a", "image": "2"}]}), after);
        let before = json!({"volumes": [{"name": "a"}, {"name": "b"}]});
        check(
            strategic,
            before,
            json!({"volumes": [{"$patch": "delete", "name": "a"}]}),
            json!({"volumes": [{"name": "b"}]}),
        );
        check(
            strategic,
            json!({"labels": {"a": "1"}}),
            json!({"labels": {"b": "2", "a": null}}),
            json!({"labels": {"b": "2"}}),
        );
        check(
            strategic,
            json!({"finalizers": ["a"]}),
            json!({"finalizers": ["b"]}),
            json!({"finalizers": ["a", "b"]}),
        );
        let drop = json!({"$deleteFromPrimitiveList/finalizers": ["a"]});
        check(strategic, json!({"finalizers": ["a", "b"]}), drop, json!({"finalizers": ["b"]}));
        check(strategic, json!({"args": ["a"]}), json!({"args": ["b"]}), json!({"args": ["b"]}));
        check(
            strategic,
            json!({"m": {"a": 1}}),
            json!({"m": {"$patch": "replace", "b": 2}}),
            json!({"m": {"b": 2}}),
        );
    }
}
