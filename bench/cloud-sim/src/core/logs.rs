//! A container's log: lines with their time and stream, in memory up to a bound, and as a CRI-format file if asked for.
//! Readers hold a line number, so following is waiting for a larger one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

/// Bytes kept in memory per incarnation of a container; older lines are dropped first, as a rotation would.
const KEPT: usize = 8 << 20;

/// Which stream a line was printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// One line, or one piece of a very long line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    /// The bytes as printed, with the newline if there was one.
    pub(crate) text: Bytes,
}

/// The log of one incarnation of a container.
#[derive(Debug)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    changed: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<Line>,
    /// Number of the first line still kept.
    first: u64,
    bytes: usize,
    file: Option<File>,
}

/// How far a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Number of the next line.
    pub(crate) next: u64,
    /// No more lines will come.
    pub(crate) closed: bool,
}

impl Log {
    /// An empty log, also written to `file` if given.
    pub(crate) fn new(file: Option<File>) -> Self {
        Self { inner: Mutex::new(Inner { file, ..Inner::default() }), changed: watch::Sender::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub(crate) fn push(&self, at: Timestamp, stream: Stream, text: Bytes) {
        let next = {
            let mut inner = self.lock();
            inner.write_cri(at, stream, &text);
            inner.bytes += text.len();
            inner.lines.push_back(Line { at, text });
            while inner.bytes > KEPT {
                let Some(gone) = inner.lines.pop_front() else { break };
                inner.bytes -= gone.text.len();
                inner.first += 1;
            }
            inner.first + inner.lines.len() as u64
        };
        self.changed.send_modify(|progress| progress.next = next);
    }

    /// Says that no more lines will come.
    pub(crate) fn close(&self) {
        self.lock().file = None;
        self.changed.send_modify(|progress| progress.closed = true);
    }

    /// Watches the progress.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.changed.subscribe()
    }

    /// Kept lines from number `from` on, and the number after the last.
    pub(crate) fn read(&self, from: u64) -> (Vec<Line>, u64) {
        let inner = self.lock();
        let skip = usize::try_from(from.saturating_sub(inner.first)).unwrap_or(usize::MAX);
        let lines = inner.lines.iter().skip(skip).cloned().collect();
        (lines, inner.first + inner.lines.len() as u64)
    }
}

impl Inner {
    /// `2026-01-02T03:04:05.000000006Z stdout F text`; a failing disk must not stop the container.
    fn write_cri(&mut self, at: Timestamp, stream: Stream, text: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let stream = if stream == Stream::Stdout { "stdout" } else { "stderr" };
        let whole = text.ends_with(b"\n");
        let mut line = format!("{} {stream} {} ", log_time(at), if whole { "F" } else { "P" }).into_bytes();
        line.extend_from_slice(text);
        if !whole {
            line.push(b'\n');
        }
        if file.write_all(&line).is_err() {
            self.file = None;
        }
    }
}

/// RFC 3339 with nanoseconds, as the kubelet prefixes lines.
pub(crate) fn log_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_when_old_ones_are_dropped() {
        let log = Log::new(None);
        let big = Bytes::from(vec![b'x'; KEPT / 4]);
        for _ in 0..6 {
            log.push(Timestamp::UNIX_EPOCH, Stream::Stdout, big.clone());
        }
        let (lines, next) = log.read(0);
        assert_eq!((lines.len(), next), (4, 6));
        assert_eq!(log.read(5).0.len(), 1);
        assert_eq!(log.read(6).0.len(), 0);
        log.close();
        assert_eq!(*log.subscribe().borrow(), Progress { next: 6, closed: true });
    }

    #[test]
    fn the_file_is_in_cri_form() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("0.log");
        let log = Log::new(Some(File::create(&path).expect("a file")));
        log.push(Timestamp::UNIX_EPOCH, Stream::Stdout, Bytes::from_static(b"a\n"));
        log.push(Timestamp::UNIX_EPOCH, Stream::Stderr, Bytes::from_static(b"b"));
        let text = std::fs::read_to_string(path).expect("readable");
        let zero = "1970-01-01T00:00:00.000000000Z";
        assert_eq!(text, format!("{zero} stdout F a\n{zero} stderr P b\n"));
    }
}
