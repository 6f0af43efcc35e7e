//! `/stats/summary` and `/metrics/resource`: what the node's pods use.

use hyper::{Response, StatusCode};

use crate::kubelet::backend::Backend;
use crate::kubelet::reply::{Body, full, not_offered, text, typed};
use crate::usage;

fn nothing() -> Response<Body> {
    not_offered("what pods use", "its cloud does not tell: look at the instances there")
}

/// The summary, as JSON.
pub(crate) async fn summary(backend: &dyn Backend) -> Response<Body> {
    if !backend.capabilities().usage {
        return nothing();
    }
    match backend.usage().await {
        Ok(answer) => match usage::summary(&answer.usage) {
            Ok(json) => typed(StatusCode::OK, "application/json", full(json)),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        // As the kubelet has it: of other codes kubectl does not show the words.
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Prometheus text; where the cloud does not answer, the page says only that.
pub(crate) async fn resource(backend: &dyn Backend) -> Response<Body> {
    if !backend.capabilities().usage {
        return nothing();
    }
    let page = match backend.usage().await {
        Ok(answer) => usage::resource_text(&answer),
        Err(error) => {
            tracing::debug!(%error, "what instances use");
            usage::resource_unknown()
        }
    };
    typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", full(page))
}
