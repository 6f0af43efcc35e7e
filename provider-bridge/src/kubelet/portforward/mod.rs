//! Connections from a client to ports of a pod, whatever carries them: `over_spdy` has two streams per connection,
//! directly or in a WebSocket tunnel, `over_websocket` two numbered channels per port.
//!
//! A connection that cannot be made, or breaks, ends alone, with a text on its error stream; the session goes on. Facts:
//! `portforward` of k8s.io/cri-streaming and of the kubelet.

mod over_spdy;
mod over_websocket;
mod tunnel;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use over_spdy::serve as serve_streams;
pub(crate) use over_websocket::serve as serve_channels;
pub(crate) use tunnel::serve as serve_tunnel;

use super::backend::Backend;
use super::channels::{ChannelWriter, ClientGone};
use crate::cloud::PodIdentity;

/// Bytes that are read from a pod at a time.
const PIECE: usize = 32 << 10;

/// What one session needs to know.
pub(crate) struct Forward<'a> {
    /// Where pods are.
    pub(crate) backend: &'a dyn Backend,
    /// Which pod.
    pub(crate) pod: &'a PodIdentity,
    /// The port is closing.
    pub(crate) shutdown: &'a CancellationToken,
    /// Time without any frame after which the session is closed.
    pub(crate) idle: Duration,
}

/// One connection of a client.
struct Ends {
    port: u16,
    /// What the client sends; ends when it sends no more.
    incoming: mpsc::Receiver<Bytes>,
    /// What the pod answers.
    data: ChannelWriter,
    /// Why it ended, if it had to.
    error: ChannelWriter,
}

/// Serves one connection until both directions have ended. Dropping the future closes the pod's side.
async fn connection(forward: &Forward<'_>, ends: Ends) {
    let Ends { port, incoming, data, error } = ends;
    if let Err(why) = copy(forward, port, incoming, &data).await {
        let pod = forward.pod;
        let text = format!(
            "error forwarding port {port} to pod {}/{}, uid {}: {why}",
            pod.namespace, pod.name, pod.uid
        );
        tracing::debug!(text, "a forwarded connection ended");
        // The client may be gone as well.
        let _ = error.write(text.into()).await;
    }
    for writer in [error, data] {
        let _ = writer.close().await;
    }
}

async fn copy(
    forward: &Forward<'_>,
    port: u16,
    mut incoming: mpsc::Receiver<Bytes>,
    data: &ChannelWriter,
) -> Result<(), String> {
    let connection = forward.backend.connect(forward.pod, port).await.map_err(|error| error.to_string())?;
    let (mut from_pod, mut to_pod) = tokio::io::split(connection);
    let there = async {
        while let Some(bytes) = incoming.recv().await {
            to_pod.write_all(&bytes).await.map_err(|error| error.to_string())?;
            to_pod.flush().await.map_err(|error| error.to_string())?;
        }
        // The pod may have closed its side first.
        let _ = to_pod.shutdown().await;
        Ok::<(), String>(())
    };
    let back = async {
        let mut buffer = BytesMut::with_capacity(PIECE);
        loop {
            buffer.reserve(PIECE);
            match from_pod.read_buf(&mut buffer).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
            if let Err(ClientGone) = data.write(buffer.split().freeze()).await {
                return Ok(());
            }
        }
        // An error means that the client is gone.
        let _ = data.close().await;
        Ok(())
    };
    tokio::try_join!(there, back).map(drop)
}
