//! Probes and metrics.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::App;
use crate::metrics::{gauges, leader};

/// `GET /healthz`, `GET /livez`: the process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body("ok\n")
}

/// `GET /readyz`: the cache is filled and fresh, and the process is not stopping.
pub(super) async fn ready(app: Data<App>) -> HttpResponse {
    match app.ready() {
        Ok(()) => HttpResponse::Ok().content_type(TEXT).body("ok\n"),
        Err(reason) => HttpResponse::ServiceUnavailable().content_type(TEXT).body(format!("{reason}\n")),
    }
}

/// `GET /metrics`: what was counted, and what the snapshot holds now.
pub(super) async fn metrics(app: Data<App>) -> HttpResponse {
    let mut text = app.metrics.render();
    gauges(&app.cluster.snapshot(), app.cluster.freshness(), &mut text);
    leader(&app.leader.load(), &mut text);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

const TEXT: &str = "text/plain; charset=utf-8";
