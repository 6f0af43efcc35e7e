//! CCI 1.0: Huawei's published rounding ("资源自动规整" in the virtual-kubelet add-on's manual).
//!
//! Limits win over requests and both become equal; each container that is not BestEffort goes up to a multiple of
//! 0.25 core and to at least 0.2 Gi; the pod, `max(sum(app), max(init))`, goes up to whole Gi and a ratio of 2 to
//! 8 Gi per core; growth at pod level lands on the first container that is not BestEffort. Never shrinks anything.

mod text;

use crate::{pod::view::PodView, price::Place, reasons::Reason, resources::Resources};

pub use super::{Amount, Ask, GI, Size};
use super::{Misfit, Rules, asks_with, effective, units};

/// CPU is sold in steps of a quarter core (milli-cores).
pub const CPU_STEP_MILLI: u64 = 250;
/// The least memory of a container that is not BestEffort: 0.2 Gi, in bytes, rounded up.
pub const CONTAINER_MEMORY_MIN: u64 = GI.div_ceil(5);
/// Largest pod, milli-cores.
pub const POD_CPU_MAX_MILLI: u64 = 32_000;
/// Largest pod, bytes.
pub const POD_MEMORY_MAX: u64 = 256 * GI;
/// Ephemeral storage of every pod, bytes: there is one size.
pub const POD_DISK_MAX: u64 = 10 * GI;
/// Least and most Gi per core.
pub const RATIO_GI_PER_CORE: (u64, u64) = (2, 8);

/// What the other parts of burst see of it.
pub(crate) const RULES: Rules = Rules {
    needs_cpu: true,
    disk: Some((
        POD_DISK_MAX,
        "the containers request more than the 10Gi of ephemeral storage that a CCI pod has: ask for less",
    )),
    counted,
    billed,
};

/// CCI rounds container by container, so that what counts is the whole pod after rounding.
fn counted(pod: &PodView<'_>, beside: &[Resources]) -> Result<Size, Misfit> {
    Ok(round(&asks_with(pod, beside))?.pod)
}

fn billed(counted: Size, _: Place<'_>) -> Result<Size, Misfit> {
    let amount = Amount { cpu_milli: Some(counted.cpu_milli), memory_bytes: Some(counted.memory_bytes) };
    Ok(round(&[Ask { requests: amount, limits: amount, ..Ask::default() }])?.pod)
}

impl From<Refusal> for Misfit {
    fn from(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::NoCpu => Reason::NoCpuRequest,
            Refusal::TooLarge(_) => Reason::ShapeTooLarge,
        };
        Self { reason, sentence: refusal.to_string() }
    }
}

/// The size of one container after rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSize {
    /// Container name.
    pub name: String,
    /// As in [`Ask::init`].
    pub init: bool,
    /// What to send as requests and as limits.
    pub size: Size,
}

/// A pod that CCI can sell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Every container, in the order of the asks.
    pub containers: Vec<ContainerSize>,
    /// What is billed.
    pub pod: Size,
    /// What was changed and why, in one sentence; `None` when the asks were a CCI size already.
    pub changed: Option<String>,
}

/// Why CCI has no size for a pod. The texts name the limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No container sets CPU.
    #[error(
        "CCI needs at least one container with cpu > 0 in its requests or limits: set resources.requests.cpu"
    )]
    NoCpu,
    /// The rounded pod is larger than the largest one sold.
    #[error(
        "{cpu} core / {memory} after rounding is larger than the largest CCI pod (32 core / 256Gi): ask for less, or split the pod",
        cpu = units::cores(.0.cpu_milli), memory = units::memory(.0.memory_bytes)
    )]
    TooLarge(Size),
}

/// Rounds a pod up to the next size that CCI 1.0 sells.
///
/// # Errors
/// [`Refusal`] when no container has CPU, or the rounded pod is above 32 cores or 256 Gi.
pub fn round(asks: &[Ask]) -> Result<Shape, Refusal> {
    let asked: Vec<Size> = asks.iter().map(Ask::equalised).collect();
    if asked.iter().all(|s| s.cpu_milli == 0) {
        return Err(Refusal::NoCpu);
    }
    let mut sizes: Vec<Size> = asked.iter().copied().map(container_step).collect();
    let stepped = effective(asks, &sizes);
    let pod = pod_step(stepped);
    if pod.cpu_milli > POD_CPU_MAX_MILLI || pod.memory_bytes > POD_MEMORY_MAX {
        return Err(Refusal::TooLarge(pod));
    }
    grow(asks, &mut sizes, stepped, pod);
    let changed = text::changed(asks, &asked, effective(asks, &asked), stepped, pod);
    let containers = asks.iter().zip(sizes);
    let containers =
        containers.map(|(a, size)| ContainerSize { name: a.name.clone(), init: a.init, size }).collect();
    Ok(Shape { containers, pod, changed })
}

/// Rule 1. A container that asks for memory only gets 0.25 core: zero is a multiple of 0.25 by the letter, but the
/// service's own limits name 0.25 core as the least of a container that is not BestEffort.
fn container_step(asked: Size) -> Size {
    if asked.is_best_effort() {
        return asked;
    }
    Size {
        cpu_milli: step_up(asked.cpu_milli.max(1), CPU_STEP_MILLI),
        memory_bytes: asked.memory_bytes.max(CONTAINER_MEMORY_MIN),
    }
}

/// Rules 2 and 3.
fn pod_step(pod: Size) -> Size {
    let (low, high) = RATIO_GI_PER_CORE;
    let whole_gi = pod.memory_bytes.div_ceil(GI);
    let least_gi = pod.cpu_milli.saturating_mul(low).div_ceil(1000);
    let gi = whole_gi.max(least_gi);
    let least_cpu = step_up(gi.saturating_mul(1000).div_ceil(high), CPU_STEP_MILLI);
    Size { cpu_milli: pod.cpu_milli.max(least_cpu), memory_bytes: gi.saturating_mul(GI) }
}

/// Rule 5: growth lands on the first app container that is not BestEffort (on the first such init container when
/// every app container is BestEffort). Where an init container sets the pod's size, the app container is brought up
/// to the pod's size, because a smaller step would leave the pod's maximum, and so its illegal size, as it was.
fn grow(asks: &[Ask], sizes: &mut [Size], from: Size, to: Size) {
    let is =
        |init: bool| asks.iter().zip(sizes.iter()).position(|(a, s)| a.init == init && !s.is_best_effort());
    let Some((init, at)) = is(false).map(|i| (false, i)).or_else(|| is(true).map(|i| (true, i))) else {
        return;
    };
    let siblings = asks.iter().zip(sizes.iter()).enumerate();
    let others = siblings
        .filter(|(i, (a, _))| *i != at && !init && !a.init)
        .fold(Size::default(), |sum, (_, (_, s))| sum.plus(*s));
    let Some(size) = sizes.get_mut(at) else { return };
    if from.cpu_milli != to.cpu_milli {
        size.cpu_milli = size.cpu_milli.max(to.cpu_milli.saturating_sub(others.cpu_milli));
    }
    if from.memory_bytes != to.memory_bytes {
        size.memory_bytes = size.memory_bytes.max(to.memory_bytes.saturating_sub(others.memory_bytes));
    }
}

const fn step_up(value: u64, step: u64) -> u64 {
    value.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests;
