//! What an answer without success means, by its HTTP status and Kubernetes `Status` body.
//!
//! Pure. Vendors put their own codes before this ([`Answer::fault`]). Texts are for users and never repeat what was sent.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::cloud::CloudError;
use crate::cloud::http_client::{http_date, skew};

use super::operation::Operation;

/// How long to wait when the cloud throttles without saying how long.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(2);

/// Signatures and tokens are accepted while the clocks are at most this far apart.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// Longest text taken over from the cloud, in characters.
const MESSAGE_LIMIT: usize = 600;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Refusal {
    /// An object of that name exists: look whose it is.
    AlreadyExists(String),
    /// A precondition (UID, resource version) does not hold.
    Conflict(String),
    /// The list or watch position is too old (410): begin again with a list.
    Expired(String),
    /// The answer never came or makes no sense: what was asked may have happened.
    Unknown(String),
    /// Everything else, already a decision.
    Cloud(CloudError),
}

impl From<Refusal> for CloudError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::AlreadyExists(text)
            | Refusal::Conflict(text)
            | Refusal::Expired(text)
            | Refusal::Unknown(text) => Self::Retryable(text),
            Refusal::Cloud(error) => error,
        }
    }
}

/// An answer as it came.
pub(in crate::cloud) struct Answer<'a> {
    pub(in crate::cloud) operation: &'a Operation,
    pub(in crate::cloud) status: StatusCode,
    pub(in crate::cloud) headers: &'a HeaderMap,
    pub(in crate::cloud) body: &'a [u8],
    /// Our clock when the request was signed.
    pub(in crate::cloud) sent_at: Timestamp,
}

/// Error bodies: `Status`, with the `errorCode` of some vendors, or a gateway's (`error_code`, `error_msg`). Read leniently.
#[derive(Debug, Default, Deserialize)]
pub(in crate::cloud) struct Fault {
    #[serde(default, rename = "errorCode", alias = "error_code")]
    pub(in crate::cloud) code: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default, alias = "error_msg")]
    pub(in crate::cloud) message: Option<String>,
    #[serde(default)]
    details: Option<FaultDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct FaultDetails {
    #[serde(default, rename = "retryAfterSeconds")]
    retry_after_seconds: Option<u64>,
}

impl Answer<'_> {
    /// The error body; empty if it cannot be read.
    pub(in crate::cloud) fn fault(&self) -> Fault {
        serde_json::from_slice(self.body).unwrap_or_default()
    }

    /// What was done, what was said about it, and the numbers.
    pub(in crate::cloud) fn describe(&self, fault: &Fault) -> String {
        let said = fault.message.as_deref().or(fault.reason.as_deref()).filter(|said| !said.is_empty());
        let said: String = said
            .unwrap_or("the answer has no readable error body")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MESSAGE_LIMIT)
            .collect();
        let (operation, status) = (self.operation, self.status.as_u16());
        match fault.code.as_deref() {
            Some(code) => format!("{operation}: {said} (HTTP {status}, {code})"),
            None => format!("{operation}: {said} (HTTP {status})"),
        }
    }

    /// Fewer calls are asked for.
    pub(in crate::cloud) fn throttled(&self, fault: &Fault) -> Refusal {
        let after = self.retry_after(fault).unwrap_or(DEFAULT_THROTTLE);
        Refusal::Cloud(CloudError::Throttled { message: self.describe(fault), after })
    }

    /// Decides by the HTTP status and the body's reason.
    pub(in crate::cloud) fn by_status(&self, fault: &Fault) -> Refusal {
        let text = self.describe(fault);
        let message = fault.message.as_deref().unwrap_or_default();
        let error = match self.status.as_u16() {
            429 => return self.throttled(fault),
            401 => CloudError::Auth(self.with_skew(text)),
            403 if message.contains("exceeded quota") => CloudError::Capacity(text),
            403 if message.contains("being terminated") => CloudError::Retryable(text),
            403 => CloudError::Auth(self.with_skew(text)),
            404 if self.operation.verb.needs_namespace() => CloudError::Account(format!(
                "{text}; the {} namespace is missing and will be made again",
                self.operation.cloud
            )),
            404 => CloudError::Gone(text),
            409 if fault.reason.as_deref() == Some("AlreadyExists") => return Refusal::AlreadyExists(text),
            409 => return Refusal::Conflict(text),
            410 => return Refusal::Expired(text),
            408 | 425 => return Refusal::Unknown(text),
            400..=499 => CloudError::Invalid(text),
            _ => return Refusal::Unknown(text),
        };
        Refusal::Cloud(error)
    }

    /// Adds what the answer's `Date` says about our clock, if it explains the refusal.
    pub(in crate::cloud) fn with_skew(&self, text: String) -> String {
        match skew(self.headers, self.sent_at, TOLERATED_SKEW) {
            Some(skew) => format!("{text}; {skew} (15 min are tolerated): synchronise it"),
            None => text,
        }
    }

    fn retry_after(&self, fault: &Fault) -> Option<Duration> {
        let header = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let from_header = header.and_then(|value| {
            value.trim().parse().ok().map(Duration::from_secs).or_else(|| {
                let at = http_date(value)?;
                Duration::try_from(at.duration_since(self.sent_at)).ok()
            })
        });
        from_header.or_else(|| fault.details.as_ref()?.retry_after_seconds.map(Duration::from_secs))
    }
}
