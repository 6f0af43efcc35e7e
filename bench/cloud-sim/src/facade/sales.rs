//! What the simulated cloud does not sell just now and what the account may do: standing state, set through `/_sim/`.
//! Shared by the clouds whose API has no place for it (ECI, Cube); each puts it into its own words.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// One thing that is sold out. Every condition is optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SoldOut {
    /// In this zone.
    pub(crate) zone: Option<String>,
    /// For this switch or subnet (its addresses are used up).
    pub(crate) subnet: Option<String>,
    /// Of so many cores exactly.
    pub(crate) cpu: Option<f64>,
    /// With so many GiB exactly.
    pub(crate) memory: Option<f64>,
    /// Of this type of machine.
    pub(crate) instance_type: Option<String>,
    /// Only spot (`true`) or only ordinary (`false`) instances.
    pub(crate) spot: Option<bool>,
    /// How it shows.
    pub(crate) face: Shown,
    /// It is back after this; never if absent.
    pub(crate) seconds: Option<u64>,
}

/// How an order that cannot be filled looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Shown {
    /// The call is refused.
    #[default]
    Refused,
    /// Accepted, then ended as impossible to schedule.
    Failed,
    /// Accepted, then it waits.
    Pending,
}

/// Why an order cannot be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) face: Shown,
    /// For ever if absent.
    pub(crate) lasts: Option<Duration>,
    /// It is the subnet's addresses that are used up.
    pub(crate) addresses: bool,
}

/// An order, as stock sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want<'a> {
    pub(crate) zone: &'a str,
    pub(crate) subnet: &'a str,
    /// Cores.
    pub(crate) cpu: f64,
    /// GiB.
    pub(crate) memory: f64,
    pub(crate) instance_type: &'a str,
    pub(crate) spot: bool,
}

impl SoldOut {
    fn holds(&self, want: &Want<'_>) -> bool {
        let same = |wanted: Option<f64>, have: f64| wanted.is_none_or(|wanted| (wanted - have).abs() < 1e-6);
        let is = |wanted: &Option<String>, have: &str| wanted.as_ref().is_none_or(|wanted| wanted == have);
        is(&self.zone, want.zone)
            && is(&self.subnet, want.subnet)
            && is(&self.instance_type, want.instance_type)
            && same(self.cpu, want.cpu)
            && same(self.memory, want.memory)
            && self.spot.is_none_or(|spot| spot == want.spot)
    }
}

/// What the account is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Standing {
    /// May it buy, and if not, why.
    pub(crate) state: State,
    /// The most cores it may have at once; no limit if absent.
    pub(crate) max_cpu: Option<f64>,
    /// The security token that temporary keys need; keys are lasting if absent.
    pub(crate) security_token: Option<String>,
}

/// States of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    #[default]
    Good,
    Arrears,
    LowBalance,
    NotEnabled,
    NoPermission,
    Frozen,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Sales {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    sold_out: Vec<(SoldOut, Option<Timestamp>)>,
    standing: Standing,
    /// Calls per minute by operation, instead of the published ones; `*` for all others.
    limits: BTreeMap<String, u32>,
    calls: BTreeMap<String, VecDeque<Timestamp>>,
}

impl Sales {
    /// Everything is for sale; `token` is the security token of temporary keys, if that is what the account has.
    pub(crate) fn new(token: Option<String>) -> Self {
        let standing = Standing { security_token: token, ..Standing::default() };
        let inner = Inner { sold_out: Vec::new(), standing, limits: BTreeMap::new(), calls: BTreeMap::new() };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what is sold out.
    pub(crate) fn set_sold_out(&self, all: Vec<SoldOut>, now: Timestamp) {
        let ends = |rule: &SoldOut| {
            rule.seconds.map(|n| {
                let span = SignedDuration::from_secs(i64::try_from(n).unwrap_or(i64::MAX));
                now.checked_add(span).unwrap_or(Timestamp::MAX)
            })
        };
        self.lock().sold_out = all.into_iter().map(|rule| (rule.clone(), ends(&rule))).collect();
    }

    /// What is sold out.
    pub(crate) fn sold_out(&self) -> Vec<SoldOut> {
        self.lock().sold_out.iter().map(|(rule, _)| rule.clone()).collect()
    }

    /// Whether this cannot be had now.
    pub(crate) fn missing(&self, want: &Want<'_>, now: Timestamp) -> Option<Missing> {
        let inner = self.lock();
        let found = inner
            .sold_out
            .iter()
            .find(|(rule, until)| rule.holds(want) && until.is_none_or(|until| now < until));
        found.map(|(rule, until)| {
            let left = until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
            Missing { face: rule.face, lasts: left, addresses: rule.subnet.is_some() }
        })
    }

    /// What the account is.
    pub(crate) fn standing(&self) -> Standing {
        self.lock().standing.clone()
    }

    /// Changes what the account is.
    pub(crate) fn set_standing(&self, standing: Standing) {
        self.lock().standing = standing;
    }

    /// Replaces the limits.
    pub(crate) fn set_limits(&self, limits: BTreeMap<String, u32>) {
        let mut inner = self.lock();
        inner.limits = limits;
        inner.calls.clear();
    }

    /// The limits that replace published ones.
    pub(crate) fn limits(&self) -> BTreeMap<String, u32> {
        self.lock().limits.clone()
    }

    /// Counts a call; `false` when there were too many within a minute. A refused call is not counted.
    pub(crate) fn admit(&self, operation: &str, published: Option<u32>, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let own = inner.limits.get(operation).or_else(|| inner.limits.get("*")).copied();
        let Some(limit) = own.or(published) else { return true };
        let minute_ago = now.checked_sub(SignedDuration::from_mins(1)).unwrap_or(Timestamp::MIN);
        let calls = inner.calls.entry(operation.to_owned()).or_default();
        while calls.front().is_some_and(|at| *at <= minute_ago) {
            calls.pop_front();
        }
        let free = calls.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        if free {
            calls.push_back(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    #[test]
    fn stock_runs_out_by_zone_and_shape_and_comes_back() {
        let sales = Sales::new(None);
        let rules = json!([{"zone": "a", "cpu": 2.0, "memory": 4.0, "seconds": 60, "face": "failed"}, {"spot": true}]);
        sales.set_sold_out(serde_json::from_value(rules).expect("rules"), at(0));
        let missing = |zone, cpu, spot, now| {
            sales.missing(&Want { zone, cpu, memory: 4.0, spot, ..Want::default() }, at(now)).map(|m| m.face)
        };
        assert_eq!(missing("a", 2.0, false, 10), Some(Shown::Failed));
        assert_eq!(missing("a", 2.0, false, 60), None);
        assert_eq!(missing("a", 4.0, false, 10), None);
        assert_eq!(missing("b", 2.0, false, 10), None);
        assert_eq!(missing("b", 2.0, true, 10), Some(Shown::Refused));
    }

    #[test]
    fn calls_are_limited_by_the_minute_and_refused_ones_do_not_count() {
        let sales = Sales::new(None);
        assert!((0..9).all(|_| sales.admit("Free", None, at(0))));
        let admitted = |second| (0..5).filter(|_| sales.admit("Create", Some(3), at(second))).count();
        assert_eq!((admitted(0), admitted(59), admitted(60)), (3, 0, 3));
        sales.set_limits([("*".to_owned(), 1)].into());
        assert_eq!(admitted(61), 1);
    }
}
