//! One SPDY connection: a reading and a writing half that run side by side, control frames before data.
//!
//! The reader answers PING through a queue of its own, so a full data queue does not delay it. A stream whose consumer
//! is slow stops the reader when its backlog is full (SPDY's peer here has no other brake); meanwhile we send pings
//! ourselves, because a connection that is not read reveals its death only to a writer.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frames::{self, Frame, FrameDecoder, GoAwayStatus, MAX_PIECE, ResetStatus};
use super::headers::{HeaderDecoder, HeaderEncoder, Headers};
use super::streams::Streams;
use crate::kubelet::channels::{ChannelWriter, DEPTH, Outgoing};
use crate::kubelet::idle::Idle;

/// Control frames waiting to be written; a peer that sends more pings than it reads answers is not read any further.
const CONTROL_DEPTH: usize = 256;
/// How long the other half gets to finish when one has ended.
const LINGER: Duration = Duration::from_secs(5);
/// Interval of our own pings while the reader waits for a slow consumer.
const PROBE: Duration = Duration::from_secs(10);
/// Our ping id: even, because we are the server.
const PROBE_ID: u32 = 2;

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Streams open at a time.
    pub(crate) streams: usize,
    /// Time without any frame after which the connection is closed.
    pub(crate) idle: Duration,
}

/// A stream that the client opened; it has been accepted already.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Its number on the connection.
    pub(crate) id: u32,
    /// Its headers, names in lower case.
    pub(crate) headers: Headers,
    /// What the client sends; ends at half-close, reset or the end of the connection.
    pub(crate) incoming: mpsc::Receiver<Bytes>,
    /// Where to write to it.
    pub(crate) writer: ChannelWriter,
}

/// The handle of the code that uses the connection. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// Streams as the client opens them.
    pub(crate) streams: mpsc::Receiver<Stream>,
    /// Cancelled when the connection is over.
    pub(crate) gone: CancellationToken,
    queue: mpsc::Sender<Outgoing>,
}

impl Session {
    /// Closes the connection after everything queued before has been sent.
    pub(crate) async fn finish(self) {
        // An error means that the connection is closed already.
        let _ = self.queue.send(Outgoing::Finish).await;
    }
}

#[derive(Clone, Copy)]
enum Control {
    Accept(u32),
    Pong(u32),
    Probe,
    Reset(u32, ResetStatus),
    GoAway(GoAwayStatus),
}

/// What moves the bytes; has to be polled next to the code that uses the [`Session`].
pub(crate) struct Driver<T> {
    io: T,
    reader: Reader,
    writer: Writer,
}

/// Takes over a connection on which the upgrade to SPDY/3.1 has been answered.
pub(crate) fn open<T: AsyncRead + AsyncWrite>(io: T, limits: Limits) -> (Session, Driver<T>) {
    let streams = Arc::new(Streams::new(limits.streams));
    let idle = Arc::new(Idle::new(limits.idle));
    let gone = CancellationToken::new();
    let (queue, outgoing) = mpsc::channel(DEPTH);
    let (accepted, accept) = mpsc::channel(limits.streams);
    let (control, commands) = mpsc::channel(CONTROL_DEPTH);
    let reader = Reader {
        streams: Arc::clone(&streams),
        idle: Arc::clone(&idle),
        headers: HeaderDecoder::new(),
        control,
        accepted,
        queue: queue.downgrade(),
        going_away: false,
    };
    let writer = Writer { streams, idle, gone: gone.clone(), commands, outgoing };
    (Session { streams: accept, gone, queue }, Driver { io, reader, writer })
}

