//! What a run uses and costs, integrated exactly over time, and the same over equal slices of it for a chart.
//!
//! Integers only: a run's sums do not depend on the order of their parts. Knows nothing of policies or limits; what it
//! adds up is where pods really are.

use serde::Serialize;

use crate::money::{Money, Rate};

use super::trace::Size;

/// What is in use at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Cores on real nodes, milli.
    pub local_cpu: u64,
    /// Cores in the cloud, milli.
    pub cloud_cpu: u64,
    /// Memory in the cloud, MiB.
    pub cloud_mib: u64,
    /// Cores of pods that wait, milli.
    pub waiting_cpu: u64,
    /// Price of what is in the cloud, billionths per second.
    pub rate: u64,
}

/// Where a pod's size is added or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a real node.
    Local,
    /// In the cloud at this price.
    Cloud(Rate),
    /// Nowhere yet.
    Waiting,
}

impl Level {
    /// A pod arrives at a place.
    pub fn add(&mut self, place: Place, size: Size) {
        match place {
            Place::Local => self.local_cpu += u64::from(size.cpu_milli),
            Place::Waiting => self.waiting_cpu += u64::from(size.cpu_milli),
            Place::Cloud(rate) => {
                self.cloud_cpu += u64::from(size.cpu_milli);
                self.cloud_mib += u64::from(size.memory_mib);
                self.rate = self.rate.saturating_add(rate.0);
            }
        }
    }

    /// It leaves.
    pub fn remove(&mut self, place: Place, size: Size) {
        match place {
            Place::Local => self.local_cpu -= u64::from(size.cpu_milli),
            Place::Waiting => self.waiting_cpu -= u64::from(size.cpu_milli),
            Place::Cloud(rate) => {
                self.cloud_cpu -= u64::from(size.cpu_milli);
                self.cloud_mib -= u64::from(size.memory_mib);
                self.rate = self.rate.saturating_sub(rate.0);
            }
        }
    }
}

/// Sums over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integral {
    /// Milli-core seconds on real nodes.
    pub local_cpu: u128,
    /// Milli-core seconds in the cloud.
    pub cloud_cpu: u128,
    /// MiB seconds in the cloud.
    pub cloud_mib: u128,
    /// Milli-core seconds of waiting.
    pub waiting_cpu: u128,
    /// Money.
    pub money: Money,
}

impl Integral {
    fn add(&mut self, level: &Level, seconds: i64) {
        let seconds = seconds.max(0).unsigned_abs();
        let over = |amount: u64| u128::from(amount) * u128::from(seconds);
        self.local_cpu += over(level.local_cpu);
        self.cloud_cpu += over(level.cloud_cpu);
        self.cloud_mib += over(level.cloud_mib);
        self.waiting_cpu += over(level.waiting_cpu);
        self.money = self.money.plus(Rate(level.rate).over(seconds));
    }
}

/// One slice of time for a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Slice {
    /// Cores on real nodes, mean.
    pub local_cores: f64,
    /// Cores in the cloud, mean.
    pub cloud_cores: f64,
    /// Cores that wait, mean.
    pub waiting_cores: f64,
    /// Money spent until the end of the slice, in whole units.
    pub money: f64,
}

/// Integrates levels over time.
#[derive(Clone, Debug)]
pub struct Meter {
    /// In use now.
    pub now: Level,
    total: Integral,
    at: i64,
    from: i64,
    width: i64,
    slices: Vec<Integral>,
}

impl Meter {
    /// Begins at `from`; `until` is where the last of at most `slices` slices ends.
    pub fn new(from: i64, until: i64, slices: usize) -> Self {
        let count = i64::try_from(slices.max(1)).unwrap_or(1);
        let width = ((until - from).max(0) / count + 1).max(1);
        Self {
            now: Level::default(),
            total: Integral::default(),
            at: from,
            from,
            width,
            slices: Vec::with_capacity(slices),
        }
    }

    /// Time passes until `to` with what is in use now.
    pub fn advance(&mut self, to: i64) {
        while self.at < to {
            let slice = (self.at - self.from) / self.width;
            let until = to.min(self.from + (slice + 1) * self.width);
            let seconds = until - self.at;
            self.total.add(&self.now, seconds);
            let slice = usize::try_from(slice).unwrap_or(0);
            if self.slices.len() <= slice {
                self.slices.resize(slice + 1, Integral::default());
            }
            if let Some(slice) = self.slices.get_mut(slice) {
                slice.add(&self.now, seconds);
            }
            self.at = until;
        }
    }

    /// One payment now.
    pub fn charge(&mut self, money: Money) {
        self.total.money = self.total.money.plus(money);
        if let Some(slice) = self.slices.last_mut() {
            slice.money = slice.money.plus(money);
        }
    }

    /// The sums so far.
    pub const fn total(&self) -> &Integral {
        &self.total
    }

    /// Seconds per slice.
    pub const fn width(&self) -> i64 {
        self.width
    }

    /// The slices, for a chart.
    pub fn slices(&self) -> Vec<Slice> {
        let mut money = Money::ZERO;
        let mean = |sum: u128| as_f64(sum) / 1000.0 / as_f64(self.width.unsigned_abs().into());
        let slices = self.slices.iter().map(|slice| {
            money = money.plus(slice.money);
            Slice {
                local_cores: mean(slice.local_cpu),
                cloud_cores: mean(slice.cloud_cpu),
                waiting_cores: mean(slice.waiting_cpu),
                money: units(money),
            }
        });
        slices.collect()
    }
}

/// For people and charts only: sums stay integers.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub const fn as_f64(sum: u128) -> f64 {
    sum as f64
}

/// Money in whole units, for charts.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn units(money: Money) -> f64 {
    money.as_nano() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_add_up_to_the_whole_and_are_cut_where_they_end() {
        let mut meter = Meter::new(10, 29, 2); // two slices of 10 seconds
        let size = Size { cpu_milli: 2_000, memory_mib: 512, gpu: 0, pods: 1 };
        meter.now.add(Place::Cloud(Rate(500_000_000)), size);
        meter.advance(15);
        meter.now.add(Place::Local, size);
        meter.advance(25);
        meter.now.remove(Place::Cloud(Rate(500_000_000)), size);
        meter.advance(30);
        let total = *meter.total();
        assert_eq!((total.cloud_cpu, total.cloud_mib, total.local_cpu), (30_000, 7_680, 30_000));
        assert_eq!(total.money, Money::nano(7_500_000_000));
        let slices = meter.slices();
        assert_eq!(slices.len(), 2);
        assert_eq!((slices[0].cloud_cores, slices[0].local_cores, slices[0].money), (2.0, 1.0, 5.0));
        assert_eq!((slices[1].cloud_cores, slices[1].local_cores, slices[1].money), (1.0, 2.0, 7.5));
    }
}
