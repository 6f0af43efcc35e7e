//! Commands in a container.
//!
//! Without input and terminal a command runs synchronously: the one way that the vendor specifies. Its answer says what
//! was printed and not how it ended, so a shell of the container says that behind a mark; where there is none, the
//! command runs without it. With input or a terminal it runs through the WebSocket that ECI names, whose frames are not
//! documented: numbered channels where the other side chooses that protocol, else the terminal's bytes as they are.

use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::header;
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use crate::cloud::encoding::hex;
use crate::cloud::kubelike::ExecSession;
use crate::cloud::{CloudError, Instance};
use crate::streams::{ExecOutcome, ExecProviderEnd, ExecRequest};

use super::action::{Action, Operation};
use super::answers;
use super::api::Api;
use super::client::{is_upgrade, transport};
use super::fault::Refusal;

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";
/// How long opening the WebSocket may take: its address lives 30 s.
const OPEN_WITHIN: Duration = Duration::from_secs(25);
/// Runs the words that follow and says behind a mark how they ended.
const WRAPPER: &str = r#"mark=$1; shift; "$@"; printf '\n%s:%d;' "$mark" $?"#;
/// Words that the wrapper takes of the 20 that ECI allows.
const WORDS_MAX: usize = 15;

type Socket = WebSocketStream<reqwest::Upgraded>;

