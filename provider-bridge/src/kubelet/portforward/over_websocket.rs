//! Two numbered channels per port (2n data, 2n+1 error) in the messages of a WebSocket; the first message of each is the
//! port, two bytes, little end first.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::{Ends, Forward, connection};
use crate::kubelet::channels::{ChannelWriter, DEPTH, Outgoing};
use crate::kubelet::idle::Idle;
use crate::kubelet::negotiate::Protocol;
use crate::kubelet::remotecommand::over_websocket::{Incoming, MAX_MESSAGE, WsError, decode, drive, write};

/// Serves one upgraded connection until it ends.
pub(crate) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    forward: &Forward<'_>,
    protocol: Protocol,
    ports: &[u16],
) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let (sink, source) = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await.split();
    let (gone, idle) = (CancellationToken::new(), Idle::new(forward.idle));
    let (queue, outgoing) = mpsc::channel(DEPTH);
    let (mut inputs, mut ends) = (Vec::new(), Vec::new());
    for (number, port) in (0_u32..).zip(ports) {
        let (input, incoming) = mpsc::channel(DEPTH);
        let writer = |channel: u32| ChannelWriter::new(2 * number + channel, queue.clone());
        inputs.push(Some(input));
        ends.push(Ends { port: *port, incoming, data: writer(0), error: writer(1) });
    }
    let work = async {
        let all = futures::future::join_all(ends.into_iter().map(|ends| announced(forward, ends)));
        tokio::select! {
            _ = all => {}
            () = gone.cancelled() => {}
            () = forward.shutdown.cancelled() => {}
        }
        // Fails when the connection is closed already.
        let _ = queue.send(Outgoing::Finish).await;
    };
    let moved = drive(
        read(source, protocol, inputs, &idle),
        write(sink, outgoing, protocol, &idle),
        &idle,
        gone.clone(),
    );
    tokio::join!(moved, work);
}

/// Tells the port on both channels, then serves the connection.
async fn announced(forward: &Forward<'_>, ends: Ends) {
    for writer in [&ends.data, &ends.error] {
        if writer.write(Bytes::copy_from_slice(&ends.port.to_le_bytes())).await.is_err() {
            return;
        }
    }
    connection(forward, ends).await;
}

async fn read(
    mut source: impl Stream<Item = Result<Message, WsError>> + Unpin,
    protocol: Protocol,
    mut inputs: Vec<Option<mpsc::Sender<Bytes>>>,
    idle: &Idle,
) {
    while let Some(Ok(message)) = source.next().await {
        idle.touch();
        let payload = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        let Ok(incoming) = decode(protocol, &payload) else {
            return tracing::debug!("malformed message; the WebSocket is closed");
        };
        let Some(Incoming::Data(channel, bytes)) = incoming else { continue };
        // Error channels are ours to write.
        let input = (channel % 2 == 0).then(|| inputs.get_mut(usize::from(channel / 2))).flatten();
        let Some(slot) = input else { continue };
        if let Some(input) = slot.as_ref().filter(|_| !bytes.is_empty())
            && input.send(bytes).await.is_err()
        {
            *slot = None;
        }
    }
}
