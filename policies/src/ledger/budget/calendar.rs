//! Calendar hours, days and months in UTC, without a calendar crate.
//!
//! Facts: the proleptic Gregorian calendar; `civil_from_days` after Howard Hinnant's "chrono-Compatible Low-Level Date
//! Algorithms".

use crate::{
    burst_policy::Budget,
    ledger::{Seconds, Spend, Window},
    money::Money,
};

const HOUR: Seconds = 3600;
const DAY: Seconds = 24 * HOUR;

/// A kind of window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hour,
    Day,
    Month,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// When the window that holds this moment began.
    pub(crate) const fn start(self, at: Seconds) -> Seconds {
        match self {
            Self::Hour => at.div_euclid(HOUR) * HOUR,
            Self::Day => at.div_euclid(DAY) * DAY,
            Self::Month => {
                let (year, month) = month_of(at.div_euclid(DAY));
                first_day(year, month) * DAY
            }
        }
    }

    /// When a window that began at `start` ends.
    pub(crate) const fn end(self, start: Seconds) -> Seconds {
        match self {
            Self::Hour => start + HOUR,
            Self::Day => start + DAY,
            Self::Month => {
                let (year, month) = month_of(start.div_euclid(DAY));
                let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                first_day(year, month) * DAY
            }
        }
    }

    /// The ceiling that a budget sets.
    pub(crate) const fn max(self, budget: &Budget) -> Option<Money> {
        match self {
            Self::Hour => budget.per_hour,
            Self::Day => budget.per_day,
            Self::Month => budget.per_month,
        }
    }

    pub(crate) const fn of(self, spend: &Spend) -> &Window {
        match self {
            Self::Hour => &spend.hour,
            Self::Day => &spend.day,
            Self::Month => &spend.month,
        }
    }

    pub(crate) const fn of_mut(self, spend: &mut Spend) -> &mut Window {
        match self {
            Self::Hour => &mut spend.hour,
            Self::Day => &mut spend.day,
            Self::Month => &mut spend.month,
        }
    }
}

/// Year and month (1 to 12) of a day since 1970-01-01.
const fn month_of(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month)
}

/// Days from 1970-01-01 to the first of a month.
const fn first_day(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_known_moments() {
        // date -u -d @1795273190: Sat Nov 21 14:59:50 UTC 2026.
        let at = 1_795_273_190;
        let check = |kind: Kind, start, end| {
            assert_eq!((kind.start(at), kind.end(kind.start(at))), (start, end), "{kind:?}");
        };
        check(Kind::Hour, 1_795_269_600, 1_795_273_200);
        check(Kind::Day, 1_795_219_200, 1_795_305_600);
        check(Kind::Month, 1_793_491_200, 1_796_083_200);
    }

    #[test]
    fn months_follow_each_other_over_400_years() {
        let (mut start, mut days) = (0, Vec::new());
        while days.len() < 4800 {
            let end = Kind::Month.end(start);
            assert_eq!(
                (Kind::Month.start(start), Kind::Month.start(end - 1), Kind::Month.start(end)),
                (start, start, end)
            );
            days.push((end - start) / DAY);
            start = end;
        }
        assert_eq!(days.iter().sum::<i64>(), 146_097);
        assert_eq!(days.get(..14), Some(&[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28][..]));
        assert_eq!(days.get(25), Some(&29), "February 1972");
    }
}