/// An open session.
pub(super) enum Session {
    /// The command has run.
    Done { stdout: String, stderr: String, outcome: ExecOutcome },
    /// Numbered channels, as Kubernetes has them.
    Channels(Box<ExecSession>),
    /// Bytes as they are.
    Raw(Box<Socket>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Synchronous {
    sync_response: Option<String>,
}

/// Runs the command, or opens a session for it.
pub(super) async fn open(
    api: &Api,
    instance: &Instance,
    container: &str,
    request: &ExecRequest,
) -> Result<Session, CloudError> {
    if request.stdin || request.tty {
        return interactive(api, instance, container, request).await;
    }
    let mark = mark()?;
    if request.command.len() <= WORDS_MAX {
        let words = ["sh", "-c", WRAPPER, "sh", &mark].map(str::to_owned);
        let wrapped: Vec<String> = words.into_iter().chain(request.command.iter().cloned()).collect();
        match run(api, instance, container, &wrapped).await {
            Ok(text) => return Ok(judged(&text, &mark)),
            // Nothing ran: the container may have no shell.
            Err(Refusal::Cloud(CloudError::Invalid(_) | CloudError::Retryable(_))) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let stdout = run(api, instance, container, &request.command).await?;
    Ok(Session::Done { stdout, stderr: String::new(), outcome: ExecOutcome::Exited(0) })
}

async fn run(api: &Api, instance: &Instance, container: &str, command: &[String]) -> Result<String, Refusal> {
    let operation = Operation::new(Action::Exec, &instance.id);
    let parameters =
        parameters(instance, container, command, [("Stdin", false), ("TTY", false), ("Sync", true)]);
    let answer: Synchronous = api.client.call(&operation, parameters).await?;
    Ok(answer.sync_response.unwrap_or_default())
}

fn parameters(
    instance: &Instance,
    container: &str,
    command: &[String],
    flags: [(&str, bool); 3],
) -> Vec<(String, String)> {
    let own = [
        ("ContainerGroupId", instance.id.clone()),
        ("ContainerName", container.to_owned()),
        ("Command", json!(command).to_string()),
    ];
    let flags = flags.map(|(name, set)| (name, set.to_string()));
    own.into_iter().chain(flags).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn mark() -> Result<String, CloudError> {
    let mut bytes = [0; 12];
    rand::fill(&mut bytes).map_err(|_| CloudError::Retryable("no random numbers".into()))?;
    Ok(format!("burst-{}", hex(&bytes)))
}

/// What was printed and how it ended: what comes before the mark and what comes after it.
fn judged(text: &str, mark: &str) -> Session {
    let found = text.rsplit_once(&format!("\n{mark}:")).and_then(|(before, rest)| {
        let (code, after) = rest.split_once(';')?;
        Some((before, code.parse::<i32>().ok()?, after))
    });
    match found {
        Some((before, code, after)) => Session::Done {
            stdout: before.to_owned(),
            stderr: after.to_owned(),
            outcome: ExecOutcome::Exited(code),
        },
        None => Session::Done {
            stdout: text.to_owned(),
            stderr: String::new(),
            outcome: ExecOutcome::Failed("ECI did not say how the command ended".into()),
        },
    }
}

async fn interactive(
    api: &Api,
    instance: &Instance,
    container: &str,
    request: &ExecRequest,
) -> Result<Session, CloudError> {
    let operation = Operation::new(Action::Exec, &instance.id);
    let flags = [("Stdin", request.stdin), ("TTY", request.tty), ("Sync", false)];
    let parameters = parameters(instance, container, &request.command, flags);
    let answer: answers::Session = api.client.call(&operation, parameters).await?;
    let uri = answer.web_socket_uri;
    let url = uri
        .strip_prefix("ws")
        .map(|rest| format!("http{rest}"))
        .ok_or_else(|| CloudError::Retryable(format!("{operation}: the answer names no WebSocket")))?;
    let key = generate_key();
    let sent = api
        .client
        .http
        .get(url)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key.as_str())
        .header(header::SEC_WEBSOCKET_PROTOCOL, format!("{V5}, {V4}"))
        .send();
    let response = tokio::time::timeout(OPEN_WITHIN, sent)
        .await
        .map_err(|_| CloudError::Retryable(format!("{operation}: the WebSocket was not opened in time")))?
        .map_err(|error| CloudError::from(transport(&operation, error)))?;
    let shown = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if !is_upgrade(response.status())
        || shown(header::SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str())
    {
        let status = response.status().as_u16();
        return Err(CloudError::Retryable(format!(
            "{operation}: the WebSocket that ECI names cannot be opened (HTTP {status}); without -i and -t the command \
             runs without it"
        )));
    }
    let half_close = match shown(header::SEC_WEBSOCKET_PROTOCOL) {
        Some(V5) => Some(true),
        Some(V4) => Some(false),
        _ => None,
    };
    let upgraded =
        response.upgrade().await.map_err(|error| CloudError::from(transport(&operation, error)))?;
    let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    Ok(match half_close {
        Some(half_close) => Session::Channels(Box::new(ExecSession::over(socket, half_close))),
        None => Session::Raw(Box::new(socket)),
    })
}

impl Session {
    /// Moves bytes until the command ends or the client goes away.
    pub(super) async fn drive(self, streams: ExecProviderEnd) {
        match self {
            Self::Channels(session) => session.drive(streams).await,
            Self::Raw(socket) => raw(*socket, streams).await,
            Self::Done { stdout, stderr, outcome } => {
                let texts = [(&streams.stdout, stdout), (&streams.stderr, stderr)];
                for (to, text) in texts {
                    if !text.is_empty() && to.send(Bytes::from(text)).await.is_err() {
                        break;
                    }
                }
                let _ = streams.outcome.send(outcome);
            }
        }
    }
}

/// A terminal's bytes. How the command ended is not said: the end of the connection is its end.
async fn raw(socket: Socket, streams: ExecProviderEnd) {
    let ExecProviderEnd { mut stdin, stdout, stderr: _stderr, resize: _resize, outcome } = streams;
    let (mut sink, mut stream) = socket.split();
    let mut typing = true;
    let ended = loop {
        tokio::select! {
            typed = stdin.recv(), if typing => match typed {
                Some(bytes) => typing = sink.send(Message::Binary(bytes)).await.is_ok(),
                None => typing = false,
            },
            () = stdout.closed() => break None,
            message = stream.next() => match message {
                Some(Ok(Message::Binary(bytes))) => drop(stdout.send(bytes).await),
                Some(Ok(Message::Text(text))) => drop(stdout.send(Bytes::from(text)).await),
                Some(Ok(Message::Close(_))) | None => break Some(ExecOutcome::Exited(0)),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    break Some(ExecOutcome::Failed(format!("the connection to the container broke: {error}")));
                }
            },
        }
    };
    if let Some(ended) = ended {
        let _ = outcome.send(ended);
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), sink.close()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_parts_output_errors_and_the_exit_code() {
        let read = |text: &str| match judged(text, "m-1") {
            Session::Done { stdout, stderr, outcome } => (stdout, stderr, outcome),
            _ => panic!("not done"),
        };
        let done = |out: &str, err: &str, code| (out.to_owned(), err.to_owned(), ExecOutcome::Exited(code));
        assert_eq!(read("hi\n\nm-1:0;"), done("hi\n", "", 0));
        assert_eq!(read("\nm-1:42;no such file\n"), done("", "no such file\n", 42));
        assert_eq!(read("m-1:7;\nm-1:3;"), done("m-1:7;", "", 3));
        for broken in ["hi\n", "\nm-1:x;", "\nm-1:0"] {
            assert!(matches!(read(broken).2, ExecOutcome::Failed(_)), "{broken}");
        }
    }
}
