//! What an answer of UCloud means: a RetCode in an HTTP 200, or the gateway's own status.
//!
//! Cube's own list of codes is not public: the codes below 1000 are the gateway's, those above are told apart by their
//! message where the neighbour products' codes say nothing. Facts: the vendor's list of common codes and its SDKs.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::cloud::CloudError;
use crate::cloud::http_client::skew;

use super::action::{Action, Operation};

/// What is waited after a refusal for too many calls, where nothing else is said.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(2);
/// Longest message that is repeated.
const MESSAGE_LIMIT: usize = 400;
/// Clocks that differ by less are not named.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(10);
/// How messages say that there is no room.
const NO_ROOM: [&str; 5] = ["not enough", "insufficient resource", "no resource", "sold out", "资源不足"];
/// How messages say that another pod has a disk still.
const TAKEN: [&str; 4] = ["attached", "in use", "已挂载", "使用中"];

/// Why a call did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The answer never came or makes no sense: what was asked may have happened.
    Unknown(String),
    /// Everything else, already a decision.
    Cloud(CloudError),
}

impl From<Refusal> for CloudError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(text) => Self::Retryable(text),
            Refusal::Cloud(error) => error,
        }
    }
}

/// An answer as it came.
pub(super) struct Answer<'a> {
    pub(super) operation: &'a Operation,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// Our clock when the request was signed.
    pub(super) sent_at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
    ret_code: i64,
    #[serde(default)]
    message: String,
}

/// The body of a good answer, or why it is none.
pub(super) fn read(answer: &Answer<'_>) -> Result<Value, Refusal> {
    if !answer.status.is_success() {
        return Err(by_status(answer));
    }
    let unreadable = |why: &dyn std::fmt::Display| {
        Refusal::Unknown(format!("{}: the answer cannot be read: {why}", answer.operation))
    };
    let body: Value = serde_json::from_slice(answer.body).map_err(|error| unreadable(&error))?;
    let head = Head::deserialize(&body).map_err(|error| unreadable(&error))?;
    if head.ret_code == 0 { Ok(body) } else { Err(by_code(&head, answer)) }
}

fn by_status(answer: &Answer<'_>) -> Refusal {
    let text = format!("{}: the gateway answers HTTP {}", answer.operation, answer.status.as_u16());
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Refusal::Cloud(CloudError::Throttled { message: text, after: answer.retry_after() });
    }
    Refusal::Unknown(text)
}

fn by_code(head: &Head, answer: &Answer<'_>) -> Refusal {
    let said: String =
        head.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect();
    let text = format!("{}: {said} (RetCode {})", answer.operation, head.ret_code);
    let lower = head.message.to_lowercase();
    let creates = answer.operation.action == Action::CreatePod;
    let error = match head.ret_code {
        110 | 130 | 150 => return Refusal::Unknown(text),
        153 => CloudError::Throttled { message: text, after: answer.retry_after() },
        170..=179 => CloudError::Auth(answer.with_skew(text)),
        240 => CloudError::Account(format!("{text}; the zone is not open to this account: ask the vendor")),
        290..=299 => CloudError::Account(text),
        520 => CloudError::Account(format!("{text}; Cube needs a balance of 100 CNY to start a pod")),
        8095 => CloudError::Capacity(format!("{text}; ask for a larger quota")),
        8847 => CloudError::Capacity(format!("{text}; the subnet has no free address")),
        // The pod that has it is about to go, where a StatefulSet makes the next one.
        _ if creates && lower.contains("disk") && TAKEN.iter().any(|words| lower.contains(words)) => {
            CloudError::Retryable(text)
        }
        code if code >= 1000 && creates && NO_ROOM.iter().any(|words| lower.contains(words)) => {
            CloudError::Capacity(text)
        }
        // The SDKs repeat these: a create may have happened.
        code if code >= 1000 => return Refusal::Unknown(text),
        _ => CloudError::Invalid(text),
    };
    Refusal::Cloud(error)
}

