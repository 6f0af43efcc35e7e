//! What stands around the objects: the envelope of a body, and the frames of a watch.
//!
//! Facts: k8s.io/apimachinery, `runtime/serializer/protobuf` (`k8s\0` and a runtime.Unknown), `util/framer` (length in
//! 4 bytes, big endian) and `meta/v1` WatchEvent, whose object is an enveloped one again.

use super::wire::Fields;
use super::{Malformed, json, schema};

/// What every enveloped object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Longest frame of a watch, in bytes. etcd takes objects of 1.5 MiB.
const LONGEST: usize = 64 << 20;

/// Writes an enveloped object as JSON, with `kind` and `apiVersion`.
pub(super) fn document(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    let unknown = bytes.strip_prefix(MAGIC).ok_or(Malformed("the body does not begin as Kubernetes' do"))?;
    let (mut api_version, mut kind, mut raw): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let mut fields = Fields::of(unknown);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => (api_version, kind) = types(value.bytes()?)?,
            2 => raw = value.bytes()?,
            3 if !value.bytes()?.is_empty() => return Err(Malformed("an object is encoded once more")),
            _ => {}
        }
    }
    let known = std::str::from_utf8(kind).ok().filter(|_| api_version == b"v1").and_then(schema::of);
    let message = known.ok_or(Malformed("an object of a kind that was not asked for"))?;
    out.extend_from_slice(b"{\"kind\":");
    json::string(out, kind)?;
    out.extend_from_slice(b",\"apiVersion\":");
    json::string(out, api_version)?;
    json::members(out, message, raw)?;
    out.push(b'}');
    Ok(())
}

fn types(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut api_version, mut kind): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => api_version = value.bytes()?,
            2 => kind = value.bytes()?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

/// The part of a watch that was received and is not a whole frame yet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pending: Vec<u8>,
}

impl Frames {
    /// Takes what was received and writes the events that are whole, a line of JSON each.
    pub(super) fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.pending.extend_from_slice(data);
        let mut rest = self.pending.as_slice();
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > LONGEST {
                return Err(Malformed("a frame is longer than any object"));
            }
            let Some((frame, after)) = after.split_at_checked(length) else { break };
            event(out, frame)?;
            rest = after;
        }
        let used = self.pending.len() - rest.len();
        self.pending.drain(..used);
        Ok(())
    }

    /// Whether nothing is left of a frame.
    pub(super) const fn whole(&self) -> bool {
        self.pending.is_empty()
    }
}

fn event(out: &mut Vec<u8>, frame: &[u8]) -> Result<(), Malformed> {
    let (mut kind, mut object): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields::of(frame);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => kind = value.bytes()?,
            2 => object = extension(value.bytes()?)?,
            _ => {}
        }
    }
    out.extend_from_slice(b"{\"type\":");
    json::string(out, kind)?;
    out.extend_from_slice(b",\"object\":");
    document(out, object)?;
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// What a RawExtension holds.
fn extension(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let (mut raw, mut fields): (&[u8], _) = (&[], Fields::of(bytes));
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            raw = value.bytes()?;
        }
    }
    Ok(raw)
}
