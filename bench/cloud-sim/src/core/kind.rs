//! The object kinds that CCI 1.0 serves and how each is spelled on the wire.

/// One served kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Namespace,
    Pod,
    ConfigMap,
    Secret,
    Event,
    Service,
    Endpoints,
    Network,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 8] = [
        Self::Namespace,
        Self::Pod,
        Self::ConfigMap,
        Self::Secret,
        Self::Event,
        Self::Service,
        Self::Endpoints,
        Self::Network,
    ];

    /// `kind` of one object.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Pod => "Pod",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Event => "Event",
            Self::Service => "Service",
            Self::Endpoints => "Endpoints",
            Self::Network => "Network",
        }
    }

    /// The resource name in the path.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::Pod => "pods",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::Event => "events",
            Self::Service => "services",
            Self::Endpoints => "endpoints",
            Self::Network => "networks",
        }
    }

    /// `apiVersion` of one object and of its list.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::Network => "networking.cci.io/v1beta1",
            _ => "v1",
        }
    }

    /// Everything before `/namespaces` in the path.
    pub(crate) fn root(self) -> &'static str {
        match self {
            Self::Network => "/apis/networking.cci.io/v1beta1",
            _ => "/api/v1",
        }
    }

    /// How a Kubernetes error names the resource: with its group, if it has one.
    pub(crate) fn qualified(self) -> &'static str {
        match self {
            Self::Network => "networks.networking.cci.io",
            other => other.plural(),
        }
    }

    /// The kind of a resource below a root, as written in the path.
    pub(crate) fn from_path(root: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.root() == root && kind.plural() == plural)
    }
}
