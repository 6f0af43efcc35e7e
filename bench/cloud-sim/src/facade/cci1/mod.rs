//! CCI 1.0 and 2.0: a Kubernetes-shaped REST API with namespaces, networks, pods and what pods refer to. The second
//! differs in paths, versions, sizes, networks and in what it leaves out of a spec.
//!
//! Facts: Huawei's CCI API reference (1.0 paths under `/api/v1` and `/apis/networking.cci.io/v1beta1`), its user guide
//! for sizes, and the Kubernetes API conventions for everything both leave open.

use std::sync::Arc;

use http::{Method, Response, StatusCode};

use super::faults::Injected;
use super::{Body, Call, Front, json};
use crate::core::kind::Kind;
use crate::core::store::{Key, Stored};
use crate::error::ApiError;
use route::{Route, Sub};

mod claims;
mod create;
mod delete;
pub(super) mod exec;
mod forge;
mod list;
mod logs;
mod merge;
pub(super) mod metrics;
mod namespaces;
mod networks;
mod patch;
pub(crate) mod route;
mod watch;

/// Answers a signed call.
pub(crate) async fn answer(
    front: &Arc<Front>,
    call: Call,
    route: &Route,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    if let Some(sub) = route.sub {
        return sub_resource(front, call, route, sub).await;
    }
    let Some(name) = &route.name else { return collection(front, &call, route, injected) };
    let key = Key::new(&route.namespace, name);
    match call.parts.method {
        Method::GET => get(front, route.kind, &key),
        Method::PUT | Method::PATCH => patch::change(front, &call, route.kind, &key),
        Method::DELETE => delete::one(front, &call, route.kind, &key, injected),
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn collection(
    front: &Arc<Front>,
    call: &Call,
    route: &Route,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    match call.parts.method {
        Method::POST if route.import => create::object(front, call, route, injected),
        _ if route.import => Err(ApiError::method_not_allowed()),
        Method::GET if call.flag("watch") => watch::start(front, call, route, injected),
        Method::GET => list::page(front, call, route, injected),
        Method::POST => create::object(front, call, route, injected),
        Method::DELETE if route.kind != Kind::Namespace => delete::collection(front, call, route, injected),
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn sub_resource(
    front: &Arc<Front>,
    call: Call,
    route: &Route,
    sub: Sub,
) -> Result<Response<Body>, ApiError> {
    let key = Key::new(&route.namespace, route.name.as_deref().unwrap_or_default());
    match (sub, &call.parts.method) {
        (Sub::Status, &Method::GET) => get(front, route.kind, &key),
        (Sub::Status, _) => Err(ApiError::forbidden("status is written by the cloud")),
        (Sub::Log, &Method::GET) => logs::read(front, &call, &key),
        (Sub::Exec, &Method::GET | &Method::POST) => exec::start(front, call, &key).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn get(front: &Front, kind: Kind, key: &Key) -> Result<Response<Body>, ApiError> {
    let found = front.cloud.store.get(kind, key);
    let found =
        found.ok_or_else(|| ApiError::not_found(kind.qualified(front.cloud.store.generation), &key.name))?;
    Ok(object(StatusCode::OK, kind, &found))
}

/// One object as an answer.
fn object(status: StatusCode, kind: Kind, stored: &Stored) -> Response<Body> {
    json(status, stored.standalone(kind))
}
