//! One batch for everybody who asks within some seconds, and one call at a time.
//!
//! Nothing is asked of the cloud while nobody asks here. Who asks while the batch is under way waits for it, not for
//! ever: large nodes take many calls and clouds limit them; then, and when the cloud does not answer, the last batch is
//! repeated for a while, with its own times on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Meter, NodeUsage, Observed};
use crate::cloud::CloudError;

/// The cloud is asked at most so often: a little more than every 15 s, as often as anybody asks who asks regularly.
const FRESH: Duration = Duration::from_secs(14);
/// A batch that cannot be renewed is repeated for so long.
const KEPT: Duration = Duration::from_secs(300);
/// Who asks waits so long for a new batch; metrics-server gives up after 10 s.
const PATIENCE: Duration = Duration::from_secs(8);
/// A batch that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(240);

/// Where batches come from.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Every pod that runs, with what the cloud tells of it.
    async fn observe(&self) -> Result<Vec<Observed>, CloudError>;
}

/// What somebody who asks gets.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The newest batch there is.
    pub usage: Arc<NodeUsage>,
    /// Asking for a newer one failed.
    pub failed: bool,
}

/// The batches of one virtual node. Dropping it ends the call that is under way.
pub struct UsageCache {
    source: Arc<dyn Source>,
    state: Arc<Mutex<State>>,
    stop: CancellationToken,
    _ends: DropGuard,
}

struct State {
    meter: Meter,
    last: Option<(Instant, Arc<NodeUsage>)>,
    /// When the latest call ended, whatever came of it.
    tried: Option<Instant>,
    /// Why there is no newer one.
    error: Option<CloudError>,
    /// Closed when the call under way has ended.
    flight: Option<watch::Receiver<()>>,
}

impl std::fmt::Debug for UsageCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsageCache").finish_non_exhaustive()
    }
}

impl UsageCache {
    /// Nothing is known yet.
    pub fn new(node: &str, source: Arc<dyn Source>) -> Self {
        let meter = Meter::new(node, Timestamp::now());
        let state = State { meter, last: None, tried: None, error: None, flight: None };
        let stop = CancellationToken::new();
        Self { source, state: Arc::new(Mutex::new(state)), _ends: stop.clone().drop_guard(), stop }
    }

    /// What is used now, or was some seconds ago.
    ///
    /// # Errors
    /// When the cloud does not answer and has not for minutes.
    pub async fn get(&self) -> Result<Answer, CloudError> {
        let Some(mut flight) = self.board() else { return lock(&self.state).answer() };
        // It is closed, never written.
        let _ = tokio::time::timeout(PATIENCE, flight.changed()).await;
        lock(&self.state).answer()
    }

    /// The call to wait for; none if the last one is not long ago.
    fn board(&self) -> Option<watch::Receiver<()>> {
        let mut state = lock(&self.state);
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Some(flight.clone());
        }
        if state.tried.is_some_and(|at| at.elapsed() < FRESH) {
            return None;
        }
        let (ended, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        drop(state);
        let (source, state, stop) = (self.source.clone(), self.state.clone(), self.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let late =
                |_| Err(CloudError::Retryable("the cloud does not say in time what is used".to_owned()));
            let batch = tokio::time::timeout(LIMIT, source.observe()).await.unwrap_or_else(late);
            lock(&state).land(batch, Timestamp::now());
            drop(ended);
        }));
        Some(flight)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn land(&mut self, batch: Result<Vec<Observed>, CloudError>, now: Timestamp) {
        self.tried = Some(Instant::now());
        match batch {
            Ok(batch) => {
                self.last = Some((Instant::now(), Arc::new(self.meter.add(batch, now))));
                self.error = None;
            }
            Err(error) => {
                tracing::debug!(%error, "what instances use");
                self.error = Some(error);
            }
        }
    }

    fn answer(&self) -> Result<Answer, CloudError> {
        match (&self.last, &self.error) {
            (Some((at, usage)), error) if at.elapsed() < KEPT => {
                Ok(Answer { usage: usage.clone(), failed: error.is_some() })
            }
            (_, Some(error)) => Err(error.clone()),
            _ => Err(CloudError::Retryable("the cloud has not said yet what is used; ask again".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers after a second, or fails; counts.
    #[derive(Default)]
    struct Cloud {
        calls: AtomicUsize,
        broken: std::sync::atomic::AtomicBool,
        silent: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl Source for Cloud {
        async fn observe(&self) -> Result<Vec<Observed>, CloudError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.broken.load(Ordering::SeqCst) {
                return Err(CloudError::Retryable("no answer".to_owned()));
            }
            Ok(Vec::new())
        }
    }

    fn cache() -> (Arc<Cloud>, UsageCache) {
        let cloud = Arc::new(Cloud::default());
        (cloud.clone(), UsageCache::new("vn-1", cloud))
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_are_one_call_and_nobody_is_none() {
        let (cloud, cache) = cache();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(cloud.calls.load(Ordering::SeqCst), 0);
        let answers = futures::future::join_all((0..10).map(|_| cache.get())).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| !answer.failed)));
        cache.get().await.unwrap();
        assert_eq!(cloud.calls.load(Ordering::SeqCst), 1);
        tokio::time::sleep(FRESH).await;
        cache.get().await.unwrap();
        assert_eq!(cloud.calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_that_fails_gives_the_last_answer_for_a_while() {
        let (cloud, cache) = cache();
        cloud.broken.store(true, Ordering::SeqCst);
        assert!(cache.get().await.is_err(), "there never was one");
        assert!(cache.get().await.is_err());
        assert_eq!(cloud.calls.load(Ordering::SeqCst), 1, "nor is it asked again at once");
        cloud.broken.store(false, Ordering::SeqCst);
        tokio::time::sleep(FRESH).await;
        let good = cache.get().await.unwrap();
        cloud.broken.store(true, Ordering::SeqCst);
        tokio::time::sleep(FRESH).await;
        let old = cache.get().await.unwrap();
        assert!(old.failed && old.usage.at == good.usage.at);
        tokio::time::sleep(KEPT).await;
        assert!(cache.get().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_cloud_keeps_nobody_waiting_and_is_not_asked_twice() {
        let (cloud, cache) = cache();
        cache.get().await.unwrap();
        cloud.silent.store(true, Ordering::SeqCst);
        tokio::time::sleep(FRESH).await;
        let began = Instant::now();
        cache.get().await.unwrap();
        cache.get().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 2 * PATIENCE.as_secs());
        assert_eq!(cloud.calls.load(Ordering::SeqCst), 2);
    }
}
