//! SPDY/3.1 frames as values: "SPDY Protocol - Draft 3.1", section 2.2 and 2.6. Stateless but for a data frame that is
//! still arriving, whose payload is handed on in pieces instead of being collected.
//!
//! Header blocks stay compressed here (see `headers`): their context belongs to the connection.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest control frame that is read; header blocks of Kubernetes' clients stay below 200 bytes.
const MAX_CONTROL: usize = 32 * 1024;
/// Data frames are handed on, and written, in pieces of at most this size.
pub(crate) const MAX_PIECE: usize = 16 * 1024;
/// Bytes before every payload.
const HEAD: usize = 8;
const FIN: u8 = 0x01;

/// Why a stream is reset (RST_STREAM status codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetStatus {
    /// PROTOCOL_ERROR.
    ProtocolError = 1,
    /// REFUSED_STREAM.
    RefusedStream = 3,
    /// CANCEL.
    Cancel = 5,
}

/// Why a session ends (GOAWAY status codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoAwayStatus {
    /// OK.
    Ok = 0,
    /// PROTOCOL_ERROR.
    ProtocolError = 1,
}

/// A frame, or a piece of a data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The peer opens a stream.
    SynStream { stream: u32, fin: bool, block: Bytes },
    /// A stream is accepted.
    SynReply { stream: u32, fin: bool, block: Bytes },
    /// A stream is dead in both directions; `status` as on the wire.
    Reset { stream: u32, status: u32 },
    /// To be echoed when the id is the peer's.
    Ping { id: u32 },
    /// No new streams.
    GoAway { last_good: u32, status: u32 },
    /// More headers for a stream.
    Headers { stream: u32, fin: bool, block: Bytes },
    /// SETTINGS, WINDOW_UPDATE and unknown control frames: legal and without meaning here.
    Ignored,
    /// Payload; `fin` only with the last piece.
    Data { stream: u32, fin: bool, payload: Bytes },
}

/// Input that no SPDY peer sends; the connection has to end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not SPDY/3.
    #[error("control frame of version {0}, only 3 is spoken")]
    Version(u16),
    /// Control frame above the bound.
    #[error("control frame of {0} bytes is too long")]
    TooLong(usize),
    /// Length that does not fit the type.
    #[error("control frame of type {kind} with {length} bytes")]
    Length { kind: u16, length: usize },
    /// Data on stream 0.
    #[error("data on stream 0")]
    StreamZero,
}

/// A data frame whose payload is still arriving.
#[derive(Debug)]
struct Arriving {
    stream: u32,
    fin: bool,
    left: usize,
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder {
    arriving: Option<Arriving>,
}

impl FrameDecoder {
    /// Takes the next frame off `buffer`; `None` means that more bytes are needed.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let Some(arriving) = self.arriving.take() {
            return Ok(self.piece(arriving, buffer));
        }
        let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, flags, l0, l1, l2] = *head;
        let length = usize::try_from(u32::from_be_bytes([0, l0, l1, l2])).unwrap_or(usize::MAX);
        if a & 0x80 != 0 {
            let version = u16::from_be_bytes([a & 0x7f, b]);
            return control(version, u16::from_be_bytes([c, d]), flags, length, buffer);
        }
        let stream = u32::from_be_bytes([a, b, c, d]);
        if stream == 0 {
            return Err(FrameError::StreamZero);
        }
        buffer.advance(HEAD);
        Ok(self.piece(Arriving { stream, fin: flags & FIN != 0, left: length }, buffer))
    }

    fn piece(&mut self, arriving: Arriving, buffer: &mut BytesMut) -> Option<Frame> {
        let take = arriving.left.min(buffer.len()).min(MAX_PIECE);
        if take == 0 && arriving.left > 0 {
            self.arriving = Some(arriving);
            return None;
        }
        let Arriving { stream, fin, left } = arriving;
        let last = take == left;
        if !last {
            self.arriving = Some(Arriving { stream, fin, left: left - take });
        }
        Some(Frame::Data { stream, fin: fin && last, payload: buffer.split_to(take).freeze() })
    }
}

fn control(
    version: u16,
    kind: u16,
    flags: u8,
    length: usize,
    buffer: &mut BytesMut,
) -> Result<Option<Frame>, FrameError> {
    if version != 3 {
        return Err(FrameError::Version(version));
    }
    if length > MAX_CONTROL {
        return Err(FrameError::TooLong(length));
    }
    if buffer.len() < HEAD + length {
        return Ok(None);
    }
    buffer.advance(HEAD);
    let mut body = buffer.split_to(length).freeze();
    parse(kind, flags & FIN != 0, &mut body).map(Some).map_err(|_| FrameError::Length { kind, length })
}

