//! What the control API can do to ECI's groups and variants.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::control::{Force, Hold, Lost, read};
use super::super::{Call, Front};
use super::change;
use super::error::EciError;
use super::{Eci, Variants};
use crate::core::clock::k8s_time;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reclaim {
    id: String,
    /// Between the warning and the end; 180 if absent.
    notice_seconds: Option<u64>,
}

/// Answers a control call that is this API's own; `None`: there is no such call.
pub(in crate::facade) fn answer(
    front: &Arc<Front>,
    eci: &Eci,
    call: &Call,
) -> Option<Result<Value, ApiError>> {
    let path = call.parts.uri.path();
    Some(match (&call.parts.method, path) {
        (&Method::POST, "/_sim/reclaim") => read(call).and_then(|asked| reclaim(front, &asked)),
        (&Method::POST, "/_sim/state") => read(call).and_then(|Force { id, status }| {
            change::mark(front, &id, "forced", json!(status)).map_err(|e| said(&e))?;
            Ok(json!({}))
        }),
        (&Method::POST, "/_sim/hold") => read(call).and_then(|Hold { id, held }| {
            change::hold(front, &id, held).map_err(|e| said(&e))?;
            Ok(json!({}))
        }),
        (&Method::POST, "/_sim/zone-lost") => read(call).map(|Lost { zone }| lose(front, &zone)),
        (&Method::POST, "/_sim/variants") => read(call).map(|variants: Variants| {
            *eci.variants.write().unwrap_or_else(PoisonError::into_inner) = variants;
            json!(variants)
        }),
        (&Method::GET, "/_sim/unknown-parameters") => {
            Ok(json!(*eci.unknown.lock().unwrap_or_else(PoisonError::into_inner)))
        }
        _ => return None,
    })
}

fn said(error: &EciError) -> ApiError {
    ApiError::bad_request(error.message.clone())
}

/// The market took a spot instance back: a warning, three minutes, the end.
fn reclaim(front: &Arc<Front>, asked: &Reclaim) -> Result<Value, ApiError> {
    let id = asked.id.clone();
    let instance = front.cloud.instance(&id).ok_or_else(|| said(&EciError::no_group(&id)))?;
    let at = k8s_time(front.cloud.clock.now());
    change::mark(front, &id, "reclaim", json!({"at": at})).map_err(|e| said(&e))?;
    let message = "the spot instance will be released in 3 minutes";
    front.cloud.event(&instance, true, "SpotToBeReleased", message);
    let notice = Duration::from_secs(asked.notice_seconds.unwrap_or(180));
    let later = front.clone();
    front.cloud.spawn(async move {
        later.cloud.clock.sleep(notice).await;
        let _ = change::end(&later, &id, "Expired");
    });
    Ok(json!({}))
}

/// Every group of a zone fails at once.
fn lose(front: &Front, zone: &str) -> Value {
    let mut lost = Vec::new();
    for instance in front.cloud.all() {
        let stored = front.cloud.store.get(crate::core::kind::Kind::Pod, &instance.key);
        let there = stored.is_some_and(|stored| {
            stored.value().pointer("/eci/shown/ZoneId").and_then(Value::as_str) == Some(zone)
        });
        if there && change::end(front, &instance.plan.uid, "Failed").is_ok() {
            lost.push(instance.plan.uid.clone());
        }
    }
    json!({"lost": lost})
}
