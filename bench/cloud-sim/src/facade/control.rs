//! The control API under `/_sim/`: what tests and the lab ask of the simulator itself. Never signed, never counted.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sales::{SoldOut, Standing};
use super::{Body, Call, Front, faults, json as reply};
use crate::core::kind::Kind;
use crate::error::ApiError;
use crate::runtime::{Runtime, script};

/// Answers a control call.
pub(crate) fn answer(front: &Arc<Front>, call: &Call) -> Result<Response<Body>, ApiError> {
    let path = call.parts.uri.path();
    if let Some(own) = front.face.control(front, call) {
        return own.map(|value| reply(StatusCode::OK, value.to_string()));
    }
    let value = match (&call.parts.method, path) {
        (&Method::GET, "/_sim/healthz") => json!({"ok": true, "runtime": front.cloud.runtime.name()}),
        (&Method::GET, "/_sim/instances") => instances(front),
        (&Method::GET, "/_sim/meter") => front.cloud.meter.summary(front.cloud.clock.now()),
        (&Method::GET, "/_sim/requests") => front.requests.summary(),
        (&Method::DELETE, "/_sim/requests") => {
            front.requests.reset();
            json!({})
        }
        (&Method::GET, "/_sim/faults") => front.faults.summary(),
        (&Method::DELETE, "/_sim/faults") => {
            front.faults.set(Vec::new());
            json!([])
        }
        (&Method::POST, "/_sim/faults") => {
            front.faults.set(read::<Vec<faults::Rule>>(call)?);
            front.faults.summary()
        }
        (&Method::GET, "/_sim/stock") => json!(front.sales.sold_out()),
        (&Method::POST, "/_sim/stock") => {
            front.sales.set_sold_out(read::<Vec<SoldOut>>(call)?, front.cloud.clock.now());
            json!(front.sales.sold_out())
        }
        (&Method::GET, "/_sim/account") => json!(front.sales.standing()),
        (&Method::POST, "/_sim/account") => {
            front.sales.set_standing(read::<Standing>(call)?);
            json!(front.sales.standing())
        }
        (&Method::POST, "/_sim/limits") => {
            front.sales.set_limits(read(call)?);
            json!(front.sales.limits())
        }
        (&Method::POST, "/_sim/clock") => advance(front, call)?,
        (&Method::GET, "/_sim/clock") => json!({"now": front.cloud.clock.now().to_string()}),
        (&Method::POST, "/_sim/scripts") => scripts(front, call)?,
        (&Method::POST, "/_sim/compact") => compact(front, call)?,
        (&Method::POST, "/_sim/kill") => kill(front, call)?,
        (&Method::POST, "/_sim/variants") => variants(front, call)?,
        _ => return Err(ApiError::no_route()),
    };
    Ok(reply(StatusCode::OK, value.to_string()))
}

/// A state that is shown whatever is true.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::facade) struct Force {
    pub(in crate::facade) id: String,
    /// `null` ends it.
    pub(in crate::facade) status: Option<String>,
}

/// Whether states between are kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::facade) struct Hold {
    pub(in crate::facade) id: String,
    pub(in crate::facade) held: bool,
}

/// A zone that is lost.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::facade) struct Lost {
    pub(in crate::facade) zone: String,
}

/// The body of a control call.
pub(in crate::facade) fn read<T: for<'de> Deserialize<'de>>(call: &Call) -> Result<T, ApiError> {
    serde_json::from_slice(&call.body).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn instances(front: &Front) -> Value {
    let all = front.cloud.all().into_iter().map(|instance| {
        let stored = front.cloud.store.get(Kind::Pod, &instance.key);
        let pod = stored.map(|stored| stored.value()).unwrap_or_default();
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str);
        json!({
            "namespace": instance.key.namespace, "name": instance.plan.name, "uid": instance.plan.uid,
            "phase": text("/status/phase"), "podIP": text("/status/podIP"),
            "created": text("/metadata/creationTimestamp"), "deleting": text("/metadata/deletionTimestamp").is_some(),
            "labels": pod.pointer("/metadata/labels"), "annotations": pod.pointer("/metadata/annotations"),
            "cpuMilli": instance.size.cpu_milli, "memoryBytes": instance.size.memory_bytes, "pids": instance.pids(),
            "acceptedMicros": instance.accepted.as_microsecond(),
        })
    });
    Value::Array(all.collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

fn advance(front: &Front, call: &Call) -> Result<Value, ApiError> {
    let Advance { advance_seconds } = read(call)?;
    front.cloud.clock.advance(Duration::from_secs(advance_seconds));
    Ok(json!({"now": front.cloud.clock.now().to_string()}))
}

fn scripts(front: &Front, call: &Call) -> Result<Value, ApiError> {
    let rules: Vec<script::Rule> = read(call)?;
    match &front.cloud.runtime {
        Runtime::Script(runtime) => {
            let set = json!(rules);
            runtime.set_rules(rules);
            Ok(set)
        }
        Runtime::Process(_) => Err(ApiError::bad_request("scripts need --runtime script")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compact {
    resource: String,
}

fn compact(front: &Front, call: &Call) -> Result<Value, ApiError> {
    let Compact { resource } = read(call)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == resource);
    let kind = kind.ok_or_else(|| ApiError::bad_request(format!("{resource:?} is not served")))?;
    front.cloud.store.compact(kind);
    Ok(json!({"version": front.cloud.store.version().to_string()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    namespace: String,
    name: String,
    container: String,
    /// Signal number; 9 if absent.
    signal: Option<i32>,
}

/// Sends a signal to a container's first process from outside, as a crash of the machine below would.
fn kill(front: &Front, call: &Call) -> Result<Value, ApiError> {
    let asked: Kill = read(call)?;
    let found = front
        .cloud
        .all()
        .into_iter()
        .find(|i| i.key.namespace == asked.namespace && i.plan.name == asked.name);
    let pid = found.and_then(|instance| instance.pids().get(&asked.container).copied());
    let pid = pid.ok_or_else(|| ApiError::not_found("containers", &asked.container))?;
    let signal = crate::runtime::process::signal_number(asked.signal.unwrap_or(9));
    let signal =
        signal.ok_or_else(|| ApiError::bad_request("the signal is not one of 1, 2, 9, 10, 12, 15"))?;
    crate::runtime::process::send(pid, signal).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(json!({"pid": pid}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    exec_protocols: Option<Vec<String>>,
    bookmark_seconds: Option<u64>,
    metrics: Option<bool>,
}

fn variants(front: &Front, call: &Call) -> Result<Value, ApiError> {
    let wanted: Wanted = read(call)?;
    let mut variants = front.variants.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(protocols) = wanted.exec_protocols {
        variants.exec_protocols = protocols;
    }
    if let Some(seconds) = wanted.bookmark_seconds {
        variants.bookmark_seconds = seconds.max(1);
    }
    if let Some(metrics) = wanted.metrics {
        variants.metrics = metrics;
    }
    Ok(json!({"execProtocols": variants.exec_protocols, "bookmarkSeconds": variants.bookmark_seconds,
        "metrics": variants.metrics}))
}
