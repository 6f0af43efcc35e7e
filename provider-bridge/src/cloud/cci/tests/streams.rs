use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, TryStreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::*;
use crate::cloud::kubelike::testing::{Answer, status};
use crate::streams::{ExecClientEnd, ExecOutcome, TerminalSize, exec_pair};

type Far = WebSocketStream<TokioIo<Upgraded>>;

async fn instance(provider: &CciProvider) -> Instance {
    provider.create(&request("web", |_| ()), &Local::default()).await.unwrap()
}

fn command(words: &[&str]) -> ExecRequest {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    ExecRequest { command, stdin: true, stdout: true, stderr: true, tty: false }
}

/// An open session: what the client holds and what the cloud holds.
async fn session(server: &Server, provider: &CciProvider, protocol: &'static str) -> (ExecClientEnd, Far) {
    let instance = instance(provider).await;
    let (to, upgrade) = oneshot::channel::<OnUpgrade>();
    server.next(|seen| seen.path.ends_with("/exec"), Answer::Upgrade(protocol, to));
    let (client, streams) = exec_pair(2);
    provider.exec(&instance, "app", &command(&["sh", "-c", "echo hi"]), streams).await.unwrap();
    let upgraded = TokioIo::new(upgrade.await.unwrap().await.unwrap());
    (client, WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await)
}

async fn say(far: &mut Far, channel: u8, text: &str) {
    far.send(Message::Binary([&[channel], text.as_bytes()].concat().into())).await.unwrap();
}

/// The next message that is not a ping.
async fn hear(far: &mut Far) -> Option<Vec<u8>> {
    loop {
        match timeout(Duration::from_secs(20), far.next()).await.expect("a message in time")? {
            Ok(Message::Binary(bytes)) => return Some(bytes.to_vec()),
            Ok(Message::Ping(_)) => {}
            _ => return None,
        }
    }
}

const EXIT_42: &str = r#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;

#[tokio::test]
async fn a_command_runs_both_ways_and_ends_with_its_code() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (mut client, mut far) = session(&server, &provider, "v5.channel.k8s.io").await;
    let seen = server.seen().pop().unwrap();
    assert_eq!(
        seen.query,
        "command=sh&command=-c&command=echo%20hi&container=app&stdin=true&stdout=true&stderr=true"
    );
    assert_eq!(seen.headers["sec-websocket-protocol"], "v5.channel.k8s.io, v4.channel.k8s.io");
    assert!(seen.headers["authorization"].to_str().unwrap().contains("host;x-project-id;x-sdk-date"));
    say(&mut far, 1, "").await;
    say(&mut far, 1, "out").await;
    say(&mut far, 2, "err").await;
    assert_eq!(client.stdout.recv().await.unwrap(), "out");
    assert_eq!(client.stderr.recv().await.unwrap(), "err");
    client.stdin.send(Bytes::from_static(b"typed")).await.unwrap();
    assert_eq!(hear(&mut far).await.unwrap(), b"\0typed");
    client.resize.send(TerminalSize { width: 80, height: 24 }).await.unwrap();
    assert_eq!(hear(&mut far).await.unwrap(), b"\x04{\"Width\":80,\"Height\":24}");
    drop(client.stdin);
    assert_eq!(hear(&mut far).await.unwrap(), [255, 0]);
    say(&mut far, 1, "last").await;
    say(&mut far, 3, EXIT_42).await;
    assert_eq!(client.stdout.recv().await.unwrap(), "last");
    assert_eq!(client.outcome.await.unwrap(), ExecOutcome::Exited(42));
    assert_eq!(client.stdout.recv().await, None);
    assert_eq!(hear(&mut far).await, None);
}

