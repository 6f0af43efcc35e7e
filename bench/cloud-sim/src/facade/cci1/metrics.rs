//! `metrics.k8s.io/v1beta1`: what the pods of a namespace use now. The published reference of CCI 2.0 does not list it;
//! by variant it is not there either.

use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::super::{Body, Call, Front, json as reply};
use super::list::selector;
use crate::core::clock::k8s_time;
use crate::core::kind::Kind;
use crate::core::store::Stored;
use crate::core::usage;
use crate::error::ApiError;

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/";
/// The path with names replaced, for counting and fault rules.
pub(crate) const TEMPLATE: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods";

/// The namespace that a path asks about.
pub(crate) fn namespace(path: &str) -> Option<String> {
    let name = path.strip_prefix(ROOT)?.strip_suffix("/pods")?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    (!name.is_empty() && !name.contains('/')).then(|| name.into_owned())
}

/// The list.
pub(crate) fn list(front: &Front, call: &Call, namespace: &str) -> Result<Response<Body>, ApiError> {
    if call.parts.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    if !front.variants().metrics {
        return Err(ApiError::no_route());
    }
    let selector = selector(call, Kind::Pod)?;
    let pods = front.cloud.store.list(Kind::Pod, Some(namespace)).items;
    let pods = pods.iter().filter(|stored| selector.matches(&stored.index));
    let items: Vec<Value> = pods.filter_map(|stored| item(front, stored)).collect();
    let list = json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items});
    Ok(reply(StatusCode::OK, list.to_string()))
}

/// A pod of which nothing runs has none.
fn item(front: &Front, stored: &Stored) -> Option<Value> {
    let now = front.cloud.clock.now();
    let used = usage::of(front.cloud.instance(&stored.uid)?.as_ref(), now);
    let containers: Vec<Value> = used
        .iter()
        .map(|one| {
            json!({"name": one.name, "usage": {
                "cpu": format!("{}n", one.nano_cores), "memory": format!("{}Ki", one.memory_bytes / 1024)}})
        })
        .collect();
    let labels = stored.value().pointer("/metadata/labels").cloned().unwrap_or_default();
    (!containers.is_empty()).then(|| {
        json!({
            "metadata": {"name": stored.key.name, "namespace": stored.key.namespace, "labels": labels,
                "creationTimestamp": k8s_time(now)},
            "timestamp": k8s_time(now), "window": "30s", "containers": containers,
        })
    })
}
