//! An independent watch over a budget: what each window really cost against what it allowed. Knows only prices and
//! times, not why a pod was let in; with it a run shows that no budget was passed, or by how much.

use crate::{
    burst_policy::{Budget, CarryOver},
    ledger::Seconds,
    money::{Money, Rate},
};

#[derive(Clone, Copy, Debug)]
enum Span {
    Hour,
    Day,
    Month,
}

#[derive(Debug)]
struct Window {
    span: Span,
    max: Money,
    spent: Money,
    carried: Money,
    end: Seconds,
}

/// Watches one budget of one policy (of one namespace, where the budget is each namespace's own).
#[derive(Debug)]
pub(super) struct Purse {
    windows: Vec<Window>,
    carry: CarryOver,
    rate: Rate,
    at: Seconds,
    /// The most by which any window was passed.
    worst: Money,
}

impl Purse {
    pub(super) fn new(budget: &Budget, now: Seconds) -> Self {
        let spans =
            [(Span::Hour, budget.per_hour), (Span::Day, budget.per_day), (Span::Month, budget.per_month)];
        let windows = spans.into_iter().filter_map(|(span, max)| {
            let end = end(span, now);
            max.map(|max| Window { span, max, spent: Money::ZERO, carried: Money::ZERO, end })
        });
        Self {
            windows: windows.collect(),
            carry: budget.carry_over,
            rate: Rate::default(),
            at: now,
            worst: Money::ZERO,
        }
    }

    /// From now on so much is running.
    pub(super) fn set(&mut self, now: Seconds, rate: Rate) {
        self.advance(now);
        self.rate = rate;
    }

    /// What is running.
    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// One payment now.
    pub(super) fn pay(&mut self, now: Seconds, money: Money) {
        self.advance(now);
        for window in &mut self.windows {
            window.spent = window.spent.plus(money);
        }
        self.look();
    }

    /// The most by which any window was passed until now.
    pub(super) fn overshoot(&mut self, now: Seconds) -> Money {
        self.advance(now);
        self.worst
    }

    fn advance(&mut self, now: Seconds) {
        while self.at < now {
            let ends = self.windows.iter().map(|w| w.end).min().unwrap_or(now);
            let until = now.min(ends);
            let cost = self.rate.over((until - self.at).unsigned_abs());
            for window in &mut self.windows {
                window.spent = window.spent.plus(cost);
            }
            self.at = until;
            self.look();
            let carry = self.carry;
            for window in self.windows.iter_mut().filter(|w| w.end <= until) {
                let left = window.max.plus(window.carried).minus(window.spent).max(Money::ZERO);
                window.carried = if carry == CarryOver::Unspent { left.min(window.max) } else { Money::ZERO };
                window.spent = Money::ZERO;
                window.end = end(window.span, until);
            }
        }
    }

    fn look(&mut self) {
        for window in &self.windows {
            self.worst = self.worst.max(window.spent.minus(window.max.plus(window.carried)));
        }
    }
}

/// Where the window that holds `now` ends.
fn end(span: Span, now: Seconds) -> Seconds {
    const DAY: Seconds = 86_400;
    let day = now.div_euclid(DAY);
    match span {
        Span::Hour => (now.div_euclid(3_600) + 1) * 3_600,
        Span::Day => (day + 1) * DAY,
        Span::Month => {
            // Gregorian months as days since 1970: the first day of a later month within the next 31 days.
            let month = month_of(day);
            let first = (day + 1..=day + 31).find(|d| month_of(*d) != month);
            first.unwrap_or(day + 31) * DAY
        }
    }
}

/// Month (1 to 12) of a day since 1970 in the proleptic Gregorian calendar, counted from 1 March of an era of 400 years.
const fn month_of(day: i64) -> i64 {
    let in_era = (day + 719_468).rem_euclid(146_097);
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    (5 * in_year + 2) / 153
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_hour: &str, carry_over: CarryOver) -> Budget {
        Budget { per_hour: Some(Money::parse(per_hour).expect("an amount")), carry_over, ..Budget::default() }
    }

    #[test]
    fn windows_end_where_the_calendar_says() {
        let check = |span, now, wanted| assert_eq!(end(span, now), wanted, "{now}");
        check(Span::Hour, 0, 3_600);
        check(Span::Hour, 3_600, 7_200);
        check(Span::Day, 86_399, 86_400);
        check(Span::Month, 0, 2_678_400); // 1970-02-01
        check(Span::Month, 951_782_400, 951_868_800); // 2000-02-29 -> 2000-03-01
        check(Span::Month, 4_107_456_000, 4_107_542_400); // 2100-02-28 -> 2100-03-01, no leap day
        check(Span::Month, 1_798_675_200, 1_798_761_600); // 2026-12-31 -> 2027-01-01
    }

    #[test]
    fn what_is_over_is_seen_and_what_is_under_carries_once() {
        let unit = Rate(1_000_000_000);
        let mut purse = Purse::new(&budget("3600", CarryOver::None), 0);
        purse.set(0, unit);
        assert_eq!(purse.overshoot(7_200), Money::ZERO);
        purse.set(7_200, Rate(2_000_000_000));
        assert_eq!(purse.overshoot(7_200 + 1_900), Money::parse("200").expect("200"));

        let mut purse = Purse::new(&budget("3600", CarryOver::Unspent), 0);
        purse.set(7_200, Rate(2_000_000_000));
        assert_eq!(purse.overshoot(10_800), Money::ZERO, "one window's amount was carried");
        purse.pay(10_800, Money::parse("3600.5").expect("amount"));
        assert_eq!(purse.overshoot(10_800), Money::parse("0.5").expect("half"));
    }
}
