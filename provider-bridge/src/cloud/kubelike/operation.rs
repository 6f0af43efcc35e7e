//! The calls burst makes to a Kubernetes-style API, as words for messages and as a key for what an answer means.

use std::fmt;

/// What kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Verb {
    ReadNamespace,
    CreateNamespace,
    DeleteNamespace,
    ListNetworks,
    CreateNetwork,
    CreatePod,
    ReadPod,
    ListPods,
    WatchPods,
    DeletePod,
    ReadLog,
    Exec,
    Attach,
    PortForward,
    CreateCopy,
    ListCopies,
    DeleteCopy,
    ReadUsage,
    ReadClaim,
    CreateClaim,
    ListClaims,
    DeleteClaim,
    ListEvents,
    WatchEvents,
}

impl Verb {
    /// What is done, before and after the cloud's name, where it is said.
    const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::ReadNamespace => ("read namespace", None),
            Self::CreateNamespace => ("create namespace", None),
            Self::DeleteNamespace => ("delete namespace", None),
            Self::ListNetworks => ("list networks of namespace", None),
            Self::CreateNetwork => ("create network in namespace", None),
            Self::CreatePod => ("create", Some("pod")),
            Self::ReadPod => ("read", Some("pod")),
            Self::ListPods => ("list pods of", Some("namespace")),
            Self::WatchPods => ("watch pods of", Some("namespace")),
            Self::DeletePod => ("delete", Some("pod")),
            Self::ReadLog => ("read the log of", Some("pod")),
            Self::Exec => ("exec in", Some("pod")),
            Self::Attach => ("attach to", Some("pod")),
            Self::PortForward => ("forward a port of", Some("pod")),
            Self::CreateCopy => ("create the copy", None),
            Self::ListCopies => ("list the copies in", Some("namespace")),
            Self::DeleteCopy => ("delete the copy", None),
            Self::ReadUsage => ("read what is used by pods of", Some("namespace")),
            Self::ReadClaim => ("read", Some("claim")),
            Self::CreateClaim => ("create", Some("claim")),
            Self::ListClaims => ("list the claims in", Some("namespace")),
            Self::DeleteClaim => ("remove", Some("claim")),
            Self::ListEvents => ("list the events in", Some("namespace")),
            Self::WatchEvents => ("watch the events in", Some("namespace")),
        }
    }

    /// The call works inside a namespace that the provider makes ready: a 404 means that the namespace is missing.
    pub(in crate::cloud) const fn needs_namespace(self) -> bool {
        matches!(self, Self::CreatePod | Self::CreateCopy | Self::CreateClaim | Self::CreateNetwork)
    }
}

/// One call, on one object.
#[derive(Clone, Debug)]
pub(in crate::cloud) struct Operation {
    /// The cloud's name in messages.
    pub(in crate::cloud) cloud: &'static str,
    pub(in crate::cloud) verb: Verb,
    pub(in crate::cloud) object: String,
}

impl Operation {
    pub(in crate::cloud) fn new(cloud: &'static str, verb: Verb, object: impl Into<String>) -> Self {
        Self { cloud, verb, object: object.into() }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verb.words() {
            (what, Some(kind)) => write!(f, "{what} {} {kind} {}", self.cloud, self.object),
            (what, None) => write!(f, "{what} {}", self.object),
        }
    }
}
