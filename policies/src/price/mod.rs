//! What a cloud charges: prices by provider, zone and way of paying, per second of a vCPU, a GiB and a GPU.
//!
//! Rates are whole billionths of a currency unit per second, rounded up, so that a budget is never undercounted.
//! Nothing here converts between currencies and no figure is invented: the shipped book holds what a vendor published,
//! with its source and date; everything else is the operator's to fill in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::Rate;

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
pub struct PriceBook {}

/// What one pod costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// Per second.
    pub rate: Rate,
    /// Seconds that are billed at least.
    pub minimum_seconds: u64,
}
