//! `/portForward`: what can be refused is refused as plain HTTP; then the connection is upgraded and the session runs as
//! a supervised task of the port.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::kubelet::negotiate::{Forwarding, negotiate_forwarding};
use crate::kubelet::portforward::{Forward, serve_channels, serve_streams, serve_tunnel};
use crate::kubelet::query::Query;
use crate::kubelet::reply::{Body, empty, not_offered, refused, text};
use crate::kubelet::routes::PodPath;
use crate::kubelet::server::Context;

/// Answers 101 and starts the session, or says why not.
pub(crate) async fn serve(
    context: &Arc<Context>,
    path: &PodPath,
    query: &Query,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let PodPath { namespace, pod, uid } = path;
    let pod = match context.backend.find_pod(namespace, pod, uid.as_deref()).await {
        Ok(pod) => pod,
        Err(not_found) => return text(StatusCode::NOT_FOUND, not_found.to_string()),
    };
    if !context.backend.capabilities().port_forward {
        return not_offered("port-forward", "nothing listens there");
    }
    let upgrade = match negotiate_forwarding(request.headers()) {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refused(refusal),
    };
    let ports = match upgrade.protocol {
        Forwarding::Channels(_) => ports(query),
        Forwarding::Streams | Forwarding::Tunnel => Ok(Vec::new()),
    };
    let ports = match ports {
        Ok(ports) => ports,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let (context_of_session, forwarding) = (Arc::clone(context), upgrade.protocol);
    context.sessions.spawn(async move {
        let context = context_of_session;
        match upgraded.await {
            Ok(io) => {
                let (backend, shutdown) = (context.backend.as_ref(), &context.shutdown);
                let forward = Forward { backend, pod: &pod, shutdown, idle: context.idle };
                session(&forward, TokioIo::new(io), forwarding, &ports).await;
            }
            Err(error) => tracing::debug!(%error, "the client left before its session began"),
        }
    });
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = upgrade.headers;
    response
}

async fn session(
    forward: &Forward<'_>,
    io: TokioIo<hyper::upgrade::Upgraded>,
    forwarding: Forwarding,
    ports: &[u16],
) {
    match forwarding {
        Forwarding::Streams => serve_streams(io, forward).await,
        Forwarding::Tunnel => serve_tunnel(io, forward).await,
        Forwarding::Channels(protocol) => serve_channels(io, forward, protocol, ports).await,
    }
}

/// Most channels that a byte can number: two per port.
const MOST: usize = 128;

/// The ports of a WebSocket session, repeated or with commas between.
fn ports(query: &Query) -> Result<Vec<u16>, String> {
    let named = ["port", "ports"].into_iter().flat_map(|name| query.all(name));
    let named: Vec<String> =
        named.flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
    let ports: Option<Vec<u16>> =
        named.iter().map(|port| port.trim().parse().ok().filter(|port| *port > 0)).collect();
    match ports {
        Some(ports) if ports.len() > MOST => Err(format!("at most {MOST} ports in one session")),
        Some(ports) if !ports.is_empty() => Ok(ports),
        _ => Err("query parameter \"port\" is required: numbers from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_a_query() {
        let cases = [
            ("port=80", Some(vec![80])),
            ("port=80&port=443", Some(vec![80, 443])),
            ("ports=80,443", Some(vec![80, 443])),
            ("", None),
            ("port=", None),
            ("port=0", None),
            ("port=65536", None),
            ("port=http", None),
        ];
        for (query, expected) in cases {
            assert_eq!(ports(&Query::parse(Some(query))).ok(), expected, "{query}");
        }
    }
}
