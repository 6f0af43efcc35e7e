//! Money in integers: amounts and rates in billionths of a currency unit, so that sums are exact and order-independent.
//!
//! A cloud's price of one vCPU is some 0.000_05 units per second; a billionth keeps five digits of that. Amounts are
//! written as decimal strings (`"1.20"`), never as floating point. Nothing here converts between currencies.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Billionths in one unit.
const NANO: i128 = 1_000_000_000;

/// An amount of money in billionths of a unit of some currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money(i128);

/// Money per second, in billionths of a unit per second.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Rate(pub u64);

/// A text that is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not an amount of money: write a decimal of at most 9 places, for example \"1.20\"")]
pub struct BadAmount {
    /// What was read.
    pub text: String,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From billionths.
    pub const fn nano(nano: i128) -> Self {
        Self(nano)
    }

    /// In billionths.
    pub const fn as_nano(self) -> i128 {
        self.0
    }

    /// Reads `12`, `1.20` or `0.000000001`; no sign, no exponent, no blanks.
    ///
    /// # Errors
    /// [`BadAmount`].
    pub fn parse(text: &str) -> Result<Self, BadAmount> {
        let bad = || BadAmount { text: text.to_owned() };
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(places) || whole.len() > 18 || places.len() > 9 {
            return Err(bad());
        }
        let whole: i128 = whole.parse().map_err(|_| bad())?;
        let places: i128 = format!("{places:0<9}").parse().map_err(|_| bad())?;
        Ok(Self(whole * NANO + places))
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference; may be below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Rate {
    /// What running for so many seconds costs.
    pub const fn over(self, seconds: u64) -> Money {
        Money((self.0 as i128).saturating_mul(seconds as i128))
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Money {
    /// At least two places, at most nine: `1.20`, `0.000049`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        let (whole, places) = (nano / NANO.unsigned_abs(), nano % NANO.unsigned_abs());
        let places = format!("{places:09}");
        let kept = places.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{whole}.{}", places.get(..kept).unwrap_or(&places))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.strip_prefix('-') {
            Some(positive) => Self::parse(positive).map(|m| Self(-m.0)),
            None => Self::parse(&text),
        }
        .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^-?[0-9]{1,20}(\\.[0-9]{1,9})?$" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        let check = |text: &str, nano| assert_eq!(Money::parse(text).map(Money::as_nano), Ok(nano), "{text}");
        check("0", 0);
        check("1.2", 1_200_000_000);
        check("1.20", 1_200_000_000);
        check("0.000000001", 1);
        check("999999999999999999", 999_999_999_999_999_999 * NANO);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1,2", " 1", "1.0000000001", "1234567890123456789"] {
            let refused = Money::parse(text).expect_err(text).to_string();
            assert!(refused.contains("for example \"1.20\""), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(nano in 0_i128..1_000_000_000_000_000_000) {
            let money = Money::nano(nano);
            prop_assert_eq!(Money::parse(&money.to_string()), Ok(money));
            let negative = Money::nano(-nano);
            let json = serde_json::to_string(&negative).expect("text");
            prop_assert_eq!(serde_json::from_str::<Money>(&json).expect("the same"), negative);
        }
    }
}
