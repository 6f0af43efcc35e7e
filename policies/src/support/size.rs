//! Whether CCI sells a pod that large, judged beside its fields and by the rounding that makes the instance.

use crate::{
    pod::view::PodView,
    shape::cci::{POD_DISK_MAX, Refusal, asks, disk, round},
};

use super::Unsupported;

const STORAGE: &str =
    "the containers request more than the 10Gi of ephemeral storage that a CCI pod has: ask for less";

/// What of the pod's size is more than CCI has. That it needs a cpu request at all is not judged here: a default may
/// give it one.
pub(super) fn too_large(pod: &PodView<'_>) -> Vec<Unsupported> {
    let at = |field: &str, sentence: String| Unsupported { field: field.to_owned(), sentence };
    let mut found = Vec::new();
    if let Err(refusal @ Refusal::TooLarge(_)) = round(&asks(pod)) {
        found.push(at("spec.containers[*].resources", refusal.to_string()));
    }
    if disk(pod) > POD_DISK_MAX {
        found.push(at("spec.containers[*].resources.requests.ephemeral-storage", STORAGE.to_owned()));
    }
    found
}
