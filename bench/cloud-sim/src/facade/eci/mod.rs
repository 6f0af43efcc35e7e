//! Alibaba Cloud ECI, API version 2018-08-08: RPC actions with flattened parameters, answers with the vendor's own
//! spelling, odd names included.
//!
//! Facts: the official API metadata, the models of the official SDKs and the vendor's help pages. Where these leave a
//! behaviour open, `Variants` names both ways. Every mutating action keeps its `ClientToken` for a day.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::{Injected, InjectedError};
use super::{Body, Call, Front, json as reply, millis};
use crate::core::instances::{Cloud, new_uid};
use crate::options::Options;
use error::EciError;
use tree::Tree;

mod admit;
mod auth;
mod change;
mod console;
mod control;
mod create;
mod describe;
mod error;
mod forge;
mod images;
mod market;
mod metrics;
mod size;
mod state;
mod tags;
mod terminal;
mod tree;

pub(super) use control::answer as control;

/// The only version of this API.
const VERSION: &str = "2018-08-08";
/// How long the answer to a token is remembered.
const TOKEN_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Parameters that belong to the protocol, not to the action.
const SYSTEM: [&str; 16] = [
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureNonce",
    "SignatureType",
    "Timestamp",
    "SecurityToken",
    "RegionId",
    "ClientToken",
    "OwnerAccount",
    "ResourceOwnerAccount",
    "OwnerId",
];
/// Calls per minute that the vendor publishes.
const LIMITS: [(&str, u32); 11] = [
    ("DescribeContainerGroups", 2000),
    ("DescribeContainerGroupMetric", 2000),
    ("CreateContainerGroup", 1000),
    ("DeleteContainerGroup", 1000),
    ("DescribeContainerGroupPrice", 1000),
    ("ExecContainerCommand", 500),
    ("DescribeContainerLog", 500),
    ("RestartContainerGroup", 500),
    ("UpdateContainerGroup", 500),
    ("DescribeMultiContainerGroupMetric", 500),
    ("CreateImageCache", 200),
];
/// Names of every parameter, from the models of the official SDK, one action per line.
const PARAMETERS: &str = include_str!("parameters.txt");

/// Which undocumented behaviour is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Variants {
    /// Deleting an unknown group is an error.
    delete_unknown_fails: bool,
    /// Above 4 vCPU only exact sizes are accepted, as a page of 2021 said.
    exact_sizes: bool,
    /// Parameters that the action does not have are refused; otherwise they are only noted.
    refuse_unknown_parameters: bool,
    /// What the WebSocket of a command speaks.
    terminal_frames: terminal::Frames,
}

impl Default for Variants {
    fn default() -> Self {
        Self {
            delete_unknown_fails: true,
            exact_sizes: false,
            refuse_unknown_parameters: false,
            terminal_frames: terminal::Frames::Raw,
        }
    }
}

/// What this API remembers beside the instances.
pub(crate) struct Eci {
    zones: Vec<String>,
    /// Zones by switch; empty: any switch exists, in the first zone.
    switches: BTreeMap<String, String>,
    update: Duration,
    throttled: bool,
    /// Reached over TLS, so streams are `wss`.
    secure: bool,
    nonces: auth::Nonces,
    tokens: Mutex<HashMap<(String, String), Answered>>,
    serial: AtomicU64,
    tickets: terminal::Tickets,
    image_caches: Mutex<BTreeMap<String, images::Cache>>,
    variants: RwLock<Variants>,
    /// `Action Parameter` that no SDK knows.
    unknown: Mutex<BTreeSet<String>>,
}

/// What a token was answered with.
#[derive(Clone)]
struct Answered {
    at: Timestamp,
    /// All parameters, normalised.
    asked: BTreeMap<String, String>,
    answer: Value,
}

/// One call's action and parameters.
struct Order {
    action: String,
    /// Parameters of the action alone, as they came.
    flat: BTreeMap<String, String>,
    tree: Tree,
    client_token: Option<String>,
    host: String,
}

