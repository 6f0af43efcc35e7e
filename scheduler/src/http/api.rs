//! The capacity page and the JSON behind it.

use actix_web::web::{Data, Query};
use actix_web::{HttpResponse, http::header};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::decisions::Decision;
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
    /// `namespace/name` of a pod.
    pod: Option<String>,
    /// `namespace/name` of a Deployment, for the pods of it.
    deploy: Option<String>,
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

/// `GET /api/decisions[?pod=namespace/name|?deploy=namespace/name][&limit=100]`: a JSON list of [`Decision`], newest
/// first; without a pod or a Deployment, about all.
pub(super) async fn decisions(app: Data<App>, question: Query<Question>) -> HttpResponse {
    let Question { pod, deploy, limit } = question.into_inner();
    let named = |text: Option<String>| match text {
        Some(text) => text.split_once('/').map(|(n, m)| Some((n.to_owned(), m.to_owned()))),
        None => Some(None),
    };
    let (Some(pod), Some(deploy)) = (named(pod), named(deploy)) else {
        let error = "pod and deploy take namespace/name, for example ?pod=shop/web-7f or ?deploy=shop/web";
        return HttpResponse::BadRequest().json(Refusal { error });
    };
    let deploy = deploy.map(|(namespace, name)| (namespace, format!("Deployment/{name}")));
    let about = |d: &Decision| {
        pod.as_ref().is_none_or(|(namespace, name)| d.namespace == *namespace && d.name == *name)
            && deploy.as_ref().is_none_or(|(namespace, workload)| {
                d.namespace == *namespace && d.workload.as_ref() == Some(workload)
            })
    };
    json(&app.decisions.newest(about, limit))
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
