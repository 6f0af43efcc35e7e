//! Whether a provider sells a pod that large, judged beside its fields and by the rounding that makes the instance.

use crate::{
    pod::view::PodView,
    reasons::Reason,
    shape::{Rules, disk},
};

use super::Unsupported;

/// What of the pod's size is more than the provider has. That it needs a cpu request at all is not judged here: a default
/// may give it one.
pub(super) fn too_large(rules: &Rules, pod: &PodView<'_>) -> Vec<Unsupported> {
    let at = |field: &str, sentence: String| Unsupported { field: field.to_owned(), sentence };
    let mut found = Vec::new();
    if let Err(misfit) = rules.size(pod, &[])
        && misfit.reason == Reason::ShapeTooLarge
    {
        found.push(at("spec.containers[*].resources", misfit.sentence));
    }
    if let Some((most, sentence)) = rules.disk
        && disk(pod) > most
    {
        found.push(at("spec.containers[*].resources.requests.ephemeral-storage", sentence.to_owned()));
    }
    found
}
