//! Answers of the API server, kept for a while. The time is passed in.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bounded map whose entries expire. When it is full, expired entries go first, then all.
#[derive(Debug)]
pub(super) struct TtlCache<K, V> {
    entries: Mutex<HashMap<K, (V, Instant)>>,
    most: usize,
}

impl<K: Eq + Hash, V: Clone> TtlCache<K, V> {
    /// Empty, for at most `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: Mutex::new(HashMap::new()), most }
    }

    /// What is known and still good at `now`.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    /// Remembers `value` from `now` for `ttl`.
    pub(super) fn put(&self, key: K, value: V, now: Instant, ttl: Duration) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most {
            entries.retain(|_, (_, until)| now < *until);
        }
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(key, (value, now + ttl));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    #[test]
    fn entries_expire() {
        let (cache, now) = (TtlCache::new(8), Instant::now());
        cache.put("a", 1, now, TTL);
        assert_eq!(cache.get(&"a", now + TTL - Duration::from_millis(1)), Some(1));
        assert_eq!(cache.get(&"a", now + TTL), None);
        assert_eq!(cache.get(&"b", now), None);
    }

    #[test]
    fn size_is_bounded() {
        let (cache, now) = (TtlCache::new(2), Instant::now());
        cache.put("old", 1, now, TTL);
        cache.put("b", 2, now + TTL, TTL);
        cache.put("c", 3, now + TTL, TTL);
        assert_eq!((cache.get(&"b", now + TTL), cache.get(&"c", now + TTL)), (Some(2), Some(3)));
        cache.put("d", 4, now + TTL, TTL);
        assert_eq!((cache.get(&"b", now + TTL), cache.get(&"d", now + TTL)), (None, Some(4)));
    }
}
