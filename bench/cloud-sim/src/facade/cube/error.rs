//! Errors as UCloud answers them: HTTP 200 with a `RetCode`. Codes of Cube alone are not published; where one is needed,
//! the gateway's or a neighbour product's is used, and the message says what is meant.

use serde_json::{Value, json};

use super::super::sales::State;

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CubeError {
    pub(super) code: i64,
    pub(super) message: String,
}

impl CubeError {
    /// An error.
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A parameter that must be there is not.
    pub(super) fn missing(name: &str) -> Self {
        Self::new(220, format!("Missing params [{name}]"))
    }

    /// A parameter's value is wrong.
    pub(super) fn parameter(name: &str, why: &str) -> Self {
        Self::new(230, format!("Params [{name}] not available: {why}"))
    }

    /// No such pod.
    pub(super) fn no_pod() -> Self {
        Self::parameter("CubeId", "the resource does not exist")
    }

    /// What the account's state says to an order.
    pub(super) fn account(state: State) -> Option<Self> {
        let (code, message) = match state {
            State::Good => return None,
            State::Arrears | State::LowBalance => (520, "Insufficient balance: 100 CNY are needed to start"),
            State::NotEnabled => (240, "The zone is not authorised for Cube"),
            State::NoPermission => (299, "IAM permission denied"),
            State::Frozen => (295, "The account is frozen"),
        };
        Some(Self::new(code, message))
    }

    /// The body of the answer.
    pub(super) fn body(&self, action: &str) -> Value {
        json!({"RetCode": self.code, "Action": format!("{action}Response"), "Message": self.message})
    }
}
