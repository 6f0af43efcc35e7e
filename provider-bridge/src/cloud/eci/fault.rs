//! What an answer of ECI without success means: its official codes first, then the HTTP status.
//!
//! Pure. Throttling is HTTP 400 here, and most refusals of an account are 400 or 403: the status alone says little. Facts:
//! the error codes of the 2018-08-08 API's metadata and of the gateway before it. Texts are for users and never repeat
//! what was sent.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::cloud::CloudError;
use crate::cloud::http_client::skew;

use super::action::{Action, Operation};

/// How long to wait when the cloud throttles without saying how long.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(2);
/// How long to wait when the day's vCPUs are used up.
const DAILY_THROTTLE: Duration = Duration::from_secs(3600);
/// The longest wait that is taken from an answer.
const LONGEST_THROTTLE: Duration = Duration::from_secs(120);
/// Signatures are accepted while the clocks are at most this far apart.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(15);
/// Longest text taken over from the cloud, in characters.
const MESSAGE_LIMIT: usize = 600;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The answer never came or makes no sense: what was asked may have happened. Repeated with the same client token.
    Unknown(String),
    /// The client token was used with other parameters: an earlier request may have made the group.
    Mismatch(String),
    /// No room in this vSwitch or zone: another may have some.
    Place(String),
    /// This vSwitch cannot be used as it is configured; another may.
    Misplaced(String),
    /// The spot market has none at this price.
    Spot(String),
    /// The nonce was seen before: the same again with another one.
    Nonce(String),
    /// Everything else, already a decision.
    Cloud(CloudError),
}

impl From<Refusal> for CloudError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(text) | Refusal::Mismatch(text) | Refusal::Nonce(text) => Self::Retryable(text),
            Refusal::Place(text) | Refusal::Spot(text) => Self::Capacity(text),
            Refusal::Misplaced(text) => {
                Self::Account(format!("{text}; correct vSwitches and securityGroup of the virtual node"))
            }
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

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Fault {
    code: String,
    message: String,
    request_id: String,
}

/// Decides what a non-success answer means.
pub(super) fn classify(answer: &Answer<'_>) -> Refusal {
    let fault: Fault = serde_json::from_slice(answer.body).unwrap_or_default();
    let text = answer.describe(&fault);
    by_code(&fault.code, &text, answer).unwrap_or_else(|| by_status(text, answer))
}

fn by_code(code: &str, text: &str, answer: &Answer<'_>) -> Option<Refusal> {
    let text = text.to_owned();
    let throttled = |text: String, after: Duration| {
        let after = answer.retry_after().unwrap_or(after);
        Refusal::Cloud(CloudError::Throttled { message: text, after })
    };
    let refusal = match code {
        "Throttling" | "Throttling.User" | "Throttling.Api" | "EipPurchaseFlowControl" => {
            throttled(text, DEFAULT_THROTTLE)
        }
        "Throttling.Vcpu.PerDay" => throttled(text, DAILY_THROTTLE),
        "OperationDenied.NoStock"
        | "Zone.NotOnSale"
        | "RecommendEmpty.InstanceTypeFamilyNotMatched"
        | "InvalidVSwitchId.IpNotEnough" => Refusal::Place(text),
        "OperationDenied.VswZoneMisMatch" | "OperationDenied.SecurityGroupMisMatch" => {
            Refusal::Misplaced(text)
        }
        "Spot.NotMatched" => Refusal::Spot(text),
        "QuotaExceeded" => Refusal::Cloud(CloudError::Capacity(format!(
            "{text}; the region's quota of vCPUs is used up: ask for a larger one or free some"
        ))),
        "IncorrectStatus" | "IncorrectOperation" => Refusal::Cloud(CloudError::Retryable(text)),
        "IdempotentParameterMismatch" => Refusal::Mismatch(text),
        "SignatureNonceUsed" => Refusal::Nonce(text),
        "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidTimeStamp.Expired"
        | "InvalidTimeStamp.Format"
        | "InvalidAccessKeyId.NotFound"
        | "InvalidAccessKeyId.Inactive"
        | "InvalidSecurityToken.Expired"
        | "InvalidSecurityToken.Malformed"
        | "InvalidSecurityToken.MismatchWithAccessKey" => {
            Refusal::Cloud(CloudError::Auth(answer.with_skew(text)))
        }
        "NoPermission" | "Forbidden.RAM" | "Forbidden.SubUser" | "InvalidUser.PassRoleForbidden" => {
            Refusal::Cloud(CloudError::Account(format!("{text}; grant the RAM user the rights on ECI")))
        }
        "Account.Arrearage"
        | "InvalidPaymentMethod.InsufficientBalance"
        | "Payfor.CreditPayInsufficientBalance"
        | "EipPayInsufficientBalance" => {
            Refusal::Cloud(CloudError::Account(format!("{text}; the account is in arrears")))
        }
        "ServiceNotEnabled" => Refusal::Cloud(CloudError::Account(format!(
            "{text}; ECI is not enabled in this account: enable it once in the ECI console"
        ))),
        "OperationFailed.RiskControl"
        | "Forbidden.RiskControl"
        | "Forbidden.OnlyForInvitedTest"
        | "Forbidden.UserBussinessStatus"
        | "Forbidden.UserNotRealNameAuthentication"
        | "Forbidden.AccountClosed"
        | "SecurityRisk.3DVerification"
        | "CreateServiceLinkedRole.Denied"
        | "FeatureAccessRestricted"
        | "InvalidOperation.ResourceManagedByCloudProduct" => Refusal::Cloud(CloudError::Account(text)),
        "InternalError" | "ServiceUnavailable" => Refusal::Unknown(text),
        "InvalidVSwitchId.NotFound" | "InvalidSecurityGroupId.NotFound" => Refusal::Misplaced(text),
        // What is missing is part of the request: there was no group before.
        other if other.contains("NotFound") && answer.operation.action == Action::CreateGroup => {
            Refusal::Cloud(CloudError::Invalid(text))
        }
        other if other.contains("NotFound") => Refusal::Cloud(CloudError::Gone(text)),
        other if other.starts_with("Throttling") => throttled(text, DEFAULT_THROTTLE),
        _ => return None,
    };
    Some(refusal)
}

