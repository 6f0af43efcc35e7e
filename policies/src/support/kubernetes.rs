//! The support matrix of another Kubernetes cluster: nearly everything goes as it is; what belongs to a host, to an
//! identity or to storage of this cluster does not.
//!
//! Facts: the Pod API. Every PodSpec field of Kubernetes 1.36 has a row; what has none is refused.

use super::Treatment::Emulated;
use super::rows::{emulated, passed, refused, unknown};
use super::{Row, When, rules};

const SCHEDULED_HERE: &str = "used by this cluster's scheduler; the other cluster has one of its own";
const IDENTITY_HERE: &str = "an identity of this cluster; the other cluster does not see it";
const NO_HOST: &str = "the other cluster's hosts are not this cluster's: remove the field, or keep the pod on real nodes (policy off)";
const NO_DRA: &str =
    "burst does not carry resource claims to the other cluster: keep the pod on real nodes (policy off)";
const COPIED: &str = "copied into the other cluster under a name of its own";

/// The matrix, in the order in which messages appear.
pub const TABLE: &[Row] = &[
    // Hosts.
    refused("spec.hostNetwork", When::Is("true"), NO_HOST),
    refused("spec.hostPID", When::Is("true"), NO_HOST),
    refused("spec.hostIPC", When::Is("true"), NO_HOST),
    refused("spec.anyContainers[].ports[].hostPort", When::IsNot(&["0"]), NO_HOST),
    refused("spec.volumes[].hostPath", When::Present, NO_HOST),
    refused(
        "spec.anyContainers[].volumeMounts[].mountPropagation",
        When::IsNot(&["None"]),
        "burst does not let mounts spread over the other cluster's hosts: remove the field",
    ),
    // Containers.
    refused(
        "spec.ephemeralContainers",
        When::Present,
        "burst cannot add a container to a running pod of the other cluster: use kubectl exec",
    ),
    refused(
        "spec.anyContainers[].volumeDevices",
        When::Present,
        "burst does not carry claims to the other cluster: keep the pod on real nodes (policy off)",
    ),
    refused(
        "spec.anyContainers[].env[].valueFrom.fileKeyRef",
        When::Present,
        "burst does not carry variables from files: use a ConfigMap or Secret",
    ),
    // Resources.
    refused("spec.resourceClaims", When::Present, NO_DRA),
    refused("spec.anyContainers[].resources.claims", When::Present, NO_DRA),
    // Volumes.
    refused(
        "spec.volumes[].persistentVolumeClaim",
        When::Present,
        "burst does not carry claims to the other cluster: keep the pod on real nodes (policy off)",
    ),
    refused(
        "spec.volumes[].*",
        When::Present,
        "burst carries configMap, secret, emptyDir, projected, downwardAPI, nfs, image and ephemeral volumes only: use \
         one of them",
    ),
    refused(
        "spec.volumes[].projected.sources[].*",
        When::Rule(rules::projected_source),
        "burst projects configMap, secret and downwardAPI sources only: remove this source",
    ),
    refused(
        "spec.volumes[].projected.sources[].serviceAccountToken",
        When::Rule(rules::own_token),
        "a token of this cluster is worth nothing in the other: mount a Secret of type \
         kubernetes.io/service-account-token instead",
    ),
    // Closed world.
    unknown("spec.*"),
    unknown("spec.anyContainers[].*"),
    // Honoured by other means.
    Row {
        field: "spec.volumes[].projected.sources[].serviceAccountToken",
        when: When::Rule(rules::injected_token),
        treatment: Emulated,
        sentence: "the API server adds this token volume to every pod: left out, because the token is one of this \
                   cluster; set automountServiceAccountToken: false if the pod does not call the Kubernetes API",
    },
    emulated("spec.anyContainers[].envFrom", "read here and sent as plain variables or copied objects"),
    emulated("spec.volumes[].configMap", COPIED),
    emulated("spec.volumes[].secret", COPIED),
    emulated(
        "spec.volumes[].projected",
        "its objects are copied into the other cluster under names of their own",
    ),
    emulated(
        "spec.volumes[].downwardAPI",
        "rendered from the pod of this cluster; sizes by the other cluster",
    ),
    emulated("spec.imagePullSecrets", COPIED),
    emulated("spec.enableServiceLinks", "the bridge renders the service variables of this cluster"),
    emulated("spec.readinessGates", "evaluated here: the other cluster does not see the gates' conditions"),
    emulated("spec.overhead", "the other cluster's RuntimeClass has its own"),
    emulated("spec.nodeSelector", "used by this cluster's scheduler; OS and architecture go along"),
    emulated("spec.serviceAccountName", IDENTITY_HERE),
    emulated("spec.serviceAccount", IDENTITY_HERE),
    emulated("spec.automountServiceAccountToken", IDENTITY_HERE),
    emulated("spec.affinity", SCHEDULED_HERE),
    emulated("spec.nodeName", SCHEDULED_HERE),
    emulated("spec.preemptionPolicy", SCHEDULED_HERE),
    emulated("spec.priority", SCHEDULED_HERE),
    emulated("spec.priorityClassName", SCHEDULED_HERE),
    emulated("spec.schedulerName", SCHEDULED_HERE),
    emulated("spec.schedulingGates", SCHEDULED_HERE),
    emulated("spec.schedulingGroup", SCHEDULED_HERE),
    emulated("spec.tolerations", SCHEDULED_HERE),
    emulated("spec.topologySpreadConstraints", SCHEDULED_HERE),
    // Sent as they are.
    passed("spec.activeDeadlineSeconds"),
    passed("spec.containers"),
    passed("spec.initContainers"),
    passed("spec.dnsConfig"),
    passed("spec.dnsPolicy"),
    passed("spec.hostAliases"),
    passed("spec.hostNetwork"),
    passed("spec.hostPID"),
    passed("spec.hostIPC"),
    passed("spec.hostUsers"),
    passed("spec.hostname"),
    passed("spec.hostnameOverride"),
    passed("spec.os"),
    passed("spec.resources"),
    passed("spec.restartPolicy"),
    passed("spec.runtimeClassName"),
    passed("spec.securityContext"),
    passed("spec.setHostnameAsFQDN"),
    passed("spec.shareProcessNamespace"),
    passed("spec.subdomain"),
    passed("spec.terminationGracePeriodSeconds"),
    passed("spec.volumes"),
    passed("spec.volumes[].name"),
    passed("spec.volumes[].emptyDir"),
    passed("spec.volumes[].nfs"),
    passed("spec.volumes[].image"),
    passed("spec.volumes[].ephemeral"),
    passed("spec.anyContainers[].name"),
    passed("spec.anyContainers[].image"),
    passed("spec.anyContainers[].imagePullPolicy"),
    passed("spec.anyContainers[].command"),
    passed("spec.anyContainers[].args"),
    passed("spec.anyContainers[].workingDir"),
    passed("spec.anyContainers[].ports"),
    passed("spec.anyContainers[].env"),
    passed("spec.anyContainers[].resources"),
    passed("spec.anyContainers[].resizePolicy"),
    passed("spec.anyContainers[].restartPolicy"),
    passed("spec.anyContainers[].restartPolicyRules"),
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
    passed("spec.anyContainers[].securityContext"),
];
