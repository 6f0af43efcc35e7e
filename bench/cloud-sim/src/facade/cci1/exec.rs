//! `…/exec` over WebSocket with Kubernetes' remote-command sub-protocols v4 and v5.
//!
//! The first byte of a message is its channel: 0 stdin, 1 stdout, 2 stderr, 3 the final status, 4 terminal sizes, and in
//! v5 `[255, channel]` closes a channel. The command is stopped when the client goes away.

use std::pin::pin;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::SplitStream;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::{Body, Call, Front, full};
use crate::core::kind::Kind;
use crate::core::store::Key;
use crate::error::ApiError;
use crate::runtime::{ExecSession, ExecSpec, Input, Output, TerminalSize};

/// An open session.
pub(in crate::facade) type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Answers an exec request with a switch of protocols; the session goes on behind it.
pub(super) async fn start(front: &Arc<Front>, mut call: Call, key: &Key) -> Result<Response<Body>, ApiError> {
    let upgrade = call.upgrade.take().filter(|_| is_websocket(&call.parts.headers));
    let upgrade = upgrade
        .ok_or_else(|| ApiError::bad_request("Upgrade request required: exec is spoken over WebSocket"))?;
    let client_key = call.parts.headers.get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let accept = client_key.ok_or_else(|| ApiError::bad_request("Sec-WebSocket-Key is required"))?;
    let protocol = negotiate(&call.parts.headers, &front.variants().exec_protocols)?;
    let session = open(front, &call, key).await?;
    let wants =
        Wants { stdout: call.flag("stdout"), stderr: call.flag("stderr"), v5: protocol.starts_with("v5") };
    front.cloud.spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            talk(socket, session, wants).await;
        }
    });
    Ok(switch(&accept, &protocol))
}

/// The answer that switches protocols; without a sub-protocol if that is empty.
pub(in crate::facade) fn switch(accept: &str, protocol: &str) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert("sec-websocket-accept", accept);
    }
    if let Ok(protocol) = HeaderValue::from_str(protocol)
        && !protocol.is_empty()
    {
        headers.insert("sec-websocket-protocol", protocol);
    }
    response
}

/// Whether a request asks for a WebSocket.
pub(in crate::facade) fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The client's first protocol that the server also speaks.
pub(in crate::facade) fn negotiate(headers: &HeaderMap, spoken: &[String]) -> Result<String, ApiError> {
    let offered = headers.get_all("sec-websocket-protocol").iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> = offered.flat_map(|value| value.split(',')).map(str::trim).collect();
    let chosen = offered.iter().find(|offered| spoken.iter().any(|spoken| spoken == *offered));
    let refused = || {
        let message =
            format!("unable to upgrade: no sub-protocol in common: offered {offered:?}, spoken {spoken:?}");
        ApiError::forbidden(message)
    };
    chosen.map(|chosen| (*chosen).to_owned()).ok_or_else(refused)
}

async fn open(front: &Front, call: &Call, key: &Key) -> Result<ExecSession, ApiError> {
    let stored =
        front.cloud.store.get(Kind::Pod, key).ok_or_else(|| ApiError::not_found("pods", &key.name))?;
    let instance = front.cloud.instance(&stored.uid).ok_or_else(|| ApiError::not_found("pods", &key.name))?;
    let container = match (call.param("container"), instance.plan.spec.containers.first()) {
        (Some(container), _) if !container.is_empty() => container.to_owned(),
        (_, Some(first)) => first.name.clone(),
        (_, None) => return Err(ApiError::bad_request("the pod has no container")),
    };
    if instance.plan.container(&container).is_none() {
        return Err(ApiError::bad_request(format!(
            "container {container} is not valid for pod {}",
            key.name
        )));
    }
    let command: Vec<String> =
        call.query.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    if command.is_empty() {
        return Err(ApiError::bad_request("you must specify at least 1 command for the container"));
    }
    if !["stdin", "stdout", "stderr"].iter().any(|stream| call.flag(stream)) {
        return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let waiting =
        || ApiError::bad_request(format!("container {container:?} in pod {:?} is not running", key.name));
    let sandbox = instance.sandbox.get().ok_or_else(waiting)?;
    let runs = running(&stored.value(), &container);
    if !runs {
        return Err(waiting());
    }
    let spec = ExecSpec { command, stdin: call.flag("stdin"), tty: call.flag("tty") };
    let failed = |message| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message).code("CCI.01.500101")
    };
    sandbox.exec(&container, &spec).await.map_err(failed)
}

