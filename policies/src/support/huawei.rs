//! What both generations of CCI do alike with a pod's fields: most of their support matrices.
//!
//! Facts: the "约束及限制" (limits) chapter of Huawei's virtual-kubelet add-on, CCI's pod APIs, and the limits of its
//! later add-on versions.

use super::Treatment::Emulated;
use super::rows::{emulated, passed, refused};
use super::{Row, When, rules};

const ISOLATED: &str =
    "left out: every CCI pod runs in a virtual machine of its own, which isolates more strictly";
const NO_HOST: &str =
    "CCI pods share no host with anything: remove the field, or keep the pod on real nodes (policy off)";
const PROBES: &str = "CCI knows exec, httpGet and tcpSocket only: use one of them";
const NO_DRA: &str = "CCI has no dynamic resource allocation: keep the pod on real nodes (policy off)";
const NO_SELINUX: &str = "CCI does not apply SELinux labels: remove the field";
const NO_PROFILE: &str =
    "CCI has no node on which a profile could be installed: use RuntimeDefault or remove the field";

/// CSI drivers of the file systems that both can mount: SFS and SFS Turbo.
pub const FILE_SYSTEMS: [&str; 2] = ["nas.csi.everest.io", "sfsturbo.csi.everest.io"];

/// Refused by both where network interop is on.
pub(crate) const INTEROP: &[Row] = &[refused(
    "spec.containers",
    When::Rule(rules::no_room_for_interop),
    "CCI runs at most 5 containers per pod, and network interop (label burst.io/network-interop of the virtual node) adds \
     one: have at most 4, or require a virtual node without that label by node affinity (DoesNotExist)",
)];

/// Refused by both.
pub(super) const REFUSED: &[Row] = &[
    // What a virtual machine per pod cannot give.
    refused("spec.hostNetwork", When::Is("true"), NO_HOST),
    refused("spec.hostPID", When::Is("true"), NO_HOST),
    refused("spec.hostIPC", When::Is("true"), NO_HOST),
    refused("spec.hostUsers", When::Is("false"), "CCI offers no user namespaces: remove the field"),
    refused("spec.anyContainers[].ports[].hostPort", When::IsNot(&["0"]), NO_HOST),
    refused(
        "spec.anyContainers[].securityContext.privileged",
        When::Is("true"),
        "CCI runs no privileged containers: ask for the capabilities that are needed, or keep the pod on real nodes \
         (policy off)",
    ),
    refused(
        "spec.runtimeClassName",
        When::Present,
        "CCI has one runtime, a virtual machine per pod: remove runtimeClassName, or keep the pod on real nodes (policy \
         off)",
    ),
    refused(
        "spec.overhead",
        When::Present,
        "it belongs to a RuntimeClass, and CCI has none: remove runtimeClassName",
    ),
    // Containers.
    refused(
        "spec.containers",
        When::Rule(rules::too_many_containers),
        "CCI runs at most 5 containers per pod: split the pod, or keep it on real nodes (policy off)",
    ),
    refused(
        "spec.ephemeralContainers",
        When::Present,
        "CCI cannot add a container to a running pod: use kubectl exec",
    ),
    refused(
        "spec.anyContainers[].restartPolicyRules",
        When::Present,
        "CCI has no restart rules per container: remove them",
    ),
    refused(
        "spec.anyContainers[].volumeDevices",
        When::Present,
        "CCI attaches no raw block devices: mount the claim as a file system with volumeMounts",
    ),
    refused("spec.anyContainers[].livenessProbe.grpc", When::Present, PROBES),
    refused("spec.anyContainers[].readinessProbe.grpc", When::Present, PROBES),
    refused("spec.anyContainers[].startupProbe.grpc", When::Present, PROBES),
    refused(
        "spec.anyContainers[].lifecycle.postStart.sleep",
        When::Present,
        "CCI knows exec and httpGet hooks only: use exec with sleep",
    ),
    refused(
        "spec.anyContainers[].lifecycle.preStop.sleep",
        When::Present,
        "CCI knows exec and httpGet hooks only: use exec with sleep",
    ),
    refused(
        "spec.anyContainers[].lifecycle.stopSignal",
        When::Present,
        "CCI stops containers with the image's own stop signal: set STOPSIGNAL in the image",
    ),
    refused(
        "spec.anyContainers[].env[].valueFrom.fileKeyRef",
        When::Present,
        "CCI cannot read environment variables from a file of the pod: use a ConfigMap or Secret",
    ),
    // Resources.
    refused(
        "spec.resources",
        When::Present,
        "CCI sizes a pod by its containers: set resources on the containers instead",
    ),
    refused("spec.resourceClaims", When::Present, NO_DRA),
    refused("spec.anyContainers[].resources.claims", When::Present, NO_DRA),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(rules::extended_resource),
        "this resource (GPU or other device) has no CCI size in burst: keep the pod on real nodes (policy off)",
    ),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(rules::huge_pages),
        "CCI has no huge pages: remove the resource, or keep the pod on real nodes (policy off)",
    ),
    // Volumes.
    refused(
        "spec.volumes[].hostPath",
        When::Present,
        "CCI has no host whose files could be mounted: use emptyDir, a ConfigMap or a Secret",
    ),
    refused(
        "spec.volumes[].persistentVolumeClaim",
        When::Rule(rules::no_file_system),
        "CCI mounts claims of SFS (nas.csi.everest.io, for example StorageClass csi-nas or csi-sfs) and SFS Turbo \
         (sfsturbo.csi.everest.io, csi-sfsturbo) only, and this one is bound to something else: use one of them, or keep the \
         pod on real nodes (policy off)",
    ),
    refused(
        "spec.volumes[].projected.sources[].*",
        When::Rule(rules::projected_source),
        "CCI projects configMap, secret and downwardAPI sources only: remove this source",
    ),
    refused(
        "spec.volumes[].projected.sources[].serviceAccountToken",
        When::Rule(rules::own_token),
        "CCI has no projected service account tokens: mount a Secret of type kubernetes.io/service-account-token instead",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].mountPropagation",
        When::IsNot(&["None"]),
        "CCI does not propagate mounts: remove the field",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].recursiveReadOnly",
        When::Is("Enabled"),
        "CCI does not promise recursive read-only mounts: use IfPossible or remove the field",
    ),
    // Security profiles that live on a node.
    refused("spec.securityContext.seLinuxOptions", When::Present, NO_SELINUX),
    refused("spec.anyContainers[].securityContext.seLinuxOptions", When::Present, NO_SELINUX),
    refused("spec.securityContext.seccompProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.anyContainers[].securityContext.seccompProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.securityContext.appArmorProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.anyContainers[].securityContext.appArmorProfile.type", When::Is("Localhost"), NO_PROFILE),
];

