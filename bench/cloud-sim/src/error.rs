//! Errors as CCI answers them: Kubernetes `Status` objects with Huawei's `errorCode`, and the gateway's own form.

use http::StatusCode;
use serde_json::{Value, json};

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    body: Value,
    /// Seconds for `Retry-After`.
    pub(crate) retry_after: Option<u32>,
}

impl ApiError {
    /// A Kubernetes `Status`.
    pub(crate) fn new(status: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status.as_u16(),
        });
        Self { status, body, retry_after: None }
    }

    /// The API gateway's own error, which is not a `Status`.
    pub(crate) fn gateway(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { status, body: json!({"error_msg": message, "error_code": code}), retry_after: None }
    }

    /// Adds CCI's `errorCode`.
    pub(crate) fn code(mut self, code: &str) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert("errorCode".into(), json!(code));
        }
        self
    }

    /// Adds `details`.
    pub(crate) fn details(mut self, details: Value) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert("details".into(), details);
        }
        self
    }

    /// Adds `Retry-After`.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body.
    pub(crate) fn body(&self) -> &Value {
        &self.body
    }

    /// 400 with reason `BadRequest`.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message).code("CCI.01.400101")
    }

    /// 403 with reason `Forbidden`.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 404 for an object.
    pub(crate) fn not_found(resource: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{resource} {name:?} not found"))
            .details(json!({"name": name, "kind": resource}))
    }

    /// 404 for a path that is not served.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// 409 on create.
    pub(crate) fn already_exists(resource: &str, name: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "AlreadyExists", format!("{resource} {name:?} already exists"))
            .details(json!({"name": name, "kind": resource}))
    }

    /// 409 on a precondition or a resourceVersion.
    pub(crate) fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::new(StatusCode::CONFLICT, "Conflict", message).details(json!({"name": name, "kind": resource}))
    }

    /// 410: the version asked for has no history any more.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 422 with every field that is wrong.
    pub(crate) fn invalid(kind: &str, name: &str, causes: &[FieldError]) -> Self {
        let texts: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let listed = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let details: Vec<Value> = (causes.iter())
            .map(|c| json!({"reason": "FieldValueInvalid", "message": c.message, "field": c.field}))
            .collect();
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("{kind} {name:?} is invalid: {listed}"),
        )
        .details(json!({"name": name, "kind": kind, "causes": details}))
    }

    /// 415.
    pub(crate) fn media_type(given: &str, accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format {given:?}; accepted: {accepted}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }
}

/// One wrong field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl FieldError {
    /// A wrong field and what is wrong with it.
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
