//! The four kinds of patch, applied to JSON.
//!
//! The strategic merge knows the merge keys of the lists that core objects have in common (by field name) and the `$patch`
//! directives `delete` and `replace`, and `$deleteFromPrimitiveList`. It does not order lists (`$setElementOrder`) and
//! does not know `$retainKeys`.

use serde_json::{Map, Value};

/// Content types of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply: a strategic merge that may create.
    Apply,
}

impl PatchKind {
    pub(super) fn of(content_type: &str) -> Option<Self> {
        Some(match content_type.split(';').next()?.trim() {
            "application/json-patch+json" => Self::Json,
            "application/merge-patch+json" => Self::Merge,
            "application/strategic-merge-patch+json" => Self::Strategic,
            "application/apply-patch+yaml" => Self::Apply,
            _ => return None,
        })
    }
}

/// Applies a patch; an error is the message of a 422.
pub(super) fn apply(kind: PatchKind, object: &mut Value, patch: &Value) -> Result<(), String> {
    match kind {
        PatchKind::Json => {
            let operations: json_patch::Patch = serde_json::from_value(without_absent_tests(object, patch))
                .map_err(|e| format!("error decoding patch: {e}"))?;
            json_patch::patch(object, &operations).map_err(|e| e.to_string())
        }
        PatchKind::Merge => {
            json_patch::merge(object, patch);
            Ok(())
        }
        PatchKind::Strategic | PatchKind::Apply => {
            strategic(object, patch);
            Ok(())
        }
    }
}

/// The API server's JSON patch takes an absent field for null in a test (if what it is a field of exists); ours does not.
fn without_absent_tests(object: &Value, patch: &Value) -> Value {
    let holds = |operation: &Value| {
        let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        operation.get("op") == Some(&"test".into())
            && operation.get("value").is_some_and(Value::is_null)
            && object.pointer(path).is_none()
            && object.pointer(parent).is_some_and(Value::is_object)
    };
    let Some(operations) = patch.as_array() else { return patch.clone() };
    Value::Array(operations.iter().filter(|operation| !holds(operation)).cloned().collect())
}

fn strategic(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if fields.get("$patch").and_then(Value::as_str) == Some("replace") {
        *target = without_directives(fields);
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in fields {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            remove_all(target.get_mut(list), value);
        } else if name.starts_with('$') {
            continue;
        } else if value.is_null() {
            target.remove(name);
        } else if let (Some(patches), Some(key)) = (value.as_array(), merge_key(name)) {
            let list = target.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
            merge_list(list, patches, key);
        } else if value.is_object() {
            strategic(target.entry(name.clone()).or_insert(Value::Null), value);
        } else {
            target.insert(name.clone(), value.clone());
        }
    }
}

fn without_directives(fields: &Map<String, Value>) -> Value {
    Value::Object(
        fields.iter().filter(|(k, _)| !k.starts_with('$')).map(|(k, v)| (k.clone(), v.clone())).collect(),
    )
}

fn remove_all(list: Option<&mut Value>, values: &Value) {
    if let (Some(list), Some(values)) = (list.and_then(Value::as_array_mut), values.as_array()) {
        list.retain(|item| !values.contains(item));
    }
}

/// How the items of a list are told apart.
#[derive(Clone, Copy)]
enum MergeKey {
    /// By a field of theirs; the first one that the patch's item has.
    Fields(&'static [&'static str]),
    /// By value: a set.
    Value,
}

/// Merge keys by field name, as core/v1, apps/v1 and meta/v1 declare them; other lists are replaced, and so are
/// `containerStatuses` and `taints`, which are declared without a merge key.
fn merge_key(field: &str) -> Option<MergeKey> {
    Some(MergeKey::Fields(match field {
        "conditions" | "addresses" => &["type"],
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "schedulingGates"
        | "resourceClaims"
        | "secrets"
        | "resourceClaimStatuses" => &["name"],
        "ports" => &["containerPort", "port"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" | "podIPs" | "hostIPs" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey"],
        "ownerReferences" => &["uid"],
        "finalizers" => return Some(MergeKey::Value),
        _ => return None,
    }))
}

