//! Which policy a pod has, and who said so (DESIGN 4.1): the first that speaks wins.
//!
//! In order: the pod's labels, the labels of the workloads that own it (nearest first), what the pod chooses by
//! itself, the policy object that speaks for it, the namespace's labels, the cluster default. An explicit label wins over the pod's own tolerations,
//! because the label is the promise and admission makes the tolerations follow it; an explicit `off` beside a
//! selector of virtual nodes is refused instead of guessed. DaemonSet pods listen to their own labels and their
//! DaemonSet only. The caller reads owners and namespaces; nothing here looks anything up.

pub mod implicit;
pub mod labels;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use thiserror::Error;

use crate::{burst_policy::PolicyObject, node::NodeClass, pod::PodFacts, policy::Policy};
use labels::{Said, Scope};

/// A workload that owns the pod, directly or through another.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// For example `Deployment`.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Everything that may speak.
#[derive(Clone, Copy)]
pub struct Voices<'a> {
    /// The pod.
    pub pod: &'a PodFacts,
    /// Its owners, nearest first (ReplicaSet before Deployment).
    pub owners: &'a [Owner<'a>],
    /// Labels of its namespace.
    pub namespace: &'a BTreeMap<String, String>,
    /// What holds when nobody speaks.
    pub default: Policy,
    /// Whether a node is real or virtual, by name; `None` for a node that is not known.
    pub class_of: &'a dyn Fn(&str) -> Option<NodeClass>,
}

