//! CCI 2.0: a table of sizes, and the smallest of them that holds the pod.
//!
//! What counts is, container by container, the limit, else the request, at least what a container can have; the pod is
//! `max(sum(app), max(init))`. Containers are not made larger: the pod is a size of the table, which the bridge names. The
//! pod's annotations may name the size, reserve memory and allow sizes above 32 cores. Facts: `data/shapes/cci2.yaml`.

use std::sync::LazyLock;

use crate::{
    pod::view::PodView,
    price::Place,
    reasons::Reason,
    resources::Resources,
    support::cci2::annotations::{LARGE, RESERVATION, SIZE},
};

use super::{Ask, GI, Misfit, Rules, Size, asks_with, effective, table::Table, units};

const FILE: &str = include_str!("../../data/shapes/cci2.yaml");

/// The least of a container that is not BestEffort.
const CONTAINER_MIN: Size = Size { cpu_milli: 250, memory_bytes: GI / 2 };

/// Above so many milli-cores nothing is raised unless the pod allows it.
const LARGE_FROM: u64 = 32_000;

/// Ephemeral storage that every pod has, bytes: what is above it is asked for.
pub const DISK_INCLUDED: u64 = 30 * GI;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(FILE).unwrap_or_default());

/// What the other parts of burst see of it.
pub(crate) const RULES: Rules = Rules { needs_cpu: true, disk: None, counted, billed };

/// What the annotations of a pod say of its size.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// The size to buy.
    pub named: Option<Size>,
    /// 1 Gi more than the containers ask for.
    pub reserve: bool,
    /// Sizes above 32 cores may be the next one.
    pub large: bool,
}

impl Wishes {
    /// Reads them; `annotation` looks one up. A value that is not legal says nothing here: it is refused elsewhere.
    pub fn read<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        let is_true = |key| annotation(key).is_some_and(|text| text.trim() == "true");
        Self { named: annotation(SIZE).and_then(named), reserve: is_true(RESERVATION), large: is_true(LARGE) }
    }
}

/// A size of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// What is bought.
    pub size: Size,
    /// What was changed and why, in one sentence; `None` when the pod asked for a size of the table.
    pub changed: Option<String>,
}

/// Why CCI 2.0 has no size for a pod. The texts name the limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No container sets CPU.
    #[error(
        "CCI needs at least one container with cpu > 0 in its requests or limits: set resources.requests.cpu"
    )]
    NoCpu,
    /// Larger than every size.
    #[error(
        "{} is larger than the largest CCI 2.0 pod (64 core / 512Gi): ask for less, or split the pod",
        shown(*.0)
    )]
    TooLarge(Size),
    /// It would be raised above 32 cores.
    #[error(
        "{} becomes a CCI 2.0 size above 32 cores: allow that with the annotation {LARGE}: \"true\", or ask for less",
        shown(*.0)
    )]
    NotAllowed(Size),
    /// The named size does not hold the containers.
    #[error("the annotation {SIZE} names {}, and the containers ask for {}: name a larger size", spec(*.0), shown(*.1))]
    Less(Size, Size),
}

impl From<Refusal> for Misfit {
    fn from(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::NoCpu => Reason::NoCpuRequest,
            _ => Reason::ShapeTooLarge,
        };
        Self { reason, sentence: refusal.to_string() }
    }
}

/// Every size that is sold, smallest first.
pub fn sizes() -> impl Iterator<Item = Size> {
    TABLE.sizes(false)
}

/// What each container gets, requests and limits alike; nothing where it asks for nothing.
pub fn containers(asks: &[Ask]) -> Vec<Size> {
    let sizes = asks.iter().map(Ask::equalised);
    sizes.map(|size| if size.is_best_effort() { size } else { size.max(CONTAINER_MIN) }).collect()
}

/// The size that is bought for these asks.
///
/// # Errors
/// [`Refusal`].
pub fn sold(asks: &[Ask], wishes: Wishes) -> Result<Sold, Refusal> {
    let asked = effective(asks, &containers(asks));
    if asked.cpu_milli == 0 {
        return Err(Refusal::NoCpu);
    }
    if let Some(named) = wishes.named {
        let fits = asked.fits(named);
        return if fits { Ok(Sold { size: named, changed: None }) } else { Err(Refusal::Less(named, asked)) };
    }
    let memory_bytes = asked.memory_bytes + if wishes.reserve { GI } else { 0 };
    let wanted = Size { memory_bytes, ..asked };
    let size = TABLE.cheapest(wanted, false).ok_or(Refusal::TooLarge(wanted))?;
    if size.cpu_milli > LARGE_FROM && size != wanted && !wishes.large {
        return Err(Refusal::NotAllowed(wanted));
    }
    let changed = (size != asked)
        .then(|| format!("{} is not a CCI 2.0 size; rounded to {}", shown(asked), shown(size)));
    Ok(Sold { size, changed })
}

/// A size as the annotations spell it: `2.00_4.0`.
pub fn spec(size: Size) -> String {
    let hundredths = size.cpu_milli.div_ceil(10);
    let tenths = u128::from(size.memory_bytes) * 10 / u128::from(GI);
    format!("{}.{:02}_{}.{}", hundredths / 100, hundredths % 100, tenths / 10, tenths % 10)
}

/// The size of the table that has this spelling.
pub fn named(text: &str) -> Option<Size> {
    sizes().find(|size| spec(*size) == text.trim())
}

fn shown(size: Size) -> String {
    format!("{} core / {}", units::cores(size.cpu_milli), units::memory(size.memory_bytes))
}

fn counted(pod: &PodView<'_>, beside: &[Resources]) -> Result<Size, Misfit> {
    let wishes = Wishes::read(|key| pod.metadata.annotations.get(key).map(|text| text.as_str()));
    Ok(sold(&asks_with(pod, beside), wishes)?.size)
}

fn billed(counted: Size, _: Place<'_>) -> Result<Size, Misfit> {
    TABLE.cheapest(counted, false).ok_or_else(|| Refusal::TooLarge(counted).into())
}

#[cfg(test)]
mod tests;
