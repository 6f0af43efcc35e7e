//! The table of sizes, read once from the data file that comes with burst.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{GI, Size};

const FILE: &str = include_str!("../../../data/shapes/eci.yaml");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(FILE).unwrap_or_default());

/// The table, cheapest first, sizes with the extended ones marked.
#[derive(Debug, Default)]
struct Table {
    default: Size,
    regions: Vec<String>,
    sizes: Vec<(Size, bool)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: String,
    date: String,
    weights: Weights,
    default: One,
    sizes: Vec<Many>,
    extended: Extended,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    vcpu: u64,
    gib: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    vcpu: f64,
    gib: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    vcpu: f64,
    gib: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extended {
    regions: Vec<String>,
    sizes: Vec<Many>,
}

impl Table {
    fn read(text: &str) -> Option<Self> {
        let file: File = serde_saphyr::from_str(text).ok()?;
        if file.source.is_empty() || file.date.is_empty() {
            return None;
        }
        let each = |rows: Vec<Many>, extended: bool| {
            rows.into_iter()
                .flat_map(move |row| row.gib.into_iter().map(move |gib| (size(row.vcpu, gib), extended)))
        };
        let mut sizes: Vec<_> = each(file.sizes, false).chain(each(file.extended.sizes, true)).collect();
        let price = |size: Size| {
            u128::from(size.cpu_milli) * u128::from(file.weights.vcpu) / 1000
                + u128::from(size.memory_bytes) * u128::from(file.weights.gib) / u128::from(GI)
        };
        sizes.sort_by_key(|(size, _)| (price(*size), *size));
        let default = size(file.default.vcpu, file.default.gib);
        Some(Self { default, regions: file.extended.regions, sizes })
    }
}

/// Cores and Gi as a size.
pub(super) fn size(cores: f64, gib: f64) -> Size {
    Size { cpu_milli: (cores * 1000.0).round() as u64, memory_bytes: (gib * GI as f64).round() as u64 }
}

/// What a pod gets that says nothing.
pub(super) fn default() -> Size {
    TABLE.default
}

/// The cheapest size that is at least this large.
pub(super) fn cheapest(asked: Size, extended: bool) -> Option<Size> {
    sizes(extended).find(|size| asked.fits(*size))
}

/// Every size that is sold, cheapest first.
pub fn sizes(extended: bool) -> impl Iterator<Item = Size> {
    TABLE.sizes.iter().filter(move |(_, only)| extended || !only).map(|(size, _)| *size)
}

/// Whether a region sells the extended sizes.
pub fn extended_region(region: &str) -> bool {
    TABLE.regions.iter().any(|known| known == region)
}

/// The same of a zone: a zone is its region and one more part, `cn-hangzhou-h` or `ap-southeast-1a`.
pub(super) fn extended_zone(zone: &str) -> bool {
    let region = zone.rsplit_once('-').map(|(region, _)| region);
    let letter = zone.strip_suffix(|last: char| last.is_ascii_lowercase());
    [region, letter].into_iter().flatten().any(extended_region)
}
