//! Why a pod cannot be translated now, and what its owner should be told besides.

use crate::cloud::{CloudError, Resolve};

/// What stops a translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Problem {
    /// The pod can never run in the cloud as it is.
    Invalid(String),
    /// A mandatory object or key is missing: it may be made later.
    Missing(Notice),
}

impl From<Problem> for CloudError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Invalid(text) => Self::Invalid(text),
            Problem::Missing(notice) => Self::Retryable(notice.message),
        }
    }
}

/// Says what is missing to the pod's owner, and what it means for the create.
pub(in crate::cloud) fn tell(problem: Problem, resolve: &dyn Resolve) -> CloudError {
    if let Problem::Missing(notice) = &problem {
        resolve.notice(notice.reason, &notice.message);
    }
    problem.into()
}

/// A Warning event for the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cloud) struct Notice {
    /// Event reason, as virtual-kubelet spells it.
    pub(in crate::cloud) reason: &'static str,
    /// Event message; never a value.
    pub(in crate::cloud) message: String,
}

/// The kind of a referenced object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// The object itself is missing.
    pub(in crate::cloud) fn not_found(self, optional: bool, name: &str, user: &str) -> Notice {
        let reason = match (self, optional) {
            (Self::ConfigMap, false) => "MandatoryConfigMapNotFound",
            (Self::ConfigMap, true) => "OptionalConfigMapNotFound",
            (Self::Secret, false) => "MandatorySecretNotFound",
            (Self::Secret, true) => "OptionalSecretNotFound",
        };
        Notice {
            reason,
            message: format!("{} {name:?}, which {user} refers to, does not exist", self.word()),
        }
    }

    /// The object has no such key.
    pub(in crate::cloud) fn key_not_found(self, optional: bool, name: &str, key: &str, user: &str) -> Notice {
        let reason = match (self, optional) {
            (Self::ConfigMap, false) => "MandatoryConfigMapKeyNotFound",
            (Self::ConfigMap, true) => "OptionalConfigMapKeyNotFound",
            (Self::Secret, false) => "MandatorySecretKeyNotFound",
            (Self::Secret, true) => "OptionalSecretKeyNotFound",
        };
        Notice {
            reason,
            message: format!("{} {name:?} has no key {key:?}, which {user} refers to", self.word()),
        }
    }
}
