//! The support matrix of ECI.
//!
//! Facts: the parameters of CreateContainerGroup (2018-08-08), and the vendor's limits of container groups. Every PodSpec
//! field of Kubernetes 1.36 has a row; what has none is refused.

mod annotations;
mod rules;

use super::Treatment::Emulated;
use super::rows::{CLOSED, OF_THIS_CLUSTER, count, emulated, joined, passed, refused};
use super::{Row, When, rules as common};

pub use annotations::ANNOTATIONS;
pub use rules::{ARGS_MAX, COMMAND_MAX, ENV_NAME_MAX, ENV_VALUE_MAX, GPU};

const ISOLATED: &str =
    "left out: every ECI pod runs in a virtual machine of its own, which isolates more strictly";
const PER_CONTAINER: &str = "written into every container that does not say its own";
const FILES: &str = "its files are sent with the pod, 60 KB together, and do not change while it runs";
const NO_HOST: &str =
    "ECI pods share no host with anything: remove the field, or keep the pod on real nodes (policy off)";
const LINUX: &str =
    "ECI runs linux on amd64 and arm64 here: select that, or keep the pod on real nodes (policy off)";
const PROBES: &str = "ECI knows exec, httpGet and tcpSocket only: use one of them";
const NO_STARTUP: &str =
    "ECI has no startup probe: give the liveness probe an initialDelaySeconds that is long enough";
const NO_DRA: &str = "ECI has no dynamic resource allocation: keep the pod on real nodes (policy off)";
const NO_SELINUX: &str = "ECI does not apply SELinux labels: remove the field";
const NO_GROUPS: &str =
    "ECI gives volumes and processes no further groups: run as the group that owns the files (runAsGroup)";
const NO_PROFILE: &str =
    "ECI has no node on which a profile could be installed: use RuntimeDefault or remove the field";
const HOOKS: &str = "ECI knows exec, httpGet and tcpSocket hooks only: use exec with sleep";

/// The matrix, in the order in which messages appear.
pub const TABLE: &[Row] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Row]] = &[OWN_REFUSED, CLOSED, OWN_EMULATED, OF_THIS_CLUSTER, OWN_PASSED];

