//! Namespaces: five per account, with a flavor (1.0), and a name that stays taken for a while after deletion.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::Front;
use super::{claims, delete};
use crate::core::kind::{Generation, Kind};
use crate::core::store::{Key, Verdict};
use crate::error::ApiError;

/// Namespaces an account may have.
const PER_ACCOUNT: usize = 5;
const FLAVOR: &str = "namespace.kubernetes.io/flavor";

/// The namespace must exist and not be going away.
pub(super) fn open(front: &Front, name: &str) -> Result<(), ApiError> {
    let found = front.cloud.store.get(Kind::Namespace, &Key::new("", name));
    let found = found.ok_or_else(|| ApiError::not_found("namespaces", name))?;
    if found.value().pointer("/metadata/deletionTimestamp").is_some() {
        let message =
            format!("unable to create new content in namespace {name} because it is being terminated");
        return Err(ApiError::forbidden(message));
    }
    Ok(())
}

/// Checks a namespace to be created and gives it its status.
pub(super) fn admit(front: &Front, name: &str, value: &mut Value) -> Result<(), ApiError> {
    let flavor = value.pointer(&format!("/metadata/annotations/{}", FLAVOR.replace('/', "~1")));
    let flavor = flavor.and_then(Value::as_str).unwrap_or_default();
    let needs_flavor = front.cloud.store.generation == Generation::One;
    if needs_flavor && !["general-computing", "gpu-accelerated"].contains(&flavor) {
        let message =
            format!("annotation {FLAVOR} must be general-computing or gpu-accelerated, not {flavor:?}");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "BadRequest", message).code("CCI.02.400109"));
    }
    if front.cloud.namespace_held(name) {
        let message = format!("namespace {name:?} already exists: it was deleted a moment ago");
        return Err(ApiError::new(StatusCode::CONFLICT, "AlreadyExists", message).code("CCI.02.409101"));
    }
    let exists = front.cloud.store.get(Kind::Namespace, &Key::new("", name)).is_some();
    if !exists && front.cloud.store.count(Kind::Namespace) >= PER_ACCOUNT {
        let message = format!("the account already has {PER_ACCOUNT} namespaces");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "BadRequest", message).code("CCI.02.400106"));
    }
    if let Some(value) = value.as_object_mut() {
        value.insert("spec".into(), json!({"finalizers": ["kubernetes"]}));
        value.insert("status".into(), json!({"phase": "Active"}));
    }
    Ok(())
}

/// Empties a namespace that is going away, waits for its last instance, then removes it and holds its name.
pub(super) fn empty_later(front: &Arc<Front>, name: &str) {
    let (front, name) = (front.clone(), name.to_owned());
    let cloud = front.cloud.clone();
    cloud.spawn(async move {
        let cloud = &front.cloud;
        let mut pods = cloud.store.subscribe(Kind::Pod);
        for pod in cloud.store.list(Kind::Pod, Some(&name)).items {
            delete::instance(&front, &pod.key, None, std::time::Duration::ZERO).ok();
        }
        while !cloud.store.list(Kind::Pod, Some(&name)).items.is_empty() {
            if pods.changed().await.is_err() {
                return;
            }
        }
        let remove = |kind: Kind, key: &Key| {
            let _ = cloud.store.update::<()>(kind, key, |_, _| Ok(Verdict::Remove));
        };
        for claim in cloud.store.list(Kind::PersistentVolumeClaim, Some(&name)).items {
            claims::remove(&front, &claim.key, claims::Files::with_namespace(cloud.store.generation));
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()) {
            for object in cloud.store.list(kind, Some(&name)).items {
                remove(kind, &object.key);
            }
        }
        cloud.hold_namespace(&name);
        remove(Kind::Namespace, &Key::new("", &name));
    });
}
