//! `/exec` and `/attach`: everything that can be refused is refused as plain HTTP; then the connection is upgraded and the session runs
//! as a supervised task of the port.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::kubelet::negotiate::{Carrier, Protocol, negotiate};
use crate::kubelet::query::Query;
use crate::kubelet::remotecommand::{Job, Process, serve_spdy, serve_websocket};
use crate::kubelet::reply::{Body, empty, not_offered, refused, text};
use crate::kubelet::routes::ContainerPath;
use crate::kubelet::server::Context;
use crate::streams::ExecRequest;

/// Answers 101 and starts the session, or says why not.
pub(crate) async fn serve(
    context: &Arc<Context>,
    path: &ContainerPath,
    query: &Query,
    mut request: Request<Incoming>,
    process: Process,
) -> Response<Body> {
    let command = match exec_request(query, process) {
        Ok(command) => command,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let ContainerPath { namespace, pod, uid, container } = path;
    let target = match context.backend.find(namespace, pod, uid.as_deref(), container).await {
        Ok(target) => target,
        Err(not_found) => return text(StatusCode::NOT_FOUND, not_found.to_string()),
    };
    let offered = context.backend.capabilities();
    match process {
        Process::Command if !offered.exec => return not_offered("exec", "use kubectl logs instead"),
        Process::Container if !(offered.attach || offered.logs) => {
            return not_offered("attach", "use kubectl exec instead");
        }
        _ => {}
    }
    let upgrade = match negotiate(request.headers()) {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refused(refusal),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let (context_of_session, carrier, protocol) = (Arc::clone(context), upgrade.carrier, upgrade.protocol);
    context.sessions.spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let job = Job {
                    backend: context_of_session.backend.as_ref(),
                    target: &target,
                    request: &command,
                    process,
                    shutdown: &context_of_session.shutdown,
                };
                session(&job, TokioIo::new(io), carrier, protocol, context_of_session.idle).await;
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
    job: &Job<'_>,
    io: TokioIo<hyper::upgrade::Upgraded>,
    carrier: Carrier,
    protocol: Protocol,
    idle: Duration,
) {
    match carrier {
        Carrier::Spdy => serve_spdy(io, job, protocol, idle).await,
        Carrier::WebSocket => serve_websocket(io, job, protocol, idle).await,
    }
}

/// A terminal has one output: standard error is dropped, as the kubelet does.
fn exec_request(query: &Query, process: Process) -> Result<ExecRequest, &'static str> {
    let tty = query.is_one("tty");
    let request = ExecRequest {
        command: if process == Process::Command { query.all("command") } else { Vec::new() },
        stdin: query.is_one("input"),
        stdout: query.is_one("output"),
        stderr: query.is_one("error") && !tty,
        tty,
    };
    if !(request.stdin || request.stdout || request.stderr) {
        return Err("you must specify at least 1 of stdin, stdout, stderr");
    }
    if request.command.is_empty() && process == Process::Command {
        return Err("you must specify at least 1 command argument");
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let request = |stdin, stdout, stderr, tty| ExecRequest {
            command: vec!["sh".into(), "".into(), "a b".into()],
            stdin,
            stdout,
            stderr,
            tty,
        };
        let cases = [
            ("command=sh&command=&command=a%20b&output=1&error=1", Some(request(false, true, true, false))),
            (
                "command=sh&command=&command=a+b&input=1&output=1&error=1&tty=1",
                Some(request(true, true, false, true)),
            ),
            ("command=sh", None),
            ("output=1", None),
            ("command=sh&output=true", None),
            ("command=sh&error=1&tty=1", None),
        ];
        for (query, expected) in cases {
            let got = exec_request(&Query::parse(Some(query)), Process::Command).ok();
            assert_eq!(got, expected, "{query}");
        }
        let attached = exec_request(&Query::parse(Some("command=sh&output=1")), Process::Container).unwrap();
        assert_eq!((attached.command, attached.stdout), (Vec::new(), true));
    }
}