impl Eci {
    /// A region with its zones and switches.
    pub(super) fn new(options: &Options, cloud: &Cloud) -> Self {
        let letters = ["h", "i"].map(|letter| format!("{}-{letter}", cloud.region));
        let zones = if options.zones.is_empty() { letters.into() } else { options.zones.clone() };
        let switches = options.subnet_zones.iter().filter_map(|pair| pair.split_once('='));
        Self {
            zones,
            switches: switches.map(|(id, zone)| (id.to_owned(), zone.to_owned())).collect(),
            update: millis(options.update_ms),
            throttled: !options.unthrottled,
            secure: options.tls_cert.is_some(),
            nonces: auth::Nonces::default(),
            tokens: Mutex::default(),
            serial: AtomicU64::new(1),
            tickets: terminal::Tickets::default(),
            image_caches: Mutex::default(),
            variants: RwLock::default(),
            unknown: Mutex::default(),
        }
    }

    fn variants(&self) -> Variants {
        *self.variants.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes, or refuses, parameters that the action does not have.
    fn known(&self, order: &Order) -> Result<(), EciError> {
        let line = PARAMETERS.lines().find(|line| line.split(' ').next() == Some(order.action.as_str()));
        let Some(line) = line else { return Ok(()) };
        let known: BTreeSet<&str> = line.split(' ').skip(1).collect();
        for name in order.flat.keys() {
            let pattern = tree::pattern(name);
            if known.contains(pattern.as_str()) || EXTRA.contains(&pattern.as_str()) {
                continue;
            }
            if self.variants().refuse_unknown_parameters {
                return Err(EciError::parameter(name, "the action has no such parameter"));
            }
            let mut noted = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            noted.insert(format!("{} {pattern}", order.action));
        }
        Ok(())
    }

    /// Does a thing once per token: the same token with the same parameters gets the same answer.
    fn once(
        &self,
        order: &Order,
        now: Timestamp,
        work: impl FnOnce() -> Result<Value, EciError>,
    ) -> Result<Value, EciError> {
        let Some(token) = &order.client_token else { return work() };
        if token.len() > 64 || !token.is_ascii() {
            return Err(EciError::parameter("ClientToken", "it is not at most 64 ASCII characters"));
        }
        let asked: BTreeMap<String, String> =
            order.flat.iter().map(|(name, value)| (name.clone(), tree::normal(value))).collect();
        let key = (order.action.clone(), token.clone());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tokens.get(&key).filter(|known| now.duration_since(known.at) < TOKEN_KEPT) {
            return if known.asked == asked {
                Ok(known.answer.clone())
            } else {
                let message =
                    "Request uses a client token in a previous request but is not identical to that request.";
                Err(EciError::new(400, "IdempotentParameterMismatch", message))
            };
        }
        let answer = work()?;
        tokens.insert(key, Answered { at: now, asked, answer: answer.clone() });
        Ok(answer)
    }
}

/// Parameters that help pages name and the model of the current SDK lacks.
const EXTRA: [&str; 3] = ["MaxPendingMinute", "Container.N.EnvironmentVarHide", "ClientToken"];

/// The action of a call: a header with the current signature, a parameter with RPC's.
pub(super) fn action(call: &Call) -> Option<String> {
    if terminal::is_terminal(call) {
        return Some("exec".to_owned());
    }
    let named = call.header("x-acs-action").map(str::to_owned);
    named.or_else(|| call.parameters().into_iter().find(|(name, _)| name == "Action").map(|(_, value)| value))
}

/// Answers a call.
pub(super) async fn answer(front: &Arc<Front>, eci: &Eci, call: Call, injected: &Injected) -> Response<Body> {
    let request_id = request_id();
    if terminal::is_terminal(&call) {
        return terminal::open(front, eci, call).await.unwrap_or_else(|e| e.response(&request_id));
    }
    match handle(front, eci, &call, injected).await {
        Ok(mut body) => {
            if let Some(map) = body.as_object_mut() {
                map.insert("RequestId".into(), json!(request_id));
            }
            reply(StatusCode::OK, body.to_string())
        }
        Err(error) => error.response(&request_id),
    }
}

fn request_id() -> String {
    new_uid().to_uppercase()
}

/// An error that a fault rule asks for.
pub(super) fn injected(asked: &InjectedError) -> Response<Body> {
    let (code, message) = error::usual(asked.status);
    let code = asked.error.as_deref().unwrap_or(code);
    let message = asked.message.as_deref().unwrap_or(message);
    let mut error = EciError::new(asked.status, code, message);
    error.retry_after_ms = asked.retry_after.map(|seconds| u64::from(seconds) * 1000);
    error.response(&request_id())
}

async fn handle(front: &Arc<Front>, eci: &Eci, call: &Call, injected: &Injected) -> Result<Value, EciError> {
    let parameters = call.parameters();
    let now = front.cloud.clock.now();
    let standing = front.sales.standing();
    let keys = auth::Keys {
        access_key: &front.account.access_key,
        secret_key: &front.account.secret_key,
        security_token: standing.security_token.as_deref(),
    };
    auth::verify(call, &parameters, &keys, &eci.nonces, now)?;
    let order = order(front, call, &parameters)?;
    eci.known(&order)?;
    let published = LIMITS.iter().find(|(action, _)| *action == order.action).map(|(_, limit)| *limit);
    if !front.sales.admit(&order.action, published.filter(|_| eci.throttled), now) {
        return Err(EciError::throttled(&order.action));
    }
    if injected.duplicate {
        // The first of two deliveries; its answer goes nowhere.
        drop(dispatch(front, eci, &order, injected).await);
    }
    dispatch(front, eci, &order, injected).await
}

fn order(front: &Front, call: &Call, parameters: &[(String, String)]) -> Result<Order, EciError> {
    let find = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let not_found = || {
        let message = "Specified api is not found, please check your url and method.";
        EciError::new(404, "InvalidAction.NotFound", message)
    };
    let action = action(call).ok_or_else(|| EciError::missing("Action"))?;
    if call.header("x-acs-version").or_else(|| find("Version")) != Some(VERSION) {
        return Err(not_found());
    }
    let region = find("RegionId").filter(|region| !region.is_empty());
    if region.is_some_and(|region| region != front.cloud.region) {
        return Err(EciError::new(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."));
    }
    if region.is_none() && action != "DescribeRegions" {
        return Err(EciError::missing("RegionId"));
    }
    let mut flat: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in parameters {
        if !SYSTEM.contains(&name.as_str()) && !value.is_empty() {
            flat.insert(name.clone(), value.clone());
        }
    }
    let tree = Tree::read(flat.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let client_token = find("ClientToken").filter(|token| !token.is_empty()).map(str::to_owned);
    let host = call.header("host").unwrap_or_default().to_owned();
    Ok(Order { action, flat, tree, client_token, host })
}

async fn dispatch(
    front: &Arc<Front>,
    eci: &Eci,
    order: &Order,
    injected: &Injected,
) -> Result<Value, EciError> {
    let now = front.cloud.clock.now();
    let tree = &order.tree;
    match order.action.as_str() {
        "CreateContainerGroup" => eci.once(order, now, || create::group(front, eci, order, injected)),
        "UpdateContainerGroup" => eci.once(order, now, || change::update(front, eci, order)),
        "RestartContainerGroup" => eci.once(order, now, || change::restart(front, tree)),
        "DeleteContainerGroup" => eci.once(order, now, || change::delete(front, eci, tree, injected)),
        "ResizeContainerGroupVolume" => eci.once(order, now, || change::resize(front, tree)),
        "DescribeContainerGroups" => describe::groups(front, tree, injected),
        "DescribeContainerGroupStatus" => describe::status(front, tree, injected),
        "DescribeContainerGroupEvents" => describe::events(front, tree, injected),
        "DescribeContainerLog" => console::log(front, tree),
        "ExecContainerCommand" => console::exec(front, eci, order).await,
        "DescribeContainerGroupMetric" => metrics::one(front, tree),
        "DescribeMultiContainerGroupMetric" => metrics::many(front, tree),
        "DescribeAvailableResource" => market::stock(front, eci, tree),
        "DescribeContainerGroupPrice" => market::price(front, eci, tree),
        "ListUsage" => Ok(market::usage(front, eci)),
        "DescribeRegions" => Ok(market::regions(front, eci)),
        "CreateImageCache" => eci.once(order, now, || images::create(front, eci, tree)),
        "DescribeImageCaches" => images::describe(front, eci, tree),
        "DeleteImageCache" => images::delete(eci, tree),
        "TagResources" => tags::add(front, tree),
        "UntagResources" => tags::remove(front, tree),
        "ListTagResources" => tags::list(front, tree),
        _ => {
            let message = "Specified api is not found, please check your url and method.";
            Err(EciError::new(404, "InvalidAction.NotFound", message))
        }
    }
}