#[tokio::test]
async fn version_4_cannot_close_input_alone() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (client, mut far) = session(&server, &provider, "v4.channel.k8s.io").await;
    drop(client.stdin);
    client.resize.send(TerminalSize { width: 1, height: 2 }).await.unwrap();
    assert_eq!(hear(&mut far).await.unwrap()[0], 4);
    say(&mut far, 3, r#"{"status":"Success"}"#).await;
    assert_eq!(client.outcome.await.unwrap(), ExecOutcome::Exited(0));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_command() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (client, mut far) = session(&server, &provider, "v5.channel.k8s.io").await;
    drop((client.stdout, client.stderr));
    assert_eq!(hear(&mut far).await, None);
    assert!(client.outcome.await.is_err());
}

#[tokio::test]
async fn a_slow_reader_slows_the_cloud_and_loses_nothing() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (mut client, mut far) = session(&server, &provider, "v5.channel.k8s.io").await;
    let chunk = "x".repeat(64 * 1024);
    let chunks = 200;
    let writer = tokio::spawn(async move {
        for _ in 0..chunks {
            say(&mut far, 1, &chunk).await;
        }
        say(&mut far, 3, r#"{"status":"Success"}"#).await;
        far
    });
    // Nobody reads: the writer gets stuck long before it is done, so memory stays bounded.
    tokio::task::yield_now().await;
    assert!(!writer.is_finished());
    let mut bytes = 0;
    while let Some(chunk) = client.stdout.recv().await {
        bytes += chunk.len();
    }
    assert_eq!(bytes, 64 * 1024 * chunks);
    assert_eq!(client.outcome.await.unwrap(), ExecOutcome::Exited(0));
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn a_connection_that_breaks_says_so() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (client, far) = session(&server, &provider, "v5.channel.k8s.io").await;
    drop(far);
    assert!(
        matches!(client.outcome.await.unwrap(), ExecOutcome::Failed(text) if text.contains("connection"))
    );
}

#[tokio::test]
async fn a_dropped_provider_ends_its_sessions() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (client, mut far) = session(&server, &provider, "v5.channel.k8s.io").await;
    drop(provider);
    assert!(client.outcome.await.is_err());
    assert_eq!(hear(&mut far).await, None);
}

#[tokio::test]
async fn an_exec_that_is_refused_is_typed() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = instance(&provider).await;
    let cases = [
        (Answer::Status(404, status(404, "NotFound")), "Gone"),
        (Answer::Status(400, status(400, "BadRequest")), "Invalid"),
        (Answer::Status(200, json!({})), "Retryable"),
        (Answer::Dropped, "Retryable"),
        (Answer::Upgrade("v9.channel.k8s.io", oneshot::channel().0), "Retryable"),
    ];
    for (answer, expected) in cases {
        server.next(|seen| seen.path.ends_with("/exec"), answer);
        let (_client, streams) = exec_pair(1);
        let error = provider.exec(&instance, "app", &command(&["true"]), streams).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
    }
}

#[tokio::test]
async fn logs_come_as_they_are_written() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = instance(&provider).await;
    let (lines, chunks) = mpsc::channel(4);
    server.next(|seen| seen.path.ends_with("/log"), Answer::Stream(chunks));
    let options = LogOptions { follow: true, tail_lines: Some(10), ..LogOptions::default() };
    let mut log = provider.logs(&instance, "app", &options).await.unwrap();
    assert_eq!(server.seen().pop().unwrap().query, "container=app&follow=true&tailLines=10");
    for text in ["one\n", "two\n"] {
        lines.send(text.into()).await.unwrap();
        assert_eq!(log.try_next().await.unwrap().unwrap(), text);
    }
    drop(lines);
    assert_eq!(log.try_next().await.unwrap(), None);
    server.next(|seen| seen.path.ends_with("/log"), Answer::Status(400, status(400, "BadRequest")));
    let error = provider.logs(&instance, "app", &options).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("said BadRequest"), "{error}");
}

#[tokio::test]
async fn a_follower_that_leaves_closes_the_log() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = instance(&provider).await;
    let (lines, chunks) = mpsc::channel(4);
    server.next(|seen| seen.path.ends_with("/log"), Answer::Stream(chunks));
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let log = provider.logs(&instance, "app", &options).await.unwrap();
    drop(log);
    timeout(Duration::from_secs(20), lines.closed()).await.expect("the connection is closed");
}
