//! Remote command over WebSocket: the first byte of a message is its channel (0 stdin, 1 stdout, 2 stderr, 3 error,
//! 4 resize; 255 closes the channel that follows, v5 only).
//!
//! Facts: `wsstream/conn.go` of k8s.io/streaming and `remotecommand/websocket.go` of k8s.io/cri-streaming. Pings of the
//! client are answered while stdin waits for a slow command, as long as the backlog lasts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Message, Role, WebSocketConfig, frame::coding::CloseCode,
};
use tokio_util::sync::CancellationToken;

use super::{Channels, Job, run};
use crate::kubelet::channels::{ChannelWriter, DEPTH, Outgoing};
use crate::kubelet::idle::Idle;
use crate::kubelet::negotiate::Protocol;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Longest message that is read; clients send tens of kilobytes.
pub(in crate::kubelet) const MAX_MESSAGE: usize = 4 << 20;
/// How long the peer gets to say goodbye.
const LINGER: Duration = Duration::from_secs(5);
/// Interval of our pings while the reader waits for a slow consumer.
const PROBE: Duration = Duration::from_secs(10);

pub(in crate::kubelet) type WsError = tokio_tungstenite::tungstenite::Error;

/// Serves one upgraded connection until it ends.
pub(crate) async fn serve<T>(io: T, job: &Job<'_>, protocol: Protocol, idle: Duration)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let (sink, source) = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await.split();
    let gone = CancellationToken::new();
    let (queue, outgoing) = mpsc::channel(DEPTH);
    let (stdin, from_stdin) = mpsc::channel(DEPTH);
    let (resize, from_resize) = mpsc::channel(DEPTH);
    let idle = Idle::new(idle);
    let reader = Reader { protocol, stdin: Some(stdin), resize: Some(resize), queue: queue.downgrade() };
    let channels = channels(job, protocol, &queue, from_stdin, from_resize, gone.clone());
    let work = async {
        let first = ChannelWriter::new(lowest_writable(job), queue.clone());
        // Tells the client that the session is open; an error shows as `gone`.
        let _ = first.write(Bytes::new()).await;
        run(job, channels).await;
        let _ = queue.send(Outgoing::Finish).await;
    };
    tokio::join!(drive(reader.run(source, &idle), write(sink, outgoing, protocol, &idle), &idle, gone), work);
}

/// Polls both directions; when one has ended the other gets a moment to finish.
pub(in crate::kubelet) async fn drive(
    reading: impl Future<Output = ()>,
    writing: impl Future<Output = ()>,
    idle: &Idle,
    gone: CancellationToken,
) {
    let _over = gone.clone().drop_guard();
    tokio::pin!(reading, writing);
    let read_on = tokio::select! {
        () = &mut reading => false,
        () = &mut writing => true,
        () = idle.expired() => return,
    };
    gone.cancel();
    let rest = async { if read_on { reading.await } else { writing.await } };
    if tokio::time::timeout(LINGER, rest).await.is_err() {
        tracing::debug!("WebSocket closed without waiting for the peer any longer");
    }
}

fn channels(
    job: &Job<'_>,
    protocol: Protocol,
    queue: &mpsc::Sender<Outgoing>,
    stdin: mpsc::Receiver<Bytes>,
    resize: mpsc::Receiver<Bytes>,
    gone: CancellationToken,
) -> Channels {
    let writer = |channel: u8| ChannelWriter::new(channel.into(), queue.clone());
    Channels {
        stdin: job.request.stdin.then_some(stdin),
        resize: job.request.tty.then_some(resize),
        stdout: job.request.stdout.then(|| writer(STDOUT)),
        stderr: job.request.stderr.then(|| writer(STDERR)),
        error: writer(ERROR),
        status: protocol.status(),
        gone,
    }
}

fn lowest_writable(job: &Job<'_>) -> u32 {
    let channel = match job.request {
        request if request.stdout => STDOUT,
        request if request.stderr => STDERR,
        _ => ERROR,
    };
    channel.into()
}

struct Reader {
    protocol: Protocol,
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: Option<mpsc::Sender<Bytes>>,
    queue: mpsc::WeakSender<Outgoing>,
}

impl Reader {
    async fn run(mut self, mut source: impl Stream<Item = Result<Message, WsError>> + Unpin, idle: &Idle) {
        while let Some(Ok(message)) = source.next().await {
            idle.touch();
            let payload = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            match decode(self.protocol, &payload) {
                Ok(Some(Incoming::Data(STDIN, data))) => self.deliver(self.stdin.as_ref(), data).await,
                Ok(Some(Incoming::Data(RESIZE, data))) => self.deliver(self.resize.as_ref(), data).await,
                Ok(Some(Incoming::Close(STDIN))) => self.stdin = None,
                Ok(Some(Incoming::Close(RESIZE))) => self.resize = None,
                Ok(_) => {}
                Err(Malformed) => return tracing::debug!("malformed message; the WebSocket is closed"),
            }
        }
    }

