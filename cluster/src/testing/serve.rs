//! What the API server does with each request, under the lock, on JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::State;
use super::meta::{failure, map_of, metadata, partial, reason_of, text};
use super::patch::{self, PatchKind};
use super::route::{Route, Target, target};
use super::select::Selectors;
use super::watchers::WatchSpec;

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

    fn get(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

/// The answer.
pub(super) enum Reply {
    Json(u16, Value),
    Watch(UnboundedReceiver<String>),
}

type Refused = Box<(u16, Value)>;

fn refuse(code: u16, message: impl AsRef<str>) -> Refused {
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
fn shaped(wanted: &Wanted, code: u16, object: Value) -> Reply {
    Reply::Json(code, if wanted.metadata_only { partial(&object) } else { object })
}

fn current(state: &State, route: &Route) -> Result<Value, Refused> {
    let found = state.store.get(&route.resource, &route.namespace, &route.name).cloned();
    found.ok_or_else(|| refuse(404, format!("{} \"{}\" not found", route.resource.plural, route.name)))
}

fn spec(wanted: &Wanted, route: &Route) -> Result<WatchSpec, Refused> {
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

fn create(state: &mut State, route: &Route, mut object: Value) -> Result<Value, Refused> {
    let given = text(&object, "/metadata/namespace");
    if !given.is_empty() && given != route.namespace {
        return Err(refuse(400, "the namespace of the object does not match the namespace of the request"));
    }
    let uid = state.store.new_uid();
    let mut name = text(&object, "/metadata/name").to_owned();
    if name.is_empty() {
        let prefix = text(&object, "/metadata/generateName");
        if prefix.is_empty() {
            return Err(refuse(422, "metadata.name: Required value: name or generateName is required"));
        }
        name = format!("{prefix}{}", uid.get(..8).unwrap_or_default());
    }
    if state.store.get(&route.resource, &route.namespace, &name).is_some() {
        let message = format!("{} \"{name}\" already exists", route.resource.plural);
        return Err(Box::new((409, failure(409, "AlreadyExists", &message))));
    }
    let kind = state.store.kind(&route.resource).map(|k| k.kind.clone());
    let now = state.store.time(0);
    let map = map_of(&mut object);
    map.insert("apiVersion".to_owned(), json!(route.api_version));
    if let Some(kind) = kind {
        map.insert("kind".to_owned(), json!(kind));
    }
    if route.resource.plural == "pods" {
        map.insert("status".to_owned(), json!({"phase": "Pending", "qosClass": "BestEffort"}));
    }
    let meta = metadata(&mut object);
    meta.insert("name".to_owned(), json!(name));
    if !route.namespace.is_empty() {
        meta.insert("namespace".to_owned(), json!(route.namespace));
    }
    meta.insert("uid".to_owned(), json!(uid));
    meta.insert("creationTimestamp".to_owned(), json!(now));
    if !route.resource.group.is_empty() {
        meta.insert("generation".to_owned(), json!(1));
    }
    Ok(state.store.commit(&route.resource, &route.namespace, &name, object))
}

fn replace(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let before = current(state, route)?;
    let uid = text(&wanted.body, "/metadata/uid");
    if !uid.is_empty() && uid != text(&before, "/metadata/uid") {
        return Err(precondition(route, uid, &before));
    }
    update(state, route, &before, wanted.body.clone()).map(|object| shaped(wanted, 200, object))
}

fn patch(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let kind = PatchKind::of(&wanted.content_type).ok_or_else(|| refuse(415, "unknown patch type"))?;
    if kind == PatchKind::Apply && state.store.get(&route.resource, &route.namespace, &route.name).is_none() {
        let mut object = wanted.body.clone();
        metadata(&mut object).insert("name".to_owned(), json!(route.name));
        return create(state, route, object).map(|object| shaped(wanted, 201, object));
    }
    let before = current(state, route)?;
    let mut object = before.clone();
    patch::apply(kind, &mut object, &wanted.body).map_err(|message| refuse(422, message))?;
    if text(&object, "/metadata/uid") != text(&before, "/metadata/uid") {
        // The real server validates the UID of a patched object as an immutable field.
        let what = format!("{} \"{}\" is invalid: metadata.uid", route.resource.plural, route.name);
        return Err(refuse(422, format!("{what}: Invalid value: field is immutable")));
    }
    update(state, route, &before, object).map(|object| shaped(wanted, 200, object))
}

/// Stores what an update may change of an object.
fn update(state: &mut State, route: &Route, before: &Value, mut object: Value) -> Result<Value, Refused> {
    let version = text(&object, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(before, "/metadata/resourceVersion") {
        let what = format!("Operation cannot be fulfilled on {} \"{}\"", route.resource.plural, route.name);
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        return Err(refuse(409, format!("{what}: {why}")));
    }
    keep_metadata(&mut object, before);
    let keep = |object: &mut Value, field: &str| match before.get(field) {
        Some(value) => drop(map_of(object).insert(field.to_owned(), value.clone())),
        None => drop(map_of(object).remove(field)),
    };
    keep(&mut object, "apiVersion");
    keep(&mut object, "kind");
    if route.subresource == "status" {
        let fields: Vec<String> = before.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        fields
            .iter()
            .filter(|f| !matches!(f.as_str(), "status" | "metadata"))
            .for_each(|f| keep(&mut object, f));
    } else if has_status(&route.resource.plural) {
        keep(&mut object, "status");
    }
    if object == *before {
        return Ok(object);
    }
    if object.get("spec") != before.get("spec")
        && let Some(generation) = before.pointer("/metadata/generation").and_then(Value::as_u64)
    {
        metadata(&mut object).insert("generation".to_owned(), json!(generation + 1));
    }
    if text(&object, "/metadata/deletionTimestamp") != "" && grace(&object) == 0 && !has_finalizers(&object) {
        state.store.remove(&route.resource, &route.namespace, &route.name);
        return Ok(object);
    }
    Ok(state.store.commit(&route.resource, &route.namespace, &route.name, object))
}

/// Metadata that only the server writes.
fn keep_metadata(object: &mut Value, before: &Value) {
    let fields = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generation",
    ];
    let meta = metadata(object);
    for field in fields {
        match before.pointer("/metadata").and_then(|m| m.get(field)) {
            Some(value) => drop(meta.insert(field.to_owned(), value.clone())),
            None => drop(meta.remove(field)),
        }
    }
}

/// Kinds whose status is a subresource.
fn has_status(plural: &str) -> bool {
    !matches!(plural, "configmaps" | "secrets" | "events" | "leases" | "serviceaccounts")
}

fn has_finalizers(object: &Value) -> bool {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty())
}

fn grace(object: &Value) -> u64 {
    object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(0)
}

fn precondition(route: &Route, uid: &str, before: &Value) -> Refused {
    let what = format!("Operation cannot be fulfilled on {} \"{}\"", route.resource.plural, route.name);
    let have = text(before, "/metadata/uid");
    refuse(
        409,
        format!("{what}: Precondition failed: UID in precondition: {uid}, UID in object meta: {have}"),
    )
}

fn delete_all(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let spec = spec(wanted, route)?;
    let selected = state.store.list(&route.resource).filter(|o| spec.selects(o));
    let found: Vec<(String, String)> = selected
        .map(|o| (text(o, "/metadata/namespace").to_owned(), text(o, "/metadata/name").to_owned()))
        .collect();
    for (namespace, name) in found {
        let route = Route { namespace, name, ..route.clone() };
        delete(state, &route, &wanted.body, wanted.get("gracePeriodSeconds").parse().ok())?;
    }
    Ok(Reply::Json(200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
}

/// Deletes as the API server does: a pod with a node stays, marked, until it is deleted with grace 0; an object with
/// finalizers stays until they are gone.
fn delete(state: &mut State, route: &Route, options: &Value, grace: Option<u64>) -> Result<Reply, Refused> {
    let before = current(state, route)?;
    check_preconditions(route, options, &before)?;
    let asked = options.get("gracePeriodSeconds").and_then(Value::as_u64).or(grace);
    let grace = if route.resource.plural == "pods" { pod_grace(&before, asked) } else { 0 };
    if grace == 0 && !has_finalizers(&before) {
        let last = state.store.remove(&route.resource, &route.namespace, &route.name);
        return Ok(Reply::Json(200, last.unwrap_or(before)));
    }
    let already = before.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
    if already.is_some_and(|already| already <= grace) {
        return Ok(Reply::Json(200, before));
    }
    let mut object = before;
    let at = state.store.time(grace);
    let meta = metadata(&mut object);
    meta.insert("deletionTimestamp".to_owned(), json!(at));
    meta.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
    Ok(Reply::Json(200, state.store.commit(&route.resource, &route.namespace, &route.name, object)))
}

fn check_preconditions(route: &Route, options: &Value, before: &Value) -> Result<(), Refused> {
    let uid = text(options, "/preconditions/uid");
    if !uid.is_empty() && uid != text(before, "/metadata/uid") {
        return Err(precondition(route, uid, before));
    }
    let version = text(options, "/preconditions/resourceVersion");
    if !version.is_empty() && version != text(before, "/metadata/resourceVersion") {
        return Err(refuse(409, "Precondition failed: ResourceVersion in precondition does not match"));
    }
    Ok(())
}

fn pod_grace(pod: &Value, asked: Option<u64>) -> u64 {
    if text(pod, "/spec/nodeName").is_empty() || matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
    {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
    asked.or(own).unwrap_or(30)
}

fn evict(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let options = wanted.body.get("deleteOptions").cloned().unwrap_or_default();
    let pod = Route { subresource: String::new(), ..route.clone() };
    delete(state, &pod, &options, None)?;
    Ok(Reply::Json(201, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
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
