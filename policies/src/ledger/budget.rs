//! Budgets: what has been spent in this hour, day and month, and whether one more pod can be paid for.
//!
//! `docs/budgets.md` has the rules with the proof. In short: a grant costs from the moment its pod is bound until its
//! instance is confirmed gone; a grant that is not seen bound yet is assumed to cost since it was granted; a new grant
//! is made only if everything, it included, can be paid for over the reserve, in this window and in the next one.

mod calendar;

use std::collections::BTreeMap;

pub(crate) use self::calendar::Kind;
use super::{Grant, Ledger, Seconds, Spend, Window};
use crate::{
    burst_policy::{Budget, BudgetScope, CarryOver, SpendRow},
    money::{Money, Rate},
};

/// Seconds of running that must be paid for, if the budget does not say.
const RESERVE: u64 = 3600;
/// Windows that are followed one by one when nobody settled for a long time; older ones are as if nothing was spent.
const FOLLOWED: usize = 40;

/// The money of one policy in one round.
#[derive(Clone, Debug)]
pub(super) struct Purse<'a> {
    budget: &'a Budget,
    /// Never before the last settlement, whatever the clock says.
    now: Seconds,
    scopes: BTreeMap<String, Account>,
}

/// One scope: what is spent, and what is promised, by kind of window.
#[derive(Clone, Debug, Default)]
struct Account {
    spend: Spend,
    promised: [Promised; 3],
}

/// Sums over the grants of a scope, in billionths.
#[derive(Clone, Copy, Debug, Default)]
struct Promised {
    /// What grants that were not seen bound may have cost in this window already.
    unseen: i128,
    /// What all grants cost from now on in this window, over the reserve.
    here: i128,
    /// What all grants cost in the following window, over the reserve.
    next: i128,
    /// What grants that run cost per second.
    running: i128,
}

impl<'a> Purse<'a> {
    /// Settles a ledger until now. Grants that the ledger holds are not promised yet: [`Self::hold`].
    pub(super) fn open(budget: &'a Budget, ledger: &Ledger, now: Seconds) -> Self {
        let now = now.max(ledger.settled);
        let mut purse = Self { budget, now, scopes: BTreeMap::new() };
        let mut scopes: BTreeMap<&str, Vec<&Grant>> =
            ledger.spend.keys().map(|scope| (scope.as_str(), Vec::new())).collect();
        for grant in ledger.grants.values() {
            scopes.entry(purse.scope(&grant.namespace)).or_default().push(grant);
        }
        if budget.scope == BudgetScope::Policy {
            scopes.entry("").or_default();
        }
        for (scope, grants) in scopes {
            let mut spend = ledger.spend.get(scope).cloned().unwrap_or_default();
            let fresh = !ledger.spend.contains_key(scope);
            for kind in Kind::ALL {
                let from = if fresh { now } else { ledger.settled };
                let window = kind.of_mut(&mut spend);
                if fresh {
                    window.start = kind.start(now);
                }
                purse.settle(kind, window, &grants, from);
            }
            purse.scopes.insert(scope.to_owned(), Account { spend, ..Account::default() });
        }
        purse
    }

