//! A pod as decisions see it: identity, where it may run, and what it really asks for.
//!
//! Read once from the Pod's JSON ([`view`] borrows, [`PodFacts`] owns). Never guesses: a quantity that cannot be
//! read is an error that names the field.

mod requests;
#[cfg(test)]
mod tests;
pub mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use requests::{BadQuantity, QuantityProblem, is_gpu, read_list};

use crate::{
    daemons, keys,
    policy::Policy,
    resources::Resources,
    selector::{Requirement, Term, Toleration},
};
use view::{PodView, RequirementView, TermView, Text, TextMap};

/// One owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerRef {
    /// `apiVersion`, for example `apps/v1`.
    pub api_version: String,
    /// `kind`, for example `ReplicaSet`.
    pub kind: String,
    /// `name`.
    pub name: String,
    /// `uid`.
    pub uid: String,
    /// Whether this owner is the managing controller.
    pub controller: bool,
}

/// Something that only the scheduler can judge, because a node row does not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unjudged {
    /// Required pod affinity or anti-affinity.
    PodAffinity,
    /// A topology spread constraint with `DoNotSchedule`.
    TopologySpread,
    /// A host port.
    HostPort,
    /// A volume that may exist on some nodes only.
    Volume,
    /// A dynamic resource claim.
    ResourceClaim,
    /// An extended resource other than a GPU.
    ExtendedResource,
}

/// What decisions need to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFacts {
    /// `metadata.uid`: the identity; empty before the API server has given one.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`, or `metadata.generateName` before there is a name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// All owner references.
    pub owners: Vec<OwnerRef>,
    /// `spec.nodeName`, when set.
    pub node_name: Option<String>,
    /// `status.nominatedNodeName`, when set.
    pub nominated_node_name: Option<String>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity terms: `None` means nothing is required, an empty list matches no node.
    pub required_terms: Option<Vec<Term>>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Names of the scheduling gates still there.
    pub scheduling_gates: Vec<String>,
    /// `spec.priority`.
    pub priority: Option<i32>,
    /// `spec.priorityClassName`.
    pub priority_class_name: String,
    /// `spec.schedulerName`.
    pub scheduler_name: String,
    /// Effective requests, with `pods: 1`.
    pub requests: Resources,
    /// Whether an app container or the pod itself asks for CPU.
    pub asks_cpu: bool,
    /// Whether any resource is requested or limited (our markers do not count).
    pub asks_anything: bool,
    /// What of the pod only the scheduler can judge.
    pub unjudged: Vec<Unjudged>,
}

