//! Kubernetes quantities, exactly: text to a number and back, without floating point.
//!
//! The value is held in thousand-millionths (nano), the finest step Kubernetes knows; finer text is rounded away
//! from zero and anything beyond 2^63-1 is capped, as apimachinery does. Grammar, rounding, capping and canonical
//! form follow `k8s.io/apimachinery/pkg/api/resource` (`Quantity`).

mod parse;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, fmt, str::FromStr};

use thiserror::Error;

use parse::{Scale, magnitude, split_number, split_sign, suffix_error};

const NANO: i128 = 1_000_000_000;
const MILLI_IN_NANO: i128 = 1_000_000;
/// Kubernetes caps every quantity at 2^63-1 units.
const MAX_NANO: i128 = i64::MAX as i128 * NANO;

/// The family of suffixes a quantity was written with; it decides the canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E` or none.
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `e3`, `E-2`.
    DecimalExponent,
}

/// An exact Kubernetes quantity. Equality and order compare the amount, not the spelling (`1Ki` equals `1024`).
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

/// Why a text is not a quantity. Every message quotes the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// No text at all.
    #[error("the quantity is empty; write a number such as 500m, 2 or 1Gi")]
    Empty,
    /// No digit where the number should start.
    #[error("{text:?} does not start with a number; write a number such as 500m, 2 or 1Gi")]
    NotANumber {
        /// The text as given.
        text: String,
    },
    /// What follows the number is not a suffix.
    #[error("{text:?} ends in {suffix:?}, which is not one of n u m k M G T P E Ki Mi Gi Ti Pi Ei{hint}")]
    UnknownSuffix {
        /// The text as given.
        text: String,
        /// What follows the number.
        suffix: String,
        /// `; did you mean "1Gi"?` or nothing.
        hint: String,
    },
    /// An exponent and a suffix together, as in `1e3Ki`.
    #[error("{text:?} has an exponent and the suffix {suffix:?}; a quantity takes only one of them")]
    ExponentAndSuffix {
        /// The text as given.
        text: String,
        /// What follows the exponent.
        suffix: String,
    },
}

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// [`QuantityError`] when the text does not follow Kubernetes' grammar.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = split_sign(text);
        let (integer, fraction, suffix) = split_number(unsigned);
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        if integer.is_empty() && fraction.is_empty() {
            return Err(QuantityError::NotANumber { text: text.to_owned() });
        }
        let scale = Scale::of_suffix(suffix).ok_or_else(|| suffix_error(text, suffix))?;
        let magnitude = magnitude(integer, fraction, &scale);
        Ok(Self { nano: if negative { -magnitude } else { magnitude }, format: scale.format })
    }

    /// A quantity of whole units (bytes, devices, pods).
    pub const fn from_units(units: u64, format: Format) -> Self {
        Self { nano: capped(units as i128 * NANO), format }
    }

    /// A quantity of thousandths (CPU).
    pub const fn from_milli(milli: u64) -> Self {
        Self { nano: capped(milli as i128 * MILLI_IN_NANO), format: Format::DecimalSi }
    }

    /// Thousandths, rounded up, capped to what an `i64` holds.
    pub fn to_milli_ceil(&self) -> i64 {
        ceil_div(self.nano, MILLI_IN_NANO)
    }

    /// Whole units, rounded up.
    pub fn to_value_ceil(&self) -> i64 {
        ceil_div(self.nano, NANO)
    }

    /// The family of suffixes it was written with.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The exact amount in thousand-millionths.
    pub const fn nano(&self) -> i128 {
        self.nano
    }

    /// Whether the amount is below zero.
    pub const fn is_negative(&self) -> bool {
        self.nano < 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

/// The canonical form: no fraction, the largest suffix that keeps every digit.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let whole = self.nano % NANO == 0;
        let units = self.nano / NANO;
        if self.format == Format::BinarySi && whole && units.abs() >= 1024 {
            return write_binary(f, units);
        }
        write_decimal(f, self.nano, self.format)
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut units: i128) -> fmt::Result {
    let mut suffixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
    let mut suffix = "";
    while units % 1024 == 0 {
        let Some(next) = suffixes.next() else { break };
        suffix = next;
        units /= 1024;
    }
    write!(f, "{units}{suffix}")
}

fn write_decimal(f: &mut fmt::Formatter<'_>, mut mantissa: i128, format: Format) -> fmt::Result {
    let mut exponent = -9;
    while mantissa % 1000 == 0 && exponent < 18 {
        mantissa /= 1000;
        exponent += 3;
    }
    match (format, exponent) {
        (Format::DecimalExponent, 0) => write!(f, "{mantissa}"),
        (Format::DecimalExponent, _) => write!(f, "{mantissa}e{exponent}"),
        _ => write!(f, "{mantissa}{}", decimal_suffix(exponent)),
    }
}

const fn decimal_suffix(exponent: i32) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}

const fn capped(nano: i128) -> i128 {
    if nano > MAX_NANO { MAX_NANO } else { nano }
}

fn ceil_div(nano: i128, step: i128) -> i64 {
    let quotient = nano.div_euclid(step) + i128::from(nano.rem_euclid(step) != 0);
    i64::try_from(quotient).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX })
}
