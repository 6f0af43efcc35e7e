//! Every label, annotation, taint and resource name that burst reads or writes, spelled once.
//!
//! Facts: the vendors' manuals for the label keys; virtual-kubelet for the provider taint; the rest is ours.

/// Label keys that name a policy. All mean the same; two of them on one object must agree.
pub const POLICY: [&str; 4] =
    ["burst.io/policy", "burst-to-cci", "virtual-kubelet.io/burst-to-cci", "bursting.cci.io/burst-to-cci"];

/// Pod labels of the ECI family: the value `true` means enforce on ECI virtual nodes.
pub const ECI_POD: [&str; 2] = ["eci", "alibabacloud.com/eci"];

/// Pod annotation of the ECI family: the sizes to buy, in order, `2-4Gi,ecs.c6.xlarge`. It wins over the containers.
pub const ECI_USE_SPECS: &str = "k8s.aliyun.com/eci-use-specs";

/// Namespace label of the ECI family: the value [`ECI_NAMESPACE_ENABLED`] means enforce on ECI virtual nodes.
pub const ECI_NAMESPACE: &str = "virtual-node-affinity-injection";

/// The value of [`ECI_NAMESPACE`] that switches it on.
pub const ECI_NAMESPACE_ENABLED: &str = "enabled";

/// Value of [`TAINT_PROVIDER`] on Alibaba's virtual nodes: the ECI keys mean these only.
pub const PROVIDER_ALIBABA: &str = "alibabacloud";

/// Value of [`TAINT_PROVIDER`] on UCloud's virtual nodes.
pub const PROVIDER_UCLOUD: &str = "ucloud";

/// Annotation of a virtual node: the cloud account and place that its instances are in, in the bridge's words.
pub const ACCOUNT: &str = "burst.io/account";

/// Label of a virtual node with the value `true`: network interop is on, so its provider runs one container more in every
/// instance, through which pods reach the cluster's Services.
pub const NETWORK_INTEROP: &str = "burst.io/network-interop";

/// Node label that tells a virtual node, with the value [`NODE_TYPE_VIRTUAL`].
pub const NODE_TYPE: &str = "type";

/// The value of [`NODE_TYPE`] on every virtual node.
pub const NODE_TYPE_VIRTUAL: &str = "virtual-kubelet";

/// Taint of every virtual node, effect `NoSchedule`; its value is the vendor's own name (`huawei`, `ucloud`, …).
pub const TAINT_PROVIDER: &str = "virtual-kubelet.io/provider";

/// Our own taint, effect `PreferNoSchedule`: `auto` pods tolerate it, `localPrefer` pods do not, and that
/// difference is what the proof by taint rests on.
pub const TAINT_PREFER: &str = "burst.io/virtual-node";

/// Extended resource that marks the pods which the extender weighs (Prioritize; `managedResources`).
pub const MARKER_RESOURCE: &str = "burst.io/managed";

/// Extended resource that marks the pods which the extender checks (Filter and Preempt; `managedResources`): those for
/// which something may change between admission and placement.
pub const CHECKED_RESOURCE: &str = "burst.io/checked";

/// Whether a resource is one of our markers, which no node has and no cloud is told of.
pub fn is_marker(resource: &str) -> bool {
    resource == MARKER_RESOURCE || resource == CHECKED_RESOURCE
}

/// Label of a namespace that holds burst workloads; the strict webhook is selected by it.
pub const NAMESPACE_ACTIVE: &str = "burst.io/active";

/// Pod annotation written at admission: the policy in force.
pub const RESOLVED_POLICY: &str = "burst.io/resolved-policy";

/// Pod annotation written at admission: where the policy came from, for example `Deployment/web`.
pub const POLICY_SOURCE: &str = "burst.io/policy-source";

/// Pod label with the value `true`, written at admission: a policy object limits, delays or orders this pod's way into
/// the cloud, so its provider toleration is withheld until the leader grants it. Watches select by it.
pub const GOVERNED: &str = "burst.io/governed";

/// Pod annotation written at admission: the policy object that governs the pod, `BurstPolicy/shop/web` or
/// `ClusterBurstPolicy/all`.
pub const BURST_POLICY: &str = "burst.io/burst-policy";

/// What stands in [`BURST_POLICY`] where no object does, but the toleration driver holds the pod back.
pub const DRIVER: &str = "Driver/toleration";

