//! `AdmissionReview` (admission.k8s.io/v1) on the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::admission::Admission;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the API server asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Identity of the question.
    pub uid: String,
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object; a pod made by a controller has none in its own metadata yet.
    pub namespace: String,
    /// Name of the object, empty if it is to be generated.
    pub name: String,
    /// `CREATE`, `UPDATE`, …
    pub operation: String,
    /// For example `resize`; empty for the object itself.
    pub sub_resource: String,
    /// The object.
    pub object: Value,
    /// The object before an update.
    pub old_object: Value,
    /// Nothing will be stored.
    pub dry_run: Option<bool>,
}

impl Request {
    /// Whether anything beside the answer may be written.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }
}

/// Kind of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kind {
    /// API group, empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

/// Why a review cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not JSON, or not of this shape.
    #[error("burst: the body is not an AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind or version.
    #[error("burst: expected admission.k8s.io/v1 AdmissionReview, got {0} {1}")]
    Version(String, String),
    /// A review without a question.
    #[error("burst: the AdmissionReview has no request")]
    NoRequest,
}

/// Reads a review.
///
/// # Errors
/// [`ReviewError`].
pub fn parse(body: &[u8]) -> Result<Request, ReviewError> {
    let review: Review = serde_json::from_slice(body)?;
    if review.api_version != VERSION || review.kind != KIND {
        return Err(ReviewError::Version(review.api_version, review.kind));
    }
    review.request.ok_or(ReviewError::NoRequest)
}

/// What is answered.
#[derive(Debug)]
pub enum Verdict {
    /// Admitted, perhaps changed.
    Allowed(Admission),
    /// Refused with a sentence.
    Denied(String),
}

impl Verdict {
    /// Admitted as it is.
    pub fn untouched() -> Self {
        Self::Allowed(Admission::default())
    }

    /// The word for the metric.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allowed(admission) if admission.patch.is_empty() => "allowed",
            Self::Allowed(_) => "patched",
            Self::Denied(_) => "denied",
        }
    }
}

/// Writes the answer to the question with this UID.
///
/// # Errors
/// A patch that cannot be written as JSON.
pub fn answer(uid: &str, verdict: &Verdict) -> Result<Vec<u8>, serde_json::Error> {
    let mut response = json!({ "uid": uid, "allowed": matches!(verdict, Verdict::Allowed(_)) });
    match verdict {
        Verdict::Denied(message) => {
            response["status"] = json!({ "message": message, "reason": "Forbidden", "code": 403 });
        }
        Verdict::Allowed(admission) => {
            if !admission.patch.is_empty() {
                response["patchType"] = json!("JSONPatch");
                response["patch"] = json!(STANDARD.encode(serde_json::to_vec(&admission.patch)?));
            }
            if !admission.warnings.is_empty() {
                response["warnings"] = json!(admission.warnings);
            }
        }
    }
    serde_json::to_vec(&Answer { api_version: VERSION, kind: KIND, response })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Value,
}

const VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_reviews_are_refused_with_a_reason() {
        for (body, part) in [
            ("", "not an AdmissionReview"),
            ("[]", "not an AdmissionReview"),
            (r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#, "v1beta1"),
            (r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "no request"),
        ] {
            let text = parse(body.as_bytes()).expect_err(body).to_string();
            assert!(text.contains(part), "{text} does not say {part}");
        }
    }

    #[test]
    fn answers_are_reviews() {
        let read = |verdict: &Verdict| -> Value {
            serde_json::from_slice(&answer("u", verdict).expect("an answer")).expect("JSON")
        };
        let denied = read(&Verdict::Denied("no".to_owned()));
        assert_eq!(denied["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(denied["response"]["allowed"], false);
        assert_eq!(denied["response"]["status"]["message"], "no");
        let admission = Admission { patch: vec![], warnings: vec!["careful".to_owned()] };
        let allowed = read(&Verdict::Allowed(admission));
        assert_eq!(allowed["response"], json!({"uid": "u", "allowed": true, "warnings": ["careful"]}));
    }
}
