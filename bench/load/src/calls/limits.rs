//! What the vendors publish about the calls they take.

use super::Provider;

/// Where the numbers are from, and what has none.
pub(super) const SOURCE: &str = "Published: Alibaba Cloud, ECI, call limits of each operation (per account and minute). \
    DescribeContainerGroupStatus has none of its own: 500, the least of its kin, is used. Huawei and UCloud publish none.";

/// Calls per minute and account of ECI, as far as burst makes them.
const ECI: [(&str, f64); 4] = [
    ("CreateContainerGroup", 1000.0),
    ("DeleteContainerGroup", 1000.0),
    ("DescribeContainerGroups", 2000.0),
    ("DescribeContainerGroupStatus", 500.0),
];

const fn table(provider: Provider) -> &'static [(&'static str, f64)] {
    match provider {
        Provider::Eci => &ECI,
        _ => &[],
    }
}

/// Operations whose limits a vendor says.
pub(super) fn named(provider: Provider) -> impl Iterator<Item = &'static str> {
    table(provider).iter().map(|(name, _)| *name)
}

/// The limit of an operation in calls per minute, if the vendor says one.
pub(super) fn published(provider: Provider, operation: &str) -> Option<f64> {
    table(provider).iter().find(|(name, _)| *name == operation).map(|(_, limit)| *limit)
}
