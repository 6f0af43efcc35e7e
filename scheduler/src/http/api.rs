//! The capacity page and the JSON behind it.

use actix_web::web::{Data, Query};
use actix_web::{HttpResponse, http::header};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::page;

/// `GET /`
pub(super) async fn index() -> HttpResponse {
    asset("text/html; charset=utf-8", page::INDEX)
}

/// `GET /page/app.css`
pub(super) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", page::STYLE)
}

/// `GET /page/app.js`
pub(super) async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", page::SCRIPT)
}

/// `GET /api/capacity`, see [`page::Capacity`].
pub(super) async fn capacity(app: Data<App>) -> HttpResponse {
    json(&page::capacity(&app, jiff::Timestamp::now()))
}

/// What `/api/decisions` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// `namespace/name`; without it, all pods.
    pod: Option<String>,
    /// How many, newest first.
    #[serde(default = "hundred")]
    limit: usize,
}

const fn hundred() -> usize {
    100
}

#[derive(Serialize)]
struct Refusal<'r> {
    error: &'r str,
}

/// `GET /api/decisions[?pod=namespace/name][&limit=100]`: a JSON list of [`crate::decisions::Decision`].
pub(super) async fn decisions(app: Data<App>, question: Query<Question>) -> HttpResponse {
    let pod = match question.pod.as_deref().map(|pod| pod.split_once('/')) {
        Some(None) => {
            let error = "pod takes namespace/name, for example ?pod=shop/web-7f";
            return HttpResponse::BadRequest().json(Refusal { error });
        }
        Some(Some(pod)) => Some(pod),
        None => None,
    };
    json(&app.decisions.newest(pod, question.limit))
}

fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(value)
}

/// Everything comes from this process: nothing else may be loaded, and no other page may frame this one.
fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ))
        .body(text)
}