impl<T: AsyncRead + AsyncWrite> Driver<T> {
    /// Runs until the connection is closed by either side, broken, or idle for too long.
    pub(crate) async fn run(self) {
        let Self { io, reader, writer } = self;
        let (gone, idle) = (writer.gone.clone(), Arc::clone(&writer.idle));
        let _over = gone.clone().drop_guard();
        let (read, write) = tokio::io::split(io);
        let reading = reader.run(read);
        let writing = writer.run(write);
        tokio::pin!(reading, writing);
        let read_on = tokio::select! {
            () = &mut reading => false,
            () = &mut writing => true,
            () = idle.expired() => return,
        };
        gone.cancel();
        // What the peer still sends has to be read, or closing would reset the connection and lose our last words.
        let rest = async { if read_on { reading.await } else { writing.await } };
        if tokio::time::timeout(LINGER, rest).await.is_err() {
            tracing::debug!("SPDY connection closed without waiting for the peer any longer");
        }
    }
}

struct Reader {
    streams: Arc<Streams>,
    idle: Arc<Idle>,
    headers: HeaderDecoder,
    control: mpsc::Sender<Control>,
    accepted: mpsc::Sender<Stream>,
    queue: mpsc::WeakSender<Outgoing>,
    going_away: bool,
}

/// The connection cannot go on; the text is for the log.
struct Broken(String);

impl Reader {
    async fn run<R: AsyncRead + Unpin>(mut self, io: R) {
        if let Err(Broken(why)) = self.read(io).await {
            tracing::debug!(why, "SPDY connection ends");
            // The writer may be gone too; then there is nobody to tell.
            let _ = self.control.send(Control::GoAway(GoAwayStatus::ProtocolError)).await;
        }
    }

    async fn read<R: AsyncRead + Unpin>(&mut self, mut io: R) -> Result<(), Broken> {
        let mut decoder = FrameDecoder::default();
        let mut buffer = BytesMut::new();
        loop {
            while let Some(frame) = decoder.next(&mut buffer).map_err(|error| Broken(error.to_string()))? {
                self.handle(frame).await?;
            }
            buffer.reserve(MAX_PIECE);
            match io.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) => self.idle.touch(),
            }
        }
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), Broken> {
        match frame {
            Frame::SynStream { stream, fin, block } => {
                let headers = self.inflate(&block)?;
                self.accept(stream, fin, headers).await;
            }
            Frame::Data { stream, fin, payload } => {
                self.deliver(stream, payload).await;
                self.half_close(stream, fin);
            }
            Frame::Headers { stream, fin, block } | Frame::SynReply { stream, fin, block } => {
                self.inflate(&block)?;
                self.half_close(stream, fin);
            }
            Frame::Reset { stream, .. } => self.streams.forget(stream),
            Frame::Ping { id } if !id.is_multiple_of(2) => self.command(Control::Pong(id)).await,
            Frame::GoAway { .. } => self.going_away = true,
            Frame::Ping { .. } | Frame::Ignored => {}
        }
        Ok(())
    }

    fn inflate(&mut self, block: &[u8]) -> Result<Headers, Broken> {
        self.headers.decode(block).map_err(|error| Broken(error.to_string()))
    }

    fn half_close(&self, stream: u32, fin: bool) {
        if fin {
            self.streams.close_there(stream);
        }
    }

    async fn accept(&self, stream: u32, fin: bool, headers: Headers) {
        let Some(queue) = self.queue.upgrade().filter(|_| !self.going_away) else { return };
        let incoming = match self.streams.open(stream, fin) {
            Ok(incoming) => incoming,
            Err(status) => return self.command(Control::Reset(stream, status)).await,
        };
        // The reply is queued first, so it precedes whatever is written to the stream.
        self.command(Control::Accept(stream)).await;
        let opened = Stream { id: stream, headers, incoming, writer: ChannelWriter::new(stream, queue) };
        if self.accepted.send(opened).await.is_err() {
            self.streams.forget(stream);
            self.command(Control::Reset(stream, ResetStatus::Cancel)).await;
        }
    }

    async fn deliver(&self, stream: u32, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        let Some(inbound) = self.streams.inbound(stream) else { return };
        loop {
            tokio::select! {
                // An error means that nobody wants the bytes any more.
                place = inbound.reserve() => return place.map_or((), |place| place.send(payload)),
                () = tokio::time::sleep(PROBE) => self.command(Control::Probe).await,
            }
        }
    }

    async fn command(&self, control: Control) {
        // The writer has ended when this fails, and with it the connection.
        let _ = self.control.send(control).await;
    }
}