fn running(pod: &Value, container: &str) -> bool {
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let all = lists.iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array)).flatten();
    let mut named = all.filter(|status| status.get("name").and_then(Value::as_str) == Some(container));
    named.any(|status| status.pointer("/state/running").is_some())
}

/// What the client wants of the session.
#[derive(Clone, Copy)]
pub(in crate::facade) struct Wants {
    pub(in crate::facade) stdout: bool,
    pub(in crate::facade) stderr: bool,
    pub(in crate::facade) v5: bool,
}

/// Moves bytes both ways until the command ended or the client went away.
pub(in crate::facade) async fn talk(socket: Socket, session: ExecSession, wants: Wants) {
    let (mut sink, source) = socket.split();
    let (out, mut queue) = mpsc::channel::<Message>(16);
    let ExecSession { stdin, stdout, stderr, resize, outcome } = session;
    let client = client(source, stdin, resize, out.clone(), wants.v5);
    let server = async {
        // Streams that are not wanted are still read, so that the command does not block on them.
        let copies = async {
            tokio::join!(copy(stdout, STDOUT, &out, wants.stdout), copy(stderr, STDERR, &out, wants.stderr));
        };
        let (outcome, ()) = tokio::join!(outcome, copies);
        let _ = out.send(message(STATUS, status(outcome).to_string().as_bytes())).await;
        let _ = out.send(Message::Close(None)).await;
    };
    let writer = async {
        while let Some(message) = queue.recv().await {
            let close = message.is_close();
            if sink.send(message).await.is_err() || close {
                break;
            }
        }
        let _ = sink.close().await;
    };
    let (mut client, mut server, mut writer) = (pin!(client), pin!(server), pin!(writer));
    let mut done = false;
    loop {
        tokio::select! {
            // The client went away: dropping the rest kills the command.
            () = &mut client => return,
            () = &mut server, if !done => done = true,
            () = &mut writer => return,
        }
    }
}

async fn client(
    mut source: SplitStream<Socket>,
    mut stdin: Option<Input>,
    resize: Option<Box<dyn Fn(TerminalSize) + Send + Sync>>,
    out: mpsc::Sender<Message>,
    v5: bool,
) {
    while let Some(Ok(received)) = source.next().await {
        let bytes = match received {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            Message::Ping(bytes) => {
                let _ = out.try_send(Message::Pong(bytes));
                continue;
            }
            Message::Close(_) => return,
            _ => continue,
        };
        match bytes.split_first() {
            Some((&STDIN, typed)) => {
                if let Some(open) = &mut stdin
                    && (open.write_all(typed).await.is_err() || open.flush().await.is_err())
                {
                    stdin = None;
                }
            }
            Some((&RESIZE, size)) => {
                resize.iter().zip(terminal_size(size)).for_each(|(resize, size)| resize(size));
            }
            Some((&CLOSE, [STDIN])) if v5 => {
                if let Some(mut open) = stdin.take() {
                    let _ = open.shutdown().await;
                }
            }
            _ => {}
        }
    }
}

fn terminal_size(text: &[u8]) -> Option<TerminalSize> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let side = |name: &str| value.get(name).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    Some(TerminalSize { width: side("Width")?, height: side("Height")? })
}

async fn copy(stream: Option<Output>, channel: u8, out: &mpsc::Sender<Message>, wanted: bool) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0_u8; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let part = buffer.get(..read).unwrap_or_default();
        if wanted && out.send(message(channel, part)).await.is_err() {
            return;
        }
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut out = BytesMut::with_capacity(bytes.len() + 1);
    out.put_u8(channel);
    out.put_slice(bytes);
    Message::Binary(out.freeze())
}

/// The final status, as `metav1.Status`.
fn status(outcome: Result<i32, String>) -> Value {
    match outcome {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(message) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500,
        }),
    }
}