    async fn deliver(&self, to: Option<&mpsc::Sender<Bytes>>, data: Bytes) {
        let Some(to) = to.filter(|_| !data.is_empty()) else { return };
        loop {
            tokio::select! {
                // An error means that nobody wants the bytes.
                place = to.reserve() => return place.map_or((), |place| place.send(data)),
                () = tokio::time::sleep(PROBE) => {
                    let Some(queue) = self.queue.upgrade() else { return };
                    // Full means that the writer is at work and will notice by itself.
                    let _ = queue.try_send(Outgoing::Probe);
                }
            }
        }
    }
}

pub(in crate::kubelet) async fn write(
    mut sink: impl Sink<Message, Error = WsError> + Unpin,
    mut outgoing: mpsc::Receiver<Outgoing>,
    protocol: Protocol,
    idle: &Idle,
) {
    while let Some(item) = outgoing.recv().await {
        let message = match item {
            Outgoing::Data { channel, payload } => encode(protocol, channel, &payload),
            Outgoing::Probe => Message::Ping(Bytes::new()),
            // The server has no way to close one channel.
            Outgoing::Close { .. } => continue,
            Outgoing::Finish => break,
        };
        if sink.send(message).await.is_err() {
            return;
        }
        idle.touch();
    }
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // Fails when the peer has closed first.
    let _ = sink.send(Message::Close(Some(goodbye))).await;
}

/// A message of the client.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum Incoming {
    Data(u8, Bytes),
    Close(u8),
}

/// Not a message of the chosen protocol.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kubelet) struct Malformed;

/// Empty messages mean nothing; unknown channels are for the caller to ignore.
pub(in crate::kubelet) fn decode(protocol: Protocol, message: &Bytes) -> Result<Option<Incoming>, Malformed> {
    let Some((&channel, rest)) = message.split_first() else { return Ok(None) };
    if protocol.closes_channels() && channel == CLOSE {
        return match rest {
            [closed] if *closed <= RESIZE => Ok(Some(Incoming::Close(*closed))),
            _ => Err(Malformed),
        };
    }
    if !protocol.is_base64() {
        return Ok(Some(Incoming::Data(channel, message.slice(1..))));
    }
    let channel = channel.checked_sub(b'0').ok_or(Malformed)?;
    let data = STANDARD.decode(rest).map_err(|_| Malformed)?;
    Ok(Some(Incoming::Data(channel, data.into())))
}

fn encode(protocol: Protocol, channel: u32, payload: &Bytes) -> Message {
    if protocol.is_base64() {
        return Message::Text(format!("{channel}{}", STANDARD.encode(payload)).into());
    }
    let mut message = BytesMut::with_capacity(payload.len() + 1);
    message.put_u8(u8::try_from(channel).unwrap_or(ERROR));
    message.put_slice(payload);
    Message::Binary(message.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (Protocol, &'static [u8], Result<Option<Incoming>, Malformed>);

    #[test]
    fn messages_of_the_client() {
        use Protocol::{V1, V1Base64, V4, V4Base64, V5};
        let data =
            |channel, bytes: &'static [u8]| Ok(Some(Incoming::Data(channel, Bytes::from_static(bytes))));
        let cases: [Case; 11] = [
            (V5, b"", Ok(None)),
            (V5, b"\0hi", data(0, b"hi")),
            (V5, b"\x04{}", data(4, b"{}")),
            (V5, b"\xff\0", Ok(Some(Incoming::Close(0)))),
            (V5, b"\xff", Err(Malformed)),
            (V5, b"\xff\x09", Err(Malformed)),
            (V4, b"\xff\0", data(255, b"\0")),
            (V1, b"\0", data(0, b"")),
            (V4Base64, b"0aGk=", data(0, b"hi")),
            (V1Base64, b"0!", Err(Malformed)),
            (V4Base64, b"\0", Err(Malformed)),
        ];
        for (protocol, message, expected) in cases {
            assert_eq!(decode(protocol, &Bytes::from_static(message)), expected, "{protocol:?} {message:?}");
        }
    }

    #[test]
    fn messages_to_the_client() {
        let payload = Bytes::from_static(b"hi");
        assert_eq!(encode(Protocol::V5, 1, &payload), Message::Binary(Bytes::from_static(b"\x01hi")));
        assert_eq!(encode(Protocol::V4Base64, 2, &payload), Message::Text("2aGk=".into()));
    }
}
