//! The admission webhooks over HTTP.

use std::time::Instant;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::body::{self, BodyError};
use crate::admission::review::{self, Request, Verdict};
use crate::admission::{Around, LookupError, pod, resize, workload};
use crate::app::App;
use crate::metrics::Metric;

/// API objects end at 3 MiB; a review of an update holds two.
const LIMIT: usize = 16 << 20;

/// `POST /admission/pods`
pub(super) async fn pods(app: Data<App>, _: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, Hook::Pods, payload).await
}

/// `POST /admission/workloads`
pub(super) async fn workloads(app: Data<App>, _: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, Hook::Workloads, payload).await
}

/// `POST /admission/resize`
pub(super) async fn resizes(app: Data<App>, _: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, Hook::Resize, payload).await
}

#[derive(Clone, Copy)]
enum Hook {
    Pods,
    Workloads,
    Resize,
}

impl Hook {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Workloads => "workloads",
            Self::Resize => "resize",
        }
    }
}

async fn answer(app: &App, hook: Hook, payload: Payload) -> HttpResponse {
    let started = Instant::now();
    let (result, response) = match review(app, hook, payload).await {
        Ok((result, body)) => (result, HttpResponse::Ok().content_type("application/json").body(body)),
        Err((mut status, reason)) => {
            tracing::warn!(hook = hook.as_str(), reason, "no verdict: the webhook's failurePolicy decides");
            ("error", status.content_type("text/plain; charset=utf-8").body(reason))
        }
    };
    let hook = ("hook", hook.as_str());
    app.metrics.count(Metric::AdmissionRequests, [hook, ("result", result)]);
    app.metrics.observe(Metric::AdmissionDuration, [hook], started.elapsed().as_secs_f64());
    response
}

type Failure = (actix_web::HttpResponseBuilder, String);

async fn review(app: &App, hook: Hook, payload: Payload) -> Result<(&'static str, Vec<u8>), Failure> {
    let bad = |reason: String| (HttpResponse::BadRequest(), reason);
    let body = body::read(payload, None, LIMIT, &app.intake).await.map_err(|e| match e {
        BodyError::NoRoom { .. } => (HttpResponse::ServiceUnavailable(), e.to_string()),
        _ => bad(e.to_string()),
    })?;
    let request = review::parse(&body).map_err(|e| bad(e.to_string()))?;
    let verdict =
        judge(app, hook, &request).await.map_err(|e| (HttpResponse::ServiceUnavailable(), e.to_string()))?;
    let body = review::answer(&request.uid, &verdict)
        .map_err(|e| (HttpResponse::InternalServerError(), format!("burst: {e}")))?;
    Ok((verdict.as_str(), body))
}

async fn judge(app: &App, hook: Hook, request: &Request) -> Result<Verdict, LookupError> {
    let (snapshot, load) = app.picture();
    let around = Around::of(app, (&snapshot, load));
    match hook {
        Hook::Pods => pod(request, &around).await,
        Hook::Workloads => Ok(workload(request, &around).await),
        Hook::Resize => resize(request, &around).await,
    }
}