fn by_status(text: String, answer: &Answer<'_>) -> Refusal {
    let error = match answer.status.as_u16() {
        429 => {
            CloudError::Throttled { message: text, after: answer.retry_after().unwrap_or(DEFAULT_THROTTLE) }
        }
        401 => CloudError::Auth(answer.with_skew(text)),
        403 => CloudError::Account(text),
        404 => CloudError::Gone(text),
        408 | 425 => return Refusal::Unknown(text),
        400..=499 => CloudError::Invalid(text),
        _ => return Refusal::Unknown(text),
    };
    Refusal::Cloud(error)
}

impl Answer<'_> {
    /// What was done, what was said about it, and the numbers.
    fn describe(&self, fault: &Fault) -> String {
        let said =
            if fault.message.is_empty() { "the answer has no readable error body" } else { &fault.message };
        let said: String =
            said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect();
        let (operation, status) = (self.operation, self.status.as_u16());
        let more = [fault.code.as_str(), fault.request_id.as_str()];
        let more: String =
            more.iter().filter(|part| !part.is_empty()).map(|part| format!(", {part}")).collect();
        format!("{operation}: {said} (HTTP {status}{more})")
    }

    /// Adds what the answer's `Date` says about our clock, if it explains the refusal.
    fn with_skew(&self, text: String) -> String {
        match skew(self.headers, self.sent_at, TOLERATED_SKEW) {
            Some(skew) => format!("{text}; {skew} (15 min are tolerated): synchronise it"),
            None => text,
        }
    }

    /// `x-acs-retry-after` in milliseconds; small numbers are taken for seconds.
    fn retry_after(&self) -> Option<Duration> {
        let read = |name: &str| self.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let own = read("x-acs-retry-after")
            .map(|n| if n >= 1000 { Duration::from_millis(n) } else { Duration::from_secs(n) });
        own.or_else(|| read("retry-after").map(Duration::from_secs)).map(|wait| wait.min(LONGEST_THROTTLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "2026-01-02T03:04:05Z";

    fn ask(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Refusal {
        ask_for(Action::CreateGroup, status, headers, body)
    }

    fn ask_for(action: Action, status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Refusal {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        classify(&Answer {
            operation: &Operation::new(action, "shop-web-1"),
            status: StatusCode::from_u16(status).unwrap(),
            headers: &map,
            body: body.as_bytes(),
            sent_at: SENT.parse().unwrap(),
        })
    }

    fn coded(status: u16, code: &str) -> Refusal {
        let body = serde_json::json!({"RequestId": "R-1", "HostId": "eci.aliyuncs.com", "Code": code,
            "Message": "said so", "Recommend": "https://example.com"});
        ask(status, &[], &body.to_string())
    }

    fn kind(refusal: &Refusal) -> &'static str {
        match refusal {
            Refusal::Unknown(_) => "Unknown",
            Refusal::Mismatch(_) => "Mismatch",
            Refusal::Place(_) => "Place",
            Refusal::Misplaced(_) => "Misplaced",
            Refusal::Spot(_) => "Spot",
            Refusal::Nonce(_) => "Nonce",
            Refusal::Cloud(CloudError::Retryable(_)) => "Retryable",
            Refusal::Cloud(CloudError::Throttled { .. }) => "Throttled",
            Refusal::Cloud(CloudError::Capacity(_)) => "Capacity",
            Refusal::Cloud(CloudError::Invalid(_)) => "Invalid",
            Refusal::Cloud(CloudError::Auth(_)) => "Auth",
            Refusal::Cloud(CloudError::Account(_)) => "Account",
            Refusal::Cloud(CloudError::Gone(_)) => "Gone",
        }
    }

    /// The error table of the reference, row by row.
    #[test]
    fn the_published_codes() {
        let cases = [
            (400, "Throttling", "Throttled"),
            (400, "Throttling.User", "Throttled"),
            (400, "EipPurchaseFlowControl", "Throttled"),
            (403, "Throttling.Vcpu.PerDay", "Throttled"),
            (403, "OperationDenied.NoStock", "Place"),
            (403, "Zone.NotOnSale", "Place"),
            (400, "RecommendEmpty.InstanceTypeFamilyNotMatched", "Place"),
            (403, "Spot.NotMatched", "Spot"),
            (403, "InvalidVSwitchId.IpNotEnough", "Place"),
            (403, "OperationDenied.VswZoneMisMatch", "Misplaced"),
            (403, "OperationDenied.SecurityGroupMisMatch", "Misplaced"),
            (403, "QuotaExceeded", "Capacity"),
            (400, "InvalidParameter.CPU.Memory", "Invalid"),
            (400, "InvalidParam.CpuOrMemorySpec", "Invalid"),
            (400, "InvalidParameter.DuplicatedName", "Invalid"),
            (400, "MissingParameter", "Invalid"),
            (400, "InvalidParameter.LengthExceeded", "Invalid"),
            (400, "ImageSnapshot.IncorrectStatus", "Invalid"),
            (400, "IncorrectStatus", "Retryable"),
            (400, "IncorrectOperation", "Retryable"),
            (400, "Account.Arrearage", "Account"),
            (400, "InvalidPaymentMethod.InsufficientBalance", "Account"),
            (400, "ServiceNotEnabled", "Account"),
            (400, "OperationFailed.RiskControl", "Account"),
            (400, "NoPermission", "Account"),
            (403, "Forbidden.RiskControl", "Account"),
            (403, "Forbidden.UserNotRealNameAuthentication", "Account"),
            (403, "InvalidUser.PassRoleForbidden", "Account"),
            (403, "Forbidden.SomethingNew", "Account"),
            (404, "ImageSnapshot.NotFound", "Invalid"),
            (404, "InvalidDiskId.NotFound", "Invalid"),
            (404, "InvalidVSwitchId.NotFound", "Misplaced"),
            (400, "SignatureDoesNotMatch", "Auth"),
            (400, "InvalidTimeStamp.Expired", "Auth"),
            (404, "InvalidAccessKeyId.NotFound", "Auth"),
            (400, "SignatureNonceUsed", "Nonce"),
            (400, "IdempotentParameterMismatch", "Mismatch"),
            (500, "InternalError", "Unknown"),
            (503, "ServiceUnavailable", "Unknown"),
        ];
        for (status, code, wanted) in cases {
            assert_eq!(kind(&coded(status, code)), wanted, "{status} {code}");
        }
    }

    #[test]
    fn a_group_that_does_not_exist_is_gone() {
        for code in ["InvalidParameter.NotFound", "ContainerGroup.NotFound"] {
            let body = format!(r#"{{"Code":"{code}","Message":"no such group"}}"#);
            assert_eq!(kind(&ask_for(Action::DeleteGroup, 404, &[], &body)), "Gone");
        }
    }

    #[test]
    fn half_an_answer_and_none_at_all() {
        let cases = [
            (400, "{\"Code\": \"Throttl", "Invalid"),
            (502, "<html>bad gateway</html>", "Unknown"),
            (200, "not json", "Unknown"),
            (302, "", "Unknown"),
            (401, "", "Auth"),
            (403, "", "Account"),
            (404, "", "Gone"),
            (408, "", "Unknown"),
            (429, "", "Throttled"),
        ];
        for (status, body, wanted) in cases {
            assert_eq!(kind(&ask(status, &[], body)), wanted, "{status} {body}");
        }
    }

    #[test]
    fn how_long_to_wait() {
        let body = r#"{"Code":"Throttling","Message":"slow down"}"#;
        let cases: [(&[(&'static str, &'static str)], u64); 5] = [
            (&[("x-acs-retry-after", "3000")], 3),
            (&[("x-acs-retry-after", "7")], 7),
            (&[("retry-after", "5")], 5),
            (&[("retry-after", "99999")], 120),
            (&[], 2),
        ];
        for (headers, seconds) in cases {
            match ask(400, headers, body) {
                Refusal::Cloud(CloudError::Throttled { after, .. }) => assert_eq!(after.as_secs(), seconds),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_wrong_clock_is_named() {
        let body = r#"{"Code":"InvalidTimeStamp.Expired","Message":"expired"}"#;
        let text = |date| CloudError::from(ask(400, &[("date", date)], body)).to_string();
        assert!(text("Fri, 02 Jan 2026 02:24:05 GMT").contains("40 min ahead of the cloud's"));
        assert!(text("Fri, 02 Jan 2026 04:04:05 GMT").contains("60 min behind the cloud's"));
        assert!(!text("Fri, 02 Jan 2026 03:00:05 GMT").contains("clock"));
    }

    #[test]
    fn texts_name_the_call_the_object_the_code_and_the_request() {
        let text = CloudError::from(coded(400, "InvalidParameter.CPU.Memory")).to_string();
        assert_eq!(
            text,
            "the cloud refuses this pod: create container group shop-web-1: said so (HTTP 400, \
             InvalidParameter.CPU.Memory, R-1)"
        );
    }
}
