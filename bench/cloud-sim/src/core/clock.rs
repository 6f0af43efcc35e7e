//! The simulator's clock: real time plus an offset that tests may advance, so that a 30 s hold or a 15 min skew needs
//! no waiting. Everything that waits, waits on this clock; nothing else in the crate reads the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// Time as the simulated cloud sees it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// Now, including everything it was advanced by.
    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.offset_ms.load(Ordering::Relaxed));
        Timestamp::now().checked_add(offset).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock forward and wakes every sleeper that is due.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by, Ordering::Relaxed);
        self.moved.notify_waiters();
    }

    /// Sleeps for a span of this clock's time.
    pub(crate) async fn sleep(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        let until = self.now().checked_add(span).unwrap_or(Timestamp::MAX);
        self.sleep_until(until).await;
    }

    /// Sleeps until this clock shows `until`.
    pub(crate) async fn sleep_until(&self, until: Timestamp) {
        loop {
            let moved = self.moved.notified();
            let left = until.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = moved => {}
            }
        }
    }
}

/// Kubernetes' metav1.Time: RFC 3339 with whole seconds, UTC.
pub(crate) fn k8s_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn an_advance_wakes_sleepers_that_are_due() {
        let clock = Arc::new(Clock::default());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(3600)).await }
        });
        while !sleeper.is_finished() {
            clock.advance(Duration::from_secs(600));
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn times_have_whole_seconds() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        assert_eq!(k8s_time(at), "2026-01-02T03:04:05Z");
    }
}
