//! What a cloud's refusal means for the pod: each variant is a decision.

use std::time::Duration;

/// Why a call to a cloud did not do what was asked. Texts are for users: they name the call and the remedy and hold no
/// secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CloudError {
    /// Worth repeating as it is: network trouble, 5xx, a conflict that time resolves. The outcome may be unknown: look
    /// before creating again.
    #[error("{0}; will be retried")]
    Retryable(String),
    /// The cloud asks for fewer calls.
    #[error("throttled by the cloud: {message}; next try in {}s", after.as_secs())]
    Throttled {
        /// What the cloud said.
        message: String,
        /// How long it asks to wait (`Retry-After`, else our default).
        after: Duration,
    },
    /// No room for this size here and now: another zone, shape or provider may have it.
    #[error("the cloud has no capacity: {0}")]
    Capacity(String),
    /// The request can never succeed as it is.
    #[error("the cloud refuses this pod: {0}")]
    Invalid(String),
    /// Credentials, signature, clock or permission.
    #[error("the cloud refuses our credentials: {0}")]
    Auth(String),
    /// The account cannot be used now: not authorised for the service, arrears, quota of namespaces.
    #[error("the cloud account is not usable: {0}")]
    Account(String),
    /// The thing does not exist (any more).
    #[error("gone from the cloud: {0}")]
    Gone(String),
}
