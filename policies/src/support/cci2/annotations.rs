//! The pod annotations of CCI 2.0. Facts: its user guide (pod specifications, images, EIP, DNS, monitoring).

use crate::support::annotations::{
    Annotation,
    Sent::{self, By, Not},
    Values::{self, Cci2Size, Flag, List, OneOf, Text, Whole},
};

/// Names a size of the table, in the place of what the containers add up to.
pub const SIZE: &str = "resource.cci.io/pod-size-specs";
/// `true`: a pod may be raised to a size above 32 cores.
pub const LARGE: &str = "resource.cci.io/resizing-large-size-instance-greater-than-32-cores";
/// `true`: 1 Gi more is bought, for what the system of the instance needs.
pub const RESERVATION: &str = "resource.cci.io/memory-reservation";
/// Ephemeral storage above what every pod has, whole Gi.
pub const EXTRA_DISK: &str = "resource.cci.io/extra-ephemeral-storage-in-GiB";

const fn row(key: &'static str, values: Values, sent: Sent) -> Annotation {
    Annotation { key, values, sent }
}

/// CCI reads it on the pod itself.
const AS_IT_IS: Sent = By("sent as it is");

/// All of them.
pub const ANNOTATIONS: &[Annotation] = &[
    // Size.
    row(SIZE, Cci2Size, By("the size to buy; burst writes it on every pod that does not say it")),
    row(LARGE, Flag, By("sent as it is; without it no pod is raised to a size above 32 cores")),
    row(RESERVATION, Flag, By("sent as it is; 1Gi is added to what the containers ask for")),
    row("resource.cci.io/memory-burst-size", Flag, AS_IT_IS),
    row("resource.cci.io/instance-type", Text, AS_IT_IS),
    row("resource.cci.io/instance-type-preference", List(10), AS_IT_IS),
    row("resource.cci.io/swap-size-in-GiB", Whole(1, 1024), AS_IT_IS),
    row(
        EXTRA_DISK,
        Whole(1, 10_240),
        By(
            "sent as it is; burst writes it where the containers request more than the 30Gi that every pod has",
        ),
    ),
    row("resource.cci.io/size", Text, Not("written by CCI: the size that it bills")),
    // Images, network, monitoring.
    row("cci.io/image-snapshot-specified-name", Text, AS_IT_IS),
    row("networking.cci.io/custom-dns-servers", List(10), AS_IT_IS),
    row("monitoring.cci.io/enable-pod-metrics", Flag, AS_IT_IS),
    row("authority.cci.io/systemd-container-list", Text, AS_IT_IS),
    row("yangtse.io/pod-with-eip", Flag, AS_IT_IS),
    row("yangtse.io/eip-bandwidth-size", Whole(1, 2000), AS_IT_IS),
    row("yangtse.io/eip-network-type", Text, AS_IT_IS),
    row("yangtse.io/eip-charge-mode", OneOf(&["bandwidth", "traffic"]), AS_IT_IS),
    row("yangtse.io/eip-bandwidth-name", Text, AS_IT_IS),
];
