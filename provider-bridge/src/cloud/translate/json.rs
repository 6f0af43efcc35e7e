//! Short readers for untyped Kubernetes objects: what is absent or of the wrong type reads as empty.

use serde_json::{Map, Value};

/// A string field.
pub(in crate::cloud) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

/// A list field, empty if absent.
pub(in crate::cloud) fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A boolean field, false if absent.
pub(in crate::cloud) fn flag(object: &Value, field: &str) -> bool {
    object.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// The pairs of a string map field, in the map's order.
pub(in crate::cloud) fn pairs<'a>(
    object: &'a Value,
    field: &str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = object.get(field).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// The named fields of an object, those that are there.
pub(in crate::cloud) fn only(object: &Value, fields: &[&str]) -> Map<String, Value> {
    fields.iter().filter_map(|field| Some(((*field).to_owned(), object.get(*field)?.clone()))).collect()
}

/// Init containers, then containers; the flag says which.
pub(in crate::cloud) fn containers(pod: &Value) -> impl Iterator<Item = (bool, &Value)> {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let init = list(spec, "initContainers").iter().map(|container| (true, container));
    init.chain(list(spec, "containers").iter().map(|container| (false, container)))
}
