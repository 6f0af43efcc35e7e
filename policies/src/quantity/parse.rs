//! The text of a quantity: its parts, its exact amount, and what is wrong with it.

use super::{Format, MAX_NANO, NANO, QuantityError, capped};

/// Past this many digits before the point a number is above the cap, whatever its suffix.
const MAX_INTEGER_DIGITS: i64 = 19;
/// Past this many zeros behind the point every digit is below one nano, even times 2^60.
const MAX_LEADING_ZEROS: i64 = 64;

/// What a suffix multiplies by: 2^`binary` × 10^`decimal`.
pub(super) struct Scale {
    binary: u32,
    decimal: i64,
    pub(super) format: Format,
}

impl Scale {
    pub(super) fn of_suffix(suffix: &str) -> Option<Self> {
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

pub(super) fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

pub(super) fn split_number(text: &str) -> (&str, &str, &str) {
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
pub(super) fn magnitude(integer: &str, fraction: &str, scale: &Scale) -> i128 {
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

pub(super) fn suffix_error(text: &str, suffix: &str) -> QuantityError {
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
