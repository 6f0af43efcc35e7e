//! What an answer of the API server means for a guarded write.

use std::time::Duration;

use serde::Deserialize;

use super::Outcome;

/// Why a write was refused for good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u32,
}

/// Time after which a write in contention is sent again: the server has tried five times itself.
const CONTENTION: Duration = Duration::from_millis(100);

/// Time after which an overloaded server is asked again, unless it says another.
const OVERLOADED: Duration = Duration::from_secs(1);

/// How a 409 says that another object has the name: the storage's words (PUT), and those of DELETE and eviction.
const UID: [&str; 2] = ["UID in precondition", "UID in the precondition"];

/// Reads an answer.
pub(super) fn judge(code: u16, body: &[u8], create: bool) -> Result<Outcome, Refusal> {
    if (200..300).contains(&code) {
        return Ok(Outcome::Done);
    }
    let status = serde_json::from_slice(body).unwrap_or_else(|_| Status {
        message: String::from_utf8_lossy(body).chars().take(200).collect(),
        ..Status::default()
    });
    let other_object = match code {
        409 => {
            create && status.reason == "AlreadyExists"
                || UID.iter().any(|words| status.message.contains(words))
        }
        422 => status.message.contains("metadata.uid"),
        _ => false,
    };
    match code {
        _ if other_object => Ok(Outcome::Conflict),
        404 | 410 => Ok(Outcome::Gone),
        409 => Ok(Outcome::Retry(CONTENTION)),
        408 | 429 | 500 | 502..=504 => Ok(Outcome::Retry(after(&status))),
        _ => Err(Refusal { reason: status.reason, message: status.message }),
    }
}

fn after(status: &Status) -> Duration {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if seconds == 0 { OVERLOADED } else { Duration::from_secs(seconds.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u16, body: &str, create: bool, want: Result<Outcome, &str>) {
        let got = judge(code, body.as_bytes(), create).map_err(|refusal| refusal.reason);
        assert_eq!(got, want.map_err(str::to_owned), "{code} {body}");
    }

    #[test]
    fn answers() {
        let precondition = r#"{"reason":"Conflict","message":"Precondition failed: UID in precondition: a, UID in object meta: b"}"#;
        let deletion = r#"{"reason":"Conflict","message":"Operation cannot be fulfilled on pods \"a\": the UID in the precondition (x) does not match the UID in record (y). The object might have been deleted and then recreated"}"#;
        let immutable = r#"{"reason":"Invalid","message":"Pod \"a\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable"}"#;
        check(200, "", false, Ok(Outcome::Done));
        check(201, "", true, Ok(Outcome::Done));
        check(404, "{}", false, Ok(Outcome::Gone));
        check(409, precondition, false, Ok(Outcome::Conflict));
        check(409, deletion, false, Ok(Outcome::Conflict));
        check(422, immutable, false, Ok(Outcome::Conflict));
        check(409, r#"{"reason":"AlreadyExists"}"#, true, Ok(Outcome::Conflict));
        check(
            409,
            r#"{"reason":"Conflict","message":"the object has been modified"}"#,
            false,
            Ok(Outcome::Retry(CONTENTION)),
        );
        check(
            429,
            r#"{"details":{"retryAfterSeconds":7}}"#,
            false,
            Ok(Outcome::Retry(Duration::from_secs(7))),
        );
        check(503, "upstream down", false, Ok(Outcome::Retry(OVERLOADED)));
        check(403, r#"{"reason":"Forbidden"}"#, false, Err("Forbidden"));
        check(422, r#"{"reason":"Invalid","message":"status.phase"}"#, false, Err("Invalid"));
        check(401, "garbage", false, Err(""));
    }
}
