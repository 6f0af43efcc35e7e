//! What a pod really asks for, by the scheduler's own rule.
//!
//! max(sum of containers and sidecars, the largest moment of the init phase), pod-level resources in their place
//! where given, plus overhead: `k8s.io/component-helpers/resource` (`PodRequests`). A missing request is the limit,
//! as the API server defaults it, so that manifests that never met an API server read the same.

use thiserror::Error;

use super::view::{Container, QuantityText, Requirements, ResourceList, Spec, Text};
use crate::{
    quantity::{Quantity, QuantityError},
    resources::Resources,
};

/// A quantity somewhere in an object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct BadQuantity {
    /// Where, for example `spec.containers[0].resources.requests.memory`.
    pub field: String,
    /// What is wrong with the text, which it quotes.
    pub problem: QuantityProblem,
}

/// What is wrong with a quantity at its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityProblem {
    /// Not a quantity.
    #[error(transparent)]
    Unreadable(#[from] QuantityError),
    /// A quantity, but below zero.
    #[error("{0:?} is negative; a resource cannot be")]
    Negative(String),
}

/// Whether an extended resource is a GPU or another accelerator that clouds sell by the device.
pub fn is_gpu(name: &str) -> bool {
    let Some((vendor, device)) = name.split_once('/') else { return false };
    match vendor {
        "nvidia.com" | "amd.com" => device == "gpu" || device.starts_with("gpu-"),
        "huawei.com" => device.get(..6).is_some_and(|d| d.eq_ignore_ascii_case("ascend")),
        _ => false,
    }
}

/// Reads a resource list such as a node's `status.allocatable`. `field` is its place in the object.
///
/// # Errors
/// [`BadQuantity`] when a resource that burst looks at has an unreadable or negative amount.
pub fn read_list<'t>(
    field: &str,
    list: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<Resources, BadQuantity> {
    list.into_iter().try_fold(Resources::default(), |sum, (name, text)| {
        Ok(sum.plus(read(name, text).map_err(|problem| bad(field, name, problem))?))
    })
}

/// What the pod asks for, with `pods: 1`.
pub(super) fn effective(spec: &Spec<'_>) -> Result<Resources, BadQuantity> {
    let running = running(spec)?;
    let started = running.max(init_phase(spec)?);
    let total = pod_level(started, &spec.resources)?.plus(list("spec.overhead", &spec.overhead)?);
    Ok(Resources { pods: 1, ..total })
}

/// Whether a container that runs to the end of the pod's life, or the pod itself, asks for CPU.
pub(super) fn asks_cpu(spec: &Spec<'_>) -> bool {
    let positive = |requirements: &Requirements<'_>| {
        [&requirements.requests, &requirements.limits]
            .into_iter()
            .filter_map(|list| list.get("cpu"))
            .any(|cpu| Quantity::parse(&cpu.0).is_ok_and(|q| q.nano() > 0))
    };
    positive(&spec.resources) || spec.containers.iter().any(|c| positive(&c.resources))
}

/// Whether anything is requested or limited anywhere.
pub(super) fn asks_anything(spec: &Spec<'_>) -> bool {
    let any = |requirements: &Requirements<'_>| {
        [&requirements.requests, &requirements.limits]
            .into_iter()
            .flatten()
            .any(|(name, _)| !crate::keys::is_marker(name.as_str()))
    };
    any(&spec.resources) || spec.containers.iter().chain(&spec.init_containers).any(|c| any(&c.resources))
}

fn running(spec: &Spec<'_>) -> Result<Resources, BadQuantity> {
    let mut sum = Resources::default();
    for (i, container) in spec.containers.iter().enumerate() {
        sum = sum.plus(requested(&format_args!("spec.containers[{i}]"), &container.resources)?);
    }
    for (i, sidecar) in spec.init_containers.iter().enumerate().filter(|(_, c)| is_sidecar(c)) {
        sum = sum.plus(requested(&format_args!("spec.initContainers[{i}]"), &sidecar.resources)?);
    }
    Ok(sum)
}