fn parse(kind: u16, fin: bool, body: &mut Bytes) -> Result<Frame, bytes::TryGetError> {
    let frame = match kind {
        1 => {
            let stream = id(body)?;
            let (_associated, _priority_and_slot) = (body.try_get_u32()?, body.try_get_u16()?);
            Frame::SynStream { stream, fin, block: body.split_off(0) }
        }
        2 => Frame::SynReply { stream: id(body)?, fin, block: body.split_off(0) },
        3 => Frame::Reset { stream: id(body)?, status: body.try_get_u32()? },
        6 => Frame::Ping { id: body.try_get_u32()? },
        7 => Frame::GoAway { last_good: id(body)?, status: body.try_get_u32()? },
        8 => Frame::Headers { stream: id(body)?, fin, block: body.split_off(0) },
        _ => Frame::Ignored,
    };
    Ok(frame)
}

fn id(body: &mut Bytes) -> Result<u32, bytes::TryGetError> {
    Ok(body.try_get_u32()? & 0x7fff_ffff)
}

/// Appends a frame to `out`. Payloads and blocks are cut to what 24 bits of length can say.
pub(crate) fn encode(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::SynStream { stream, fin, block } => {
            head(out, 1, *fin, 10 + block.len());
            out.put_u32(*stream);
            out.put_bytes(0, 6);
            out.put_slice(block);
        }
        Frame::SynReply { stream, fin, block } => with_block(out, 2, *stream, *fin, block),
        Frame::Headers { stream, fin, block } => with_block(out, 8, *stream, *fin, block),
        Frame::Reset { stream, status } => pair(out, 3, *stream, *status),
        Frame::GoAway { last_good, status } => pair(out, 7, *last_good, *status),
        Frame::Ping { id } => {
            head(out, 6, false, 4);
            out.put_u32(*id);
        }
        Frame::Ignored => head(out, 10, false, 0),
        Frame::Data { stream, fin, payload } => {
            out.put_u32(*stream & 0x7fff_ffff);
            out.put_u8(if *fin { FIN } else { 0 });
            out.put_uint(length(payload.len()), 3);
            out.put_slice(payload);
        }
    }
}

fn with_block(out: &mut BytesMut, kind: u16, stream: u32, fin: bool, block: &Bytes) {
    head(out, kind, fin, 4 + block.len());
    out.put_u32(stream);
    out.put_slice(block);
}

fn pair(out: &mut BytesMut, kind: u16, first: u32, second: u32) {
    head(out, kind, false, 8);
    out.put_u32(first);
    out.put_u32(second);
}

