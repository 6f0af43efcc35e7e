//! What an answer of CCI (or of the API gateway before it) means: its own codes, then the HTTP status; one table of cases.
//!
//! Facts: Huawei's CCI error code list, the API gateway's error body. Texts are for users and never repeat what was sent.

use crate::cloud::CloudError;
use crate::cloud::kubelike::{Answer, Refusal};

/// Decides what a non-success answer means.
pub(super) fn classify(answer: &Answer<'_>) -> Refusal {
    let fault = answer.fault();
    let code = fault.code.as_deref().unwrap_or_default();
    if code == "APIGW.0308" {
        return answer.throttled(&fault);
    }
    if answer.status.as_u16() == 429 {
        return answer.by_status(&fault);
    }
    by_code(code, answer.describe(&fault), answer).unwrap_or_else(|| answer.by_status(&fault))
}

/// Codes that mean the same whatever the HTTP status is.
fn by_code(code: &str, text: String, answer: &Answer<'_>) -> Option<Refusal> {
    let error = match code {
        "CCI.02.400116" => CloudError::Capacity(text),
        "CCI.02.400106" => CloudError::Account(format!("{text}; the quota of namespaces is used up")),
        "CCI.01.401102" | "CCI.01.404101" => CloudError::Account(format!(
            "{text}; CCI is not authorised in this account: grant it once in the CCI console"
        )),
        "CCI.01.403009" => CloudError::Account(format!("{text}; the account is in arrears")),
        "CCI.01.403010" => CloudError::Account(format!("{text}; the account is frozen")),
        "CCI.01.403101" | "CCI.01.403102" | "CCI.02.404101" | "CCI.02.404102" | "CCI.02.404103" => {
            CloudError::Account(text)
        }
        "CCI.01.400103" | "CCI.03.400001" | "APIGW.0301" | "APIGW.0303" | "APIGW.0304" | "APIGW.0305" => {
            CloudError::Auth(answer.with_skew(text))
        }
        "CCI.02.409101" => return Some(Refusal::AlreadyExists(text)),
        _ => return None,
    };
    Some(Refusal::Cloud(error))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::cloud::kubelike::{Operation, Verb};

    const SENT: &str = "2026-01-02T03:04:05Z";

    /// Name of the variant, so that a table of cases stays readable.
    fn kind(refusal: &Refusal) -> &'static str {
        match refusal {
            Refusal::AlreadyExists(_) => "AlreadyExists",
            Refusal::Conflict(_) => "Conflict",
            Refusal::Expired(_) => "Expired",
            Refusal::Unknown(_) => "Unknown",
            Refusal::Cloud(CloudError::Retryable(_)) => "Retryable",
            Refusal::Cloud(CloudError::Throttled { .. }) => "Throttled",
            Refusal::Cloud(CloudError::Capacity(_)) => "Capacity",
            Refusal::Cloud(CloudError::Invalid(_)) => "Invalid",
            Refusal::Cloud(CloudError::Auth(_)) => "Auth",
            Refusal::Cloud(CloudError::Account(_)) => "Account",
            Refusal::Cloud(CloudError::Gone(_)) => "Gone",
        }
    }

    fn ask(verb: Verb, status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Refusal {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        classify(&Answer {
            operation: &Operation::new("CCI", verb, "web-1"),
            status: StatusCode::from_u16(status).unwrap(),
            headers: &map,
            body: body.as_bytes(),
            sent_at: SENT.parse().unwrap(),
        })
    }

    fn status_body(code: u16, reason: &str, message: &str, error_code: &str) -> String {
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code, "errorCode": error_code})
        .to_string()
    }

    #[test]
    fn the_published_codes() {
        let cases = [
            (400, "BadRequest", "CCI.01.400101", "Invalid"),
            (400, "BadRequest", "CCI.01.400103", "Auth"),
            (400, "BadRequest", "CCI.03.400001", "Auth"),
            (400, "BadRequest", "CCI.01.400201", "Invalid"),
            (400, "BadRequest", "CCI.01.400301", "Invalid"),
            (400, "BadRequest", "CCI.02.400109", "Invalid"),
            (400, "BadRequest", "CCI.02.400106", "Account"),
            (400, "NoAllocatedCluster", "CCI.02.400116", "Capacity"),
            (401, "Unauthorized", "", "Auth"),
            (401, "Unauthorized", "CCI.01.401102", "Account"),
            (403, "Forbidden", "CCI.01.403009", "Account"),
            (403, "Forbidden", "CCI.01.403010", "Account"),
            (403, "Forbidden", "CCI.01.403101", "Account"),
            (403, "Forbidden", "CCI.01.403104", "Auth"),
            (403, "Forbidden", "CCI.01.403114", "Auth"),
            (404, "NotFound", "", "Gone"),
            (404, "NotFound", "CCI.01.404101", "Account"),
            (404, "NotFound", "CCI.02.404102", "Account"),
            (409, "AlreadyExists", "", "AlreadyExists"),
            (409, "Conflict", "", "Conflict"),
            (409, "Conflict", "CCI.02.409101", "AlreadyExists"),
            (410, "Expired", "", "Expired"),
            (415, "UnsupportedMediaType", "", "Invalid"),
            (422, "Invalid", "", "Invalid"),
            (429, "TooManyRequests", "", "Throttled"),
            (500, "InternalError", "CCI.01.500101", "Unknown"),
            (503, "ServiceUnavailable", "", "Unknown"),
            (504, "ServerTimeout", "CCI.03.504001", "Unknown"),
        ];
        for (status, reason, code, expected) in cases {
            let refusal = ask(Verb::ReadPod, status, &[], &status_body(status, reason, "said so", code));
            assert_eq!(kind(&refusal), expected, "{status} {reason} {code}");
        }
    }

    /// Huawei's manual: CCI has to be authorised once, by a person in the console.
    #[test]
    fn an_account_without_authorisation_is_told_what_to_do() {
        for (status, code) in [(401, "CCI.01.401102"), (404, "CCI.01.404101")] {
            let body = status_body(status, "Unauthorized", "said so", code);
            let text = CloudError::from(ask(Verb::CreatePod, status, &[], &body)).to_string();
            assert!(
                text.contains("not authorised in this account") && text.contains("CCI console"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_gateway_and_bodies_that_are_not_json() {
        let cases = [
            (
                401,
                r#"{"error_msg":"Incorrect IAM authentication information","error_code":"APIGW.0301"}"#,
                "Auth",
            ),
            (400, r#"{"error_msg":"signature","error_code":"APIGW.0303"}"#, "Auth"),
            (429, r#"{"error_msg":"throttled","error_code":"APIGW.0308"}"#, "Throttled"),
            (403, r#"{"error_msg":"throttled","error_code":"APIGW.0308"}"#, "Throttled"),
            (404, r#"{"error_msg":"API not found","error_code":"APIGW.0101"}"#, "Gone"),
            (502, "<html>bad gateway</html>", "Unknown"),
            (200, "not json", "Unknown"),
            (302, "", "Unknown"),
            (403, "", "Auth"),
            (400, "\u{1}\u{2}", "Invalid"),
            (408, "", "Unknown"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(kind(&ask(Verb::ReadPod, status, &[], body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_operation_decides_what_not_found_and_forbidden_mean() {
        let not_found = status_body(404, "NotFound", "namespaces \"x\" not found", "");
        assert_eq!(kind(&ask(Verb::CreatePod, 404, &[], &not_found)), "Account");
        assert_eq!(kind(&ask(Verb::DeletePod, 404, &[], &not_found)), "Gone");
        let quota = status_body(403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: pods", "");
        assert_eq!(kind(&ask(Verb::CreatePod, 403, &[], &quota)), "Capacity");
        let ending =
            status_body(403, "Forbidden", "unable to create in namespace: it is being terminated", "");
        assert_eq!(kind(&ask(Verb::CreatePod, 403, &[], &ending)), "Retryable");
    }

    #[test]
    fn how_long_to_wait() {
        type Case = (&'static [(&'static str, &'static str)], &'static str, u64);
        let cases: [Case; 4] = [
            (&[("retry-after", "7")], "", 7),
            (&[("retry-after", "Fri, 02 Jan 2026 03:05:05 GMT")], "", 60),
            (&[], r#"{"details":{"retryAfterSeconds":3}}"#, 3),
            (&[], "", 2),
        ];
        for (headers, body, seconds) in cases {
            match ask(Verb::ListPods, 429, headers, body) {
                Refusal::Cloud(CloudError::Throttled { after, .. }) => assert_eq!(after.as_secs(), seconds),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_wrong_clock_is_named() {
        let text = |date| CloudError::from(ask(Verb::ListPods, 401, &[("date", date)], "")).to_string();
        assert!(text("Fri, 02 Jan 2026 02:24:05 GMT").contains("40 min ahead of the cloud's"));
        assert!(text("Fri, 02 Jan 2026 04:04:05 GMT").contains("60 min behind the cloud's"));
        assert!(!text("Fri, 02 Jan 2026 03:00:05 GMT").contains("clock"));
        assert!(!text("yesterday").contains("clock"));
    }

    #[test]
    fn texts_name_the_call_the_object_and_the_code() {
        let body = status_body(422, "Invalid", "spec.containers[0]: bad\nsize", "CCI.01.422001");
        let text = CloudError::from(ask(Verb::CreatePod, 422, &[], &body)).to_string();
        assert_eq!(
            text,
            "the cloud refuses this pod: create CCI pod web-1: spec.containers[0]: bad size (HTTP 422, CCI.01.422001)"
        );
        let long = status_body(422, "Invalid", &"x".repeat(10_000), "");
        assert!(CloudError::from(ask(Verb::CreatePod, 422, &[], &long)).to_string().len() < 800);
    }
}