/// Why a pod's JSON could not be read.
#[derive(Debug, Error)]
pub enum FactsError {
    /// Not a Pod's JSON.
    #[error("the object is not a readable Pod: {0}")]
    NotAPod(#[from] serde_json::Error),
    /// A quantity in it cannot be read.
    #[error(transparent)]
    Quantity(#[from] BadQuantity),
}

impl PodFacts {
    /// Reads a Pod, or a pod template, from a JSON value.
    ///
    /// # Errors
    /// [`FactsError`] when it is not shaped like a Pod or has an unreadable quantity.
    pub fn from_value(pod: &Value) -> Result<Self, FactsError> {
        Ok(Self::from_view(&PodView::deserialize(pod)?)?)
    }

    /// Reads a Pod from JSON text.
    ///
    /// # Errors
    /// As [`Self::from_value`].
    pub fn from_json(pod: &str) -> Result<Self, FactsError> {
        Ok(Self::from_view(&serde_json::from_str(pod)?)?)
    }

    /// Copies what decisions need out of a borrowed view.
    ///
    /// # Errors
    /// [`BadQuantity`] when a request, limit or overhead cannot be read.
    pub fn from_view(pod: &PodView<'_>) -> Result<Self, BadQuantity> {
        let (meta, spec) = (&pod.metadata, &pod.spec);
        let required = spec.affinity.node_affinity.required.as_ref();
        Ok(Self {
            uid: text(meta.uid.as_ref()),
            namespace: text(meta.namespace.as_ref()),
            name: text(meta.name.as_ref().or(meta.generate_name.as_ref())),
            labels: map(&meta.labels),
            annotations: map(&meta.annotations),
            owners: meta.owner_references.iter().map(owner).collect(),
            node_name: filled(spec.node_name.as_ref()),
            nominated_node_name: filled(pod.status.nominated_node_name.as_ref()),
            node_selector: map(&spec.node_selector),
            required_terms: required.map(|r| r.node_selector_terms.iter().map(term).collect()),
            tolerations: spec.tolerations.iter().map(toleration).collect(),
            scheduling_gates: spec.scheduling_gates.iter().map(|g| g.name.as_str().to_owned()).collect(),
            priority: spec.priority,
            priority_class_name: text(spec.priority_class_name.as_ref()),
            scheduler_name: text(spec.scheduler_name.as_ref()),
            requests: requests::effective(spec)?,
            asks_cpu: requests::asks_cpu(spec),
            asks_anything: requests::asks_anything(spec),
            unjudged: unjudged(spec),
        })
    }

    /// The managing controller.
    pub fn controller(&self) -> Option<&OwnerRef> {
        self.owners.iter().find(|owner| owner.controller)
    }

    /// The workload that the pod belongs to, as far as the pod itself tells: `Deployment/web` (the ReplicaSet's name
    /// without the hash that its Deployment gave it), `StatefulSet/db`, `Job/import`.
    pub fn workload(&self) -> Option<String> {
        let owner = self.controller()?;
        let hash = self.labels.get("pod-template-hash");
        let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
        Some(match deployment.filter(|_| owner.kind == "ReplicaSet") {
            Some(name) => format!("Deployment/{name}"),
            None => format!("{}/{}", owner.kind, owner.name),
        })
    }

    /// Whether a DaemonSet manages the pod.
    pub fn is_daemon(&self) -> bool {
        self.controller().is_some_and(|c| c.kind == "DaemonSet")
    }

    /// What it asks for in the cloud: its own requests and those of the DaemonSets beside it. An annotation that cannot be
    /// read adds nothing here; the ledger takes it for more than any ceiling.
    pub fn cloud_requests(&self) -> Resources {
        self.requests.plus(daemons::record::requests(&self.annotations).unwrap_or_default())
    }

    /// The policy that admission wrote on the pod.
    pub fn recorded_policy(&self) -> Option<Policy> {
        self.annotations.get(keys::RESOLVED_POLICY).and_then(|value| Policy::parse(value))
    }

    /// `pod shop/web-7f`, as messages name it; a pod without a namespace yet is named without one.
    pub fn title(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("pod {}", self.name),
            namespace => format!("pod {namespace}/{}", self.name),
        }
    }
}

/// The effective requests alone, for caches that keep many pods.
///
/// # Errors
/// [`BadQuantity`] when a request, limit or overhead cannot be read.
pub fn effective_requests(pod: &PodView<'_>) -> Result<Resources, BadQuantity> {
    requests::effective(&pod.spec)
}

fn text(text: Option<&Text<'_>>) -> String {
    text.map(|t| t.as_str().to_owned()).unwrap_or_default()
}

fn filled(text: Option<&Text<'_>>) -> Option<String> {
    text.map(Text::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

fn map(map: &TextMap<'_>) -> BTreeMap<String, String> {
    map.iter().map(|(k, v)| (k.as_str().to_owned(), v.as_str().to_owned())).collect()
}

fn owner(owner: &view::OwnerView<'_>) -> OwnerRef {
    OwnerRef {
        api_version: owner.api_version.as_str().to_owned(),
        kind: owner.kind.as_str().to_owned(),
        name: owner.name.as_str().to_owned(),
        uid: owner.uid.as_str().to_owned(),
        controller: owner.controller,
    }
}

fn term(term: &TermView<'_>) -> Term {
    let all = |list: &[RequirementView<'_>]| list.iter().map(requirement).collect();
    Term { match_expressions: all(&term.match_expressions), match_fields: all(&term.match_fields) }
}

fn requirement(requirement: &RequirementView<'_>) -> Requirement {
    Requirement {
        key: requirement.key.as_str().to_owned(),
        operator: requirement.operator.as_str().to_owned(),
        values: requirement.values.iter().map(|v| v.as_str().to_owned()).collect(),
    }
}

fn toleration(toleration: &view::TolerationView<'_>) -> Toleration {
    Toleration {
        key: toleration.key.as_str().to_owned(),
        operator: toleration.operator.as_str().to_owned(),
        value: toleration.value.as_str().to_owned(),
        effect: toleration.effect.as_str().to_owned(),
    }
}

fn unjudged(spec: &view::Spec<'_>) -> Vec<Unjudged> {
    let affinity = &spec.affinity;
    let containers = || spec.containers.iter().chain(&spec.init_containers);
    let pod_affinity =
        !affinity.pod_affinity.required.is_empty() || !affinity.pod_anti_affinity.required.is_empty();
    let spread =
        spec.topology_spread_constraints.iter().any(|s| s.when_unsatisfiable.as_str() == "DoNotSchedule");
    let host_port = containers().flat_map(|c| &c.ports).any(|p| p.host_port.unwrap_or(0) != 0);
    let volume = spec.volumes.iter().any(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some());
    let extended = containers().flat_map(|c| c.resources.requests.keys()).any(|name| is_other(name.as_str()));
    [
        (pod_affinity, Unjudged::PodAffinity),
        (spread, Unjudged::TopologySpread),
        (host_port, Unjudged::HostPort),
        (volume, Unjudged::Volume),
        (!spec.resource_claims.is_empty(), Unjudged::ResourceClaim),
        (extended, Unjudged::ExtendedResource),
    ]
    .into_iter()
    .filter_map(|(found, what)| found.then_some(what))
    .collect()
}

/// A resource that a node row does not carry.
fn is_other(name: &str) -> bool {
    !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !keys::is_marker(name) && !is_gpu(name)
}
