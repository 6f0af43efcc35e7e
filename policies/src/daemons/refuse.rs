//! What of a DaemonSet cannot run beside a pod in the cloud: what needs a host, and what only the DaemonSet's own
//! namespace has.

use serde_json::Value;

use super::{Daemon, Refused, objects::objects};

const NO_HOST: &str = "an instance in the cloud shares no host with anything: remove the field, or leave this agent to \
                       real nodes";
const NO_INIT: &str = "init containers would hold up the pod's own: do their work in the container itself";
const NO_RIGHTS: &str = "it would hold rights over an instance that is the pod's own: remove the field";
const NO_DEVICE: &str = "devices and huge pages are a node's: remove the resource";
const FOREIGN: &str = "the pod is in another namespace, and objects of this one are not carried there: put the values \
                       into the template, or run the DaemonSet in the pod's namespace";
const NO_VOLUME: &str = "beside a pod only emptyDir, configMap, secret, downwardAPI and projected volumes are mounted: use one of them";

/// Volumes that need nothing but the instance and the API server.
const VOLUMES: [&str; 5] = ["emptyDir", "configMap", "secret", "downwardAPI", "projected"];

/// The first field that keeps a DaemonSet from running beside a pod of this namespace.
pub(super) fn refused(daemon: &Daemon, namespace: &str) -> Option<Refused> {
    let spec = &daemon.spec;
    let volumes = || list(spec, "volumes").iter().enumerate().find_map(|(i, volume)| of_volume(i, volume));
    let containers =
        || list(spec, "containers").iter().enumerate().find_map(|(i, container)| of_container(i, container));
    let foreign = || {
        let object = objects(daemon).into_iter().next().filter(|_| daemon.namespace != namespace)?;
        Some(Refused::at(object.field, FOREIGN))
    };
    of_pod(spec).or_else(volumes).or_else(containers).or_else(foreign)
}

fn at(field: &str, sentence: &str) -> Refused {
    Refused::at(format!("spec.template.spec.{field}"), sentence)
}

fn of_pod(spec: &Value) -> Option<Refused> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().find(|field| is_true(spec, field));
    let init = || (!list(spec, "initContainers").is_empty()).then(|| at("initContainers", NO_INIT));
    shared.map(|field| at(field, NO_HOST)).or_else(init)
}

fn of_volume(index: usize, volume: &Value) -> Option<Refused> {
    let kinds = volume.as_object()?.iter().filter(|(key, value)| *key != "name" && !value.is_null());
    let (kind, _) = kinds.into_iter().find(|(kind, _)| !VOLUMES.contains(&kind.as_str()))?;
    let sentence = if kind == "hostPath" { NO_HOST } else { NO_VOLUME };
    Some(at(&format!("volumes[{index}].{kind}"), sentence))
}

fn of_container(index: usize, container: &Value) -> Option<Refused> {
    let at = |field: &str, sentence| at(&format!("containers[{index}].{field}"), sentence);
    let security = container.get("securityContext").unwrap_or(&Value::Null);
    if is_true(security, "privileged") {
        return Some(at("securityContext.privileged", NO_RIGHTS));
    }
    if security.get("capabilities").is_some_and(|all| !list(all, "add").is_empty()) {
        return Some(at("securityContext.capabilities.add", NO_RIGHTS));
    }
    let host_port =
        |port: &Value| port.get("hostPort").and_then(Value::as_u64).is_some_and(|number| number > 0);
    if let Some(i) = list(container, "ports").iter().position(host_port) {
        return Some(at(&format!("ports[{i}].hostPort"), NO_HOST));
    }
    for side in ["limits", "requests"] {
        let names = container.get("resources").and_then(|r| r.get(side)?.as_object()).into_iter().flatten();
        let device = |name: &&String| name.contains('/') || name.starts_with("hugepages-");
        if let Some(name) = names.map(|(name, _)| name).find(device) {
            return Some(at(&format!("resources.{side}['{name}']"), NO_DEVICE));
        }
    }
    None
}

fn is_true(holder: &Value, field: &str) -> bool {
    holder.get(field).and_then(Value::as_bool) == Some(true)
}

fn list<'v>(holder: &'v Value, field: &str) -> &'v [Value] {
    holder.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
