//! The support matrix of CCI 1.0.
//!
//! What it has in common with CCI 2.0 is in [`super::huawei`]. Every PodSpec field of Kubernetes 1.36 has a row; what has
//! none is refused.

use super::rows::{CLOSED, OF_THIS_CLUSTER, count, emulated, joined, passed, refused};
use super::{Row, When, huawei, rules};

const LINUX_AMD64: &str =
    "CCI 1.0 runs linux/amd64 only: select that, or keep the pod on real nodes (policy off)";

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
    refused(
        "spec.anyContainers[].securityContext.procMount",
        When::IsNot(&["Default"]),
        "CCI mounts /proc in the default way only: remove the field",
    ),
    refused("spec.nodeSelector.kubernetes~io/arch", When::IsNot(&["amd64"]), LINUX_AMD64),
    refused("spec.nodeSelector.kubernetes~io/os", When::IsNot(&["linux"]), LINUX_AMD64),
    refused("spec.os.name", When::IsNot(&["linux"]), LINUX_AMD64),
    refused("spec.securityContext.windowsOptions", When::Present, LINUX_AMD64),
    refused("spec.anyContainers[].securityContext.windowsOptions", When::Present, LINUX_AMD64),
    refused(
        "spec.anyContainers[].restartPolicy",
        When::Present,
        "CCI 1.0 has no restart policy per container: make a sidecar an ordinary container",
    ),
    refused(
        "spec.volumes[].*",
        When::Present,
        "CCI mounts configMap, secret, emptyDir, projected and downwardAPI volumes and the file systems of claims (SFS, SFS \
         Turbo) only: use one of them",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].subPath",
        When::Rule(rules::sub_path_on_empty_dir),
        "CCI 1.0 has no sub-paths on emptyDir: use a volume per path",
    ),
];

const OWN_EMULATED: &[Row] =
    &[emulated("spec.anyContainers[].resources", "rounded up to a CCI size, requests equal to limits")];

const OWN_PASSED: &[Row] = &[
    passed("spec.hostnameOverride"),
    passed("spec.securityContext.supplementalGroupsPolicy"),
    passed("spec.subdomain"),
];
