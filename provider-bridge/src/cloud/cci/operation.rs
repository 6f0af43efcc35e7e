//! The calls burst makes to CCI, as words for messages and as a key for what an answer means.

use std::fmt;

/// What kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    ReadNamespace,
    CreateNamespace,
    ListNetworks,
    CreateNetwork,
    CreatePod,
    ReadPod,
    ListPods,
    WatchPods,
    DeletePod,
    ReadLog,
    Exec,
    CreateCopy,
    ListCopies,
    DeleteCopy,
}

impl Verb {
    const fn words(self) -> &'static str {
        match self {
            Self::ReadNamespace => "read namespace",
            Self::CreateNamespace => "create namespace",
            Self::ListNetworks => "list networks of namespace",
            Self::CreateNetwork => "create network in namespace",
            Self::CreatePod => "create CCI pod",
            Self::ReadPod => "read CCI pod",
            Self::ListPods => "list pods of CCI namespace",
            Self::WatchPods => "watch pods of CCI namespace",
            Self::DeletePod => "delete CCI pod",
            Self::ReadLog => "read the log of CCI pod",
            Self::Exec => "exec in CCI pod",
            Self::CreateCopy => "create the copy",
            Self::ListCopies => "list the copies in CCI namespace",
            Self::DeleteCopy => "delete the copy",
        }
    }

    /// The call works inside the namespace that [`super::prepare`] makes: a 404 means that the namespace is missing.
    pub(super) const fn needs_namespace(self) -> bool {
        matches!(self, Self::CreatePod | Self::CreateCopy | Self::CreateNetwork)
    }
}

/// One call, on one object.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) object: String,
}

impl Operation {
    pub(super) fn new(verb: Verb, object: impl Into<String>) -> Self {
        Self { verb, object: object.into() }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.words(), self.object)
    }
}
