//! What the control API can do to Cube's pods and variants.

use std::sync::{Arc, PoisonError};

use http::Method;
use serde_json::{Value, json};

use super::super::control::{Force, Hold, Lost, read};
use super::super::{Call, Front};
use super::life::{self, change, set};
use super::{Cube, Variants};
use crate::error::ApiError;

/// Answers a control call that is this API's own; `None`: there is no such call.
pub(in crate::facade) fn answer(
    front: &Arc<Front>,
    cube: &Cube,
    call: &Call,
) -> Option<Result<Value, ApiError>> {
    Some(match (&call.parts.method, call.parts.uri.path()) {
        (&Method::POST, "/_sim/state") => {
            read(call).and_then(|Force { id, status }| mark(front, &id, "forced", json!(status)))
        }
        (&Method::POST, "/_sim/hold") => {
            read(call).and_then(|Hold { id, held }| mark(front, &id, "held", json!(held)))
        }
        (&Method::POST, "/_sim/zone-lost") => read(call).map(|Lost { zone }| {
            let all = life::all(front).into_iter();
            let there = all.filter(|stored| {
                stored.value().pointer("/cube/provider/zone").and_then(Value::as_str) == Some(zone.as_str())
            });
            let lost: Vec<String> = there.map(|stored| stored.uid.clone()).collect();
            for id in &lost {
                life::end(front, id, "Error");
            }
            json!({"lost": lost})
        }),
        (&Method::POST, "/_sim/variants") => read(call).map(|variants: Variants| {
            *cube.variants.write().unwrap_or_else(PoisonError::into_inner) = variants;
            json!(variants)
        }),
        (&Method::GET, "/_sim/disks") => Ok(json!(life::attached(front))),
        (&Method::GET, "/_sim/unknown-parameters") => {
            Ok(json!(*cube.unknown.lock().unwrap_or_else(PoisonError::into_inner)))
        }
        _ => return None,
    })
}

/// Sets a field of the simulator's own on a pod.
fn mark(front: &Front, id: &str, field: &str, value: Value) -> Result<Value, ApiError> {
    life::by_id(front, id).ok_or_else(|| ApiError::bad_request(format!("there is no pod {id:?}")))?;
    change(front, id, |object| set(object, "cube", field, value));
    Ok(json!({}))
}
