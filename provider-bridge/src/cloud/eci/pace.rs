//! Keeps each kind of call under the vendor's published number per minute, and slower for a while after a refusal for
//! too many calls.
//!
//! The limits are an account's, so every virtual node of one account shares one [`Pace`]. Pure but for [`Pace::turn`]:
//! time comes in.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::action::{ALL, Action};

/// Share of the published number that is used: others use the account too.
const SHARE: f64 = 0.8;
/// So many of a minute's calls, as its fraction, may go at once.
const BURST: u32 = 50;
/// The slowest, as a share of the full pace.
const SLOWEST: f64 = 1.0 / 32.0;
/// What every answered call gives back of the pace.
const RECOVERY: f64 = 0.02;

/// One kind of call.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// Until when the calls made so far fill the full pace.
    filled: Instant,
    /// Share of the full pace.
    factor: f64,
}

impl Lane {
    fn interval(&self, per_minute: u32) -> Duration {
        Duration::from_secs_f64(60.0 / (f64::from(per_minute) * SHARE * self.factor))
    }

    /// Takes a turn; how long to wait for it.
    fn take(&mut self, now: Instant, per_minute: u32) -> Duration {
        let interval = self.interval(per_minute);
        let start = self.filled.max(now);
        self.filled = start + interval;
        let ahead = start.saturating_duration_since(now);
        // After a refusal nothing goes at once any more.
        let burst = if self.factor < 1.0 { Duration::ZERO } else { interval * (per_minute / BURST) };
        ahead.saturating_sub(burst)
    }

    fn throttled(&mut self, now: Instant, after: Duration) {
        self.factor = (self.factor / 2.0).max(SLOWEST);
        self.filled = self.filled.max(now + after);
    }

    fn answered(&mut self) {
        self.factor = (self.factor + RECOVERY).min(1.0);
    }
}

/// The pace of one account.
#[derive(Debug)]
pub(super) struct Pace {
    lanes: Mutex<[Lane; ALL.len()]>,
    per_minute: [u32; ALL.len()],
}

static ACCOUNTS: LazyLock<Mutex<HashMap<String, Weak<Pace>>>> = LazyLock::new(Mutex::default);

impl Pace {
    fn new(raised: &BTreeMap<String, u32>) -> Self {
        let lane = Lane { filled: Instant::now(), factor: 1.0 };
        let per_minute = ALL.map(|action| {
            raised
                .get(action.name())
                .copied()
                .filter(|limit| *limit > 0)
                .unwrap_or_else(|| action.per_minute())
        });
        Self { lanes: Mutex::new([lane; ALL.len()]), per_minute }
    }

    /// The pace of an account, shared by everybody who asks with the same key. `raised` are the numbers that the vendor
    /// agreed to, by action; the first to ask says them.
    pub(super) fn of(account: &str, raised: &BTreeMap<String, u32>) -> Arc<Self> {
        let mut accounts = ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, pace| pace.strong_count() > 0);
        if let Some(known) = accounts.get(account).and_then(Weak::upgrade) {
            return known;
        }
        let pace = Arc::new(Self::new(raised));
        accounts.insert(account.to_owned(), Arc::downgrade(&pace));
        pace
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, action: Action) {
        let limit = self.per_minute.get(action.index()).copied().unwrap_or_else(|| action.per_minute());
        let wait = self.lane(action, |lane| lane.take(Instant::now(), limit));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// The cloud asks for fewer.
    pub(super) fn throttled(&self, action: Action, after: Duration) {
        self.lane(action, |lane| lane.throttled(Instant::now(), after));
    }

    /// The cloud answered.
    pub(super) fn answered(&self, action: Action) {
        self.lane(action, Lane::answered);
    }

    fn lane<T>(&self, action: Action, change: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get_mut(action.index()).map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(now: Instant) -> Lane {
        Lane { filled: now, factor: 1.0 }
    }

    /// A burst goes at once, and the minute stays under the published number.
    #[tokio::test]
    async fn the_published_number_holds() {
        let now = Instant::now();
        for action in ALL {
            let (mut lane, mut at, mut calls) = (lane(now), now, 0);
            while at < now + Duration::from_secs(60) {
                at += lane.take(at, action.per_minute());
                calls += 1;
            }
            assert!(calls <= action.per_minute(), "{action:?}: {calls}");
            assert!(calls >= action.per_minute() * 7 / 10, "{action:?}: {calls}");
        }
        let mut lane = lane(now);
        assert!((0..20).all(|_| lane.take(now, 1000).is_zero()));
    }

    #[tokio::test]
    async fn a_refusal_halves_the_pace_and_answers_give_it_back() {
        let now = Instant::now();
        let mut lane = lane(now);
        let full = lane.interval(1000);
        lane.throttled(now, Duration::from_secs(3));
        assert!(lane.take(now, 1000) >= Duration::from_secs(3));
        assert_eq!(lane.interval(1000), full * 2);
        (0..100).for_each(|_| lane.throttled(now, Duration::ZERO));
        assert_eq!(lane.interval(1000), full * 32);
        (0..100).for_each(|_| lane.answered());
        assert_eq!(lane.interval(1000), full);
    }

    #[tokio::test]
    async fn nodes_of_one_account_share_it() {
        let raised = [("CreateContainerGroup".to_owned(), 6000)].into();
        let one = Pace::of("account-a", &raised);
        assert!(Arc::ptr_eq(&one, &Pace::of("account-a", &BTreeMap::new())));
        assert!(!Arc::ptr_eq(&one, &Pace::of("account-b", &raised)));
        assert_eq!(one.per_minute[Action::CreateGroup.index()], 6000);
        assert_eq!(one.per_minute[Action::DeleteGroup.index()], 1000);
    }
}
