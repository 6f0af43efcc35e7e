//! Exponential back-off of one key, as data: no timers, no clock, jitter passed in.
//!
//! A new event for the key never shortens it, so a noisy pod cannot defeat its own back-off.

use std::time::Duration;

/// First delay after a failure.
const BASE: Duration = Duration::from_millis(200);

/// State of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Failures in a row.
    pub attempts: u32,
    /// No try before this moment (monotonic).
    pub not_before: Duration,
}

impl Backoff {
    /// Nothing has failed.
    pub const fn new() -> Self {
        Self { attempts: 0, not_before: Duration::ZERO }
    }

    /// A success ends the row of failures.
    pub const fn reset(&mut self) {
        *self = Self::new();
    }

    /// Records a failure at `now`. The delay doubles up to `cap`, is spread over its upper half by `jitter` (0..1), and
    /// is never shorter than `at_least`, which is what the other side asked for.
    pub fn failed(&mut self, now: Duration, at_least: Option<Duration>, jitter: f64, cap: Duration) {
        let doubled = BASE.saturating_mul(1 << self.attempts.min(20)).min(cap);
        let spread = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = now + spread.max(at_least.unwrap_or_default());
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_honour_what_is_asked() {
        let cap = Duration::from_secs(120);
        let cases =
            [(0, None, 200), (1, None, 400), (3, None, 1600), (40, None, 120_000), (0, Some(7000), 7000)];
        for (attempts, asked, expected_ms) in cases {
            let mut b = Backoff { attempts, not_before: Duration::ZERO };
            b.failed(Duration::from_secs(1), asked.map(Duration::from_millis), 1.0, cap);
            assert_eq!(
                b.not_before - Duration::from_secs(1),
                Duration::from_millis(expected_ms),
                "{attempts} {asked:?}"
            );
        }
    }

    #[test]
    fn jitter_never_goes_below_half() {
        let mut b = Backoff::new();
        b.failed(Duration::ZERO, None, 0.0, Duration::from_secs(120));
        assert_eq!(b.not_before, Duration::from_millis(100));
    }
}
