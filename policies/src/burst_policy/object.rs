//! A policy object as the deciding code sees it: its identity and its spec.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::BurstPolicySpec;

/// The two kinds of policy object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PolicyKind {
    /// Speaks for pods of its own namespace.
    BurstPolicy,
    /// Speaks for pods of the namespaces that it selects.
    ClusterBurstPolicy,
}

impl PolicyKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::BurstPolicy, Self::ClusterBurstPolicy];

    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BurstPolicy => "BurstPolicy",
            Self::ClusterBurstPolicy => "ClusterBurstPolicy",
        }
    }

    /// The kind's name in API paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::BurstPolicy => "burstpolicies",
            Self::ClusterBurstPolicy => "clusterburstpolicies",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A BurstPolicy or ClusterBurstPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    /// `BurstPolicy/shop/web` or `ClusterBurstPolicy/all`: how annotations, ledgers and messages name it.
    pub key: String,
    /// Which kind.
    pub kind: PolicyKind,
    /// `metadata.namespace`; empty for a ClusterBurstPolicy.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: the guard of writes to its status.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// What it asks for.
    pub spec: BurstPolicySpec,
}

impl PolicyObject {
    /// An object of which only identity and spec matter. A namespace makes it a BurstPolicy, none a ClusterBurstPolicy.
    pub fn new(namespace: Option<&str>, name: &str, spec: BurstPolicySpec) -> Self {
        let kind = if namespace.is_some() { PolicyKind::BurstPolicy } else { PolicyKind::ClusterBurstPolicy };
        let namespace = namespace.unwrap_or_default();
        Self {
            key: key(kind, namespace, name),
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: String::new(),
            generation: 1,
            spec,
        }
    }
}

/// How annotations, ledgers and messages name an object.
pub fn key(kind: PolicyKind, namespace: &str, name: &str) -> String {
    match kind {
        PolicyKind::BurstPolicy => format!("{kind}/{namespace}/{name}"),
        PolicyKind::ClusterBurstPolicy => format!("{kind}/{name}"),
    }
}
