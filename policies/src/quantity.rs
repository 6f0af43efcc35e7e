//! Kubernetes quantities, exactly: text to a number and back, without floating point.
//!
//! The value is held in thousand-millionths (nano), the finest step Kubernetes knows; finer text is rounded away
//! from zero and anything beyond 2^63-1 is capped, as apimachinery does. Grammar, rounding, capping and canonical
//! form follow `k8s.io/apimachinery/pkg/api/resource` (`Quantity`).

use std::{cmp::Ordering, fmt, str::FromStr};

use thiserror::Error;

const NANO: i128 = 1_000_000_000;
const MILLI_IN_NANO: i128 = 1_000_000;
/// Kubernetes caps every quantity at 2^63-1 units.
const MAX_NANO: i128 = i64::MAX as i128 * NANO;
/// Past this many digits before the point a number is above the cap, whatever its suffix.
const MAX_INTEGER_DIGITS: i64 = 19;
/// Past this many zeros behind the point every digit is below one nano, even times 2^60.
const MAX_LEADING_ZEROS: i64 = 64;

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

/// What a suffix multiplies by: 2^`binary` × 10^`decimal`.
struct Scale {
    binary: u32,
    decimal: i64,
    format: Format,
}

impl Scale {
    fn of_suffix(suffix: &str) -> Option<Self> {
        let decimal = |decimal| Some(Self { binary: 0, decimal, format: Format::DecimalSi });
        let binary = |binary| Some(Self { binary, decimal: 0, format: Format::BinarySi });
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(10),
            "Mi" => binary(20),
            "Gi" => binary(30),
            "Ti" => binary(40),
            "Pi" => binary(50),
            "Ei" => binary(60),
            _ => exponent(suffix)
                .and_then(|(decimal, rest)| rest.is_empty().then_some(decimal))
                .map(|decimal| Self { binary: 0, decimal, format: Format::DecimalExponent }),
        }
    }
}

/// Splits `e+3Ki` into 3 and `Ki`; nothing if it does not begin with an exponent.
fn exponent(suffix: &str) -> Option<(i64, &str)> {
    let body = suffix.strip_prefix(['e', 'E'])?;
    let (negative, digits) = split_sign(body);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    // More digits than an i64 holds are as good as "very many".
    let value = digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000);
    Some((if negative { -value } else { value }, rest))
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn split_number(text: &str) -> (&str, &str, &str) {
    let (integer, rest) = split_digits(text);
    match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, suffix) = split_digits(rest);
            (integer, fraction, suffix)
        }
        None => (integer, "", rest),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The amount in nano. Digits are walked one by one (Horner's rule on both sides of the point), so neither the
/// length of the text nor the exponent can overflow or lose the "was there anything left" bit.
fn magnitude(integer: &str, fraction: &str, scale: &Scale) -> i128 {
    let unit = (1_i128 << scale.binary) * NANO;
    let mut point = integer.len() as i64 + scale.decimal;
    let all = integer.bytes().chain(fraction.bytes()).map(|b| i128::from(b - b'0'));
    let digits: Vec<i128> = all
        .skip_while(|&digit| {
            let leading_zero = digit == 0;
            point -= i64::from(leading_zero);
            leading_zero
        })
        .collect();
    if digits.is_empty() {
        return 0;
    }
    if point > MAX_INTEGER_DIGITS {
        return MAX_NANO;
    }
    let before = usize::try_from(point).unwrap_or(0);
    let whole = (0..before).fold(0, |sum, i| sum * 10 + digits.get(i).copied().unwrap_or(0));
    let Some(whole) = i128::checked_mul(whole, unit) else { return MAX_NANO };
    let zeros = (-point).clamp(0, MAX_LEADING_ZEROS);
    let behind = digits.get(before..).unwrap_or(&[]);
    capped(whole.saturating_add(behind_point(behind, zeros, unit)))
}

/// `0.000ddd` × unit, rounded up; `zeros` is the number of zeros between the point and the digits.
fn behind_point(digits: &[i128], zeros: i64, unit: i128) -> i128 {
    let mut rest = false;
    let padding = (0..zeros).map(|_| &0);
    let sum = digits.iter().rev().chain(padding).fold(0, |sum, digit| {
        let scaled = digit * unit + sum;
        rest |= scaled % 10 != 0;
        scaled / 10
    });
    sum + i128::from(rest)
}

const fn capped(nano: i128) -> i128 {
    if nano > MAX_NANO { MAX_NANO } else { nano }
}

fn ceil_div(nano: i128, step: i128) -> i64 {
    let quotient = nano.div_euclid(step) + i128::from(nano.rem_euclid(step) != 0);
    i64::try_from(quotient).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX })
}