/// Honoured by other means at both.
pub(super) const EMULATED: &[Row] = &[
    Row {
        field: "spec.volumes[].projected.sources[].serviceAccountToken",
        when: When::Rule(rules::injected_token),
        treatment: Emulated,
        sentence: "the API server adds this token volume to every pod: left out unless the bridge can render it; set \
                   automountServiceAccountToken: false if the pod does not call the Kubernetes API",
    },
    emulated("spec.anyContainers[].resizePolicy", "left out: a CCI pod is not resized in place"),
    emulated("spec.anyContainers[].envFrom", "read here and sent as plain variables or copied objects"),
    emulated(
        "spec.anyContainers[].imagePullPolicy",
        "CCI starts from an empty image store: the image is always pulled",
    ),
    emulated("spec.anyContainers[].securityContext.allowPrivilegeEscalation", ISOLATED),
    emulated("spec.anyContainers[].securityContext.seccompProfile", ISOLATED),
    emulated("spec.anyContainers[].securityContext.appArmorProfile", ISOLATED),
    emulated("spec.securityContext.seccompProfile", ISOLATED),
    emulated("spec.securityContext.appArmorProfile", ISOLATED),
    emulated("spec.securityContext.seLinuxChangePolicy", ISOLATED),
    emulated(
        "spec.volumes[].persistentVolumeClaim",
        "what it is bound to is looked up here: a file system of SFS (nas.csi.everest.io) or SFS Turbo \
         (sfsturbo.csi.everest.io) is mounted; anything else is refused when the pod is made",
    ),
    emulated("spec.volumes[].configMap", "copied into the CCI namespace under a name of its own"),
    emulated("spec.volumes[].secret", "copied into the CCI namespace under a name of its own"),
    emulated(
        "spec.volumes[].projected",
        "its objects are copied into the CCI namespace under names of their own",
    ),
    emulated("spec.volumes[].downwardAPI", "rendered from the pod of this cluster"),
    emulated("spec.imagePullSecrets", "copied into the CCI namespace under names of their own"),
    emulated("spec.enableServiceLinks", "the bridge renders the service variables"),
    emulated("spec.readinessGates", "evaluated here: the cloud does not see the gates' conditions"),
];

/// Sent to both as they are.
pub(super) const PASSED: &[Row] = &[
    passed("spec.activeDeadlineSeconds"),
    passed("spec.containers"),
    passed("spec.initContainers"),
    passed("spec.dnsConfig"),
    passed("spec.dnsPolicy"),
    passed("spec.hostAliases"),
    passed("spec.hostname"),
    passed("spec.restartPolicy"),
    passed("spec.securityContext"),
    passed("spec.securityContext.fsGroup"),
    passed("spec.securityContext.fsGroupChangePolicy"),
    passed("spec.securityContext.runAsGroup"),
    passed("spec.securityContext.runAsNonRoot"),
    passed("spec.securityContext.runAsUser"),
    passed("spec.securityContext.supplementalGroups"),
    passed("spec.securityContext.sysctls"),
    passed("spec.setHostnameAsFQDN"),
    passed("spec.shareProcessNamespace"),
    passed("spec.terminationGracePeriodSeconds"),
    passed("spec.volumes"),
    passed("spec.volumes[].name"),
    passed("spec.volumes[].emptyDir"),
    passed("spec.anyContainers[].name"),
    passed("spec.anyContainers[].image"),
    passed("spec.anyContainers[].command"),
    passed("spec.anyContainers[].args"),
    passed("spec.anyContainers[].workingDir"),
    passed("spec.anyContainers[].ports"),
    passed("spec.anyContainers[].env"),
    passed("spec.anyContainers[].volumeMounts"),
    passed("spec.anyContainers[].livenessProbe"),
    passed("spec.anyContainers[].readinessProbe"),
    passed("spec.anyContainers[].startupProbe"),
    passed("spec.anyContainers[].lifecycle"),
    passed("spec.anyContainers[].terminationMessagePath"),
    passed("spec.anyContainers[].terminationMessagePolicy"),
    passed("spec.anyContainers[].stdin"),
    passed("spec.anyContainers[].stdinOnce"),
    passed("spec.anyContainers[].tty"),
    passed("spec.anyContainers[].securityContext.capabilities"),
    passed("spec.anyContainers[].securityContext.readOnlyRootFilesystem"),
    passed("spec.anyContainers[].securityContext.runAsGroup"),
    passed("spec.anyContainers[].securityContext.runAsNonRoot"),
    passed("spec.anyContainers[].securityContext.runAsUser"),
];
