//! One request: who, may they, what.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::auth::{User, needed};
use super::query::Query;
use super::remotecommand::Process;
use super::reply::{Body, denied, full, method_not_allowed, text, typed};
use super::routes::Route;
use super::server::Context;
use super::verbs::{container_logs, exec, pods, port_forward, run, stats};

/// Answers; never fails. `certificate` is the user whom the TLS handshake has proved.
pub(crate) async fn handle(
    context: Arc<Context>,
    certificate: Arc<Option<User>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let route = Route::parse(request.uri().path());
    let method = request.method().clone();
    let response = match admit(&context, certificate.as_ref().as_ref(), &route, &request).await {
        Ok(user) => {
            if needed(&route, &method).iter().any(|access| access.verb == "create") {
                tracing::info!(
                    user = user.name,
                    path = request.uri().path(),
                    node = context.node,
                    "command requested"
                );
            }
            serve(&context, &route, request).await
        }
        Err(response) => response,
    };
    tracing::debug!(node = context.node, ?route, %method, status = response.status().as_u16(), "kubelet port");
    Ok(response)
}

async fn admit(
    context: &Context,
    certificate: Option<&User>,
    route: &Route,
    request: &Request<Incoming>,
) -> Result<User, Response<Body>> {
    let user = context.auth.authenticate(certificate, request.headers()).await.map_err(denied)?;
    let accesses = needed(route, request.method());
    context.auth.authorize(&user, &context.node, &accesses).await.map_err(denied)?;
    Ok(user)
}

async fn serve(context: &Arc<Context>, route: &Route, request: Request<Incoming>) -> Response<Body> {
    let allowed = methods(route);
    if !allowed.split(", ").any(|method| method == request.method().as_str()) {
        return method_not_allowed(allowed);
    }
    let query = Query::parse(request.uri().query());
    let backend = context.backend.as_ref();
    match route {
        Route::Healthz => text(StatusCode::OK, "ok"),
        Route::Pods => pods::list(backend.pods().await),
        Route::RunningPods => pods::list(backend.running_pods().await),
        Route::Configz => typed(StatusCode::OK, "application/json", full(backend.configz().to_string())),
        Route::Metrics => match backend.metrics() {
            Some(metrics) => typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", full(metrics)),
            None => text(StatusCode::NOT_FOUND, "this virtual node serves its metrics elsewhere"),
        },
        Route::ContainerLogs(path) => container_logs::serve(backend, path, &query).await,
        Route::Exec(path) => exec::serve(context, path, &query, request, Process::Command).await,
        Route::Attach(path) => exec::serve(context, path, &query, request, Process::Container).await,
        Route::PortForward(path) => port_forward::serve(context, path, &query, request).await,
        Route::Run(path) => run::serve(context, path, &query).await,
        Route::Summary => stats::summary(backend).await,
        Route::ResourceMetrics => stats::resource(backend).await,
        Route::OtherMetrics | Route::Stats | Route::NodeLogs | Route::MalformedCommand | Route::Unknown => {
            text(StatusCode::NOT_FOUND, "404 page not found\n")
        }
    }
}

fn methods(route: &Route) -> &'static str {
    match route {
        Route::Exec(_) | Route::Attach(_) | Route::PortForward(_) | Route::MalformedCommand => "GET, POST",
        Route::Run(_) => "POST",
        _ => "GET",
    }
}
