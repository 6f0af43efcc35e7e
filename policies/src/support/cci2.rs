//! The support matrix of CCI 2.0.
//!
//! What it has in common with CCI 1.0 is in [`super::huawei`]. Facts: the PodSpec schema of the CCI 2.0 API reference and
//! the list of what Huawei's bursting add-on cannot do. Every PodSpec field of Kubernetes 1.36 has a row; what has none is
//! refused.

pub mod annotations;

use super::rows::{CLOSED, OF_THIS_CLUSTER, count, emulated, joined, passed, refused};
use super::{Row, When, huawei};

pub use annotations::ANNOTATIONS;

const LINUX_AMD64: &str =
    "burst runs linux/amd64 pods only at CCI 2.0: select that, or keep the pod on real nodes (policy off)";

/// The matrix, in the order in which messages appear.
pub const TABLE: &[Row] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Row]] = &[
    huawei::REFUSED,
    OWN_REFUSED,
    CLOSED,
    OWN_EMULATED,
    huawei::EMULATED,
    OF_THIS_CLUSTER,
    huawei::PASSED,
    OWN_PASSED,
];

const OWN_REFUSED: &[Row] = &[
    refused("spec.nodeSelector.kubernetes~io/arch", When::IsNot(&["amd64"]), LINUX_AMD64),
    refused("spec.nodeSelector.kubernetes~io/os", When::IsNot(&["linux"]), LINUX_AMD64),
    refused("spec.os.name", When::IsNot(&["linux"]), LINUX_AMD64),
    refused("spec.securityContext.windowsOptions", When::Present, LINUX_AMD64),
    refused("spec.anyContainers[].securityContext.windowsOptions", When::Present, LINUX_AMD64),
    refused(
        "spec.anyContainers[].restartPolicy",
        When::Present,
        "CCI 2.0 has no restart policy per container: make a sidecar an ordinary container",
    ),
    refused(
        "spec.hostnameOverride",
        When::Present,
        "CCI 2.0 has no hostnameOverride: set hostname, or remove the field",
    ),
    refused(
        "spec.securityContext.supplementalGroupsPolicy",
        When::IsNot(&["Merge"]),
        "CCI 2.0 merges the groups of the image: remove the field",
    ),
    refused(
        "spec.volumes[].*",
        When::Present,
        "CCI 2.0 mounts configMap, secret, emptyDir, projected, downwardAPI and nfs volumes and the file systems of claims \
         (SFS, SFS Turbo) only: use one of them",
    ),
];

const OWN_EMULATED: &[Row] = &[
    emulated(
        "spec.anyContainers[].resources",
        "requests are made equal to limits, at least 0.25 core / 0.5Gi, and the pod is bought as the next size of CCI 2.0; \
         of a size above 2Gi the system keeps some memory for itself: resource.cci.io/memory-reservation: \"true\" buys \
         1Gi more",
    ),
    emulated(
        "spec.subdomain",
        "CCI 2.0 has no such field: this cluster's DNS knows the pod under it, the instance itself does not",
    ),
    emulated("spec.securityContext.supplementalGroupsPolicy", "left out: Merge is what CCI 2.0 does"),
];

const OWN_PASSED: &[Row] =
    &[passed("spec.volumes[].nfs"), passed("spec.anyContainers[].securityContext.procMount")];

#[cfg(test)]
mod tests;
