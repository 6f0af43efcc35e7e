//! `/metrics`, `/healthz`, `/livez` and `/readyz` of the process, in plain HTTP on an address of its own.
//!
//! Nothing here changes anything or shows a pod, so it needs no authentication; it listens on loopback unless told
//! otherwise.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// A client gets so long to send its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What must hold before the process is ready; names are shown to people.
#[derive(Clone, Default)]
pub struct Readiness {
    parts: Vec<(String, Arc<dyn Fn() -> bool + Send + Sync>)>,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("missing", &self.missing()).finish_non_exhaustive()
    }
}

impl Readiness {
    /// Adds a part and how to ask whether it is ready.
    pub fn add(&mut self, name: String, ready: impl Fn() -> bool + Send + Sync + 'static) {
        self.parts.push((name, Arc::new(ready)));
    }

    /// The parts that are not ready.
    pub fn missing(&self) -> Vec<&str> {
        self.parts.iter().filter(|(_, ready)| !ready()).map(|(name, _)| name.as_str()).collect()
    }
}

/// Opens the listener, so that a port in use is known at start.
///
/// # Errors
/// What the system says about the address.
pub async fn listen(bind: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(bind).await
}

/// Serves until cancelled.
pub async fn serve(listener: &TcpListener, readiness: Readiness, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    let mut upkeep = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = upkeep.tick() => metrics::upkeep(),
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let readiness = readiness.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, readiness.clone()));
                    let mut server = hyper::server::conn::http1::Builder::new();
                    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                    // A client that goes away in the middle is its own business.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            },
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    readiness: Readiness,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = route(request.method(), request.uri().path(), &readiness);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    Ok(response)
}

fn route(method: &Method, path: &str, readiness: &Readiness) -> (StatusCode, String) {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n".to_owned());
    }
    match path {
        "/healthz" | "/livez" => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => {
            let missing = readiness.missing();
            if missing.is_empty() {
                (StatusCode::OK, "ok\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
            }
        }
        "/metrics" => (StatusCode::OK, metrics::render()),
        _ => (StatusCode::NOT_FOUND, "here are /metrics, /healthz, /livez and /readyz\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_part_is() {
        let (tx, rx) = tokio::sync::watch::channel(false);
        let mut readiness = Readiness::default();
        readiness.add("node burst-a".into(), move || *rx.borrow());
        let (status, body) = route(&Method::GET, "/readyz", &readiness);
        assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "not ready: node burst-a\n"));
        tx.send_replace(true);
        assert_eq!(route(&Method::GET, "/readyz", &readiness).0, StatusCode::OK);
    }

    #[test]
    fn alive_without_being_ready_and_nothing_else_is_served() {
        let readiness = Readiness::default();
        assert_eq!(route(&Method::GET, "/livez", &readiness).0, StatusCode::OK);
        assert_eq!(route(&Method::POST, "/metrics", &readiness).0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(route(&Method::GET, "/pods", &readiness).0, StatusCode::NOT_FOUND);
    }
}
