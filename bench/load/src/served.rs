//! The API server in memory behind a socket, for real programs: plain JSON over HTTP/1.1.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use cluster::testing::FakeApi;
use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Is told of every request when it has arrived: method, path and body.
pub(crate) type Observer = Arc<dyn Fn(&str, &str, &[u8]) + Send + Sync>;

/// Serves it on a port of its own, as long as the program runs.
///
/// # Errors
/// When there is no port.
pub(crate) async fn serve(api: &FakeApi, observer: Observer) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = api.client();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, observer) = (client.clone(), Arc::clone(&observer));
            let service = service_fn(move |request: Request<Incoming>| {
                let (client, observer) = (client.clone(), Arc::clone(&observer));
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    observer(parts.method.as_str(), parts.uri.path(), &body);
                    anyhow::Ok(client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await?)
                }
            });
            // Small answers must not wait for each other.
            if stream.set_nodelay(true).is_ok() {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }
    });
    Ok(address)
}

/// A kubeconfig for it.
pub(crate) fn kubeconfig(api: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "memory",
        "clusters": [{"name": "memory", "cluster": {"server": format!("http://{api}")}}],
        "users": [{"name": "memory", "user": {"token": "anybody"}}],
        "contexts": [{"name": "memory", "context": {"cluster": "memory", "user": "memory"}}],
    })
}
