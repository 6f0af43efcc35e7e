//! Running a command for a client, or attaching it to a container's own process, whatever carries the bytes: `over_spdy` and `over_websocket` make [`Channels`],
//! [`run`] connects them with the backend.
//!
//! Order at the end, as older clients need it: all output, then the status, then the channels close, then the
//! connection. A client that goes away takes the command with it.

mod over_spdy;
pub(in crate::kubelet) mod over_websocket;
mod resize;
mod status;

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use over_spdy::serve as serve_spdy;
pub(crate) use over_websocket::serve as serve_websocket;
pub(crate) use status::StatusFormat;

use self::resize::Sizes;
use self::status::final_status;
use super::backend::{Backend, Target};
use super::channels::{ChannelWriter, DEPTH, Outgoing};
use crate::streams::{ExecClientEnd, ExecOutcome, ExecRequest, TerminalSize, exec_pair};

/// How long output may stay silent after the command ended before we stop waiting for its end.
const DRAIN: Duration = Duration::from_secs(2);

/// Most output that [`capture`] keeps.
const MAX_CAPTURE: usize = 1 << 20;

/// Whose input and output a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// A command that is started for it.
    Command,
    /// The container's own process.
    Container,
}

/// What one session needs to know.
pub(crate) struct Job<'a> {
    /// Where commands run.
    pub(crate) backend: &'a dyn Backend,
    /// In which container.
    pub(crate) target: &'a Target,
    /// What.
    pub(crate) request: &'a ExecRequest,
    pub(crate) process: Process,
    /// The port is closing.
    pub(crate) shutdown: &'a CancellationToken,
}

/// The channels of a session, as far as the client asked for them.
struct Channels {
    stdin: Option<mpsc::Receiver<Bytes>>,
    resize: Option<mpsc::Receiver<Bytes>>,
    stdout: Option<ChannelWriter>,
    stderr: Option<ChannelWriter>,
    error: ChannelWriter,
    status: StatusFormat,
    /// Cancelled when the client is gone.
    gone: CancellationToken,
}

/// Runs the command until it ends, the client goes away or the port closes.
async fn run(job: &Job<'_>, channels: Channels) {
    let Channels { stdin, resize, stdout, stderr, error, status, gone } = channels;
    let outcome = tokio::select! {
        outcome = command(job, stdin, resize, stdout.as_ref(), stderr.as_ref()) => outcome,
        () = gone.cancelled() => return,
        () = job.shutdown.cancelled() => closing(),
    };
    let end = async {
        if let Some(text) = final_status(status, &outcome) {
            error.write(text).await?;
        }
        error.close().await?;
        for output in [stdout, stderr].into_iter().flatten() {
            output.close().await?;
        }
        Ok::<(), super::channels::ClientGone>(())
    };
    if end.await.is_err() {
        tracing::debug!(pod = %job.target.pod.uid, ?outcome, "the client left before it heard how the command ended");
    }
}

/// Moves bytes until the command has ended and its output is through. Dropping the future drops every end of the
/// session, which stops the command.
async fn command(
    job: &Job<'_>,
    stdin: Option<mpsc::Receiver<Bytes>>,
    sizes: Option<mpsc::Receiver<Bytes>>,
    stdout: Option<&ChannelWriter>,
    stderr: Option<&ChannelWriter>,
) -> ExecOutcome {
    let (ours, theirs) = exec_pair(DEPTH);
    let ExecClientEnd {
        stdin: to_stdin,
        stdout: from_stdout,
        stderr: from_stderr,
        resize: to_resize,
        outcome,
    } = ours;
    let (refused, refusal) = oneshot::channel();
    let ended = CancellationToken::new();
    let exec = async {
        let session = match job.process {
            Process::Command => job.backend.exec(job.target, job.request, theirs),
            Process::Container => job.backend.attach(job.target, job.request, theirs),
        };
        match session.await {
            Ok(()) => drop(refused),
            // The receiver lives as long as this future.
            Err(error) => drop(refused.send(error.to_string())),
        }
    };
    let output = async {
        let end = async {
            let outcome = first_word(outcome, refusal).await;
            ended.cancel();
            outcome
        };
        tokio::join!(end, copy_out(from_stdout, stdout, &ended), copy_out(from_stderr, stderr, &ended)).0
    };
    let rest = async {
        tokio::join!(exec, copy_in(stdin, to_stdin), copy_sizes(sizes, to_resize));
        pending::<ExecOutcome>().await
    };
    tokio::select! {
        biased;
        outcome = output => outcome,
        never = rest => never,
    }
}

/// Runs the command without input and collects what it prints, both outputs together, up to 1 MiB.
pub(crate) async fn capture(job: &Job<'_>) -> (Vec<u8>, ExecOutcome) {
    let (queue, mut printed) = mpsc::channel(DEPTH);
    let writer = ChannelWriter::new(0, queue);
    let mut output = Vec::new();
    let collect = async {
        while let Some(item) = printed.recv().await {
            if let Outgoing::Data { payload, .. } = item {
                let room = MAX_CAPTURE - output.len();
                output.extend_from_slice(payload.get(..room).unwrap_or(&payload));
            }
        }
    };
    let run = async {
        let outcome = tokio::select! {
            outcome = command(job, None, None, Some(&writer), Some(&writer)) => outcome,
            () = job.shutdown.cancelled() => closing(),
        };
        drop(writer);
        outcome
    };
    let (outcome, ()) = tokio::join!(run, collect);
    (output, outcome)
}

fn closing() -> ExecOutcome {
    ExecOutcome::Failed("the virtual node's port is closing".to_owned())
}

async fn first_word(
    outcome: oneshot::Receiver<ExecOutcome>,
    refusal: oneshot::Receiver<String>,
) -> ExecOutcome {
    tokio::select! {
        biased;
        Ok(outcome) = outcome => outcome,
        Ok(why) = refusal => ExecOutcome::Failed(why),
        else => ExecOutcome::Failed("the connection to the cloud ended before the command did".to_owned()),
    }
}

async fn copy_out(mut from: mpsc::Receiver<Bytes>, to: Option<&ChannelWriter>, ended: &CancellationToken) {
    let silent = || async {
        ended.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = from.recv() => chunk,
            () = silent() => None,
        };
        let Some(chunk) = chunk else { return };
        let Some(to) = to else { continue };
        if to.write(chunk).await.is_err() {
            return;
        }
    }
}

async fn copy_in(from: Option<mpsc::Receiver<Bytes>>, to: mpsc::Sender<Bytes>) {
    let Some(mut from) = from else { return };
    while let Some(bytes) = from.recv().await {
        if to.send(bytes).await.is_err() {
            return;
        }
    }
}

async fn copy_sizes(from: Option<mpsc::Receiver<Bytes>>, to: mpsc::Sender<TerminalSize>) {
    let Some(mut from) = from else { return };
    let mut sizes = Sizes::default();
    while let Some(bytes) = from.recv().await {
        let Ok(complete) = sizes.push(&bytes) else {
            tracing::debug!("a client sent something else than a terminal size; resizing ends");
            return;
        };
        for size in complete {
            if to.send(size).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
