//! Which streams of a SPDY connection are open, and in which direction. Shared by the reading and the writing side;
//! the lock is held for map operations only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::frames::ResetStatus;
use crate::kubelet::channels::DEPTH;

#[derive(Debug, Default)]
struct State {
    /// `None` once the peer has half-closed.
    inbound: Option<mpsc::Sender<Bytes>>,
    /// We have half-closed.
    closed_here: bool,
}

#[derive(Debug, Default)]
struct Table {
    streams: HashMap<u32, State>,
    last: u32,
}

/// The open streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    table: Mutex<Table>,
    most: usize,
}

impl Streams {
    /// None open yet; at most `most` at a time.
    pub(super) fn new(most: usize) -> Self {
        Self { table: Mutex::default(), most }
    }

    /// The peer opens a stream: its bytes will come out of the receiver. Ids are odd and grow.
    pub(super) fn open(&self, stream: u32, fin: bool) -> Result<mpsc::Receiver<Bytes>, ResetStatus> {
        let mut table = self.lock();
        if stream.is_multiple_of(2) || stream <= table.last {
            return Err(ResetStatus::ProtocolError);
        }
        if table.streams.len() >= self.most {
            return Err(ResetStatus::RefusedStream);
        }
        table.last = stream;
        let (sender, receiver) = mpsc::channel(DEPTH);
        table.streams.insert(stream, State { inbound: (!fin).then_some(sender), closed_here: false });
        Ok(receiver)
    }

    /// Where the peer's bytes of a stream go; `None` when nobody wants them.
    pub(super) fn inbound(&self, stream: u32) -> Option<mpsc::Sender<Bytes>> {
        self.lock().streams.get(&stream).and_then(|state| state.inbound.clone())
    }

    /// The peer will send no more on this stream.
    pub(super) fn close_there(&self, stream: u32) {
        let mut table = self.lock();
        let Some(state) = table.streams.get_mut(&stream) else { return };
        state.inbound = None;
        if state.closed_here {
            table.streams.remove(&stream);
        }
    }

    /// We send no more on this stream; false when that was so already.
    pub(super) fn close_here(&self, stream: u32) -> bool {
        let mut table = self.lock();
        let Some(state) = table.streams.get_mut(&stream) else { return false };
        let was_open = !state.closed_here;
        state.closed_here = true;
        if state.inbound.is_none() {
            table.streams.remove(&stream);
        }
        was_open
    }

    /// May we still write on this stream?
    pub(super) fn writable(&self, stream: u32) -> bool {
        self.lock().streams.get(&stream).is_some_and(|state| !state.closed_here)
    }

    /// The stream is dead in both directions.
    pub(super) fn forget(&self, stream: u32) {
        self.lock().streams.remove(&stream);
    }

    /// Ids of the streams that we have not half-closed, and the last id the peer used. Nothing is open afterwards.
    pub(super) fn take_open(&self) -> (Vec<u32>, u32) {
        let mut table = self.lock();
        let mut open: Vec<u32> =
            table.streams.drain().filter(|(_, s)| !s.closed_here).map(|(id, _)| id).collect();
        open.sort_unstable();
        (open, table.last)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_odd_and_grow_and_are_bounded() {
        let streams = Streams::new(2);
        assert!(streams.open(1, false).is_ok());
        assert_eq!(streams.open(1, false).err(), Some(ResetStatus::ProtocolError));
        assert_eq!(streams.open(4, false).err(), Some(ResetStatus::ProtocolError));
        assert!(streams.open(5, false).is_ok());
        assert_eq!(streams.open(7, false).err(), Some(ResetStatus::RefusedStream));
        streams.forget(1);
        assert!(streams.open(7, false).is_ok());
        assert_eq!(streams.take_open(), (vec![5, 7], 7));
    }

    #[test]
    fn a_stream_is_gone_when_both_sides_closed_it() {
        for peer_first in [true, false] {
            let streams = Streams::new(1);
            let _receiver = streams.open(1, false).unwrap();
            if peer_first {
                streams.close_there(1);
                assert!(streams.writable(1));
                assert!(streams.close_here(1));
            } else {
                assert!(streams.close_here(1));
                assert!(streams.inbound(1).is_some());
                streams.close_there(1);
            }
            assert!(!streams.close_here(1), "closing twice says so");
            assert!(streams.open(3, false).is_ok(), "its place is free");
        }
    }
}
