//! PUT and PATCH: only labels, annotations, other people's finalizers and images of a pod can change.

use std::sync::Arc;

use http::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::super::{Body, Call, Front};
use super::{merge, object as answer};
use crate::core::instances::BILLING_FINALIZER;
use crate::core::kind::{Generation, Kind};
use crate::core::store::{Key, Stored, Verdict};
use crate::error::{ApiError, FieldError};

const MERGE: &str = "application/merge-patch+json";
/// Only 2.0 takes it.
const JSON: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

type Apply = fn(&mut Value, &Value) -> Result<(), ApiError>;

/// Changes one object.
pub(super) fn change(
    front: &Arc<Front>,
    call: &Call,
    kind: Kind,
    key: &Key,
) -> Result<Response<Body>, ApiError> {
    let apply = how(front.cloud.store.generation, call)?;
    let patch = call.json()?;
    if !patch.is_object() && !patch.is_array() {
        return Err(ApiError::bad_request("the body is not an object"));
    }
    let done = front.cloud.store.update(kind, key, |value, stored| {
        let wanted =
            patch.pointer("/metadata/resourceVersion").and_then(Value::as_str).filter(|v| !v.is_empty());
        if wanted.is_some_and(|wanted| wanted != stored.version.to_string()) {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            return Err(ApiError::conflict(kind.qualified(front.cloud.store.generation), &key.name, why));
        }
        let before = value.clone();
        apply(value, &patch)?;
        keep_server_fields(value, &before);
        if kind == Kind::Pod {
            check_pod(value, &before, stored)?;
        }
        Ok(verdict(value, &before))
    })?;
    let done =
        done.ok_or_else(|| ApiError::not_found(kind.qualified(front.cloud.store.generation), &key.name))?;
    Ok(answer(StatusCode::OK, kind, &done))
}

/// How the body is applied.
fn how(generation: Generation, call: &Call) -> Result<Apply, ApiError> {
    if call.parts.method == Method::PUT {
        return Ok(|target, body| {
            target.clone_from(body);
            Ok(())
        });
    }
    let given =
        call.parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match given.split(';').next().unwrap_or_default().trim() {
        MERGE => Ok(|target, body| {
            merge::merge(target, body);
            Ok(())
        }),
        STRATEGIC => Ok(|target, body| {
            merge::strategic(target, body);
            Ok(())
        }),
        JSON if generation == Generation::Two => Ok(json),
        other => Err(ApiError::media_type(other, &format!("{MERGE}, {STRATEGIC}"))),
    }
}

/// RFC 6902.
fn json(target: &mut Value, body: &Value) -> Result<(), ApiError> {
    let patch: json_patch::Patch =
        serde_json::from_value(body.clone()).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let invalid = |error: json_patch::PatchError| {
        ApiError::invalid("Patch", "", &[FieldError::new("patch", error.to_string())])
    };
    json_patch::patch(target, &patch).map_err(invalid)
}

/// A deleted object goes when its last finalizer goes.
fn verdict(value: &Value, before: &Value) -> Verdict {
    let held = |v: &Value| {
        v.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty())
    };
    if value.pointer("/metadata/deletionTimestamp").is_some() && held(before) && !held(value) {
        return Verdict::Remove;
    }
    if value == before { Verdict::Keep } else { Verdict::Write }
}

/// Nobody changes an object's identity, its deletion or its status from outside.
fn keep_server_fields(value: &mut Value, before: &Value) {
    let Some(object) = value.as_object_mut() else { return };
    object.remove("kind");
    object.remove("apiVersion");
    match before.get("status") {
        Some(status) => object.insert("status".into(), status.clone()),
        None => object.remove("status"),
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    let Some(metadata) = metadata.as_object_mut() else { return };
    let fields = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    for field in fields {
        match before.pointer(&format!("/metadata/{field}")) {
            Some(kept) => metadata.insert(field.to_owned(), kept.clone()),
            None => metadata.remove(field),
        };
    }
    for field in ["labels", "annotations", "finalizers"] {
        let empty = metadata.get(field).is_some_and(|v| {
            v.as_object().is_some_and(|m| m.is_empty()) || v.as_array().is_some_and(Vec::is_empty)
        });
        if empty && before.pointer(&format!("/metadata/{field}")).is_none() {
            metadata.remove(field);
        }
    }
}

fn check_pod(value: &Value, before: &Value, stored: &Stored) -> Result<(), ApiError> {
    let billed = |v: &Value| {
        v.pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|f| f.iter().any(|x| x == BILLING_FINALIZER))
    };
    if billed(before) && !billed(value) {
        return Err(ApiError::forbidden(format!("finalizer {BILLING_FINALIZER} belongs to the cloud")));
    }
    let (mut old, mut new) = (before.get("spec").cloned(), value.get("spec").cloned());
    for spec in [&mut old, &mut new].into_iter().flatten() {
        forget_images(spec);
    }
    if old == new {
        return Ok(());
    }
    let message = "Forbidden: pod updates may not change fields other than `spec.containers[*].image` and `spec.initContainers[*].image`";
    Err(ApiError::invalid("Pod", &stored.key.name, &[FieldError::new("spec", message)]))
}

fn forget_images(spec: &mut Value) {
    for group in ["containers", "initContainers"] {
        for container in spec.get_mut(group).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.remove("image");
            }
        }
    }
}
