//! Ceilings as numbers, and what is counted against them.

use super::{Grant, Seat, places::Tiers};
use crate::{
    burst_policy::{Limit, Side},
    quantity::{Format, Quantity},
    resources::Resources,
};

/// A ceiling in numbers; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ceiling {
    pods: Option<u64>,
    cpu_milli: Option<u64>,
    memory_bytes: Option<u64>,
    gpu: Option<u64>,
    /// A quantity cannot be read: nothing fits.
    pub(super) unreadable: bool,
}

impl Ceiling {
    pub(super) fn of(limit: &Limit) -> Self {
        let read = |text: &Option<String>, unit: i128| match text.as_deref().map(Quantity::parse) {
            None => Ok(None),
            Some(Ok(q)) if !q.is_negative() => Ok(Some(u64::try_from(q.nano() / unit).unwrap_or(u64::MAX))),
            Some(_) => Err(()),
        };
        let (cpu, memory) = (read(&limit.cpu, 1_000_000), read(&limit.memory, 1_000_000_000));
        let unreadable = cpu.is_err() || memory.is_err();
        let (cpu_milli, memory_bytes) = (cpu.unwrap_or(Some(0)), memory.unwrap_or(Some(0)));
        Self { pods: limit.pods, cpu_milli, memory_bytes, gpu: limit.gpu, unreadable }
    }

    /// Whether it limits anything.
    pub(super) const fn is_set(&self) -> bool {
        self.pods.is_some() || self.cpu_milli.is_some() || self.memory_bytes.is_some() || self.gpu.is_some()
    }

    /// Whether `more` fits on top of `used`. A resource that is not asked for is not looked at, so that an exhausted GPU
    /// ceiling stops no pod without GPUs.
    pub(super) fn fits(&self, used: Resources, more: Resources) -> bool {
        [
            (used.pods, more.pods, self.pods),
            (used.cpu_milli, more.cpu_milli, self.cpu_milli),
            (used.memory_bytes, more.memory_bytes, self.memory_bytes),
            (used.gpu, more.gpu, self.gpu),
        ]
        .into_iter()
        .all(|(used, more, max)| {
            max.is_none_or(|max| more == 0 || used.checked_add(more).is_some_and(|sum| sum <= max))
        })
    }
}

/// What grants hold, by tier and by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    /// In the order of the tiers.
    pub(super) tiers: Vec<Resources>,
    pub(super) local: Resources,
    pub(super) cloud: Resources,
}

impl Used {
    pub(super) fn add(&mut self, tiers: &Tiers, grant: &Grant) {
        self.change(tiers, grant, Resources::plus);
    }

    pub(super) fn remove(&mut self, tiers: &Tiers, grant: &Grant) {
        self.change(tiers, grant, Resources::minus);
    }

    fn change(&mut self, tiers: &Tiers, grant: &Grant, apply: fn(Resources, Resources) -> Resources) {
        let requests = counted(grant.requests);
        let own = Seat { side: grant.side, tier: grant.tier.clone() };
        let seats = || std::iter::once(&own).chain(&grant.also);
        for seat in seats() {
            if let Some(used) = tiers.find(seat).and_then(|at| self.tiers.get_mut(at)) {
                *used = apply(*used, requests);
            }
        }
        if seats().any(|s| s.side == Side::Local) {
            self.local = apply(self.local, requests);
        }
        if seats().any(|s| s.side == Side::Cloud) {
            self.cloud = apply(self.cloud, requests);
        }
    }
}

/// A pod's requests as they count: one pod.
pub(super) const fn counted(requests: Resources) -> Resources {
    Resources { pods: 1, ..requests }
}

/// An amount as a status shows it.
pub(super) fn shown(used: Resources) -> Limit {
    Limit {
        pods: Some(used.pods),
        cpu: Some(Quantity::from_milli(used.cpu_milli).to_string()),
        memory: Some(Quantity::from_units(used.memory_bytes, Format::BinarySi).to_string()),
        gpu: Some(used.gpu),
    }
}
