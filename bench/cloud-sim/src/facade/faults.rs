//! Scripted, seeded faults: which call gets what. `decide` is the only place that draws a number, and each rule has its
//! own generator, so a run with the same calls has the same faults.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::millis;
use crate::core::instances::StockOut;
use crate::error::ApiError;

/// One rule of `/_sim/faults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// HTTP method; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Route template such as `/api/v1/namespaces/{namespace}/pods`; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// Only watches (`true`) or only other calls (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watch: Option<bool>,
    /// Only calls whose body contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_contains: Option<String>,
    /// Only these matching calls, counted from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nth: Vec<u64>,
    /// Strikes at most so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// Strikes with this probability; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// Seed of this rule's generator.
    #[serde(default)]
    seed: u64,
    /// What happens.
    action: Action,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Action {
    /// Answers later.
    Latency { milliseconds: u64 },
    /// Does the work, then cuts the connection.
    LostAnswer,
    /// Answers with an error instead of doing the work: the cloud's usual one for the HTTP status, or `error` (ECI's
    /// code, Cube's RetCode).
    Status {
        code: u16,
        retry_after_seconds: Option<u32>,
        message: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// The work is done all the same.
        #[serde(default)]
        afterwards: bool,
    },
    /// Answers 200 with something that is not JSON, instead of doing the work.
    Garbage,
    /// Answers 200 with nothing, instead of doing the work.
    Empty,
    /// The created instance stays Pending, Unschedulable; for ever without `seconds`.
    StockOut { message: Option<String>, seconds: Option<u64> },
    /// Creation is refused with 400 CCI.02.400116.
    NoAllocatedCluster,
    /// Deletion takes so much longer.
    SlowDelete { milliseconds: u64 },
    /// The watch is cut after so long.
    WatchDrop { milliseconds: u64 },
    /// Objects younger than this are missing from the list.
    ListLag { milliseconds: u64 },
    /// The work is done twice, as when the network delivers a call twice (eci, cube).
    Duplicate,
    /// Of a list, only every n-th object (from the second on) is missing; 0 leaves nothing (eci, cube).
    PartialList { missing: usize },
}

/// Everything that happens to one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Injected {
    pub(crate) latency: Option<Duration>,
    pub(crate) lost_answer: bool,
    pub(crate) answer: Option<Canned>,
    pub(crate) stock_out: Option<StockOut>,
    pub(crate) slow_delete: Duration,
    pub(crate) watch_drop: Option<Duration>,
    pub(crate) list_lag: Duration,
    /// `answer` comes after the work, not in its place.
    pub(crate) afterwards: bool,
    pub(crate) duplicate: bool,
    pub(crate) partial_list: Option<usize>,
}

/// An answer that replaces the real one.
#[derive(Clone, Debug)]
pub(crate) enum Canned {
    Error(Box<InjectedError>),
    Garbage,
    Empty,
}

/// An error that a rule asks for, before a cloud puts it into words.
#[derive(Clone, Debug)]
pub(crate) struct InjectedError {
    pub(crate) status: u16,
    /// Seconds.
    pub(crate) retry_after: Option<u32>,
    pub(crate) message: Option<String>,
    /// The cloud's own code.
    pub(crate) error: Option<String>,
}

/// CCI's word for a namespace without capacity.
const NO_ALLOCATED_CLUSTER: &str = "NoAllocatedCluster";

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Armed>>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    random: SplitMix,
    seen: u64,
    struck: u64,
}

impl Faults {
    /// Replaces all rules.
    pub(crate) fn set(&self, rules: Vec<Rule>) {
        let arm = |rule: Rule| Armed { random: SplitMix(rule.seed), rule, seen: 0, struck: 0 };
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules.into_iter().map(arm).collect();
    }

    /// The rules with how often each matched and struck.
    pub(crate) fn summary(&self) -> Value {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let show = |armed: &Armed| json!({"rule": armed.rule, "seen": armed.seen, "struck": armed.struck});
        Value::Array(rules.iter().map(show).collect())
    }

    /// What happens to this call.
    pub(crate) fn decide(&self, method: &Method, template: &str, watch: bool, body: &[u8]) -> Injected {
        let mut injected = Injected::default();
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for armed in rules.iter_mut() {
            if armed.rule.matches(method, template, watch, body) && armed.strikes() {
                armed.rule.action.apply(&mut injected);
            }
        }
        injected
    }
}

impl Rule {
    fn matches(&self, method: &Method, template: &str, watch: bool, body: &[u8]) -> bool {
        let contains = |text: &String| body.windows(text.len().max(1)).any(|part| part == text.as_bytes());
        self.method.as_ref().is_none_or(|wanted| wanted == method.as_str())
            && self.route.as_ref().is_none_or(|wanted| wanted == template)
            && self.watch.is_none_or(|wanted| wanted == watch)
            && self.body_contains.as_ref().is_none_or(contains)
    }
}

impl Armed {
    fn strikes(&mut self) -> bool {
        self.seen += 1;
        let wanted = self.rule.nth.is_empty() || self.rule.nth.contains(&self.seen);
        let left = self.rule.times.is_none_or(|times| self.struck < times);
        let strikes = wanted && left && self.rule.probability.is_none_or(|p| self.random.unit() < p);
        self.struck += u64::from(strikes);
        strikes
    }
}

