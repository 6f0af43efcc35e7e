//! UCloud Cube: RPC by `Action`, always HTTP 200 with a `RetCode`, pods as base64 of YAML.
//!
//! Facts: the public API pages, the models of the official SDKs and the product's pages. There is no idempotency token:
//! a create that is sent twice makes two pods. Where the vendor leaves a behaviour open, `Variants` names both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use super::faults::{Injected, InjectedError};
use super::{Body, Call, Front, json as reply, millis};
use crate::core::instances::{Cloud, new_uid};
use crate::options::Options;
use error::CubeError;

mod auth;
mod control;
mod eip;
mod error;
mod life;
mod more;
mod pod;
mod show;

pub(super) use control::answer as control;

/// Which undocumented behaviour is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Variants {
    /// Deleting an unknown pod is an error.
    delete_unknown_fails: bool,
    /// A pod that never was is answered like one that is gone: RetCode 0 and no Pod.
    unknown_is_empty: bool,
    /// Sizes that are not in the table are accepted.
    any_size: bool,
    /// `metadata.uid` of the YAML becomes the pod's `Uid`; otherwise it gets one of its own.
    adopts_uid: bool,
}

impl Default for Variants {
    fn default() -> Self {
        Self { delete_unknown_fails: true, unknown_is_empty: true, any_size: false, adopts_uid: true }
    }
}

/// What this API remembers beside the instances.
pub(crate) struct Cube {
    zones: Vec<String>,
    /// Zones by subnet; empty: any subnet exists, in every zone.
    subnets: BTreeMap<String, String>,
    project: String,
    update: Duration,
    variants: RwLock<Variants>,
    addresses: Mutex<BTreeMap<String, eip::Address>>,
    /// What calls select by, of every pod; so that a list parses only what it shows.
    facts: Mutex<BTreeMap<String, life::Facts>>,
    /// Fields of pods that no page of the vendor names.
    unknown: Mutex<BTreeSet<String>>,
}

/// One call's action and parameters.
struct Order {
    action: String,
    values: BTreeMap<String, String>,
}

impl Order {
    /// A text that is not empty.
    fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    fn required(&self, name: &str) -> Result<&str, CubeError> {
        self.text(name).ok_or_else(|| CubeError::missing(name))
    }

    /// A whole number.
    fn number(&self, name: &str) -> Result<Option<i64>, CubeError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| CubeError::parameter(name, "it is not a whole number"))
    }

    /// One of some words, in any letter case.
    fn one_of(
        &self,
        name: &str,
        legal: &[&'static str],
        default: &'static str,
    ) -> Result<&'static str, CubeError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let found = legal.iter().find(|word| word.eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| CubeError::parameter(name, &format!("it is not one of {legal:?}")))
    }
}

impl Cube {
    /// A region with its zones and subnets.
    pub(super) fn new(options: &Options, cloud: &Cloud) -> Self {
        let numbers = ["05", "04"].map(|number| format!("{}-{number}", cloud.region));
        let pairs = options.subnet_zones.iter().filter_map(|pair| pair.split_once('='));
        Self {
            zones: if options.zones.is_empty() { numbers.into() } else { options.zones.clone() },
            subnets: pairs.map(|(id, zone)| (id.to_owned(), zone.to_owned())).collect(),
            project: options.project_id.clone(),
            update: millis(options.update_ms),
            variants: RwLock::default(),
            addresses: Mutex::default(),
            facts: Mutex::default(),
            unknown: Mutex::default(),
        }
    }

    fn variants(&self) -> Variants {
        *self.variants.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number as it is signed: whole ones without a fraction.
#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            (float as i64).to_string()
        }
        _ => number.to_string(),
    }
}

/// A JSON body, if the call has one.
fn json_body(call: &Call) -> Option<Value> {
    let is_json = call.header("content-type").is_some_and(|text| text.starts_with("application/json"));
    is_json.then(|| serde_json::from_slice(&call.body).unwrap_or_default())
}

/// Flat parameters; of a name that comes in the query and the body, the body's value counts.
fn parameters(call: &Call) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = call.parameters().into_iter().collect();
    if let Some(Value::Object(body)) = json_body(call) {
        for (name, value) in &body {
            flatten(name, value, &mut all);
        }
    }
    all.into_iter().collect()
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Bool(on) => drop(into.insert(name.to_owned(), on.to_string())),
        Value::Number(number) => drop(into.insert(name.to_owned(), number_text(number))),
        Value::String(text) => drop(into.insert(name.to_owned(), text.clone())),
        Value::Array(all) => {
            for (i, value) in all.iter().enumerate() {
                flatten(&format!("{name}.{i}"), value, into);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&format!("{name}.{key}"), value, into);
            }
        }
    }
}

/// The action of a call.
pub(super) fn action(call: &Call) -> Option<String> {
    parameters(call).into_iter().find(|(name, _)| name == "Action").map(|(_, value)| value)
}

