//! Whether the cloud counts as unreachable, with hysteresis: a hiccup must not taint the node, and one lucky answer in a
//! long outage must not lift the taint.

use std::time::Duration;

use crate::cloud::CloudError;

/// Failing for so long makes an outage.
const BEGIN_AFTER: Duration = Duration::from_secs(30);
/// Answering for so long ends it.
const END_AFTER: Duration = Duration::from_secs(20);
/// No failure for so long ends it too: longer than the watch's longest pause (30 s) and its time-out (30 s) together.
const SILENT_AFTER: Duration = Duration::from_secs(90);

/// What the last calls said about the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudHealth {
    failing_since: Option<Duration>,
    last_failed: Option<Duration>,
    answering_since: Option<Duration>,
    last_error: String,
    outage: bool,
}

/// The state after hysteresis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The cloud answers, or has only just stopped.
    No,
    /// It has not answered usefully for a while; the text says why.
    Yes(String),
}

impl CloudHealth {
    /// An answer that proves the API usable.
    pub fn answered(&mut self, now: Duration) {
        self.failing_since = None;
        self.answering_since.get_or_insert(now);
    }

    /// A failure; those about one pod or one size say nothing about the cloud.
    pub fn failed(&mut self, error: &CloudError, now: Duration) {
        match error {
            CloudError::Retryable(_) | CloudError::Auth(_) | CloudError::Account(_) => {
                self.answering_since = None;
                self.failing_since.get_or_insert(now);
                self.last_failed = Some(now);
                self.last_error = error.to_string();
            }
            CloudError::Throttled { .. }
            | CloudError::Capacity(_)
            | CloudError::Invalid(_)
            | CloudError::Gone(_) => {
                self.answered(now);
            }
        }
    }

    /// The state at `now`. One failure is not an outage, however long a quiet node makes no other call; and where nothing
    /// fails any more the watch has been re-opened, which says nothing by itself.
    pub fn outage(&mut self, now: Duration) -> Outage {
        let lasted = |since: Option<Duration>, limit| since.is_some_and(|s| now.saturating_sub(s) >= limit);
        let failing = match (self.failing_since, self.last_failed) {
            (Some(first), Some(last)) => last.saturating_sub(first) >= BEGIN_AFTER,
            _ => false,
        };
        if !self.outage && failing {
            self.outage = true;
        } else if self.outage
            && (lasted(self.answering_since, END_AFTER) || lasted(self.last_failed, SILENT_AFTER))
        {
            self.outage = false;
            self.failing_since = None;
        }
        if self.outage { Outage::Yes(self.last_error.clone()) } else { Outage::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_hiccup_is_not_an_outage_and_one_answer_does_not_end_one() {
        let down = CloudError::Retryable("connection refused".into());
        let mut health = CloudHealth::default();
        health.failed(&down, at(0));
        assert_eq!(health.outage(at(29)), Outage::No);
        assert_eq!(health.outage(at(60)), Outage::No, "one failure on a quiet node");
        health.failed(&down, at(30));
        assert!(matches!(health.outage(at(30)), Outage::Yes(_)));
        health.answered(at(31));
        assert!(matches!(health.outage(at(40)), Outage::Yes(_)), "too early to trust it");
        health.failed(&down, at(45));
        health.answered(at(46));
        assert!(matches!(health.outage(at(60)), Outage::Yes(_)), "the clock starts again");
        assert_eq!(health.outage(at(66)), Outage::No);
    }

    #[test]
    fn silence_ends_an_outage() {
        let mut health = CloudHealth::default();
        for second in [0, 15, 30] {
            health.failed(&CloudError::Retryable("502".into()), at(second));
        }
        assert!(matches!(health.outage(at(119)), Outage::Yes(_)));
        assert_eq!(health.outage(at(120)), Outage::No, "the watch was re-opened and nothing failed since");
        assert_eq!(health.outage(at(500)), Outage::No);
    }

    #[test]
    fn errors_about_one_pod_are_answers() {
        let mut health = CloudHealth::default();
        health.failed(&CloudError::Invalid("hostPath".into()), at(0));
        health.failed(&CloudError::Capacity("8c16g".into()), at(100));
        assert_eq!(health.outage(at(200)), Outage::No);
    }
}
