//! ECI: a table of sizes, and the cheapest of them that is at least what the pod asks for.
//!
//! What counts is, container by container, the limit, else the request; the pod is `max(sum(app), max(init))`; a pod that
//! says nothing gets the vendor's default. The vendor's own node adds up limits alone as soon as there is one, which
//! would give a container without a limit less than it requests. The annotation `k8s.aliyun.com/eci-use-specs` says the
//! size instead of the containers. Facts: `data/shapes/eci.yaml`.

mod table;

use crate::{
    keys,
    pod::view::PodView,
    price::{Billing, Place},
    reasons::Reason,
    resources::Resources,
};

use super::{Ask, GI, Misfit, Rules, Size, asks_with, effective, units};

pub use table::{extended_region, sizes};

/// Ephemeral storage that every pod has, bytes: what is above it is asked for and billed.
pub const DISK_INCLUDED: u64 = 30 * GI;

/// What the other parts of burst see of it.
pub(crate) const RULES: Rules = Rules { needs_cpu: false, disk: None, counted, billed };

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
    "{cpu} core / {memory} is larger than the largest ECI pod (64 core / 512Gi): ask for less, or split the pod",
    cpu = units::cores(.0.cpu_milli), memory = units::memory(.0.memory_bytes)
)]
pub struct TooLarge(pub Size);

impl From<TooLarge> for Misfit {
    fn from(refusal: TooLarge) -> Self {
        Self { reason: Reason::ShapeTooLarge, sentence: refusal.to_string() }
    }
}

/// What counts of these asks. `stated` is the size that an annotation says instead ([`stated`]).
pub fn sum(asks: &[Ask], stated: Option<Size>) -> Size {
    let sizes: Vec<Size> = asks.iter().map(Ask::equalised).collect();
    stated.unwrap_or_else(|| effective(asks, &sizes))
}

/// The first size that `k8s.aliyun.com/eci-use-specs` names, as `2-4Gi`; an ECS type has none that is known here.
pub fn stated(specs: &str) -> Option<Size> {
    let (cpu, memory) = specs.split(',').next()?.trim().split_once('-')?;
    let cpu: f64 = cpu.parse().ok()?;
    let gib: f64 = memory.strip_suffix("Gi")?.parse().ok()?;
    (cpu > 0.0 && gib > 0.0).then(|| table::size(cpu, gib))
}

/// The cheapest size that is at least this large on both axes. `extended`: the sizes of some regions too.
///
/// # Errors
/// [`TooLarge`].
pub fn round(asked: Size, extended: bool) -> Result<Sold, TooLarge> {
    if asked.is_best_effort() {
        let changed = format!("no container says a size; {}", rounded(table::default()));
        return Ok(Sold { size: table::default(), changed: Some(changed) });
    }
    let size = table::cheapest(asked, extended).ok_or(TooLarge(asked))?;
    let shown = |size: Size| (units::cores(size.cpu_milli), units::memory(size.memory_bytes));
    let (cpu, memory) = shown(asked);
    let changed = match (asked.cpu_milli, asked.memory_bytes) {
        _ if size == asked => None,
        (0, _) => Some(format!("memory {memory} without cpu; {}", rounded(size))),
        (_, 0) => Some(format!("{cpu} core without memory; {}", rounded(size))),
        _ => Some(format!("{cpu} core / {memory} is not an ECI size; {}", rounded(size))),
    };
    Ok(Sold { size, changed })
}

fn rounded(size: Size) -> String {
    format!("rounded to {} core / {}", units::cores(size.cpu_milli), units::memory(size.memory_bytes))
}

fn counted(pod: &PodView<'_>, beside: &[Resources]) -> Result<Size, Misfit> {
    let specs = pod.metadata.annotations.get(keys::ECI_USE_SPECS).and_then(|text| stated(text.as_str()));
    Ok(sum(&asks_with(pod, beside), specs))
}

fn billed(counted: Size, place: Place<'_>) -> Result<Size, Misfit> {
    let extended = place.billing != Billing::Spot && table::extended_zone(place.zone);
    Ok(round(counted, extended)?.size)
}

#[cfg(test)]
mod tests;