    /// The scope that pays for a namespace.
    fn scope<'n>(&self, namespace: &'n str) -> &'n str {
        match self.budget.scope {
            BudgetScope::Policy => "",
            BudgetScope::Namespace => namespace,
        }
    }

    /// Adds up one window from `from` until now, over the ends of windows.
    fn settle(&self, kind: Kind, window: &mut Window, grants: &[&Grant], mut from: Seconds) {
        let current = kind.start(self.now);
        let mut followed = 0;
        while window.start < current {
            followed += 1;
            if followed > FOLLOWED {
                let last = kind.start(current - 1);
                *window = Window { start: last, ..Window::default() };
                from = last;
            }
            let end = kind.end(window.start);
            let spent = window.spent.plus(cost(grants, from.max(window.start), end));
            let unseen = grants.iter().map(|g| unseen(g, window.start, end)).sum();
            let carried = self.carried(kind, window.carried, spent.plus(Money::nano(unseen)));
            *window = Window { start: end, spent: Money::ZERO, carried };
            from = end;
        }
        window.spent = window.spent.plus(cost(grants, from.max(window.start), self.now));
    }

    /// What a window leaves to the next one. What was carried into it is used first and is never carried on.
    fn carried(&self, kind: Kind, carried: Money, spent: Money) -> Money {
        let Some(max) = kind.max(self.budget) else { return Money::ZERO };
        if self.budget.carry_over == CarryOver::None {
            return Money::ZERO;
        }
        let own = spent.minus(carried).max(Money::ZERO);
        max.minus(own).max(Money::ZERO)
    }

    /// Seconds over which this kind of window must be able to pay from now on: here, and in the following window. For
    /// an hour it is always all of it.
    fn horizon(&self, kind: Kind) -> (u64, u64) {
        let reserve = match kind {
            Kind::Hour => u64::MAX,
            Kind::Day | Kind::Month => self.budget.reserve_seconds.unwrap_or(RESERVE),
        };
        let end = kind.end(kind.start(self.now));
        let rest = end.abs_diff(self.now);
        (reserve.min(rest), reserve.min(kind.end(end).abs_diff(end)))
    }

    /// Promises what a grant costs.
    pub(super) fn hold(&mut self, grant: &Grant) {
        self.change(grant, 1);
    }

    /// Takes the promise of a grant back.
    pub(super) fn free(&mut self, grant: &Grant) {
        self.change(grant, -1);
    }

    fn change(&mut self, grant: &Grant, sign: i128) {
        if grant.rate.0 == 0 {
            return;
        }
        let (now, horizons) = (self.now, Kind::ALL.map(|k| self.horizon(k)));
        let account = self.account(&grant.namespace);
        let rate = i128::from(grant.rate.0);
        let left = minimum_left(grant, now);
        for ((kind, promised), (here, next)) in Kind::ALL.into_iter().zip(&mut account.promised).zip(horizons)
        {
            promised.unseen += sign * unseen(grant, kind.start(now), now);
            promised.here += sign * rate * i128::from(here.max(left));
            promised.next += sign * rate * i128::from(next.max(left));
            promised.running += sign * if grant.started.is_some() { rate } else { 0 };
        }
    }

    fn account(&mut self, namespace: &str) -> &mut Account {
        let (scope, now) = (self.scope(namespace).to_owned(), self.now);
        self.scopes.entry(scope).or_insert_with(|| {
            let mut account = Account::default();
            for kind in Kind::ALL {
                kind.of_mut(&mut account.spend).start = kind.start(now);
            }
            account
        })
    }

    /// Whether one more pod at this rate can be paid for.
    ///
    /// # Errors
    /// When the window that cannot pay ends, if the end of it may help.
    pub(super) fn covers(
        &mut self,
        namespace: &str,
        rate: Rate,
        minimum: u64,
    ) -> Result<(), Option<Seconds>> {
        let (now, budget) = (self.now, self.budget);
        let horizons = Kind::ALL.map(|k| self.horizon(k));
        let account = self.account(namespace);
        for ((kind, promised), (here, next)) in Kind::ALL.into_iter().zip(&account.promised).zip(horizons) {
            let Some(max) = kind.max(budget) else { continue };
            let window = kind.of(&account.spend);
            let more = |seconds: u64| i128::from(rate.0) * i128::from(seconds.max(minimum));
            let spent = window.spent.as_nano() + promised.unseen;
            if promised.next + more(next) > max.as_nano() {
                return Err(None);
            }
            if spent + promised.here + more(here) > max.plus(window.carried).as_nano() {
                return Err(Some(kind.end(kind.start(now))));
            }
        }
        Ok(())
    }

    /// The pod of a grant was seen bound for the first time: what it has cost since it was bound, in the windows that
    /// run. What falls into windows that are over was set aside when they ended.
    pub(super) fn seen(&mut self, grant: &Grant, bound: Seconds) {
        let now = self.now;
        self.charge(&grant.namespace, |window| {
            let from = bound.max(window.start);
            if from < now { grant.rate.over(now.abs_diff(from)) } else { Money::ZERO }
        });
    }

    /// A grant ends: the rest of what the cloud bills at least, or all that it may have cost without being seen.
    pub(super) fn ended(&mut self, grant: &Grant) {
        let now = self.now;
        let rest = grant.rate.over(minimum_left(grant, now));
        self.charge(&grant.namespace, |window| match grant.started {
            Some(_) => rest,
            None => Money::nano(unseen(grant, window.start, now)).max(rest),
        });
    }

    fn charge(&mut self, namespace: &str, amount: impl Fn(&Window) -> Money) {
        let account = self.account(namespace);
        for kind in Kind::ALL {
            let window = kind.of_mut(&mut account.spend);
            window.spent = window.spent.plus(amount(window));
        }
    }

    /// Writes what was spent back.
    pub(super) fn close(&self, ledger: &mut Ledger) {
        ledger.settled = self.now;
        ledger.spend = self.scopes.iter().map(|(scope, a)| (scope.clone(), a.spend.clone())).collect();
    }

    /// One row per window with a ceiling, and scope.
    pub(super) fn rows(&self) -> Vec<SpendRow> {
        let mut rows = Vec::new();
        for (scope, account) in &self.scopes {
            for (kind, promised) in Kind::ALL.into_iter().zip(&account.promised) {
                let Some(max) = kind.max(self.budget) else { continue };
                let window = kind.of(&account.spend);
                let rest = kind.end(window.start).abs_diff(self.now);
                let to_come = Money::nano(promised.running.saturating_mul(i128::from(rest)));
                rows.push(SpendRow {
                    window: kind.name().to_owned(),
                    namespace: (self.budget.scope == BudgetScope::Namespace).then(|| scope.clone()),
                    currency: self.budget.currency.clone(),
                    spent: window.spent,
                    projected: window.spent.plus(to_come),
                    max: max.plus(window.carried),
                });
            }
        }
        rows
    }
}

/// What grants that were seen bound cost between two moments.
fn cost(grants: &[&Grant], from: Seconds, until: Seconds) -> Money {
    grants.iter().fold(Money::ZERO, |sum, grant| match grant.started {
        Some(started) if started.max(from) < until => {
            sum.plus(grant.rate.over(until.abs_diff(started.max(from))))
        }
        _ => sum,
    })
}

/// What a grant that was not seen bound may have cost between two moments.
fn unseen(grant: &Grant, from: Seconds, until: Seconds) -> i128 {
    let from = grant.granted.max(from);
    if grant.started.is_some() || from >= until { 0 } else { grant.rate.over(until.abs_diff(from)).as_nano() }
}

/// Seconds that will be billed even if the instance ends now.
fn minimum_left(grant: &Grant, now: Seconds) -> u64 {
    let ran = grant.started.map_or(0, |s| now.max(s).abs_diff(s));
    grant.minimum.saturating_sub(ran)
}
