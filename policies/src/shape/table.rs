//! A vendor's table of sizes, read once from the data file that comes with burst.

use serde::Deserialize;

use super::{GI, Size};

/// The table, cheapest first.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// What a pod gets that says nothing.
    pub(super) default: Size,
    /// Regions that sell the extended sizes.
    regions: Vec<String>,
    /// Sizes with the extended ones marked.
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
    #[serde(default)]
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

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extended {
    regions: Vec<String>,
    sizes: Vec<Many>,
}

impl Table {
    /// The table of a file; none where it does not say what it is and where it is from.
    pub(super) fn read(text: &str) -> Option<Self> {
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

    /// Every size that is sold, cheapest first.
    pub(super) fn sizes(&self, extended: bool) -> impl Iterator<Item = Size> + '_ {
        self.sizes.iter().filter(move |(_, only)| extended || !only).map(|(size, _)| *size)
    }

    /// The cheapest size that is at least this large.
    pub(super) fn cheapest(&self, asked: Size, extended: bool) -> Option<Size> {
        self.sizes(extended).find(|size| asked.fits(*size))
    }

    /// Whether a region sells the extended sizes.
    pub(super) fn extends(&self, region: &str) -> bool {
        self.regions.iter().any(|known| known == region)
    }
}

/// Cores and Gi as a size.
pub(super) fn size(cores: f64, gib: f64) -> Size {
    Size { cpu_milli: (cores * 1000.0).round() as u64, memory_bytes: (gib * GI as f64).round() as u64 }
}
