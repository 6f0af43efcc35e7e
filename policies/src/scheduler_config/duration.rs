//! Durations as Go writes them: `300ms`, `1m30s`, `1.5s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// A duration of at least zero in Go's notation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

const UNITS: &[(&str, f64)] =
    &[("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

impl GoDuration {
    /// Reads `time.ParseDuration`'s notation; `None` if it is not one, or negative.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::default());
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        let mut seconds = None;
        while !rest.is_empty() {
            let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (value, tail) = rest.split_at(number);
            let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit);
            let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
            seconds = Some(seconds.unwrap_or(0.0) + value.parse::<f64>().ok()? * factor);
            rest = tail;
        }
        Duration::try_from_secs_f64(seconds?).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| Error::custom(format!("{text:?} is not a duration such as 300ms or 5s")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_notation() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(
                GoDuration::parse(text),
                millis.map(|m| GoDuration(Duration::from_millis(m))),
                "{text:?}"
            );
        };
        check("300ms", Some(300));
        check("5s", Some(5000));
        check("1m30s", Some(90_000));
        check("1.5s", Some(1500));
        check("0", Some(0));
        check("0s", Some(0));
        check("+2h", Some(7_200_000));
        for wrong in ["", "5", "s", "-1s", "1 s", "1d", "1s5"] {
            check(wrong, None);
        }
    }
}
