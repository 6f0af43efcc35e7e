//! What the tables of all providers are made of: how a row is written, and the rows that every one of them has.

use super::Treatment::{Emulated, Passed, Refused};
use super::{Row, When};

pub(super) const fn passed(field: &'static str) -> Row {
    Row { field, when: When::Present, treatment: Passed, sentence: "" }
}

pub(super) const fn emulated(field: &'static str, sentence: &'static str) -> Row {
    Row { field, when: When::Present, treatment: Emulated, sentence }
}

pub(super) const fn refused(field: &'static str, when: When, sentence: &'static str) -> Row {
    Row { field, when, treatment: Refused, sentence }
}

const UNKNOWN: &str = "burst does not know this pod field and will not drop it in silence: remove it, or keep the pod \
                       on real nodes (policy off)";

/// A field that the table does not know is refused.
pub(super) const fn unknown(field: &'static str) -> Row {
    refused(field, When::Present, UNKNOWN)
}

const SCHEDULED_HERE: &str = "used by this cluster's scheduler; the cloud does not see it";
const IDENTITY_HERE: &str = "an identity of this cluster; the cloud does not see it";

/// What has its meaning in this cluster, and none in a cloud.
pub(super) const OF_THIS_CLUSTER: &[Row] = &[
    emulated("spec.serviceAccountName", IDENTITY_HERE),
    emulated("spec.serviceAccount", IDENTITY_HERE),
    emulated("spec.automountServiceAccountToken", IDENTITY_HERE),
    emulated("spec.affinity", SCHEDULED_HERE),
    emulated("spec.nodeName", SCHEDULED_HERE),
    emulated("spec.nodeSelector", SCHEDULED_HERE),
    emulated("spec.os", SCHEDULED_HERE),
    emulated("spec.preemptionPolicy", SCHEDULED_HERE),
    emulated("spec.priority", SCHEDULED_HERE),
    emulated("spec.priorityClassName", SCHEDULED_HERE),
    emulated("spec.schedulerName", SCHEDULED_HERE),
    emulated("spec.schedulingGates", SCHEDULED_HERE),
    emulated("spec.schedulingGroup", SCHEDULED_HERE),
    emulated("spec.tolerations", SCHEDULED_HERE),
    emulated("spec.topologySpreadConstraints", SCHEDULED_HERE),
];

/// The closed world of a cloud whose pods have a security context: what no other row names is refused.
pub(super) const CLOSED: &[Row] = &[
    unknown("spec.*"),
    unknown("spec.anyContainers[].*"),
    unknown("spec.securityContext.*"),
    unknown("spec.anyContainers[].securityContext.*"),
];

/// How many rows the parts of a table have together.
pub(super) const fn count(parts: &[&[Row]]) -> usize {
    let (mut sum, mut i) = (0, 0);
    while i < parts.len() {
        sum += parts[i].len();
        i += 1;
    }
    sum
}

/// One table of its parts, in their order.
pub(super) const fn joined<const N: usize>(parts: &[&[Row]]) -> [Row; N] {
    let mut table = [passed(""); N];
    let (mut at, mut i) = (0, 0);
    while i < parts.len() {
        let mut j = 0;
        while j < parts[i].len() {
            table[at] = parts[i][j];
            (at, j) = (at + 1, j + 1);
        }
        i += 1;
    }
    table
}
