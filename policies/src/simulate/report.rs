//! What a scenario comes to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{ledger::Hold, money::Money};

use super::{
    Event,
    meter::{Integral, Slice, as_f64},
};

/// Waits of the pods that were placed, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Half of the pods waited no longer.
    pub p50: i64,
    /// 99 of 100 pods waited no longer.
    pub p99: i64,
    /// The longest.
    pub max: i64,
}

/// One scenario's result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The scenario.
    pub name: String,
    /// Pods of the trace: `local + cloud + failed`.
    pub pods: u64,
    /// Placed on a real node first.
    pub local: u64,
    /// Placed in the cloud first.
    pub cloud: u64,
    /// Never placed before they ended.
    pub failed: u64,
    /// Placed later than they were created.
    pub late: u64,
    /// Sums over time.
    pub used: Integral,
    /// Cores of the real nodes together x seconds from the first creation to the last deletion, in milli-core seconds.
    pub local_capacity: u128,
    /// Pods in the cloud without a price; money is missing for them.
    pub unpriced: u64,
    /// Currency of all money.
    pub currency: Option<String>,
    /// Waits.
    pub waits: Waits,
    /// Pods moved home.
    pub moves: u64,
    /// Pods placed in the cloud while a real node was feasible.
    pub over_burst: u64,
    /// The most by which a window of any budget was passed.
    pub overshoot: Money,
    /// Pods that failed, by what held them last; `NoRoom` without a hold.
    pub failed_by: BTreeMap<&'static str, u64>,
    /// Seconds per slice.
    pub slice_seconds: i64,
    /// The same over time.
    pub slices: Vec<Slice>,
    /// Everything that happened, if asked for.
    pub events: Vec<Event>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

impl Report {
    /// Core hours in the cloud.
    pub fn cloud_core_hours(&self) -> f64 {
        as_f64(self.used.cloud_cpu) / 3_600_000.0
    }

    /// GiB hours in the cloud.
    pub fn cloud_gib_hours(&self) -> f64 {
        as_f64(self.used.cloud_mib) / 1024.0 / 3_600.0
    }

    /// Core hours that pods waited for.
    pub fn waiting_core_hours(&self) -> f64 {
        as_f64(self.used.waiting_cpu) / 3_600_000.0
    }

    /// Share of the real nodes' cores in use over the whole time, 0 to 1.
    pub fn local_utilisation(&self) -> f64 {
        if self.local_capacity == 0 { 0.0 } else { as_f64(self.used.local_cpu) / as_f64(self.local_capacity) }
    }
}

/// Counts while a scenario runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) local: u64,
    pub(super) cloud: u64,
    pub(super) failed: u64,
    pub(super) moves: u64,
    pub(super) over_burst: u64,
    pub(super) unpriced: u64,
    pub(super) failed_by: BTreeMap<&'static str, u64>,
    pub(super) events: Vec<Event>,
    at_once: u64,
    waits: Vec<i64>,
}

impl Tally {
    pub(super) fn placed(&mut self, local: bool, waited: i64) {
        if local {
            self.local += 1;
        } else {
            self.cloud += 1;
        }
        if waited > 0 {
            self.waits.push(waited);
        } else {
            self.at_once += 1;
        }
    }

    pub(super) fn failed(&mut self, hold: Option<Hold>) {
        self.failed += 1;
        *self.failed_by.entry(hold.map_or("NoRoom", Hold::code)).or_default() += 1;
    }

    pub(super) fn late(&self) -> u64 {
        self.waits.len() as u64
    }

    pub(super) fn waits(&mut self) -> Waits {
        self.waits.sort_unstable();
        let all = self.at_once + self.waits.len() as u64;
        // The wait of the pod that is the `percent`-th of a hundred.
        let rank = |percent: u64| {
            let place = (all * percent).div_ceil(100);
            let late = place.saturating_sub(self.at_once);
            let at = usize::try_from(late).unwrap_or(usize::MAX).checked_sub(1);
            at.and_then(|at| self.waits.get(at)).copied().unwrap_or(0)
        };
        Waits { p50: rank(50), p99: rank(99), max: self.waits.last().copied().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_count_those_who_did_not_wait() {
        let mut tally = Tally::default();
        (0..98).for_each(|_| tally.placed(true, 0));
        tally.placed(false, 30);
        tally.placed(false, 10);
        assert_eq!(tally.waits(), Waits { p50: 0, p99: 10, max: 30 });
        assert_eq!((tally.local, tally.cloud, tally.late()), (98, 2, 2));
        assert_eq!(Tally::default().waits(), Waits::default());
    }
}
