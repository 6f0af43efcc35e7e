//! The extender verbs over HTTP: read the body, answer from one snapshot, count.
//!
//! Status 200 always (the scheduler throws away the body of any other), one buffer with Content-Length always (it
//! drops the connection of a chunked answer).

use std::time::Instant;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use cluster::Kept;

use super::body::{self, BodyError, LIMIT};
use crate::app::App;
use crate::metrics::{Call, Code, Mode, Verb};
use crate::verbs::{self, Answer, Stock, View};

/// `POST /v1/filter`
pub(super) async fn filter(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, Verb::Filter, &request, payload).await
}

/// `POST /v1/prioritize`
pub(super) async fn prioritize(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, Verb::Prioritize, &request, payload).await
}

/// `POST /v1/preempt`
pub(super) async fn preempt(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, Verb::Preempt, &request, payload).await
}

async fn answer(app: &App, verb: Verb, request: &HttpRequest, payload: Payload) -> HttpResponse {
    let _in_flight = app.metrics.in_flight();
    let declared =
        request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let body = body::read(payload, declared, LIMIT, &app.intake).await;
    let started = Instant::now();
    let (answer, bytes) = match body {
        Ok(body) => (decide(app, verb, &body), body.len()),
        Err(error) => (refuse(verb, &error), size(&error)),
    };
    let call = Call { took: started.elapsed(), bytes, nodes: answer.nodes };
    app.metrics.call(verb, answer.code, answer.mode, call);
    if let Some(reason) = &answer.error {
        tracing::debug!(verb = verb.as_str(), reason, "extender call failed");
    }
    HttpResponse::Ok().content_type("application/json").body(answer.body)
}

fn decide(app: &App, verb: Verb, body: &[u8]) -> Answer {
    if let Err(reason) = app.fresh() {
        return verbs::failed(verb, Code::NotReady, reason);
    }
    let (snapshot, load) = app.picture();
    let reports = app.reports.get().map(Kept::objects);
    let stock = reports.as_deref().map(Stock::as_of_now);
    verbs::answer(
        verb,
        body,
        View { snapshot: &snapshot, load, default_policy: app.settings.default_policy, stock },
    )
}

fn refuse(verb: Verb, error: &BodyError) -> Answer {
    let code = match error {
        BodyError::TooLarge { .. } => Code::TooLarge,
        BodyError::NoRoom { .. } => Code::NoRoom,
        BodyError::Slow(_) | BodyError::Broken(_) => Code::BadRequest,
    };
    let answer = verbs::failed(verb, code, error.to_string());
    Answer { mode: Mode::None, ..answer }
}

const fn size(error: &BodyError) -> usize {
    match error {
        BodyError::TooLarge { size, .. } | BodyError::NoRoom { size, .. } => *size,
        BodyError::Slow(_) | BodyError::Broken(_) => 0,
    }
}
