//! Commands in a container, and its own process, over the Kubernetes WebSocket protocol (`v5.channel.k8s.io`, else `v4`).
//!
//! Every message begins with a channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size, and in v5
//! 255 to close another channel. A slow reader stops the reading from the cloud. Facts: the kubelet's and the API
//! server's `remotecommand` packages.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::cloud::{CloudError, Instance};
use crate::streams::{ExecOutcome, ExecProviderEnd, ExecRequest, TerminalSize};

use super::api::Api;
use super::operation::Verb;
use super::socket::{self, Socket};

/// How long a session may take to say goodbye.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Keeps gateways and firewalls between us and the container from forgetting an idle session.
const PING_EVERY: Duration = Duration::from_secs(30);

/// An open session.
pub(in crate::cloud) struct Session {
    socket: Socket,
    /// The cloud speaks v5: standard input can be closed alone.
    half_close: bool,
}

/// Opens the session.
pub(in crate::cloud) async fn open(
    api: &Api,
    instance: &Instance,
    container: &str,
    request: &ExecRequest,
) -> Result<Session, CloudError> {
    connect(api, instance, container, request, (Verb::Exec, "/exec")).await
}

/// Opens a session with the container's own process.
pub(in crate::cloud) async fn attach(
    api: &Api,
    instance: &Instance,
    container: &str,
    request: &ExecRequest,
) -> Result<Session, CloudError> {
    connect(api, instance, container, request, (Verb::Attach, "/attach")).await
}

async fn connect(
    api: &Api,
    instance: &Instance,
    container: &str,
    request: &ExecRequest,
    (verb, subresource): (Verb, &str),
) -> Result<Session, CloudError> {
    let place = api.place(&instance.id);
    let query = query(container, request);
    let (socket, protocol) = socket::open(api, place, (verb, subresource), query, &[V5, V4]).await?;
    Ok(Session { socket, half_close: protocol == V5 })
}

/// The query, in the order in which the command must arrive.
fn query(container: &str, request: &ExecRequest) -> Vec<(&'static str, String)> {
    let command = request.command.iter().map(|word| ("command", word.clone()));
    let flags = [
        ("stdin", request.stdin),
        ("stdout", request.stdout),
        ("stderr", request.stderr && !request.tty),
        ("tty", request.tty),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, "true".to_owned()));
    command.chain([("container", container.to_owned())]).chain(flags).collect()
}

impl Session {
    /// A session over a socket that somebody else opened with one of the protocols; `half_close` for v5.
    pub(in crate::cloud) const fn over(socket: Socket, half_close: bool) -> Self {
        Self { socket, half_close }
    }

    /// Moves bytes until the command ends or the client goes away.
    pub(in crate::cloud) async fn drive(self, streams: ExecProviderEnd) {
        let ExecProviderEnd { stdin, stdout, stderr, resize, outcome } = streams;
        let (sink, stream) = self.socket.split();
        let client_gone = {
            let (stdout, stderr) = (stdout.clone(), stderr.clone());
            async move { tokio::join!(stdout.closed(), stderr.closed()) }
        };
        let mut writer = Writer { sink, half_close: self.half_close, pings: pings() };
        let result = {
            let reading = read(stream, stdout, stderr);
            let writing = writer.run(stdin, resize);
            tokio::pin!(reading, client_gone);
            tokio::select! {
                ended = &mut reading => Some(ended),
                _ = &mut client_gone => None,
                // Standard input that cannot be written any more does not end the command: its output may still come.
                () = writing => tokio::select! {
                    ended = &mut reading => Some(ended),
                    _ = &mut client_gone => None,
                },
            }
        };
        if let Some(ended) = result {
            let _ = outcome.send(ended);
        }
        // A peer that does not read must not hold the session: dropping the socket ends the command there as well.
        let _ = timeout(CLOSE_WITHIN, writer.sink.close()).await;
    }
}