/// Pod annotation written by the leader together with the toleration: the tier that was granted.
pub const GRANT: &str = "burst.io/grant";

/// Scheduling gate of governed pods whose node affinity must be written before they are scheduled (ceilings on real
/// nodes, gangs).
pub const GATE: &str = "burst.io/grant";

/// Pod annotation written by the in-process admission policy beside the provider toleration that it adds: the webhook
/// takes back what is marked so when a policy object governs the pod.
pub const OPENED_IN_PROCESS: &str = "burst.io/opened-in-process";

/// Pod annotation written at admission: the providers (values of [`TAINT_PROVIDER`], with commas between) that cannot run
/// the pod, where another one can. They are not tolerated and not granted.
pub const UNSUPPORTED_BY: &str = "burst.io/unsupported-by";

/// Pod annotation written at admission of a pod that may run on virtual nodes only: the virtual nodes that its affinity
/// names, with commas between, sorted.
pub const VIRTUAL_NODES: &str = "burst.io/virtual-nodes";

/// DaemonSet annotation, `true` or `false`: its containers run beside every burst pod. See [`crate::daemons`].
pub const REPLACE_IN_CLOUD: &str = "burst.io/replace-in-cloud";

/// Pod annotation written at admission: the DaemonSets whose containers its instance gets, `namespace/name` with commas
/// between, sorted.
pub const DAEMONSETS: &str = "burst.io/daemonsets";

/// Pod annotation written at admission: what the containers of [`DAEMONSETS`] ask for together, as a resource list in
/// JSON. It counts in the cloud only.
pub const DAEMONSETS_REQUESTS: &str = "burst.io/daemonsets-requests";

/// Pod annotation written at admission beside [`DAEMONSETS_REQUESTS`]: the same by container, as a list of resource lists
/// in JSON. Clouds round container by container.
pub const DAEMONSETS_SIZES: &str = "burst.io/daemonsets-sizes";

/// Pod annotation: what `rewriteTopology` replaced, as JSON.
pub const ORIGINAL_TOPOLOGY: &str = "burst.io/original-topology";

/// Pod annotation that overrides the size of a gang.
pub const GANG_SIZE: &str = "burst.io/gang-size";

/// ReplicaSets remove the pods with the lowest value first (Kubernetes).
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Pod annotation: the user's own deletion cost before burst added its offset; empty text if there was none.
pub const ORIGINAL_DELETION_COST: &str = "burst.io/original-pod-deletion-cost";

/// Pod annotation: UID of the pod and when the purchase of an instance that is paid in advance was begun. Written before
/// the order is sent, so that a restart does not send it again.
pub const PREPAID_CREATE: &str = "burst.io/prepaid-create";

/// Pod annotation: the same as [`PREPAID_CREATE`], of an elastic address that is paid in advance.
pub const PREPAID_ADDRESS: &str = "burst.io/prepaid-address";

/// Node label of a host (Kubernetes). Virtual nodes do not carry it unless configured to.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Node label of a virtual node with the cloud's zone, where `topology.kubernetes.io/zone` is not set.
pub const ZONE: &str = "burst.io/zone";

/// Tags (labels) on every cloud instance: they are the identity that survives any restart of ours.
pub mod tag {
    /// UID of the cluster's kube-system namespace.
    pub const CLUSTER: &str = "burst.io/cluster-id";
    /// Name of the virtual node.
    pub const NODE: &str = "burst.io/virtual-node";
    /// UID of the pod: the one identity.
    pub const POD_UID: &str = "burst.io/pod-uid";
    /// Namespace of the pod (annotation, for people).
    pub const POD_NAMESPACE: &str = "burst.io/pod-namespace";
    /// Name of the pod (annotation, for people).
    pub const POD_NAME: &str = "burst.io/pod-name";
    /// Containers of the instance that the pod does not have (annotation; names with commas between).
    pub const HIDDEN: &str = "burst.io/hidden-containers";
}

/// Pod annotations with the size a burst pod is billed as, spelled as Huawei's add-on spells them.
pub mod burst_size {
    /// Billed CPU in cores.
    pub const CPU: &str = "virtual-kubelet.cci.io/burst-pod-cpu";
    /// Billed memory in Gi.
    pub const MEMORY: &str = "virtual-kubelet.cci.io/burst-pod-memory";
}