/// Init containers run one after another, beside the sidecars that were started before them.
fn init_phase(spec: &Spec<'_>) -> Result<Resources, BadQuantity> {
    let mut sidecars = Resources::default();
    let mut most = Resources::default();
    for (i, container) in spec.init_containers.iter().enumerate() {
        let own = requested(&format_args!("spec.initContainers[{i}]"), &container.resources)?;
        if is_sidecar(container) {
            sidecars = sidecars.plus(own);
            most = most.max(sidecars);
        } else {
            most = most.max(sidecars.plus(own));
        }
    }
    Ok(most)
}

fn is_sidecar(container: &Container<'_>) -> bool {
    container.restart_policy.as_ref().is_some_and(|policy| policy.as_str() == "Always")
}

/// A pod-level request replaces the containers' sum; a pod-level limit alone stands in where they ask nothing.
fn pod_level(containers: Resources, level: &Requirements<'_>) -> Result<Resources, BadQuantity> {
    let requests = list("spec.resources.requests", &level.requests)?;
    let limits = list("spec.resources.limits", &level.limits)?;
    let pick = |name: &str, below: u64, request: u64, limit: u64| match below {
        _ if level.requests.contains_key(name) => request,
        0 => limit,
        below => below,
    };
    Ok(Resources {
        cpu_milli: pick("cpu", containers.cpu_milli, requests.cpu_milli, limits.cpu_milli),
        memory_bytes: pick("memory", containers.memory_bytes, requests.memory_bytes, limits.memory_bytes),
        ..containers
    })
}

fn requested(container: &std::fmt::Arguments<'_>, own: &Requirements<'_>) -> Result<Resources, BadQuantity> {
    let mut sum = Resources::default();
    for (name, text) in &own.requests {
        let read = read(name.as_str(), &text.0);
        sum = sum.plus(read.map_err(|e| bad(&format!("{container}.resources.requests"), name.as_str(), e))?);
    }
    for (name, text) in own.limits.iter().filter(|(name, _)| !own.requests.contains_key(name.as_str())) {
        let read = read(name.as_str(), &text.0);
        sum = sum.plus(read.map_err(|e| bad(&format!("{container}.resources.limits"), name.as_str(), e))?);
    }
    Ok(sum)
}

fn list(field: &str, list: &ResourceList<'_>) -> Result<Resources, BadQuantity> {
    let rows = list.iter().map(|(name, text): (&Text<'_>, &QuantityText<'_>)| (name.as_str(), &*text.0));
    read_list(field, rows)
}

fn read(name: &str, text: &str) -> Result<Resources, QuantityProblem> {
    let mut one = Resources::default();
    match name {
        "cpu" => one.cpu_milli = amount(text, Quantity::to_milli_ceil)?,
        "memory" => one.memory_bytes = amount(text, Quantity::to_value_ceil)?,
        "ephemeral-storage" => one.ephemeral_storage_bytes = amount(text, Quantity::to_value_ceil)?,
        "pods" => one.pods = amount(text, Quantity::to_value_ceil)?,
        _ if is_gpu(name) => one.gpu = amount(text, Quantity::to_value_ceil)?,
        _ => {}
    }
    Ok(one)
}

fn amount(text: &str, unit: fn(&Quantity) -> i64) -> Result<u64, QuantityProblem> {
    let quantity = Quantity::parse(text)?;
    if quantity.is_negative() {
        return Err(QuantityProblem::Negative(text.to_owned()));
    }
    Ok(u64::try_from(unit(&quantity)).unwrap_or(0))
}

fn bad(list: &str, name: &str, problem: QuantityProblem) -> BadQuantity {
    let field =
        if name.contains(['/', '.']) { format!("{list}[{name:?}]") } else { format!("{list}.{name}") };
    BadQuantity { field, problem }
}
