//! A SPDY/3.1 server, as far as Kubernetes' streaming protocols use it: `frames` and `headers` are the wire format,
//! `streams` is what is open, `session` drives a connection.
//!
//! The peer is moby/spdystream, which has no flow control: back-pressure is TCP's, so a bounded backlog per stream is
//! kept here and PING is answered while that lasts.

mod dictionary;
mod frames;
mod headers;
mod session;
mod streams;

pub(crate) use headers::Headers;
pub(crate) use session::{Limits, Session, Stream, open};
