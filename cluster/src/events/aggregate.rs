//! Which events are written, which are only counted, which are too many.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Event;

/// Events that may come at once, and how fast more may follow, for all objects together.
const ALL: (f64, f64) = (200.0, 20.0);

/// The same for one object and reason: a note that changes again and again is a storm too.
const ONE: (f64, f64) = (5.0, 1.0 / 30.0);

/// Shortest time between two writes of one event's count.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// An event that was not repeated for this long is forgotten; its next occurrence is a new event.
const FORGET: Duration = Duration::from_secs(360);

/// Most objects and reasons remembered.
const MOST: usize = 10_000;

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it under this name.
    Create(String),
    /// It repeats one that is written; the count is written later.
    Counted,
    /// Too many.
    Drop,
}

/// A count to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) count: u64,
}

#[derive(Debug)]
struct Known {
    note: String,
    namespace: String,
    name: String,
    count: u64,
    written: u64,
    written_at: Instant,
    seen_at: Instant,
    bucket: Bucket,
}

/// Remembers what was written, by object UID and reason.
#[derive(Debug, Default)]
pub(super) struct Aggregator {
    known: HashMap<(String, String), Known>,
    all: Option<Bucket>,
}

impl Aggregator {
    /// Judges an event; `name` is used if it is written.
    pub(super) fn offer(&mut self, event: &Event, name: String, now: Instant) -> Verdict {
        let key = (event.regarding.uid.clone(), event.reason.clone());
        if let Some(known) = self.known.get_mut(&key)
            && known.note == event.note
            && now.saturating_duration_since(known.seen_at) < FORGET
        {
            known.count += 1;
            known.seen_at = now;
            return Verdict::Counted;
        }
        let old = self.known.get(&key).map(|known| known.bucket);
        let mut bucket = old.unwrap_or_else(|| Bucket::full(ONE.0, now));
        let all = self.all.get_or_insert_with(|| Bucket::full(ALL.0, now));
        if !bucket.has(ONE, now) || !all.has(ALL, now) {
            return Verdict::Drop;
        }
        bucket.take();
        all.take();
        self.make_room(now);
        let known = Known {
            note: event.note.clone(),
            namespace: event.regarding.event_namespace().to_owned(),
            name: name.clone(),
            count: 1,
            written: 1,
            written_at: now,
            seen_at: now,
            bucket,
        };
        self.known.insert(key, known);
        Verdict::Create(name)
    }

    /// Counts that should be written now; what is old is forgotten.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Repeat> {
        let mut due = Vec::new();
        for known in self.known.values_mut() {
            let waited = now.saturating_duration_since(known.written_at) >= COUNT_EVERY;
            if known.count > known.written && waited {
                known.written = known.count;
                known.written_at = now;
                let (namespace, name) = (known.namespace.clone(), known.name.clone());
                due.push(Repeat { namespace, name, count: known.count });
            }
        }
        self.known.retain(|_, known| {
            known.count > known.written || now.saturating_duration_since(known.seen_at) < FORGET
        });
        due
    }

    fn make_room(&mut self, now: Instant) {
        if self.known.len() >= MOST {
            self.known.retain(|_, known| now.saturating_duration_since(known.seen_at) < COUNT_EVERY);
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    const fn full(tokens: f64, at: Instant) -> Self {
        Self { tokens, at }
    }

    /// Refills, and says whether a token is there.
    fn has(&mut self, (most, per_second): (f64, f64), now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = since.mul_add(per_second, self.tokens).min(most);
        self.at = now;
        self.tokens >= 1.0
    }

    fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EventKind, Regarding};
    use super::*;

    fn event(uid: &str, note: &str) -> Event {
        Event {
            regarding: Regarding::pod("shop", "web", uid),
            kind: EventKind::Warning,
            reason: "StockOut".to_owned(),
            action: "Create".to_owned(),
            note: note.to_owned(),
            from: None,
        }
    }

    fn offer(aggregator: &mut Aggregator, uid: &str, note: &str, now: Instant) -> &'static str {
        match aggregator.offer(&event(uid, note), "n".to_owned(), now) {
            Verdict::Create(_) => "create",
            Verdict::Counted => "counted",
            Verdict::Drop => "drop",
        }
    }

    #[test]
    fn repeats_are_counted_and_the_count_is_written_once_a_minute() {
        let (mut aggregator, now) = (Aggregator::default(), Instant::now());
        assert_eq!(offer(&mut aggregator, "u", "a", now), "create");
        for _ in 0..9 {
            assert_eq!(offer(&mut aggregator, "u", "a", now), "counted");
        }
        assert_eq!(offer(&mut aggregator, "other", "a", now), "create");
        assert_eq!(aggregator.due(now + Duration::from_secs(59)), []);
        let later = now + COUNT_EVERY;
        let want = Repeat { namespace: "shop".to_owned(), name: "n".to_owned(), count: 10 };
        assert_eq!(aggregator.due(later), [want]);
        assert_eq!(aggregator.due(later), []);
        assert_eq!(offer(&mut aggregator, "u", "a", later + FORGET), "create");
        assert_eq!(aggregator.due(later + FORGET + FORGET), []);
        assert!(aggregator.known.is_empty());
    }

    #[test]
    fn changes_of_mind_are_new_events_until_they_are_a_storm() {
        let (mut aggregator, now) = (Aggregator::default(), Instant::now());
        let verdicts: Vec<&str> = (0..8).map(|i| offer(&mut aggregator, "u", &i.to_string(), now)).collect();
        assert_eq!(verdicts, ["create", "create", "create", "create", "create", "drop", "drop", "drop"]);
        assert_eq!(offer(&mut aggregator, "u", "x", now + Duration::from_secs(31)), "create");
    }

    #[test]
    fn all_objects_together_are_capped() {
        let (mut aggregator, now) = (Aggregator::default(), Instant::now());
        let created =
            (0..1000).filter(|i| offer(&mut aggregator, &i.to_string(), "a", now) == "create").count();
        assert_eq!(created, 200);
        let later = now + Duration::from_secs(1);
        let created =
            (1000..2000).filter(|i| offer(&mut aggregator, &i.to_string(), "a", later) == "create").count();
        assert_eq!(created, 20);
    }
}
