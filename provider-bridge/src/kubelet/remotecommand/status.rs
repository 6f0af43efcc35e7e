//! The last word on the error channel: how the command ended. Facts: `remotecommand/status.go` of k8s.io/cri-streaming.

use bytes::Bytes;
use serde_json::json;

use crate::streams::ExecOutcome;

/// How a protocol version wants to hear the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusFormat {
    /// One JSON `metav1.Status`, also on success (v4 and later).
    Json,
    /// Text on failure, nothing on success (before v4).
    Text,
}

/// What to write on the error channel, if anything.
pub(super) fn final_status(format: StatusFormat, outcome: &ExecOutcome) -> Option<Bytes> {
    match format {
        StatusFormat::Json => Some(Bytes::from(json_status(outcome).to_string())),
        StatusFormat::Text => match outcome {
            ExecOutcome::Exited(0) => None,
            ExecOutcome::Exited(code) => Some(Bytes::from(exit_text(*code))),
            ExecOutcome::Failed(why) => Some(Bytes::from(failed_text(why))),
        },
    }
}

fn json_status(outcome: &ExecOutcome) -> serde_json::Value {
    match outcome {
        ExecOutcome::Exited(0) => json!({ "metadata": {}, "status": "Success" }),
        ExecOutcome::Exited(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": exit_text(*code),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        ExecOutcome::Failed(why) => json!({
            "metadata": {},
            "status": "Failure",
            "message": failed_text(why),
            "reason": "InternalError",
            "code": 500,
        }),
    }
}

fn exit_text(code: i32) -> String {
    format!("command terminated with non-zero exit code: {code}")
}

fn failed_text(why: &str) -> String {
    format!("Internal error occurred: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        use ExecOutcome::{Exited, Failed};
        use StatusFormat::{Json, Text};
        let cases = [
            (Text, Exited(0), None),
            (Text, Exited(3), Some("command terminated with non-zero exit code: 3")),
            (Text, Failed("no".into()), Some("Internal error occurred: no")),
            (Json, Exited(0), Some(r#"{"metadata":{},"status":"Success"}"#)),
            (
                Json,
                Exited(137),
                Some(
                    r#"{"details":{"causes":[{"message":"137","reason":"ExitCode"}]},"message":"command terminated with non-zero exit code: 137","metadata":{},"reason":"NonZeroExitCode","status":"Failure"}"#,
                ),
            ),
            (
                Json,
                Failed("no".into()),
                Some(
                    r#"{"code":500,"message":"Internal error occurred: no","metadata":{},"reason":"InternalError","status":"Failure"}"#,
                ),
            ),
        ];
        for (format, outcome, expected) in cases {
            let status = final_status(format, &outcome).map(|bytes| {
                serde_json::from_slice(&bytes).unwrap_or_else(|_| {
                    serde_json::Value::String(String::from_utf8_lossy(&bytes).into_owned())
                })
            });
            let expected = expected.map(|text| {
                serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned()))
            });
            assert_eq!(status, expected, "{format:?} {outcome:?}");
        }
    }
}