fn head(out: &mut BytesMut, kind: u16, fin: bool, body: usize) {
    out.put_u16(0x8003);
    out.put_u16(kind);
    out.put_u8(if fin { FIN } else { 0 });
    out.put_uint(length(body), 3);
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).min(0xff_ffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(mut input: &[u8], step: usize) -> Result<Vec<Frame>, FrameError> {
        let (mut decoder, mut buffer, mut frames) = (FrameDecoder::default(), BytesMut::new(), Vec::new());
        while !input.is_empty() {
            let (now, later) = input.split_at(step.clamp(1, input.len()));
            buffer.put_slice(now);
            input = later;
            while let Some(frame) = decoder.next(&mut buffer)? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn golden_frames() {
        let block = Bytes::from_static(b"zz");
        let cases: [(&[u8], Frame); 8] = [
            (
                b"\x80\x03\x00\x01\x01\0\0\x0c\0\0\0\x03\0\0\0\0\0\0zz",
                Frame::SynStream { stream: 3, fin: true, block: block.clone() },
            ),
            (
                b"\x80\x03\x00\x02\0\0\0\x06\0\0\0\x03zz",
                Frame::SynReply { stream: 3, fin: false, block: block.clone() },
            ),
            (b"\x80\x03\x00\x03\0\0\0\x08\0\0\0\x05\0\0\0\x05", Frame::Reset { stream: 5, status: 5 }),
            (b"\x80\x03\x00\x06\0\0\0\x04\0\0\0\x07", Frame::Ping { id: 7 }),
            (b"\x80\x03\x00\x07\0\0\0\x08\0\0\0\x09\0\0\0\0", Frame::GoAway { last_good: 9, status: 0 }),
            (b"\x80\x03\x00\x08\0\0\0\x06\0\0\0\x03zz", Frame::Headers { stream: 3, fin: false, block }),
            (b"\0\0\0\x01\x01\0\0\0", Frame::Data { stream: 1, fin: true, payload: Bytes::new() }),
            (
                b"\0\0\0\x01\0\0\0\x02hi",
                Frame::Data { stream: 1, fin: false, payload: Bytes::from_static(b"hi") },
            ),
        ];
        for (wire, frame) in cases {
            let mut out = BytesMut::new();
            encode(&frame, &mut out);
            assert_eq!(&out[..], wire, "{frame:?}");
            assert_eq!(all(wire, wire.len()).unwrap(), [frame]);
        }
    }

    #[test]
    fn settings_and_window_updates_are_tolerated() {
        let settings = b"\x80\x03\x00\x04\0\0\0\x0c\0\0\0\x01\0\0\0\x04\0\0\0\x64";
        let window = b"\x80\x03\x00\x09\0\0\0\x08\0\0\0\x01\0\0\x10\0";
        assert_eq!(all(settings, 5).unwrap(), [Frame::Ignored]);
        assert_eq!(all(window, 5).unwrap(), [Frame::Ignored]);
    }

    #[test]
    fn impossible_input_is_refused() {
        let cases: [(&[u8], FrameError); 4] = [
            (b"\x80\x02\x00\x06\0\0\0\x04\0\0\0\x01", FrameError::Version(2)),
            (b"\x80\x03\x00\x01\0\xff\xff\xff", FrameError::TooLong(0xff_ffff)),
            (b"\x80\x03\x00\x06\0\0\0\x02\0\0", FrameError::Length { kind: 6, length: 2 }),
            (b"\0\0\0\0\0\0\0\x01x", FrameError::StreamZero),
        ];
        for (wire, error) in cases {
            assert_eq!(all(wire, wire.len()), Err(error));
        }
    }

    #[test]
    fn truncated_input_waits() {
        let mut wire = BytesMut::new();
        encode(&Frame::Reset { stream: 1, status: 1 }, &mut wire);
        for cut in 0..wire.len() {
            assert_eq!(all(&wire[..cut], 1).unwrap(), []);
        }
    }

    /// Joins the pieces of each data frame again.
    fn joined(frames: Vec<Frame>) -> Vec<(u32, bool, Vec<u8>)> {
        let mut out: Vec<(u32, bool, Vec<u8>)> = Vec::new();
        for frame in frames {
            let Frame::Data { stream, fin, payload } = frame else { continue };
            match out.last_mut() {
                Some(last) if last.0 == stream && !last.1 => {
                    last.1 = fin;
                    last.2.extend_from_slice(&payload);
                }
                _ => out.push((stream, fin, payload.to_vec())),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn data_survives_any_cutting(
            stream in 1_u32..0x7fff_ffff,
            payload in proptest::collection::vec(any::<u8>(), 0..40_000),
            step in 1_usize..30_000,
        ) {
            let mut wire = BytesMut::new();
            encode(&Frame::Data { stream, fin: true, payload: payload.clone().into() }, &mut wire);
            let frames = all(&wire, step).unwrap();
            let small = frames.iter().all(|f| matches!(f, Frame::Data { payload, .. } if payload.len() <= MAX_PIECE));
            prop_assert!(small);
            prop_assert_eq!(joined(frames), vec![(stream, true, payload)]);
        }

        #[test]
        fn control_frames_survive_any_cutting(
            stream in 1_u32..0x7fff_ffff, status in any::<u32>(), fin in any::<bool>(), step in 1_usize..40,
            block in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let block = Bytes::from(block);
            let frames = vec![
                Frame::SynStream { stream, fin, block: block.clone() },
                Frame::SynReply { stream, fin, block: block.clone() },
                Frame::Headers { stream, fin, block },
                Frame::Reset { stream, status },
                Frame::GoAway { last_good: stream, status },
                Frame::Ping { id: status },
            ];
            let mut wire = BytesMut::new();
            frames.iter().for_each(|frame| encode(frame, &mut wire));
            prop_assert_eq!(all(&wire, step).unwrap(), frames);
        }

        #[test]
        fn hostile_input_never_panics(wire in proptest::collection::vec(any::<u8>(), 0..400), step in 1_usize..50) {
            let _ = all(&wire, step);
        }
    }
}
