//! The annotations that users of UCloud's virtual nodes write on pods.
//!
//! Facts: the vendor's list of annotations of its UK8S virtual nodes.

use crate::support::annotations::{
    Annotation,
    Sent::{self, As, By},
    Values::{self, Flag, OneOf, Text, Whole},
};

const fn row(key: &'static str, values: Values, sent: Sent) -> Annotation {
    Annotation { key, values, sent }
}

/// Whether an elastic address is bound.
pub const EIP: &str = "cube.ucloud.cn/cube-eip";
/// Which one.
pub const EIP_ID: &str = "cube.ucloud.cn/cube-eip-id";
/// Whether it is given back with the pod.
pub const EIP_RELEASE: &str = "cube.ucloud.cn/cube-eip-release";
/// Its firewall.
pub const EIP_FIREWALL: &str = "cube.ucloud.cn/cube-eip-security-group-id";
/// How an address that is bought is paid.
pub const EIP_PAY_MODE: &str = "cube.ucloud.cn/cube-eip-paymode";
/// The shared bandwidth that it uses.
pub const EIP_SHARE: &str = "cube.ucloud.cn/cube-eip-share-bandwidth-id";
/// Its own bandwidth.
pub const EIP_BANDWIDTH: &str = "cube.ucloud.cn/cube-eip-bandwidth";
/// Whether it is paid in advance.
pub const EIP_CHARGE_TYPE: &str = "cube.ucloud.cn/cube-eip-chargetype";
/// For how long.
pub const EIP_QUANTITY: &str = "cube.ucloud.cn/cube-eip-quantity";
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
        By(
            "true binds the address that cube-eip-id names, else one that is bought for the pod (AllocateEIP)",
        ),
    ),
    row(EIP_ID, Text, By("this address is bound to the pod (BindEIP)")),
    row(EIP_RELEASE, Flag, By("ReleaseEIP of DeleteCubePod; true unless it says false")),
    row(EIP_FIREWALL, Text, By("this firewall is set on the address (GrantFirewall)")),
    row(
        EIP_PAY_MODE,
        OneOf(&["traffic", "bandwidth", "sharebandwidth"]),
        By("PayMode of AllocateEIP; bandwidth"),
    ),
    row(EIP_SHARE, Text, By("ShareBandwidthId of AllocateEIP; needed by sharebandwidth")),
    row(EIP_BANDWIDTH, Whole(0, 800), By("Bandwidth of AllocateEIP; 2, and 0 with sharebandwidth")),
    row(
        EIP_CHARGE_TYPE,
        OneOf(&["year", "month", "dynamic"]),
        By("ChargeType of AllocateEIP; as cube-chargetype says, dynamic for postpay"),
    ),
    row(EIP_QUANTITY, Whole(0, 120), By("Quantity of AllocateEIP; as cube-quantity says")),
];
