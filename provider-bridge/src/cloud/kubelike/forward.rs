//! One connection to a port of a pod over WebSocket (`v4.channel.k8s.io`): channel 0 is the data, channel 1 says why it
//! ended; the first message of each is the port. Facts: the kubelet's `portforward` package.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{BufMut as _, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::cloud::{CloudError, Instance};

use super::api::Api;
use super::operation::Verb;
use super::socket::{self, Socket};

const V4: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
/// Bytes in flight per direction.
const BUFFER: usize = 64 << 10;

/// Opens the connection. The second value moves its bytes and ends with it.
pub(in crate::cloud) async fn open(
    api: &Api,
    instance: &Instance,
    port: u16,
) -> Result<(Forwarded, impl Future<Output = ()> + Send + use<>), CloudError> {
    let place = api.place(&instance.id);
    let query = vec![("ports", port.to_string())];
    let (socket, _) = socket::open(api, place, (Verb::PortForward, "/portforward"), query, &[V4]).await?;
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let failure = Arc::new(Mutex::new(None));
    Ok((Forwarded { io: ours, failure: Arc::clone(&failure) }, drive(socket, theirs, failure)))
}

/// The connection as its user sees it.
pub(in crate::cloud) struct Forwarded {
    io: DuplexStream,
    /// What the far end said went wrong.
    failure: Arc<Mutex<Option<String>>>,
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Ok(())))
            && buf.filled().len() == before
            && let Some(why) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            return Poll::Ready(Err(io::Error::other(why)));
        }
        polled
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Moves bytes until the pod's side ends or the user has gone. The protocol cannot half-close: the end of the user's
/// input is not told.
async fn drive(socket: Socket, io: DuplexStream, failure: Arc<Mutex<Option<String>>>) {
    let (mut sink, mut stream) = socket.split();
    let (mut from_user, mut to_user) = tokio::io::split(io);
    let reading = async {
        let mut announced = [false; 2];
        while let Some(Ok(message)) = stream.next().await {
            let payload = match message {
                Message::Binary(payload) => payload,
                Message::Close(_) => break,
                _ => continue,
            };
            let Some((&channel, bytes)) = payload.split_first() else { continue };
            let Some(announced) = announced.get_mut(usize::from(channel)) else { continue };
            if !std::mem::replace(announced, true) {
                continue;
            }
            if channel == DATA {
                if to_user.write_all(bytes).await.is_err() {
                    return;
                }
            } else if !bytes.is_empty() {
                let why = String::from_utf8_lossy(bytes).into_owned();
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                break;
            }
        }
        // The user may have gone already.
        let _ = to_user.shutdown().await;
    };
    let writing = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(BUFFER);
            buffer.put_u8(DATA);
            match from_user.read_buf(&mut buffer).await {
                Ok(1..) => {}
                // Answers may still come.
                Ok(0) | Err(_) => return std::future::pending().await,
            }
            if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
