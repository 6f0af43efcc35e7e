//! Why admission refuses an object, in the user's words: what, on which object, and what to do.

use thiserror::Error;

use crate::{pod::FactsError, resolve::ResolveError, support::Unsupported};

/// Why an object is not admitted.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The labels do not name a policy, or contradict something.
    #[error(transparent)]
    Policy(#[from] ResolveError),
    /// The object cannot be read.
    #[error("{object}: {error}")]
    Unreadable {
        /// For example `Deployment/web`.
        object: String,
        /// What is wrong.
        error: FactsError,
    },
    /// Two fields cannot both hold.
    #[error("{object}: {policy} cannot hold together with {field}; {remedy}")]
    Conflict {
        /// For example `pod shop/web-7f`.
        object: String,
        /// The policy and who said it, for example `policy enforce (pod label burst-to-cci)`.
        policy: String,
        /// The other field with its value.
        field: String,
        /// What to change.
        remedy: &'static str,
    },
    /// The provider cannot honour fields of a pod that may run nowhere else.
    #[error("{object}: {policy}, but the provider cannot run it: {}", sentences(fields))]
    Unsupported {
        /// For example `pod shop/web-7f`.
        object: String,
        /// The policy and who said it.
        policy: String,
        /// The fields.
        fields: Vec<Unsupported>,
    },
    /// A governed pod would grow past a ceiling or a budget.
    #[error("{object}: {text}")]
    Resize {
        /// For example `pod shop/web-7f`.
        object: String,
        /// What would be passed, in numbers.
        text: String,
    },
    /// The provider bills by CPU and the pod asks for none.
    #[error(
        "{object}: {policy}, but no container asks for cpu; set spec.containers[0].resources.requests.cpu \
         (the provider needs one container with cpu above 0)"
    )]
    NoCpu {
        /// For example `pod shop/web-7f`.
        object: String,
        /// The policy and who said it.
        policy: String,
    },
}

/// `spec.volumes[0].hostPath: …; spec.hostNetwork: …`.
pub(super) fn sentences(fields: &[Unsupported]) -> String {
    fields.iter().map(|u| format!("{}: {}", u.field, u.sentence)).collect::<Vec<_>>().join("; ")
}