/// What a rule's `bodyContains` is looked for in: the parameters by line, and the YAML of the pod.
pub(super) fn searched(call: &Call) -> String {
    use base64::Engine;
    let all = parameters(call);
    let mut text: String = all.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let pod = all.iter().find(|(name, _)| name == "Pod").map(|(_, value)| value);
    let bytes = pod.and_then(|pod| base64::engine::general_purpose::STANDARD.decode(pod).ok());
    text.push_str(&String::from_utf8_lossy(&bytes.unwrap_or_default()));
    text
}

/// Answers a call.
pub(super) fn answer(front: &Arc<Front>, cube: &Cube, call: &Call, injected: &Injected) -> Response<Body> {
    let action = action(call).unwrap_or_default();
    let body = match handle(front, cube, call, injected) {
        Ok(mut body) => {
            if let Some(map) = body.as_object_mut() {
                map.insert("RetCode".into(), json!(0));
                map.insert("Action".into(), json!(format!("{action}Response")));
            }
            body
        }
        Err(error) => error.body(&action),
    };
    sent(StatusCode::OK, &body)
}

fn sent(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = reply(status, body.to_string());
    if let Ok(id) = HeaderValue::from_str(&new_uid()) {
        response.headers_mut().insert("x-ucloud-request-uuid", id);
    }
    response
}

/// An error that a fault rule asks for: a RetCode if it names one, else the gateway's own HTTP status.
pub(super) fn injected(asked: &InjectedError, action: &str) -> Response<Body> {
    let message = asked.message.as_deref().unwrap_or("injected");
    if let Some(code) = asked.error.as_deref().and_then(|code| code.parse::<i64>().ok()) {
        return sent(StatusCode::OK, &CubeError::new(code, message).body(action));
    }
    let status = StatusCode::from_u16(asked.status).unwrap_or(StatusCode::BAD_GATEWAY);
    sent(status, &json!({"RetCode": 150, "Action": format!("{action}Response"), "Message": message}))
}

fn handle(front: &Arc<Front>, cube: &Cube, call: &Call, injected: &Injected) -> Result<Value, CubeError> {
    let parameters = parameters(call);
    let values: BTreeMap<String, String> = parameters.iter().cloned().collect();
    let order = Order { action: values.get("Action").cloned().unwrap_or_default(), values };
    if order.action.is_empty() {
        return Err(CubeError::new(160, "Missing action"));
    }
    let (standing, now) = (front.sales.standing(), front.cloud.clock.now());
    let keys = auth::Keys {
        public: &front.account.access_key,
        private: &front.account.secret_key,
        security_token: standing.security_token.as_deref(),
    };
    auth::verify(call, &parameters, json_body(call).as_ref(), &keys, now)?;
    if order.required("Region")? != front.cloud.region {
        return Err(CubeError::parameter("Region", "it is not a region of Cube"));
    }
    if order.text("ProjectId").is_some_and(|project| project != cube.project) {
        return Err(CubeError::new(292, "Project does not exist"));
    }
    if order.text("Zone").is_some_and(|zone| !cube.zones.iter().any(|known| known == zone)) {
        return Err(CubeError::new(240, "The zone is not authorised for Cube"));
    }
    if !front.sales.admit(&order.action, None, now) {
        return Err(CubeError::new(153, "Request was throttled"));
    }
    if injected.duplicate {
        // The first of two deliveries; its answer goes nowhere.
        drop(dispatch(front, cube, &order, injected));
    }
    dispatch(front, cube, &order, injected)
}

fn dispatch(front: &Arc<Front>, cube: &Cube, order: &Order, injected: &Injected) -> Result<Value, CubeError> {
    match order.action.as_str() {
        "CreateCubePod" => life::create(front, cube, order, injected),
        "GetCubePod" => life::get(front, cube, order),
        "ListCubePod" => life::list(front, cube, order, injected),
        "DeleteCubePod" => life::delete(front, cube, order, injected),
        "RenewCubePod" => life::renew(front, cube, order),
        "RebootCubePod" => life::reboot(front, order),
        "GetCubeExtendInfo" => more::extend_info(front, cube, order),
        "ModifyCubeExtendInfo" => more::modify(front, order, "Name"),
        "ModifyCubeTag" => more::modify(front, order, "Tag"),
        "GetCubeExecToken" => more::exec_token(front, cube, order),
        "GetCubeToken" => more::log_token(front, cube, order),
        "GetCubeMetrics" => more::metrics(front, order),
        "GetCubePrice" => more::price(order),
        "AllocateEIP" => eip::allocate(front, cube, order),
        "DescribeEIP" => eip::describe(cube, order),
        "BindEIP" => eip::bind(front, cube, order),
        "UnBindEIP" => eip::unbind(cube, order),
        "ReleaseEIP" => eip::release(front, cube, order),
        "GrantFirewall" => eip::grant(cube, order),
        _ => Err(CubeError::new(161, format!("Action [{}] not found", order.action))),
    }
}
