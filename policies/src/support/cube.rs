//! The support matrix of Cube.
//!
//! Facts: the vendor's page on the pod format of Cube, the list of what its virtual nodes cannot do, and the parameters of
//! CreateCubePod. Every PodSpec field of Kubernetes 1.36 has a row; what has none is refused.

pub mod annotations;
mod rules;

use super::rows::{CLOSED, OF_THIS_CLUSTER, count, emulated, joined, passed, refused};
use super::{Row, When, rules as common};

pub use annotations::ANNOTATIONS;
pub use rules::{CONTAINER_NAME_MAX, POD_BYTES_MAX, POD_PARAMETER_MAX};

const ISOLATED: &str =
    "left out: every Cube pod runs in a virtual machine of its own, which isolates more strictly";
const FILES: &str = "its files are sent with the pod, which is 16 KB altogether, and do not change while it runs; their \
                     modes are the cloud's own";
const NO_HOST: &str =
    "Cube pods share no host with anything: remove the field, or keep the pod on real nodes (policy off)";
const LINUX: &str = "Cube runs linux on amd64: select that, or keep the pod on real nodes (policy off)";
const PROBES: &str = "Cube knows exec, httpGet and tcpSocket probes only: use one of them";
const NO_STARTUP: &str =
    "Cube has no startup probe: give the liveness probe an initialDelaySeconds that is long enough";
const NO_DRA: &str = "Cube has no dynamic resource allocation: keep the pod on real nodes (policy off)";
const NO_SECURITY: &str = "Cube documents no security context: build it into the image (USER), or keep the pod on real nodes (policy off)";
const NO_PROFILE: &str =
    "Cube has no node on which a profile could be installed: use RuntimeDefault or remove the field";
const NO_TERMINAL: &str = "Cube gives containers no terminal and no input: remove the field";
const TOKEN: &str = "Cube has no projected volumes, and this one holds a service account token: set \
                     automountServiceAccountToken: false if the pod does not call the Kubernetes API; else make a Secret of \
                     type kubernetes.io/service-account-token and mount it at \
                     /var/run/secrets/kubernetes.io/serviceaccount";

/// The matrix, in the order in which messages appear.
pub const TABLE: &[Row] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Row]] = &[OWN_REFUSED, CLOSED, OWN_EMULATED, OF_THIS_CLUSTER, OWN_PASSED];

