//! The annotations that users of ECI's virtual nodes write on pods, and those that the vendor's node writes back.
//!
//! Facts: the vendor's list of ECI pod annotations (2024-07 to 2026-03) and the parameters of CreateContainerGroup.

use crate::support::annotations::{
    Annotation,
    Sent::{self, As, By, Each, Not, Refused},
    Values::{self, Bits, Decimal, Flag, Gib, Json, List, ListOf, OneOf, Pairs, Sizes, Text, Whole},
};

const fn row(key: &'static str, values: Values, sent: Sent) -> Annotation {
    Annotation { key, values, sent }
}

const fn written_back(key: &'static str) -> Annotation {
    row(key, Text, Not("written by the vendor's own virtual node; burst reads nothing from it"))
}

const NO_PARAMETER: &str = "the public API of ECI has no parameter for it: remove the annotation";

/// All of them.
pub const ANNOTATIONS: &[Annotation] = &[
    // Place and size.
    row(
        "k8s.aliyun.com/eci-vswitch",
        List(10),
        By("the vSwitches to try, in their order, in place of the node's"),
    ),
    row(
        "k8s.aliyun.com/eci-schedule-strategy",
        OneOf(&["VSwitchOrdered", "VSwitchRandom"]),
        As("ScheduleStrategy"),
    ),
    row(
        "k8s.aliyun.com/eci-use-specs",
        Sizes(5, "ecs."),
        By("the sizes to buy, in order, in place of what the containers ask for"),
    ),
    row("k8s.aliyun.com/eci-gpu-driver-version", Text, As("GpuDriverVersion")),
    row(
        "k8s.aliyun.com/eci-instance-family",
        List(10),
        Refused(
            "the public API of ECI has no parameter for it: name the types in k8s.aliyun.com/eci-use-specs",
        ),
    ),
    row(
        "k8s.aliyun.com/eci-instance-generation",
        List(10),
        Refused(
            "the public API of ECI has no parameter for it: name the types in k8s.aliyun.com/eci-use-specs",
        ),
    ),
    row("k8s.aliyun.com/eci-compute-category", ListOf(&["economy", "general"]), Each("ComputeCategory")),
    row("k8s.aliyun.com/eci-cpu-option-core", Whole(1, 64), As("CpuOptionsCore")),
    row("k8s.aliyun.com/eci-cpu-option-ht", Whole(1, 2), As("CpuOptionsThreadsPerCore")),
    row("k8s.aliyun.com/eci-privatepool-matchcriteria", OneOf(&["Open", "Target"]), Refused(NO_PARAMETER)),
    row("k8s.aliyun.com/eci-privatepool-id", Text, Refused(NO_PARAMETER)),
    // Spot.
    row(
        "k8s.aliyun.com/eci-spot-strategy",
        OneOf(&["NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"]),
        As("SpotStrategy"),
    ),
    row("k8s.aliyun.com/eci-spot-price-limit", Decimal, As("SpotPriceLimit")),
    row("k8s.aliyun.com/eci-spot-duration", Whole(0, 6), As("SpotDuration")),
    row(
        "k8s.aliyun.com/eci-spot-fallback",
        Flag,
        By("where the spot market has none, the pod is bought on demand"),
    ),
    row(
        "k8s.aliyun.com/eci-spot-release-strategy",
        OneOf(&["api-evict"]),
        Not("a pod whose instance is taken back is failed, and its controller makes another"),
    ),
    // Failure.
    row(
        "k8s.aliyun.com/eci-fail-strategy",
        OneOf(&["fail-back", "fail-over"]),
        Not("both mean what burst does anyway: another place is tried; fail-fast would fail the pod"),
    ),
    row("k8s.aliyun.com/eci-max-pending-minute", Whole(10, 1440), As("MaxPendingMinute")),
    row("k8s.aliyun.com/eci-reschedule-enable", Flag, Not("another place is always tried")),
    row("k8s.aliyun.com/pod-fail-on-create-err", OneOf(&["false"]), Not("burst never fails a pod for it")),
    // Identity.
    row("k8s.aliyun.com/eci-ram-role-name", Text, As("RamRoleName")),
    row("k8s.aliyun.com/eci-resource-group-id", Text, As("ResourceGroupId")),
    row("k8s.aliyun.com/eci-custom-tags", Pairs(3), By("tags of the container group")),
    row("k8s.aliyun.com/eci-custom-hosts", Json, By("lines of /etc/hosts, beside the pod's hostAliases")),
    // Images.
    row("k8s.aliyun.com/eci-auto-imc", Flag, As("AutoMatchImageCache")),
    row("k8s.aliyun.com/eci-image-cache", Flag, As("AutoMatchImageCache")),
    row("k8s.aliyun.com/eci-imc-id", Text, As("ImageSnapshotId")),
    row("k8s.aliyun.com/eci-image-snapshot-id", Text, As("ImageSnapshotId")),
    row("k8s.aliyun.com/imc-perfect-match", Flag, Refused(NO_PARAMETER)),
    row("k8s.aliyun.com/imc-match-count-request", Whole(1, 100), Refused(NO_PARAMETER)),
    row("k8s.aliyun.com/acr-instance-ids", List(10), By("registries of the account, without a password")),
    row("k8s.aliyun.com/acr-instance-id", List(10), By("registries of the account, without a password")),
    row("k8s.aliyun.com/acr-service-arns", List(10), By("roles for the registries, in the same order")),
    row("k8s.aliyun.com/acr-user-arns", List(10), By("roles for the registries, in the same order")),
    row("k8s.aliyun.com/plain-http-registry", List(10), As("PlainHttpRegistry")),
    row("k8s.aliyun.com/insecure-registry", List(10), As("InsecureRegistry")),
    // Data cache.
    row("k8s.aliyun.com/eci-data-cache-bucket", Text, As("DataCacheBucket")),
    row("k8s.aliyun.com/eci-data-cache-pl", Text, As("DataCachePL")),
    row("k8s.aliyun.com/eci-data-cache-provisionedIops", Whole(0, 1_000_000), As("DataCacheProvisionedIops")),
    row("k8s.aliyun.com/eci-data-cache-burstingEnabled", Flag, As("DataCacheBurstingEnabled")),
    // Network.
    row("k8s.aliyun.com/eci-security-group", List(5), As("SecurityGroupId")),
    row("k8s.aliyun.com/eci-eip-instanceid", Text, As("EipInstanceId")),
    row("k8s.aliyun.com/eci-with-eip", Flag, As("AutoCreateEip")),
    row("k8s.aliyun.com/eip-bandwidth", Whole(1, 1000), As("EipBandwidth")),
    row("k8s.aliyun.com/eip-common-bandwidth-package-id", Text, As("EipCommonBandwidthPackage")),
    row("k8s.aliyun.com/eip-isp", OneOf(&["BGP", "BGP_PRO"]), As("EipISP")),
    row(
        "k8s.aliyun.com/eip-internet-charge-type",
        OneOf(&["PayByBandwidth", "PayByTraffic"]),
        Refused(NO_PARAMETER),
    ),
    row("k8s.aliyun.com/eip-public-ip-address-pool-id", Text, Refused(NO_PARAMETER)),
    row("k8s.aliyun.com/eci-enable-ipv6", Flag, By("one IPv6 address")),
    row("k8s.aliyun.com/eci-ipv6-count", Whole(1, 1), As("Ipv6AddressCount")),
    row("k8s.aliyun.com/eci-ipv6-bandwidth-enable", Flag, As("Ipv6GatewayBandwidthEnable")),
    row("k8s.aliyun.com/eci-ipv6-bandwidth", Text, As("Ipv6GatewayBandwidth")),
    row("k8s.aliyun.com/eci-private-ip-address", Text, As("PrivateIpAddress")),
    row("k8s.aliyun.com/eci-fixed-ip", Flag, As("FixedIp")),
    row("k8s.aliyun.com/eci-fixed-ip-retain-hour", Whole(1, 8760), As("FixedIpRetainHour")),
    row("kubernetes.io/ingress-bandwidth", Bits, By("IngressBandwidth, in bits per second")),
    row("kubernetes.io/egress-bandwidth", Bits, By("EgressBandwidth, in bits per second")),
    row("k8s.aliyun.com/eci-custom-dnsconfig", Json, By("the DNS settings, in place of the pod's")),
    // Storage, system, logs.
    row(
        "k8s.aliyun.com/eci-extra-ephemeral-storage",
        Gib,
        By("EphemeralStorage, in Gi above the 30 that are included"),
    ),
    row("k8s.aliyun.com/eci-ephemeral-storage-options", Json, Refused(NO_PARAMETER)),
    row("k8s.aliyun.com/eci-eviction-enable", OneOf(&["false"]), Not("ECI does not evict by itself")),
    row("k8s.aliyun.com/eci-ntp-server", List(10), Each("NtpServer")),
    row("k8s.aliyun.com/eci-core-pattern", Text, As("CorePattern")),
    row("k8s.aliyun.com/eci-sls-enable", OneOf(&["false"]), Not("burst ships no logs")),
    // Written by the vendor's own virtual node: a manifest that was exported from there holds them.
    written_back("k8s.aliyun.com/eci-request-id"),
    written_back("k8s.aliyun.com/eci-instance-id"),
    written_back("k8s.aliyun.com/eci-instance-spec"),
    written_back("k8s.aliyun.com/eci-instance-cpu"),
    written_back("k8s.aliyun.com/eci-instance-mem"),
    written_back("k8s.aliyun.com/eci-instance-zone"),
    written_back("k8s.aliyun.com/eci-instance-compute-category"),
    written_back("k8s.aliyun.com/eci-created-by-template"),
    written_back("k8s.aliyun.com/eci-vpc"),
    written_back("k8s.aliyun.com/eci-matched-image-cache"),
    written_back("k8s.aliyun.com/eci-schedule-result"),
    written_back("k8s.aliyun.com/eci-client-token"),
    written_back("k8s.aliyun.com/eci-kube-proxy-enabled"),
];
