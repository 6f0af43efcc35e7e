//! From a local pod to a pod of another cluster: sizes as they are, identity and placement of this cluster left out.
//!
//! Pure. What the other cluster cannot have is refused first, by the same table that admission reads.

use policies::keys::{self, ECI_POD, POLICY};
use policies::pod::PodFacts;
use policies::support;
use serde_json::{Map, Value};

use crate::cloud::kubelike::{self, Context, Fields, Forged, Rules};
use crate::cloud::translate::json::{only, pairs, text};
use crate::cloud::translate::{self, Problem, References, Resolved};

/// What means the same in every cluster.
const FIELDS: Fields = Fields {
    pod: &[
        "activeDeadlineSeconds",
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "hostUsers",
        "hostnameOverride",
        "os",
        "restartPolicy",
        "runtimeClassName",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "subdomain",
        "terminationGracePeriodSeconds",
    ],
    pod_security: &[
        "appArmorProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxChangePolicy",
        "seLinuxOptions",
        "seccompProfile",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "sysctls",
        "windowsOptions",
    ],
    container: &[
        "name",
        "image",
        "imagePullPolicy",
        "workingDir",
        "ports",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "stdin",
        "stdinOnce",
        "tty",
    ],
    container_security: &[
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "capabilities",
        "privileged",
        "procMount",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxOptions",
        "seccompProfile",
        "windowsOptions",
    ],
    volumes: &["emptyDir", "nfs", "image", "ephemeral"],
    mount: &["name", "mountPath", "readOnly", "recursiveReadOnly", "subPath"],
    pull_secrets: &[],
};

/// The node labels that a container image depends on.
const PLATFORM: [&str; 2] = ["kubernetes.io/os", "kubernetes.io/arch"];

/// What has to be fetched before a pod is translated.
pub(super) fn references(pod: &Value) -> References {
    translate::references(pod, FIELDS.pull_secrets)
}

/// Translates a pod.
pub(super) fn forge(pod: &Value, context: &Context<'_>, resolved: &Resolved) -> Result<Forged, Problem> {
    let unsupported = support::check(support::KUBERNETES, pod);
    if !unsupported.is_empty() {
        return Err(Problem::Invalid(support::sentences(&unsupported)));
    }
    let rules = Rules {
        cloud: "burst",
        fields: &FIELDS,
        sizes: None,
        resources: &|container| container.get("resources").and_then(resources),
        label: goes_along,
        annotation: goes_along,
        share: None,
        billed: asked(pod)?,
    };
    let mut forged = kubelike::forge(pod, context, resolved, &rules)?;
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let platform: Map<String, Value> = pairs(spec, "nodeSelector")
        .filter(|(key, _)| PLATFORM.contains(key))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    if !platform.is_empty() {
        forged.pod["spec"]["nodeSelector"] = Value::Object(platform);
    }
    if let Some(whole) = spec.get("resources").and_then(resources) {
        forged.pod["spec"]["resources"] = whole;
    }
    Ok(forged)
}

/// Requests and limits without our markers.
fn resources(resources: &Value) -> Option<Value> {
    let mut out = Map::new();
    for (side, mut amounts) in only(resources, &["requests", "limits"]) {
        if let Some(amounts) = amounts.as_object_mut() {
            amounts.retain(|name, _| !keys::is_marker(name));
        }
        if amounts.as_object().is_some_and(|amounts| !amounts.is_empty()) {
            out.insert(side, amounts);
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// CPU and memory that the pod asks for, as they are written down on the instance.
fn asked(pod: &Value) -> Result<(String, String), Problem> {
    let name = pod.get("metadata").and_then(|metadata| text(metadata, "name")).unwrap_or_default();
    let facts =
        PodFacts::from_value(pod).map_err(|error| Problem::Invalid(format!("pod {name}: {error}")))?;
    let asked = facts.requests;
    Ok((format!("{}m", asked.cpu_milli), asked.memory_bytes.to_string()))
}

/// Whether a label or annotation means the same in the other cluster: what this cluster or burst wrote for itself does
/// not, and a policy would be obeyed there again.
fn goes_along(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let ours = domain == "burst.io" || domain.ends_with("cci.io") || domain == "virtual-kubelet.io";
    let kubernetes = domain == "kubectl.kubernetes.io"
        || key == "controller.kubernetes.io/pod-deletion-cost"
        || domain == "kubernetes.io";
    !ours && !kubernetes && !POLICY.contains(&key) && !ECI_POD.contains(&key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::cloud::kubelike::instance_name;
    use crate::cloud::translate::json::list;
    use crate::cloud::{PodIdentity, golden};

    fn run(input: &Value) -> Result<Forged, Problem> {
        let pod = &input["pod"];
        let meta = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
        let identity = PodIdentity { uid: meta("uid"), namespace: meta("namespace"), name: meta("name") };
        let instance = instance_name(&identity);
        let context = Context {
            cluster_id: "c-1",
            namespace: "burst-shop",
            instance: &instance,
            node: "burst-east-0",
            pod: &identity,
            labels: &BTreeMap::new(),
            annotations: &BTreeMap::new(),
            hidden: "",
        };
        let objects = |field: &str| -> BTreeMap<String, Option<Value>> {
            let map = input[field].as_object().cloned().unwrap_or_default();
            map.into_iter().map(|(name, object)| (name, Some(object))).collect()
        };
        let resolved = Resolved {
            config_maps: objects("configMaps"),
            secrets: objects("secrets"),
            services: list(input, "services").to_vec(),
            ..Resolved::default()
        };
        forge(pod, &context, &resolved)
    }

    #[test]
    fn goldens() {
        golden::check("kubernetes", "forge", |input| match run(input) {
            Ok(forged) => json!({
                "pod": forged.pod,
                "copies": forged.copies.into_iter().map(|copy| copy.object).collect::<Vec<_>>(),
            }),
            Err(Problem::Invalid(text)) => json!({"invalid": text}),
            Err(Problem::Missing(notice)) => json!({"missing": notice.message}),
        });
    }

    #[test]
    fn what_goes_along() {
        for (key, goes) in [
            ("app", true),
            ("pod-template-hash", true),
            ("example.com/team", true),
            ("prometheus.io/scrape", true),
            ("burst-to-cci", false),
            ("burst.io/policy", false),
            ("burst.io/governed", false),
            ("virtual-kubelet.cci.io/burst-pod-cpu", false),
            ("eci", false),
            ("kubectl.kubernetes.io/last-applied-configuration", false),
            ("kubernetes.io/config.seen", false),
        ] {
            assert_eq!(goes_along(key), goes, "{key}");
        }
    }
}