impl Action {
    fn apply(&self, injected: &mut Injected) {
        match self {
            Self::Latency { milliseconds } => {
                injected.latency = Some(injected.latency.unwrap_or_default() + millis(*milliseconds));
            }
            Self::LostAnswer => injected.lost_answer = true,
            Self::Garbage => injected.answer = Some(Canned::Garbage),
            Self::Empty => injected.answer = Some(Canned::Empty),
            Self::Status { code, retry_after_seconds, message, error, afterwards } => {
                injected.afterwards = *afterwards;
                let error = InjectedError {
                    status: *code,
                    retry_after: *retry_after_seconds,
                    message: message.clone(),
                    error: error.clone(),
                };
                injected.answer = Some(Canned::Error(Box::new(error)));
            }
            Self::NoAllocatedCluster => {
                let error = InjectedError {
                    status: 400,
                    retry_after: None,
                    message: None,
                    error: Some(NO_ALLOCATED_CLUSTER.to_owned()),
                };
                injected.answer = Some(Canned::Error(Box::new(error)));
            }
            Self::StockOut { message, seconds } => {
                let default = "0/1 nodes are available: 1 Insufficient cpu.";
                let message = message.clone().unwrap_or_else(|| default.to_owned());
                injected.stock_out = Some(StockOut { message, lasts: seconds.map(Duration::from_secs) });
            }
            Self::SlowDelete { milliseconds } => injected.slow_delete = millis(*milliseconds),
            Self::WatchDrop { milliseconds } => injected.watch_drop = Some(millis(*milliseconds)),
            Self::ListLag { milliseconds } => injected.list_lag = millis(*milliseconds),
            Self::Duplicate => injected.duplicate = true,
            Self::PartialList { missing } => injected.partial_list = Some(*missing),
        }
    }
}

impl InjectedError {
    /// As CCI says it.
    pub(crate) fn cci1(&self) -> ApiError {
        if self.error.as_deref() == Some(NO_ALLOCATED_CLUSTER) {
            let message = "no cluster is allocated: the available zone has no capacity for the namespace";
            return ApiError::new(StatusCode::BAD_REQUEST, NO_ALLOCATED_CLUSTER, message)
                .code("CCI.02.400116");
        }
        status_error(self.status, self.retry_after, self.message.as_deref())
    }
}

/// The error that the vendor gives with a status.
fn status_error(code: u16, retry_after: Option<u32>, message: Option<&str>) -> ApiError {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let say = |default: &str| message.unwrap_or(default).to_owned();
    let error = match code {
        401 => {
            ApiError::gateway(status, "APIGW.0301", say("Incorrect IAM authentication information: injected"))
        }
        403 => ApiError::new(status, "Forbidden", say("the account is in arrears")).code("CCI.01.403009"),
        409 => ApiError::new(
            status,
            "Conflict",
            say("the object has been modified; please apply your changes to the latest version"),
        ),
        429 => ApiError::new(status, "TooManyRequests", say("too many requests, please try again later")),
        503 => ApiError::new(
            status,
            "ServiceUnavailable",
            say("the server is currently unable to handle the request"),
        ),
        504 => ApiError::new(status, "Timeout", say("the request did not complete in time")),
        400 => ApiError::new(status, "BadRequest", say("injected")).code("CCI.01.400101"),
        _ => ApiError::new(status, "InternalError", say("an internal error occurred")).code("CCI.01.500101"),
    };
    match retry_after {
        Some(seconds) => error.details(json!({"retryAfterSeconds": seconds})).retry_after(seconds),
        None => error,
    }
}

/// Sebastiano Vigna's splitmix64: small, seeded, good enough to spread faults.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: &str = "/api/v1/namespaces/{namespace}/pods";

    fn strikes(rule: &Value, calls: usize) -> Vec<usize> {
        let faults = Faults::default();
        faults.set(vec![serde_json::from_value(rule.clone()).expect("a rule")]);
        let hit = |_: &usize| faults.decide(&Method::POST, PODS, false, b"{\"name\":\"web-1\"}").lost_answer;
        (1..=calls).filter(hit).collect()
    }

    fn check(rule: Value, expected: &[usize]) {
        assert_eq!(strikes(&rule, 6), expected, "{rule}");
    }

    #[test]
    fn rules_choose_their_calls() {
        let lost = json!({"kind": "lostAnswer"});
        check(json!({"action": lost}), &[1, 2, 3, 4, 5, 6]);
        check(json!({"method": "POST", "route": PODS, "nth": [2, 5], "action": lost}), &[2, 5]);
        check(json!({"times": 2, "action": lost}), &[1, 2]);
        check(json!({"method": "GET", "action": lost}), &[]);
        check(json!({"watch": true, "action": lost}), &[]);
        check(json!({"bodyContains": "web-1", "nth": [1], "action": lost}), &[1]);
        check(json!({"bodyContains": "web-2", "action": lost}), &[]);
        check(json!({"probability": 0.0, "action": lost}), &[]);
    }

    #[test]
    fn the_same_seed_strikes_the_same_calls_at_the_asked_rate() {
        let rule = |seed: u64| json!({"probability": 0.3, "seed": seed, "action": {"kind": "lostAnswer"}});
        let (one, again, other) =
            (strikes(&rule(7), 10_000), strikes(&rule(7), 10_000), strikes(&rule(8), 10_000));
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert!((2800..3200).contains(&one.len()), "{}", one.len());
    }

    #[test]
    fn unknown_words_are_refused() {
        for rule in [
            json!({"action": {"kind": "explode"}}),
            json!({"acton": {}}),
            json!({"what": 1, "action": {"kind": "empty"}}),
        ] {
            assert!(serde_json::from_value::<Rule>(rule.clone()).is_err(), "{rule}");
        }
    }
}
