//! What stands around the objects: the envelope of a body, and the frames of a watch.
//!
//! Facts: k8s.io/apimachinery, `runtime/serializer/protobuf` (`k8s\0` and a runtime.Unknown), `util/framer` (length in
//! 4 bytes, big endian) and `meta/v1` WatchEvent, whose object is an enveloped one again.

use super::wire::{Fields, Value};
use super::{Malformed, json, schema};

/// What every enveloped object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Longest frame of a watch, in bytes. etcd takes objects of 1.5 MiB.
const LONGEST: usize = 64 << 20;

/// Writes an enveloped object as JSON, with `kind` and `apiVersion`.
pub(super) fn document(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    let unknown = bytes.strip_prefix(MAGIC).ok_or(Malformed("the body does not begin as Kubernetes' do"))?;
    let [types, raw, encoding] = Fields::numbered(unknown)?;
    let [api_version, kind] = Fields::numbered(Value::bytes_of(types)?)?;
    let (api_version, kind) = (Value::bytes_of(api_version)?, Value::bytes_of(kind)?);
    if !Value::bytes_of(encoding)?.is_empty() {
        return Err(Malformed("an object is encoded once more"));
    }
    let known = std::str::from_utf8(kind).ok().filter(|_| api_version == b"v1").and_then(schema::of);
    let message = known.ok_or(Malformed("an object of a kind that was not asked for"))?;
    out.extend_from_slice(b"{\"kind\":");
    json::string(out, kind)?;
    out.extend_from_slice(b",\"apiVersion\":");
    json::string(out, api_version)?;
    json::members(out, message, Value::bytes_of(raw)?)?;
    out.push(b'}');
    Ok(())
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
    let [kind, extension] = Fields::numbered(frame)?;
    let [object] = Fields::numbered(Value::bytes_of(extension)?)?;
    out.extend_from_slice(b"{\"type\":");
    json::string(out, Value::bytes_of(kind)?)?;
    out.extend_from_slice(b",\"object\":");
    document(out, Value::bytes_of(object)?)?;
    out.extend_from_slice(b"}\n");
    Ok(())
}