impl Answer<'_> {
    fn retry_after(&self) -> Duration {
        let said = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        said.map_or(DEFAULT_THROTTLE, |seconds: u64| Duration::from_secs(seconds.min(120)))
    }

    /// Adds what the answer's `Date` says about our clock, if it explains the refusal.
    fn with_skew(&self, text: String) -> String {
        match skew(self.headers, self.sent_at, TOLERATED_SKEW) {
            Some(skew) => format!("{text}; {skew}: synchronise it"),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(action: Action, status: u16, date: Option<&'static str>, body: &str) -> Result<Value, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(date) = date {
            headers.insert("date", date.parse().unwrap());
        }
        read(&Answer {
            operation: &Operation::new(action, "shop-web"),
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            body: body.as_bytes(),
            sent_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        })
    }

    fn coded(code: i64, message: &str) -> String {
        serde_json::json!({"RetCode": code, "Action": "X", "Message": message}).to_string()
    }

    fn kind(answer: &Result<Value, Refusal>) -> &'static str {
        match answer {
            Ok(_) => "Ok",
            Err(Refusal::Unknown(_)) => "Unknown",
            Err(Refusal::Cloud(error)) => match error {
                CloudError::Retryable(_) => "Retryable",
                CloudError::Throttled { .. } => "Throttled",
                CloudError::Capacity(_) => "Capacity",
                CloudError::Invalid(_) => "Invalid",
                CloudError::Auth(_) => "Auth",
                CloudError::Account(_) => "Account",
                CloudError::Gone(_) => "Gone",
            },
        }
    }

    /// The table of the reference, row by row.
    #[test]
    fn codes() {
        let cases = [
            (0, "", "Ok"),
            (110, "timeout", "Unknown"),
            (130, "", "Unknown"),
            (150, "", "Unknown"),
            (153, "", "Throttled"),
            (160, "", "Invalid"),
            (161, "", "Invalid"),
            (170, "", "Auth"),
            (171, "", "Auth"),
            (172, "", "Auth"),
            (174, "", "Auth"),
            (220, "", "Invalid"),
            (230, "", "Invalid"),
            (230, "Params [Pod] not available: udisk bsr-1 is attached to another pod", "Retryable"),
            (17001, "UDisk is in use", "Retryable"),
            (240, "", "Account"),
            (292, "", "Account"),
            (299, "", "Account"),
            (520, "", "Account"),
            (8357, "Resource is not enough in the zone", "Capacity"),
            (8357, "internal", "Unknown"),
            (8095, "", "Capacity"),
            (8847, "", "Capacity"),
            (17005, "资源不足", "Capacity"),
        ];
        for (code, message, wanted) in cases {
            assert_eq!(
                kind(&ask(Action::CreatePod, 200, None, &coded(code, message))),
                wanted,
                "{code} {message}"
            );
        }
        let listed = ask(Action::ListPods, 200, None, &coded(8357, "Resource is not enough"));
        assert_eq!(kind(&listed), "Unknown");
    }

    #[test]
    fn half_an_answer_and_none_at_all() {
        for (status, body, wanted) in [
            (200, "{\"RetCode\": 0, \"Act", "Unknown"),
            (200, "{}", "Unknown"),
            (200, "<html>", "Unknown"),
            (502, "", "Unknown"),
            (403, "", "Unknown"),
            (429, "", "Throttled"),
        ] {
            assert_eq!(kind(&ask(Action::CreatePod, status, None, body)), wanted, "{status} {body}");
        }
    }

    #[test]
    fn a_wrong_clock_is_named() {
        let text = |date| {
            let refusal = ask(Action::ListPods, 200, Some(date), &coded(171, "Signature VerifyAC Error"));
            CloudError::from(refusal.unwrap_err()).to_string()
        };
        assert!(text("Fri, 02 Jan 2026 02:24:05 GMT").contains("40 min ahead of the cloud's"));
        assert!(!text("Fri, 02 Jan 2026 03:00:05 GMT").contains("clock"));
    }
}