const OWN_REFUSED: &[Row] = &[
    // What a virtual machine per pod cannot give.
    refused("spec.hostNetwork", When::Is("true"), NO_HOST),
    refused("spec.hostPID", When::Is("true"), NO_HOST),
    refused("spec.hostIPC", When::Is("true"), NO_HOST),
    refused("spec.hostUsers", When::Is("false"), "Cube offers no user namespaces: remove the field"),
    refused("spec.anyContainers[].ports[].hostPort", When::IsNot(&["0"]), NO_HOST),
    refused("spec.anyContainers[].securityContext.privileged", When::Is("true"), NO_SECURITY),
    // Platform.
    refused("spec.nodeSelector.kubernetes~io/arch", When::IsNot(&["amd64"]), LINUX),
    refused("spec.nodeSelector.kubernetes~io/os", When::IsNot(&["linux"]), LINUX),
    refused("spec.os.name", When::IsNot(&["linux"]), LINUX),
    refused("spec.securityContext.windowsOptions", When::Present, LINUX),
    refused("spec.anyContainers[].securityContext.windowsOptions", When::Present, LINUX),
    refused(
        "spec.runtimeClassName",
        When::Present,
        "Cube has one runtime, a virtual machine per pod: remove runtimeClassName, or keep the pod on real nodes (policy \
         off)",
    ),
    refused(
        "spec.overhead",
        When::Present,
        "it belongs to a RuntimeClass, and Cube has none: remove runtimeClassName",
    ),
    // Containers.
    refused(
        "spec.containers",
        When::Rule(rules::too_long),
        "the API of Cube takes 16 KB of base64 per pod, which is 12288 bytes of YAML, and commands, arguments and \
         variables alone are more: put them into the image or on an nfs volume",
    ),
    refused(
        "spec.anyContainers[].name",
        When::Rule(rules::container_name),
        "Cube takes container names of at most 32 letters, digits, '-' and '_': shorten it",
    ),
    refused(
        "spec.anyContainers[].image",
        When::Rule(rules::short_image),
        "Cube takes complete image names only, with registry and path: write for example \
         uhub.service.ucloud.cn/<repository>/<image>:<tag>",
    ),
    refused(
        "spec.anyContainers[].image",
        When::Rule(rules::outside_image),
        "Cube pulls from UHub and from registries in the same region, not from the internet: copy the image to UHub, or \
         give the pod an imagePullSecret for this registry",
    ),
    refused(
        "spec.anyContainers[].imagePullPolicy",
        When::Is("Never"),
        "Cube pulls images at every start: remove the field",
    ),
    refused(
        "spec.ephemeralContainers",
        When::Present,
        "Cube cannot add a container to a running pod: keep the pod on real nodes (policy off)",
    ),
    refused(
        "spec.anyContainers[].restartPolicy",
        When::Present,
        "Cube has no restart policy per container: make a sidecar an ordinary container",
    ),
    refused(
        "spec.anyContainers[].restartPolicyRules",
        When::Present,
        "Cube has no restart rules per container: remove them",
    ),
    refused(
        "spec.anyContainers[].volumeDevices",
        When::Present,
        "Cube attaches no raw block devices: mount a file system with volumeMounts",
    ),
    refused("spec.anyContainers[].livenessProbe.grpc", When::Present, PROBES),
    refused("spec.anyContainers[].readinessProbe.grpc", When::Present, PROBES),
    refused("spec.anyContainers[].startupProbe", When::Present, NO_STARTUP),
    refused(
        "spec.anyContainers[].livenessProbe.terminationGracePeriodSeconds",
        When::Present,
        "Cube has one grace period per pod: set terminationGracePeriodSeconds of the pod",
    ),
    refused(
        "spec.anyContainers[].lifecycle",
        When::Present,
        "Cube documents no hooks: start and stop in the container's own command",
    ),
    refused("spec.anyContainers[].tty", When::Is("true"), NO_TERMINAL),
    refused("spec.anyContainers[].stdin", When::Is("true"), NO_TERMINAL),
    refused(
        "spec.anyContainers[].env[].valueFrom.fileKeyRef",
        When::Present,
        "Cube cannot read environment variables from a file of the pod: use a ConfigMap or Secret",
    ),
    refused(
        "spec.anyContainers[].env[].valueFrom.fieldRef.fieldPath",
        When::Rule(rules::late_field),
        "Cube fills in no variables, and this value is known only when the pod runs: read it in the program",
    ),
    refused(
        "spec.activeDeadlineSeconds",
        When::Present,
        "Cube has no deadline of a pod: set activeDeadlineSeconds of the Job instead",
    ),
    refused(
        "spec.shareProcessNamespace",
        When::Is("true"),
        "Cube containers do not see each other's processes: remove the field",
    ),
    // Resources.
    refused(
        "spec.resources",
        When::Present,
        "Cube sizes a pod by its containers: set resources on the containers instead",
    ),
    refused("spec.resourceClaims", When::Present, NO_DRA),
    refused("spec.anyContainers[].resources.claims", When::Present, NO_DRA),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(common::extended_resource),
        "Cube has no devices: remove the resource, or keep the pod on real nodes (policy off)",
    ),
    refused(
        "spec.anyContainers[].resources.limits",
        When::Rule(common::huge_pages),
        "Cube has no huge pages: remove the resource, or keep the pod on real nodes (policy off)",
    ),
    // Volumes.
    refused(
        "spec.volumes[].hostPath",
        When::Present,
        "Cube has no host whose files could be mounted: use emptyDir, a ConfigMap or a Secret",
    ),
    refused(
        "spec.volumes[].emptyDir.medium",
        When::IsNot(&[""]),
        "Cube has emptyDir on disk only: remove medium",
    ),
    refused("spec.volumes[].projected.sources[].serviceAccountToken", When::Rule(rules::token), TOKEN),
    refused(
        "spec.volumes[].projected",
        When::Rule(rules::projected),
        "Cube has no projected volumes: mount the ConfigMaps and Secrets one by one",
    ),
    refused(
        "spec.volumes[].*",
        When::Present,
        "Cube mounts configMap, secret, emptyDir and nfs volumes and the UDisks of claims only: use one of them",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].mountPropagation",
        When::IsNot(&["None"]),
        "Cube pods have no host to propagate mounts from: remove the field",
    ),
    refused(
        "spec.anyContainers[].volumeMounts[].recursiveReadOnly",
        When::Is("Enabled"),
        "Cube does not promise recursive read-only mounts: use IfPossible or remove the field",
    ),
    // Security.
    refused("spec.securityContext.fsGroup", When::Present, NO_SECURITY),
    refused("spec.securityContext.runAsGroup", When::Present, NO_SECURITY),
    refused("spec.securityContext.runAsNonRoot", When::Is("true"), NO_SECURITY),
    refused("spec.securityContext.runAsUser", When::Present, NO_SECURITY),
    refused("spec.securityContext.seLinuxOptions", When::Present, NO_SECURITY),
    refused("spec.securityContext.supplementalGroups", When::Present, NO_SECURITY),
    refused("spec.securityContext.sysctls", When::Present, NO_SECURITY),
    refused("spec.securityContext.seccompProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.securityContext.appArmorProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.anyContainers[].securityContext.capabilities.add", When::Present, NO_SECURITY),
    refused("spec.anyContainers[].securityContext.procMount", When::IsNot(&["Default"]), NO_SECURITY),
    refused("spec.anyContainers[].securityContext.readOnlyRootFilesystem", When::Is("true"), NO_SECURITY),
    refused("spec.anyContainers[].securityContext.runAsGroup", When::Present, NO_SECURITY),
    refused("spec.anyContainers[].securityContext.runAsNonRoot", When::Is("true"), NO_SECURITY),
    refused("spec.anyContainers[].securityContext.runAsUser", When::Present, NO_SECURITY),
    refused("spec.anyContainers[].securityContext.seLinuxOptions", When::Present, NO_SECURITY),
    refused("spec.anyContainers[].securityContext.seccompProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused("spec.anyContainers[].securityContext.appArmorProfile.type", When::Is("Localhost"), NO_PROFILE),
    refused(
        "spec.setHostnameAsFQDN",
        When::Is("true"),
        "Cube knows a host name only, without a domain: remove the field",
    ),
];

