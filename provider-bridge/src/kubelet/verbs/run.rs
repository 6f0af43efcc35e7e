//! `/run`: one command, its output as the reply. Kept for callers of the old API; `/exec` is the real thing.

use hyper::{Response, StatusCode};

use crate::kubelet::backend::Target;
use crate::kubelet::query::Query;
use crate::kubelet::remotecommand::{Job, Process, capture};
use crate::kubelet::reply::{Body, full, text, typed};
use crate::kubelet::routes::ContainerPath;
use crate::kubelet::server::Context;
use crate::streams::{ExecOutcome, ExecRequest};

/// Runs `cmd`, which is split at blanks as the kubelet does, and answers 200 with its output or 500 with how it ended.
pub(crate) async fn serve(context: &Context, path: &ContainerPath, query: &Query) -> Response<Body> {
    let Some(cmd) = query.first("cmd").filter(|cmd| !cmd.is_empty()) else {
        return text(StatusCode::BAD_REQUEST, "you must specify cmd");
    };
    let ContainerPath { namespace, pod, uid, container } = path;
    match context.backend.find(namespace, pod, uid.as_deref(), container).await {
        Ok(target) => run(context, &target, cmd).await,
        Err(not_found) => text(StatusCode::NOT_FOUND, not_found.to_string()),
    }
}

async fn run(context: &Context, target: &Target, cmd: &str) -> Response<Body> {
    let command = cmd.split(' ').map(str::to_owned).collect();
    let request = ExecRequest { command, stdin: false, stdout: true, stderr: true, tty: false };
    let job = Job {
        backend: context.backend.as_ref(),
        target,
        request: &request,
        process: Process::Command,
        shutdown: &context.shutdown,
    };
    let (output, outcome) = capture(&job).await;
    let shown = String::from_utf8_lossy(&output);
    match outcome {
        ExecOutcome::Exited(0) => typed(StatusCode::OK, "text/plain", full(output)),
        ExecOutcome::Exited(code) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("command terminated with exit code {code}: {shown}"),
        ),
        ExecOutcome::Failed(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}: {shown}")),
    }
}
