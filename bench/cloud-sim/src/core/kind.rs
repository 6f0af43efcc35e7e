//! The object kinds that CCI 1.0 serves and how each is spelled on the wire.

/// Which of CCI's two APIs is spoken; they differ in paths, versions and what they sell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Generation {
    #[default]
    One,
    Two,
}

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
    PersistentVolumeClaim,
    /// In no namespace; 2.0 only.
    PersistentVolume,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 10] = [
        Self::Namespace,
        Self::Pod,
        Self::ConfigMap,
        Self::Secret,
        Self::Event,
        Self::Service,
        Self::Endpoints,
        Self::Network,
        Self::PersistentVolumeClaim,
        Self::PersistentVolume,
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
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::PersistentVolume => "PersistentVolume",
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
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
            Self::PersistentVolume => "persistentvolumes",
        }
    }

    /// `apiVersion` of one object and of its list.
    pub(crate) fn api_version(self, generation: Generation) -> &'static str {
        match (self, generation) {
            (Self::Network, Generation::One) => "networking.cci.io/v1beta1",
            (Self::Network, Generation::Two) => "yangtse/v2",
            (_, Generation::One) => "v1",
            (_, Generation::Two) => "cci/v2",
        }
    }

    /// Everything before `/namespaces` in the path.
    pub(crate) fn root(self, generation: Generation) -> &'static str {
        match (self, generation) {
            (Self::Network, Generation::One) => "/apis/networking.cci.io/v1beta1",
            (Self::Network, Generation::Two) => "/apis/yangtse/v2",
            (_, Generation::One) => "/api/v1",
            (_, Generation::Two) => "/apis/cci/v2",
        }
    }

    /// How a Kubernetes error names the resource: with its group, if it has one.
    pub(crate) fn qualified(self, generation: Generation) -> &'static str {
        match (self, generation) {
            (Self::Network, Generation::One) => "networks.networking.cci.io",
            (Self::Network, Generation::Two) => "networks.yangtse",
            (Self::Pod, Generation::Two) => "pods.cci",
            (other, _) => other.plural(),
        }
    }

    /// Whether its objects are in a namespace.
    pub(crate) fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::PersistentVolume)
    }

    /// The kind of a resource below a root, as written in the path.
    pub(crate) fn from_path(generation: Generation, root: &str, plural: &str) -> Option<Self> {
        let here = |kind: &Self| kind.root(generation) == root && kind.plural() == plural;
        Self::ALL.into_iter().filter(|kind| kind.is_namespaced()).find(here)
    }
}