fn pings() -> Interval {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// The direction to the cloud.
struct Writer {
    sink: SplitSink<Socket, Message>,
    half_close: bool,
    pings: Interval,
}

impl Writer {
    /// Sends input, sizes and pings; ends when the connection does.
    async fn run(&mut self, mut stdin: mpsc::Receiver<Bytes>, mut resize: mpsc::Receiver<TerminalSize>) {
        let (mut typing, mut sizing) = (true, true);
        loop {
            let message = tokio::select! {
                typed = stdin.recv(), if typing => match typed {
                    Some(bytes) => frame(STDIN, &bytes),
                    None => {
                        typing = false;
                        if !self.half_close {
                            continue;
                        }
                        frame(CLOSE, &[STDIN])
                    }
                },
                size = resize.recv(), if sizing => match size.map(|size| serde_json::to_vec(&size)) {
                    Some(Ok(json)) => frame(RESIZE, &json),
                    Some(Err(_)) => continue,
                    None => {
                        sizing = false;
                        continue;
                    }
                },
                _ = self.pings.tick() => Message::Ping(Bytes::new()),
            };
            if self.sink.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(channel);
    message.extend_from_slice(bytes);
    Message::Binary(message.freeze())
}

/// The direction from the cloud; returns how the command ended.
async fn read(
    mut stream: SplitStream<Socket>,
    stdout: mpsc::Sender<Bytes>,
    stderr: mpsc::Sender<Bytes>,
) -> ExecOutcome {
    while let Some(message) = stream.next().await {
        let payload = match message {
            Ok(Message::Binary(payload)) => payload,
            Ok(Message::Text(text)) => Bytes::from(text),
            Ok(Message::Close(_)) => break,
            Ok(_) => continue,
            Err(error) => {
                return ExecOutcome::Failed(format!("the connection to the container broke: {error}"));
            }
        };
        let Some((&channel, _)) = payload.split_first() else { continue };
        let bytes = payload.slice(1..);
        match channel {
            // The server opens with an empty message on each channel.
            _ if bytes.is_empty() => {}
            // A receiver that is gone wants no more of this channel; the other may.
            STDOUT => drop(stdout.send(bytes).await),
            STDERR => drop(stderr.send(bytes).await),
            STATUS => return outcome(&bytes),
            _ => {}
        }
    }
    ExecOutcome::Failed("the connection to the container ended before the command did".into())
}

#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Debug, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// What the final Status says.
fn outcome(status: &[u8]) -> ExecOutcome {
    let Ok(status) = serde_json::from_slice::<Status>(status) else {
        return ExecOutcome::Failed(String::from_utf8_lossy(status).into_owned());
    };
    if status.status == "Success" {
        return ExecOutcome::Exited(0);
    }
    let code = status.details.causes.iter().find(|cause| cause.reason == "ExitCode");
    match code.and_then(|cause| cause.message.parse().ok()) {
        Some(code) if status.reason == "NonZeroExitCode" => ExecOutcome::Exited(code),
        // Whoever passes it on says so again.
        _ => ExecOutcome::Failed(status.message.trim_start_matches("Internal error occurred: ").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_commands_end() {
        let exit = r#"{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated with exit code 42",
            "details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;
        let cases = [
            (r#"{"metadata":{},"status":"Success"}"#, ExecOutcome::Exited(0)),
            (exit, ExecOutcome::Exited(42)),
            (
                r#"{"status":"Failure","reason":"InternalError","message":"Internal error occurred: no such file"}"#,
                ExecOutcome::Failed("no such file".into()),
            ),
            ("plain text", ExecOutcome::Failed("plain text".into())),
        ];
        for (status, expected) in cases {
            assert_eq!(outcome(status.as_bytes()), expected, "{status}");
        }
    }

    #[test]
    fn the_command_keeps_its_order() {
        let request = ExecRequest {
            command: ["sh", "-c", "echo hi", ""].map(str::to_owned).to_vec(),
            stdin: true,
            stdout: true,
            stderr: true,
            tty: true,
        };
        let query = crate::cloud::encoding::wire_query(&query("app", &request));
        assert_eq!(
            query,
            "command=sh&command=-c&command=echo%20hi&command=&container=app&stdin=true&stdout=true&tty=true"
        );
    }
}
