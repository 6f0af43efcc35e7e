//! Deletion and eviction as the API server does them, on JSON.

use serde_json::{Value, json};

use super::State;
use super::meta::{metadata, text};
use super::route::Route;
use super::serve::{Refused, Reply, Wanted, current, refuse, spec};
use super::write::has_finalizers;

pub(super) fn delete_all(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
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
pub(super) fn delete(
    state: &mut State,
    route: &Route,
    options: &Value,
    grace: Option<u64>,
) -> Result<Reply, Refused> {
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
    let (uid, have) = (text(options, "/preconditions/uid"), text(before, "/metadata/uid"));
    if !uid.is_empty() && uid != have {
        let what = format!("Operation cannot be fulfilled on {} \"{}\"", route.resource.plural, route.name);
        let why = format!("the UID in the precondition ({uid}) does not match the UID in record ({have})");
        let hint = "The object might have been deleted and then recreated";
        return Err(refuse(409, format!("{what}: {why}. {hint}")));
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

pub(super) fn evict(state: &mut State, wanted: &Wanted, route: &Route) -> Result<Reply, Refused> {
    let options = wanted.body.get("deleteOptions").cloned().unwrap_or_default();
    let pod = Route { subresource: String::new(), ..route.clone() };
    if options.get("dryRun").is_some() {
        check_preconditions(&pod, &options, &current(state, &pod)?)?;
    } else {
        delete(state, &pod, &options, None)?;
    }
    Ok(Reply::Json(201, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
}