const OWN_REFUSED: &[Row] = &[
    // What a virtual machine per pod cannot give.
    refused("spec.hostNetwork", When::Is("true"), NO_HOST),
    refused("spec.hostPID", When::Is("true"), NO_HOST),
    refused("spec.hostIPC", When::Is("true"), NO_HOST),
    refused("spec.hostUsers", When::Is("false"), "ECI offers no user namespaces: remove the field"),
    refused("spec.anyContainers[].ports[].hostPort", When::IsNot(&["0"]), NO_HOST),
    refused(
        "spec.anyContainers[].ports[].protocol",
        When::IsNot(&["TCP", "UDP"]),
        "ECI knows TCP and UDP ports only: remove the port",
    ),
    refused(
        "spec.anyContainers[].securityContext.privileged",
        When::Is("true"),
        "ECI runs privileged containers for invited accounts only: ask for the capabilities that are needed, or keep \
         the pod on real nodes (policy off)",
    ),
    refused(
        "spec.anyContainers[].securityContext.procMount",
        When::IsNot(&["Default"]),
        "ECI mounts /proc in the default way only: remove the field",
    ),
    refused(
        "spec.anyContainers[].securityContext.capabilities.add",
        When::Rule(rules::capability),
        "ECI gives the capabilities NET_ADMIN and NET_RAW only: remove this one",
    ),
    // Platform.
    refused("spec.nodeSelector.kubernetes~io/arch", When::IsNot(&["amd64", "arm64"]), LINUX),
    refused("spec.nodeSelector.kubernetes~io/os", When::IsNot(&["linux"]), LINUX),
    refused("spec.os.name", When::IsNot(&["linux"]), LINUX),
    refused("spec.securityContext.windowsOptions", When::Present, LINUX),
    refused("spec.anyContainers[].securityContext.windowsOptions", When::Present, LINUX),
    refused(
        "spec.runtimeClassName",
        When::Present,
        "ECI has one runtime, a virtual machine per pod: remove runtimeClassName, or keep the pod on real nodes (policy \
         off)",
    ),
    refused(
        "spec.overhead",
        When::Present,
        "it belongs to a RuntimeClass, and ECI has none: remove runtimeClassName",
    ),
    // Containers.
    refused(
        "spec.containers",
        When::Rule(rules::too_many_containers),
        "ECI runs at most 20 containers per pod: split the pod, or keep it on real nodes (policy off)",
    ),
    refused(
        "spec.volumes",
        When::Rule(rules::too_many_volumes),
        "ECI mounts at most 20 volumes: split the pod",
    ),
    refused(
        "spec.ephemeralContainers",
        When::Present,
        "ECI cannot add a container to a running pod: use kubectl exec",
    ),
    refused(
        "spec.anyContainers[].restartPolicy",
        When::Present,
        "ECI has no restart policy per container: make a sidecar an ordinary container",
    ),
    refused(
        "spec.anyContainers[].restartPolicyRules",
        When::Present,
        "ECI has no restart rules per container: remove them",
    ),
    refused(
        "spec.anyContainers[].volumeDevices",
        When::Present,
        "ECI attaches no raw block devices: mount the volume as a file system with volumeMounts",
    ),
    refused("spec.anyContainers[].livenessProbe.grpc", When::Present, PROBES),
    refused("spec.anyContainers[].readinessProbe.grpc", When::Present, PROBES),
    refused("spec.anyContainers[].startupProbe", When::Present, NO_STARTUP),
    refused(
        "spec.containers[].livenessProbe",
        When::Rule(rules::probe_extras),
        "ECI probes the pod itself and sends no headers: remove the field",
    ),
    refused(
        "spec.anyContainers[].livenessProbe.terminationGracePeriodSeconds",
        When::Present,
        "ECI has one grace period per pod: set terminationGracePeriodSeconds of the pod",
    ),
    refused("spec.anyContainers[].lifecycle.postStart.sleep", When::Present, HOOKS),
    refused("spec.anyContainers[].lifecycle.preStop.sleep", When::Present, HOOKS),
    refused(
        "spec.anyContainers[].lifecycle.stopSignal",
        When::Present,
        "ECI stops containers with the image's own stop signal: set STOPSIGNAL in the image",
    ),
    refused(
        "spec.initContainers[].tty",
        When::Is("true"),
        "ECI gives init containers no terminal: remove the field",
    ),
    refused(
        "spec.initContainers[].stdin",
        When::Is("true"),
        "ECI gives init containers no input: remove the field",
    ),
    refused(
        "spec.anyContainers[].env[].valueFrom.fileKeyRef",
        When::Present,
        "ECI cannot read environment variables from a file of the pod: use a ConfigMap or Secret",
    ),
    refused(
        "spec.anyContainers[].env",
        When::Rule(rules::long_value),
        "ECI takes at most 256 characters as the value of a variable: put it into a ConfigMap that is mounted as a file",
    ),
    refused(
        "spec.anyContainers[].env",
        When::Rule(rules::long_name),
        "ECI takes at most 128 characters as the name of a variable: shorten it",
    ),
    refused(
        "spec.anyContainers[].command",
        When::Rule(rules::long_command),
        "ECI takes a command of at most 20 words of 256 characters: put it into a script of the image or of a ConfigMap",
    ),
    refused(
        "spec.anyContainers[].args",
        When::Rule(rules::long_args),
        "ECI takes at most 10 arguments of 256 characters: put them into a script of the image or of a ConfigMap",
    ),
    // Resources.
    refused(
        "spec.resources",
        When::Present,
        "ECI sizes a pod by its containers: set resources on the containers instead",
    ),
    refused("spec.resourceClaims", When::Present, NO_DRA),
    refused("spec.anyContainers[].resources.claims", When::Present, NO_DRA),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(rules::unknown_device),
        "ECI has nvidia.com/gpu and no other device: keep the pod on real nodes (policy off)",
    ),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(rules::gpu_without_type),
        "ECI sells GPUs by type of machine: name one in the annotation k8s.aliyun.com/eci-use-specs, for example \
         ecs.gn6i-c4g1.xlarge",
    ),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(common::huge_pages),
        "ECI has no huge pages: remove the resource, or keep the pod on real nodes (policy off)",
    ),
    // Volumes.
    refused(
        "spec.volumes[].hostPath",
        When::Present,
        "ECI has no host whose files could be mounted: use emptyDir, a ConfigMap or a Secret",
    ),
    refused(
        "spec.volumes[].persistentVolumeClaim",
        When::Present,
        "burst does not carry claims to ECI: use nfs or flexVolume (alicloud/disk, alicloud/nas, alicloud/oss), or keep \
         the pod on real nodes (policy off)",
    ),
    refused(
        "spec.volumes[].flexVolume.driver",
        When::Rule(rules::flex_driver),
        "ECI knows the drivers alicloud/disk, alicloud/nas and alicloud/oss: use one of them",
    ),
    refused(
        "spec.volumes[].flexVolume.secretRef",
        When::Present,
        "ECI takes the credentials of a flexVolume in its options only: remove secretRef",
    ),
    refused(
        "spec.volumes[].*",
        When::Present,
        "ECI mounts configMap, secret, emptyDir, projected, downwardAPI, nfs and flexVolume volumes only: use one of \
         them",
    ),
    refused(
        "spec.volumes[].projected.sources[].*",
        When::Rule(common::projected_source),
        "ECI projects configMap, secret and downwardAPI sources only: remove this source",
    ),
    refused(
        "spec.volumes[].projected.sources[].serviceAccountToken",
        When::Rule(common::own_token),
        "ECI has no projected service account tokens: mount a Secret of type kubernetes.io/service-account-token instead",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].subPathExpr",
        When::Present,
        "ECI expands no variables in sub-paths: use subPath",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].mountPropagation",
        When::IsNot(&["None"]),
        "ECI pods have no host to propagate mounts from: remove the field",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].recursiveReadOnly",
        When::Is("Enabled"),
        "ECI does not promise recursive read-only mounts: use IfPossible or remove the field",
    ),
    // Security.
    refused("spec.securityContext.fsGroup", When::Present, NO_GROUPS),
    refused("spec.securityContext.supplementalGroups", When::Present, NO_GROUPS),
    refused("spec.securityContext.seLinuxOptions", When::Present, NO_SELINUX),
    refused("spec.anyContainers[].securityContext.seLinuxOptions", When::Present, NO_SELINUX),
    refused("spec.securityContext.seccompProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.anyContainers[].securityContext.seccompProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.securityContext.appArmorProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.anyContainers[].securityContext.appArmorProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused(
        "spec.setHostnameAsFQDN",
        When::Is("true"),
        "ECI knows a host name only, without a domain: remove the field",
    ),
];