fn merge_list(list: &mut Value, patches: &[Value], key: MergeKey) {
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let Some(list) = list.as_array_mut() else { return };
    let directive = |item: &Value| item.get("$patch").and_then(Value::as_str).map(str::to_owned);
    if patches.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        *list = patches.iter().filter(|item| directive(item).is_none()).cloned().collect();
        return;
    }
    for item in patches {
        let found = list.iter().position(|old| same(old, item, key));
        match (found, directive(item).as_deref()) {
            (Some(at), Some("delete")) => drop(list.remove(at)),
            (None, Some("delete")) => {}
            (Some(at), _) => {
                if let Some(old) = list.get_mut(at) {
                    strategic(old, item);
                }
            }
            (None, _) => {
                let mut new = Value::Null;
                strategic(&mut new, item);
                list.push(new);
            }
        }
    }
}

fn same(old: &Value, item: &Value, key: MergeKey) -> bool {
    match key {
        MergeKey::Value => old == item,
        MergeKey::Fields(fields) => {
            let field = fields.iter().find(|field| item.get(**field).is_some());
            field.is_some_and(|field| old.get(*field) == item.get(*field))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: PatchKind, [before, patch, after]: [Value; 3]) {
        let mut object = before;
        apply(kind, &mut object, &patch).expect("applies");
        assert_eq!(object, after);
    }

    #[test]
    fn strategic_merges_by_key() {
        check(
            PatchKind::Strategic,
            [
                json!({"status": {"phase": "Pending", "conditions": [{"type": "A", "status": "True", "reason": "r"}, {"type": "B"}]}}),
                json!({"status": {"phase": "Running", "conditions": [{"type": "A", "status": "False"}, {"type": "C"}, {"type": "B", "$patch": "delete"}]}}),
                json!({"status": {"phase": "Running", "conditions": [{"type": "A", "status": "False", "reason": "r"}, {"type": "C"}]}}),
            ],
        );
    }

    #[test]
    fn strategic_replaces_lists_without_a_key_and_removes_null() {
        check(
            PatchKind::Strategic,
            [
                json!({"spec": {"taints": [{"key": "a"}], "x": 1, "m": {"a": 1, "b": 2}}}),
                json!({"spec": {"taints": [{"key": "b"}], "x": null, "m": {"$patch": "replace", "c": 3}}}),
                json!({"spec": {"taints": [{"key": "b"}], "m": {"c": 3}}}),
            ],
        );
    }

    #[test]
    fn strategic_sets_and_replaced_lists() {
        check(
            PatchKind::Strategic,
            [
                json!({"metadata": {"finalizers": ["a", "b"]}, "addresses": [{"type": "x"}]}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}, "addresses": [{"$patch": "replace"}, {"type": "y"}]}),
                json!({"metadata": {"finalizers": ["b", "c"]}, "addresses": [{"type": "y"}]}),
            ],
        );
    }

    #[test]
    fn merge_and_json() {
        check(PatchKind::Merge, [json!({"a": [1], "b": 2}), json!({"a": [2], "b": null}), json!({"a": [2]})]);
        check(
            PatchKind::Json,
            [json!({"a": 1}), json!([{"op": "add", "path": "/b", "value": 2}]), json!({"a": 1, "b": 2})],
        );
        let absent =
            json!([{"op": "test", "path": "/b", "value": null}, {"op": "add", "path": "/b", "value": 2}]);
        check(PatchKind::Json, [json!({"a": 1}), absent.clone(), json!({"a": 1, "b": 2})]);
        assert!(apply(PatchKind::Json, &mut json!({"b": 1}), &absent).is_err());
        let nowhere = json!([{"op": "test", "path": "/x/y", "value": null}]);
        assert!(apply(PatchKind::Json, &mut json!({"a": 1}), &nowhere).is_err());
        let wrong = json!([{"op": "test", "path": "/a", "value": 2}]);
        assert!(apply(PatchKind::Json, &mut json!({"a": 1}), &wrong).is_err());
    }
}
