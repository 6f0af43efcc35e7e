//! What a cloud charges: prices by provider, zone and way of paying, per second of a vCPU, a GiB and a GPU.
//!
//! Rates are whole billionths of a currency unit per second, rounded up, so that a budget is never undercounted.
//! Nothing here converts between currencies and no figure is invented: the shipped book holds what a vendor published,
//! with its source and date; everything else is the operator's to fill in.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    money::{Money, Rate},
    providers,
    resources::Resources,
    shape::{GI, Size},
};

/// The book that is shipped.
const SHIPPED: &str = include_str!("../../data/prices/published.yaml");

/// How an instance is paid for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Billing {
    /// By the second.
    #[default]
    OnDemand,
    /// By the second at the market's price; the cloud may take it back.
    Spot,
    /// Paid in advance.
    Reserved,
}

/// Every price that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceBook {
    /// One row per provider, zone, way of paying and currency.
    pub prices: Vec<Price>,
}

/// One row of the book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// Value of the provider taint (`huawei`, `alibabacloud`, `ucloud`, …).
    pub provider: String,
    /// The zone; absent means every zone that has no row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How it is paid.
    #[serde(default)]
    pub billing: Billing,
    /// ISO code.
    pub currency: String,
    /// One vCPU for one second.
    pub vcpu_second: Money,
    /// One GiB for one second.
    pub gib_second: Money,
    /// One GPU for one second, by model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gpu_second: BTreeMap<String, Money>,
    /// Seconds that are billed at least.
    #[serde(default)]
    pub minimum_seconds: u64,
    /// Where the figures are from.
    pub source: String,
    /// When they held, as the source says it.
    pub date: String,
}

/// What one pod costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// Per second.
    pub rate: Rate,
    /// Seconds that are billed at least.
    pub minimum_seconds: u64,
}

/// The place that a price is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Value of the provider taint.
    pub provider: &'a str,
    /// The zone, empty if it has none.
    pub zone: &'a str,
    /// How it is paid.
    pub billing: Billing,
}

/// A price book that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPrices {
    /// The text does not decode.
    #[error("the price book does not decode: {0}")]
    Text(String),
    /// A row says something that cannot be.
    #[error("prices[{row}] ({provider}): {problem}")]
    Row {
        /// Which row, from 0.
        row: usize,
        /// Its provider.
        provider: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl PriceBook {
    /// The published prices that come with burst: see `docs/prices.md`.
    pub fn shipped() -> Self {
        Self::read(SHIPPED).unwrap_or_default()
    }

    /// Reads an operator's file, YAML or JSON. Unknown fields, amounts that are not decimals, and two rows for the
    /// same place are errors.
    ///
    /// # Errors
    /// [`BadPrices`].
    pub fn read(text: &str) -> Result<Self, BadPrices> {
        let book: Self = serde_saphyr::from_str(text).map_err(|e| BadPrices::Text(e.to_string()))?;
        book.check()?;
        Ok(book)
    }

    fn check(&self) -> Result<(), BadPrices> {
        let mut seen = BTreeSet::new();
        for (row, price) in self.prices.iter().enumerate() {
            let place = (&price.provider, &price.zone, price.billing, &price.currency);
            let problem = if seen.insert(place) {
                price.problem()
            } else {
                Some("an earlier row has the same provider, zone, billing and currency: keep one".to_owned())
            };
            if let Some(problem) = problem {
                return Err(BadPrices::Row { row, provider: price.provider.clone(), problem });
            }
        }
        Ok(())
    }

    /// Whether any price is in this currency.
    pub fn has(&self, currency: &str) -> bool {
        self.prices.iter().any(|p| p.currency == currency)
    }

    /// What a pod of this size costs in a place. `counted` is what the provider counts of the pod, if that is not the sum
    /// of the requests ([`crate::shape::counted`]); it is rounded as the provider rounds, or taken as it is.
    /// Where the way of paying has no row the on-demand price stands in; a GPU of an unknown model costs what the
    /// dearest model costs. `None` when the book has no price.
    pub fn quote(
        &self,
        currency: &str,
        place: Place<'_>,
        requests: Resources,
        counted: Option<Resources>,
    ) -> Option<Quote> {
        let row = self
            .row(currency, place, place.billing)
            .or_else(|| self.row(currency, place, Billing::OnDemand))?;
        let size = rounded(place, counted.unwrap_or(requests));
        let gpu = if size.gpu == 0 { 0 } else { row.gpu_second.values().map(|m| m.as_nano()).max()? };
        let cpu = share(row.vcpu_second, size.cpu_milli, 1000);
        let memory = share(row.gib_second, size.memory_bytes, GI);
        let gpu = gpu.saturating_mul(i128::from(size.gpu));
        let nano = cpu.saturating_add(memory).saturating_add(gpu);
        Some(Quote {
            rate: Rate(u64::try_from(nano).unwrap_or(u64::MAX)),
            minimum_seconds: row.minimum_seconds,
        })
    }

    fn row(&self, currency: &str, place: Place<'_>, billing: Billing) -> Option<&Price> {
        let rows = || {
            self.prices
                .iter()
                .filter(|p| p.provider == place.provider && p.currency == currency && p.billing == billing)
        };
        rows().find(|p| p.zone.as_deref() == Some(place.zone)).or_else(|| rows().find(|p| p.zone.is_none()))
    }
}

impl Price {
    fn problem(&self) -> Option<String> {
        let code = self.currency.len() == 3 && self.currency.bytes().all(|b| b.is_ascii_uppercase());
        let negative = |m: &Money| m.as_nano() < 0;
        if self.provider.is_empty() {
            Some("provider is empty: write the value of the virtual nodes' provider taint".to_owned())
        } else if !code {
            Some(format!("currency {:?} is not an ISO code such as CNY", self.currency))
        } else if self.source.is_empty() || self.date.is_empty() {
            Some("source and date must say where the figures are from and when they held".to_owned())
        } else if negative(&self.vcpu_second)
            || negative(&self.gib_second)
            || self.gpu_second.values().any(negative)
        {
            Some("a price is below zero".to_owned())
        } else {
            None
        }
    }
}

/// Part of a unit's price, rounded up.
fn share(price: Money, amount: u64, unit: u64) -> i128 {
    let product = price.as_nano().saturating_mul(i128::from(amount));
    product.saturating_add(i128::from(unit) - 1) / i128::from(unit)
}

/// The billed size of what counts; as it is where the provider sells none that large.
fn rounded(place: Place<'_>, counted: Resources) -> Resources {
    let Some(rules) = providers::shape(place.provider) else { return counted };
    let size = Size { cpu_milli: counted.cpu_milli, memory_bytes: counted.memory_bytes };
    rules.billed(size, place).map_or(counted, |size| Resources {
        cpu_milli: size.cpu_milli,
        memory_bytes: size.memory_bytes,
        ..counted
    })
}
