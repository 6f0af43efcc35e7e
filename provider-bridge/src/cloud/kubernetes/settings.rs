//! What the operator decides about another cluster, and which namespace there a namespace here becomes.

use std::path::PathBuf;

use crate::cloud::kubelike::short_hash;

/// Longest name of a namespace.
const NAME_MAX: usize = 63;
/// Longest prefix (or fixed name) that leaves room for something readable.
const PREFIX_MAX: usize = 40;

/// Everything a [`super::KubernetesProvider`] needs to know.
#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    /// UID of this cluster's kube-system namespace: a tag on every instance.
    pub cluster_id: String,
    /// The virtual nodes whose instances this provider serves.
    pub node_names: Vec<String>,
    /// How to get in.
    pub login: Login,
    /// Where pods go.
    pub namespaces: Namespaces,
}

/// How to get into the other cluster.
#[derive(Clone, Debug)]
pub enum Login {
    /// A kubeconfig file with a token or a client certificate.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Which context of it; its current one if absent.
        context: Option<String>,
    },
    /// A bearer token in a file, as ServiceAccounts have it.
    Token {
        /// Base URL of the API server.
        server: String,
        /// The file; read again when it changes.
        token: PathBuf,
        /// CA bundle, PEM; the system's roots if absent.
        ca: Option<PathBuf>,
    },
}

/// Which namespace there a namespace here becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// All of them one.
    One(String),
    /// Each one of its own, `{prefix}-{namespace}`.
    Prefixed(String),
}

impl Namespaces {
    /// The namespace that holds everything, if there is one.
    pub(super) fn one(&self) -> Option<&str> {
        match self {
            Self::One(name) => Some(name),
            Self::Prefixed(_) => None,
        }
    }

    /// Where pods of a namespace go. A name that is too long ends in a hash.
    pub(super) fn of(&self, namespace: &str) -> String {
        let prefix = match self {
            Self::One(name) => return name.clone(),
            Self::Prefixed(prefix) => prefix,
        };
        let whole = format!("{prefix}-{namespace}");
        if whole.len() <= NAME_MAX {
            return whole;
        }
        let hash = short_hash(namespace);
        let kept: String = whole.chars().take(NAME_MAX - hash.len() - 1).collect();
        format!("{}-{hash}", kept.trim_end_matches('-'))
    }
}

/// Whether a text can name a namespace, with room for more behind it.
pub fn is_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=PREFIX_MAX).contains(&name.len())
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|c| plain(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_pods_go() {
        let prefixed = Namespaces::Prefixed("burst".into());
        assert_eq!(prefixed.of("shop"), "burst-shop");
        assert_eq!(Namespaces::One("all".into()).of("shop"), "all");
        let long = |end: &str| format!("{}{end}", "x".repeat(62));
        let (first, second) = (prefixed.of(&long("a")), prefixed.of(&long("b")));
        assert!(first.len() == NAME_MAX && first.starts_with("burst-xxx"), "{first}");
        assert_ne!(first, second);
        assert_eq!(prefixed.of(&"x".repeat(57)).len(), NAME_MAX);
    }

    #[test]
    fn names() {
        for (name, good) in [
            ("burst", true),
            ("b-1", true),
            ("", false),
            ("-b", false),
            ("b-", false),
            ("B", false),
            ("a.b", false),
        ] {
            assert_eq!(is_label(name), good, "{name}");
        }
        assert!(!is_label(&"x".repeat(41)));
    }
}
