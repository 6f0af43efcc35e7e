//! DELETE: preconditions, grace, and the asynchronous end of pods and namespaces.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::faults::Injected;
use super::super::{Body, Call, Front, json as reply};
use super::route::Route;
use super::{claims, list, namespaces, object as answer};
use crate::core::clock::k8s_time;
use crate::core::kind::Kind;
use crate::core::store::{Key, Stored, Verdict};
use crate::error::ApiError;

/// DeleteOptions, from the body.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Options {
    grace_period_seconds: Option<u32>,
    preconditions: Preconditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Options {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut options = if call.body.iter().all(u8::is_ascii_whitespace) {
            Self::default()
        } else {
            serde_json::from_slice(&call.body)
                .map_err(|e| ApiError::bad_request(format!("DeleteOptions: {e}")))?
        };
        if let Some(seconds) = call.number("gracePeriodSeconds")? {
            options.grace_period_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        Ok(options)
    }

    /// The object must be the one that was meant.
    fn holds(&self, front: &Front, kind: Kind, stored: &Stored) -> Result<(), ApiError> {
        let conflict = |what: &str, wanted: &str, have: &str| {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {have}"
            );
            ApiError::conflict(kind.qualified(front.cloud.store.generation), &stored.key.name, &why)
        };
        if let Some(uid) = self.preconditions.uid.as_ref().filter(|uid| **uid != stored.uid) {
            return Err(conflict("UID", uid, &stored.uid));
        }
        let have = stored.version.to_string();
        match self.preconditions.resource_version.as_ref().filter(|wanted| **wanted != have) {
            Some(wanted) => Err(conflict("ResourceVersion", wanted, &have)),
            None => Ok(()),
        }
    }
}

/// Deletes one object.
pub(super) fn one(
    front: &Arc<Front>,
    call: &Call,
    kind: Kind,
    key: &Key,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    let options = Options::read(call)?;
    let stored = match kind {
        Kind::Pod => instance(front, key, Some(&options), injected.slow_delete)?,
        Kind::Namespace => namespace(front, key, &options)?,
        Kind::PersistentVolumeClaim => claim(front, call, key, &options)?,
        _ => plain(front, kind, key, &options)?,
    };
    Ok(answer(StatusCode::OK, kind, &stored))
}

/// Deletes everything that a selector selects.
pub(super) fn collection(
    front: &Arc<Front>,
    call: &Call,
    route: &Route,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    let selector = list::selector(call, route.kind)?;
    let options = Options::read(call)?;
    let page = front.cloud.store.list(route.kind, list::scope(route));
    for object in page.items.iter().filter(|object| selector.matches(&object.index)) {
        let done = match route.kind {
            Kind::Pod => instance(front, &object.key, Some(&options), injected.slow_delete),
            Kind::PersistentVolumeClaim => claim(front, call, &object.key, &options),
            kind => plain(front, kind, &object.key, &options),
        };
        // One that went away meanwhile is deleted too.
        done.map(drop)
            .or_else(|error| if error.status == StatusCode::NOT_FOUND { Ok(()) } else { Err(error) })?;
    }
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    Ok(reply(StatusCode::OK, body.to_string()))
}

fn not_found(front: &Front, kind: Kind, key: &Key) -> ApiError {
    ApiError::not_found(kind.qualified(front.cloud.store.generation), &key.name)
}

fn plain(front: &Front, kind: Kind, key: &Key, options: &Options) -> Result<Arc<Stored>, ApiError> {
    let done = front
        .cloud
        .store
        .update(kind, key, |_, stored| options.holds(front, kind, stored).map(|()| Verdict::Remove))?;
    done.ok_or_else(|| not_found(front, kind, key))
}

/// A claim stays while a pod mounts it.
fn claim(front: &Arc<Front>, call: &Call, key: &Key, options: &Options) -> Result<Arc<Stored>, ApiError> {
    let kind = Kind::PersistentVolumeClaim;
    let files = claims::Files::asked(front.cloud.store.generation, call)?;
    let now = front.cloud.clock.now();
    let done = front.cloud.store.update(kind, key, |value, stored| {
        options.holds(front, kind, stored)?;
        set(value, "metadata", "deletionTimestamp", json!(k8s_time(now)));
        Ok::<_, ApiError>(Verdict::Write)
    })?;
    let done = done.ok_or_else(|| not_found(front, kind, key))?;
    if claims::used(front, key) {
        claims::remove_later(front, key, files);
    } else {
        claims::remove(front, key, files);
    }
    Ok(done)
}

fn namespace(front: &Arc<Front>, key: &Key, options: &Options) -> Result<Arc<Stored>, ApiError> {
    let now = front.cloud.clock.now();
    let mut first = false;
    let done = front.cloud.store.update(Kind::Namespace, key, |value, stored| {
        options.holds(front, Kind::Namespace, stored)?;
        if value.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(Verdict::Keep);
        }
        first = true;
        set(value, "metadata", "deletionTimestamp", json!(k8s_time(now)));
        set(value, "status", "phase", json!("Terminating"));
        Ok::<_, ApiError>(Verdict::Write)
    })?;
    let done = done.ok_or_else(|| not_found(front, Kind::Namespace, key))?;
    if first {
        namespaces::empty_later(front, &key.name);
    }
    Ok(done)
}

fn set(value: &mut Value, part: &str, field: &str, to: Value) {
    if let Some(map) = value.get_mut(part).and_then(Value::as_object_mut) {
        map.insert(field.to_owned(), to);
    }
}

/// Asks an instance to end. The object stays, with its finalizer, until the cloud confirms.
pub(super) fn instance(
    front: &Arc<Front>,
    key: &Key,
    options: Option<&Options>,
    slow: Duration,
) -> Result<Arc<Stored>, ApiError> {
    let now = front.cloud.clock.now();
    let none = Options::default();
    let options = options.unwrap_or(&none);
    let mut grace = Duration::ZERO;
    let done = front.cloud.store.update(Kind::Pod, key, |pod, stored| {
        options.holds(front, Kind::Pod, stored)?;
        let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
        let own = own.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(30);
        let seconds = options.grace_period_seconds.unwrap_or(own);
        grace = Duration::from_secs(seconds.into());
        let until = now.checked_add(grace).unwrap_or(Timestamp::MAX);
        let asked = pod.pointer("/metadata/deletionTimestamp").and_then(Value::as_str);
        let asked = asked.and_then(|text| text.parse::<Timestamp>().ok());
        if asked.is_some_and(|asked| asked <= until) {
            return Ok(Verdict::Keep);
        }
        set(pod, "metadata", "deletionTimestamp", json!(k8s_time(until)));
        set(pod, "metadata", "deletionGracePeriodSeconds", json!(seconds));
        Ok::<_, ApiError>(Verdict::Write)
    })?;
    let done = done.ok_or_else(|| not_found(front, Kind::Pod, key))?;
    front.cloud.stop(&done.uid, grace, slow);
    Ok(done)
}