fn suffix_error(text: &str, suffix: &str) -> QuantityError {
    match exponent(suffix) {
        Some((_, rest)) if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphabetic()) => {
            QuantityError::ExponentAndSuffix { text: text.to_owned(), suffix: rest.to_owned() }
        }
        _ => QuantityError::UnknownSuffix {
            text: text.to_owned(),
            suffix: suffix.to_owned(),
            hint: hint(text, suffix),
        },
    }
}

/// What people type for a suffix (`GB`, `gi`, `K`, ` Gi`) and what Kubernetes calls it.
fn hint(text: &str, suffix: &str) -> String {
    let wanted = match suffix.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" => "k",
        "ki" | "kib" => "Ki",
        "mb" => "M",
        "mi" | "mib" => "Mi",
        "g" | "gb" => "G",
        "gi" | "gib" => "Gi",
        "t" | "tb" => "T",
        "ti" | "tib" => "Ti",
        "pi" | "pib" => "Pi",
        "ei" | "eib" => "Ei",
        _ => return String::new(),
    };
    let number = text.strip_suffix(suffix).unwrap_or(text);
    format!("; did you mean \"{number}{wanted}\"?")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, nano: i128, canonical: &str) {
        let q = Quantity::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(q.nano(), nano, "{text}");
        assert_eq!(q.to_string(), canonical, "{text}");
    }

    #[test]
    fn every_suffix() {
        check("0", 0, "0");
        check("1", NANO, "1");
        check("1n", 1, "1n");
        check("1u", 1_000, "1u");
        check("100m", 100_000_000, "100m");
        check("1k", 1_000 * NANO, "1k");
        check("1M", 1_000_000 * NANO, "1M");
        check("1G", NANO * NANO, "1G");
        check("1T", 1_000 * NANO * NANO, "1T");
        check("1P", 1_000_000 * NANO * NANO, "1P");
        check("1E", NANO * NANO * NANO, "1E");
        check("1Ki", 1024 * NANO, "1Ki");
        check("1Mi", (1 << 20) * NANO, "1Mi");
        check("1Gi", (1 << 30) * NANO, "1Gi");
        check("1Ti", (1 << 40) * NANO, "1Ti");
        check("1Pi", (1 << 50) * NANO, "1Pi");
        check("1Ei", (1 << 60) * NANO, "1Ei");
        check("1e3", 1_000 * NANO, "1e3");
        check("1E3", 1_000 * NANO, "1e3");
        check("1e+3", 1_000 * NANO, "1e3");
        check("5E-3", 5_000_000, "5e-3");
    }

    #[test]
    fn spelling_and_canonical_form() {
        check("0.5", 500_000_000, "500m");
        check(".5", 500_000_000, "500m");
        check("1.", NANO, "1");
        check("+0.25", 250_000_000, "250m");
        check("-1.5", -1_500_000_000, "-1500m");
        check("1.5Gi", (3 << 29) * NANO, "1536Mi");
        check("0.5Ki", 512 * NANO, "512");
        check("1.0001Ki", 1_024_102_400_000, "1024102400u");
        check("1000m", NANO, "1");
        check("2048Mi", (2 << 30) * NANO, "2Gi");
        check("1000000", 1_000_000 * NANO, "1M");
        check("1e2", 100 * NANO, "100");
        check("00012", 12 * NANO, "12");
        check("-0", 0, "0");
    }

    #[test]
    fn rounding_and_capping() {
        check("0.1n", 1, "1n");
        check("-0.1n", -1, "-1n");
        check("1.0000000001", NANO + 1, "1000000001n");
        check("1e-400", 1, "1e-9");
        check("0e999999999999999999999", 0, "0");
        check("10E", MAX_NANO, "9223372036854775807");
        check("1e99999999999999999999", MAX_NANO, "9223372036854775807");
        check("16Ei", MAX_NANO, "9223372036854775807");
        check(&"9".repeat(400), MAX_NANO, "9223372036854775807");
        check(&format!("0.{}1", "0".repeat(400)), 1, "1n");
        check("10000000000000000000000m", MAX_NANO, "9223372036854775807");
    }

    #[test]
    fn ceilings() {
        let check = |text: &str, milli, value| {
            let q = Quantity::parse(text).unwrap();
            assert_eq!((q.to_milli_ceil(), q.to_value_ceil()), (milli, value), "{text}");
        };
        check("1", 1000, 1);
        check("100u", 1, 1);
        check("1500m", 1500, 2);
        check("-1500m", -1500, -1);
        check("1Gi", 1_073_741_824_000, 1_073_741_824);
        check("9E", i64::MAX, 9_000_000_000_000_000_000);
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let check = |text: &str, wanted: &str| {
            let error = Quantity::parse(text).expect_err(text).to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        };
        check("", "empty");
        for text in ["+", "-", ".", "lots", "i", "Ki", "--1", " 1"] {
            check(text, "does not start with a number");
        }
        for text in ["1i", "1K", "1mi", "1am", "1.1.M", "1e", "1e+", "1Gi ", "1 Gi", "1_000", "1,5", "0x10"] {
            check(text, "is not one of n u m k M G T P E Ki Mi Gi Ti Pi Ei");
        }
        check("1GB", "did you mean \"1G\"?");
        check("1.5gi", "did you mean \"1.5Gi\"?");
        check("2 Gi", "did you mean \"2Gi\"?");
        check("1e3Ki", "has an exponent and the suffix \"Ki\"");
        check("1e3m", "has an exponent and the suffix \"m\"");
        check("1Ki3", "is not one of");
        check("1e3.5", "is not one of");
        check("١", "does not start with a number");
    }

    #[test]
    fn constructors() {
        assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
        assert_eq!(Quantity::from_units(3 << 30, Format::BinarySi).to_string(), "3Gi");
        assert_eq!(Quantity::from_units(u64::MAX, Format::BinarySi).nano(), MAX_NANO);
        assert!(Quantity::parse("1Ki").unwrap() == Quantity::parse("1024").unwrap());
        assert!(Quantity::parse("1k").unwrap() < Quantity::parse("1Ki").unwrap());
    }

    proptest! {
        #[test]
        fn canonical_round_trip(
            integer in 0_u64..1_000_000_000_000,
            fraction in prop::option::of("[0-9]{0,12}"),
            sign in prop::sample::select(vec!["", "-", "+"]),
            suffix in prop::sample::select(vec![
                "n", "u", "m", "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-7",
            ]),
        ) {
            let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
            let first = Quantity::parse(&format!("{sign}{integer}{fraction}{suffix}")).unwrap();
            let text = first.to_string();
            let second = Quantity::parse(&text).unwrap();
            prop_assert_eq!(first, second);
            prop_assert_eq!(text, second.to_string());
        }

        #[test]
        fn agrees_with_plain_arithmetic(milli in 0_u64..1_000_000_000_000, kibi in 0_u64..1_000_000_000) {
            prop_assert_eq!(Quantity::parse(&format!("{milli}m")).unwrap().to_milli_ceil(), milli as i64);
            let text = format!("{}.{:03}", milli / 1000, milli % 1000);
            prop_assert_eq!(Quantity::parse(&text).unwrap(), Quantity::from_milli(milli));
            prop_assert_eq!(Quantity::parse(&format!("{kibi}Ki")).unwrap().to_value_ceil(), (kibi * 1024) as i64);
        }

        #[test]
        fn never_panics_and_stays_in_range(text in ".{0,40}", number in "[+-]?[0-9]{0,50}\\.?[0-9]{0,50}([eE][+-]?[0-9]{1,25}|[KMGTPE]i?)?") {
            for candidate in [text, number] {
                if let Ok(q) = Quantity::parse(&candidate) {
                    prop_assert!(q.nano().abs() <= MAX_NANO);
                }
            }
        }
    }
}
