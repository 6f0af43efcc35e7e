//! The two ends of a log, exec or attach session and a forwarded connection, between the kubelet port (which speaks SPDY and WebSocket to the API server)
//! and a provider (which speaks the cloud's protocol). Channels are bounded, so a slow reader slows the writer.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

/// What `/containerLogs` accepts (the API's PodLogOptions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Keep the stream open and send lines as they come.
    pub follow: bool,
    /// The log of the previous incarnation of the container.
    pub previous: bool,
    /// Prefix every line with its RFC 3339 time.
    pub timestamps: bool,
    /// Only the last lines; 0 is legal and means none.
    pub tail_lines: Option<u64>,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
    /// Only lines younger than so many seconds.
    pub since_seconds: Option<u64>,
    /// Only lines not older than this time, RFC 3339.
    pub since_time: Option<jiff::Timestamp>,
}

/// A connection to a port of an instance.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// What a client asked to run, or to be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRequest {
    /// Argument vector, kept exactly as sent; empty when the container's own process is meant (attach).
    pub command: Vec<String>,
    /// Standard input is wanted.
    pub stdin: bool,
    /// Standard output is wanted.
    pub stdout: bool,
    /// Standard error is wanted (never with `tty`).
    pub stderr: bool,
    /// Allocate a terminal.
    pub tty: bool,
}

/// Terminal size in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecOutcome {
    /// It exited with this code.
    Exited(i32),
    /// It could not be run or the connection to it broke; the text is for the user.
    Failed(String),
}

/// The side that the provider holds: it reads what the client typed and writes what the command printed.
///
/// Dropping `stdin`'s sender at the far end is half-close. The provider must stop the command when `stdout` and
/// `stderr` are both closed by the receiver (the client went away).
#[derive(Debug)]
pub struct ExecProviderEnd {
    /// Bytes typed; ends at half-close.
    pub stdin: mpsc::Receiver<Bytes>,
    /// Bytes printed to standard output (and everything under a terminal).
    pub stdout: mpsc::Sender<Bytes>,
    /// Bytes printed to standard error.
    pub stderr: mpsc::Sender<Bytes>,
    /// Terminal sizes, as they change.
    pub resize: mpsc::Receiver<TerminalSize>,
    /// Sent once, when the command ended.
    pub outcome: oneshot::Sender<ExecOutcome>,
}

/// The side that the kubelet port holds.
#[derive(Debug)]
pub struct ExecClientEnd {
    /// Bytes typed by the client; drop it for half-close.
    pub stdin: mpsc::Sender<Bytes>,
    /// Bytes printed.
    pub stdout: mpsc::Receiver<Bytes>,
    /// Bytes printed to standard error.
    pub stderr: mpsc::Receiver<Bytes>,
    /// Terminal sizes.
    pub resize: mpsc::Sender<TerminalSize>,
    /// Resolves when the command ended; an error means that the provider went away.
    pub outcome: oneshot::Receiver<ExecOutcome>,
}

/// Makes the two ends of one session; `depth` is the number of chunks in flight per direction.
pub fn exec_pair(depth: usize) -> (ExecClientEnd, ExecProviderEnd) {
    let (stdin_tx, stdin_rx) = mpsc::channel(depth);
    let (stdout_tx, stdout_rx) = mpsc::channel(depth);
    let (stderr_tx, stderr_rx) = mpsc::channel(depth);
    let (resize_tx, resize_rx) = mpsc::channel(depth);
    let (outcome_tx, outcome_rx) = oneshot::channel();
    (
        ExecClientEnd {
            stdin: stdin_tx,
            stdout: stdout_rx,
            stderr: stderr_rx,
            resize: resize_tx,
            outcome: outcome_rx,
        },
        ExecProviderEnd {
            stdin: stdin_rx,
            stdout: stdout_tx,
            stderr: stderr_tx,
            resize: resize_rx,
            outcome: outcome_tx,
        },
    )
}
