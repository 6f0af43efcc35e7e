//! Create, replace and patch as the API server does them, on JSON.

use serde_json::{Value, json};

use super::State;
use super::meta::{failure, map_of, metadata, text};
use super::patch::{self as patches, PatchKind};
use super::route::Route;
use super::serve::{Refused, Reply, Wanted, current, refuse, shaped};

pub(super) fn create(state: &mut State, route: &Route, mut object: Value) -> Result<Value, Refused> {
    let given = text(&object, "/metadata/namespace");
    if !given.is_empty() && given != route.namespace {
        return Err(refuse(400, "the namespace of the object does not match the namespace of the request"));
    }
    let uid = state.store.new_uid();
    let mut name = text(&object, "/metadata/name").to_owned();
    if name.is_empty() {
        let prefix = text(&object, "/metadata/generateName");
        if prefix.is_empty() {
            return Err(refuse(422, "metadata.name: Required value: name or generateName is required"));
        }
        name = format!("{prefix}{}", uid.get(..8).unwrap_or_default());
    }
    if state.store.get(&route.resource, &route.namespace, &name).is_some() {
        let message = format!("{} \"{name}\" already exists", route.resource.plural);
        return Err(Box::new((409, failure(409, "AlreadyExists", &message))));
    }
    let kind = state.store.kind(&route.resource).map(|k| k.kind.clone());
    let now = state.store.time(0);
    let map = map_of(&mut object);
    map.insert("apiVersion".to_owned(), json!(route.api_version));
    if let Some(kind) = kind {
        map.insert("kind".to_owned(), json!(kind));
    }
    if route.resource.plural == "pods" {
        map.insert("status".to_owned(), json!({"phase": "Pending", "qosClass": "BestEffort"}));
    }
    let meta = metadata(&mut object);
    meta.insert("name".to_owned(), json!(name));
    if !route.namespace.is_empty() {
        meta.insert("namespace".to_owned(), json!(route.namespace));
    }
    meta.insert("uid".to_owned(), json!(uid));
    meta.insert("creationTimestamp".to_owned(), json!(now));
    if !route.resource.group.is_empty() {
        meta.insert("generation".to_owned(), json!(1));
    }
    Ok(state.store.commit(&route.resource, &route.namespace, &name, object))
}

pub(super) fn replace(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let before = current(state, route)?;
    let uid = text(&wanted.body, "/metadata/uid");
    if !uid.is_empty() && uid != text(&before, "/metadata/uid") {
        return Err(precondition(route, uid, &before));
    }
    update(state, route, &before, wanted.body.clone()).map(|object| shaped(wanted, 200, object))
}

pub(super) fn patch(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let kind = PatchKind::of(&wanted.content_type).ok_or_else(|| refuse(415, "unknown patch type"))?;
    if kind == PatchKind::Apply && state.store.get(&route.resource, &route.namespace, &route.name).is_none() {
        let mut object = wanted.body.clone();
        metadata(&mut object).insert("name".to_owned(), json!(route.name));
        return create(state, route, object).map(|object| shaped(wanted, 201, object));
    }
    let before = current(state, route)?;
    let mut object = before.clone();
    patches::apply(kind, &mut object, &wanted.body).map_err(|message| refuse(422, message))?;
    if text(&object, "/metadata/uid") != text(&before, "/metadata/uid") {
        // The real server validates the UID of a patched object as an immutable field.
        let what = format!("{} \"{}\" is invalid: metadata.uid", route.resource.plural, route.name);
        return Err(refuse(422, format!("{what}: Invalid value: field is immutable")));
    }
    update(state, route, &before, object).map(|object| shaped(wanted, 200, object))
}

/// Stores what an update may change of an object.
fn update(state: &mut State, route: &Route, before: &Value, mut object: Value) -> Result<Value, Refused> {
    let version = text(&object, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(before, "/metadata/resourceVersion") {
        let what = format!("Operation cannot be fulfilled on {} \"{}\"", route.resource.plural, route.name);
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        return Err(refuse(409, format!("{what}: {why}")));
    }
    keep_metadata(&mut object, before);
    let keep = |object: &mut Value, field: &str| match before.get(field) {
        Some(value) => drop(map_of(object).insert(field.to_owned(), value.clone())),
        None => drop(map_of(object).remove(field)),
    };
    keep(&mut object, "apiVersion");
    keep(&mut object, "kind");
    if route.subresource == "status" {
        let fields: Vec<String> = before.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        fields
            .iter()
            .filter(|f| !matches!(f.as_str(), "status" | "metadata"))
            .for_each(|f| keep(&mut object, f));
    } else if has_status(&route.resource.plural) {
        keep(&mut object, "status");
    }
    if object == *before {
        return Ok(object);
    }
    if object.get("spec") != before.get("spec")
        && let Some(generation) = before.pointer("/metadata/generation").and_then(Value::as_u64)
    {
        metadata(&mut object).insert("generation".to_owned(), json!(generation + 1));
    }
    let deleting = !text(&object, "/metadata/deletionTimestamp").is_empty();
    if deleting && grace(&object) == 0 && !has_finalizers(&object) {
        state.store.remove(&route.resource, &route.namespace, &route.name);
        return Ok(object);
    }
    Ok(state.store.commit(&route.resource, &route.namespace, &route.name, object))
}

/// Metadata that only the server writes.
fn keep_metadata(object: &mut Value, before: &Value) {
    let fields = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generation",
    ];
    let meta = metadata(object);
    for field in fields {
        match before.pointer("/metadata").and_then(|m| m.get(field)) {
            Some(value) => drop(meta.insert(field.to_owned(), value.clone())),
            None => drop(meta.remove(field)),
        }
    }
}

/// Kinds whose status is a subresource.
fn has_status(plural: &str) -> bool {
    !matches!(plural, "configmaps" | "secrets" | "events" | "leases" | "serviceaccounts")
}

pub(super) fn has_finalizers(object: &Value) -> bool {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty())
}

fn grace(object: &Value) -> u64 {
    object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(0)
}

fn precondition(route: &Route, uid: &str, before: &Value) -> Refused {
    let what = format!("Operation cannot be fulfilled on {} \"{}\"", route.resource.plural, route.name);
    let have = text(before, "/metadata/uid");
    refuse(
        409,
        format!("{what}: Precondition failed: UID in precondition: {uid}, UID in object meta: {have}"),
    )
}
