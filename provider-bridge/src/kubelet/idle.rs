//! When a session was last used. Frames in either direction count; nothing else does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A restartable deadline shared by the two directions of a session.
#[derive(Debug)]
pub(crate) struct Idle {
    start: Instant,
    last_ms: AtomicU64,
    limit: Duration,
}

impl Idle {
    /// Expires after `limit` without a [`Idle::touch`].
    pub(crate) fn new(limit: Duration) -> Self {
        Self { start: Instant::now(), last_ms: AtomicU64::new(0), limit }
    }

    /// The session was used now.
    pub(crate) fn touch(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Resolves when the session was idle for the whole limit.
    pub(crate) async fn expired(&self) {
        loop {
            let deadline =
                self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + self.limit;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn use_postpones_the_end() {
        let idle = Idle::new(Duration::from_secs(10));
        let begin = Instant::now();
        let touch = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            idle.touch();
        };
        tokio::join!(touch, idle.expired());
        assert_eq!(begin.elapsed().as_secs(), 17);
    }
}
