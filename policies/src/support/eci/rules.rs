//! Rules of ECI's matrix that need more of the pod than one field.

use serde_json::Value;

use crate::{
    keys,
    support::rules::{all_containers, list, name},
};

/// Most containers of one pod.
const CONTAINERS_MAX: usize = 20;
/// Most volumes of one pod.
const VOLUMES_MAX: usize = 20;
/// Longest value of an environment variable, characters.
pub const ENV_VALUE_MAX: usize = 256;
/// Longest name of an environment variable, characters.
pub const ENV_NAME_MAX: usize = 128;
/// Most words of a command, and the longest of them, characters.
pub const COMMAND_MAX: (usize, usize) = (20, 256);
/// Most arguments.
pub const ARGS_MAX: usize = 10;
/// The one device that ECI has.
pub const GPU: &str = "nvidia.com/gpu";

pub(super) fn too_many_containers(pod: &Value) -> Vec<String> {
    let over = list(pod, "/spec/containers").len() > CONTAINERS_MAX;
    over.then(|| "spec.containers".to_owned()).into_iter().collect()
}

pub(super) fn too_many_volumes(pod: &Value) -> Vec<String> {
    let over = list(pod, "/spec/volumes").len() > VOLUMES_MAX;
    over.then(|| "spec.volumes".to_owned()).into_iter().collect()
}

/// Variables whose value is longer than ECI takes, as far as the pod itself says it.
pub(super) fn long_value(pod: &Value) -> Vec<String> {
    variables(pod, |variable| {
        let value = variable.get("value").and_then(Value::as_str);
        value.is_some_and(|value| value.chars().count() > ENV_VALUE_MAX)
    })
}

pub(super) fn long_name(pod: &Value) -> Vec<String> {
    variables(pod, |variable| name(variable).chars().count() > ENV_NAME_MAX)
}

fn variables(pod: &Value, at_fault: impl Fn(&Value) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        let each = list(container, "/env").iter().enumerate().filter(|(_, variable)| at_fault(variable));
        out.extend(each.map(|(i, _)| format!("{path}.env[{i}]")));
    }
    out
}

pub(super) fn long_command(pod: &Value) -> Vec<String> {
    words(pod, "command", COMMAND_MAX.0)
}

pub(super) fn long_args(pod: &Value) -> Vec<String> {
    words(pod, "args", ARGS_MAX)
}

fn words(pod: &Value, field: &str, most: usize) -> Vec<String> {
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        let words = list(container, &format!("/{field}"));
        let long = |word: &Value| word.as_str().is_some_and(|word| word.chars().count() > COMMAND_MAX.1);
        if words.len() > most || words.iter().any(long) {
            out.push(format!("{path}.{field}"));
        }
    }
    out
}

/// Devices other than [`GPU`] and our own markers.
pub(super) fn unknown_device(pod: &Value) -> Vec<String> {
    devices(pod, |name| name != GPU)
}

/// GPUs of a pod that does not say on which type of machine.
pub(super) fn gpu_without_type(pod: &Value) -> Vec<String> {
    let specs = pod.pointer("/metadata/annotations").and_then(|all| all.get(keys::ECI_USE_SPECS)?.as_str());
    let typed = specs.is_some_and(|specs| specs.split(',').any(|spec| spec.trim().starts_with("ecs.")));
    if typed { Vec::new() } else { devices(pod, |name| name == GPU) }
}

fn devices(pod: &Value, at_fault: impl Fn(&str) -> bool) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (path, container) in all_containers(pod) {
        for side in ["requests", "limits"] {
            let map = container.pointer(&format!("/resources/{side}")).and_then(Value::as_object);
            let keys = map.into_iter().flat_map(|m| m.keys());
            let own = |k: &&String| k.contains('/') && !keys::is_marker(k) && at_fault(k);
            out.extend(keys.filter(own).map(|k| format!("{path}.resources.{side}['{k}']")));
        }
    }
    out
}

/// Capabilities that ECI does not give.
pub(super) fn capability(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        for (i, added) in list(container, "/securityContext/capabilities/add").iter().enumerate() {
            let known = added.as_str().is_some_and(|name| matches!(name, "NET_ADMIN" | "NET_RAW"));
            if !known {
                out.push(format!("{path}.securityContext.capabilities.add[{i}]"));
            }
        }
    }
    out
}

/// Drivers of a flexVolume that ECI has.
pub(super) fn flex_driver(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (i, volume) in list(pod, "/spec/volumes").iter().enumerate() {
        let driver = volume.pointer("/flexVolume/driver").and_then(Value::as_str);
        if driver.is_some_and(|driver| !matches!(driver, "alicloud/disk" | "alicloud/nas" | "alicloud/oss")) {
            out.push(format!("spec.volumes[{i}].flexVolume.driver"));
        }
    }
    out
}

/// Hosts and headers of probes, which are sent to the instance itself, without headers.
pub(super) fn probe_extras(pod: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (path, container) in all_containers(pod) {
        for probe in ["livenessProbe", "readinessProbe"] {
            for field in ["httpGet/host", "httpGet/httpHeaders", "tcpSocket/host"] {
                let value = container.pointer(&format!("/{probe}/{field}"));
                let empty = value.is_none_or(|v| {
                    v.is_null() || v.as_str() == Some("") || v.as_array().is_some_and(Vec::is_empty)
                });
                if !empty {
                    out.push(format!("{path}.{probe}.{}", field.replace('/', ".")));
                }
            }
        }
    }
    out
}
