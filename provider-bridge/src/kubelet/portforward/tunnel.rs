//! SPDY inside WebSocket messages (`SPDY/3.1+portforward.k8s.io`): binary messages carry the byte stream, however it is
//! cut.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::{Forward, over_spdy};
use crate::kubelet::remotecommand::over_websocket::MAX_MESSAGE;

/// Bytes between the tunnel and what runs in it.
const BUFFER: usize = 64 << 10;

/// Serves one upgraded connection until it ends.
pub(crate) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(io: T, forward: &Forward<'_>) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let (mut sink, mut source) =
        WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await.split();
    let (inside, outside) = tokio::io::duplex(BUFFER);
    let (mut from_inside, mut to_inside) = tokio::io::split(outside);
    let reading = async {
        while let Some(Ok(message)) = source.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => break,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if to_inside.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // What runs inside sees the end of the connection.
        let _ = to_inside.shutdown().await;
    };
    let writing = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(BUFFER);
            match from_inside.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let message: Bytes = buffer.split().freeze();
            if sink.send(Message::Binary(message)).await.is_err() {
                break;
            }
        }
        // Fails when the peer has closed first.
        let _ = sink.close().await;
    };
    let carried = async { tokio::join!(reading, writing) };
    tokio::select! {
        () = over_spdy::serve(inside, forward) => {}
        _ = carried => {}
    }
}
