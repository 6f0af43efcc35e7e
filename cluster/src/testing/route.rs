//! Paths of the Kubernetes API: which resource, namespace, name and subresource; and the built-in kinds.

/// A resource by group and plural; versions of one group share their objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) plural: String,
}

impl Resource {
    pub(super) fn named(api_version: &str, plural: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self { group: group.to_owned(), plural: plural.to_owned() }
    }
}

/// What a path points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A collection (`name` empty) or an object.
    Objects(Route),
    /// `/api/v1` or `/apis/<group>/<version>`: the resources of a group version.
    Resources { api_version: String },
    /// Anything else.
    Unknown,
}

/// A collection or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) resource: Resource,
    pub(super) api_version: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) subresource: String,
}

/// Reads a path.
pub(super) fn target(path: &str) -> Target {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (api_version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ((*version).to_owned(), rest),
        ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return Target::Unknown,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (*namespace, [&[*plural], rest].concat())
        }
        rest => ("", rest.to_vec()),
    };
    let [plural, rest @ ..] = rest.as_slice() else {
        return Target::Resources { api_version };
    };
    let part = |i: usize| rest.get(i).copied().unwrap_or_default().to_owned();
    Target::Objects(Route {
        resource: Resource::named(&api_version, plural),
        namespace: namespace.to_owned(),
        name: part(0),
        subresource: part(1),
        api_version,
    })
}

/// A kind that discovery knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownKind {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) namespaced: bool,
}

/// The kinds known from the start.
pub(super) fn built_in() -> Vec<KnownKind> {
    let kind = |(api_version, kind, plural, namespaced): (&str, &str, &str, bool)| KnownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
    };
    [
        ("v1", "Pod", "pods", true),
        ("v1", "Node", "nodes", false),
        ("v1", "Namespace", "namespaces", false),
        ("v1", "ConfigMap", "configmaps", true),
        ("v1", "Secret", "secrets", true),
        ("v1", "Service", "services", true),
        ("v1", "ServiceAccount", "serviceaccounts", true),
        ("v1", "Event", "events", true),
        ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
        ("v1", "ReplicationController", "replicationcontrollers", true),
        ("apps/v1", "Deployment", "deployments", true),
        ("apps/v1", "ReplicaSet", "replicasets", true),
        ("apps/v1", "StatefulSet", "statefulsets", true),
        ("apps/v1", "DaemonSet", "daemonsets", true),
        ("batch/v1", "Job", "jobs", true),
        ("batch/v1", "CronJob", "cronjobs", true),
        ("coordination.k8s.io/v1", "Lease", "leases", true),
        ("events.k8s.io/v1", "Event", "events", true),
        ("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", false),
        ("burst.io/v1alpha1", "BurstPolicy", "burstpolicies", true),
        ("burst.io/v1alpha1", "ClusterBurstPolicy", "clusterburstpolicies", false),
        ("burst.io/v1alpha1", "BurstLedger", "burstledgers", true),
        ("burst.io/v1alpha1", "VirtualNodeReport", "virtualnodereports", false),
        ("authentication.k8s.io/v1", "TokenReview", "tokenreviews", false),
        ("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", false),
    ]
    .map(kind)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, want: [&str; 5]| {
            let Target::Objects(route) = target(path) else { panic!("{path} is not an object path") };
            let got = [
                &*route.api_version,
                &*route.resource.plural,
                &*route.namespace,
                &*route.name,
                &*route.subresource,
            ];
            assert_eq!(got, want, "{path}");
        };
        check("/api/v1/pods", ["v1", "pods", "", "", ""]);
        check("/api/v1/namespaces/a/pods/b/status", ["v1", "pods", "a", "b", "status"]);
        check("/api/v1/namespaces/a", ["v1", "namespaces", "", "a", ""]);
        check("/api/v1/namespaces/a/status", ["v1", "namespaces", "", "a", "status"]);
        check("/apis/apps/v1/namespaces/a/deployments/b", ["apps/v1", "deployments", "a", "b", ""]);
        check("/api/v1/nodes/n/status", ["v1", "nodes", "", "n", "status"]);
        assert_eq!(target("/apis/apps/v1"), Target::Resources { api_version: "apps/v1".to_owned() });
        assert_eq!(target("/version"), Target::Unknown);
    }
}
