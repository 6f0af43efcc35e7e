//! A running container: its outer process (the supervisor), the process number of its first process, and its log pumps.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio_util::task::TaskTracker;

use super::spec::{Ended, InitSpec};
use super::{children, send};
use crate::core::instances::Cloud;
use crate::core::life::Exit;
use crate::core::logs::{Log, Stream};

/// Longest piece of a line in the log, as in CRI.
const LINE_MAX: usize = 16 << 10;
/// Kubernetes keeps so much of a termination message.
const MESSAGE_MAX: usize = 4096;

/// A running container.
pub(crate) struct ProcessTask {
    child: Child,
    pid: Option<u32>,
    started: Timestamp,
    termination: PathBuf,
    ended: PathBuf,
    pumps: TaskTracker,
}

impl ProcessTask {
    /// Follows a just started container until its program is about to run.
    pub(super) async fn new(
        cloud: &Arc<Cloud>,
        mut child: Child,
        log: Arc<Log>,
        termination: &Path,
        spec: &InitSpec,
    ) -> io::Result<Self> {
        let pumps = TaskTracker::new();
        if let Some(stdout) = child.stdout.take() {
            pumps.spawn(pump(cloud.clone(), stdout, log.clone(), Stream::Stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            pumps.spawn(pump(cloud.clone(), stderr, log, Stream::Stderr));
        }
        pumps.close();
        let mut wait = Duration::from_millis(1);
        while child.try_wait()?.is_none() && !fs::metadata(&spec.ready).is_ok_and(|file| file.len() > 0) {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(16));
        }
        let pid = child.id().and_then(|outer| children(outer).first().copied());
        let (termination, ended) = (termination.to_owned(), spec.ended.clone());
        Ok(Self { child, pid, started: cloud.clock.now(), termination, ended, pumps })
    }

    /// The first process inside, seen from here.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Waits for its end and for the last of its output.
    pub(crate) async fn wait(&mut self, cloud: &Arc<Cloud>) -> Exit {
        let _ = self.child.wait().await;
        // A pipe can outlive its container only if something outside holds it; it must not hold the status.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.pumps.wait()).await;
        let (code, signal) = outcome(&self.ended);
        let message = fs::read(&self.termination).unwrap_or_default();
        let start = message.len().saturating_sub(MESSAGE_MAX);
        let message = String::from_utf8_lossy(message.get(start..).unwrap_or_default()).into_owned();
        Exit { code, signal, message, started: self.started, finished: cloud.clock.now() }
    }

    /// SIGTERM to the first process; the kernel drops it if that process has no handler, as in any container.
    pub(crate) fn terminate(&mut self) {
        self.send(Signal::TERM);
    }

    /// SIGKILL to the first process, which ends its whole pid namespace.
    pub(crate) fn kill(&mut self) {
        self.send(Signal::KILL);
    }

    fn send(&mut self, signal: Signal) {
        // `id` is None once the child was waited for: the number may belong to another process by then.
        let alive = self.child.id().is_some();
        if let Some(pid) = self.pid.filter(|_| alive) {
            let _ = send(pid, signal);
        } else if signal == Signal::KILL {
            let _ = self.child.start_kill();
        }
    }
}

/// Exit code and signal; a signal counts as 128 + its number. No word from the supervisor: it was killed itself.
fn outcome(ended: &Path) -> (i32, Option<i32>) {
    let told = fs::read(ended).ok().and_then(|bytes| serde_json::from_slice::<Ended>(&bytes).ok());
    match told.unwrap_or(Ended { code: None, signal: Some(9) }) {
        Ended { code: Some(code), .. } => (code, None),
        Ended { signal, .. } => (128 + signal.unwrap_or(9), signal),
    }
}

/// Output into the log, line by line.
async fn pump(cloud: Arc<Cloud>, stream: impl AsyncRead + Unpin, log: Arc<Log>, kind: Stream) {
    let mut reader = BufReader::with_capacity(LINE_MAX, stream);
    let mut line = Vec::new();
    loop {
        let (used, whole) = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(available) => {
                let room = LINE_MAX - line.len();
                let part = available.get(..room.min(available.len())).unwrap_or_default();
                let end = part.iter().position(|byte| *byte == b'\n').map_or(part.len(), |at| at + 1);
                let part = part.get(..end).unwrap_or_default();
                line.extend_from_slice(part);
                (part.len(), line.ends_with(b"\n") || line.len() >= LINE_MAX)
            }
        };
        reader.consume(used);
        if whole {
            log.push(cloud.clock.now(), kind, Bytes::from(std::mem::take(&mut line)));
        }
    }
    if !line.is_empty() {
        log.push(cloud.clock.now(), kind, Bytes::from(line));
    }
}
