//! Faults that a test asks for, and the record of requests.

use std::time::Duration;

use serde_json::Value;

/// What happens to a matching request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Answered with this status, not executed.
    Status { code: u16, reason: Option<String>, retry_after: Option<u32> },
    /// Executed after this time.
    Delay(Duration),
    /// Executed, but the answer is lost (connection reset).
    LostAnswer,
    /// Not executed, connection refused.
    Refused,
    /// Not executed, and never answered.
    Hang,
}

/// A fault: which requests, how often, what happens. Matches every request until narrowed with [`Self::on`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) effect: Effect,
    method: Option<String>,
    path: String,
    remaining: Option<u32>,
}

impl Fault {
    /// Answers with a status code and a matching `Status` body; not executed.
    pub const fn status(code: u16) -> Self {
        Self::new(Effect::Status { code, reason: None, retry_after: None })
    }

    /// Executes after this time.
    pub const fn delay(time: Duration) -> Self {
        Self::new(Effect::Delay(time))
    }

    /// Executes, then loses the answer.
    pub const fn lost_answer() -> Self {
        Self::new(Effect::LostAnswer)
    }

    /// Refuses the connection; not executed.
    pub const fn refused() -> Self {
        Self::new(Effect::Refused)
    }

    /// Never answers; not executed.
    pub const fn hang() -> Self {
        Self::new(Effect::Hang)
    }

    const fn new(effect: Effect) -> Self {
        Self { effect, method: None, path: String::new(), remaining: None }
    }

    /// Only requests with this method (`GET`, `PATCH`, …; `WATCH` for watches, which `GET` then does not match) whose
    /// path contains `path`.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.to_owned());
        path.clone_into(&mut self.path);
        self
    }

    /// Only the next `n` matching requests.
    #[must_use]
    pub const fn times(mut self, n: u32) -> Self {
        self.remaining = Some(n);
        self
    }

    /// Sets `Status.reason`, for [`Self::status`].
    #[must_use]
    pub fn reason(mut self, text: &str) -> Self {
        if let Effect::Status { reason, .. } = &mut self.effect {
            *reason = Some(text.to_owned());
        }
        self
    }

    /// Sets `Retry-After` in seconds, for [`Self::status`].
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        if let Effect::Status { retry_after, .. } = &mut self.effect {
            *retry_after = Some(seconds);
        }
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.remaining != Some(0)
            && self.method.as_deref().is_none_or(|m| m == method)
            && path.contains(&self.path)
    }
}

/// Takes the effect of the first fault that matches.
pub(super) fn take(faults: &mut [Fault], method: &str, path: &str) -> Option<Effect> {
    let fault = faults.iter_mut().find(|fault| fault.matches(method, path))?;
    if let Some(remaining) = &mut fault.remaining {
        *remaining -= 1;
    }
    Some(fault.effect.clone())
}

/// A request as it arrived, and the status of its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// HTTP method, or `WATCH`.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query, percent-encoded, empty if none.
    pub query: String,
    /// Header `Impersonate-User`.
    pub impersonated: Option<String>,
    /// Header `Content-Type`, empty if none.
    pub content_type: String,
    /// Body as JSON, null if none.
    pub body: Value,
    /// HTTP status of the answer; 0 if there was none.
    pub status: u16,
}
