//! From a protobuf message to JSON text, by the tables of [`super::schema`], straight into a buffer.
//!
//! What Kubernetes' own JSON leaves out as empty is left out here too, except numbers and flags: they are written as they
//! come. A field that comes again after another one is refused; Go's encoder writes each at one place.

use std::io;

use super::Malformed;
use super::schema::{Field, Kind, Message, Shape};
use super::wire::{Fields, Value};

/// Writes `{…}`.
pub(super) fn object(out: &mut Vec<u8>, message: &Message, bytes: &[u8]) -> Result<(), Malformed> {
    out.push(b'{');
    members(out, message, bytes)?;
    out.push(b'}');
    Ok(())
}

/// Writes the members of an object that is open.
pub(super) fn members(out: &mut Vec<u8>, message: &Message, bytes: &[u8]) -> Result<(), Malformed> {
    let mut fields = Fields::of(bytes);
    let mut seen = 0_u64;
    let mut open: Option<&Field> = None;
    while let Some((number, value)) = fields.next()? {
        let known = message.0.iter().zip(0_u32..).find(|(field, _)| field.number == number);
        let Some((field, place)) = known else { continue };
        if open.is_some_and(|open| open.number == number) {
            item(out, field, value)?;
            continue;
        }
        if let Some(ended) = open.take() {
            out.push(ended.shape.brackets().1);
        }
        let mark = 1_u64.checked_shl(place).unwrap_or_default();
        if seen & mark != 0 {
            return Err(Malformed("a field comes at two places"));
        }
        seen |= mark;
        if field.shape == Shape::One {
            member(out, field, value)?;
        } else {
            key(out, field.name);
            out.push(field.shape.brackets().0);
            item(out, field, value)?;
            open = Some(field);
        }
    }
    if let Some(ended) = open {
        out.push(ended.shape.brackets().1);
    }
    for (field, place) in message.0.iter().zip(0_u32..) {
        if field.shape == Shape::Always && seen & 1_u64.checked_shl(place).unwrap_or_default() == 0 {
            key(out, field.name);
            out.extend_from_slice(b"[]");
        }
    }
    Ok(())
}

impl Shape {
    const fn brackets(self) -> (u8, u8) {
        match self {
            Self::List | Self::Always => (b'[', b']'),
            Self::One | Self::Map => (b'{', b'}'),
        }
    }
}

/// A field that comes once; nothing if it is an empty text or no time.
fn member(out: &mut Vec<u8>, field: &Field, value: Value<'_>) -> Result<(), Malformed> {
    match field.kind {
        Kind::Text | Kind::Time if value.bytes()?.is_empty() => Ok(()),
        Kind::Inline(message) => members(out, message, value.bytes()?),
        kind => {
            key(out, field.name);
            scalar(out, kind, value)
        }
    }
}

/// One of a list, or an entry of a map.
fn item(out: &mut Vec<u8>, field: &Field, value: Value<'_>) -> Result<(), Malformed> {
    separate(out);
    if field.shape != Shape::Map {
        return scalar(out, field.kind, value);
    }
    let [name, held] = Fields::numbered(value.bytes()?)?;
    string(out, Value::bytes_of(name)?)?;
    out.push(b':');
    scalar(out, field.kind, held.unwrap_or(Value::Bytes(&[])))
}

fn scalar(out: &mut Vec<u8>, kind: Kind, value: Value<'_>) -> Result<(), Malformed> {
    match kind {
        Kind::Text => string(out, value.bytes()?),
        Kind::Integer => write(out, &value.integer()?),
        Kind::Flag => write(out, &(value.integer()? != 0)),
        Kind::Time => write(out, &time(value.bytes()?)?),
        Kind::Quantity => quantity(out, value.bytes()?),
        Kind::Message(message) | Kind::Inline(message) => object(out, message, value.bytes()?),
        Kind::Present => {
            value.bytes()?;
            out.extend_from_slice(b"{}");
            Ok(())
        }
    }
}

fn time(bytes: &[u8]) -> Result<jiff::Timestamp, Malformed> {
    let [seconds] = Fields::numbered(bytes)?;
    let seconds = seconds.map_or(Ok(0), Value::integer)?;
    jiff::Timestamp::from_second(seconds).map_err(|_| Malformed("a time beyond all calendars"))
}

fn quantity(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    let [text] = Fields::numbered(bytes)?;
    string(out, text.unwrap_or(Value::Bytes(b"0")).bytes()?)
}

/// A key of ours, which needs no escapes, and the comma before it.
fn key(out: &mut Vec<u8>, name: &str) {
    separate(out);
    quoted(out, name);
    out.push(b':');
}

fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[') | None) {
        out.push(b',');
    }
}

/// With escapes, so that no line break stays. Bytes that are no text become U+FFFD, as Go's JSON has them.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.bytes().any(is_escaped) => {
            quoted(out, text);
            Ok(())
        }
        Ok(text) => write(out, text),
        Err(_) => write(out, &*String::from_utf8_lossy(bytes)),
    }
}

const fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Text that needs no escapes, most of it.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Malformed> {
    serde_json::to_writer(io::Write::by_ref(out), value)
        .map_err(|_| Malformed("a value that JSON cannot hold"))
}
