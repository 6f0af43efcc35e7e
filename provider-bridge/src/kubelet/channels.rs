//! What SPDY and WebSocket sessions have in common: numbered channels with bounded queues, so that a slow side slows
//! the other and nothing is dropped.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Chunks in flight per channel and direction.
pub(crate) const DEPTH: usize = 32;

/// The session ended: nobody reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client went away")]
pub(crate) struct ClientGone;

/// What a session's writer is asked to send, in this order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Bytes on a channel.
    Data {
        /// SPDY stream id or WebSocket channel number.
        channel: u32,
        /// The bytes.
        payload: Bytes,
    },
    /// No more bytes on a channel.
    Close {
        /// SPDY stream id or WebSocket channel number.
        channel: u32,
    },
    /// Find out whether the peer is still there.
    Probe,
    /// Everything is said: close the session in good order.
    Finish,
}

/// Writes to one channel of a session.
#[derive(Clone, Debug)]
pub(crate) struct ChannelWriter {
    channel: u32,
    queue: mpsc::Sender<Outgoing>,
}

impl ChannelWriter {
    /// A writer for `channel` over the session's queue.
    pub(crate) fn new(channel: u32, queue: mpsc::Sender<Outgoing>) -> Self {
        Self { channel, queue }
    }

    /// Queues bytes; waits while the client is slow.
    pub(crate) async fn write(&self, payload: Bytes) -> Result<(), ClientGone> {
        self.send(Outgoing::Data { channel: self.channel, payload }).await
    }

    /// Ends this direction of the channel.
    pub(crate) async fn close(&self) -> Result<(), ClientGone> {
        self.send(Outgoing::Close { channel: self.channel }).await
    }

    async fn send(&self, item: Outgoing) -> Result<(), ClientGone> {
        self.queue.send(item).await.map_err(|_| ClientGone)
    }
}
