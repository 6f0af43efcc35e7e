//! Rules of Cube's matrix that need more of the pod than one field.

use serde_json::Value;

use crate::support::rules::{all_containers, list, name};

/// Longest `Pod` parameter, bytes of base64.
pub const POD_PARAMETER_MAX: usize = 16 * 1024;
/// The same as YAML: base64 adds a third.
pub const POD_BYTES_MAX: usize = POD_PARAMETER_MAX / 4 * 3;
/// Longest name of a container.
pub const CONTAINER_NAME_MAX: usize = 32;
/// Registries of the internet that are told by their name.
const OUTSIDE: [&str; 7] = [
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "quay.io",
    "gcr.io",
    "ghcr.io",
    "registry.k8s.io",
];
/// Fields that only a running pod has.
const LATE: [&str; 4] = ["status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"];

/// A pod whose own texts are more than the API takes, whatever ConfigMaps and Secrets add.
pub(super) fn too_long(pod: &Value) -> Vec<String> {
    let texts = |container: &Value, field: &str| -> usize {
        list(container, field).iter().filter_map(Value::as_str).map(str::len).sum()
    };
    let variables = |container: &Value| -> usize {
        let values = list(container, "/env")
            .iter()
            .filter_map(|variable| variable.get("value").and_then(Value::as_str));
        values.map(str::len).sum()
    };
    let of =
        |container: &Value| texts(container, "/command") + texts(container, "/args") + variables(container);
    let sum: usize = all_containers(pod).map(|(_, container)| of(container)).sum();
    (sum > POD_BYTES_MAX).then(|| "spec.containers".to_owned()).into_iter().collect()
}

/// Names of containers that Cube does not take.
pub(super) fn container_name(pod: &Value) -> Vec<String> {
    let long = all_containers(pod).filter(|(_, container)| name(container).len() > CONTAINER_NAME_MAX);
    long.map(|(path, _)| format!("{path}.name")).collect()
}

/// The registry of an image, if its name has one.
fn registry(container: &Value) -> Option<&str> {
    let image = container.get("image").and_then(Value::as_str)?;
    let (host, _) = image.split_once('/')?;
    (host.contains(['.', ':']) || host == "localhost").then_some(host)
}

/// Images without a registry.
pub(super) fn short_image(pod: &Value) -> Vec<String> {
    let named =
        |container: &Value| container.get("image").and_then(Value::as_str).is_some_and(|i| !i.is_empty());
    let short =
        all_containers(pod).filter(|(_, container)| named(container) && registry(container).is_none());
    short.map(|(path, _)| format!("{path}.image")).collect()
}

/// Images of registries that Cube does not reach, in a pod that brings no credentials.
pub(super) fn outside_image(pod: &Value) -> Vec<String> {
    if !list(pod, "/spec/imagePullSecrets").is_empty() {
        return Vec::new();
    }
    let outside = all_containers(pod)
        .filter(|(_, container)| registry(container).is_some_and(|host| OUTSIDE.contains(&host)));
    outside.map(|(path, _)| format!("{path}.image")).collect()
}

/// Variables that take a field which is known too late.
pub(super) fn late_field(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        for (i, variable) in list(container, "/env").iter().enumerate() {
            let field = variable.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str);
            if field.is_some_and(|field| LATE.contains(&field)) {
                out.push(format!("{path}.env[{i}].valueFrom.fieldRef.fieldPath"));
            }
        }
    }
    out
}

/// Projected service account tokens, those that the API server adds among them.
pub(super) fn token(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (i, volume) in list(pod, "/spec/volumes").iter().enumerate() {
        let sources = list(volume, "/projected/sources").iter().enumerate();
        let tokens = sources.filter(|(_, source)| source.get("serviceAccountToken").is_some());
        out.extend(
            tokens.map(|(j, _)| format!("spec.volumes[{i}].projected.sources[{j}].serviceAccountToken")),
        );
    }
    out
}

/// Projected volumes that hold no token: of those the reason is another.
pub(super) fn projected(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (i, volume) in list(pod, "/spec/volumes").iter().enumerate() {
        let sources = list(volume, "/projected/sources");
        let token = sources.iter().any(|source| source.get("serviceAccountToken").is_some());
        if volume.get("projected").is_some_and(|p| !p.is_null()) && !token {
            out.push(format!("spec.volumes[{i}].projected"));
        }
    }
    out
}
