//! Cube: a table of sizes, and the cheapest of them that is at least what the pod asks for.
//!
//! Cube rounds nothing: the limits of the containers must add up to a size of the table, or the pod is refused there. So
//! what counts is, container by container, the limit, else the request, and at least what a container can have; the pod
//! is `max(sum(app), max(init))`; what the size has beyond that goes to the first container ([`split`]). A pod that says
//! nothing gets the default. Facts: `data/shapes/cube.yaml`.

use std::sync::LazyLock;

use crate::{pod::view::PodView, price::Place, reasons::Reason, resources::Resources};

use super::{
    Ask, GI, Misfit, Rules, Size, asks_with, effective,
    table::{self, Table},
    units,
};

const FILE: &str = include_str!("../../data/shapes/cube.yaml");

/// The least that one container can have.
const CONTAINER_MIN: Size = Size { cpu_milli: 100, memory_bytes: GI / 8 };

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(FILE).unwrap_or_default());

/// What the other parts of burst see of it.
pub(crate) const RULES: Rules = Rules {
    needs_cpu: false,
    disk: Some((
        10 * GI,
        "a Cube container has 10Gi of scratch space: ask for at most that, or mount an nfs volume",
    )),
    counted,
    billed,
};

/// A size of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// What is sent and billed.
    pub size: Size,
    /// What was changed and why, in one sentence; `None` when the pod asked for a size of the table.
    pub changed: Option<String>,
}

/// The pod is larger than the largest size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{cpu} core / {memory} is larger than the largest Cube pod (32 core / 128Gi): ask for less, or split the pod",
    cpu = units::cores(.0.cpu_milli), memory = units::memory(.0.memory_bytes)
)]
pub struct TooLarge(pub Size);

impl From<TooLarge> for Misfit {
    fn from(refusal: TooLarge) -> Self {
        Self { reason: Reason::ShapeTooLarge, sentence: refusal.to_string() }
    }
}

/// Every size that is sold, cheapest first.
pub fn sizes() -> impl Iterator<Item = Size> {
    TABLE.sizes(false)
}

/// What a pod gets that says nothing, unless its virtual node says another size.
pub fn default_size() -> Size {
    TABLE.default
}

/// Cores and Gi as a size.
pub fn size(cores: f64, gib: f64) -> Size {
    table::size(cores, gib)
}

/// What each container counts for: nothing where no container says anything.
fn own(asks: &[Ask]) -> Vec<Size> {
    let sizes: Vec<Size> = asks.iter().map(Ask::equalised).collect();
    if sizes.iter().all(|size| size.is_best_effort()) {
        return sizes;
    }
    sizes.into_iter().map(|size| size.max(CONTAINER_MIN)).collect()
}

/// What counts of these asks.
pub fn sum(asks: &[Ask]) -> Size {
    effective(asks, &own(asks))
}

/// The cheapest size that is at least this large on both axes; `default` where nothing is asked for.
///
/// # Errors
/// [`TooLarge`].
pub fn round(asked: Size, default: Size) -> Result<Sold, TooLarge> {
    if asked.is_best_effort() {
        let changed = format!("no container says a size; {}", rounded(default));
        return Ok(Sold { size: default, changed: Some(changed) });
    }
    let size = TABLE.cheapest(asked, false).ok_or(TooLarge(asked))?;
    let (cpu, memory) = (units::cores(asked.cpu_milli), units::memory(asked.memory_bytes));
    let changed =
        (size != asked).then(|| format!("{cpu} core / {memory} is not a Cube size; {}", rounded(size)));
    Ok(Sold { size, changed })
}

fn rounded(size: Size) -> String {
    format!("rounded to {} core / {}", units::cores(size.cpu_milli), units::memory(size.memory_bytes))
}

/// The limits of the app containers, in their order, which add up to `sold`: each at least what it asks for, and the
/// first with what is left. Where nothing is asked for they share alike.
pub fn split(asks: &[Ask], sold: Size) -> Vec<Size> {
    let apps = asks.iter().filter(|ask| !ask.init).count() as u64;
    let mut sizes: Vec<Size> =
        asks.iter().zip(own(asks)).filter(|(ask, _)| !ask.init).map(|(_, size)| size).collect();
    if sizes.iter().all(|size| size.is_best_effort()) && apps > 0 {
        let share = Size { cpu_milli: sold.cpu_milli / apps, memory_bytes: sold.memory_bytes / apps };
        sizes = vec![share; sizes.len()];
    }
    let used = sizes.iter().fold(Size::default(), |sum, size| sum.plus(*size));
    if let Some(first) = sizes.first_mut() {
        first.cpu_milli += sold.cpu_milli.saturating_sub(used.cpu_milli);
        first.memory_bytes += sold.memory_bytes.saturating_sub(used.memory_bytes);
    }
    sizes
}

fn counted(pod: &PodView<'_>, beside: &[Resources]) -> Result<Size, Misfit> {
    Ok(sum(&asks_with(pod, beside)))
}

fn billed(counted: Size, _: Place<'_>) -> Result<Size, Misfit> {
    Ok(round(counted, default_size())?.size)
}

#[cfg(test)]
mod tests;
