//! The HTTP surface: which path is served on which listener, and the listeners themselves.
//!
//! Handlers here read a request, call pure code, and write the answer. No compression and no logging middleware: they
//! cost on 250 KB answers.

mod admission;
mod api;
mod body;
mod extender;
mod listen;
mod probes;

pub use body::Intake;
pub use listen::{Listeners, Running, serve};

use actix_web::web::{ServiceConfig, get, post};

/// Paths of the plain HTTP listener.
pub fn plain(config: &mut ServiceConfig) {
    verbs(config);
    config
        .route("/metrics", get().to(probes::metrics))
        .route("/healthz", get().to(probes::alive))
        .route("/livez", get().to(probes::alive))
        .route("/readyz", get().to(probes::ready))
        .route("/", get().to(api::index))
        .route("/page/app.css", get().to(api::style))
        .route("/page/app.js", get().to(api::script))
        .route("/api/capacity", get().to(api::capacity))
        .route("/api/decisions", get().to(api::decisions));
}

/// Paths of the HTTPS listener.
pub fn secure(config: &mut ServiceConfig) {
    verbs(config);
    config
        .route("/admission/pods", post().to(admission::pods))
        .route("/admission/workloads", post().to(admission::workloads))
        .route("/admission/resize", post().to(admission::resizes))
        .route("/readyz", get().to(probes::ready))
        .route("/healthz", get().to(probes::alive));
}

fn verbs(config: &mut ServiceConfig) {
    config
        .route("/v1/filter", post().to(extender::filter))
        .route("/v1/prioritize", post().to(extender::prioritize))
        .route("/v1/preempt", post().to(extender::preempt));
}
