//! The annotations that users of UCloud's virtual nodes write on pods.
//!
//! Facts: the vendor's list of annotations of its UK8S virtual nodes.

use crate::support::annotations::{
    Annotation,
    Sent::{self, As, By, Not},
    Values::{self, Flag, OneOf, Text, Whole},
};

const fn row(key: &'static str, values: Values, sent: Sent) -> Annotation {
    Annotation { key, values, sent }
}

const BOUGHT: &str =
    "it is for addresses that are bought with the pod, and burst binds only those that there are";

/// Whether an elastic address is bound.
pub const EIP: &str = "cube.ucloud.cn/cube-eip";
/// Which one.
pub const EIP_ID: &str = "cube.ucloud.cn/cube-eip-id";
/// Whether it is given back with the pod.
pub const EIP_RELEASE: &str = "cube.ucloud.cn/cube-eip-release";
/// Its firewall.
pub const EIP_FIREWALL: &str = "cube.ucloud.cn/cube-eip-security-group-id";
/// Business group.
pub const TAG: &str = "cube.ucloud.cn/cube-tag";
/// How the pod is paid.
pub const CHARGE_TYPE: &str = "cube.ucloud.cn/cube-chargetype";
/// For how long it is paid.
pub const QUANTITY: &str = "cube.ucloud.cn/cube-quantity";

/// All of them.
pub const ANNOTATIONS: &[Annotation] = &[
    row(TAG, Text, As("Tag")),
    row(CHARGE_TYPE, OneOf(&["year", "month", "postpay"]), As("ChargeType")),
    row(QUANTITY, Whole(0, 120), As("Quantity")),
    row(
        EIP,
        Flag,
        By("true binds the address that cube-eip-id names; without one the pod is refused, burst buys none"),
    ),
    row(EIP_ID, Text, By("this address is bound to the pod (BindEIP)")),
    row(EIP_RELEASE, Flag, By("ReleaseEIP of DeleteCubePod; true unless it says false")),
    row(EIP_FIREWALL, Text, By("this firewall is set on the address (GrantFirewall)")),
    row("cube.ucloud.cn/cube-eip-paymode", OneOf(&["traffic", "bandwidth", "sharebandwidth"]), Not(BOUGHT)),
    row("cube.ucloud.cn/cube-eip-share-bandwidth-id", Text, Not(BOUGHT)),
    row("cube.ucloud.cn/cube-eip-bandwidth", Whole(0, 800), Not(BOUGHT)),
    row("cube.ucloud.cn/cube-eip-chargetype", OneOf(&["year", "month", "dynamic"]), Not(BOUGHT)),
    row("cube.ucloud.cn/cube-eip-quantity", Whole(0, 120), Not(BOUGHT)),
];
