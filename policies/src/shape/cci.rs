//! CCI 1.0: Huawei's published rounding ("资源自动规整" in the virtual-kubelet add-on's manual).
//!
//! Limits win over requests and both become equal; each container that is not BestEffort goes up to a multiple of
//! 0.25 core and to at least 0.2 Gi; the pod, `max(sum(app), max(init))`, goes up to whole Gi and a ratio of 2 to
//! 8 Gi per core; growth at pod level lands on the first container that is not BestEffort. Never shrinks anything.

mod asks;
mod text;

pub use asks::{asks, asks_with, billed, disk};

/// One Gi in bytes.
pub const GI: u64 = 1 << 30;
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

/// What one side (requests or limits) of a container says. `None` and zero both mean "nothing said".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// CPU in thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
}

/// What a container asks for, in the pod's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Container name.
    pub name: String,
    /// `resources.requests`.
    pub requests: Amount,
    /// `resources.limits`.
    pub limits: Amount,
    /// An init container that ends before the app containers start.
    pub init: bool,
}

/// A size: requests and limits are both this. Zero in both fields is a BestEffort container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

impl Size {
    /// Whether nothing is set: the container stays without requests and limits.
    pub const fn is_best_effort(self) -> bool {
        self.cpu_milli == 0 && self.memory_bytes == 0
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
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
        cpu = text::cores(.0.cpu_milli), memory = text::memory(.0.memory_bytes)
    )]
    TooLarge(Size),
}

/// Rounds a pod up to the next size that CCI 1.0 sells.
///
/// # Errors
/// [`Refusal`] when no container has CPU, or the rounded pod is above 32 cores or 256 Gi.
pub fn round(asks: &[Ask]) -> Result<Shape, Refusal> {
    let asked: Vec<Size> = asks.iter().map(equalised).collect();
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

/// Limits win over requests; zero says nothing.
fn equalised(ask: &Ask) -> Size {
    let pick = |limit: Option<u64>, request: Option<u64>| {
        limit.filter(|v| *v > 0).or(request).unwrap_or_default().max(request.unwrap_or_default())
    };
    Size {
        cpu_milli: pick(ask.limits.cpu_milli, ask.requests.cpu_milli),
        memory_bytes: pick(ask.limits.memory_bytes, ask.requests.memory_bytes),
    }
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

/// `max(sum(app), max(init))`, each resource on its own.
fn effective(asks: &[Ask], sizes: &[Size]) -> Size {
    let (mut app, mut init) = (Size::default(), Size::default());
    for (ask, size) in asks.iter().zip(sizes) {
        if ask.init {
            init = init.max(*size);
        } else {
            app = app.plus(*size);
        }
    }
    app.max(init)
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
