//! Sizes that a cloud sells, and how a pod's asks are rounded up to one of them.
//!
//! One implementation for admission, scheduling, creation, price and the page. It must never make a container
//! smaller than what was asked for. [`Rules`] is what all of them see of a provider; whose they are, [`crate::providers`]
//! says.

pub mod cci;
pub mod cci2;
pub mod cube;
pub mod eci;

mod asks;
mod table;
pub mod units;

use std::collections::BTreeMap;

use crate::{pod::view::PodView, price::Place, providers, reasons::Reason, resources::Resources};

pub use asks::{asks, asks_with, disk};

/// One Gi in bytes.
pub const GI: u64 = 1 << 30;

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

impl Ask {
    /// Limits win over requests; zero says nothing.
    pub(crate) fn equalised(&self) -> Size {
        let pick = |limit: Option<u64>, request: Option<u64>| {
            limit.filter(|v| *v > 0).or(request).unwrap_or_default().max(request.unwrap_or_default())
        };
        Size {
            cpu_milli: pick(self.limits.cpu_milli, self.requests.cpu_milli),
            memory_bytes: pick(self.limits.memory_bytes, self.requests.memory_bytes),
        }
    }
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

    const fn fits(self, room: Self) -> bool {
        self.cpu_milli <= room.cpu_milli && self.memory_bytes <= room.memory_bytes
    }
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

/// Why a provider has no size for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// [`Reason::NoCpuRequest`] or [`Reason::ShapeTooLarge`].
    pub reason: Reason,
    /// The same for the pod's owner, with the provider's limits.
    pub sentence: String,
}

/// How a provider sizes pods.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A pod in which no container asks for CPU has no size.
    pub needs_cpu: bool,
    /// Most ephemeral storage of a pod, bytes, and what its owner is told above it; none where more can be had.
    pub disk: Option<(u64, &'static str)>,
    /// What of a pod, with containers of these sizes beside it, is rounded and billed.
    pub(crate) counted: fn(&PodView<'_>, &[Resources]) -> Result<Size, Misfit>,
    /// The size that is billed for what counts, in a place.
    pub(crate) billed: fn(Size, Place<'_>) -> Result<Size, Misfit>,
}

impl Rules {
    /// The size that is billed for a pod with containers of these sizes beside it, wherever it is.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn size(&self, pod: &PodView<'_>, beside: &[Resources]) -> Result<Size, Misfit> {
        (self.billed)((self.counted)(pod, beside)?, Place::default())
    }

    /// The size that is billed in a place for what counts.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn billed(&self, counted: Size, place: Place<'_>) -> Result<Size, Misfit> {
        (self.billed)(counted, place)
    }
}

/// What counts of a pod at each provider (by the value of its taint), where it is billed otherwise than the sum of the
/// requests would be: clouds round container by container, or count limits. Empty for most pods.
pub fn counted(pod: &PodView<'_>, beside: &[Resources], requests: Resources) -> BTreeMap<String, Resources> {
    let sum = beside.iter().fold(requests, |sum, more| sum.plus(*more));
    let sum = Size { cpu_milli: sum.cpu_milli, memory_bytes: sum.memory_bytes };
    let all = providers::ALL.iter().filter_map(|known| Some((known.taint, known.shape?)));
    let differing = all.filter_map(|(taint, rules)| {
        let own = (rules.counted)(pod, beside).ok()?;
        let here = |size: Size| rules.billed(size, Place::default()).ok();
        let size = Resources { cpu_milli: own.cpu_milli, memory_bytes: own.memory_bytes, ..requests };
        (here(own) != here(sum)).then(|| (taint.to_owned(), size))
    });
    differing.collect()
}
