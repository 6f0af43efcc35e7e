//! What the API server does with each request, under the lock, on JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::State;
use super::delete::{delete, delete_all, evict};
use super::meta::{failure, map_of, partial, reason_of, text};
use super::route::{Route, Target, target};
use super::select::Selectors;
use super::watchers::WatchSpec;
use super::write::{create, patch, replace};

/// A request, read.
pub(super) struct Wanted {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) raw_query: String,
    pub(super) impersonated: Option<String>,
    pub(super) content_type: String,
    pub(super) metadata_only: bool,
    pub(super) body: Value,
}

impl Wanted {
    /// The method, or `WATCH`.
    pub(super) fn verb(&self) -> &str {
        if self.method == "GET" && self.is_watch() { "WATCH" } else { &self.method }
    }

    fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|v| v == "true" || v == "1" || v.is_empty())
    }

    pub(super) fn get(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

/// The answer.
pub(super) enum Reply {
    Json(u16, Value),
    Watch(UnboundedReceiver<String>),
}

/// An answer that says no.
pub(super) type Refused = Box<(u16, Value)>;

pub(super) fn refuse(code: u16, message: impl AsRef<str>) -> Refused {
    Box::new((code, failure(code, reason_of(code), message.as_ref())))
}

/// Executes a request.
pub(super) fn serve(state: &mut State, wanted: &Wanted) -> Reply {
    let result = match target(&wanted.path) {
        Target::Objects(route) => objects(state, wanted, &route),
        Target::Resources { api_version } => discovery(state, &api_version),
        Target::Unknown if wanted.path == "/version" => {
            Ok(Reply::Json(200, json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0-fake"})))
        }
        Target::Unknown => Err(refuse(404, "the server could not find the requested resource")),
    };
    result.unwrap_or_else(|refused| Reply::Json(refused.0, refused.1))
}

fn discovery(state: &State, api_version: &str) -> Result<Reply, Refused> {
    let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let resource = |k: &super::route::KnownKind| json!({"name": k.plural, "singularName": k.kind.to_lowercase(), "namespaced": k.namespaced, "kind": k.kind, "verbs": verbs});
    let resources: Vec<Value> = state.store.kinds_of(api_version).map(resource).collect();
    if resources.is_empty() {
        return Err(refuse(404, "the server could not find the requested resource"));
    }
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources});
    Ok(Reply::Json(200, list))
}

fn objects(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let collection = route.name.is_empty();
    match (wanted.method.as_str(), route.subresource.as_str()) {
        ("GET", "") if collection && wanted.is_watch() => watch(state, wanted, route),
        ("GET", "") if collection => list(state, wanted, route),
        ("GET", "" | "status") => current(state, route).map(|object| shaped(wanted, 200, object)),
        ("POST", "") if collection => post(state, wanted, route),
        ("POST", "eviction") => evict(state, wanted, route),
        ("POST", "binding") => bind(state, wanted, route),
        ("POST", "token") => token(state, wanted, route),
        ("PUT", _) if !collection => replace(state, wanted, route),
        ("PATCH", _) if !collection => patch(state, wanted, route),
        ("DELETE", "") if collection => delete_all(state, wanted, route),
        ("DELETE", "") => delete(state, route, &wanted.body, wanted.get("gracePeriodSeconds").parse().ok()),
        _ => Err(refuse(405, "the server does not allow this method on the requested resource")),
    }
}

/// The object in the form that was asked for.
pub(super) fn shaped(wanted: &Wanted, code: u16, object: Value) -> Reply {
    Reply::Json(code, if wanted.metadata_only { partial(&object) } else { object })
}

pub(super) fn current(state: &State, route: &Route) -> Result<Value, Refused> {
    let found = state.store.get(&route.resource, &route.namespace, &route.name).cloned();
    found.ok_or_else(|| refuse(404, format!("{} \"{}\" not found", route.resource.plural, route.name)))
}

pub(super) fn spec(wanted: &Wanted, route: &Route) -> Result<WatchSpec, Refused> {
    let selectors = Selectors::parse(wanted.get("labelSelector"), wanted.get("fieldSelector"));
    Ok(WatchSpec {
        resource: route.resource.clone(),
        namespace: route.namespace.clone(),
        selectors: selectors.map_err(|message| refuse(400, message))?,
        metadata_only: wanted.metadata_only,
        mark_initial_end: wanted.get("sendInitialEvents") == "true",
    })
}

fn watch(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let spec = spec(wanted, route)?;
    let from = match wanted.get("resourceVersion") {
        "" | "0" => None,
        _ if spec.mark_initial_end => None,
        version => Some(version.parse().map_err(|_| refuse(400, "invalid resource version"))?),
    };
    Ok(Reply::Watch(state.store.watch(spec, from)))
}

fn list(state: &State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let spec = spec(wanted, route)?;
    let limit = wanted.get("limit").parse::<usize>().ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
    let (version, skip) = match wanted.get("continue").split_once('.') {
        None => (state.store.version(), 0),
        Some((version, skip)) => {
            let token = version.parse().ok().zip(skip.parse().ok());
            token.ok_or_else(|| refuse(400, "continue key is not valid"))?
        }
    };
    let selected: Vec<&Value> = state.store.list(&route.resource).filter(|o| spec.selects(o)).collect();
    let rest = selected.len().saturating_sub(skip).saturating_sub(limit);
    let page = selected.into_iter().skip(skip).take(limit);
    let items: Vec<Value> = page.map(|o| if wanted.metadata_only { partial(o) } else { item(o) }).collect();
    let mut meta = json!({"resourceVersion": version.to_string()});
    if rest > 0 {
        meta = json!({
            "resourceVersion": version.to_string(), "remainingItemCount": rest,
            "continue": format!("{version}.{}", skip + items.len()),
        });
    }
    let kind = state.store.kind(&route.resource).map_or("", |k| k.kind.as_str());
    let (api_version, kind) = if wanted.metadata_only {
        ("meta.k8s.io/v1", "PartialObjectMetadataList".to_owned())
    } else {
        (route.api_version.as_str(), format!("{kind}List"))
    };
    Ok(Reply::Json(200, json!({"kind": kind, "apiVersion": api_version, "metadata": meta, "items": items})))
}

/// Items of typed lists carry no `apiVersion` and `kind`.
fn item(object: &Value) -> Value {
    let mut object = object.clone();
    let map = map_of(&mut object);
    map.remove("apiVersion");
    map.remove("kind");
    object
}

fn post(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    if !wanted.body.is_object() {
        return Err(refuse(400, "the body is not a JSON object"));
    }
    let user = wanted.impersonated.as_deref();
    if let Some(review) = state.access.review(&route.resource.plural, wanted.body.clone(), user) {
        return Ok(Reply::Json(201, review));
    }
    create(state, route, wanted.body.clone()).map(|object| shaped(wanted, 201, object))
}

fn bind(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let mut pod = current(state, route)?;
    if !text(&pod, "/spec/nodeName").is_empty() {
        return Err(refuse(409, format!("pod {} is already assigned to a node", route.name)));
    }
    let node = text(&wanted.body, "/target/name").to_owned();
    map_of(map_of(&mut pod).entry("spec").or_insert(Value::Null)).insert("nodeName".to_owned(), json!(node));
    state.store.commit(&route.resource, &route.namespace, &route.name, pod);
    Ok(Reply::Json(201, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
}

/// TokenRequest of a ServiceAccount.
fn token(state: &State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let seconds = wanted.body.pointer("/spec/expirationSeconds").and_then(Value::as_u64).unwrap_or(3600);
    let mut reply = wanted.body.clone();
    let token = format!("token-of-{}-{}", route.namespace, route.name);
    let status = json!({"token": token, "expirationTimestamp": state.store.time(seconds)});
    map_of(&mut reply).insert("status".to_owned(), status);
    Ok(Reply::Json(201, reply))
}
