//! The address that ExecContainerCommand hands out: a WebSocket that is good for 30 seconds and one login.
//!
//! The vendor does not document its frames. Both readings are played: plain bytes both ways, and Kubernetes' channels
//! (sub-protocols v4 and v5) with an exit status at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{SinkExt, StreamExt};
use http::Response;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::cci1::exec::{Socket, Wants, is_websocket, negotiate, switch, talk};
use super::super::{Body, Call, Front};
use super::Eci;
use super::error::EciError;
use crate::core::instances::new_uid;
use crate::runtime::{ExecSession, ExecSpec, Output};

/// How long an address is good.
const GOOD: SignedDuration = SignedDuration::from_secs(30);

/// Which frames are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Frames {
    /// Bytes both ways.
    #[default]
    Raw,
    /// Kubernetes' channels.
    Channels,
}

/// A command that waits for its login.
struct Ticket {
    group: String,
    container: String,
    spec: ExecSpec,
    until: Timestamp,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<String, Ticket>>);

impl Tickets {
    /// A new one; its token.
    pub(super) fn issue(&self, group: &str, container: &str, spec: ExecSpec, now: Timestamp) -> String {
        let until = now.checked_add(GOOD).unwrap_or(Timestamp::MAX);
        let ticket = Ticket { group: group.to_owned(), container: container.to_owned(), spec, until };
        let token = new_uid();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, ticket| now < ticket.until);
        all.insert(token.clone(), ticket);
        token
    }

    fn take(&self, token: &str, now: Timestamp) -> Option<Ticket> {
        let ticket = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
        ticket.filter(|ticket| now < ticket.until)
    }
}

/// Whether a path is a terminal's.
pub(super) fn is_terminal(call: &Call) -> bool {
    matches!(call.parts.uri.path(), "/exec" | "/exec/")
}

/// Answers a login with a switch of protocols.
pub(super) async fn open(front: &Arc<Front>, eci: &Eci, mut call: Call) -> Result<Response<Body>, EciError> {
    let refused = |why: &str| EciError::new(403, "Forbidden", why);
    let upgrade = call.upgrade.take().filter(|_| is_websocket(&call.parts.headers));
    let upgrade = upgrade.ok_or_else(|| refused("a WebSocket is spoken here"))?;
    let key = call.header("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let accept = key.ok_or_else(|| refused("Sec-WebSocket-Key is missing"))?;
    let ticket = eci.tickets.take(call.param("s").unwrap_or_default(), front.cloud.clock.now());
    let ticket = ticket.ok_or_else(|| refused("the token is unknown, used or older than 30 seconds"))?;
    let frames = eci.variants().terminal_frames;
    let protocol = match frames {
        Frames::Raw => String::new(),
        Frames::Channels => negotiate(&call.parts.headers, &front.variants().exec_protocols)
            .map_err(|_| refused("no sub-protocol in common"))?,
    };
    let instance = front.cloud.instance(&ticket.group).ok_or_else(|| EciError::no_group(&ticket.group))?;
    let sandbox = instance.sandbox.get().ok_or_else(|| refused("the container does not run"))?;
    let session = sandbox.exec(&ticket.container, &ticket.spec).await.map_err(|why| refused(&why))?;
    let v5 = protocol.starts_with("v5");
    front.cloud.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        match frames {
            Frames::Raw => raw(socket, session).await,
            Frames::Channels => talk(socket, session, Wants { stdout: true, stderr: true, v5 }).await,
        }
    });
    Ok(switch(&accept, &protocol))
}

/// Bytes both ways until the command ended or the client went away.
async fn raw(socket: Socket, session: ExecSession) {
    let (mut sink, mut source) = socket.split();
    let (out, mut queue) = mpsc::channel::<Vec<u8>>(16);
    let ExecSession { mut stdin, stdout, stderr, outcome, .. } = session;
    let server = async move {
        let _ended = tokio::join!(copy(stdout, &out), copy(stderr, &out), outcome);
        drop(out);
    };
    let writer = async {
        while let Some(bytes) = queue.recv().await {
            if sink.send(Message::Binary(bytes.into())).await.is_err() {
                return;
            }
        }
        let _ = sink.send(Message::Close(None)).await;
        let _ = sink.close().await;
    };
    let client = async {
        while let Some(Ok(message)) = source.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Close(_) => return,
                _ => continue,
            };
            if let Some(open) = &mut stdin
                && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
            {
                stdin = None;
            }
        }
    };
    let finished = async { tokio::join!(server, writer) };
    tokio::select! {
        _ = finished => {}
        // The client went away: dropping the rest kills the command.
        () = client => {}
    }
}

async fn copy(stream: Option<Output>, out: &mpsc::Sender<Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0_u8; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if out.send(buffer.get(..read).unwrap_or_default().to_vec()).await.is_err() {
            return;
        }
    }
}
