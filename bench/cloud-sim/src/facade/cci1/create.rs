//! POST on a collection.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::super::faults::Injected;
use super::super::{Body, Call, Front};
use super::forge::{self, Tenant};
use super::route::Route;
use super::{claims, namespaces, networks, object as answer};
use crate::core::clock::k8s_time;
use crate::core::instances::new_uid;
use crate::core::kind::{Generation, Kind};
use crate::core::plan::PodPlan;
use crate::core::store::Key;
use crate::error::{ApiError, FieldError};
use crate::size::{Size, pod_size};
use crate::size2;

/// Creates an object.
pub(super) fn object(
    front: &Arc<Front>,
    call: &Call,
    route: &Route,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    let kind = route.kind;
    let mut value = call.json()?;
    let name = identify(&mut value, kind, &route.namespace)?;
    if kind.is_namespaced() {
        namespaces::open(front, &route.namespace)?;
    }
    stamp(front, &mut value, &name, &route.namespace)?;
    let key = Key::new(&route.namespace, &name);
    match kind {
        Kind::Pod => return pod(front, &key, value, injected),
        Kind::Namespace => namespaces::admit(front, &name, &mut value)?,
        Kind::Network => networks::admit(route.generation, &name, &mut value)?,
        Kind::PersistentVolumeClaim => claims::admit(front, route, &name, &mut value)?,
        Kind::PersistentVolume => claims::admit_volume(&mut value),
        _ => {}
    }
    let created = front.cloud.store.create(kind, &key, value, front.cloud.clock.now());
    let created = created.ok_or_else(|| taken(front, kind, &name))?;
    if kind == Kind::Network {
        networks::activate_later(front, &key);
    }
    Ok(answer(StatusCode::CREATED, kind, &created))
}

fn taken(front: &Front, kind: Kind, name: &str) -> ApiError {
    let error = ApiError::already_exists(kind.qualified(front.cloud.store.generation), name);
    if kind == Kind::Namespace { error.code("CCI.02.409101") } else { error }
}

/// Checks what every object must have and answers its name.
fn identify(value: &mut Value, kind: Kind, namespace: &str) -> Result<String, ApiError> {
    let object = value.as_object_mut().ok_or_else(|| ApiError::bad_request("the body is not an object"))?;
    if let Some(given) = object.get("kind").and_then(Value::as_str).filter(|given| *given != kind.name()) {
        let message =
            format!("the object provided is unrecognized: kind {given:?} was sent to {}", kind.plural());
        return Err(ApiError::bad_request(message));
    }
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let metadata =
        metadata.as_object_mut().ok_or_else(|| ApiError::bad_request("metadata is not an object"))?;
    if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty()) {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (given, other, prefix) = (text("name"), text("namespace"), text("generateName"));
    if !other.is_empty() && other != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(message));
    }
    let name = match (given.is_empty(), prefix.is_empty()) {
        (false, _) => given,
        (true, false) => format!("{prefix}{}", new_uid().get(..5).unwrap_or("00000")),
        (true, true) => {
            let error = FieldError::new("metadata.name", "Required value: name or generateName is required");
            return Err(ApiError::invalid(kind.name(), "", &[error]));
        }
    };
    match wrong_name(&name, kind) {
        Some(why) => Err(ApiError::invalid(kind.name(), &name, &[FieldError::new("metadata.name", why)])),
        None => Ok(name),
    }
}

/// RFC 1123: a label for namespaces, a subdomain for the rest.
fn wrong_name(name: &str, kind: Kind) -> Option<String> {
    let longest = if kind == Kind::Namespace { 63 } else { 253 };
    let label = |part: &str| {
        let edges = part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric());
        edges && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let good = match kind {
        Kind::Namespace => label(name),
        _ => name.split('.').all(label),
    };
    (!good || name.len() > longest)
        .then(|| format!("Invalid value: {name:?}: must be an RFC 1123 name of at most {longest} characters"))
}

/// Writes what the server alone decides.
fn stamp(front: &Front, value: &mut Value, name: &str, namespace: &str) -> Result<(), ApiError> {
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or_else(|| ApiError::bad_request("metadata is not an object"))?;
    for field in
        ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields", "generation"]
    {
        metadata.remove(field);
    }
    metadata.insert("name".into(), json!(name));
    if !namespace.is_empty() {
        metadata.insert("namespace".into(), json!(namespace));
    }
    metadata.insert("uid".into(), json!(new_uid()));
    metadata.insert("creationTimestamp".into(), json!(k8s_time(front.cloud.clock.now())));
    Ok(())
}

/// A pod: its size is checked, the cloud adds what is its own, and from then on it is billed.
fn pod(
    front: &Arc<Front>,
    key: &Key,
    mut value: Value,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    let generation = front.cloud.store.generation;
    if generation == Generation::Two {
        forge::prune(&mut value);
    }
    let size = admit_pod(generation, &key.name, &value)?;
    claims::exist(front, key, &value)?;
    forge::complete(&mut value, size, &Tenant { project_id: &front.account.project_id });
    let plan = PodPlan::read(&value).map_err(ApiError::bad_request)?;
    let created = front.cloud.store.create(Kind::Pod, key, value, front.cloud.clock.now());
    let created = created.ok_or_else(|| taken(front, Kind::Pod, &key.name))?;
    front.cloud.launch(&created, Arc::new(plan), size, injected.stock_out.clone());
    Ok(answer(StatusCode::CREATED, Kind::Pod, &created))
}

fn admit_pod(generation: Generation, name: &str, value: &Value) -> Result<Size, ApiError> {
    let spec = value.get("spec").unwrap_or(&Value::Null);
    let mut errors = forge::wrong_fields(generation, spec);
    let sold = match generation {
        Generation::One => pod_size(spec),
        Generation::Two => size2::pod_size(value),
    };
    let size = sold.unwrap_or_else(|wrong| {
        errors.extend(wrong);
        Size::default()
    });
    if errors.is_empty() { Ok(size) } else { Err(ApiError::invalid("Pod", name, &errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rfc_1123() {
        for (name, kind, good) in [
            ("a-1", Kind::Pod, true),
            ("a.b-1", Kind::Pod, true),
            ("a.b", Kind::Namespace, false),
            ("A", Kind::Pod, false),
            ("-a", Kind::Pod, false),
            ("a..b", Kind::Pod, false),
        ] {
            assert_eq!(wrong_name(name, kind).is_none(), good, "{name} {kind:?}");
        }
        assert!(wrong_name(&"a".repeat(64), Kind::Namespace).is_some());
        assert!(wrong_name(&"a".repeat(254), Kind::Pod).is_some());
    }
}