/// Honoured by other means.
const OWN_EMULATED: &[Row] = &[
    emulated(
        "spec.anyContainers[].resources",
        "the pod is rounded up to a Cube size; a container gets its limit, else its request, and the first one what is left",
    ),
    emulated("spec.anyContainers[].resizePolicy", "left out: a Cube pod is not resized in place"),
    emulated("spec.anyContainers[].imagePullPolicy", "left out: Cube pulls images at every start"),
    emulated("spec.anyContainers[].envFrom", "read here and sent as plain variables"),
    emulated("spec.anyContainers[].env[].valueFrom", "read here and sent as plain variables"),
    emulated(
        "spec.anyContainers[].volumeMounts[].subPathExpr",
        "its variables are put in here, and it is sent as subPath",
    ),
    emulated("spec.anyContainers[].terminationMessagePath", "left out: Cube reports no termination messages"),
    emulated(
        "spec.anyContainers[].terminationMessagePolicy",
        "left out: Cube reports no termination messages",
    ),
    emulated("spec.anyContainers[].stdinOnce", "means nothing without stdin"),
    emulated("spec.anyContainers[].securityContext.allowPrivilegeEscalation", ISOLATED),
    emulated("spec.anyContainers[].securityContext.seccompProfile", ISOLATED),
    emulated("spec.anyContainers[].securityContext.appArmorProfile", ISOLATED),
    emulated("spec.anyContainers[].securityContext.capabilities", ISOLATED),
    emulated("spec.anyContainers[].securityContext.capabilities.drop", ISOLATED),
    emulated("spec.securityContext.seccompProfile", ISOLATED),
    emulated("spec.securityContext.appArmorProfile", ISOLATED),
    emulated("spec.securityContext.seLinuxChangePolicy", ISOLATED),
    emulated("spec.securityContext.fsGroupChangePolicy", "means nothing without fsGroup"),
    emulated("spec.securityContext.supplementalGroupsPolicy", "means nothing without supplementalGroups"),
    emulated(
        "spec.volumes[].persistentVolumeClaim",
        "what it is bound to is looked up here: a UDisk (udisk.csi.ucloud.cn) with ext4 is attached, an nfs volume mounted; \
         anything else is refused when the pod is made",
    ),
    emulated("spec.volumes[].configMap", FILES),
    emulated("spec.volumes[].secret", FILES),
    emulated("spec.volumes[].emptyDir.sizeLimit", "left out: the pod's scratch space is 10Gi altogether"),
    emulated(
        "spec.imagePullSecrets",
        "their user names and passwords, or registryaddr and vpcid of a registry of your own, are sent with the pod",
    ),
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
    passed("spec.containers"),
    passed("spec.initContainers"),
    passed("spec.dnsConfig"),
    passed("spec.hostAliases"),
    passed("spec.hostname"),
    passed("spec.restartPolicy"),
    passed("spec.securityContext"),
    passed("spec.terminationGracePeriodSeconds"),
    passed("spec.volumes"),
    passed("spec.volumes[].name"),
    passed("spec.volumes[].emptyDir"),
    passed("spec.volumes[].nfs"),
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
    passed("spec.anyContainers[].securityContext"),
];

#[cfg(test)]
mod tests;