/// Who said it. Prints as messages and annotations show it: `Deployment/web label burst-to-cci`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A label of the pod.
    PodLabel(&'static str),
    /// A label of a workload that owns the pod.
    OwnerLabel {
        /// For example `Deployment`.
        kind: String,
        /// Its name.
        name: String,
        /// The label key.
        key: &'static str,
    },
    /// `spec.nodeName` names a virtual node (enforce) or a real one (off).
    NodeName,
    /// `spec.nodeSelector` asks for virtual nodes.
    NodeSelector,
    /// Required node affinity asks for virtual nodes.
    NodeAffinity,
    /// A toleration names the provider taint.
    Toleration,
    /// A policy object, by its key.
    Object(String),
    /// A label of the namespace.
    NamespaceLabel(&'static str),
    /// The cluster default.
    ClusterDefault,
    /// A DaemonSet manages the pod, and nothing on either says otherwise.
    DaemonSet,
    /// What admission recorded on the pod earlier.
    Recorded(String),
}

impl Source {
    /// Whether a label says it, as opposed to the pod's spec or a default.
    pub const fn is_label(&self) -> bool {
        matches!(self, Self::PodLabel(_) | Self::OwnerLabel { .. } | Self::NamespaceLabel(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodLabel(key) => write!(f, "pod label {key}"),
            Self::OwnerLabel { kind, name, key } => write!(f, "{kind}/{name} label {key}"),
            Self::NodeName => f.write_str("nodeName"),
            Self::NodeSelector => f.write_str("nodeSelector type=virtual-kubelet"),
            Self::NodeAffinity => f.write_str("node affinity type In [virtual-kubelet]"),
            Self::Toleration => f.write_str("toleration virtual-kubelet.io/provider"),
            Self::Object(key) => f.write_str(key),
            Self::NamespaceLabel(key) => write!(f, "namespace label {key}"),
            Self::ClusterDefault => f.write_str("cluster default"),
            Self::DaemonSet => f.write_str("DaemonSet pod"),
            Self::Recorded(text) => f.write_str(text),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The policy in force for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The policy.
    pub policy: Policy,
    /// Who said so.
    pub source: Source,
    /// The only provider allowed (value of the provider taint), where a cloud's own key said it.
    pub provider: Option<&'static str>,
}

impl Resolved {
    /// What admission recorded on a pod, if it did: enough for the extender, which sees only the pod.
    pub fn recorded(pod: &PodFacts) -> Option<Self> {
        let source = pod.annotations.get(crate::keys::POLICY_SOURCE).cloned().unwrap_or_default();
        let policy = pod.recorded_policy()?;
        Some(Self { policy, source: Source::Recorded(source), provider: None })
    }
}

/// Why no policy can be named. Every message says what to change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// A value that is not a policy.
    #[error("{object}: label {key}={value:?} is not a policy of burst; legal values are {legal}")]
    UnknownValue {
        /// For example `Deployment/web`.
        object: String,
        /// The label key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The legal values.
        legal: String,
    },
    /// Two things on one object that cannot both hold.
    #[error("{object}: {one} and {other} contradict each other; keep one of them")]
    Contradiction {
        /// For example `pod shop/web-7f`.
        object: String,
        /// One field with its value.
        one: String,
        /// The other.
        other: String,
    },
}

/// Finds the policy of a pod.
///
/// # Errors
/// [`ResolveError`] for an unknown value or a contradiction on the pod, an owner or the namespace that had to be
/// asked; whoever is not asked any more cannot fail it.
pub fn resolve(voices: &Voices<'_>) -> Result<Resolved, ResolveError> {
    resolve_with(voices, None)
}

/// Finds the policy of a pod for which a policy object may speak ([`crate::burst_policy::best`]). An object without a
/// policy leaves the word to the namespace.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(voices: &Voices<'_>, object: Option<&PolicyObject>) -> Result<Resolved, ResolveError> {
    if let Some(resolved) = explicit(voices)? {
        return checked(voices, resolved);
    }
    if voices.pod.is_daemon() {
        return Ok(Resolved { policy: Policy::Off, source: Source::DaemonSet, provider: None });
    }
    if let Some(resolved) = implicit::choice(voices.pod, voices.class_of) {
        return Ok(resolved);
    }
    if let Some((object, policy)) = object.and_then(|object| Some((object, object.spec.policy?))) {
        return Ok(Resolved { policy, source: Source::Object(object.key.clone()), provider: None });
    }
    if let Some(said) = labels::read(Scope::Namespace, &namespace_title(voices.pod), voices.namespace)? {
        return Ok(by(said, Source::NamespaceLabel(said.key)));
    }
    Ok(Resolved { policy: voices.default, source: Source::ClusterDefault, provider: None })
}

/// What labels on the pod or on its owners say.
fn explicit(voices: &Voices<'_>) -> Result<Option<Resolved>, ResolveError> {
    if let Some(said) = labels::read(Scope::Pod, &voices.pod.title(), &voices.pod.labels)? {
        return Ok(Some(by(said, Source::PodLabel(said.key))));
    }
    for owner in voices.owners {
        let object = format!("{}/{}", owner.kind, owner.name);
        if let Some(said) = labels::read(Scope::Workload, &object, owner.labels)? {
            let source = Source::OwnerLabel {
                kind: owner.kind.to_owned(),
                name: owner.name.to_owned(),
                key: said.key,
            };
            return Ok(Some(by(said, source)));
        }
    }
    Ok(None)
}

const fn by(said: Said, source: Source) -> Resolved {
    Resolved { policy: said.policy, source, provider: said.provider }
}

/// Refuses a label that the pod's own choice of nodes makes impossible.
fn checked(voices: &Voices<'_>, resolved: Resolved) -> Result<Resolved, ResolveError> {
    let pod = voices.pod;
    let real_name = pod.node_name.as_deref().filter(|n| (voices.class_of)(n) == Some(NodeClass::Real));
    let other = match resolved.policy {
        Policy::Off => implicit::insists(pod, voices.class_of).map(|source| chosen_field(pod, &source)),
        Policy::Enforce => real_name.map(|node| format!("spec.nodeName {node} (a real node)")),
        Policy::Auto | Policy::LocalPrefer => None,
    };
    match other {
        Some(other) => {
            let one = format!("policy {} ({})", resolved.policy.as_str(), resolved.source);
            Err(ResolveError::Contradiction { object: pod.title(), one, other })
        }
        None => Ok(resolved),
    }
}

fn chosen_field(pod: &PodFacts, source: &Source) -> String {
    match source {
        Source::NodeName => {
            format!("spec.nodeName {} (a virtual node)", pod.node_name.as_deref().unwrap_or_default())
        }
        Source::NodeSelector => "spec.nodeSelector type=virtual-kubelet".to_owned(),
        other => format!("the required {other}"),
    }
}

fn namespace_title(pod: &PodFacts) -> String {
    format!("namespace {}", pod.namespace)
}
