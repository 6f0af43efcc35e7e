//! Paths of CCI 1.0. Pure.

use percent_encoding::percent_decode_str;

use crate::core::kind::{Generation, Kind};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) generation: Generation,
    pub(crate) kind: Kind,
    /// Empty for namespaces themselves.
    pub(crate) namespace: String,
    /// Absent for the collection.
    pub(crate) name: Option<String>,
    pub(crate) sub: Option<Sub>,
    /// The extended collection, whose claims are of storage that there is (1.0).
    pub(crate) import: bool,
}

/// The collection of claims of storage that there is.
const IMPORTS: &str = "extended-persistentvolumeclaims";

/// Sub-resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sub {
    Log,
    Exec,
    Status,
}

impl Sub {
    fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Exec => "exec",
            Self::Status => "status",
        }
    }
}

impl Route {
    /// Reads a path.
    pub(crate) fn parse(generation: Generation, path: &str) -> Option<Self> {
        if let Some(volumes) = Self::volumes(generation, path) {
            return Some(volumes);
        }
        let root = [Kind::Pod, Kind::Network].map(|kind| kind.root(generation));
        let root = root.into_iter().find(|root| path.starts_with(root))?;
        let rest = path.strip_prefix(root)?.strip_prefix("/namespaces")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let mut parts = Vec::new();
        for part in rest.split('/').skip(1) {
            parts.push(percent_decode_str(part).decode_utf8().ok()?.into_owned());
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let core = root == Kind::Namespace.root(generation);
        let route = |kind, namespace: &str, name: Option<&str>, sub| {
            Some(Self {
                generation,
                kind,
                namespace: namespace.to_owned(),
                name: name.map(str::to_owned),
                sub,
                import: false,
            })
        };
        match parts.as_slice() {
            [] if core => route(Kind::Namespace, "", None, None),
            [name] if core => route(Kind::Namespace, "", Some(name), None),
            [name, "status"] if core => route(Kind::Namespace, "", Some(name), Some(Sub::Status)),
            [namespace, plural] if core && *plural == IMPORTS && generation == Generation::One => {
                let claims = route(Kind::PersistentVolumeClaim, namespace, None, None)?;
                Some(Self { import: true, ..claims })
            }
            [namespace, plural] => route(Kind::from_path(generation, root, plural)?, namespace, None, None),
            [namespace, plural, name] => {
                route(Kind::from_path(generation, root, plural)?, namespace, Some(name), None)
            }
            [namespace, plural, name, sub] => {
                let kind = Kind::from_path(generation, root, plural)?;
                let sub =
                    [Sub::Log, Sub::Exec, Sub::Status].into_iter().find(|known| known.word() == *sub)?;
                (kind == Kind::Pod || sub == Sub::Status).then_some(())?;
                route(kind, namespace, Some(name), Some(sub))
            }
            _ => None,
        }
    }

    /// The volumes of 2.0, which are in no namespace.
    fn volumes(generation: Generation, path: &str) -> Option<Self> {
        let kind = Kind::PersistentVolume;
        let rest = path.strip_prefix(kind.root(generation))?.strip_prefix("/persistentvolumes")?;
        let name = match rest.strip_prefix('/') {
            None if rest.is_empty() => None,
            Some(name) if !name.is_empty() && !name.contains('/') => Some(name.to_owned()),
            _ => return None,
        };
        (generation == Generation::Two).then(|| Self {
            generation,
            kind,
            namespace: String::new(),
            name,
            sub: None,
            import: false,
        })
    }

    /// The path with names replaced, for counting and fault rules.
    pub(crate) fn template(&self) -> String {
        let root = self.kind.root(self.generation);
        let plural = if self.import { IMPORTS } else { self.kind.plural() };
        let mut template = match self.kind.is_namespaced() {
            true => format!("{root}/namespaces/{{namespace}}/{plural}"),
            false => format!("{root}/{plural}"),
        };
        if self.name.is_some() {
            template.push_str("/{name}");
        }
        if let Some(sub) = self.sub {
            template.push('/');
            template.push_str(sub.word());
        }
        template
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(
            Route::parse(Generation::One, path).map(|route| route.template()).as_deref(),
            expected,
            "{path}"
        );
    }

    #[test]
    fn paths_and_their_templates() {
        check("/api/v1/namespaces", Some("/api/v1/namespaces"));
        check("/api/v1/namespaces/a", Some("/api/v1/namespaces/{name}"));
        check("/api/v1/namespaces/a/", Some("/api/v1/namespaces/{name}"));
        check("/api/v1/namespaces/a/pods", Some("/api/v1/namespaces/{namespace}/pods"));
        check("/api/v1/namespaces/a/pods/b/log", Some("/api/v1/namespaces/{namespace}/pods/{name}/log"));
        check("/api/v1/namespaces/a/secrets/b", Some("/api/v1/namespaces/{namespace}/secrets/{name}"));
        let pods = Route::parse(Generation::Two, "/apis/cci/v2/namespaces/a/pods/b/exec");
        let template = "/apis/cci/v2/namespaces/{namespace}/pods/{name}/exec";
        assert_eq!(pods.map(|route| route.template()).as_deref(), Some(template));
        assert_eq!(Route::parse(Generation::Two, "/api/v1/namespaces/a/pods"), None);
        let network = "/apis/networking.cci.io/v1beta1/namespaces/a/networks";
        check(network, Some("/apis/networking.cci.io/v1beta1/namespaces/{namespace}/networks"));
        let import = "/api/v1/namespaces/a/extended-persistentvolumeclaims";
        check(import, Some("/api/v1/namespaces/{namespace}/extended-persistentvolumeclaims"));
        let claim = "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}";
        check("/api/v1/namespaces/a/persistentvolumeclaims/b", Some(claim));
        let volume = Route::parse(Generation::Two, "/apis/cci/v2/persistentvolumes/v");
        let template = "/apis/cci/v2/persistentvolumes/{name}";
        assert_eq!(volume.map(|route| route.template()).as_deref(), Some(template));
        for path in [
            "/",
            "/api/v1/persistentvolumes",
            "/api/v1/namespaces/a/persistentvolumes",
            "/api/v1/pods",
            "/api/v1/namespaces/a/secrets/b/log",
            "/api/v1/namespaces/a/networks",
            "/apis/networking.cci.io/v1beta1/namespaces/a",
            "/api/v1/namespaces/a/pods/b/attach",
            "/api/v1/namespacesx",
        ] {
            check(path, None);
        }
    }
}