struct Writer {
    streams: Arc<Streams>,
    idle: Arc<Idle>,
    gone: CancellationToken,
    commands: mpsc::Receiver<Control>,
    outgoing: mpsc::Receiver<Outgoing>,
}

impl Writer {
    async fn run<W: AsyncWrite + Unpin>(mut self, mut io: W) {
        if let Err(error) = self.write(&mut io).await {
            tracing::debug!(%error, "SPDY connection cannot be written");
        }
        // Fails when the peer has closed first.
        let _ = io.shutdown().await;
    }

    async fn write<W: AsyncWrite + Unpin>(&mut self, io: &mut W) -> std::io::Result<()> {
        let mut headers = HeaderEncoder::new().map_err(std::io::Error::other)?;
        let mut out = BytesMut::new();
        loop {
            tokio::select! {
                biased;
                Some(control) = self.commands.recv() => self.control(&mut headers, control, &mut out)?,
                item = self.outgoing.recv() => match item {
                    Some(Outgoing::Data { channel, payload }) => {
                        self.data(io, &mut headers, channel, payload, &mut out).await?;
                    }
                    Some(Outgoing::Close { channel }) => self.close(channel, &mut out),
                    Some(Outgoing::Probe) => frames::encode(&Frame::Ping { id: PROBE_ID }, &mut out),
                    Some(Outgoing::Finish) | None => {
                        self.last_words(&mut out);
                        return self.flush(io, &mut out).await;
                    }
                },
            }
            self.flush(io, &mut out).await?;
        }
    }

    /// Long payloads go out in pieces, with waiting control frames between them.
    async fn data<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        headers: &mut HeaderEncoder,
        stream: u32,
        mut payload: Bytes,
        out: &mut BytesMut,
    ) -> std::io::Result<()> {
        while !payload.is_empty() && self.streams.writable(stream) {
            let piece = payload.split_to(payload.len().min(MAX_PIECE));
            frames::encode(&Frame::Data { stream, fin: false, payload: piece }, out);
            self.flush(io, out).await?;
            while let Ok(control) = self.commands.try_recv() {
                self.control(headers, control, out)?;
            }
        }
        Ok(())
    }

    fn control(
        &self,
        headers: &mut HeaderEncoder,
        control: Control,
        out: &mut BytesMut,
    ) -> std::io::Result<()> {
        let frame = match control {
            Control::Accept(stream) => {
                let block = headers.encode(&[]).map_err(std::io::Error::other)?;
                Frame::SynReply { stream, fin: false, block }
            }
            Control::Pong(id) => Frame::Ping { id },
            Control::Probe => Frame::Ping { id: PROBE_ID },
            Control::Reset(stream, status) => Frame::Reset { stream, status: status as u32 },
            Control::GoAway(status) => Frame::GoAway { last_good: 0, status: status as u32 },
        };
        frames::encode(&frame, out);
        Ok(())
    }

    fn close(&self, stream: u32, out: &mut BytesMut) {
        if self.streams.close_here(stream) {
            frames::encode(&Frame::Data { stream, fin: true, payload: Bytes::new() }, out);
        }
    }

    /// As the Go server does: streams that are still open are reset, then GOAWAY.
    fn last_words(&self, out: &mut BytesMut) {
        let (open, last_good) = self.streams.take_open();
        for stream in open {
            frames::encode(&Frame::Reset { stream, status: ResetStatus::Cancel as u32 }, out);
        }
        frames::encode(&Frame::GoAway { last_good, status: GoAwayStatus::Ok as u32 }, out);
    }

    async fn flush<W: AsyncWrite + Unpin>(&self, io: &mut W, out: &mut BytesMut) -> std::io::Result<()> {
        io.write_all(out).await?;
        out.clear();
        io.flush().await?;
        self.idle.touch();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
