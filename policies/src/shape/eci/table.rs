//! The table of sizes, and where the extended ones are sold.

use std::sync::LazyLock;

use crate::shape::{
    Size,
    table::{self, Table},
};

const FILE: &str = include_str!("../../../data/shapes/eci.yaml");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(FILE).unwrap_or_default());

/// Cores and Gi as a size.
pub(super) fn size(cores: f64, gib: f64) -> Size {
    table::size(cores, gib)
}

/// What a pod gets that says nothing.
pub(super) fn default() -> Size {
    TABLE.default
}

/// The cheapest size that is at least this large.
pub(super) fn cheapest(asked: Size, extended: bool) -> Option<Size> {
    TABLE.cheapest(asked, extended)
}

/// Every size that is sold, cheapest first.
pub fn sizes(extended: bool) -> impl Iterator<Item = Size> {
    TABLE.sizes(extended)
}

/// Whether a region sells the extended sizes.
pub fn extended_region(region: &str) -> bool {
    TABLE.extends(region)
}

/// The same of a zone: a zone is its region and one more part, `cn-hangzhou-h` or `ap-southeast-1a`.
pub(super) fn extended_zone(zone: &str) -> bool {
    let region = zone.rsplit_once('-').map(|(region, _)| region);
    let letter = zone.strip_suffix(|last: char| last.is_ascii_lowercase());
    [region, letter].into_iter().flatten().any(extended_region)
}