/// Honoured by other means.
const OWN_EMULATED: &[Row] = &[
    Row {
        field: "spec.volumes[].projected.sources[].serviceAccountToken",
        when: When::Rule(common::injected_token),
        treatment: Emulated,
        sentence: "the API server adds this token volume to every pod: left out; set automountServiceAccountToken: \
                   false if the pod does not call the Kubernetes API",
    },
    emulated(
        "spec.anyContainers[].resources",
        "the pod is rounded up to an ECI size, and a container keeps its limits within it",
    ),
    emulated("spec.anyContainers[].resizePolicy", "left out: an ECI pod is not resized in place"),
    emulated("spec.anyContainers[].envFrom", "read here and sent as plain variables"),
    emulated(
        "spec.anyContainers[].env[].valueFrom",
        "read here and sent as plain variables, status.podIP apart, which ECI fills in itself",
    ),
    emulated("spec.anyContainers[].securityContext.allowPrivilegeEscalation", ISOLATED),
    emulated("spec.anyContainers[].securityContext.seccompProfile", ISOLATED),
    emulated("spec.anyContainers[].securityContext.appArmorProfile", ISOLATED),
    emulated("spec.anyContainers[].securityContext.capabilities.drop", ISOLATED),
    emulated("spec.securityContext.seccompProfile", ISOLATED),
    emulated("spec.securityContext.appArmorProfile", ISOLATED),
    emulated("spec.securityContext.seLinuxChangePolicy", ISOLATED),
    emulated("spec.securityContext.fsGroupChangePolicy", "means nothing without fsGroup"),
    emulated("spec.securityContext.supplementalGroupsPolicy", "means nothing without supplementalGroups"),
    emulated("spec.securityContext.runAsGroup", PER_CONTAINER),
    emulated("spec.securityContext.runAsNonRoot", PER_CONTAINER),
    emulated("spec.securityContext.runAsUser", PER_CONTAINER),
    emulated("spec.volumes[].configMap", FILES),
    emulated("spec.volumes[].secret", FILES),
    emulated("spec.volumes[].projected", FILES),
    emulated("spec.volumes[].downwardAPI", FILES),
    emulated("spec.imagePullSecrets", "their user names and passwords are sent with the pod"),
    emulated(
        "spec.dnsPolicy",
        "ClusterFirst is sent as the name server and the search list of this cluster, where the node knows them",
    ),
    emulated("spec.enableServiceLinks", "the bridge renders the service variables"),
    emulated("spec.readinessGates", "evaluated here: the cloud does not see the gates' conditions"),
    emulated("spec.subdomain", "served by this cluster's DNS; the instance itself has the host name only"),
];

/// Sent as they are.
const OWN_PASSED: &[Row] = &[
    passed("spec.activeDeadlineSeconds"),
    passed("spec.containers"),
    passed("spec.initContainers"),
    passed("spec.dnsConfig"),
    passed("spec.hostAliases"),
    passed("spec.hostname"),
    passed("spec.restartPolicy"),
    passed("spec.securityContext"),
    passed("spec.securityContext.sysctls"),
    passed("spec.shareProcessNamespace"),
    passed("spec.terminationGracePeriodSeconds"),
    passed("spec.volumes"),
    passed("spec.volumes[].name"),
    passed("spec.volumes[].emptyDir"),
    passed("spec.volumes[].nfs"),
    passed("spec.volumes[].flexVolume"),
    passed("spec.anyContainers[].name"),
    passed("spec.anyContainers[].image"),
    passed("spec.anyContainers[].imagePullPolicy"),
    passed("spec.anyContainers[].command"),
    passed("spec.anyContainers[].args"),
    passed("spec.anyContainers[].workingDir"),
    passed("spec.anyContainers[].ports"),
    passed("spec.anyContainers[].env"),
    passed("spec.anyContainers[].volumeMounts"),
    passed("spec.anyContainers[].livenessProbe"),
    passed("spec.anyContainers[].readinessProbe"),
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

#[cfg(test)]
mod tests;
