//! Counts every cloud call by method, route template and answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::Method;
use serde_json::{Value, json};

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    counts: Mutex<BTreeMap<(String, String, u16), u64>>,
}

impl Requests {
    /// Counts one call; status 0 is an answer that was lost.
    pub(crate) fn count(&self, method: &Method, template: &str, watch: bool, status: u16) {
        let method = if watch { "WATCH" } else { method.as_str() };
        let key = (method.to_owned(), template.to_owned(), status);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    /// `{"total": n, "counts": [{"method", "route", "status", "count"}]}`.
    pub(crate) fn summary(&self) -> Value {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = counts.values().sum();
        let rows: Vec<Value> = (counts.iter())
            .map(|((method, route, status), count)| {
                json!({"method": method, "route": route, "status": status, "count": count})
            })
            .collect();
        json!({"total": total, "counts": rows})
    }

    /// Starts again at zero.
    pub(crate) fn reset(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
