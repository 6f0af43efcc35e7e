//! Errors as ECI answers them: a code, a message, and the HTTP status that carries the class.
//!
//! Facts: the official API metadata of Eci 2018-08-08. Throttling is HTTP 400, stock-out 403.

use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::super::sales::State;
use super::super::{Body, json as reply};

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EciError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// Milliseconds, in the hint that the current SDK reads.
    pub(super) retry_after_ms: Option<u64>,
}

impl EciError {
    /// An error.
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), retry_after_ms: None }
    }

    /// A parameter that must be there is not.
    pub(super) fn missing(name: &str) -> Self {
        let message = format!(
            "The input parameter \"{name}\" that is mandatory for processing this request is not supplied."
        );
        Self::new(400, "MissingParameter", message)
    }

    /// A parameter's value is wrong.
    pub(super) fn parameter(name: &str, why: &str) -> Self {
        Self::new(400, "InvalidParameter", format!("The parameter {name} is invalid: {why}."))
    }

    /// Something is longer than allowed.
    pub(super) fn length(name: &str, most: usize) -> Self {
        let message = format!("The parameter {name} exceeds the maximum length of {most}.");
        Self::new(400, "InvalidParameter.LengthExceeded", message)
    }

    /// No such group.
    pub(super) fn no_group(id: &str) -> Self {
        Self::new(
            404,
            "InvalidParameter.NotFound",
            format!("The specified ContainerGroupId {id} does not exist."),
        )
    }

    /// The group's state does not allow it.
    pub(super) fn state(id: &str, status: &str) -> Self {
        let message =
            format!("The current status {status} of container group {id} does not support this operation.");
        Self::new(400, "IncorrectStatus", message)
    }

    /// Nothing left of what was asked for.
    pub(super) fn no_stock() -> Self {
        let message = "Sales of this resource are temporarily suspended in the specified region; please try again later.";
        Self::new(403, "OperationDenied.NoStock", message)
    }

    /// Too many calls of an operation.
    pub(super) fn throttled(action: &str) -> Self {
        let message = format!(
            "Request was denied due to request throttling, please try again after 5 minutes. ({action})"
        );
        Self::new(400, "Throttling", message)
    }

    /// What the account's state says to an order.
    pub(super) fn account(state: State) -> Option<Self> {
        let (status, code, message) = match state {
            State::Good => return None,
            State::Arrears => (400, "Account.Arrearage", "Your account has an outstanding payment."),
            State::LowBalance => (
                400,
                "InvalidPaymentMethod.InsufficientBalance",
                "No sufficient balance. Please charge your account and try again.",
            ),
            State::NotEnabled => (400, "ServiceNotEnabled", "Please open ECI service before using it."),
            State::NoPermission => (403, "NoPermission", "The RAM user is not authorized to do this."),
            State::Frozen => (
                403,
                "Forbidden.UserBussinessStatus",
                "This operation is not allowed, because you have overdue bills.",
            ),
        };
        Some(Self::new(status, code, message))
    }

    /// The answer.
    pub(super) fn response(&self, request_id: &str) -> Response<Body> {
        let body = json!({
            "RequestId": request_id, "HostId": "eci.aliyuncs.com", "Code": self.code, "Message": self.message,
            "Recommend": format!("https://api.aliyun.com/troubleshoot?q={}&product=Eci", self.code),
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = reply(status, body.to_string());
        if let Some(hint) = self.retry_after_ms.and_then(|ms| HeaderValue::from_str(&ms.to_string()).ok()) {
            response.headers_mut().insert("x-acs-retry-after", hint);
        }
        response
    }
}

/// The code that goes with an HTTP status when a rule names none.
pub(super) fn usual(status: u16) -> (&'static str, &'static str) {
    match status {
        400 | 429 => ("Throttling", "Request was denied due to request throttling."),
        403 => (
            "OperationDenied.NoStock",
            "Sales of this resource are temporarily suspended in the specified region; please try again later.",
        ),
        404 => ("InvalidParameter.NotFound", "The specified resource does not exist."),
        503 => ("ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
        _ => ("InternalError", "The request processing has failed due to some unknown error."),
    }
}
