//! The few rules of the matrix that need more of the pod than one field.

use serde_json::Value;

use super::CLAIM_DRIVER;
use super::huawei::FILE_SYSTEMS;
use crate::keys;

/// Most containers (init containers not counted) in one CCI pod.
const CONTAINERS_MAX: usize = 5;
/// Where the API server mounts the token volume that it adds to every pod.
const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How the API server names that volume.
const TOKEN_VOLUME: &str = "kube-api-access-";

pub(super) fn list<'a>(pod: &'a Value, pointer: &str) -> &'a [Value] {
    pod.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn name(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Containers and init containers with their paths.
pub(super) fn all_containers(pod: &Value) -> impl Iterator<Item = (String, &Value)> {
    ["initContainers", "containers"].into_iter().flat_map(move |kind| {
        let each = list(pod, &format!("/spec/{kind}")).iter().enumerate();
        each.map(move |(i, c)| (format!("spec.{kind}[{i}]"), c))
    })
}

pub(super) fn too_many_containers(pod: &Value) -> Vec<String> {
    more_containers_than(CONTAINERS_MAX, pod)
}

/// As many as there may be are one too many where one is added; more than that have their own row.
pub(super) fn no_room_for_interop(pod: &Value) -> Vec<String> {
    let fits_alone = too_many_containers(pod).is_empty();
    if fits_alone { more_containers_than(CONTAINERS_MAX - 1, pod) } else { Vec::new() }
}

fn more_containers_than(most: usize, pod: &Value) -> Vec<String> {
    let over = list(pod, "/spec/containers").len() > most;
    over.then(|| "spec.containers".to_owned()).into_iter().collect()
}

/// Claims that are known to be bound to something else than a file system of Huawei's.
pub(super) fn no_file_system(pod: &Value) -> Vec<String> {
    let other = |volume: &Value| {
        let driver = volume.get("persistentVolumeClaim")?.get(CLAIM_DRIVER)?.as_str()?;
        Some(!FILE_SYSTEMS.contains(&driver))
    };
    let volumes = list(pod, "/spec/volumes").iter().enumerate();
    let found = volumes.filter(|(_, volume)| other(volume) == Some(true));
    found.map(|(i, _)| format!("spec.volumes[{i}].persistentVolumeClaim")).collect()
}

/// Mounts with subPath or subPathExpr whose volume is an emptyDir.
pub(super) fn sub_path_on_empty_dir(pod: &Value) -> Vec<String> {
    let volumes = list(pod, "/spec/volumes").iter();
    let empty: Vec<&str> = volumes.filter(|v| v.get("emptyDir").is_some()).map(name).collect();
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        for (i, mount) in list(container, "/volumeMounts").iter().enumerate() {
            if !empty.contains(&name(mount)) {
                continue;
            }
            let keys = ["subPath", "subPathExpr"].into_iter();
            let set = keys.filter(|k| mount.get(k).and_then(Value::as_str).is_some_and(|s| !s.is_empty()));
            out.extend(set.map(|k| format!("{path}.volumeMounts[{i}].{k}")));
        }
    }
    out
}

/// Whether a volume is the one that the API server adds to every pod: its name, and nothing but its mount point.
fn is_injected_token(pod: &Value, volume: &Value) -> bool {
    let wanted = name(volume);
    let mounts = |c: &Value| -> bool {
        let mut of = list(c, "/volumeMounts").iter().filter(|m| name(m) == wanted);
        of.all(|m| m.get("mountPath").and_then(Value::as_str) == Some(TOKEN_MOUNT))
    };
    wanted.starts_with(TOKEN_VOLUME) && all_containers(pod).all(|(_, c)| mounts(c))
}

fn token_sources(pod: &Value, injected: bool) -> Vec<String> {
    let mut out = Vec::new();
    for (i, volume) in list(pod, "/spec/volumes").iter().enumerate() {
        if is_injected_token(pod, volume) != injected {
            continue;
        }
        for (j, source) in list(volume, "/projected/sources").iter().enumerate() {
            if source.get("serviceAccountToken").is_some() {
                out.push(format!("spec.volumes[{i}].projected.sources[{j}].serviceAccountToken"));
            }
        }
    }
    out
}

pub(super) fn injected_token(pod: &Value) -> Vec<String> {
    token_sources(pod, true)
}

pub(super) fn own_token(pod: &Value) -> Vec<String> {
    token_sources(pod, false)
}

/// Projected sources other than those CCI 1.0 or the bridge can provide.
pub(super) fn projected_source(pod: &Value) -> Vec<String> {
    const KNOWN: [&str; 4] = ["configMap", "secret", "downwardAPI", "serviceAccountToken"];
    let mut out = Vec::new();
    for (i, volume) in list(pod, "/spec/volumes").iter().enumerate() {
        for (j, source) in list(volume, "/projected/sources").iter().enumerate() {
            let keys = source.as_object().into_iter().flat_map(|m| m.keys());
            let unknown = keys.filter(|k| !KNOWN.contains(&k.as_str()));
            out.extend(unknown.map(|k| format!("spec.volumes[{i}].projected.sources[{j}].{k}")));
        }
    }
    out
}

/// Extended resources other than our markers, which are stripped.
pub(super) fn extended_resource(pod: &Value) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (path, container) in all_containers(pod) {
        for side in ["requests", "limits"] {
            let map = container.pointer(&format!("/resources/{side}")).and_then(Value::as_object);
            let keys = map.into_iter().flat_map(|m| m.keys());
            let own = |k: &&String| k.contains('/') && !keys::is_marker(k);
            out.extend(keys.filter(own).map(|k| format!("{path}.resources.{side}['{k}']")));
        }
    }
    out
}

/// Huge pages, which containers without a node of their own do not have.
pub(super) fn huge_pages(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        let map = container.pointer("/resources/limits").and_then(Value::as_object);
        let keys = map.into_iter().flat_map(|m| m.keys()).filter(|k| k.starts_with("hugepages-"));
        out.extend(keys.map(|k| format!("{path}.resources.limits['{k}']")));
    }
    out
}
