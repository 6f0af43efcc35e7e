//! The support matrix of the mock provider: nothing runs there, so a pod is refused only for what belongs to a host that
//! does not exist. Devices are counted against the node's capacity, as the operator declares it.

use super::Treatment::{Emulated, Passed, Refused};
use super::{Row, When};

const NO_HOST: &str = "a mock has no host: remove the field, or keep the pod on real nodes (policy off)";
const LINUX: &str = "a mock says that it is linux: select that, or keep the pod on real nodes (policy off)";
const NOTHING: &str = "has no effect: at a mock nothing runs";

const fn refused(field: &'static str, when: When) -> Row {
    Row { field, when, treatment: Refused, sentence: NO_HOST }
}

const fn linux(field: &'static str) -> Row {
    Row { field, when: When::IsNot(&["linux"]), treatment: Refused, sentence: LINUX }
}

/// The matrix.
pub const TABLE: &[Row] = &[
    refused("spec.hostNetwork", When::Is("true")),
    refused("spec.hostPID", When::Is("true")),
    refused("spec.hostIPC", When::Is("true")),
    refused("spec.anyContainers[].ports[].hostPort", When::IsNot(&["0"])),
    refused("spec.anyContainers[].securityContext.privileged", When::Is("true")),
    refused("spec.volumes[].hostPath", When::Present),
    linux("spec.nodeSelector.kubernetes~io/os"),
    linux("spec.os.name"),
    Row {
        field: "spec.anyContainers[].resources",
        when: When::Present,
        treatment: Emulated,
        sentence: "counted against the node's capacity, devices too; nothing is reserved anywhere",
    },
    Row { field: "spec.*", when: When::Present, treatment: Emulated, sentence: NOTHING },
    Row { field: "spec.anyContainers[].*", when: When::Present, treatment: Emulated, sentence: NOTHING },
    Row { field: "spec.anyContainers[].name", when: When::Present, treatment: Passed, sentence: "" },
    Row { field: "spec.anyContainers[].image", when: When::Present, treatment: Passed, sentence: "" },
];
